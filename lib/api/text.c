/* Text and tokens. */
#include <string.h>

#include "api/options.h"
#include "api/text.h"
#include "engine/model.h"
#include "tokenizer/stop_strings.h"
#include "tokenizer/text_stream.h"

static status require_tokenizer(const transformer_model *model) {
    TRY(options_require("model", model));
    if (model->tokenizer) return OK;
    return model->without_tokenizer
               ? fail(STATE, "the model's tokenizer can't be used: %s", model->without_tokenizer)
               : fail(STATE, "the model has no tokenizer");
}

static status check_buffer(const void *buffer, int64_t capacity, const void *count) {
    TRY(options_require("the count", count));
    if (capacity < 0 || (!buffer && capacity))
        return fail(INVALID_ARGUMENT, "the buffer is NULL or its capacity negative");
    return OK;
}

static status check_token(const transformer_model *model, int32_t token) {
    int64_t n = model->spec->n_vocab; /* rows that only pad the embedding have an empty text */
    if (token >= 0 && token < n) return OK;
    return fail(INVALID_ARGUMENT, "token %" PRId32 ", the vocabulary has %" PRId64, token, n);
}

struct tokenize_call {
    const transformer_model *model;
    struct text first, second;
    const transformer_tokenize_options *options;
};

/* By way of buffers of ours [most], for ids and, where they are asked for, types: the caller's stay
 * as they are unless all tokens fit. */
static status tokenize(const struct tokenize_call *call, int32_t *tokens, size_t most, size_t *n) {
    struct memory *memory =
        (struct memory *)(uintptr_t)&call->model->memory; /* it counts atomically */
    struct tokenize_flags flags = {
        .add_special = call->options->add_special != TRANSFORMER_OFF,
        .parse_special = call->options->parse_special == TRANSFORMER_ON,
    };
    int32_t *types = tokens ? call->options->types : NULL, *ids = NULL;
    size_t size = types ? 2 * most : most;
    if (tokens) TRY(MEMORY_TAKE_ARRAY(memory, size, "tokens", &ids));
    status result = tokenizer_encode_pair(call->model->tokenizer, memory, call->first,
                                          call->options->second ? &call->second : NULL, flags, ids,
                                          types ? ids + most : NULL, most, n);
    if (result == OK && tokens && *n) memcpy(tokens, ids, *n * sizeof *ids);
    if (result == OK && types && *n) memcpy(types, ids + most, *n * sizeof *ids);
    memory_give(memory, ids);
    return result;
}

transformer_status transformer_tokenize(const transformer_model *model, const char *text,
                                        int64_t length, const transformer_tokenize_options *options,
                                        int32_t *tokens, int64_t capacity, int64_t *count) {
    transformer_tokenize_options ours;
    TRY(require_tokenizer(model));
    TRY(check_buffer(tokens, capacity, count));
    if (length < 0 || (!text && length))
        return fail(INVALID_ARGUMENT, "text is NULL or its length negative");
    TRY(OPTIONS_READ(tokenize_options, options, &ours));
    TRY(options_check_mode("add_special", ours.add_special));
    TRY(options_check_mode("parse_special", ours.parse_special));
    if (ours.second_length < 0 || (!ours.second && ours.second_length))
        return fail(INVALID_ARGUMENT, "second is NULL or its length negative");
    const struct tokenize_call call = {
        .model = model,
        .first = {text ? text : "", (size_t)length},
        .second = {ours.second ? ours.second : "", (size_t)ours.second_length},
        .options = &ours,
    };
    size_t n = 0, most = tokens ? (size_t)capacity : 0;
    size_t enough = 4 * (call.first.length / 2 + call.second.length / 2) + 64;
    bool less = enough < most; /* for nearly all texts; a capacity may be anything */
    status result = tokenize(&call, tokens, less ? enough : most, &n);
    if (result == BUFFER_TOO_SMALL && less && n <= most) result = tokenize(&call, tokens, n, &n);
    if (result == OK || result == BUFFER_TOO_SMALL) *count = (int64_t)n;
    return result;
}

/* Bytes of the tokens' text, which is written as far as it fits. */
static size_t render(const transformer_model *model, const int32_t *tokens, int64_t n_tokens,
                     bool special, char *buffer, size_t capacity) {
    struct detokenize_state state = {.started = false};
    size_t length = 0;
    for (int64_t i = 0; i < n_tokens; i++) {
        size_t room = length < capacity ? capacity - length : 0;
        length += tokenizer_token_bytes(model->tokenizer, &state, tokens[i], special,
                                        room ? buffer + length : NULL, room);
    }
    return length;
}

transformer_status transformer_detokenize(const transformer_model *model, const int32_t *tokens,
                                          int64_t n_tokens,
                                          const transformer_detokenize_options *options,
                                          char *buffer, int64_t capacity, int64_t *length) {
    transformer_detokenize_options ours;
    TRY(require_tokenizer(model));
    TRY(check_buffer(buffer, capacity, length));
    if (n_tokens < 0 || (!tokens && n_tokens))
        return fail(INVALID_ARGUMENT, "tokens is NULL or their count negative");
    TRY(OPTIONS_READ(detokenize_options, options, &ours));
    TRY(options_check_mode("special", ours.special));
    TRY(options_check_reserved("transformer_detokenize_options", ours.reserved));
    for (int64_t i = 0; i < n_tokens; i++) TRY(check_token(model, tokens[i]));
    bool special = ours.special == TRANSFORMER_ON;
    size_t needed = render(model, tokens, n_tokens, special, NULL, 0);
    *length = (int64_t)needed;
    if (!buffer) return OK;
    if (needed > (size_t)capacity)
        return fail(BUFFER_TOO_SMALL, "the text has %zu bytes, the buffer %" PRId64, needed,
                    capacity);
    render(model, tokens, n_tokens, special, buffer, needed);
    return OK;
}

transformer_status transformer_token_text(const transformer_model *model, int32_t token,
                                          char *buffer, int64_t capacity, int64_t *length) {
    struct detokenize_state state = {.started = true};
    TRY(require_tokenizer(model));
    TRY(check_buffer(buffer, capacity, length));
    TRY(check_token(model, token));
    size_t needed =
        tokenizer_token_bytes(model->tokenizer, &state, token, true, buffer, (size_t)capacity);
    *length = (int64_t)needed;
    if (buffer && needed > (size_t)capacity)
        return fail(BUFFER_TOO_SMALL, "the token has %zu bytes, the buffer %" PRId64, needed,
                    capacity);
    return OK;
}

transformer_status transformer_special_token(const transformer_model *model, int32_t kind,
                                             int32_t *token) {
    TRY(options_require("model", model));
    TRY(options_require("token", token));
    if (kind < TRANSFORMER_TOKEN_BEGIN || kind > TRANSFORMER_TOKEN_START)
        return fail(INVALID_ARGUMENT, "kind %" PRId32 " is not known", kind);
    int32_t found = model->spec->source.n_layers ? model->spec->source.start_token : -1;
    if (kind != TRANSFORMER_TOKEN_START) {
        TRY(require_tokenizer(model));
        found = tokenizer_special(model->tokenizer, kind);
    }
    if (found < 0) return fail(NOT_FOUND, "the model has no such token (kind %" PRId32 ")", kind);
    *token = found;
    return OK;
}

/* ---- text stream ---- */

struct transformer_text_stream {
    transformer_model *model;
    atomic_int owners; /* the handle, and a call that is running */
    atomic_flag busy;
    bool special;
    struct detokenize_state state;
    struct utf8_stream utf8;
    char *bytes; /* [max_token_bytes] */
    size_t max_token_bytes;
    char *text;                /* [longest stop string + 3 * (max_token_bytes + 3)] */
    struct stop_strings *stop; /* NULL: none */
    struct stop_search search;
    size_t held, held_at;    /* bytes of text that may begin a stop string, from there on */
    _Atomic int32_t stopped; /* the one that was found, or -1 */
    bool begun;              /* since the last finish */
};

static void release_stream(transformer_text_stream *stream) {
    if (atomic_fetch_sub_explicit(&stream->owners, 1, memory_order_acq_rel) != 1) return;
    transformer_model *model = stream->model;
    stop_strings_destroy(stream->stop);
    memory_give(&model->memory, stream->bytes);
    memory_give(&model->memory, stream->text);
    memory_give(&model->memory, stream);
    model_release(model);
}

static status take_stream(transformer_text_stream *fresh,
                          const transformer_text_stream_options *options) {
    struct memory *memory = &fresh->model->memory;
    size_t most = fresh->max_token_bytes, longest = 0;
    if (options->n_stop) {
        TRY(stop_strings_create(memory, options->stop, options->n_stop, &fresh->stop));
        longest = stop_strings_longest(fresh->stop);
    }
    TRY(MEMORY_TAKE(memory, most + 1, "a text stream", &fresh->bytes));
    return MEMORY_TAKE(memory, longest + 3 * (most + 3), "a text stream", &fresh->text);
}

transformer_status transformer_text_stream_create(transformer_model *model,
                                                  const transformer_text_stream_options *options,
                                                  transformer_text_stream **stream) {
    transformer_text_stream_options ours;
    transformer_text_stream *fresh;
    TRY(options_require("stream", stream));
    TRY(require_tokenizer(model));
    TRY(OPTIONS_READ(text_stream_options, options, &ours));
    TRY(options_check_mode("special", ours.special));
    TRY(options_check_reserved("transformer_text_stream_options", ours.reserved));
    if (ours.n_stop < 0 || (!ours.stop && ours.n_stop))
        return fail(INVALID_ARGUMENT, "stop is NULL or n_stop negative");
    TRY(MEMORY_TAKE_ONE(&model->memory, "a text stream", &fresh));
    model_retain(model);
    fresh->model = model;
    fresh->special = ours.special == TRANSFORMER_ON;
    fresh->max_token_bytes = tokenizer_max_token_bytes(model->tokenizer);
    atomic_flag_clear(&fresh->busy);
    atomic_init(&fresh->owners, 1);
    atomic_init(&fresh->stopped, -1);
    status result = take_stream(fresh, &ours);
    if (result != OK) {
        release_stream(fresh);
        return result;
    }
    *stream = fresh;
    return OK;
}

void text_stream_continue(transformer_text_stream *stream) {
    stream->state = (struct detokenize_state){.started = true};
}

static status enter_stream(transformer_text_stream *stream, const void *text, const void *length) {
    TRY(options_require("stream", stream));
    TRY(options_require("text", text));
    TRY(options_require("length", length));
    atomic_fetch_add_explicit(&stream->owners, 1, memory_order_relaxed);
    if (atomic_flag_test_and_set_explicit(&stream->busy, memory_order_acquire)) {
        release_stream(stream);
        return fail(BUSY, "another call is using this stream");
    }
    return OK;
}

static void leave_stream(transformer_text_stream *stream) {
    atomic_flag_clear_explicit(&stream->busy, memory_order_release);
    release_stream(stream);
}

/* What was held back comes to the front; returns where the next text goes. */
static char *begin_text(transformer_text_stream *stream) {
    if (!stream->begun) atomic_store_explicit(&stream->stopped, -1, memory_order_relaxed);
    stream->begun = true;
    memmove(stream->text, stream->text + stream->held_at, stream->held);
    return stream->text + stream->held;
}

/* n bytes more of text behind those that were held: what of it all can be given out. */
static int64_t end_text(transformer_text_stream *stream, size_t n) {
    size_t end = 0, length = stream->held + n, held;
    if (!stream->stop) return (int64_t)n;
    int32_t found =
        stop_search_push(stream->stop, &stream->search, stream->text + stream->held, n, &end);
    if (found >= 0) {
        length = stream->held + end - stop_strings_length(stream->stop, found);
        atomic_store_explicit(&stream->stopped, found, memory_order_relaxed);
        held = 0;
    } else {
        held = stop_search_held(stream->stop, &stream->search);
        length -= held;
    }
    stream->held = held;
    stream->held_at = length;
    return (int64_t)length;
}

static bool is_stopped(const transformer_text_stream *stream) {
    return stream->begun && atomic_load_explicit(&stream->stopped, memory_order_relaxed) >= 0;
}

transformer_status transformer_text_stream_push(transformer_text_stream *stream, int32_t token,
                                                const char **text, int64_t *length) {
    TRY(enter_stream(stream, text, length));
    status result = check_token(stream->model, token);
    if (result == OK) {
        *length = 0;
        if (!is_stopped(stream)) {
            char *to = begin_text(stream);
            size_t n =
                tokenizer_token_bytes(stream->model->tokenizer, &stream->state, token,
                                      stream->special, stream->bytes, stream->max_token_bytes);
            *length = end_text(stream, utf8_stream_push(&stream->utf8, stream->bytes, n, to));
        }
        *text = stream->text;
    }
    leave_stream(stream);
    return result;
}

transformer_status transformer_text_stream_finish(transformer_text_stream *stream,
                                                  const char **text, int64_t *length) {
    TRY(enter_stream(stream, text, length));
    *length = 0;
    if (!is_stopped(stream)) {
        char *to = begin_text(stream);
        *length = end_text(stream, utf8_stream_finish(&stream->utf8, to));
        if (!is_stopped(stream)) *length += (int64_t)stream->held; /* nothing comes after it */
    }
    *text = stream->text;
    stream->state = (struct detokenize_state){false};
    stream->utf8 = (struct utf8_stream){.n_held = 0};
    stream->search = (struct stop_search){0};
    stream->held = stream->held_at = 0;
    stream->begun = false;
    leave_stream(stream);
    return OK;
}

int32_t transformer_text_stream_stopped(const transformer_text_stream *stream) {
    return stream ? atomic_load_explicit(&stream->stopped, memory_order_relaxed) : -1;
}

void transformer_text_stream_destroy(transformer_text_stream *stream) {
    if (stream) release_stream(stream);
}
