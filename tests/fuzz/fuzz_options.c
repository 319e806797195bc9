/* libFuzzer: bytes as option structs of every call, on a small real model. Pointers in them are
 * cleared or set to what is valid: a wild pointer is nothing a library can check. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transformer.h"

static transformer_model *model;

/* The next options struct out of the input: up to `room` bytes, the rest zero. */
static void take(const uint8_t **data, size_t *size, void *options, size_t room) {
    size_t n = *size < room ? *size : room;
    memset(options, 0, room);
    memcpy(options, *data, n);
    *data += n;
    *size -= n;
    /* Mostly a size that passes, else everything ends at the first check. */
    uint64_t struct_size;
    memcpy(&struct_size, options, sizeof struct_size);
    if (struct_size & 1 || struct_size > room) struct_size = room;
    memcpy(options, &struct_size, sizeof struct_size);
}

/* Stop strings out of the input, and its bytes as tokens. */
static void use_text_stream(const uint8_t *data, size_t size) {
    char strings[8][40] = {{0}};
    const char *stop[8];
    transformer_text_stream_options options = {.struct_size = sizeof options, .stop = stop};
    transformer_text_stream *stream = NULL;
    const char *text;
    int64_t length;
    for (size_t at = 0; options.n_stop < 8 && at < size; options.n_stop++) {
        size_t n = data[at] % sizeof *strings;
        n = n < size - at ? n : size - at;
        memcpy(strings[options.n_stop], data + at, n ? n - 1 : 0);
        stop[options.n_stop] = strings[options.n_stop];
        at += n + 1;
    }
    if (transformer_text_stream_create(model, &options, &stream) == TRANSFORMER_OK) {
        for (size_t i = 0; i < size && i < 200; i++)
            (void)transformer_text_stream_push(stream, data[i], &text, &length);
        (void)transformer_text_stream_finish(stream, &text, &length);
        (void)transformer_text_stream_stopped(stream);
    }
    transformer_text_stream_destroy(stream);
}

static void use_sequence(transformer_context *context, const uint8_t *data, size_t size) {
    transformer_sampler *sampler = NULL;
    transformer_sampler_options sampling;
    transformer_logit_bias bias = {.token = 3, .bias = 1.0f};
    take(&data, &size, &sampling, sizeof sampling);
    sampling.logit_bias = &bias;
    sampling.n_logit_bias = sampling.n_logit_bias & 1;
    (void)transformer_sampler_create(model, &sampling, &sampler);

    transformer_sequence *sequence = NULL, *fork = NULL;
    transformer_sequence_options options;
    take(&data, &size, &options, sizeof options);
    options.sampler = options.stream & 1 ? sampler : NULL;
    if (transformer_sequence_create(context, &options, &sequence) == TRANSFORMER_OK) {
        int32_t tokens[24] = {0}, token;
        uint8_t keep[24] = {0};
        for (int i = 0; i < 24; i++) tokens[i] = size ? (int32_t)(data[i % (int)size] * 3) : i;
        transformer_append_options append;
        transformer_decode_options decode;
        transformer_decode_result result = {.struct_size = sizeof result};
        transformer_fork_options fork_options;
        take(&data, &size, &append, sizeof append);
        append.keep = append.keep ? keep : NULL;
        (void)transformer_sequence_append(sequence, tokens, (int64_t)(size % 25), &append);
        take(&data, &size, &decode, sizeof decode);
        for (int i = 0; i < 3; i++) {
            transformer_token_probability top[4];
            float values[24];
            (void)transformer_sequence_propose(sequence, tokens + i, (int64_t)(size % 20));
            (void)transformer_decode(context, &decode, &result);
            (void)transformer_sequence_log_probabilities(sequence, -1 - i, tokens,
                                                         (int64_t)(size % 25), values, top, i);
        }
        if (sampler) (void)transformer_sampler_sample(sampler, sequence, NULL, &token);
        take(&data, &size, &fork_options, sizeof fork_options);
        fork_options.sampler = NULL;
        (void)transformer_sequence_fork(sequence, &fork_options, &fork);
        (void)transformer_sequence_truncate(sequence, (int64_t)(size % 30));
        (void)transformer_decode(context, NULL, NULL);
    }
    transformer_sampler_destroy(sampler);
    transformer_sequence_destroy(fork);
    transformer_sequence_destroy(sequence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!model) {
        transformer_model_options options = {.struct_size = sizeof options,
                                             .path = SOURCE_ROOT
                                             "/tests/goldens/data/small/llama-gqa.gguf"};
        if (transformer_model_open(&options, &model) != TRANSFORMER_OK) {
            fprintf(stderr, "%s\n", transformer_last_error());
            exit(1);
        }
    }
    transformer_context_options options;
    transformer_context *context = NULL;
    take(&data, &size, &options, sizeof options);
    options.allocator = NULL;
    options.executor = NULL;
    options.log = NULL;
    /* What a caller asks for it may get: keep it small. */
    options.max_sequence_tokens %= 512;
    options.kv_tokens %= 512;
    options.max_sequences %= 16;
    options.max_step_tokens %= 64;
    options.max_logit_rows %= 64;
    options.n_threads = options.n_threads < 0 ? options.n_threads : 1;
    use_text_stream(data, size);
    if (transformer_context_create(model, &options, &context) == TRANSFORMER_OK)
        use_sequence(context, data, size);
    transformer_context_destroy(context);
    return 0;
}
