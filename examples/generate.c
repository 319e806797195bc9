/* Continues a prompt: text to stdout as it comes, the speed to stderr if that is a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

struct settings {
    const char *model, *prompt, *prompt_file;
    const char *schema_file, *regex, *grammar_file;
    int64_t max_tokens;
    transformer_sampler_options sampler;
    int32_t n_threads, device;
    uint32_t kv_type;
    int ids, chat;
};

static struct settings read_settings(int argc, char **argv) {
    struct settings s = {.max_tokens = 256, .sampler = {.struct_size = sizeof s.sampler}};
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &s.model, "a GGUF file or a Hugging Face folder", 1},
        {"--prompt", ARGUMENT_TEXT, &s.prompt,
         "the text to continue; control tokens written out in it count as such", 0},
        {"--prompt-file", ARGUMENT_FILE, &s.prompt_file, "or a file that holds it", 0},
        {"--chat", ARGUMENT_FLAG, &s.chat,
         "the prompt is a user's message: put it into the model's chat template", 0},
        {"--max-tokens", ARGUMENT_COUNT, &s.max_tokens,
         "tokens to generate, default 256; 0: until the model ends or its context is full", 0},
        {"--temperature", ARGUMENT_NUMBER, &s.sampler.temperature, "default 0: greedy", 0},
        {"--top-k", ARGUMENT_INT32, &s.sampler.top_k, "default 0: all", 0},
        {"--top-p", ARGUMENT_FRACTION, &s.sampler.top_p, "default 0: off", 0},
        {"--min-p", ARGUMENT_FRACTION, &s.sampler.min_p, "default 0: off", 0},
        {"--seed", ARGUMENT_SEED, &s.sampler.seed, "of the random numbers, default 0", 0},
        {"--json-schema", ARGUMENT_FILE, &s.schema_file, "a file: the text is JSON that is valid",
         0},
        {"--regex", ARGUMENT_TEXT, &s.regex, "the text matches it", 0},
        {"--grammar", ARGUMENT_FILE, &s.grammar_file, "a file of rules that the text matches", 0},
        {"--threads", ARGUMENT_INT32, &s.n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &s.device, "default cpu", 0},
        {"--kv", ARGUMENT_KV, &s.kv_type, "type of the KV cache, default f16", 0},
        {"--ids", ARGUMENT_FLAG, &s.ids, "print token ids instead of text", 0},
        {0}};
    arguments_read(argc, argv, "Continues a text; without a prompt, from nothing.", table);
    if (s.prompt && s.prompt_file)
        console_usage_error("--prompt and --prompt-file exclude each other");
    if ((s.schema_file != NULL) + (s.regex != NULL) + (s.grammar_file != NULL) > 1)
        console_usage_error("--json-schema, --regex and --grammar exclude each other");
    return s;
}

static int32_t *prompt_tokens(const struct settings *s, const transformer_model *model,
                              int64_t *count) {
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .parse_special = TRANSFORMER_ON};
    int64_t length = s->prompt ? (int64_t)strlen(s->prompt) : 0;
    char *file = s->prompt_file ? console_read(s->prompt_file, &length) : NULL;
    const char *text = file ? file : s->prompt ? s->prompt : "";
    if (s->chat) {
        transformer_chat_message message = {.role = "user", .content = text};
        char *chat = model_chat(model, &message, 1, &length);
        free(file);
        text = file = chat;
        options.add_special = TRANSFORMER_OFF; /* the template has written them out */
    }
    int32_t *tokens = model_tokens(model, text, length, &options, count);
    if (*count ==
        0) { /* the model adds no begin token by itself, but something has to come first */
        console_require(transformer_special_token(model, TRANSFORMER_TOKEN_BEGIN, tokens));
        *count = 1;
    }
    free(file);
    return tokens;
}

static int is_end(const transformer_model_details *details, int32_t token) {
    for (int64_t i = 0; i < details->n_end_tokens; i++)
        if (details->end_tokens[i] == token) return 1;
    return 0;
}

static void print_token(transformer_text_stream *stream, int32_t token, int ids, int64_t index) {
    if (ids) {
        printf("%s%d", index ? " " : "", (int)token);
    } else {
        const char *text = NULL;
        int64_t length = 0;
        console_require(transformer_text_stream_push(stream, token, &text, &length));
        console_write(text, length);
    }
    console_flush();
}

static void print_end(transformer_text_stream *stream, int ids) {
    const char *text = NULL;
    int64_t length = 0;
    console_require(transformer_text_stream_finish(stream, &text, &length));
    if (!ids) console_write(text, length);
    putchar('\n');
    console_flush();
}

/* What the context must hold; 0, the library's choice, where the length isn't known beforehand. */
static int64_t context_tokens(int64_t n_prompt, int64_t max_tokens, int64_t context_length) {
    if (max_tokens == 0) return 0;
    return max_tokens < context_length - n_prompt ? n_prompt + max_tokens : context_length;
}

static int64_t generation_limit(transformer_context *context, int64_t n_prompt,
                                int64_t max_tokens) {
    transformer_context_statistics stats = {.struct_size = sizeof stats};
    console_require(transformer_context_stats(context, &stats));
    int64_t room = stats.max_sequence_tokens - n_prompt + 1; /* the last one needn't go in */
    return max_tokens && max_tokens < room ? max_tokens : room;
}

/* Computes all that is pending, in as many steps as it takes. */
static void decode_all(transformer_context *context) {
    transformer_decode_result result = {.struct_size = sizeof result};
    do console_require(transformer_decode(context, NULL, &result));
    while (result.n_pending > 0);
}

static void print_speed(int64_t n_prompt, int64_t n_generated, double prompt_s, double generate_s) {
    if (!console_has_terminal()) return;
    fprintf(stderr, "prompt %lld tokens, %.1f tokens/s; generated %lld tokens", (long long)n_prompt,
            (double)n_prompt / prompt_s, (long long)n_generated);
    if (n_generated > 1) /* the first one came with the prompt */
        fprintf(stderr, ", %.1f tokens/s", (double)(n_generated - 1) / generate_s);
    fputc('\n', stderr);
}

int main(int argc, char **argv) {
    struct settings s = read_settings(argc, argv);
    transformer_model *model = model_open(s.model, s.device);
    transformer_model_details details = model_details(model);
    int64_t n_prompt = 0;
    int32_t *prompt = prompt_tokens(&s, model, &n_prompt);

    transformer_context_options options = {
        .struct_size = sizeof options,
        .max_sequence_tokens = context_tokens(n_prompt, s.max_tokens, details.context_length),
        .max_sequences = 1,
        .n_threads = s.n_threads,
        .kv_type = s.kv_type};
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    transformer_sampler *sampler = NULL;
    transformer_text_stream *stream = NULL;
    console_require(transformer_context_create(model, &options, &context));
    console_require(transformer_sequence_create(context, NULL, &sequence));
    console_require(transformer_sampler_create(model, &s.sampler, &sampler));
    console_require(transformer_text_stream_create(model, NULL, &stream));

    double start = console_seconds(), first = 0;
    console_require(transformer_sequence_append(sequence, prompt, n_prompt, NULL));
    int64_t n_generated = 0, limit = generation_limit(context, n_prompt, s.max_tokens);
    transformer_grammar *grammar = model_grammar(model, s.schema_file, s.regex, s.grammar_file);
    transformer_constraint_options close = {
        .struct_size = sizeof close, .max_tokens = limit, .close = TRANSFORMER_ON};
    if (grammar) console_require(transformer_sequence_constrain(sequence, grammar, &close));
    while (n_generated < limit) {
        int32_t token = 0;
        decode_all(context);
        console_require(transformer_sampler_sample(sampler, sequence, NULL, &token));
        if (n_generated == 0) first = console_seconds();
        if (is_end(&details, token)) break;
        print_token(stream, token, s.ids, n_generated++);
        if (n_generated < limit)
            console_require(transformer_sequence_append(sequence, &token, 1, NULL));
    }
    double end = console_seconds();
    print_end(stream, s.ids);
    if (n_generated > 0) print_speed(n_prompt, n_generated, first - start, end - first);

    transformer_text_stream_destroy(stream);
    transformer_grammar_destroy(grammar);
    transformer_sampler_destroy(sampler);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
    free(prompt);
    return 0;
}
