#include "engine/reuse.h"

/* Pages that the pending tokens before the first whose logits are wanted fill. */
static int64_t reusable_pages(const transformer_sequence *sequence) {
    int64_t end = sequence->n_computed;
    while (end < sequence->n_tokens - 1 && !sequence->keep[end]) end++;
    return (end - sequence->n_computed) / KV_PAGE_TOKENS;
}

static struct prefix_tokens tokens_from(const transformer_sequence *sequence, int64_t page) {
    return (struct prefix_tokens){sequence->tokens + page * KV_PAGE_TOKENS,
                                  sequence->types + page * KV_PAGE_TOKENS};
}

/* At the sequence's beginning: on to what its first page continues. */
static bool begin(transformer_sequence *sequence, bool create) {
    const struct source *source = sequence->source;
    struct prefix_follower *follower = &sequence->follower;
    if (!source || follower->last != PREFIX_NONE) return true;
    return prefix_index_begin(sequence->context->cache.index, &sequence->domain, source->tokens,
                              source->n_tokens, create, follower);
}

/* What was truncated away since is not followed any more. */
static void follow_computed(transformer_sequence *sequence) {
    prefix_index_back(sequence->context->cache.index, &sequence->follower,
                      sequence->n_computed / KV_PAGE_TOKENS);
}

int64_t reuse_pages(transformer_sequence *sequence) {
    transformer_context *context = sequence->context;
    struct prefix_follower *follower = &sequence->follower;
    if (!context->cache.index) return 0;
    follow_computed(sequence);
    if (sequence->n_computed != follower->n_pages * KV_PAGE_TOKENS) return 0;
    int64_t n = reusable_pages(sequence);
    if (n == 0) return 0;
    context->prefix_lookups++;
    if (!begin(sequence, false)) return 0;
    n = prefix_index_reuse(context->cache.index, &sequence->domain,
                           tokens_from(sequence, follower->n_pages), n, sequence->tables, follower);
    n *= KV_PAGE_TOKENS;
    sequence->n_computed += n;
    context->prefix_hit_tokens += (uint64_t)n;
    return n;
}

void reuse_enter(transformer_sequence *sequence) {
    struct prefix_index *index = sequence->context->cache.index;
    struct prefix_follower *follower = &sequence->follower;
    if (!index || sequence->n_computed < (follower->n_pages + 1) * KV_PAGE_TOKENS) return;
    bool entered = begin(sequence, true);
    while (entered && (follower->n_pages + 1) * KV_PAGE_TOKENS <= sequence->n_computed)
        entered =
            prefix_index_enter(index, &sequence->domain, tokens_from(sequence, follower->n_pages),
                               sequence->tables, follower);
}
