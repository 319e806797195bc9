/* Replays the golden files of tests/goldens through the public API.
 *   test_golden small                 random models of all families and weight types
 *   test_golden hf                    some of them as Hugging Face folders
 *   test_golden sources [NAME]        random encoder-decoders, as GGUF files and as folders
 *   test_golden folders               random configs of decoders as Hugging Face folders
 *   test_golden real [NAME]           top logits, greedy tokens and divergence of the real models
 *   test_golden perplexity [NAME]     perplexity of the real models
 * The environment variable TRANSFORMER_CPU chooses the kernels: with the reference ones logits are
 * compared one by one, else by the divergence of the distributions. TEST_DEVICE chooses another
 * device than the CPU; models that it has no kernels for are left out by name. TEST_MODELS names
 * the folder of smollm2.gguf and gemma3-270m.gguf; without it what needs them is skipped (exit code
 * 77). */
#define _GNU_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golden_file.h"
#include "golden_run.h"

/* The folder of goldens; TEST_GOLDENS names one where the sources are not. */
static const char *data(void) {
    const char *folder = getenv("TEST_GOLDENS");
    return folder ? folder : SOURCE_ROOT "/tests/goldens/data";
}
#define SMALL_TOLERANCE 2e-3       /* of a logit, reference kernels */
#define REAL_TOLERANCE 2e-2        /* likewise */
#define DIVERGENCE_TOLERANCE 2e-3  /* mean, in nats, fast kernels */
#define UNQUANTIZED_TOLERANCE 1e-4 /* likewise, where no kernel rounds activations to 8 bits */
#define FP8_TOLERANCE 4e-3         /* likewise, where activations are e4m3 */
/* Greedy choices are compared where the golden's two highest logits are further apart than this. */
#define REFERENCE_TIE 0.01
#define FAST_TIE 0.5

enum { N_FOLDERS = 167 };
enum { CHUNK = 512, FIRST_SCORED = 256, N_CHUNKS = 8 };

struct real_model {
    const char *name;
    double perplexity_tolerance; /* relative */
    int32_t reference_tokens;  /* prompts up to this long are run with the slow reference kernels */
    int32_t reference_prompts; /* and no more of them than this */
    bool begins;               /* its perplexity is also measured with the begin token */
};

static const struct real_model REAL_MODELS[] = {{"smollm2", 0.005, 40, 4, false},
                                                {"gemma3-270m", 0.010, 25, 2, true}};

static bool reference; /* the kernels chosen are the reference ones */

static uint32_t kv_type(void) {
    return reference ? TRANSFORMER_KV_F32 : TRANSFORMER_KV_DEFAULT;
}

/* ---- comparing ---- */

struct comparison {
    const int32_t *positions; /* [n_positions], or NULL: any */
    int32_t n_positions, n_vocab;
    const float *logits; /* [n_positions][n_vocab] */
    const struct golden_distributions *distributions;
    double difference; /* highest of a logit */
    int64_t where;     /* its position */
    double divergence; /* sum over the rows */
    int32_t n_rows;
};

static int32_t index_of(const int32_t *positions, int32_t n, int64_t position) {
    for (int32_t i = 0; i < n; i++)
        if (positions[i] == position) return i;
    abort();
}

static void compare_row(void *user, int64_t position, const float *row, int64_t n_vocab) {
    struct comparison *c = user;
    c->n_rows++;
    if (n_vocab != c->n_vocab) {
        c->difference = INFINITY;
        return;
    }
    int32_t at = index_of(c->positions, c->n_positions, position);
    const float *golden = c->logits + (int64_t)at * n_vocab;
    for (int64_t i = 0; i < n_vocab; i++) {
        double difference = fabs((double)row[i] - (double)golden[i]);
        if (difference > c->difference || isnan(difference)) {
            c->difference = isnan(difference) ? INFINITY : difference;
            c->where = position;
        }
    }
    c->divergence += divergence(golden, row, n_vocab);
}

static void compare_distribution(void *user, int64_t position, const float *row, int64_t n_vocab) {
    struct comparison *c = user;
    const struct golden_distributions *d = c->distributions;
    int64_t at = (int64_t)index_of(d->positions, d->n_positions, position) * d->k;
    c->n_rows++;
    c->divergence +=
        divergence_of_likeliest(d->ids + at, d->log_probabilities + at, d->k, row, n_vocab);
}

/* ---- small models ---- */

static void check_texts(const struct session *session, const char *name, const char *path) {
    int64_t size = 0;
    char *bytes = golden_read_bytes(path, &size);
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .add_special = TRANSFORMER_OFF};
    int n_texts = 0;
    char *rest = bytes;
    while (rest && *rest) {
        char text[256], expected[2048], got[2048] = "";
        int64_t length = 0, count = 0;
        int32_t tokens[256];
        for (; *rest != '\n'; rest += 2) {
            unsigned byte = 0;
            sscanf(rest, "%2x", &byte);
            text[length++] = (char)byte;
        }
        char *end = strchr(++rest, '\n');
        snprintf(expected, sizeof expected, "%.*s", (int)(end - rest), rest);
        rest = end + 1;
        n_texts++;
        if (transformer_tokenize(session->model, text, length, &options, tokens, 256, &count) !=
            TRANSFORMER_OK) {
            golden_failed(transformer_last_error(), name);
            continue;
        }
        size_t used = 0;
        for (int64_t i = 0; i < count; i++)
            used += (size_t)snprintf(got + used, sizeof got - used, i ? " %d" : "%d", tokens[i]);
        if (strcmp(expected, got) != 0) {
            printf("%s: '%.*s' is [%s], not [%s]\n", name, (int)length, text, expected, got);
            golden_failed("a text's ids", name);
        }
    }
    if (bytes) printf("%s: %d texts\n", name, n_texts);
    free(bytes);
}

/* models: the folder with the model, if not in that of the logits. */
static void check_small(const char *folder, const char *models, const char *file,
                        double divergence_tolerance) {
    char name[256], path[2048];
    struct golden golden;
    struct session session;
    snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - strlen(".logits")), file);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!golden_read_logits(path, &golden)) {
        golden_failed("golden file", name);
        return;
    }
    int64_t longest = 0;
    for (int32_t i = 0; i < golden.count; i++)
        if (golden.sequences[i].n_tokens > longest) longest = golden.sequences[i].n_tokens;
    if (models)
        snprintf(path, sizeof path, "%s/%s", models, name);
    else
        snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    if (!session_open(&session, path, longest, kv_type())) {
        golden_free(&golden);
        return;
    }
    struct comparison all = {0};
    for (int32_t i = 0; i < golden.count; i++) {
        const struct golden_sequence *s = &golden.sequences[i];
        struct comparison c = {.positions = s->positions,
                               .n_positions = s->n_positions,
                               .n_vocab = s->n_vocab,
                               .logits = s->logits};
        run_alone(&session, name, s->tokens, s->n_tokens, s->positions, s->n_positions, compare_row,
                  &c);
        if (c.n_rows != s->n_positions) golden_failed("positions are missing", name);
        if (reference && c.difference > SMALL_TOLERANCE) golden_failed("a logit differs", name);
        if (c.difference >= all.difference) {
            all.difference = c.difference;
            all.where = c.where;
        }
        all.divergence += c.divergence;
        all.n_rows += c.n_rows;
    }
    double mean = all.divergence / all.n_rows;
    printf("%-20s highest difference %.2e at position %lld, mean divergence %.2e\n", name,
           all.difference, (long long)all.where, mean);
    if (!(mean <= divergence_tolerance)) golden_failed("mean divergence", name);
    snprintf(path, sizeof path, "%s/%s.texts", folder, name);
    if (!models) check_texts(&session, name, path);
    session_close(&session);
    golden_free(&golden);
}

/* ---- encoder-decoders ---- */

static bool run_source(const struct session *session, const char *name,
                       const struct golden_source *golden, struct comparison *c) {
    transformer_sequence *sequence = NULL;
    uint8_t keep[256];
    int32_t positions[256];
    for (int32_t i = 0; i < golden->n_tokens; i++) positions[i] = i;
    memset(keep, 1, sizeof keep);
    *c = (struct comparison){.positions = positions,
                             .n_positions = golden->n_tokens,
                             .n_vocab = golden->n_vocab,
                             .logits = golden->logits};
    bool ok = golden->n_tokens <= 256 &&
              transformer_sequence_create(session->context, NULL, &sequence) == TRANSFORMER_OK &&
              transformer_sequence_set_source(sequence, golden->source, golden->n_source, NULL) ==
                  TRANSFORMER_OK &&
              run_tokens(session->context, sequence, golden->tokens, golden->n_tokens, keep,
                         compare_row, c);
    if (!ok) golden_failed(transformer_last_error(), name);
    transformer_sequence_destroy(sequence);
    c->positions = NULL;
    return ok;
}

static void check_sources(const char *path, const char *name, const struct golden *golden) {
    struct session session;
    double difference = 0, divergence = 0;
    int32_t n_rows = 0;
    if (!session_open(&session, path, 96, kv_type())) return;
    for (int32_t i = 0; i < golden->count; i++) {
        struct comparison c;
        if (!run_source(&session, name, &golden->sources[i], &c)) continue;
        if (c.n_rows != golden->sources[i].n_tokens) golden_failed("positions are missing", name);
        difference = fmax(difference, c.difference);
        divergence += c.divergence;
        n_rows += c.n_rows;
    }
    printf("%-30s highest difference %.2e, mean divergence %.2e\n", name, difference,
           divergence / n_rows);
    if (reference && !(difference <= SMALL_TOLERANCE)) golden_failed("a logit differs", name);
    if (!(divergence / n_rows <= UNQUANTIZED_TOLERANCE)) golden_failed("mean divergence", name);
    session_close(&session);
}

static int ends_in_sources(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".sources") == 0;
}

static int run_sources(const char *only) {
    char folder[1024], path[1400], name[300];
    struct dirent **entries = NULL;
    snprintf(folder, sizeof folder, "%s/encoder_decoders", data());
    int n = scandir(folder, &entries, ends_in_sources, alphasort);
    if (n < 14) golden_failed("number of golden files", folder);
    for (int i = 0; i < n; i++) {
        struct golden golden;
        size_t length = strlen(entries[i]->d_name) - strlen(".sources");
        snprintf(name, sizeof name, "%.*s", (int)length, entries[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
        if (only && strcmp(only, name) != 0) continue;
        if (!golden_read_sources(path, &golden)) {
            golden_failed("golden file", path);
            continue;
        }
        snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
        check_sources(path, path + strlen(folder) + 1, &golden);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        check_sources(path, path + strlen(folder) + 1, &golden);
        golden_free(&golden);
    }
    free(entries);
    return 0;
}

static int ends_in_logits(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".logits") == 0;
}

static int is_folder(const struct dirent *entry) {
    return !strchr(entry->d_name, '.');
}

/* Models of data/small and data/families as Hugging Face folders; and quantized ones, which have
 * their own logits. */
static int run_hf(void) {
    static const struct {
        const char *models, *logits, *others; /* where the logits are, or else */
        int n_models;
        double divergence_tolerance;
    } folders[] = {{"hf", "small", "families", 18, UNQUANTIZED_TOLERANCE},
                   {"hf_quantized", "hf_quantized", "quantized", 16, DIVERGENCE_TOLERANCE}};
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        char models[1024], logits[1024], file[300], path[2048];
        struct dirent **entries = NULL;
        snprintf(models, sizeof models, "%s/%s", data(), folders[f].models);
        int n = scandir(models, &entries, is_folder, alphasort);
        if (n != folders[f].n_models) golden_failed("number of folders", models);
        for (int i = 0; i < n; i++) {
            snprintf(file, sizeof file, "%s.logits", entries[i]->d_name);
            snprintf(logits, sizeof logits, "%s/%s", data(), folders[f].logits);
            snprintf(path, sizeof path, "%s/%s", logits, file);
            if (access(path, R_OK) != 0)
                snprintf(logits, sizeof logits, "%s/%s", data(), folders[f].others);
            check_small(logits, models, file, folders[f].divergence_tolerance);
            free(entries[i]);
        }
        free(entries);
    }
    return 0;
}

/* Those of e4m3 alone, for devices that TRANSFORMER_CUDA_FP8 tells to multiply with their codes;
 * with activations that are e4m3 too, another tolerance holds. */
static int run_fp8(const char *what) {
    static const char *const names[] = {"compressed-fp8-block", "compressed-fp8-channel",
                                        "compressed-fp8-tensor", "fp8-blocks", "fp8-powers"};
    const bool activations = what && strcmp(what, "activations") == 0;
    char folder[1024], file[300];
    snprintf(folder, sizeof folder, "%s/hf_quantized", data());
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s.logits", names[i]);
        check_small(folder, folder, file, activations ? FP8_TOLERANCE : UNQUANTIZED_TOLERANCE);
    }
    return 0;
}

/* Random configs of the families of decoders, each with its logits beside the folder. */
static int run_folders(void) {
    /* Models of a width of 4 make much of what a GPU's operands are rounded to. */
    double tolerance = getenv("TEST_DEVICE") ? DIVERGENCE_TOLERANCE : UNQUANTIZED_TOLERANCE;
    char folder[1024];
    struct dirent **entries = NULL;
    snprintf(folder, sizeof folder, "%s/folders", data());
    int n = scandir(folder, &entries, ends_in_logits, alphasort);
    if (n != N_FOLDERS) golden_failed("number of folders", folder);
    for (int i = 0; i < n; i++) {
        check_small(folder, folder, entries[i]->d_name, tolerance);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int run_small(void) {
    static const struct {
        const char *folder;
        int n_models; /* 0: any number */
        double divergence_tolerance;
    } folders[] = {{"small", 25, UNQUANTIZED_TOLERANCE},
                   {"families", 0, UNQUANTIZED_TOLERANCE},
                   {"quantized", 24, DIVERGENCE_TOLERANCE}};
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        struct dirent **entries = NULL;
        char folder[1024];
        snprintf(folder, sizeof folder, "%s/%s", data(), folders[f].folder);
        int n = scandir(folder, &entries, ends_in_logits, alphasort);
        if (n < 1 || (folders[f].n_models && n != folders[f].n_models))
            golden_failed("number of golden files", folder);
        for (int i = 0; i < n; i++) {
            check_small(folder, NULL, entries[i]->d_name, folders[f].divergence_tolerance);
            free(entries[i]);
        }
        free(entries);
    }
    return 0;
}

/* ---- real models ---- */

/* Each golden token is fed, so that one near tie doesn't end the comparison. */
struct choice {
    const struct golden_prompt *prompt;
    int32_t step, n_compared;
    double difference;
    bool ok;
};

static void compare_choice(void *user, int64_t position, const float *row, int64_t n_vocab) {
    struct choice *choice = user;
    const struct golden_prompt *prompt = choice->prompt;
    (void)position;
    if (choice->step == 0)
        for (int32_t i = 0; i < prompt->n_top; i++)
            choice->difference = fmax(choice->difference, fabs((double)row[prompt->top_ids[i]] -
                                                               (double)prompt->top_logits[i]));
    int64_t token = highest_of(row, n_vocab);
    if ((double)prompt->gaps[choice->step] >= (reference ? REFERENCE_TIE : FAST_TIE)) {
        choice->n_compared++;
        choice->ok = choice->ok && token == prompt->greedy[choice->step];
    }
    choice->step++;
}

static void check_prompt(const struct session *session, const char *name,
                         const struct golden_prompt *prompt) {
    struct choice choice = {.prompt = prompt, .ok = true};
    transformer_sequence *sequence = NULL;
    uint8_t *keep = calloc((size_t)prompt->n_tokens, 1);
    bool ok =
        keep && transformer_sequence_create(session->context, NULL, &sequence) == TRANSFORMER_OK;
    if (ok) keep[prompt->n_tokens - 1] = 1;
    ok = ok && run_tokens(session->context, sequence, prompt->tokens, prompt->n_tokens, keep,
                          compare_choice, &choice);
    const uint8_t one = 1;
    for (int32_t i = 0; ok && i + 1 < prompt->n_greedy; i++)
        ok = run_tokens(session->context, sequence, &prompt->greedy[i], 1, &one, compare_choice,
                        &choice);
    if (!ok) golden_failed(transformer_last_error(), name);
    printf("%s: prompt of %d tokens: highest difference of the top %d logits %.2e, %s in %d of %d "
           "greedy tokens compared\n",
           name, prompt->n_tokens, prompt->n_top, choice.difference,
           choice.ok ? "no other choice" : "another choice", choice.n_compared, prompt->n_greedy);
    fflush(stdout);
    if (!choice.ok) golden_failed("a greedy token", name);
    if (choice.step != prompt->n_greedy) golden_failed("greedy tokens are missing", name);
    if (reference && !(choice.difference <= REAL_TOLERANCE)) golden_failed("a top logit", name);
    transformer_sequence_destroy(sequence);
    free(keep);
}

static void check_prompts(const struct session *session, const struct real_model *model) {
    char path[512];
    struct golden golden;
    snprintf(path, sizeof path, "%s/real/%s.prompts", data(), model->name);
    if (!golden_read_prompts(path, &golden)) {
        golden_failed("golden file", model->name);
        return;
    }
    int32_t n_run = 0;
    for (int32_t i = 0; i < golden.count; i++) {
        if (reference && (golden.prompts[i].n_tokens > model->reference_tokens ||
                          n_run >= model->reference_prompts))
            continue;
        check_prompt(session, model->name, &golden.prompts[i]);
        n_run++;
    }
    if (n_run < 2) golden_failed("too few prompts", model->name);
    golden_free(&golden);
}

static void check_divergence(const struct session *session, const struct real_model *model) {
    char path[512];
    struct golden golden;
    snprintf(path, sizeof path, "%s/real/%s.distributions", data(), model->name);
    if (!golden_read_distributions(path, &golden)) {
        golden_failed("golden file", model->name);
        return;
    }
    const struct golden_distributions *d = &golden.distributions;
    struct comparison c = {.distributions = d};
    run_alone(session, model->name, d->tokens, d->n_tokens, d->positions, d->n_positions,
              compare_distribution, &c);
    double mean = c.divergence / c.n_rows;
    printf("%s: mean divergence %.2e over %d positions\n", model->name, mean, c.n_rows);
    if (c.n_rows != d->n_positions || !(mean <= DIVERGENCE_TOLERANCE))
        golden_failed("mean divergence", model->name);
    golden_free(&golden);
}

/* The first tokens of WikiText-2, where it is. */
static void check_wiki_tokens(const struct session *session, const struct real_model *model) {
    char path[1024];
    const char *shared = getenv("SHARED_DATA");
    int64_t size = 0, count = 0;
    struct golden golden;
    snprintf(path, sizeof path, "%s/corpora/wikitext-2-raw/wiki.test.raw",
             shared ? shared : SOURCE_ROOT "/../shared/data");
    char *text = golden_read_bytes(path, &size);
    if (!text) {
        printf("%s: tokens of the text skipped: there is no %s\n", model->name, path);
        return;
    }
    snprintf(path, sizeof path, "%s/real/%s.tokens", data(), model->name);
    if (!golden_read_tokens(path, &golden)) {
        golden_failed("golden file", model->name);
        free(text);
        return;
    }
    if (size > 60000) size = 60000;
    int32_t *tokens = calloc((size_t)size, sizeof *tokens);
    transformer_tokenize_options options = {.struct_size = sizeof options,
                                            .add_special = TRANSFORMER_OFF};
    if (!tokens || transformer_tokenize(session->model, text, size, &options, tokens, size,
                                        &count) != TRANSFORMER_OK)
        golden_failed(transformer_last_error(), model->name);
    int64_t same = 0;
    while (same < golden.count && same < count && tokens[same] == golden.tokens[same]) same++;
    printf("%s: %lld of %d tokens of the text\n", model->name, (long long)same, golden.count);
    if (same != golden.count) golden_failed("a token of the text", model->name);
    free(tokens);
    free(text);
    golden_free(&golden);
}

static void check_real(const struct real_model *model, const char *path) {
    struct session session;
    if (!session_open(&session, path, 1024, kv_type())) return;
    check_wiki_tokens(&session, model);
    check_prompts(&session, model);
    if (!reference) check_divergence(&session, model);
    session_close(&session);
}

/* ---- perplexity ---- */

struct score {
    const int32_t *tokens; /* of the chunk */
    double nll;            /* sum */
    int32_t n_rows;
};

static void score_row(void *user, int64_t position, const float *row, int64_t n_vocab) {
    struct score *score = user;
    score->nll += log_sum_exp(row, n_vocab) - (double)row[score->tokens[position + 1]];
    score->n_rows++;
}

static void check_perplexity(const struct session *session, const struct real_model *model,
                             const int32_t *tokens, const char *kind, int32_t begin) {
    char path[512];
    int32_t positions[CHUNK - FIRST_SCORED], chunk[CHUNK];
    double golden_total = 0, total = 0;
    snprintf(path, sizeof path, "%s/real/%s.%s", data(), model->name, kind);
    FILE *file = fopen(path, "r");
    if (!file) {
        golden_failed("golden file", path);
        return;
    }
    for (int i = 0; i < CHUNK - FIRST_SCORED; i++) positions[i] = FIRST_SCORED - 1 + i;
    for (int i = 0; i < N_CHUNKS; i++) {
        struct score score = {.tokens = chunk};
        int index = -1;
        double nll = NAN;
        if (fscanf(file, " chunk %d %lf", &index, &nll) != 2 || index != i) {
            golden_failed("golden file", path);
            break;
        }
        memcpy(chunk, tokens + i * CHUNK, sizeof chunk);
        if (begin >= 0) chunk[0] = begin;
        run_alone(session, model->name, chunk, CHUNK, positions, CHUNK - FIRST_SCORED, score_row,
                  &score);
        if (score.n_rows != CHUNK - FIRST_SCORED)
            golden_failed("positions are missing", model->name);
        printf("%s: chunk %d: %.6f nats, golden %.6f\n", model->name, i, score.nll / score.n_rows,
               nll);
        fflush(stdout);
        total += score.nll / score.n_rows;
        golden_total += nll;
    }
    fclose(file);
    double ours = exp(total / N_CHUNKS), golden = exp(golden_total / N_CHUNKS);
    printf("%s: %s %.4f, golden %.4f: %+.3f%%\n", model->name, kind, ours, golden,
           (ours / golden - 1) * 100);
    if (!(fabs(ours / golden - 1) <= model->perplexity_tolerance)) golden_failed(kind, model->name);
}

static void check_perplexities(const struct real_model *model, const char *path) {
    char tokens_path[512];
    struct session session;
    struct golden golden;
    int32_t begin = -1;
    if (!session_open(&session, path, CHUNK, kv_type())) return;
    snprintf(tokens_path, sizeof tokens_path, "%s/real/%s.tokens", data(), model->name);
    if (golden_read_tokens(tokens_path, &golden) && golden.count == N_CHUNKS * CHUNK) {
        check_perplexity(&session, model, golden.tokens, "perplexity", -1);
        if (model->begins && transformer_special_token(session.model, TRANSFORMER_TOKEN_BEGIN,
                                                       &begin) != TRANSFORMER_OK)
            golden_failed(transformer_last_error(), model->name);
        else if (model->begins)
            check_perplexity(&session, model, golden.tokens, "bos-perplexity", begin);
    } else {
        golden_failed("golden file", tokens_path);
    }
    golden_free(&golden);
    session_close(&session);
}

static int run_real(bool perplexity, const char *only) {
    const char *folder = getenv("TEST_MODELS");
    int n_run = 0;
    for (size_t i = 0; i < sizeof REAL_MODELS / sizeof *REAL_MODELS; i++) {
        const struct real_model *model = &REAL_MODELS[i];
        char path[1024];
        if (only && strcmp(only, model->name) != 0) continue;
        snprintf(path, sizeof path, "%s/%s.gguf", folder ? folder : ".", model->name);
        FILE *file = folder ? fopen(path, "rb") : NULL;
        if (!file) {
            printf("%s: skipped: %s\n", model->name,
                   folder ? "its file isn't in TEST_MODELS" : "TEST_MODELS isn't set");
            continue;
        }
        fclose(file);
        (perplexity ? check_perplexities : check_real)(model, path);
        n_run++;
    }
    return n_run ? 0 : 77;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    const char *only = argc > 2 ? argv[2] : NULL;
    const char *number = getenv("TEST_DEVICE");
    transformer_device_details device = {.struct_size = sizeof device};
    if (transformer_device_info(number ? atoi(number) : 0, &device) != TRANSFORMER_OK) {
        printf("%s\n", transformer_last_error());
        return 1;
    }
    reference = strcmp(device.path, "reference") == 0;
    printf("kernels: %s\n", device.path);
    int code = 2;
    if (strcmp(mode, "small") == 0) code = run_small();
    if (strcmp(mode, "hf") == 0) code = run_hf();
    if (strcmp(mode, "fp8") == 0) code = run_fp8(only);
    if (strcmp(mode, "folders") == 0) code = run_folders();
    if (strcmp(mode, "sources") == 0) code = run_sources(only);
    if (strcmp(mode, "real") == 0) code = run_real(false, only);
    if (strcmp(mode, "perplexity") == 0) code = run_real(true, only);
    if (code == 2)
        printf("usage: test_golden small | hf | fp8 [activations] | folders | sources [NAME] | "
               "real [MODEL] | perplexity [MODEL]\n");
    return golden_failures ? 1 : code;
}
