/* What the tests of the public API share: models, contexts, steps, and an allocator that counts.
 * Only <transformer.h> of the library. What the fixture allocates lives as long as the test. */
#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <transformer.h>

#define expect(code, call)                                                                   \
    do {                                                                                     \
        transformer_status expect_status = (call);                                           \
        ck_assert_msg(expect_status == (code), "%s is %s, not %s: %s", #call,                \
                      transformer_status_name(expect_status), transformer_status_name(code), \
                      transformer_last_error());                                             \
    } while (0)
#define ok(call) expect(TRANSFORMER_OK, call)
#define invalid(call) expect(TRANSFORMER_INVALID_ARGUMENT, call)

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

/* Freed never, but not lost either: a leak checker finds it. */
void *fixture_take(size_t size);
double fixture_seconds(void); /* of a clock that only goes forward */
void fixture_sleep(double seconds);

/* Path of a golden model: "small/llama-gqa", "quantized/llama-q4_1". */
const char *fixture_path(const char *name);
/* Path of a real model in the folder that TEST_MODELS names: "smollm2"; NULL if it isn't there. */
const char *fixture_real_path(const char *name);
/* On an emulated device a step takes a second: each path once must be enough there. */
bool fixture_is_brief(void);
/* 1, or how many times fewer turns of what loops are enough: slow kernels, a sanitizer. */
int64_t fixture_share(void);
/* The bytes of a file. */
void *fixture_read_file(const char *path, size_t *size);

transformer_model *fixture_open_path(const char *path);
transformer_model *fixture_open(const char *name);
int64_t fixture_n_vocab(const transformer_model *model);
/* options' struct_size is filled in; NULL: one thread. prefix_cache is OFF where they don't set it.
 */
transformer_context *fixture_context(transformer_model *model,
                                     const transformer_context_options *options);
transformer_sequence *fixture_sequence(transformer_context *context);
transformer_sampler *fixture_sampler(transformer_model *model, transformer_sampler_options options);
/* Destroys n sequences, their context, and the model. */
void fixture_end_all(transformer_model *model, transformer_context *context,
                     transformer_sequence *const *sequences, size_t n);
#define fixture_end(model, context, ...)                               \
    do {                                                               \
        transformer_sequence *const end_sequences[] = {__VA_ARGS__};   \
        fixture_end_all(model, context, end_sequences,                 \
                        sizeof end_sequences / sizeof *end_sequences); \
    } while (0)

/* n tokens that only `seed` and the vocabulary decide. */
int32_t *fixture_tokens(const transformer_model *model, uint64_t seed, int64_t n);
/* logits: TRANSFORMER_LOGITS_... */
void fixture_append(transformer_sequence *sequence, const int32_t *tokens, int64_t n,
                    uint32_t logits);
/* A sequence of the n tokens of `seed`, pending. */
transformer_sequence *fixture_prompt(transformer_context *context, const transformer_model *model,
                                     uint64_t seed, int64_t n, uint32_t logits);
/* One step of at most max_rows, 0: what the context allows. */
transformer_decode_result fixture_step(transformer_context *context, int64_t max_rows);
/* Steps until nothing is pending. */
void fixture_decode(transformer_context *context);
int64_t fixture_length(transformer_sequence *sequence, int64_t *n_computed);
int64_t fixture_computed(transformer_sequence *sequence); /* how many of its tokens */
transformer_context_statistics fixture_stats(transformer_context *context);

/* A copy of the logits after a position. */
float *fixture_logits(transformer_sequence *sequence, int64_t position);
/* The bits are the same. */
void fixture_same(const float *a, const float *b, int64_t n, const char *what);

/* An allocator that counts. */
struct counting {
    _Atomic uint64_t bytes, peak, n_calls;
    _Atomic int64_t n_live;
    transformer_allocator allocator;
};
void counting_init(struct counting *counting);

/* Runs the test cases in order, each for at most `seconds` in a process of its own. The exit code
 * of main. */
struct fixture_case {
    const char *name;
    const TTest *test;
    int n_loops; /* with _i from 0 on */
};
int fixture_main(const char *suite, int seconds, const struct fixture_case *cases, size_t n);
#define FIXTURE_MAIN(suite, seconds, ...)                                         \
    int main(void) {                                                              \
        const struct fixture_case cases[] = {__VA_ARGS__};                        \
        return fixture_main(suite, seconds, cases, sizeof cases / sizeof *cases); \
    }
#define LOOP(test, n_loops) \
    { #test, test, n_loops }
#define CASE(test) LOOP(test, 1)

#endif
