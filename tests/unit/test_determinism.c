/* The same tokens give the same logits, bit for bit, whatever else shares the step, in whatever
 * chunks, after whatever fork or truncation, on however many threads, and whatever the host's
 * floating-point environment is. */
#define _GNU_SOURCE
#include "api_fixture.h"

#include <fenv.h>
#include <pthread.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { PROMPT_TOKENS = 150, LAST_TOKENS = 4, N_TOKENS = PROMPT_TOKENS + LAST_TOKENS };

static const char *const names[] = {"small/llama-gqa",
                                    "small/qwen2-gqa-tied",
                                    "small/gemma3-mqa",
                                    "small/llama-window",
                                    "quantized/llama-q4_1",
                                    "quantized/llama-q4_k",
                                    "quantized/llama-q8_0",
                                    "quantized/llama-q6_k",
                                    "quantized/llama-f16",
                                    "quantized/llama-q5_0",
                                    "quantized/llama-q2_k",
                                    "quantized/llama-bf16",
                                    "families/olmo2",
                                    "families/granite",
                                    "families/gpt2",
                                    "families/cohere2",
                                    "families/mpt-clip",
                                    "families/qwen2moe",
                                    "families/gpt-oss",
                                    "families/granitemoe",
                                    "families/ernie4_5-moe",
                                    "quantized/qwen3moe-q8_0",
                                    "quantized/gpt-oss-mxfp4",
                                    "families/deepseek_v2-yarn",
                                    "families/deepseek_v3-experts"};
enum { N_MODELS = sizeof names / sizeof *names };

/* What is compared: logits of the last token of the prompt and of the tokens after it, one by one.
 */
struct bits {
    float *rows[1 + LAST_TOKENS];
};

static transformer_model *model;
static int32_t *tokens;
static int64_t n_vocab;
static uint32_t kv_type;
static struct bits alone;

static transformer_context *context_with(transformer_context_options options) {
    if (!options.n_threads) options.n_threads = 1;
    options.kv_type = kv_type;
    if (!options.kv_tokens) options.kv_tokens = 8 * 256;
    if (!options.max_sequence_tokens) options.max_sequence_tokens = 256;
    return fixture_context(model, &options);
}

/* Appends what follows the prompt token by token. */
static struct bits follow(transformer_context *context, transformer_sequence *sequence) {
    struct bits bits;
    bits.rows[0] = fixture_logits(sequence, -1);
    for (int i = 0; i < LAST_TOKENS; i++) {
        fixture_append(sequence, tokens + PROMPT_TOKENS + i, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
        bits.rows[1 + i] = fixture_logits(sequence, -1);
    }
    return bits;
}

static void same_bits(const struct bits *bits, const char *what) {
    for (int i = 0; i <= LAST_TOKENS; i++)
        fixture_same(bits->rows[i], alone.rows[i], n_vocab, what);
}

static transformer_sequence *prompt(transformer_context *context) {
    transformer_sequence *sequence = fixture_sequence(context);
    fixture_append(sequence, tokens, PROMPT_TOKENS, TRANSFORMER_LOGITS_LAST);
    return sequence;
}

static void end(transformer_context *context, transformer_sequence *sequence) {
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
}

static struct bits run(transformer_context_options options) {
    transformer_context *context = context_with(options);
    transformer_sequence *sequence = prompt(context);
    fixture_decode(context);
    struct bits bits = follow(context, sequence);
    end(context, sequence);
    return bits;
}

static void begin(transformer_model *opened, uint32_t type) {
    model = opened;
    kv_type = type;
    n_vocab = fixture_n_vocab(model);
    tokens = fixture_tokens(model, 1, N_TOKENS);
    alone = run((transformer_context_options){0});
    /* So that equality says something. */
    ck_assert_mem_ne(alone.rows[0], alone.rows[1], (size_t)n_vocab * sizeof(float));
    for (int64_t i = 0; i < n_vocab; i++) ck_assert(alone.rows[0][i] - alone.rows[0][i] == 0.0f);
}

/* Where steps are dear, single tokens are computed from behind the first page on, over the second
 * one's end. */
static void compare_chunks(void) {
    const int64_t chunks[] = {7, 64, PROMPT_TOKENS, 1};
    const int n = fixture_is_brief() ? 2 : 4;
    for (int i = 0; i < n; i++) {
        struct bits bits = run((transformer_context_options){.max_step_tokens = chunks[i]});
        same_bits(&bits, "chunks by max_step_tokens");
    }
    for (int i = fixture_is_brief() ? 3 : 0; i < 4; i++) {
        transformer_context *context = context_with((transformer_context_options){0});
        transformer_sequence *sequence = prompt(context);
        if (fixture_is_brief()) fixture_step(context, 120);
        while (fixture_step(context, chunks[i]).n_pending > 0) {
        }
        struct bits bits = follow(context, sequence);
        same_bits(&bits, "chunks by max_tokens");
        end(context, sequence);
    }
}

/* With 7 others that have other lengths and are in another place. */
static void compare_batch(int32_t n_threads) {
    transformer_context *context =
        context_with((transformer_context_options){.n_threads = n_threads, .max_step_tokens = 200});
    transformer_sequence *others[7];
    for (int i = 0; i < 4; i++)
        others[i] =
            fixture_prompt(context, model, 10 + (uint64_t)i, 3 + 29 * i, TRANSFORMER_LOGITS_ALL);
    transformer_sequence *sequence = prompt(context);
    for (int i = 4; i < 7; i++)
        others[i] = fixture_prompt(context, model, 10 + (uint64_t)i, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    /* Its row may have been kept by an earlier step than the last one; compute it again. */
    ok(transformer_sequence_truncate(sequence, PROMPT_TOKENS - 1));
    ok(transformer_sequence_truncate(sequence, PROMPT_TOKENS - 1 - (PROMPT_TOKENS - 1) % 3));
    int64_t length = fixture_length(sequence, NULL);
    fixture_append(sequence, tokens + length, PROMPT_TOKENS - length, TRANSFORMER_LOGITS_LAST);
    struct bits bits;
    for (int i = 0; i <= LAST_TOKENS; i++) {
        for (int j = 0; j < 7; j++) fixture_append(others[j], tokens + i + j, 1, (uint32_t)i % 2);
        if (i > 0)
            fixture_append(sequence, tokens + PROMPT_TOKENS + i - 1, 1, TRANSFORMER_LOGITS_LAST);
        ck_assert_int_ge(fixture_step(context, 0).n_ready, 8);
        bits.rows[i] = fixture_logits(sequence, -1);
    }
    same_bits(&bits, "in a batch of 8");
    for (int i = 0; i < 7; i++) transformer_sequence_destroy(others[i]);
    end(context, sequence);
}

/* The two go on in turns; what one writes the other doesn't see. at: where the fork is made. */
static void compare_fork(int64_t at) {
    transformer_context *context = context_with((transformer_context_options){0});
    transformer_sequence *parent = fixture_sequence(context), *fork = NULL;
    fixture_append(parent, tokens, at, TRANSFORMER_LOGITS_LAST);
    if (at % 2) fixture_decode(context); /* else the fork's tokens are pending ones */
    ok(transformer_sequence_fork(parent, NULL, &fork));
    const int32_t *noise = fixture_tokens(model, 77, 100);
    fixture_append(parent, noise, 5, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    if (at < PROMPT_TOKENS)
        fixture_append(fork, tokens + at, PROMPT_TOKENS - at, TRANSFORMER_LOGITS_LAST);
    fixture_append(parent, noise + 5, 70, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    /* Now the other way round: the parent goes back to what they share and follows. */
    if (at == PROMPT_TOKENS) {
        ok(transformer_sequence_truncate(fork, at - 1));
        fixture_append(fork, tokens + at - 1, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
    } else {
        ok(transformer_sequence_truncate(fork, at));
        fixture_append(fork, tokens + at, PROMPT_TOKENS - at, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
    }
    struct bits bits = follow(context, fork);
    same_bits(&bits, "a fork");
    ok(transformer_sequence_truncate(parent, at - 1));
    fixture_append(parent, tokens + at - 1, PROMPT_TOKENS - at + 1, TRANSFORMER_LOGITS_LAST);
    fixture_append(fork, noise, 20, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    bits = follow(context, parent);
    same_bits(&bits, "a fork's original");
    transformer_sequence_destroy(fork);
    end(context, parent);
}

static void compare_truncation(int64_t keep) {
    transformer_context *context = context_with((transformer_context_options){0});
    transformer_sequence *sequence = fixture_sequence(context);
    fixture_append(sequence, tokens, keep, TRANSFORMER_LOGITS_NONE);
    fixture_append(sequence, fixture_tokens(model, 5, 90), 90, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    ok(transformer_sequence_truncate(sequence, keep));
    ck_assert_int_eq(fixture_length(sequence, NULL), keep);
    fixture_append(sequence, tokens + keep, PROMPT_TOKENS - keep, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    struct bits bits = follow(context, sequence);
    same_bits(&bits, "after truncation");
    end(context, sequence);
}

/* ---- the host's threads ---- */

struct host_task {
    void (*task)(void *argument, int32_t index);
    void *argument;
    int32_t index;
};

static void *host_thread(void *argument) {
    struct host_task *task = argument;
    task->task(task->argument, task->index);
    return NULL;
}

static void host_run(void *user, int32_t n, void (*task)(void *, int32_t), void *argument) {
    pthread_t threads[16];
    struct host_task tasks[16];
    (*(int *)user)++;
    for (int32_t i = 0; i < n; i++) {
        tasks[i] = (struct host_task){task, argument, i};
        pthread_create(&threads[i], NULL, host_thread, &tasks[i]);
    }
    for (int32_t i = 0; i < n; i++) pthread_join(threads[i], NULL);
}

static void compare_threads(void) {
    const int32_t counts[] = {2, 5};
    for (int i = 0; i < 2; i++) {
        struct bits bits = run((transformer_context_options){.n_threads = counts[i]});
        same_bits(&bits, "with more threads");
        bits = run((transformer_context_options){.n_threads = counts[i], .max_step_tokens = 13});
        same_bits(&bits, "with more threads, in chunks");
    }
    int n_runs = 0;
    transformer_executor executor = {.run = host_run, .user = &n_runs, .n_concurrent = 3};
    struct bits bits = run((transformer_context_options){.n_threads = 4, .executor = &executor});
    same_bits(&bits, "with the host's threads");
    if (!getenv("TEST_DEVICE")) /* another device than the CPU has no use for it */
        ck_assert_int_eq(n_runs, 1 + LAST_TOKENS);
}

START_TEST(chunks_batches_forks) {
    transformer_model *opened = fixture_open(names[_i % N_MODELS]);
    begin(opened, TRANSFORMER_KV_F32 + (uint32_t)_i / N_MODELS);
    compare_chunks();
    compare_batch(1);
    compare_batch(2);
    compare_fork(64);
    compare_fork(101);
    compare_fork(PROMPT_TOKENS);
    compare_truncation(1);
    compare_truncation(64);
    compare_truncation(129);
    compare_threads();
    transformer_model_close(opened);
}
END_TEST

/* ---- pasts of several splits of the attention, which threads share out ---- */

enum { LONG = 1500, N_LONG = 5, N_STEPS = 3 };

static int64_t long_length(int index) {
    return LONG - 250 * index;
}

/* Logits after n_sequences long prompts and N_STEPS single tokens each, together. rows
 * [n_sequences], of sequences first, first + 1, … */
static void run_long(int32_t n_threads, int64_t max_step_tokens, int first, int n_sequences,
                     float **rows) {
    transformer_context *context =
        context_with((transformer_context_options){.n_threads = n_threads,
                                                   .max_step_tokens = max_step_tokens,
                                                   .max_sequence_tokens = LONG + N_STEPS,
                                                   .kv_tokens = N_LONG * (LONG + 64)});
    transformer_sequence *sequences[N_LONG];
    for (int i = 0; i < n_sequences; i++)
        sequences[i] = fixture_prompt(context, model, 40 + (uint64_t)(first + i),
                                      long_length(first + i), TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    for (int step = 0; step < N_STEPS; step++) {
        for (int i = 0; i < n_sequences; i++)
            fixture_append(sequences[i], tokens + step + first + i, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context);
    }
    for (int i = 0; i < n_sequences; i++) {
        rows[i] = fixture_logits(sequences[i], -1);
        transformer_sequence_destroy(sequences[i]);
    }
    transformer_context_destroy(context);
}

START_TEST(long_pasts) {
    static const char *const of[] = {"small/llama-gqa", "small/llama-window", "small/gemma3-mqa",
                                     "small/qwen2-gqa-tied"};
    transformer_model *opened = fixture_open(of[_i]);
    begin(opened, _i % 2 ? TRANSFORMER_KV_Q8_0 : TRANSFORMER_KV_F16);
    float *right[N_LONG], *rows[N_LONG];
    for (int i = 0; i < N_LONG; i++) run_long(1, 0, i, 1, right + i);
    ck_assert_mem_ne(right[0], right[1], (size_t)n_vocab * sizeof(float));
    for (int32_t n_threads = 2; n_threads <= 5; n_threads++) {
        run_long(n_threads, 100, 0, 1, rows);
        fixture_same(rows[0], right[0], n_vocab, "a long past, in chunks, on more threads");
        run_long(n_threads, 0, 0, N_LONG, rows);
        for (int i = 0; i < N_LONG; i++)
            fixture_same(rows[i], right[i], n_vocab, "among other long pasts, on more threads");
    }
    transformer_model_close(opened);
}
END_TEST

START_TEST(kv_types_differ) {
    transformer_model *opened = fixture_open(names[0]);
    struct bits of[5];
    for (uint32_t type = 0; type <= TRANSFORMER_KV_Q8_0; type++) {
        begin(opened, type);
        of[type] = alone;
    }
    size_t bytes = (size_t)n_vocab * sizeof(float);
    fixture_same(of[TRANSFORMER_KV_DEFAULT].rows[0], of[TRANSFORMER_KV_F16].rows[0], n_vocab,
                 "the default is f16");
    ck_assert_mem_ne(of[TRANSFORMER_KV_F16].rows[0], of[TRANSFORMER_KV_F32].rows[0], bytes);
    ck_assert_mem_ne(of[TRANSFORMER_KV_F16].rows[0], of[TRANSFORMER_KV_BF16].rows[0], bytes);
    ck_assert_mem_ne(of[TRANSFORMER_KV_F16].rows[0], of[TRANSFORMER_KV_Q8_0].rows[0], bytes);
    transformer_model_close(opened);
}
END_TEST

#if defined(__x86_64__)
/* Rounding upwards, denormals flushed and taken as zero: nothing of it reaches the numbers, in
 * threads of any kind, and it is all there afterwards. */
START_TEST(floating_point_environment) {
    const unsigned flush = 0x8040; /* FTZ, DAZ */
    transformer_model *opened = fixture_open("small/llama-gqa");
    begin(opened, TRANSFORMER_KV_F16);
    transformer_model_close(opened);
    fesetround(FE_UPWARD);
    _mm_setcsr(_mm_getcsr() | flush);
    unsigned before = _mm_getcsr();
    model = opened = fixture_open("small/llama-gqa");
    ck_assert_uint_eq(_mm_getcsr(), before);
    int n_runs = 0;
    transformer_executor executor = {.run = host_run, .user = &n_runs, .n_concurrent = 2};
    const transformer_context_options all[] = {
        {.n_threads = 1}, {.n_threads = 3}, {.n_threads = 2, .executor = &executor}};
    for (int i = 0; i < 3; i++) {
        struct bits bits = run(all[i]);
        ck_assert_uint_eq(_mm_getcsr() & (flush | 0x6000), before & (flush | 0x6000));
        ck_assert_int_eq(fegetround(), FE_UPWARD);
        same_bits(&bits, "in a strange floating-point environment");
    }
    /* A decode doesn't leave its own exception flags either. */
    transformer_context *context = context_with((transformer_context_options){0});
    transformer_sequence *sequence = prompt(context);
    feclearexcept(FE_ALL_EXCEPT);
    ok(transformer_decode(context, NULL, NULL));
    ck_assert_int_eq(fetestexcept(FE_ALL_EXCEPT), 0);
    end(context, sequence);
    transformer_model_close(opened);
}
END_TEST
#endif

START_TEST(real_model) {
    const char *path = fixture_real_path("smollm2");
    if (!path) {
        puts("skipped: real_model, TEST_MODELS names no folder with smollm2.gguf");
        return;
    }
    transformer_model *opened = fixture_open_path(path);
    begin(opened, TRANSFORMER_KV_F16);
    struct bits bits = run((transformer_context_options){.max_step_tokens = 7, .n_threads = 2});
    same_bits(&bits, "chunks of 7");
    compare_batch(2);
    compare_fork(101);
    transformer_model_close(opened);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("determinism");
    TCase *tests = tcase_create("determinism");
    tcase_set_timeout(tests, fixture_is_brief() ? 900 : 300);
    /* No divisor of the number of models: each is in some turn. */
    const int step = fixture_is_brief() ? 15 : fixture_share() > 1 ? 3 : 1;
    for (int i = 0; i < 4 * N_MODELS; i += step)
        tcase_add_loop_test(tests, chunks_batches_forks, i, i + 1);
    if (!fixture_is_brief()) tcase_add_loop_test(tests, long_pasts, 0, 4);
    tcase_add_test(tests, kv_types_differ);
#if defined(__x86_64__)
    tcase_add_test(tests, floating_point_environment);
#else
    puts("skipped: floating_point_environment, it sets x86's control register");
#endif
    tcase_add_test(tests, real_model);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
