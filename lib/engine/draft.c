#include "engine/draft.h"

#include <string.h>

#include "engine/decode.h"
#include "engine/speculate.h"

/* What both tokenizers say of a token, control tokens by name. texts [2][most]. */
static bool same_text(const struct tokenizer *const *tokenizers, int32_t token, char *texts,
                      size_t most) {
    size_t lengths[2];
    for (int i = 0; i < 2; i++) {
        struct detokenize_state state = {.started = true};
        lengths[i] = tokenizer_token_bytes(tokenizers[i], &state, token, true,
                                           texts + (size_t)i * most, most);
    }
    return lengths[0] == lengths[1] && memcmp(texts, texts + most, lengths[0]) == 0;
}

static status compare_texts(transformer_model *model, transformer_model *draft) {
    const struct tokenizer *const tokenizers[] = {model->tokenizer, draft->tokenizer};
    size_t most = 1;
    char *texts;
    status result = OK;
    for (int i = 0; i < 2; i++)
        if (tokenizer_max_token_bytes(tokenizers[i]) > most)
            most = tokenizer_max_token_bytes(tokenizers[i]);
    TRY(MEMORY_TAKE_ARRAY(&model->memory, 2 * most, "tokens' texts", &texts));
    for (int64_t i = 0; i < model->spec->n_vocab && result == OK; i++)
        if (!same_text(tokenizers, (int32_t)i, texts, most))
            result = fail(INVALID_ARGUMENT,
                          "draft: token %" PRId64 " has another text in its model's vocabulary", i);
    memory_give(&model->memory, texts);
    return result;
}

static status check_vocabulary(transformer_model *model, transformer_model *draft) {
    if (model == draft) return OK;
    if (model->spec->n_vocab != draft->spec->n_vocab)
        return fail(INVALID_ARGUMENT,
                    "draft: its model has a vocabulary of %" PRId64 " tokens, this one %" PRId64,
                    draft->spec->n_vocab, model->spec->n_vocab);
    if (!model->tokenizer && !draft->tokenizer) return OK; /* there are no texts to differ */
    if (!model->tokenizer || !draft->tokenizer)
        return fail(INVALID_ARGUMENT, "draft: one of the models has a tokenizer, the other none");
    return compare_texts(model, draft);
}

static status fill(struct draft *draft, const transformer_sequence *target) {
    transformer_model *model = draft->context->model;
    if (model->spec->source.n_layers || target->context->model->spec->source.n_layers)
        return fail(UNSUPPORTED, "draft: a model that takes a source");
    if (draft->context->program->whole)
        return fail(UNSUPPORTED, "draft: a context that computes sequences whole");
    TRY(check_vocabulary(target->context->model, model));
    TRY(sampler_create(model, sampling_options(target->sampler->chain), &draft->sampler));
    TRY(sequence_create(draft->context, NULL, target->stream, &draft->sequence));
    lookup_rate_begin(&draft->rate);
    return OK;
}

status draft_open(transformer_context *context, const transformer_sequence *target,
                  struct draft **opened) {
    struct draft *fresh;
    if (context == target->context)
        return fail(INVALID_ARGUMENT, "draft is the context that is to generate");
    TRY(context_enter(context));
    status result = MEMORY_TAKE_ONE(&context->memory, "a draft", &fresh);
    if (result != OK) {
        context_leave(context);
        return result;
    }
    fresh->context = context;
    result = fill(fresh, target);
    if (result == OK)
        *opened = fresh;
    else
        draft_close(fresh);
    return result;
}

void draft_close(struct draft *draft) {
    if (!draft) return;
    transformer_context *context = draft->context;
    if (draft->sequence) sequence_free(draft->sequence);
    sampler_release(draft->sampler);
    memory_give(&context->memory, draft);
    context_leave(context);
}

/* Of the last proposals those that the target took. */
static void learn(struct draft *draft, const transformer_sequence *target) {
    int64_t right = 0;
    if (!draft->n) return;
    while (right < draft->n && draft->at + right < target->n_tokens - 1 &&
           draft->proposals[right] == target->tokens[draft->at + right])
        right++;
    lookup_rate_learn(&draft->rate, draft->n, right);
    draft->n = 0;
}

/* The target's tokens, the last of them pending. */
static status follow(struct draft *draft, const transformer_sequence *target) {
    static const transformer_append_options of_last = {.struct_size = sizeof of_last};
    transformer_sequence *sequence = draft->sequence;
    int64_t n = 0;
    while (n < sequence->n_tokens && n < target->n_tokens - 1 &&
           sequence->tokens[n] == target->tokens[n])
        n++;
    TRY(sequence_truncate(sequence, n));
    return sequence_append(sequence, target->tokens + n, target->n_tokens - n, &of_last);
}

/* The token behind the draft's own. */
static status next_token(struct draft *draft, int32_t *token) {
    transformer_sequence *sequence = draft->sequence;
    while (sequence->n_computed < sequence->n_tokens) {
        transformer_decode_result step = {0};
        TRY(decode_step(draft->context, 0, &step));
        if (step.n_rows == 0) return fail(INTERNAL, "a decode step made no progress");
    }
    return sequence_sample(sequence, draft->sampler, token);
}

static status fill_proposals(struct draft *draft, const transformer_sequence *target, int64_t n) {
    static const transformer_append_options of_last = {.struct_size = sizeof of_last};
    TRY(follow(draft, target));
    while (draft->n < n) {
        int32_t token;
        TRY(next_token(draft, &token));
        draft->proposals[draft->n++] = token;
        if (draft->n == n || model_is_end(draft->context->model, token)) break;
        TRY(sequence_append(draft->sequence, &token, 1, &of_last));
    }
    return OK;
}

status draft_propose(struct draft *draft, transformer_sequence *target) {
    const struct context_limits *limits = &target->context->limits;
    int64_t most = limits->max_sequence_tokens - target->n_tokens - 1;
    if (target->n_computed != target->n_tokens - 1) return OK;
    if (most > limits->max_logit_rows - 1) most = limits->max_logit_rows - 1;
    if (most > DRAFT_MOST) most = DRAFT_MOST;
    learn(draft, target);
    int64_t n = most > 0 ? lookup_rate_worth(&draft->rate, most) : 0;
    if (n == 0) return OK;
    draft->at = target->n_tokens;
    status filled = fill_proposals(draft, target, n);
    if (filled == LIMIT) filled = OK; /* the draft's context is full: what it has will do */
    TRY(filled);
    return speculate_propose(target, draft->proposals, draft->n);
}
