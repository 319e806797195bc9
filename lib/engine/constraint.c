#include "engine/constraint.h"

#include <math.h>

/* ---- the vocabulary of a model: made once, by whoever needs it first ---- */

static status gather_texts(transformer_model *model, uint32_t n, uint32_t *offsets,
                           uint8_t **bytes) {
    const struct tokenizer *tokenizer = model->tokenizer;
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct detokenize_state state = {.started = true};
        offsets[i] = (uint32_t)total;
        total += tokenizer_token_bytes(tokenizer, &state, (int32_t)i, false, NULL, 0);
        if (state.spaced)
            return fail(UNSUPPORTED,
                        "structured output: the bytes of this model's tokens depend on the "
                        "tokens around them");
        if (total > INT32_MAX)
            return fail(LIMIT, "structured output: the tokens' texts have over 2 GiB");
    }
    offsets[n] = (uint32_t)total;
    TRY(MEMORY_TAKE_ARRAY(&model->memory, total ? total : 1, "the tokens' texts", bytes));
    for (uint32_t i = 0; i < n; i++) {
        struct detokenize_state state = {.started = true};
        tokenizer_token_bytes(tokenizer, &state, (int32_t)i, false, (char *)*bytes + offsets[i],
                              offsets[i + 1] - offsets[i]);
    }
    return OK;
}

static status make_vocabulary(transformer_model *model, struct vocabulary **made) {
    uint32_t n = (uint32_t)model->spec->n_vocab, *offsets;
    uint8_t *bytes = NULL;
    size_t n_ends, n_within = 0;
    const int32_t *ends = tokenizer_end_tokens(model->tokenizer, &n_ends);
    while (n_within < n_ends && ends[n_within] < (int32_t)n) n_within++; /* ascending */
    TRY(MEMORY_TAKE_ARRAY(&model->memory, (size_t)n + 1, "the tokens' texts", &offsets));
    status result = gather_texts(model, n, offsets, &bytes);
    if (result != OK) {
        memory_give(&model->memory, offsets);
        return result;
    }
    return vocabulary_open(&model->memory, n, offsets, bytes, ends, n_within, made);
}

static status find_vocabulary(transformer_model *model, const struct vocabulary **found) {
    struct vocabulary *known = atomic_load(&model->vocabulary), *made;
    if (!model->tokenizer)
        return model->without_tokenizer ? fail(STATE, "the model's tokenizer can't be used: %s",
                                               model->without_tokenizer)
                                        : fail(STATE, "the model has no tokenizer");
    if (!known) {
        TRY(make_vocabulary(model, &made));
        if (atomic_compare_exchange_strong(&model->vocabulary, &known, made))
            known = made;
        else /* another thread was quicker */
            vocabulary_close(made);
    }
    *found = known;
    return OK;
}

/* ---- handles ---- */

status grammar_create(transformer_model *model, const struct grammar_source *source,
                      transformer_grammar **created) {
    transformer_grammar *fresh;
    const struct vocabulary *vocabulary = NULL;
    TRY(find_vocabulary(model, &vocabulary));
    TRY(MEMORY_TAKE_ONE(&model->memory, "a grammar", &fresh));
    status result = grammar_open(&model->memory, source, vocabulary, &fresh->grammar);
    if (result != OK) {
        memory_give(&model->memory, fresh);
        return result;
    }
    fresh->model = model;
    atomic_init(&fresh->owners, 1);
    model_retain(model);
    *created = fresh;
    return OK;
}

void grammar_retain(transformer_grammar *grammar) {
    atomic_fetch_add_explicit(&grammar->owners, 1, memory_order_relaxed);
}

void grammar_release(transformer_grammar *grammar) {
    if (!grammar || atomic_fetch_sub_explicit(&grammar->owners, 1, memory_order_acq_rel) != 1)
        return;
    transformer_model *model = grammar->model;
    grammar_close(grammar->grammar);
    memory_give(&model->memory, grammar);
    model_release(model);
}

/* ---- constraints ---- */

static status take(transformer_sequence *sequence, transformer_grammar *grammar,
                   struct constraint **taken) {
    transformer_context *context = sequence->context;
    struct memory *memory = &context->memory;
    if (!context->masked)
        TRY(MEMORY_TAKE_ARRAY(memory, (size_t)context->model->spec->n_vocab, "masked logits",
                              &context->masked));
    TRY(MEMORY_TAKE_ONE(memory, "a constraint", taken));
    (*taken)->grammar = grammar;
    return OK;
}

/* The budget must suffice from the start: then some token always keeps to it. */
static status check_budget(const struct constraint *constraint) {
    uint32_t cost = grammar_cost(constraint->grammar->grammar, &constraint->reader);
    if (cost >= COST_UNSPELLABLE)
        return fail(UNSUPPORTED, "structured output: no tokens of the model spell a whole text");
    if (constraint->max_tokens < 0 || (int64_t)cost <= constraint->max_tokens) return OK;
    return fail(LIMIT, "a text of the grammar may need %" PRIu32 " tokens, %" PRId64 " are allowed",
                cost, constraint->max_tokens);
}

status constraint_set(transformer_sequence *sequence, transformer_grammar *grammar,
                      const transformer_constraint_options *options) {
    struct constraint *fresh;
    if (!grammar) {
        constraint_lift(sequence);
        return OK;
    }
    if (grammar->model != sequence->context->model)
        return fail(INVALID_ARGUMENT, "the grammar is another model's");
    TRY(take(sequence, grammar, &fresh));
    fresh->start = sequence->n_tokens;
    int64_t room = sequence->context->limits.max_sequence_tokens - sequence->n_tokens;
    fresh->max_tokens = options->close != TRANSFORMER_ON ? -1
                        : options->max_tokens            ? options->max_tokens
                                                         : room;
    status result = grammar_enter(grammar->grammar, &fresh->reader);
    if (result == OK) {
        result = check_budget(fresh);
        if (result != OK) grammar_leave(grammar->grammar, &fresh->reader);
    }
    if (result != OK) {
        memory_give(&sequence->context->memory, fresh);
        return result;
    }
    grammar_retain(grammar);
    constraint_lift(sequence);
    sequence->constraint = fresh;
    return OK;
}

void constraint_lift(transformer_sequence *sequence) {
    struct constraint *constraint = sequence->constraint;
    if (!constraint) return;
    sequence->constraint = NULL;
    grammar_leave(constraint->grammar->grammar, &constraint->reader);
    grammar_release(constraint->grammar);
    memory_give(&sequence->context->memory, constraint);
}

status constraint_fork(const transformer_sequence *original, transformer_sequence *fork) {
    const struct constraint *from = original->constraint;
    struct constraint *fresh;
    if (!from) return OK;
    TRY(take(fork, from->grammar, &fresh));
    *fresh = *from;
    grammar_enter_copy(from->grammar->grammar, &fresh->reader, &from->reader);
    grammar_retain(from->grammar);
    fork->constraint = fresh;
    return OK;
}

void constraint_truncate(transformer_sequence *sequence, int64_t n) {
    struct constraint *constraint = sequence->constraint;
    if (!constraint) return;
    if (n < constraint->start)
        constraint_lift(sequence);
    else if (n < constraint->start + constraint->n_read)
        constraint->n_read = -1; /* from the beginning again */
}

static bool is_end(const struct vocabulary *vocabulary, int32_t token) {
    for (size_t i = 0; i < vocabulary->n_ends; i++)
        if (vocabulary->ends[i] == token) return true;
    return false;
}

static status read_token(struct constraint *constraint, int32_t token) {
    struct grammar *grammar = constraint->grammar->grammar;
    const struct vocabulary *vocabulary = grammar->vocabulary;
    if (is_end(vocabulary, token)) {
        constraint->ended = grammar_may_end(grammar, &constraint->reader);
        constraint->broken = !constraint->ended;
        return OK;
    }
    uint32_t from = vocabulary->offsets[token], n = vocabulary->offsets[token + 1] - from;
    TRY(grammar_read(grammar, &constraint->reader, vocabulary->bytes + from, n));
    constraint->broken = n == 0 || constraint->reader.set == STACKS_NONE;
    return OK;
}

/* Reads the tokens that came since. */
static status catch_up(const transformer_sequence *sequence, struct constraint *constraint) {
    if (constraint->n_read < 0) {
        TRY(grammar_restart(constraint->grammar->grammar, &constraint->reader));
        constraint->n_read = 0;
        constraint->ended = constraint->broken = false;
    }
    for (int64_t at = constraint->start + constraint->n_read;
         at < sequence->n_tokens && !constraint->ended && !constraint->broken; at++) {
        status result = read_token(constraint, sequence->tokens[at]);
        if (result != OK) {
            constraint->n_read = -1; /* it may have read half of a token */
            return result;
        }
        constraint->n_read++;
    }
    return OK;
}

status constraint_apply(transformer_sequence *sequence, const float **logits, int32_t *least) {
    struct constraint *constraint = sequence->constraint;
    float *masked = sequence->context->masked;
    *least = -1;
    if (!constraint) return OK;
    TRY(catch_up(sequence, constraint));
    if (constraint->ended) return OK;
    if (constraint->broken)
        return fail(STATE, "token %" PRId64 " of the sequence goes on with no text of its grammar",
                    constraint->start + constraint->n_read - 1);
    int64_t remaining = -1;
    if (constraint->max_tokens >= 0) {
        remaining = constraint->max_tokens - constraint->n_read;
        if (remaining < 0) remaining = 0;
    }
    TRY(grammar_apply(constraint->grammar->grammar, &constraint->reader, remaining, *logits, masked,
                      least));
    *logits = masked;
    return OK;
}
