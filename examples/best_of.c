/* Samples several answers to a prompt, forks of one sequence, and prints the one that a reward
 * model scores highest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "lines.h"
#include "model.h"

struct settings {
    const char *model, *reward, *prompt;
    int64_t n, max_tokens;
    transformer_sampler_options sampler;
    int32_t n_threads, device;
    int ids, all;
};

static struct settings read_settings(int argc, char **argv) {
    struct settings s = {
        .n = 4,
        .max_tokens = 128,
        .sampler = {.struct_size = sizeof s.sampler, .temperature = 0.8f, .top_p = 0.95f}};
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &s.model, "a GGUF file or a Hugging Face folder", 1},
        {"--reward", ARGUMENT_FILE, &s.reward, "likewise, of a model with a score head", 1},
        {"--prompt", ARGUMENT_TEXT, &s.prompt, "the text to continue", 1},
        {"--n", ARGUMENT_POSITIVE, &s.n, "answers, default 4", 0},
        {"--max-tokens", ARGUMENT_POSITIVE, &s.max_tokens, "of an answer, default 128", 0},
        {"--temperature", ARGUMENT_NUMBER, &s.sampler.temperature, "default 0.8", 0},
        {"--top-p", ARGUMENT_FRACTION, &s.sampler.top_p, "default 0.95", 0},
        {"--seed", ARGUMENT_SEED, &s.sampler.seed, "of the random numbers, default 0", 0},
        {"--ids", ARGUMENT_FLAG, &s.ids,
         "the prompt is token ids, 1,2,3 say, and so is what is printed; both models have them", 0},
        {"--all", ARGUMENT_FLAG, &s.all, "every answer with its score, as JSON of token ids", 0},
        {"--threads", ARGUMENT_INT32, &s.n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &s.device, "default cpu", 0},
        {0}};
    arguments_read(argc, argv, "Prints the best of several answers by a reward model.", table);
    return s;
}

struct answer {
    transformer_sequence *sequence;
    int32_t *tokens; /* prompt and answer */
    int64_t n_tokens;
    int done;
    float score;
};

static int is_end(const transformer_model_details *details, int32_t token) {
    for (int64_t i = 0; i < details->n_end_tokens; i++)
        if (details->end_tokens[i] == token) return 1;
    return 0;
}

/* The prompt's keys and values are shared; each fork has random numbers of its own. */
static void fork_answers(const struct settings *s, transformer_context *context,
                         const int32_t *prompt, int64_t n_prompt, struct answer *answers) {
    transformer_decode_result result = {.struct_size = sizeof result};
    transformer_sequence *trunk = NULL;
    console_require(transformer_sequence_create(context, NULL, &trunk));
    console_require(transformer_sequence_append(trunk, prompt, n_prompt, NULL));
    do console_require(transformer_decode(context, NULL, &result));
    while (result.n_pending > 0);
    for (int64_t i = 0; i < s->n; i++) {
        transformer_fork_options options = {.struct_size = sizeof options, .stream = (uint64_t)i};
        answers[i] = (struct answer){
            .tokens = console_allocate(NULL, (size_t)(n_prompt + s->max_tokens), sizeof(int32_t)),
            .n_tokens = n_prompt};
        memcpy(answers[i].tokens, prompt, (size_t)n_prompt * sizeof *prompt);
        console_require(transformer_sequence_fork(trunk, &options, &answers[i].sequence));
    }
    transformer_sequence_destroy(trunk);
}

/* All answers get on by one token a step, until each has ended. */
static void sample_answers(const struct settings *s, transformer_model *model,
                           transformer_context *context, int64_t n_prompt, struct answer *answers) {
    transformer_model_details details = model_details(model);
    transformer_sampler *sampler = NULL;
    int64_t n_running = s->n;
    console_require(transformer_sampler_create(model, &s->sampler, &sampler));
    while (n_running > 0) {
        for (int64_t i = 0; i < s->n; i++) {
            struct answer *answer = &answers[i];
            int32_t token;
            if (answer->done) continue;
            console_require(transformer_sampler_sample(sampler, answer->sequence, NULL, &token));
            answer->tokens[answer->n_tokens++] = token;
            answer->done = is_end(&details, token) || answer->n_tokens == n_prompt + s->max_tokens;
            if (answer->done) {
                transformer_sequence_destroy(answer->sequence);
                n_running--;
            } else {
                console_require(transformer_sequence_append(answer->sequence, &token, 1, NULL));
            }
        }
        if (n_running > 0) console_require(transformer_decode(context, NULL, NULL));
    }
    transformer_sampler_destroy(sampler);
}

/* The last label's number, of what the reward model makes of prompt and answer. */
static float reward_of(const struct settings *s, const transformer_model *model,
                       transformer_model *reward, transformer_context *context,
                       const struct answer *answer) {
    transformer_append_options none = {.struct_size = sizeof none,
                                       .logits = TRANSFORMER_LOGITS_NONE};
    transformer_decode_result result = {.struct_size = sizeof result};
    transformer_sequence *sequence = NULL;
    const float *score = NULL;
    int32_t *tokens = answer->tokens, *own = NULL;
    int64_t count = answer->n_tokens, n_labels = 0;
    if (!s->ids) {
        char *text = lines_text(model, tokens, count);
        tokens = own = lines_tokens(reward, text, 0, TRANSFORMER_DEFAULT, &count);
        free(text);
    }
    console_require(transformer_sequence_create(context, NULL, &sequence));
    console_require(transformer_sequence_append(sequence, tokens, count, &none));
    do console_require(transformer_decode(context, NULL, &result));
    while (result.n_pending > 0);
    console_require(transformer_sequence_score(sequence, &score, &n_labels));
    float value = score[n_labels - 1];
    transformer_sequence_destroy(sequence);
    free(own);
    return value;
}

static void print_ids(const struct answer *answer, int64_t n_prompt) {
    for (int64_t i = n_prompt; i < answer->n_tokens; i++)
        printf("%s%d", i > n_prompt ? "," : "", (int)answer->tokens[i]);
}

static void print_answers(const struct settings *s, const transformer_model *model,
                          const struct answer *answers, int64_t n_prompt) {
    const struct answer *best = answers;
    for (int64_t i = 0; i < s->n; i++) {
        if (answers[i].score > best->score) best = &answers[i];
        if (!s->all) continue;
        printf("%s{\"score\":%.9g,\"tokens\":[", i ? "," : "{\"answers\":[",
               (double)answers[i].score);
        print_ids(&answers[i], n_prompt);
        printf("]}");
    }
    if (s->all) {
        printf("],\"best\":%lld}\n", (long long)(best - answers));
    } else if (s->ids) {
        print_ids(best, n_prompt);
        putchar('\n');
    } else {
        char *text = lines_text(model, best->tokens + n_prompt, best->n_tokens - n_prompt);
        puts(text);
        free(text);
    }
    console_flush();
}

int main(int argc, char **argv) {
    struct settings s = read_settings(argc, argv);
    int64_t n_prompt = 0;
    transformer_model *model = model_open(s.model, s.device);
    transformer_model *reward = model_open(s.reward, s.device);
    if (!model_details(reward).n_labels) console_fail("%s has no score head", s.reward);
    int32_t *prompt = lines_tokens(model, s.prompt, s.ids, TRANSFORMER_DEFAULT, &n_prompt);
    if (n_prompt == 0) console_fail("the prompt has no tokens");
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = n_prompt + s.max_tokens,
                                           .kv_tokens = (s.n + 1) * (n_prompt + s.max_tokens + 64),
                                           .max_sequences = s.n + 1,
                                           .n_threads = s.n_threads};
    transformer_context_options scoring = {
        .struct_size = sizeof scoring, .max_sequences = 1, .n_threads = s.n_threads};
    transformer_context *context = NULL, *judge = NULL;
    console_require(transformer_context_create(model, &options, &context));
    console_require(transformer_context_create(reward, &scoring, &judge));

    struct answer *answers = console_allocate(NULL, (size_t)s.n, sizeof *answers);
    fork_answers(&s, context, prompt, n_prompt, answers);
    sample_answers(&s, model, context, n_prompt, answers);
    for (int64_t i = 0; i < s.n; i++)
        answers[i].score = reward_of(&s, model, reward, judge, &answers[i]);
    print_answers(&s, model, answers, n_prompt);

    for (int64_t i = 0; i < s.n; i++) free(answers[i].tokens);
    free(answers);
    free(prompt);
    transformer_context_destroy(judge);
    transformer_context_destroy(context);
    transformer_model_close(reward);
    transformer_model_close(model);
    return 0;
}
