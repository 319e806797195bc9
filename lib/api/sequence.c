#include "engine/schedule.h"

#include <string.h>

#include "api/options.h"
#include "engine/snapshot.h"
#include "engine/speculate.h"
#include "sampling/probability.h"

static status read_options(const transformer_sequence_options *options,
                           transformer_sequence_options *ours) {
    TRY(OPTIONS_READ(sequence_options, options, ours));
    TRY(options_check_reserved("transformer_sequence_options", ours->reserved));
    if (!(ours->adapter_scale >= -1e6f && ours->adapter_scale <= 1e6f))
        return fail(INVALID_ARGUMENT, "adapter_scale is no number of at most 1e6");
    return OK;
}

transformer_status transformer_sequence_create(transformer_context *context,
                                               const transformer_sequence_options *options,
                                               transformer_sequence **sequence) {
    transformer_sequence_options ours;
    TRY(options_require("context", context));
    TRY(options_require("sequence", sequence));
    TRY(read_options(options, &ours));
    TRY(context_enter(context));
    status result = sequence_open(context, &ours, sequence);
    context_leave(context);
    return result;
}

void transformer_sequence_destroy(transformer_sequence *sequence) {
    if (sequence) context_doom(sequence->context, sequence);
}

transformer_status transformer_sequence_set_priority(transformer_sequence *sequence,
                                                     int32_t priority) {
    TRY(options_require("sequence", sequence));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    schedule_set_priority(sequence, priority);
    context_leave(context);
    return OK;
}

transformer_status transformer_sequence_append(transformer_sequence *sequence,
                                               const int32_t *tokens, int64_t count,
                                               const transformer_append_options *options) {
    transformer_append_options ours;
    TRY(options_require("sequence", sequence));
    if (count < 0 || (!tokens && count))
        return fail(INVALID_ARGUMENT, "tokens is NULL or their count negative");
    TRY(OPTIONS_READ(append_options, options, &ours));
    if (ours.logits > TRANSFORMER_LOGITS_ALL)
        return fail(UNSUPPORTED, "logits %" PRIu32 " is not known", ours.logits);
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = sequence_append(sequence, tokens, count, &ours);
    context_leave(context);
    return result;
}

transformer_status transformer_sequence_set_source(transformer_sequence *sequence,
                                                   const int32_t *tokens, int64_t n,
                                                   const transformer_source_options *options) {
    transformer_source_options ours;
    TRY(options_require("sequence", sequence));
    if (n < 0 || (!tokens && n))
        return fail(INVALID_ARGUMENT, "tokens is NULL or their count negative");
    TRY(OPTIONS_READ(source_options, options, &ours));
    TRY(options_check_reserved("transformer_source_options", ours.reserved != 0));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = sequence_set_source(sequence, tokens, n);
    context_leave(context);
    return result;
}

transformer_status transformer_sequence_fork(transformer_sequence *sequence,
                                             const transformer_fork_options *options,
                                             transformer_sequence **fork) {
    transformer_fork_options ours;
    TRY(options_require("sequence", sequence));
    TRY(options_require("fork", fork));
    TRY(OPTIONS_READ(fork_options, options, &ours));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = sequence_fork(sequence, ours.sampler, ours.stream, fork);
    context_leave(context);
    return result;
}

transformer_status transformer_sequence_truncate(transformer_sequence *sequence, int64_t n) {
    TRY(options_require("sequence", sequence));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = sequence_truncate(sequence, n);
    context_leave(context);
    return result;
}

transformer_status transformer_sequence_propose(transformer_sequence *sequence,
                                                const int32_t *tokens, int64_t n) {
    TRY(options_require("sequence", sequence));
    if (n < 0 || (!tokens && n))
        return fail(INVALID_ARGUMENT, "tokens is NULL or their count negative");
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = speculate_propose(sequence, tokens, n);
    context_leave(context);
    return result;
}

static status copy_tokens(const transformer_sequence *sequence, int32_t *tokens, int64_t capacity,
                          int64_t *count, int64_t *n_computed) {
    *count = sequence->n_tokens;
    if (tokens && sequence->n_tokens > capacity)
        return fail(BUFFER_TOO_SMALL, "the sequence has %" PRId64 " tokens, the buffer %" PRId64,
                    sequence->n_tokens, capacity);
    if (n_computed) *n_computed = sequence->n_computed;
    if (!tokens) return OK;
    memcpy(tokens, sequence->tokens, (size_t)sequence->n_tokens * sizeof *tokens);
    return OK;
}

transformer_status transformer_sequence_tokens(transformer_sequence *sequence, int32_t *tokens,
                                               int64_t capacity, int64_t *count,
                                               int64_t *n_computed) {
    TRY(options_require("sequence", sequence));
    TRY(options_require("count", count));
    if (capacity < 0 || (!tokens && capacity))
        return fail(INVALID_ARGUMENT, "tokens is NULL or capacity negative");
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = copy_tokens(sequence, tokens, capacity, count, n_computed);
    context_leave(context);
    return result;
}

/* What a kept row of the last step is looked up for. */
static status view_row(transformer_sequence *sequence, int64_t position, bool hidden,
                       const float **row, int64_t *count) {
    int64_t index;
    TRY(options_require("sequence", sequence));
    TRY(options_require("row", row));
    TRY(options_require("count", count));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    const transformer_model *model = context->model;
    status result = hidden ? OK : model_check_logits(model);
    if (result == OK) result = sequence_logit_row(sequence, position, &index);
    if (result == OK) {
        result = hidden ? model->backend->hidden(context->backend, index, row)
                        : model->backend->logits(context->backend, index, row);
        if (result == OK) *count = hidden ? context->program->n_hidden : context->program->n_logits;
    }
    context_leave(context);
    return result;
}

transformer_status transformer_sequence_logits(transformer_sequence *sequence, int64_t position,
                                               const float **row, int64_t *count) {
    return view_row(sequence, position, false, row, count);
}

transformer_status transformer_sequence_embedding(transformer_sequence *sequence, int64_t position,
                                                  const float **row, int64_t *count) {
    return view_row(sequence, position, true, row, count);
}

static status log_probabilities(transformer_sequence *sequence, int64_t position,
                                const int32_t *tokens, int64_t n_tokens, float *values,
                                transformer_token_probability *top, int64_t n_top) {
    const transformer_context *context = sequence->context;
    const transformer_model *model = context->model;
    int64_t row, n_vocab = model->spec->n_vocab;
    const float *logits;
    TRY(model_check_logits(model));
    TRY(sequence_check_ids(n_vocab, tokens, n_tokens));
    if (n_top > n_vocab)
        return fail(INVALID_ARGUMENT, "n_top is %" PRId64 ", the vocabulary has %" PRId64, n_top,
                    n_vocab);
    TRY(sequence_logit_row(sequence, position, &row));
    TRY(model->backend->logits(context->backend, row, &logits));
    probability_log(logits, n_vocab, tokens, n_tokens, values, top, n_top);
    return OK;
}

transformer_status transformer_sequence_log_probabilities(transformer_sequence *sequence,
                                                          int64_t position, const int32_t *tokens,
                                                          int64_t n_tokens, float *values,
                                                          transformer_token_probability *top,
                                                          int64_t n_top) {
    TRY(options_require("sequence", sequence));
    if (n_tokens < 0 || (n_tokens && (!tokens || !values)))
        return fail(INVALID_ARGUMENT, "tokens or values is NULL, or their count negative");
    if (n_top < 0 || (n_top && !top))
        return fail(INVALID_ARGUMENT, "top is NULL or n_top negative");
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = log_probabilities(sequence, position, tokens, n_tokens, values, top, n_top);
    context_leave(context);
    return result;
}

/* What the last step pooled of the sequence. */
static status view_pooled(transformer_sequence *sequence, bool score, const float **vector,
                          int64_t *count) {
    int64_t index;
    const transformer_context *context = sequence->context;
    const struct backend *backend = context->model->backend;
    if ((score ? context->program->score : context->program->pooled) == REG_NONE)
        return fail(UNSUPPORTED,
                    score ? "architecture '%s' of this file has no score head"
                          : "architecture '%s' of this file: neither it nor the "
                            "context's options say how to pool",
                    context->model->spec->architecture);
    TRY(sequence_pooled(sequence, &index));
    TRY((score ? backend->score : backend->pooled)(context->backend, index, vector));
    *count = score ? context->program->n_labels : context->model->spec->n_embd;
    return OK;
}

static status take_pooled(transformer_sequence *sequence, bool score, const float **vector,
                          int64_t *count) {
    TRY(options_require("sequence", sequence));
    TRY(options_require(score ? "score" : "vector", vector));
    TRY(options_require("count", count));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = view_pooled(sequence, score, vector, count);
    context_leave(context);
    return result;
}

transformer_status transformer_sequence_pooled(transformer_sequence *sequence, const float **vector,
                                               int64_t *count) {
    return take_pooled(sequence, false, vector, count);
}

transformer_status transformer_sequence_score(transformer_sequence *sequence, const float **score,
                                              int64_t *count) {
    return take_pooled(sequence, true, score, count);
}

transformer_status transformer_sequence_save(transformer_sequence *sequence,
                                             const transformer_save_options *options,
                                             uint64_t *size) {
    transformer_save_options ours;
    TRY(options_require("sequence", sequence));
    TRY(options_require("size", size));
    TRY(OPTIONS_READ(save_options, options, &ours));
    if (ours.write && ours.buffer) return fail(INVALID_ARGUMENT, "write and buffer are both given");
    if (ours.capacity && !ours.buffer)
        return fail(INVALID_ARGUMENT, "buffer is NULL, capacity is not 0");
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = snapshot_save(sequence, &ours, size);
    context_leave(context);
    return result;
}

/* A sequence that is there only once it is whole. Inside the context. */
static status restore(transformer_context *context, const transformer_restore_options *options,
                      const transformer_sequence_options *of_sequence,
                      transformer_sequence **restored) {
    transformer_sequence *fresh;
    TRY(sequence_open(context, of_sequence, &fresh));
    status result = snapshot_restore(fresh, options);
    if (result == OK)
        *restored = fresh;
    else
        sequence_free(fresh);
    return result;
}

transformer_status transformer_sequence_restore(transformer_context *context,
                                                const transformer_restore_options *options,
                                                transformer_sequence **sequence) {
    transformer_restore_options ours;
    transformer_sequence_options of_sequence;
    TRY(options_require("context", context));
    TRY(options_require("options", options));
    TRY(options_require("sequence", sequence));
    TRY(OPTIONS_READ(restore_options, options, &ours));
    TRY(read_options(ours.sequence, &of_sequence));
    if (!ours.data == !ours.read)
        return fail(INVALID_ARGUMENT, "either data or read must be given");
    if (ours.data_size && !ours.data)
        return fail(INVALID_ARGUMENT, "data is NULL, data_size is not 0");
    TRY(context_enter(context));
    status result = restore(context, &ours, &of_sequence, sequence);
    context_leave(context);
    return result;
}
