#include "engine/speculate.h"

#include <string.h>

static int64_t most_proposals(const struct context_limits *limits) {
    return limits->max_logit_rows < limits->max_sequence_tokens ? limits->max_logit_rows
                                                                : limits->max_sequence_tokens;
}

status speculate_lookup(transformer_sequence *sequence, uint32_t most) {
    transformer_context *context = sequence->context;
    if (!sequence->sampler)
        return fail(INVALID_ARGUMENT,
                    "lookup_tokens is %" PRIu32 ", but the sequence has no sampler of its own",
                    most);
    return lookup_create(&context->memory, context->limits.max_sequence_tokens, most,
                         &sequence->lookup);
}

status speculate_fork(const transformer_sequence *original, transformer_sequence *fork) {
    if (!original->lookup || !fork->sampler) return OK;
    TRY(speculate_lookup(fork, original->lookup->most));
    lookup_copy(fork->lookup, original->lookup);
    return OK;
}

status speculate_propose(transformer_sequence *sequence, const int32_t *tokens, int64_t n) {
    transformer_context *context = sequence->context;
    int64_t most = most_proposals(&context->limits);
    if (!sequence->sampler)
        return fail(STATE, "the sequence has no sampler of its own to choose what is proposed");
    TRY(sequence_check_ids(context->model->spec->n_vocab, tokens, n));
    if (!sequence->proposals && n)
        TRY(MEMORY_TAKE_ARRAY(&context->memory, (size_t)most, "proposals", &sequence->proposals));
    sequence->n_proposals = n < most ? n : most;
    if (n) memcpy(sequence->proposals, tokens, (size_t)sequence->n_proposals * sizeof *tokens);
    return OK;
}

void speculate_forget(transformer_sequence *sequence, int64_t n) {
    sequence->n_proposals = 0;
    if (sequence->lookup) lookup_truncate(sequence->lookup, n);
}

void speculate_free(transformer_sequence *sequence) {
    memory_give(&sequence->context->memory, sequence->proposals);
    lookup_free(&sequence->context->memory, sequence->lookup);
}

int64_t speculate_offer(transformer_sequence *sequence, int64_t room) {
    int64_t n = sequence->n_tokens;
    /* The token that is sampled behind the last proposal needs a place too. */
    int64_t left = sequence->context->limits.max_sequence_tokens - n - 1, count = 0;
    int32_t *behind = sequence->tokens + n;
    if (room > left) room = left;
    if (room <= 0) return 0;
    if (sequence->n_proposals) {
        count = sequence->n_proposals < room ? sequence->n_proposals : room;
        memcpy(behind, sequence->proposals, (size_t)count * sizeof *behind);
    } else if (sequence->lookup) {
        count = lookup_find(sequence->lookup, sequence->tokens, n, room, behind);
    }
    memset(sequence->keep + n, 1, (size_t)count);
    memset(sequence->types + n, 0, (size_t)count);
    return count;
}

bool speculate_is_right(const transformer_sequence *sequence, int32_t token) {
    return sequence->tokens[sequence->n_tokens] == token &&
           !model_is_end(sequence->context->model, token);
}

void speculate_learn(transformer_sequence *sequence, int64_t n_checked, int64_t n_right) {
    transformer_context *context = sequence->context;
    context->n_proposed += (uint64_t)n_checked;
    context->n_accepted += (uint64_t)n_right;
    if (sequence->lookup && !sequence->n_proposals)
        lookup_learn(sequence->lookup, n_checked, n_right);
    sequence->n_proposals = 0;
}
