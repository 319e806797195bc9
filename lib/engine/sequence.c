#include "engine/sequence.h"

#include <math.h>
#include <string.h>

#include "engine/constraint.h"
#include "engine/schedule.h"
#include "engine/speculate.h"

static size_t table_pages(const struct context_limits *limits) {
    return (size_t)(limits->max_sequence_tokens / KV_PAGE_TOKENS + 1);
}

uint64_t sequence_bytes(const struct context_limits *limits, int n_groups) {
    size_t tokens = (size_t)limits->max_sequence_tokens;
    return memory_cost(sizeof(transformer_sequence)) + memory_cost(tokens * sizeof(int32_t)) +
           2 * memory_cost(tokens) + memory_cost((size_t)n_groups * sizeof(struct page_table)) +
           memory_cost((size_t)n_groups * table_pages(limits) * sizeof(int32_t));
}

static void give_memory(transformer_sequence *sequence) {
    struct memory *memory = &sequence->context->memory;
    speculate_free(sequence);
    memory_give(memory, sequence->tokens);
    memory_give(memory, sequence->keep);
    memory_give(memory, sequence->types);
    if (sequence->tables) {
        /* One block holds the tables of all groups; the first begins it. */
        memory_give(memory, sequence->tables[0].pages);
        memory_give(memory, sequence->tables);
    }
    memory_give(memory, sequence);
}

static status take_memory(transformer_context *context, transformer_sequence **taken) {
    struct memory *memory = &context->memory;
    size_t tokens = (size_t)context->limits.max_sequence_tokens;
    size_t n_groups = (size_t)context->program->kv.n_groups, pages = table_pages(&context->limits);
    transformer_sequence *fresh;
    status result;
    int32_t *tables;
    TRY(MEMORY_TAKE_ONE(memory, "a sequence", &fresh));
    fresh->context = context;
    fresh->follower.last = PREFIX_NONE;
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, tokens, "a sequence's tokens", &fresh->tokens));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, tokens, "a sequence's tokens", &fresh->keep));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, tokens, "a sequence's tokens", &fresh->types));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_groups, "a sequence's pages", &fresh->tables));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_groups * pages, "a sequence's pages", &tables));
    for (size_t g = 0; g < n_groups; g++) fresh->tables[g].pages = tables + g * pages;
    *taken = fresh;
exit:
    if (result != OK) give_memory(fresh);
    return result;
}

status sequence_create(transformer_context *context, transformer_sampler *sampler, uint64_t stream,
                       transformer_sequence **created) {
    int64_t index = 0;
    if (sampler && sampler->model != context->model)
        return fail(INVALID_ARGUMENT, "the sampler is another model's");
    while (index < context->limits.max_sequences && context->sequences[index]) index++;
    if (index == context->limits.max_sequences)
        return fail(LIMIT, "%" PRId64 " sequences are alive, max_sequences allows no more",
                    context->limits.max_sequences);
    transformer_sequence *fresh;
    TRY(take_memory(context, &fresh));
    fresh->index = index;
    fresh->stream = stream;
    fresh->sampler = sampler;
    if (sampler) sampler_retain(sampler);
    context_retain(context);
    context->sequences[index] = fresh;
    fresh->serial = ++context->n_created;
    schedule_add(context, fresh);
    *created = fresh;
    return OK;
}

status sequence_adapt(transformer_sequence *sequence, transformer_adapter *adapter, float scale) {
    transformer_context *context = sequence->context;
    const struct backend *backend = context->model->backend;
    if (adapter->model != context->model)
        return fail(INVALID_ARGUMENT, "the adapter is another model's");
    TRY(adapter_check(adapter, context->program));
    TRY(backend->reserve_adapters(context->backend, &adapter->backend));
    adapter_retain(adapter);
    sequence->adapter = adapter;
    sequence->adapter_scale = scale;
    sequence->domain.adapter = adapter->number;
    memcpy(&sequence->domain.adapter_scale, &scale, sizeof scale);
    return OK;
}

status sequence_open(transformer_context *context, const transformer_sequence_options *options,
                     transformer_sequence **opened) {
    transformer_sequence *fresh;
    TRY(sequence_create(context, options->sampler, options->stream, &fresh));
    fresh->domain.cache_domain = options->cache_domain;
    schedule_set_priority(fresh, options->priority);
    status result = OK;
    if (options->adapter) {
        float scale = options->adapter_scale != 0 ? options->adapter_scale : 1.0f;
        TRY_OR_EXIT(sequence_adapt(fresh, options->adapter, scale));
    }
    if (options->lookup_tokens) TRY_OR_EXIT(speculate_lookup(fresh, options->lookup_tokens));
    *opened = fresh;
exit:
    if (result != OK) sequence_free(fresh);
    return result;
}

status sequence_fork(transformer_sequence *original, transformer_sampler *sampler, uint64_t stream,
                     transformer_sequence **created) {
    transformer_sequence *fork;
    TRY(sequence_create(original->context, sampler, stream, &fork));
    status result = speculate_fork(original, fork);
    if (result == OK) result = constraint_fork(original, fork);
    if (result != OK) {
        sequence_free(fork);
        return result;
    }
    size_t n = (size_t)original->n_tokens;
    memcpy(fork->tokens, original->tokens, n * sizeof *fork->tokens);
    memcpy(fork->keep, original->keep, n);
    memcpy(fork->types, original->types, n);
    fork->source = original->source;
    if (fork->source) fork->source->owners++;
    fork->n_tokens = original->n_tokens;
    fork->n_computed = original->n_computed;
    fork->logits_step = original->logits_step;
    fork->first_row = original->first_row;
    fork->end_row = original->end_row;
    fork->pooled = original->pooled;
    fork->adapter = original->adapter;
    fork->adapter_scale = original->adapter_scale;
    if (fork->adapter) adapter_retain(fork->adapter);
    page_table_fork(&original->context->cache, original->tables, fork->tables);
    fork->domain = original->domain;
    fork->apart = original->apart;
    fork->waits = original->waits;
    if (fork->context->cache.index)
        prefix_index_fork(fork->context->cache.index, &original->follower, &fork->follower);
    schedule_set_priority(fork, original->priority);
    *created = fork;
    return OK;
}

void sequence_free(transformer_sequence *sequence) {
    transformer_context *context = sequence->context;
    if (!context->destroyed) {
        sequence_rewind(sequence, 0);
        context->sequences[sequence->index] = NULL;
        schedule_remove(context, sequence);
    }
    constraint_lift(sequence);
    source_release(context, sequence->source);
    sampler_release(sequence->sampler);
    adapter_release(sequence->adapter);
    give_memory(sequence);
    context_release(context);
}

status sequence_check_ids(int64_t n_vocab, const int32_t *tokens, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= n_vocab)
            return fail(INVALID_ARGUMENT,
                        "tokens[%" PRId64 "] is %" PRId32 ", the vocabulary has %" PRId64, i,
                        tokens[i], n_vocab);
    return OK;
}

status sequence_set_source(transformer_sequence *sequence, const int32_t *tokens, int64_t n) {
    transformer_context *context = sequence->context;
    const struct spec *spec = context->model->spec;
    if (!spec->source.n_layers)
        return fail(UNSUPPORTED, "architecture '%s' takes no source", spec->architecture);
    if (n == 0) return fail(INVALID_ARGUMENT, "the source has no tokens");
    TRY(sequence_check_ids(spec->source.n_vocab, tokens, n));
    if (sequence->source) return fail(STATE, "the sequence has its source already");
    if (n > context->limits.max_source_tokens)
        return fail(LIMIT, "the source has %" PRId64 " tokens, max_source_tokens allows %" PRId64,
                    n, context->limits.max_source_tokens);
    return source_create(context, tokens, n, &sequence->source);
}

static status check_tokens(const struct spec *spec, const int32_t *tokens, int64_t count,
                           uint32_t token_type) {
    int64_t n_types = spec->token_types.tensor ? spec->token_types.tensor->dims[1] : 1;
    TRY(sequence_check_ids(spec->n_vocab, tokens, count));
    if (token_type >= n_types)
        return fail(INVALID_ARGUMENT, "token_type is %" PRIu32 ", the model has %" PRId64,
                    token_type, n_types);
    return OK;
}

static bool wants_logits(const transformer_append_options *options, int64_t index, int64_t count) {
    if (options->keep && options->keep[index]) return true;
    return options->logits == TRANSFORMER_LOGITS_ALL ||
           (options->logits == TRANSFORMER_LOGITS_LAST && index == count - 1);
}

status sequence_check_step(const transformer_sequence *sequence, int64_t count,
                           const transformer_append_options *options) {
    const struct context_limits *limits = &sequence->context->limits;
    int64_t n_kept = 0;
    if (count > limits->max_step_tokens - sequence->n_tokens)
        return fail(LIMIT,
                    "the sequence has %" PRId64 " tokens, with %" PRId64
                    " more it would not fit one step, max_step_tokens %" PRId64
                    ", as this model needs",
                    sequence->n_tokens, count, limits->max_step_tokens);
    for (int64_t i = 0; i < sequence->n_tokens; i++) n_kept += sequence->keep[i] != 0;
    for (int64_t i = 0; i < count; i++) n_kept += wants_logits(options, i, count);
    if (n_kept <= limits->max_logit_rows) return OK;
    return fail(LIMIT,
                "%" PRId64 " positions of the sequence would be kept, max_logit_rows %" PRId64
                " is what one step can keep",
                n_kept, limits->max_logit_rows);
}

status sequence_append(transformer_sequence *sequence, const int32_t *tokens, int64_t count,
                       const transformer_append_options *options) {
    const transformer_context *context = sequence->context;
    TRY(check_tokens(context->model->spec, tokens, count, options->token_type));
    if (count > context->limits.max_sequence_tokens - sequence->n_tokens)
        return fail(LIMIT,
                    "the sequence has %" PRId64 " tokens, %" PRId64
                    " more would pass max_sequence_tokens %" PRId64,
                    sequence->n_tokens, count, context->limits.max_sequence_tokens);
    if (count == 0) return OK;
    speculate_forget(sequence, sequence->n_tokens);
    if (context->program->whole) {
        TRY(sequence_check_step(sequence, count, options));
        sequence->n_computed = 0;
    }
    memcpy(sequence->tokens + sequence->n_tokens, tokens, (size_t)count * sizeof *tokens);
    uint8_t *kept = sequence->keep + sequence->n_tokens;
    for (int64_t i = 0; i < count; i++) kept[i] = wants_logits(options, i, count);
    memset(sequence->types + sequence->n_tokens, (int)options->token_type, (size_t)count);
    sequence->n_tokens += count;
    return OK;
}

void sequence_rewind(transformer_sequence *sequence, int64_t n) {
    const struct kv_cache *cache = &sequence->context->cache;
    sequence->n_computed = n;
    page_table_trim(cache, sequence->tables, n);
    if (cache->index) prefix_index_back(cache->index, &sequence->follower, n / KV_PAGE_TOKENS);
}

status sequence_truncate(transformer_sequence *sequence, int64_t n) {
    const transformer_context *context = sequence->context;
    const struct kv_cache *cache = &context->cache;
    if (n < 0 || n > sequence->n_tokens)
        return fail(INVALID_ARGUMENT, "can't keep %" PRId64 " tokens of %" PRId64, n,
                    sequence->n_tokens);
    if (n == sequence->n_tokens) return OK;
    speculate_forget(sequence, n);
    constraint_truncate(sequence, n);
    sequence->n_tokens = n;
    sequence->logits_step = 0;
    if (context->program->whole) sequence->n_computed = 0; /* what is left saw what is gone */
    if (n >= sequence->n_computed) return OK;
    bool covered = page_table_covers(cache, sequence->tables, n);
    /* What a window let go of is computed anew, to the same bits. */
    if (!covered) memset(sequence->keep, 0, (size_t)n);
    sequence_rewind(sequence, covered ? n : 0);
    return OK;
}

status sequence_logit_row(const transformer_sequence *sequence, int64_t position, int64_t *row) {
    const transformer_context *context = sequence->context;
    if (position < -sequence->n_tokens || position >= sequence->n_tokens)
        return fail(NOT_FOUND, "position %" PRId64 " of a sequence of %" PRId64 " tokens", position,
                    sequence->n_tokens);
    if (position < 0) position += sequence->n_tokens;
    if (sequence->logits_step == context->steps)
        for (int64_t i = sequence->first_row; i < sequence->end_row; i++)
            if (context->logit_positions[i] == position) {
                *row = i;
                return OK;
            }
    return fail(NOT_FOUND, "the last decode kept no logits of position %" PRId64, position);
}

status sequence_pooled(const transformer_sequence *sequence, int64_t *index) {
    bool computed = sequence->n_computed == sequence->n_tokens && sequence->n_tokens > 0;
    if (!computed || sequence->logits_step != sequence->context->steps || sequence->pooled < 0)
        return fail(NOT_FOUND, "the last decode did not compute the sequence's last position");
    *index = sequence->pooled;
    return OK;
}

status sequence_sample(transformer_sequence *sequence, transformer_sampler *sampler,
                       int32_t *token) {
    transformer_context *context = sequence->context;
    int64_t row = 0;
    if (sampler->model != context->model)
        return fail(INVALID_ARGUMENT, "the sampler is another model's");
    if (sequence_logit_row(sequence, -1, &row) != OK)
        return fail(STATE, "the last decode kept no logits of the sequence's last position");
    const float *logits = NULL;
    TRY(context->model->backend->logits(context->backend, row, &logits));
    int32_t least, chosen;
    TRY(constraint_apply(sequence, &logits, &least));
    chosen = sampling_choose(sampler->chain, logits, sequence->tokens, sequence->n_tokens,
                             sequence->stream, (uint64_t)sequence->n_tokens);
    /* Where biases or NaN leave none of those that may come, it is the first of them. */
    *token = least >= 0 && logits[chosen] == -INFINITY ? least : chosen;
    return OK;
}
