/* Continues a prompt: text to stdout as it comes, the speed to stderr if that is a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "generation.h"
#include "model.h"

static struct settings read_settings(int argc, char **argv) {
    struct settings s = {.max_tokens = 256,
                         .guesses = 4,
                         .beams = 1,
                         .logprobs = -1,
                         .sampler = {.struct_size = sizeof s.sampler}};
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
        {"--load", ARGUMENT_FILE, &s.load, "go on from what --save wrote", 0},
        {"--save", ARGUMENT_TEXT, &s.save, "a file for the text with its KV cache", 0},
        {"--ids", ARGUMENT_FLAG, &s.ids, "print token ids instead of text", 0},
        {"--beams", ARGUMENT_POSITIVE, &s.beams,
         "default 1; more: the likeliest text that so many beams find", 0},
        {"--stop", ARGUMENT_TEXT, &s.stop, "end before this text", 0},
        {"--logprobs", ARGUMENT_COUNT, &s.logprobs,
         "print a line of JSON for each token: its log probability and those of so many likeliest",
         0},
        {"--lookup", ARGUMENT_INT32, &s.lookup,
         "tokens to look up in the text so far and check at once, default 0; the text is the same",
         0},
        {"--draft", ARGUMENT_FILE, &s.draft,
         "a smaller model of the same vocabulary that guesses tokens; the text is the same", 0},
        {"--guesses", ARGUMENT_POSITIVE, &s.guesses, "of the draft model, default 4", 0},
        {"--stats", ARGUMENT_FLAG, &s.stats, "print counts and seconds to stderr as JSON", 0},
        {0}};
    arguments_read(argc, argv, "Continues a text; without a prompt, from nothing.", table);
    if (s.prompt && s.prompt_file)
        console_usage_error("--prompt and --prompt-file exclude each other");
    if (s.stop && !*s.stop) console_usage_error("--stop is empty");
    if (s.beams > 1 && (s.stop || s.logprobs >= 0 || s.lookup || s.draft || s.load || s.save ||
                        s.schema_file || s.regex || s.grammar_file))
        console_usage_error("--beams takes a prompt, --max-tokens and --ids alone");
    if (s.beams > 1 && s.max_tokens == 0) console_usage_error("--beams needs --max-tokens");
    if (s.logprobs > MOST_TOP) console_usage_error("--logprobs: at most %d", MOST_TOP);
    if ((s.schema_file != NULL) + (s.regex != NULL) + (s.grammar_file != NULL) > 1)
        console_usage_error("--json-schema, --regex and --grammar exclude each other");
    return s;
}

static int32_t *prompt_tokens(const struct settings *s, const transformer_model *model,
                              int64_t *count) {
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .parse_special = TRANSFORMER_ON,
                                            .add_special = s->load ? TRANSFORMER_OFF : 0};
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
    if (*count == 0 &&
        !s->load) { /* the model adds no begin token by itself, but something has to come first */
        console_require(transformer_special_token(model, TRANSFORMER_TOKEN_BEGIN, tokens));
        *count = 1;
    }
    free(file);
    return tokens;
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

/* A step that checks guesses keeps the logits of each. */
static int64_t logit_rows(const struct settings *s) {
    int64_t guesses = s->draft && s->guesses > s->lookup ? s->guesses : s->lookup;
    return 1 + (guesses < 512 ? guesses : 512);
}

static void create_handles(struct generation *g, transformer_model *model,
                           transformer_model *draft) {
    const struct settings *s = g->settings;
    transformer_context_options options = {
        .struct_size = sizeof options,
        .max_sequence_tokens =
            s->load || s->save
                ? g->details.context_length /* what is loaded has any length */
                : context_tokens(g->n_prompt, s->max_tokens, g->details.context_length),
        .max_sequences = 1,
        .max_logit_rows = logit_rows(s),
        .n_threads = s->n_threads,
        .kv_type = s->kv_type};
    transformer_text_stream_options text = {
        .struct_size = sizeof text, .stop = &s->stop, .n_stop = s->stop != NULL};
    transformer_sequence_options own = {.struct_size = sizeof own,
                                        .lookup_tokens = (uint32_t)s->lookup};
    console_require(transformer_context_create(model, &options, &g->context));
    console_require(transformer_sampler_create(model, &s->sampler, &g->sampler));
    own.sampler = g->sampler;
    g->sequence = model_load_sequence(g->context, s->load, &own);
    console_require(transformer_text_stream_create(model, &text, &g->stream));
    console_require(transformer_sequence_tokens(g->sequence, NULL, 0, &g->n_loaded, NULL));
    g->n_prompt += g->n_loaded;
    /* What is saved has the last token too. */
    g->limit = generation_limit(g->context, g->n_prompt + (s->save != NULL), s->max_tokens);
    if (!draft) return;
    if (model_details(draft).n_vocab != g->details.n_vocab)
        console_fail("the draft model has another vocabulary");
    draft_open(&g->draft, draft, &s->sampler, g->n_prompt + g->limit, s->n_threads);
}

int main(int argc, char **argv) {
    struct settings s = read_settings(argc, argv);
    transformer_model *model = model_open(s.model, s.device);
    if (s.beams > 1) {
        int64_t n_prompt = 0;
        int32_t *prompt = prompt_tokens(&s, model, &n_prompt);
        generation_search(&s, model, prompt, n_prompt);
        free(prompt);
        transformer_model_close(model);
        return 0;
    }
    transformer_model *draft = s.draft ? model_open(s.draft, s.device) : NULL;
    struct generation g = {.settings = &s, .details = model_details(model)};
    g.tokens = prompt_tokens(&s, model, &g.n_prompt);
    create_handles(&g, model, draft);

    double start = console_seconds(), first = 0;
    generation_begin(&g);
    transformer_grammar *grammar = model_grammar(model, s.schema_file, s.regex, s.grammar_file);
    transformer_constraint_options close = {
        .struct_size = sizeof close, .max_tokens = g.limit, .close = TRANSFORMER_ON};
    if (grammar) console_require(transformer_sequence_constrain(g.sequence, grammar, &close));
    while (!g.done && g.n_tokens - g.n_prompt < g.limit) {
        generation_step(&g);
        if (first == 0) first = console_seconds();
    }
    double end = console_seconds();
    generation_print_end(&g);
    generation_print_speed(&g, first - start, end - first);
    if (s.save) generation_save(&g);

    if (draft) draft_close(&g.draft);
    transformer_grammar_destroy(grammar);
    transformer_text_stream_destroy(g.stream);
    transformer_sequence_destroy(g.sequence);
    transformer_grammar_destroy(grammar);
    transformer_sampler_destroy(g.sampler);
    transformer_context_destroy(g.context);
    transformer_model_close(draft);
    transformer_model_close(model);
    free(g.tokens);
    return 0;
}
