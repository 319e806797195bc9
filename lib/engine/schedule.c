#include "engine/schedule.h"

#include <string.h>

/* ---- order ---- */

static bool comes_before(const transformer_sequence *a, const transformer_sequence *b) {
    return a->priority != b->priority ? a->priority > b->priority : a->serial < b->serial;
}

void schedule_add(transformer_context *context, transformer_sequence *sequence) {
    int64_t at = context->n_sequences++;
    for (; at > 0 && comes_before(sequence, context->order[at - 1]); at--)
        context->order[at] = context->order[at - 1];
    context->order[at] = sequence;
}

static int64_t place_of(const transformer_context *context, const transformer_sequence *sequence) {
    int64_t at = 0;
    while (context->order[at] != sequence) at++;
    return at;
}

void schedule_remove(transformer_context *context, transformer_sequence *sequence) {
    int64_t at = place_of(context, sequence), behind = --context->n_sequences - at;
    memmove(context->order + at, context->order + at + 1,
            (size_t)behind * sizeof(transformer_sequence *));
}

void schedule_set_priority(transformer_sequence *sequence, int32_t priority) {
    schedule_remove(sequence->context, sequence);
    sequence->priority = priority;
    schedule_add(sequence->context, sequence);
}

int64_t schedule_class_end(const transformer_context *context, int64_t first) {
    int64_t end = first;
    while (end < context->n_sequences &&
           context->order[end]->priority == context->order[first]->priority)
        end++;
    return end;
}

int64_t schedule_turn(const transformer_context *context, int64_t first, int64_t end,
                      bool prompts) {
    int64_t turn = first;
    uint64_t latest = 0;
    for (int64_t i = first; i < end; i++) {
        uint64_t went = context->order[i]->went_first[prompts];
        if (went <= latest) continue;
        latest = went;
        turn = i + 1 < end ? i + 1 : first;
    }
    return turn;
}

void schedule_went_first(transformer_sequence *sequence, bool prompts) {
    sequence->went_first[prompts] = ++sequence->context->n_turns;
}

/* ---- preemption ---- */

static bool is_growing(const transformer_context *context, int group) {
    return context->program->kv.groups[group].kind == KV_GROWING;
}

static bool has_pages(const transformer_context *context, const transformer_sequence *sequence) {
    for (int g = 0; g < context->program->kv.n_groups; g++)
        if (is_growing(context, g) && sequence->tables[g].n_pages > 0) return true;
    return false;
}

static bool is_victim(const transformer_sequence *sequence) {
    const transformer_context *context = sequence->context;
    return sequence->plan != context->n_plans && has_pages(context, sequence);
}

/* Adds n to the marks of the pages that victims from order `first` on have in the group. Returns
 * how many would be free were all marked claims given back. */
static int64_t mark_pages(transformer_context *context, int64_t first, int group, int32_t n) {
    const struct page_pool *pool = &context->cache.pools[group];
    int64_t n_freed = 0;
    for (int64_t i = first; i < context->n_sequences; i++) {
        const struct page_table *table = &context->order[i]->tables[group];
        if (!is_victim(context->order[i])) continue;
        for (int64_t k = table->n_dropped; k < table->n_pages; k++) {
            int32_t page = table->pages[k], *mark = &context->page_marks[page];
            int32_t others = pool->claims[page] - (pool->entries[page] != PAGE_NONE);
            *mark += n;
            n_freed += *mark == others;
        }
    }
    return n_freed;
}

static int64_t n_available(const transformer_context *context, int group) {
    const struct page_pool *pool = &context->cache.pools[group];
    return pool->n_free + pool->n_cached;
}

static bool is_enough(const transformer_context *context, const int64_t *n_needed) {
    for (int g = 0; g < context->program->kv.n_groups; g++)
        if (n_available(context, g) < n_needed[g]) return false;
    return true;
}

/* Whether it would be enough, were all victims from order `first` on preempted. */
static bool would_be_enough(transformer_context *context, int64_t first, const int64_t *n_needed) {
    for (int g = 0; g < context->program->kv.n_groups; g++) {
        if (!is_growing(context, g) || n_available(context, g) >= n_needed[g]) continue;
        int64_t n_freed = mark_pages(context, first, g, 1);
        mark_pages(context, first, g, -1);
        if (n_available(context, g) + n_freed < n_needed[g]) return false;
    }
    return true;
}

/* All its tokens are pending again. Logits that a step has kept are not kept once more, but for
 * those of the last token: the sequence will be ready again. */
static void preempt(transformer_sequence *sequence, transformer_decode_result *result) {
    int64_t n = sequence->n_computed;
    if (n == sequence->n_tokens) n--;
    if (n > 0) memset(sequence->keep, 0, (size_t)n);
    sequence_rewind(sequence, 0);
    sequence->waits = true;
    sequence->context->n_preempted++;
    result->n_preempted++;
}

bool schedule_preempt(transformer_sequence *sequence, const int64_t *n_needed,
                      transformer_decode_result *result) {
    transformer_context *context = sequence->context;
    if (is_enough(context, n_needed)) return true;
    if (!context->page_marks) return false;
    int64_t first = place_of(context, sequence) + 1;
    if (!would_be_enough(context, first, n_needed)) return false;
    for (int64_t i = context->n_sequences - 1; i >= first && !is_enough(context, n_needed); i--)
        if (is_victim(context->order[i])) preempt(context->order[i], result);
    return true;
}

bool schedule_readmit(transformer_sequence *sequence, transformer_decode_result *result) {
    transformer_context *context = sequence->context;
    for (int g = 0; g < context->program->kv.n_groups; g++) {
        int64_t window = context->program->kv.groups[g].window;
        int64_t pages = (sequence->n_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
        int64_t n = pages - sequence->tables[g].n_pages, most = window / KV_PAGE_TOKENS + 2;
        if (window && n > most) n = most;
        if (window && n > context->cache.pools[g].n_pages) n = context->cache.pools[g].n_pages;
        context->n_needed[g] = is_growing(context, g) ? n : 0;
    }
    sequence->waits = !schedule_preempt(sequence, context->n_needed, result);
    return !sequence->waits;
}
