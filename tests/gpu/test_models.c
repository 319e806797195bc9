/* Whole models through the API: divergence from the CPU's reference kernels, memory beside the
 * estimate, tokens a second of prefill and decode, what launches cost the host, and the CPU's own
 * speed beside it.
 *
 * usage: test_models small | real | made [TYPE [SHAPE]] [SEED]
 *   small   golden models: what steps cost where there is next to nothing to compute
 *   real    every *.gguf of the folder TEST_MODELS
 *   made    random weights in the shape of Llama 3.2 1B ("1B"), or of an 8B's first 4 layers
 * ("8B"), in TYPE: Q4_K, Q8_0, BF16 In the emulator everything is tiny: what runs is tested, the
 * figures say nothing. */
#define _GNU_SOURCE /* scandir */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decode_ways.h"
#include "gpu_test.h"
#include "made_model.h"
#include "probe_image.h"
#include "read_rate.h"
#include "results.h"
#include "tests/golden/golden_run.h"
#include "timing.h"
#include "transformer.h"

enum { MAX_BATCH = 32, MAX_REPEATS = 32, PROMPT = 64 };
#define DIVERGENCE_TOLERANCE 2e-3 /* mean, in nats */
/* What the estimate may be off: a twentieth, and what graphs, kernels and roundings take. */
#define ESTIMATE_TOLERANCE 0.05
#define ESTIMATE_SLACK (32.0 * (1 << 20))

struct subject {
    struct gpu *gpu;
    char name[64];
    const char *path;
    const void *data; /* or: the file in memory */
    size_t n_bytes;
    bool bounded; /* a divergence over the tolerance is a failure */
    bool on_cpu;  /* speeds of the CPU too */
    double most_read;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *of, int n) {
    qsort(of, (size_t)n, sizeof *of, compare_doubles);
    return of[n / 2];
}

static bool fine(struct subject *s, transformer_status result, const char *what) {
    if (result == TRANSFORMER_OK) return true;
    gpu_fail(s->gpu, "%s: %s: %s: %s", s->name, what, transformer_status_name(result),
             transformer_last_error());
    return false;
}

static void tell(struct subject *s, const char *section, const char *device, const char *what,
                 double value, const char *unit) {
    char item[200];
    snprintf(item, sizeof item, "%s on the %s: %s", s->name, device, what);
    result_number(section, item, value, unit);
}

static transformer_model_options model_options(const struct subject *s, int32_t device) {
    return (transformer_model_options){.struct_size = sizeof(transformer_model_options),
                                       .path = s->path,
                                       .data = s->data,
                                       .data_size = s->n_bytes,
                                       .device = device};
}

/* ---- tokens ---- */

static const char text[] =
    "The river had risen in the night, and by morning the lower fields were under water. Two men "
    "stood on the bridge and talked about the price of grain, the school that was to be closed, "
    "and "
    "whether the road to the coast would be open again before the end of the week. Nobody knew.";

/* A prompt of n tokens: the text's where the model can read, else any. */
static void prompt(struct subject *s, const transformer_model *model, int32_t *tokens, int64_t n) {
    transformer_model_details details = {.struct_size = sizeof details};
    int64_t count = 0;
    if (!fine(s, transformer_model_info(model, &details), "model_info")) exit(1);
    for (int64_t i = 0; i < n; i++)
        tokens[i] = (int32_t)(gpu_random(s->gpu) % (uint32_t)details.n_vocab);
    if (!details.has_tokenizer) return;
    int32_t *of_text = malloc(1024 * sizeof *of_text);
    if (!of_text) exit(1);
    if (transformer_tokenize(model, text, (int64_t)strlen(text), NULL, of_text, 1024, &count) ==
        TRANSFORMER_OK)
        for (int64_t i = 0; i < n && count > 0; i++) tokens[i] = of_text[i % count];
    free(of_text);
}

/* ---- divergence from the CPU's reference ---- */

struct rows {
    float *logits; /* [n][n_vocab] */
    int64_t n_vocab;
};
static void keep_row(void *user, int64_t position, const float *row, int64_t n_vocab) {
    struct rows *rows = user;
    memcpy(rows->logits + position * n_vocab, row, (size_t)n_vocab * sizeof *row);
}

/* Logits of all of the tokens; to be freed. NULL: told. */
static float *logits_on(struct subject *s, int32_t device, const int32_t *tokens, int64_t n,
                        int64_t *n_vocab) {
    const transformer_model_options options = model_options(s, device);
    const transformer_context_options context_options = {
        .struct_size = sizeof context_options, .max_sequence_tokens = n + 1, .max_logit_rows = n};
    transformer_model *model = NULL;
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    transformer_model_details details = {.struct_size = sizeof details};
    struct rows rows = {0};
    uint8_t keep[PROMPT];
    memset(keep, 1, sizeof keep);
    bool ran = false;
    if (fine(s, transformer_model_open(&options, &model), "the model") &&
        fine(s, transformer_model_info(model, &details), "model_info") &&
        fine(s, transformer_context_create(model, &context_options, &context), "a context") &&
        fine(s, transformer_sequence_create(context, NULL, &sequence), "a sequence")) {
        *n_vocab = details.n_vocab;
        rows.logits = malloc((size_t)n * (size_t)details.n_vocab * sizeof *rows.logits);
        if (!rows.logits) exit(1);
        ran = run_tokens(context, sequence, tokens, n, keep, keep_row, &rows);
        if (!ran) gpu_fail(s->gpu, "%s: a step: %s", s->name, transformer_last_error());
    }
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
    if (ran) return rows.logits;
    free(rows.logits);
    return NULL;
}

static void compare(struct subject *s, int64_t n) {
    int32_t tokens[PROMPT];
    int64_t n_vocab = 0;
    transformer_model *model = NULL;
    const transformer_model_options options = model_options(s, 0);
    if (!fine(s, transformer_model_open(&options, &model), "the model on the CPU")) return;
    prompt(s, model, tokens, n);
    transformer_model_close(model);
    float *ours = logits_on(s, 1, tokens, n, &n_vocab);
    float *fast = logits_on(s, 0, tokens, n, &n_vocab);
    setenv("TRANSFORMER_CPU", "reference", 1);
    float *right = logits_on(s, 0, tokens, n, &n_vocab);
    unsetenv("TRANSFORMER_CPU");
    if (ours && fast && right) {
        double of_ours = 0, of_fast = 0;
        int n_same = 0;
        for (int64_t i = 0; i < n; i++) {
            const float *golden = right + i * n_vocab, *row = ours + i * n_vocab;
            of_ours += divergence(golden, row, n_vocab) / (double)n;
            of_fast += divergence(golden, fast + i * n_vocab, n_vocab) / (double)n;
            n_same += highest_of(golden, n_vocab) == highest_of(row, n_vocab);
        }
        tell(s, "models", "GPU", "divergence from the CPU's reference", of_ours, "nats");
        tell(s, "models", "CPU", "divergence from the CPU's reference", of_fast, "nats");
        tell(s, "models", "GPU", "same likeliest token", 100.0 * n_same / (double)n, "%");
        if (!isfinite(of_ours) || (s->bounded && !(of_ours <= DIVERGENCE_TOLERANCE)))
            gpu_fail(s->gpu, "%s: divergence %g", s->name, of_ours);
    }
    free(ours);
    free(fast);
    free(right);
}

/* ---- speeds ---- */

struct speeds {
    struct subject *subject;
    const char *device; /* "GPU", "CPU" */
    transformer_model *model;
    transformer_context *context;
    int32_t *tokens;     /* [2048] */
    double weight_bytes; /* of a step of one row */
};

/* Steps until nothing is pending; the seconds. Less than 0: told. */
static double run_pending(struct speeds *speeds) {
    transformer_decode_result result = {.struct_size = sizeof result};
    const double begin = now();
    do {
        if (!fine(speeds->subject, transformer_decode(speeds->context, NULL, &result), "a step"))
            return -1;
    } while (result.n_pending > 0 && result.n_rows > 0);
    return now() - begin;
}

static void time_prefill(struct speeds *speeds, int64_t n, int n_repeats) {
    struct subject *s = speeds->subject;
    double seconds[MAX_REPEATS];
    char what[80];
    for (int i = -1; i < n_repeats; i++) { /* the first warms up */
        transformer_sequence *sequence = NULL;
        if (!fine(s, transformer_sequence_create(speeds->context, NULL, &sequence), "a sequence"))
            return;
        const bool queued =
            fine(s, transformer_sequence_append(sequence, speeds->tokens, n, NULL), "tokens");
        const double took = queued ? run_pending(speeds) : -1;
        transformer_sequence_destroy(sequence);
        if (took < 0) return;
        if (i >= 0) seconds[i] = took;
    }
    snprintf(what, sizeof what, "prefill of %lld", (long long)n);
    tell(s, "models", speeds->device, what, (double)n / median(seconds, n_repeats), "tokens/s");
}

/* n_sequences that sample themselves, greedily, from `past` tokens on. The seconds of a step. */
static double step_seconds(struct speeds *speeds, int n_sequences, int64_t past, int n_steps) {
    struct subject *s = speeds->subject;
    transformer_sequence *sequences[MAX_BATCH] = {0};
    transformer_sampler *sampler = NULL;
    double seconds[MAX_REPEATS], took = -1;
    bool ready = fine(s, transformer_sampler_create(speeds->model, NULL, &sampler), "a sampler");
    const transformer_sequence_options options = {.struct_size = sizeof options,
                                                  .sampler = sampler};
    for (int i = 0; i < n_sequences && ready; i++)
        ready = fine(s, transformer_sequence_create(speeds->context, &options, &sequences[i]),
                     "a sequence") &&
                fine(s, transformer_sequence_append(sequences[i], speeds->tokens + i, past, NULL),
                     "tokens");
    if (ready && run_pending(speeds) >= 0) {
        for (int i = -2; i < n_steps; i++) {
            transformer_decode_result result = {.struct_size = sizeof result};
            const double begin = now();
            if (!fine(s, transformer_decode(speeds->context, NULL, &result), "a step")) break;
            if (i >= 0) seconds[i] = now() - begin;
            if (result.n_sampled != n_sequences) {
                gpu_fail(s->gpu, "%s: a step sampled %lld of %d tokens", s->name,
                         (long long)result.n_sampled, n_sequences);
                break;
            }
            if (i == n_steps - 1) took = median(seconds, n_steps);
        }
    }
    for (int i = 0; i < n_sequences; i++) transformer_sequence_destroy(sequences[i]);
    transformer_sampler_destroy(sampler);
    return took;
}

static void time_decode(struct speeds *speeds, int n_sequences, int64_t past, int n_steps) {
    struct subject *s = speeds->subject;
    const double seconds = step_seconds(speeds, n_sequences, past, n_steps);
    char what[80];
    if (seconds <= 0) return;
    snprintf(what, sizeof what, "decode of %d after %lld", n_sequences, (long long)past);
    tell(s, "models", speeds->device, what, n_sequences / seconds, "tokens/s");
    tell(s, "models", speeds->device, what, seconds * 1e6, "us a step");
    if (n_sequences == 1 && !strcmp(speeds->device, "GPU") && s->most_read > 0)
        tell(s, "models", speeds->device, what, 100 * speeds->weight_bytes / seconds / s->most_read,
             "% of reading the weights");
}

static size_t free_memory(struct gpu *gpu) {
    size_t free_bytes = 0, total = 0;
    gpu->driver.mem_get_info(&free_bytes, &total);
    return free_bytes;
}

static void compare_memory(struct subject *s, double estimated, double measured) {
    tell(s, "models", "GPU", "memory by the estimate", estimated / (1 << 20), "MiB");
    tell(s, "models", "GPU", "memory that it took", measured / (1 << 20), "MiB");
    tell(s, "models", "GPU", "memory, of the estimate", 100 * measured / estimated, "%");
    if (fabs(measured - estimated) > ESTIMATE_TOLERANCE * estimated + ESTIMATE_SLACK)
        gpu_fail(s->gpu, "%s: %.0f bytes are estimated, %.0f taken", s->name, estimated, measured);
}

/* device 0: fewer repetitions, for the CPU is slow. */
static void time_model(struct subject *s, int32_t device) {
    const bool tiny = s->gpu->emulated, on_gpu = device != 0;
    int64_t longest = tiny ? 96 : 4096;
    const transformer_model_options options = model_options(s, device);
    transformer_context_options context_options = {.struct_size = sizeof context_options,
                                                   .kv_tokens = tiny ? 512 : 16384,
                                                   .max_sequences = MAX_BATCH,
                                                   .max_step_tokens = tiny ? 64 : 2048};
    struct speeds speeds = {.subject = s, .device = on_gpu ? "GPU" : "CPU"};
    transformer_model_details details = {.struct_size = sizeof details};
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    speeds.tokens = malloc((size_t)longest * sizeof *speeds.tokens);
    if (!speeds.tokens) exit(1);
    const size_t before = free_memory(s->gpu);
    const double begin = now();
    if (fine(s, transformer_model_open(&options, &speeds.model), "the model") &&
        fine(s, transformer_model_info(speeds.model, &details), "model_info")) {
        if (longest > details.context_length) longest = details.context_length;
        context_options.max_sequence_tokens = longest;
        tell(s, "models", speeds.device, "loading",
             (double)details.weight_bytes / (now() - begin) * 1e-9, "GB/s of weights");
        prompt(s, speeds.model, speeds.tokens, longest);
        speeds.weight_bytes = (double)details.weight_bytes_per_token;
        if (fine(s, transformer_model_estimate(&options, &context_options, &estimate),
                 "an estimate") &&
            fine(s, transformer_context_create(speeds.model, &context_options, &speeds.context),
                 "a context")) {
            if (on_gpu)
                compare_memory(s, (double)estimate.device_bytes,
                               (double)before - (double)free_memory(s->gpu));
            const int n_steps = tiny ? 1 : on_gpu ? MAX_REPEATS : 8, n = tiny ? 1 : on_gpu ? 5 : 1;
            time_decode(&speeds, 1, tiny ? 3 : 128, n_steps);
            time_prefill(&speeds, tiny ? 20 : 512, n);
            if (!tiny && on_gpu) time_prefill(&speeds, 2048, n);
            if (!tiny) time_decode(&speeds, 8, 128, n_steps);
            if (on_gpu) time_decode(&speeds, tiny ? 2 : MAX_BATCH, tiny ? 3 : 128, n_steps);
            if (longest > 3000 + 2 * MAX_REPEATS && on_gpu) time_decode(&speeds, 1, 3000, n_steps);
        }
    }
    transformer_context_destroy(speeds.context);
    transformer_model_close(speeds.model);
    free(speeds.tokens);
}

/* Steps of n rows: as the persistent kernel, as a graph and launch by launch. */
static void time_ways(struct subject *s, int n) {
    static const char *const names[DECODE_WAYS] = {"by the persistent kernel", "as a graph",
                                                   "launch by launch"};
    const bool tiny = s->gpu->emulated;
    const transformer_model_options options = model_options(s, 1);
    const transformer_context_options context_options = {
        .struct_size = sizeof context_options, .max_sequence_tokens = 256, .max_sequences = n};
    int32_t tokens[PROMPT];
    struct speeds speeds = {.subject = s, .device = "GPU", .tokens = tokens};
    if (!fine(s, transformer_model_open(&options, &speeds.model), "the model")) return;
    prompt(s, speeds.model, tokens, PROMPT);
    for (int way = 0; way < DECODE_WAYS; way++) {
        double seconds = 0;
        char what[80];
        decode_way_choose((enum decode_way)way);
        if (fine(s, transformer_context_create(speeds.model, &context_options, &speeds.context),
                 "a context"))
            seconds = step_seconds(&speeds, n, tiny ? 3 : 32, tiny ? 1 : MAX_REPEATS);
        decode_way_choose(WAY_GRAPH);
        transformer_context_destroy(speeds.context);
        speeds.context = NULL;
        snprintf(what, sizeof what, "a step of %d rows %s", n, names[way]);
        if (seconds > 0) tell(s, "models", "GPU", what, seconds * 1e6, "us");
    }
    transformer_model_close(speeds.model);
}

/* The bits of one case, all ways. Returns whether it could be run. */
static bool compare_case(struct subject *s, transformer_model *model, const struct decode_case *of,
                         int64_t n_vocab) {
    struct decode_record records[DECODE_WAYS] = {0};
    const size_t n = (size_t)(DECODE_STEPS * of->n_sequences * n_vocab);
    bool ran = true;
    for (int way = 0; way < DECODE_WAYS; way++) {
        transformer_context *context = NULL;
        records[way].logits = malloc(n * sizeof(float));
        ran = ran && records[way].logits &&
              fine(s, decode_way_context(model, (enum decode_way)way, of, &context), "a context") &&
              fine(s, decode_way_run(model, context, of, n_vocab, &records[way]),
                   decode_way_names[way]);
        transformer_context_destroy(context);
    }
    for (int way = 1; ran && way < DECODE_WAYS; way++) {
        size_t first = 0;
        const size_t differ = decode_way_compare(&records[0], &records[way], of, n_vocab, &first);
        if (differ)
            gpu_fail(s->gpu, "%s: %d rows after %d tokens: %zu of %zu logits are not those of %s",
                     s->name, of->n_sequences, of->prompt, differ, n, decode_way_names[way]);
    }
    for (int way = 0; way < DECODE_WAYS; way++) free(records[way].logits);
    return ran;
}

/* Whichever way a step runs, it gives the same bits. */
static void compare_ways(struct subject *s) {
    static const struct decode_case cases[] = {{TRANSFORMER_KV_F16, 1, 20, false},
                                               {TRANSFORMER_KV_F16, 5, 20, true},
                                               {TRANSFORMER_KV_Q8_0, 2, 509, false},
                                               {TRANSFORMER_KV_BF16, 8, 508, true}};
    const transformer_model_options options = model_options(s, 1);
    transformer_model_details details = {.struct_size = sizeof details};
    transformer_model *model = NULL;
    if (!fine(s, transformer_model_open(&options, &model), "the model")) return;
    const int n = s->gpu->emulated ? 1 : (int)(sizeof cases / sizeof *cases);
    if (fine(s, transformer_model_info(model, &details), "model_info"))
        for (int i = 0; i < n && cases[i].prompt + 32 <= details.context_length; i++)
            if (!compare_case(s, model, &cases[i], details.n_vocab)) break;
    transformer_model_close(model);
}

static void measure(struct subject *s, int64_t n_compared) {
    time_model(s, 1);
    compare_ways(s);
    time_ways(s, 1);
    if (!s->gpu->emulated) time_ways(s, 8);
    compare(s, s->gpu->emulated ? 5 : n_compared);
    if (s->on_cpu) time_model(s, 0);
}

/* ---- which models ---- */

static void golden_path(char *path, size_t size, const char *name) {
    const char *goldens = getenv("TEST_GOLDENS");
    snprintf(path, size, "%s/small/%s.gguf", goldens ? goldens : SOURCE_ROOT "/tests/goldens/data",
             name);
}

static void measure_small(struct subject *s) {
    static const char *const names[] = {"llama-gqa", "gemma3-mqa"};
    for (int i = 0; i < (s->gpu->emulated ? 1 : 2); i++) {
        char path[4096];
        golden_path(path, sizeof path, names[i]);
        s->path = path;
        s->bounded = true;
        snprintf(s->name, sizeof s->name, "%s", names[i]);
        measure(s, PROMPT);
    }
}

static int is_model(const struct dirent *entry) {
    const size_t n = strlen(entry->d_name);
    return n > 5 && !strcmp(entry->d_name + n - 5, ".gguf");
}

static bool measure_real(struct subject *s) {
    const char *folder = getenv("TEST_MODELS");
    struct dirent **entries = NULL;
    const int n = folder && *folder ? scandir(folder, &entries, is_model, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        s->path = path;
        s->bounded = s->on_cpu = true;
        snprintf(s->name, sizeof s->name, "%.50s", entries[i]->d_name);
        measure(s, PROMPT);
        free(entries[i]);
    }
    free(entries);
    if (n <= 0) printf("skipped: TEST_MODELS names no folder with models\n");
    return n > 0;
}

static void measure_made(struct subject *s, int argc, char **argv) {
    static const struct made_shape shapes[] = {
        {"1B", 128256, 2048, 16, 32, 8, 64, 8192, true},
        {"8B", 128256, 4096, 4, 32, 8, 128, 14336, false},
    };
    static const struct made_shape tiny = {"1B", 300, 256, 2, 4, 2, 64, 512, true};
    static const enum weight_type types[] = {WEIGHT_Q4_K, WEIGHT_Q8_0, WEIGHT_BF16};
    enum weight_type type = WEIGHT_Q4_K;
    const struct made_shape *shape = &shapes[0];
    for (int i = 2; i < argc; i++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            if (!strcmp(argv[i], weight_type_traits[types[t]].name)) type = types[t];
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            if (!strcmp(argv[i], shapes[k].name)) shape = &shapes[k];
    }
    snprintf(s->name, sizeof s->name, "%s of %s%s", shape->name, weight_type_traits[type].name,
             shape == &shapes[1] ? ", 4 layers" : "");
    uint8_t *file = made_model(s->gpu->emulated ? &tiny : shape, type, s->gpu->seed, &s->n_bytes);
    s->data = file;
    s->path = "made.gguf";
    s->on_cpu = type == WEIGHT_Q4_K && shape == &shapes[0];
    measure(s, shape == &shapes[0] ? 8 : 4);
    free(file);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    struct timing timing;
    const char *which = argc > 1 ? argv[1] : "small";
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    struct subject subject = {.gpu = &gpu};
    bool any = true;
    timing_open(&timing, &gpu);
    if (probe_image_load(&gpu, argv[0]))
        subject.most_read = read_rate(&timing, gpu.emulated ? (size_t)1 << 18 : (size_t)1 << 30);
    timing_close(&timing);
    /* The library's kernels are on the device before memory is counted. */
    char path[4096];
    golden_path(path, sizeof path, "llama-gqa");
    const transformer_model_options options = {
        .struct_size = sizeof options, .path = path, .device = 1};
    transformer_model *first = NULL;
    if (fine(&subject, transformer_model_open(&options, &first), "a first model")) {
        if (!strcmp(which, "made"))
            measure_made(&subject, argc, argv);
        else if (!strcmp(which, "real"))
            any = measure_real(&subject);
        else
            measure_small(&subject);
    }
    transformer_model_close(first);
    const int result = gpu_close(&gpu);
    return result == 0 && !any ? GPU_SKIP : result;
}
