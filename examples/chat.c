/* A conversation: one answer to --message, or an answer to each line of stdin. Messages become a
 * prompt by the model's own chat template; what the sequence has of it already isn't computed
 * again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

struct settings {
    const char *model, *system, *message;
    int64_t max_tokens;
    transformer_sampler_options sampler;
    int32_t n_threads, device;
};

static struct settings read_settings(int argc, char **argv) {
    struct settings s = {.max_tokens = 512, .sampler = {.struct_size = sizeof s.sampler}};
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &s.model, "a GGUF file with a chat template", 1},
        {"--system", ARGUMENT_TEXT, &s.system, "a system message that comes first", 0},
        {"--message", ARGUMENT_TEXT, &s.message, "answer this alone, without reading stdin", 0},
        {"--max-tokens", ARGUMENT_POSITIVE, &s.max_tokens, "of an answer, default 512", 0},
        {"--temperature", ARGUMENT_NUMBER, &s.sampler.temperature, "default 0: greedy", 0},
        {"--top-k", ARGUMENT_INT32, &s.sampler.top_k, "default 0: all", 0},
        {"--top-p", ARGUMENT_FRACTION, &s.sampler.top_p, "default 0: off", 0},
        {"--min-p", ARGUMENT_FRACTION, &s.sampler.min_p, "default 0: off", 0},
        {"--seed", ARGUMENT_SEED, &s.sampler.seed, "of the random numbers, default 0", 0},
        {"--threads", ARGUMENT_INT32, &s.n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &s.device, "default cpu", 0},
        {0}};
    arguments_read(argc, argv, "Answers messages by the model's chat template.", table);
    return s;
}

struct chat {
    transformer_model *model;
    transformer_model_details details;
    transformer_context *context;
    transformer_sequence *sequence;
    transformer_sampler *sampler;
    transformer_text_stream *stream;
    transformer_chat_message *messages; /* [n], their texts are ours */
    int64_t n;
};

static void add_message(struct chat *chat, const char *role, const char *text, int64_t length) {
    char *content = console_allocate(NULL, (size_t)length + 1, 1);
    memcpy(content, text, (size_t)length);
    content[length] = '\0';
    chat->messages = console_allocate(chat->messages, (size_t)chat->n + 1, sizeof *chat->messages);
    chat->messages[chat->n++] = (transformer_chat_message){role, content};
}

/* Queues the conversation behind what the sequence has in common with it. */
static void append_prompt(struct chat *chat) {
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .add_special = TRANSFORMER_OFF,
                                            .parse_special = TRANSFORMER_ON};
    int64_t length = 0, n = 0, n_had = 0, common = 0;
    char *prompt = model_chat(chat->model, chat->messages, chat->n, &length);
    int32_t *tokens = model_tokens(chat->model, prompt, length, &options, &n);
    console_require(transformer_sequence_tokens(chat->sequence, NULL, 0, &n_had, NULL));
    int32_t *had = console_allocate(NULL, (size_t)n_had, sizeof *had);
    console_require(transformer_sequence_tokens(chat->sequence, had, n_had, &n_had, NULL));
    while (common < n_had && common + 1 < n && had[common] == tokens[common]) common++;
    console_require(transformer_sequence_truncate(chat->sequence, common));
    console_require(transformer_sequence_append(chat->sequence, tokens + common, n - common, NULL));
    free(had);
    free(tokens);
    free(prompt);
}

static int is_end(const struct chat *chat, int32_t token) {
    for (int64_t i = 0; i < chat->details.n_end_tokens; i++)
        if (chat->details.end_tokens[i] == token) return 1;
    return 0;
}

static void answer(struct chat *chat, int64_t max_tokens) {
    char *text = NULL;
    int64_t length = 0;
    append_prompt(chat);
    for (int64_t i = 0; i <= max_tokens; i++) {
        const char *piece = NULL;
        int64_t n = 0;
        int32_t token = 0;
        transformer_decode_result result = {.struct_size = sizeof result};
        do console_require(transformer_decode(chat->context, NULL, &result));
        while (result.n_pending > 0);
        console_require(transformer_sampler_sample(chat->sampler, chat->sequence, NULL, &token));
        int ends = i == max_tokens || is_end(chat, token);
        if (ends)
            console_require(transformer_text_stream_finish(chat->stream, &piece, &n));
        else
            console_require(transformer_text_stream_push(chat->stream, token, &piece, &n));
        console_write(piece, n);
        console_flush();
        text = console_allocate(text, (size_t)(length + n), 1);
        memcpy(text + length, piece, (size_t)n);
        length += n;
        if (ends) break;
        console_require(transformer_sequence_append(chat->sequence, &token, 1, NULL));
    }
    putchar('\n');
    console_flush();
    add_message(chat, "assistant", text, length);
    free(text);
}

static void answer_lines(struct chat *chat, int64_t max_tokens) {
    char line[1 << 16];
    for (;;) {
        if (console_has_terminal()) fputs("> ", stderr);
        if (!fgets(line, sizeof line, stdin)) break;
        size_t length = strcspn(line, "\n");
        if (!length) continue;
        add_message(chat, "user", line, (int64_t)length);
        answer(chat, max_tokens);
    }
}

int main(int argc, char **argv) {
    struct settings s = read_settings(argc, argv);
    struct chat chat = {.model = model_open(s.model, s.device)};
    chat.details = model_details(chat.model);
    transformer_context_options options = {
        .struct_size = sizeof options, .max_sequences = 1, .n_threads = s.n_threads};
    console_require(transformer_context_create(chat.model, &options, &chat.context));
    console_require(transformer_sequence_create(chat.context, NULL, &chat.sequence));
    console_require(transformer_sampler_create(chat.model, &s.sampler, &chat.sampler));
    console_require(transformer_text_stream_create(chat.model, NULL, &chat.stream));
    if (s.system) add_message(&chat, "system", s.system, (int64_t)strlen(s.system));
    if (s.message) {
        add_message(&chat, "user", s.message, (int64_t)strlen(s.message));
        answer(&chat, s.max_tokens);
    } else {
        answer_lines(&chat, s.max_tokens);
    }
    for (int64_t i = 0; i < chat.n; i++) free((void *)(uintptr_t)chat.messages[i].content);
    free(chat.messages);
    transformer_text_stream_destroy(chat.stream);
    transformer_sampler_destroy(chat.sampler);
    transformer_sequence_destroy(chat.sequence);
    transformer_context_destroy(chat.context);
    transformer_model_close(chat.model);
    return 0;
}
