/* The ten-line program, on the same public and engine calls that a host has. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <time.h>

#include "api/options.h"
#include "api/text.h"
#include "base/float_environment.h"
#include "engine/constraint.h"
#include "engine/decode.h"
#include "engine/draft.h"
#include "engine/speculate.h"

struct run {
    transformer_context *context;
    const transformer_generate_options *options;
    transformer_text_function on_text;
    void *user;
    fenv_t host; /* the thread's own floating-point environment: on_text runs in it */
    transformer_generate_result result;
    transformer_constraint_options constraint;
    int32_t *prompt; /* ours to free, or NULL */
    const int32_t *tokens;
    int64_t n_tokens;
    transformer_sampler *sampler;
    transformer_text_stream *stream;
    transformer_sequence *sequence; /* with the sampler for its own */
    int64_t n_given;     /* tokens of the sequence that are the prompt's, or were looked at */
    struct draft *draft; /* NULL: none */
};

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static status check(const transformer_generate_options *options) {
    if (!options->prompt && !options->tokens)
        return fail(INVALID_ARGUMENT, "prompt and tokens are both NULL");
    if (options->prompt && options->tokens)
        return fail(INVALID_ARGUMENT, "prompt and tokens are both given");
    if (options->prompt_length < 0 || options->n_tokens < 0 || options->max_tokens < 0)
        return fail(INVALID_ARGUMENT, "prompt_length, n_tokens or max_tokens is negative");
    if (options->n_answer < 0 || (options->n_answer && !options->answer))
        return fail(INVALID_ARGUMENT, "answer is NULL or n_answer negative");
    if (options->n_stop < 0 || (options->n_stop && !options->stop))
        return fail(INVALID_ARGUMENT, "stop is NULL or n_stop negative");
    TRY(options_check_reserved("transformer_generate_options", options->reserved));
    TRY(options_check_mode("add_special", options->add_special));
    return options_check_mode("parse_special", options->parse_special);
}

/* Where the text is to be closed, at the latest with the last token that is generated. */
static status read_constraint(struct run *run) {
    const transformer_generate_options *options = run->options;
    transformer_constraint_options *ours = &run->constraint;
    if (options->constraint && !options->grammar)
        return fail(INVALID_ARGUMENT, "constraint is given without grammar");
    TRY(OPTIONS_READ(constraint_options, options->constraint, ours));
    TRY(options_check_mode("close", ours->close));
    TRY(options_check_reserved("transformer_constraint_options", ours->reserved));
    if (ours->max_tokens < 0 || (ours->max_tokens && ours->close != TRANSFORMER_ON))
        return fail(INVALID_ARGUMENT, "max_tokens of constraint is negative, or close is not ON");
    bool sooner =
        options->max_tokens && (!ours->max_tokens || options->max_tokens < ours->max_tokens);
    if (ours->close == TRANSFORMER_ON && sooner) ours->max_tokens = options->max_tokens;
    return OK;
}

static status tokenize_prompt(struct run *run) {
    const transformer_generate_options *options = run->options;
    transformer_model *model = run->context->model;
    run->tokens = options->tokens;
    run->n_tokens = options->n_tokens;
    if (options->tokens) return OK;
    transformer_tokenize_options how = {.struct_size = sizeof how,
                                        .add_special = options->add_special,
                                        .parse_special = options->parse_special};
    int64_t length =
        options->prompt_length ? options->prompt_length : (int64_t)strlen(options->prompt);
    TRY(transformer_tokenize(model, options->prompt, length, &how, NULL, 0, &run->n_tokens));
    TRY(MEMORY_TAKE_ARRAY(&run->context->memory, (size_t)run->n_tokens, "the prompt's tokens",
                          &run->prompt));
    run->tokens = run->prompt;
    return transformer_tokenize(model, options->prompt, length, &how, run->prompt, run->n_tokens,
                                &run->n_tokens);
}

/* The logits of the last token are kept. */
static const transformer_append_options of_last = {.struct_size = sizeof of_last};

/* An encoder-decoder reads the prompt; its own tokens begin with the start token. */
static status begin_answer(struct run *run) {
    int32_t start = run->context->model->spec->source.start_token;
    if (start < 0)
        return fail(UNSUPPORTED, "%s: says no decoder_start_token_id",
                    checkpoint_name(run->context->model->checkpoint));
    TRY(sequence_set_source(run->sequence, run->tokens, run->n_tokens));
    TRY(sequence_append(run->sequence, &start, 1, &of_last));
    return sequence_append(run->sequence, run->options->answer, run->options->n_answer, &of_last);
}

static status begin(struct run *run) {
    transformer_model *model = run->context->model;
    TRY(tokenize_prompt(run));
    if (run->n_tokens == 0) return fail(INVALID_ARGUMENT, "the prompt has no tokens");
    TRY(transformer_sampler_create(model, run->options->sampler, &run->sampler));
    transformer_text_stream_options text = {
        .struct_size = sizeof text, .stop = run->options->stop, .n_stop = run->options->n_stop};
    if (run->on_text || text.n_stop) /* STATE where there is no text to give */
        TRY(transformer_text_stream_create(model, &text, &run->stream));
    TRY(sequence_create(run->context, run->sampler, 0, &run->sequence));
    if (run->options->lookup_tokens)
        TRY(speculate_lookup(run->sequence, run->options->lookup_tokens));
    run->result.n_prompt_tokens = run->n_tokens;
    if (model->spec->source.n_layers)
        TRY(begin_answer(run));
    else
        TRY(sequence_append(run->sequence, run->tokens, run->n_tokens, &of_last));
    run->n_given = run->sequence->n_tokens;
    if (!run->options->grammar) return OK;
    if (run->stream) text_stream_continue(run->stream);
    return constraint_set(run->sequence, run->options->grammar, &run->constraint);
}

/* Steps until this sequence has a token to look at; others of the context go along. A sequence that
 * is full has its last one sampled, but not queued. */
static status compute(struct run *run, int32_t *last, bool *full) {
    transformer_sequence *sequence = run->sequence;
    *full = false;
    while (sequence->n_tokens == run->n_given) {
        transformer_decode_result step = {0};
        if (sequence->n_computed == sequence->n_tokens) {
            *full = true;
            return sequence_sample(sequence, run->sampler, last);
        }
        if (run->draft) TRY(draft_propose(run->draft, sequence));
        TRY(decode_step(run->context, 0, &step));
        if (step.n_rows == 0) return fail(INTERNAL, "a decode step made no progress");
    }
    return OK;
}

static bool wants_stop(struct run *run, const char *text, int64_t length) {
    if (length == 0 || !run->on_text) return false;
    float_environment_leave(&run->host);
    int32_t stop = run->on_text(run->user, text, (uint64_t)length);
    float_environment_enter(&run->host); /* with what the callback made of it */
    return stop != 0;
}

/* One token: counted, given out. *finish is set when it is the last. */
static status give_token(struct run *run, int32_t token, int32_t *finish) {
    if (model_is_end(run->context->model, token)) {
        *finish = TRANSFORMER_FINISH_END;
        return OK;
    }
    run->result.n_generated_tokens++;
    if (run->stream) {
        const char *text;
        int64_t length;
        TRY(transformer_text_stream_push(run->stream, token, &text, &length));
        if (transformer_text_stream_stopped(run->stream) >= 0)
            *finish = TRANSFORMER_FINISH_STOP_STRING;
        if (wants_stop(run, text, length)) *finish = TRANSFORMER_FINISH_STOPPED;
    }
    if (!*finish && run->result.n_generated_tokens == run->options->max_tokens)
        *finish = TRANSFORMER_FINISH_LENGTH;
    return OK;
}

/* What the last steps brought: what was queued behind the last token is left out. */
static status give_tokens(struct run *run, const int32_t *last, int32_t *finish) {
    while (run->n_given < run->sequence->n_tokens && !*finish)
        TRY(give_token(run, run->sequence->tokens[run->n_given++], finish));
    if (!last) return OK;
    TRY(give_token(run, *last, finish));
    if (!*finish) *finish = TRANSFORMER_FINISH_CONTEXT;
    return OK;
}

static status generate(struct run *run) {
    uint64_t start = now(), first = 0;
    int32_t finish = 0;
    TRY(begin(run));
    if (run->options->draft) TRY(draft_open(run->options->draft, run->sequence, &run->draft));
    while (!finish) {
        int32_t last;
        bool full;
        status computed = compute(run, &last, &full);
        if (computed == LIMIT && first) { /* no KV page is left */
            finish = TRANSFORMER_FINISH_CONTEXT;
            break;
        }
        TRY(computed);
        if (!first) first = now();
        TRY(give_tokens(run, full ? &last : NULL, &finish));
    }
    if (run->stream && finish != TRANSFORMER_FINISH_STOPPED) {
        const char *text;
        int64_t length;
        TRY(transformer_text_stream_finish(run->stream, &text, &length));
        if (transformer_text_stream_stopped(run->stream) >= 0)
            finish = TRANSFORMER_FINISH_STOP_STRING; /* by a broken character's replacement */
        wants_stop(run, text, length);
    }
    run->result.prompt_nanoseconds = first - start;
    run->result.generate_nanoseconds = now() - first;
    run->result.finish_reason = finish;
    return OK;
}

static void end(struct run *run) {
    draft_close(run->draft);
    if (run->sequence) sequence_free(run->sequence);
    transformer_text_stream_destroy(run->stream);
    transformer_sampler_destroy(run->sampler);
    memory_give(&run->context->memory, run->prompt);
}

transformer_status transformer_generate(transformer_context *context,
                                        const transformer_generate_options *options,
                                        transformer_text_function on_text, void *user,
                                        transformer_generate_result *result) {
    transformer_generate_options ours;
    TRY(options_require("context", context));
    TRY(OPTIONS_READ(generate_options, options, &ours));
    if (result) TRY(OPTIONS_CHECK_OUTPUT(generate_result, result));
    TRY(check(&ours));
    struct run run = {.context = context, .options = &ours, .on_text = on_text, .user = user};
    TRY(read_constraint(&run));
    TRY(context_enter(context));
    float_environment_enter(&run.host);
    status generated = generate(&run);
    float_environment_leave(&run.host);
    end(&run);
    context_leave(context);
    if (result && generated == OK) options_write(result, &run.result, sizeof run.result);
    return generated;
}
