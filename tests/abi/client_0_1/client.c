/* A host of release 0.1: every function once, built with that release's header, which lies beside
 * this file, and run with the library of today. Kept as it is for ever; usage: client MODEL */
#include <stdio.h>
#include <string.h>

#include "transformer.h"

static int n_failed;

static void expect(int right, const char *what) {
    if (right) return;
    n_failed++;
    printf("%s: %s\n", what, transformer_last_error());
}
#define OK(call) expect((call) == TRANSFORMER_OK, #call)

struct text {
    char bytes[4096];
    size_t length;
};

static int32_t collect(void *user, const char *bytes, uint64_t length) {
    struct text *text = user;
    if (text->length + length > sizeof text->bytes) return 1;
    memcpy(text->bytes + text->length, bytes, (size_t)length);
    text->length += (size_t)length;
    return 0;
}

static void ask_library(void) {
    transformer_device_details device = {0};
    device.struct_size = sizeof device;
    expect(transformer_version() >= 1 << 16, "version");
    expect(strlen(transformer_version_string()) >= 5, "version string");
    expect(strlen(transformer_build_info()) > 0, "build info");
    expect(strcmp(transformer_status_name(TRANSFORMER_BUSY), "BUSY") == 0, "status name");
    expect(transformer_device_count() >= 1, "device count");
    OK(transformer_device_info(0, &device));
    expect(device.struct_size == sizeof device && strcmp(device.kind, "cpu") == 0, "device");
}

static transformer_model *open_model(const char *path) {
    transformer_model *model = NULL;
    transformer_model_options options = {0};
    transformer_context_options context_options = {0};
    transformer_memory_estimate estimate = {0};
    transformer_model_details details = {0};
    char name[64];
    int64_t length = 0;
    options.struct_size = sizeof options;
    options.path = path;
    context_options.struct_size = sizeof context_options;
    estimate.struct_size = sizeof estimate;
    details.struct_size = sizeof details;
    OK(transformer_model_estimate(&options, &context_options, &estimate));
    expect(estimate.context_kv_bytes > 0, "estimate");
    OK(transformer_model_open(&options, &model));
    if (!model) return NULL;
    OK(transformer_model_info(model, &details));
    expect(details.n_vocab > 0 && details.has_tokenizer == 1, "details");
    OK(transformer_model_metadata(model, "general.architecture", name, sizeof name, &length));
    expect(length > 0 && strncmp(name, details.architecture, (size_t)length) == 0, "metadata");
    expect(transformer_model_retain(model) == model, "retain");
    transformer_model_close(model);
    return model;
}

/* Tokenizes, and back by three ways. */
static int64_t ask_tokenizer(transformer_model *model, int32_t *tokens, int64_t capacity) {
    static const char text[] = "the river holds";
    transformer_tokenize_options options = {0};
    transformer_detokenize_options back_options = {0};
    static const char *const stop[] = {"holds"};
    transformer_text_stream_options stream_options = {0};
    transformer_text_stream *stream = NULL;
    struct text streamed = {{0}, 0}, pieces = {{0}, 0};
    char back[256];
    int64_t count = 0, length = 0, i;
    int32_t end = -1;
    options.struct_size = sizeof options;
    options.add_special = TRANSFORMER_OFF;
    back_options.struct_size = sizeof back_options;
    stream_options.struct_size = sizeof stream_options;
    stream_options.stop = stop;
    stream_options.n_stop = 1;
    options.second = text;
    options.second_length = 3;
    OK(transformer_tokenize(model, text, 3, &options, NULL, 0, &length));
    expect(length > 1, "a pair");
    options.second = NULL;
    options.second_length = 0;
    OK(transformer_tokenize(model, text, (int64_t)strlen(text), &options, tokens, capacity,
                            &count));
    OK(transformer_detokenize(model, tokens, count, &back_options, back, sizeof back, &length));
    expect(length == (int64_t)strlen(text) && memcmp(back, text, strlen(text)) == 0, "detokenize");
    OK(transformer_text_stream_create(model, &stream_options, &stream));
    for (i = 0; i < count; i++) {
        const char *piece = NULL;
        int64_t n = 0;
        OK(transformer_text_stream_push(stream, tokens[i], &piece, &n));
        collect(&streamed, piece, (uint64_t)n);
        OK(transformer_token_text(model, tokens[i], back, sizeof back, &n));
        collect(&pieces, back, (uint64_t)n);
    }
    {
        const char *piece = NULL;
        int64_t n = 0;
        OK(transformer_text_stream_finish(stream, &piece, &n));
        collect(&streamed, piece, (uint64_t)n);
    }
    expect(transformer_text_stream_stopped(stream) == 0, "the text stopped");
    transformer_text_stream_destroy(stream);
    expect(streamed.length == strlen(text) - 5 &&
               memcmp(streamed.bytes, text, streamed.length) == 0,
           "text stream");
    expect(pieces.length == strlen(text) && memcmp(pieces.bytes, text, strlen(text)) == 0,
           "token text");
    OK(transformer_special_token(model, TRANSFORMER_TOKEN_END, &end));
    return count;
}

static void decode(transformer_context *context, const int32_t *tokens, int64_t count,
                   transformer_sampler *sampler, int64_t n_vocab) {
    transformer_sequence_options options = {0};
    transformer_append_options append = {0};
    transformer_fork_options fork_options = {0};
    transformer_decode_options decode_options = {0};
    transformer_decode_result result = {0};
    transformer_sample_options sample = {0};
    transformer_sequence *sequence = NULL, *fork = NULL;
    transformer_token_probability best = {0};
    const float *row = NULL;
    float value = 1;
    int32_t first = -1, second = -2, read[64];
    int64_t n = 0, n_computed = 0;
    options.struct_size = sizeof options;
    append.struct_size = sizeof append;
    fork_options.struct_size = sizeof fork_options;
    decode_options.struct_size = sizeof decode_options;
    result.struct_size = sizeof result;
    sample.struct_size = sizeof sample;
    sample.append = TRANSFORMER_ON;
    OK(transformer_sequence_create(context, &options, &sequence));
    OK(transformer_sequence_append(sequence, tokens, count, &append));
    OK(transformer_decode(context, &decode_options, &result));
    expect(result.n_rows == count && result.n_ready == 1 && result.n_pending == 0, "decode");
    OK(transformer_sequence_logits(sequence, -1, &row, &n));
    expect(n == n_vocab, "logits");
    OK(transformer_sequence_log_probabilities(sequence, -1, tokens, 1, &value, &best, 1));
    expect(value <= best.log_probability && best.log_probability < 0, "log probabilities");
    expect(transformer_sequence_propose(sequence, tokens, 1) == TRANSFORMER_STATE, "propose");
    OK(transformer_sequence_embedding(sequence, -1, &row, &n));
    expect(transformer_sequence_set_source(sequence, tokens, 1, NULL) == TRANSFORMER_UNSUPPORTED,
           "set_source");
    expect(transformer_sequence_pooled(sequence, &row, &n) == TRANSFORMER_UNSUPPORTED &&
               transformer_sequence_score(sequence, &row, &n) == TRANSFORMER_UNSUPPORTED,
           "the model pools nothing");
    OK(transformer_sequence_fork(sequence, &fork_options, &fork));
    OK(transformer_sampler_sample(sampler, sequence, &sample, &first));
    OK(transformer_sampler_sample(sampler, fork, NULL, &second));
    expect(first == second, "a fork samples the same");
    OK(transformer_sequence_tokens(sequence, read, 64, &n, &n_computed));
    expect(n == count + 1 && n_computed == count && read[count] == first, "tokens");
    OK(transformer_sequence_set_priority(fork, 3));
    OK(transformer_sequence_truncate(sequence, 1));
    OK(transformer_decode(context, NULL, NULL));
    transformer_sequence_destroy(fork);
    transformer_sequence_destroy(sequence);
}

static void generate(transformer_context *context) {
    transformer_generate_options options = {0};
    transformer_generate_result result = {0};
    struct text text = {{0}, 0};
    options.struct_size = sizeof options;
    options.prompt = "the river";
    options.max_tokens = 8;
    result.struct_size = sizeof result;
    OK(transformer_generate(context, &options, collect, &text, &result));
    expect(result.n_generated_tokens <= 8 && result.finish_reason != 0, "generate");
    transformer_context_cancel(context);
    expect(transformer_generate(context, &options, NULL, NULL, NULL) == TRANSFORMER_CANCELLED,
           "cancel");
}

static void format_chat(const transformer_model *model) {
    static const char expected[] = "user: the river;";
    transformer_chat_message message = {0};
    transformer_chat_options options = {0};
    char prompt[64];
    int64_t length = 0;
    message.role = "user";
    message.content = "the river";
    options.struct_size = sizeof options;
    options.messages = &message;
    options.n_messages = 1;
    options.template_text = "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}";
    OK(transformer_chat_format(model, &options, prompt, sizeof prompt, &length));
    expect(length == (int64_t)strlen(expected) && memcmp(prompt, expected, strlen(expected)) == 0,
           "chat_format");
}

static int32_t count_bytes(void *user, const void *bytes, uint64_t n) {
    *(uint64_t *)user += n;
    return bytes == NULL;
}

static void convert(const char *path) {
    transformer_model_options file = {0};
    transformer_convert_options options = {0};
    uint64_t n_bytes = 0;
    file.struct_size = sizeof file;
    file.path = path;
    file.weight_type = TRANSFORMER_WEIGHTS_Q8_0;
    options.struct_size = sizeof options;
    options.model = &file;
    options.write = count_bytes;
    options.write_user = &n_bytes;
    OK(transformer_model_convert(&options));
    expect(n_bytes > 1000, "bytes of a converted model");
}

static void ask_for_adapter(transformer_model *model) {
    transformer_adapter *adapter = NULL;
    transformer_adapter_options options = {0};
    options.struct_size = sizeof options;
    options.path = "no such adapter";
    expect(transformer_adapter_open(model, &options, &adapter) == TRANSFORMER_NOT_FOUND,
           "an adapter that isn't there");
    transformer_adapter_close(adapter);
}

static void constrain(transformer_model *model, transformer_context *context) {
    transformer_grammar *grammar = NULL;
    transformer_sequence *sequence = NULL;
    transformer_grammar_options options = {0};
    transformer_constraint_options close = {0};
    int32_t match = 0;
    options.struct_size = sizeof options;
    options.regex = "[a-z]+";
    close.struct_size = sizeof close;
    OK(transformer_grammar_create(model, &options, &grammar));
    OK(transformer_grammar_match(grammar, "abc", 3, &match));
    expect(match == TRANSFORMER_MATCH_WHOLE, "a match");
    OK(transformer_sequence_create(context, NULL, &sequence));
    OK(transformer_sequence_constrain(sequence, grammar, &close));
    transformer_grammar_destroy(grammar);
    transformer_sequence_destroy(sequence);
}

int main(int argc, char **argv) {
    transformer_model *model;
    transformer_context *context = NULL;
    transformer_sampler *sampler = NULL, *clone = NULL;
    transformer_context_options options = {0};
    transformer_context_statistics statistics = {0};
    transformer_sampler_options sampling = {0};
    transformer_model_details details = {0};
    int32_t tokens[64];
    int64_t count;
    if (argc != 2) return 2;
    ask_library();
    model = open_model(argv[1]);
    if (!model) return 1;
    details.struct_size = sizeof details;
    OK(transformer_model_info(model, &details));
    count = ask_tokenizer(model, tokens, 60);
    format_chat(model);
    convert(argv[1]);
    ask_for_adapter(model);
    options.struct_size = sizeof options;
    options.max_sequence_tokens = 128;
    options.n_threads = 1;
    OK(transformer_context_create(model, &options, &context));
    sampling.struct_size = sizeof sampling;
    sampling.temperature = 0.8f;
    sampling.seed = 7;
    OK(transformer_sampler_create(model, &sampling, &sampler));
    OK(transformer_sampler_clone(sampler, &clone));
    if (context && clone) {
        decode(context, tokens, count, clone, details.n_vocab);
        generate(context);
        constrain(model, context);
        statistics.struct_size = sizeof statistics;
        OK(transformer_context_stats(context, &statistics));
        expect(statistics.steps >= 2 && statistics.n_sequences == 0, "statistics");
    }
    transformer_sampler_destroy(sampler);
    transformer_sampler_destroy(clone);
    transformer_model_close(model);
    transformer_context_destroy(context);
    printf("built with %s, run with %s: %d failed\n", TRANSFORMER_VERSION_TEXT,
           transformer_version_string(), n_failed);
    return n_failed ? 1 : 0;
}
