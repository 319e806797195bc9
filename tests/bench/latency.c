/* What a step takes while answers are written and long prompts come in: for each limit of a step's
 * rows the median and the 99th percentile, over all steps of a time in which every other prompt's
 * length is followed by as many steps without one. The context's memory is touched as it is taken:
 * else a step that is the first to use a page of keys and values waits for the system's zeros.
 *
 * usage: latency MODEL [SEQUENCES] [PROMPT_TOKENS] [STEPS] [THREADS]     default 8 1024 300 0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <transformer.h>

struct run {
    transformer_model *model;
    transformer_context *context;
    transformer_sampler *sampler;
    transformer_sequence **answers; /* [n] */
    int64_t n, n_prompt, n_steps, n_vocab;
    int32_t n_threads;
    int32_t *tokens; /* [n_prompt] */
    uint64_t random;
};

static void require(transformer_status status) {
    if (status == TRANSFORMER_OK) return;
    fprintf(stderr, "%s: %s\n", transformer_status_name(status), transformer_last_error());
    exit(1);
}

static const int32_t *random_tokens(struct run *run) {
    for (int64_t i = 0; i < run->n_prompt; i++) {
        run->random = run->random * 6364136223846793005u + 1442695040888963407u;
        run->tokens[i] = (int32_t)((run->random >> 33) % (uint64_t)run->n_vocab);
    }
    return run->tokens;
}

static transformer_sequence *sequence_of(struct run *run, transformer_sampler *sampler, int64_t n) {
    transformer_sequence_options options = {.struct_size = sizeof options, .sampler = sampler};
    transformer_sequence *sequence = NULL;
    require(transformer_sequence_create(run->context, &options, &sequence));
    require(transformer_sequence_append(sequence, random_tokens(run), n, NULL));
    return sequence;
}

static int64_t computed(transformer_sequence *sequence) {
    int64_t n, n_computed;
    require(transformer_sequence_tokens(sequence, NULL, 0, &n, &n_computed));
    return n_computed;
}

static void *allocate(void *user, uint64_t size, uint64_t alignment) {
    (void)user;
    uint64_t whole = (size + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc((size_t)alignment, (size_t)whole);
    return memory ? memset(memory, 0, (size_t)whole) : NULL;
}

static void release(void *user, void *pointer, uint64_t size) {
    (void)user, (void)size;
    free(pointer);
}

static void begin(struct run *run) {
    static const transformer_allocator touching = {.allocate = allocate, .release = release};
    int64_t longest = run->n_prompt + run->n_steps + 64;
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = longest,
                                           .max_sequences = run->n + 1,
                                           .kv_tokens = (longest + 64) * (run->n + 1),
                                           .n_threads = run->n_threads,
                                           .allocator = &touching};
    require(transformer_context_create(run->model, &options, &run->context));
    for (int64_t i = 0; i < run->n; i++) run->answers[i] = sequence_of(run, run->sampler, 16);
    require(transformer_decode(run->context, NULL, NULL));
}

/* Steps of at most that many rows beside the answers'. Returns tokens of prompts. */
static int64_t serve(struct run *run, int64_t rows) {
    transformer_decode_options decode = {.struct_size = sizeof decode, .max_tokens = run->n + rows};
    int64_t n_prompts = 0, done = 0, pause = 0, busy = 0;
    transformer_sequence *prompt = NULL;
    for (int64_t step = 0; step < run->n_steps; step++) {
        if (!prompt && rows && pause-- <= 0) {
            prompt = sequence_of(run, NULL, run->n_prompt);
            busy = 0;
        }
        require(transformer_decode(run->context, &decode, NULL));
        if (!prompt) continue;
        busy++;
        done = computed(prompt);
        if (done < run->n_prompt) continue;
        transformer_sequence_destroy(prompt);
        prompt = NULL;
        n_prompts++;
        done = 0;
        pause = busy;
    }
    transformer_sequence_destroy(prompt);
    return n_prompts * run->n_prompt + done;
}

static void measure(struct run *run, int64_t rows) {
    begin(run);
    int64_t n_tokens = serve(run, rows);
    transformer_context_statistics s = {.struct_size = sizeof s};
    require(transformer_context_stats(run->context, &s));
    double median = (double)s.step_nanoseconds_median, p99 = (double)s.step_nanoseconds_p99;
    printf("%8lld %12.3f %12.3f %8.2f %14.1f\n", (long long)rows, median * 1e-6, p99 * 1e-6,
           p99 / median, (double)n_tokens / ((double)s.step_nanoseconds * 1e-9));
    fflush(stdout);
    for (int64_t i = 0; i < run->n; i++) transformer_sequence_destroy(run->answers[i]);
    transformer_context_destroy(run->context);
}

static int64_t number(int argc, char **argv, int at, int64_t fallback) {
    int64_t n = argc > at ? atoll(argv[at]) : fallback;
    if (n >= 0 && n <= 1 << 20) return n;
    fprintf(stderr, "%s is no number up to 1048576\n", argv[at]);
    exit(2);
}

int main(int argc, char **argv) {
    static const int64_t limits[] = {0, 4, 8, 16, 32, 64, 128, 504};
    if (argc < 2) {
        fprintf(stderr, "usage: latency MODEL [SEQUENCES] [PROMPT_TOKENS] [STEPS] [THREADS]\n");
        return 2;
    }
    struct run run = {.n = number(argc, argv, 2, 8),
                      .n_prompt = number(argc, argv, 3, 1024),
                      .n_steps = number(argc, argv, 4, 300),
                      .n_threads = (int32_t)number(argc, argv, 5, 0),
                      .random = 1};
    transformer_model_options options = {.struct_size = sizeof options, .path = argv[1]};
    transformer_model_details details = {.struct_size = sizeof details};
    if (run.n_prompt < 16) run.n_prompt = 16;
    require(transformer_model_open(&options, &run.model));
    require(transformer_model_info(run.model, &details));
    require(transformer_sampler_create(run.model, NULL, &run.sampler));
    run.n_vocab = details.n_vocab;
    run.tokens = calloc((size_t)run.n_prompt, sizeof *run.tokens);
    run.answers = calloc((size_t)run.n + 1, sizeof(transformer_sequence *));
    if (!run.tokens || !run.answers) return 1;
    printf("%8s %12s %12s %8s %14s\n", "rows", "median ms", "p99 ms", "ratio", "prompt tok/s");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) measure(&run, limits[i]);
    free(run.tokens);
    free(run.answers);
    transformer_sampler_destroy(run.sampler);
    transformer_model_close(run.model);
    return 0;
}
