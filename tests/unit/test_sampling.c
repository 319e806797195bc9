/* Sampling: random numbers against published vectors, each filter against distributions worked out
 * by hand and against sorting, penalties' arithmetic, what must never change a choice, bad options,
 * no memory. All draws are a function of the seed, so the statistical tests can't flicker. */
#define _GNU_SOURCE
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampling/chain.h"
#include "sampling/philox.h"
#include "sampling/rank.h"
#include "sampling/sampling.h"

#include <check.h> /* its macro `fail` must come after our function */

#define SIZE(array) (sizeof(array) / sizeof *(array))

static struct memory memory;

static struct sampling_chain *make(const transformer_sampler_options *options, int64_t n_vocab) {
    struct sampling_chain *chain;
    if (sampling_create(&memory, options, n_vocab, &chain) != OK) ck_abort_msg("%s", status_text());
    return chain;
}

/* One choice, in a chain of its own. */
static int32_t choose(const transformer_sampler_options *options, const float *logits,
                      int64_t n_vocab, uint64_t position) {
    struct sampling_chain *chain = make(options, n_vocab);
    int32_t token = sampling_choose(chain, logits, NULL, 0, 0, position);
    sampling_destroy(chain);
    return token;
}

/* How often each token comes out, positions 0 to n_draws-1. */
static void count_draws(const transformer_sampler_options *options, const float *logits,
                        int64_t n_vocab, int n_draws, int *counts) {
    struct sampling_chain *chain = make(options, n_vocab);
    memset(counts, 0, (size_t)n_vocab * sizeof *counts);
    for (int i = 0; i < n_draws; i++) {
        int32_t token = sampling_choose(chain, logits, NULL, 0, 7, (uint64_t)i);
        ck_assert(token >= 0 && token < n_vocab);
        counts[token]++;
    }
    sampling_destroy(chain);
}

#define N_DRAWS 20000

/* Draws must fit probabilities [n], which sum to 1: tokens of probability 0 never come, the rest
 * pass a chi-squared test (bound: 1 in 1000 for up to 7 degrees of freedom). */
static void expect_distribution(const transformer_sampler_options *options, const float *logits,
                                int n, const double *probabilities) {
    int counts[16];
    ck_assert_int_le(n, 8);
    count_draws(options, logits, n, N_DRAWS, counts);
    double squares = 0;
    for (int i = 0; i < n; i++) {
        double expected = probabilities[i] * N_DRAWS;
        if (expected == 0)
            ck_assert_msg(counts[i] == 0, "token %d came %d times", i, counts[i]);
        else
            squares += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    ck_assert_msg(squares < 24.3, "chi squared is %g", squares);
}

static void logits_of(const double *probabilities, int n, float *logits) {
    for (int i = 0; i < n; i++) logits[i] = (float)log(probabilities[i]);
}

static float random_logit(uint64_t seed, uint64_t i) {
    float sum = 0; /* roughly normal, a standard deviation of 3 */
    for (uint64_t j = 0; j < 12; j++) sum += sampling_uniform(seed, j, i);
    return (sum - 6) * 3;
}

/* ---- random numbers ---- */

START_TEST(philox_vectors) {
    /* kat_vectors of Random123: counter, key, result */
    static const uint32_t vectors[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (size_t i = 0; i < SIZE(vectors); i++) {
        const uint32_t *v = vectors[i];
        uint32_t random[4];
        philox_4x32_10(v, v + 4, random);
        ck_assert_mem_eq(random, v + 6, sizeof random);
        uint64_t position = v[0] | (uint64_t)v[1] << 32, stream = v[2] | (uint64_t)v[3] << 32;
        ck_assert_uint_eq(sampling_random(v[4] | (uint64_t)v[5] << 32, stream, position), v[6]);
    }
    ck_assert(sampling_uniform(0, 0, 0) == (float)(0x6627e8d5 >> 8) / 16777216.0f);
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        float uniform = sampling_uniform(1, 2, i);
        ck_assert(uniform >= 0 && uniform < 1);
        sum += (double)uniform;
    }
    ck_assert(fabs(sum / 100000 - 0.5) < 0.003); /* 3.3 standard deviations */
}
END_TEST

START_TEST(own_exp_is_exact_enough) {
    struct weight_scale scale = {.max = 0, .inverse_temperature = 1};
    double worst = 0;
    float logits[1000], weights[1000];
    for (int i = 0; i <= 86; i++) {
        for (int j = 0; j < 1000; j++) logits[j] = -(float)i - (float)j / 1000;
        weight_all(&scale, logits, 1000, 0, weights);
        for (int j = 0; j < 1000; j++) {
            double exact = exp((double)logits[j]);
            worst = fmax(worst, fabs((double)weights[j] - exact) / exact);
            float alone = weight_of(&scale, logits[j]);
            ck_assert_mem_eq(&alone, &weights[j], sizeof alone);
        }
    }
    ck_assert_msg(worst < 0x1p-22, "relative error %g", worst);
    ck_assert(weight_of(&scale, 0) == 1);
    ck_assert(weight_of(&scale, -INFINITY) == 0);
    ck_assert(weight_of(&scale, NAN) == 0);
    ck_assert(weight_of(&scale, -1e30f) == 0);
}
END_TEST

/* ---- greedy and temperature ---- */

START_TEST(greedy) {
    transformer_sampler_options options = {.top_k = 1, .top_p = 0.1f, .min_p = 0.9f, .seed = 3};
    static const struct {
        float logits[5];
        int32_t token;
    } cases[] = {
        {{1, 3, 2, 3, 0}, 1},
        {{-0.0f, 0.0f, -1, -1, -1}, 0},
        {{NAN, -5, NAN, -4, -4}, 3},
        {{-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY}, 0},
        {{NAN, NAN, NAN, NAN, NAN}, 0},
        {{0, INFINITY, 3e38f, INFINITY, NAN}, 1},
        {{-INFINITY, -3e38f, -INFINITY, -INFINITY, -INFINITY}, 1},
    };
    for (int draws = 0; draws < 2; draws++) { /* at a high temperature top-k 1 is greedy too */
        options.temperature = draws ? 100 : 0;
        for (size_t i = 0; i < SIZE(cases); i++)
            for (uint64_t position = 0; position < 20; position++)
                ck_assert_int_eq(choose(&options, cases[i].logits, 5, position), cases[i].token);
    }
}
END_TEST

START_TEST(temperature) {
    const double p[] = {0.5, 0.25, 0.125, 0.125};
    float logits[4];
    logits_of(p, 4, logits);
    transformer_sampler_options options = {.temperature = 1};
    expect_distribution(&options, logits, 4, p);
    options.temperature = 0.5f; /* squares: 16, 4, 1, 1 of 22 */
    expect_distribution(&options, logits, 4, (double[]){16. / 22, 4. / 22, 1. / 22, 1. / 22});
    options.temperature = 2; /* square roots */
    double s = sqrt(2);
    double total = 2 * s + 2 + s + s; /* of 8 p */
    expect_distribution(&options, logits, 4,
                        (double[]){2 * s / total, 2 / total, s / total, s / total});
    options.temperature = 3e38f;
    expect_distribution(&options, logits, 4, (double[]){0.25, 0.25, 0.25, 0.25});
    options.temperature = 1e-30f;
    expect_distribution(&options, logits, 4, (double[]){1, 0, 0, 0});
    options.temperature = 1e-45f;
    expect_distribution(&options, logits, 4, (double[]){1, 0, 0, 0});
    expect_distribution(&options, (float[]){2, 5, 5, 4.999999f}, 4, (double[]){0, 0.5, 0.5, 0});
}
END_TEST

START_TEST(odd_logits) {
    transformer_sampler_options options = {.temperature = 1};
    static const struct {
        float logits[4];
        double p[4];
    } cases[] = {
        {{INFINITY, 3, INFINITY, 0}, {0.5, 0, 0.5, 0}},
        {{NAN, 3, 3, -INFINITY}, {0, 0.5, 0.5, 0}},
        {{3e38f, -3e38f, 3e38f, NAN}, {0.5, 0, 0.5, 0}},
        {{-3e38f, -3e38f, -INFINITY, NAN}, {0.5, 0.5, 0, 0}},
        {{-INFINITY, NAN, -INFINITY, NAN}, {1, 0, 0, 0}},
    };
    for (size_t i = 0; i < SIZE(cases); i++) {
        options = (transformer_sampler_options){.temperature = 1};
        expect_distribution(&options, cases[i].logits, 4, cases[i].p);
        options.top_k = 3; /* none of the cases has more */
        expect_distribution(&options, cases[i].logits, 4, cases[i].p);
        options.top_p = 0.999f;
        expect_distribution(&options, cases[i].logits, 4, cases[i].p);
        options.temperature = 3e38f;
        options.min_p = 1e-30f;
        if (i == 0 || i == 1 || i == 4)
            expect_distribution(&options, cases[i].logits, 4,
                                i == 1 ? (double[]){0, 0.5, 0.5, 0} : cases[i].p);
    }
    options = (transformer_sampler_options){.temperature = 1, .top_k = 5, .top_p = 0.5f};
    ck_assert_int_eq(choose(&options, (float[]){7}, 1, 3), 0);
    ck_assert_int_eq(choose(&options, (float[]){NAN}, 1, 3), 0);
}
END_TEST

/* ---- filters ---- */

START_TEST(top_k) {
    const double p[] = {0.125, 0.5, 0.125, 0.25};
    float logits[4];
    logits_of(p, 4, logits);
    transformer_sampler_options options = {.temperature = 1, .top_k = 2};
    expect_distribution(&options, logits, 4, (double[]){0, 2. / 3, 0, 1. / 3});
    options.top_k = 3; /* of equals the lower id */
    expect_distribution(&options, logits, 4, (double[]){1. / 7, 4. / 7, 0, 2. / 7});
    options.temperature = 0.5f;
    options.top_k = 2;
    expect_distribution(&options, logits, 4, (double[]){0, 0.8, 0, 0.2});
}
END_TEST

START_TEST(top_p) {
    const double p[] = {0.1, 0.4, 0.2, 0.3};
    float logits[4];
    logits_of(p, 4, logits);
    transformer_sampler_options options = {.temperature = 1, .top_p = 0.35f};
    expect_distribution(&options, logits, 4, (double[]){0, 1, 0, 0});
    options.top_p = 0.45f;
    expect_distribution(&options, logits, 4, (double[]){0, 4. / 7, 0, 3. / 7});
    options.top_p = 0.75f;
    expect_distribution(&options, logits, 4, (double[]){0, 4. / 9, 2. / 9, 3. / 9});
    options.top_p = 0.95f;
    expect_distribution(&options, logits, 4, p);
    options.top_p = 1e-30f;
    expect_distribution(&options, logits, 4, (double[]){0, 1, 0, 0});
    options.top_p = 0.55f; /* of what top-k leaves: 4/7 is enough then */
    expect_distribution(&options, logits, 4, (double[]){0, 4. / 7, 0, 3. / 7});
    options.top_k = 2;
    expect_distribution(&options, logits, 4, (double[]){0, 1, 0, 0});
    options.top_k = 0;
    options.top_p = 0.5f; /* equals: exact, and the lower ids */
    expect_distribution(&options, (float[]){2, 2, 2, 2}, 4, (double[]){0.5, 0.5, 0, 0});
    options.top_p = 0.500001f;
    expect_distribution(&options, (float[]){2, 2, 2, 2}, 4, (double[]){1. / 3, 1. / 3, 1. / 3, 0});
    options.top_p = 0.75f; /* after temperature: of 1, 16, 4, 9 */
    options.temperature = 0.5f;
    expect_distribution(&options, logits, 4, (double[]){0, 0.64, 0, 0.36});
}
END_TEST

START_TEST(min_p) {
    const double p[] = {0.5, 0.25, 0.125, 0.125};
    float logits[4];
    logits_of(p, 4, logits);
    transformer_sampler_options options = {.temperature = 1, .min_p = 0.4f};
    expect_distribution(&options, logits, 4, (double[]){2. / 3, 1. / 3, 0, 0});
    options.temperature = 2; /* of 1, 0.71, 0.5, 0.5 */
    double s = sqrt(0.5), total = 1 + s + 0.5 + 0.5;
    expect_distribution(&options, logits, 4,
                        (double[]){1 / total, s / total, 0.5 / total, 0.5 / total});
    options.min_p = 0.6f;
    expect_distribution(&options, logits, 4, (double[]){1 / (1 + s), s / (1 + s), 0, 0});
    options.min_p = 1;
    expect_distribution(&options, logits, 4, (double[]){1, 0, 0, 0});
    expect_distribution(&options, (float[]){1, 4, 4, 4}, 4, (double[]){0, 1. / 3, 1. / 3, 1. / 3});
    /* top-p counts what min-p is going to drop: 0.5 of 1 is enough for 0.5, not of 0.75 */
    options = (transformer_sampler_options){.temperature = 1, .top_p = 0.7f, .min_p = 0.2f};
    expect_distribution(&options, logits, 4, (double[]){2. / 3, 1. / 3, 0, 0});
}
END_TEST

/* Against sorting, with many equal logits. */

struct token_logit {
    float logit;
    int32_t token;
};

static int likelier_first(const void *a, const void *b) {
    const struct token_logit *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

#define N_LARGE 20000

static float large[N_LARGE];
static struct token_logit sorted[N_LARGE];

static void make_large(uint64_t seed, float step) {
    for (int i = 0; i < N_LARGE; i++) {
        float logit = random_logit(seed, (uint64_t)i);
        large[i] = step > 0 ? rintf(logit / step) * step : logit;
        sorted[i] = (struct token_logit){large[i], i};
    }
    qsort(sorted, N_LARGE, sizeof *sorted, likelier_first);
}

static void expect_head(const struct candidates *candidates, size_t n) {
    ck_assert_uint_eq(candidates->n, n);
    static bool kept[N_LARGE];
    memset(kept, 0, sizeof kept);
    for (size_t i = 0; i < n; i++) {
        int32_t id = candidates->ids ? candidates->ids[i] : (int32_t)i;
        ck_assert(candidates->logits[i] == large[id]);
        ck_assert(i == 0 || !candidates->ids || candidates->ids[i - 1] < id);
        kept[id] = true;
    }
    for (size_t i = 0; i < n; i++) ck_assert(kept[sorted[i].token]);
}

static const float steps[] = {0, 0.25f, 2, 100};

START_TEST(filters_against_sorting) {
    transformer_sampler_options options = {.temperature = 1, .top_k = 5, .top_p = 0.5f};
    struct sampling_chain *chain = make(&options, N_LARGE);
    int n_compared = 0;
    for (size_t s = 0; s < SIZE(steps); s++) {
        make_large(s, steps[s]);
        struct candidates all = {.logits = large, .n = N_LARGE};
        all.scale = (struct weight_scale){.max = sorted[0].logit, .inverse_temperature = 1};
        static const size_t ks[] = {1, 2, 40, 255, 256, 1000, 4999, 5000, 15000, N_LARGE - 1};
        for (size_t i = 0; i < SIZE(ks); i++) {
            struct candidates kept = all;
            filter_top_k(chain, &kept, ks[i]);
            expect_head(&kept, ks[i]);
        }
        if (sorted[0].logit == sorted[N_LARGE - 1].logit) continue; /* see equal_logits */
        static const double ps[] = {1e-9, 0.1, 0.33, 0.5, 0.9, 0.95, 0.999};
        double total = 0;
        for (int i = 0; i < N_LARGE; i++) total += exp((double)(large[i] - sorted[0].logit));
        for (size_t i = 0; i < SIZE(ps); i++) {
            double sum = 0;
            size_t n = 0;
            while (sum < ps[i] * total) sum += exp((double)(sorted[n++].logit - sorted[0].logit));
            double missed = sum - exp((double)(sorted[n - 1].logit - sorted[0].logit));
            double margin = fmin(sum / total - ps[i], ps[i] - missed / total);
            if (margin < 1e-7 && n > 1) continue; /* too close to call */
            n_compared++;
            struct candidates kept = all;
            filter_top_p(chain, &kept, (float)ps[i]);
            expect_head(&kept, n);
        }
    }
    ck_assert_int_ge(n_compared, 18);
    sampling_destroy(chain);
}
END_TEST

START_TEST(selection_against_sorting) {
    static uint64_t ranks[N_LARGE];
    for (size_t s = 0; s < SIZE(steps); s++) {
        make_large(s, steps[s]);
        for (int order = 0; order < 3; order++) { /* as they come, sorted, sorted backwards */
            for (size_t k = 1; k <= N_LARGE; k += 1 + k) {
                for (int i = 0; i < N_LARGE; i++) {
                    const struct token_logit *t = &sorted[order == 2 ? N_LARGE - 1 - i : i];
                    ranks[i] = order == 0 ? rank_of(large[i], i) : rank_of(t->logit, t->token);
                }
                uint64_t kth = rank_of(sorted[k - 1].logit, sorted[k - 1].token);
                ck_assert_uint_eq(rank_select(ranks, N_LARGE, k), kth);
                for (size_t i = 0; i < k; i++) ck_assert_uint_ge(ranks[i], kth);
            }
        }
    }
    static const float values[] = {-INFINITY, -3e38f, -1, -1e-45f, 0, 1e-45f, 2, 3e38f, INFINITY};
    for (size_t i = 0; i < SIZE(values); i++) {
        ck_assert(rank_logit(rank_of(values[i], 5)) == values[i]);
        if (i > 0) ck_assert_uint_gt(rank_of(values[i], 9), rank_of(values[i - 1], 3));
        ck_assert_uint_gt(rank_of(values[i], 3), rank_of(values[i], 4));
    }
    ck_assert_uint_eq(rank_of(-0.0f, 1), rank_of(0.0f, 1));
}
END_TEST

/* A whole vocabulary of one logit: weights are exactly 1, so is the cut. */
START_TEST(equal_logits) {
    enum { N = 1 << 18 };
    static float logits[N];
    transformer_sampler_options options = {.temperature = 1, .top_p = 0.25f};
    struct sampling_chain *chain = make(&options, N);
    struct candidates kept = {.logits = logits, .n = N, .scale = {0, 1}};
    filter_top_p(chain, &kept, 0.25f);
    ck_assert_uint_eq(kept.n, N / 4);
    for (int32_t i = 0; i < N / 4; i++) ck_assert_int_eq(kept.ids[i], i);
    for (uint64_t i = 0; i < 20; i++) /* the draw goes through the tokens by id */
        ck_assert_int_eq(sampling_choose(chain, logits, NULL, 0, 0, i),
                         (int)(sampling_uniform(0, 0, i) * (N / 4)));
    sampling_destroy(chain);
    options = (transformer_sampler_options){.temperature = 1};
    chain = make(&options, N);
    for (uint64_t i = 0; i < 100; i++)
        ck_assert_int_eq(sampling_choose(chain, logits, NULL, 0, 0, i),
                         (int)(sampling_uniform(0, 0, i) * N));
    sampling_destroy(chain);
}
END_TEST

/* ---- top-p of a whole vocabulary against sorting ---- */

enum { N_HUGE = (1 << 18) + 3 };

static float huge[N_HUGE];
static struct token_logit huge_sorted[N_HUGE];

/* Kinds of logits that a filter may stumble over. */
enum {
    HUGE_NORMAL,
    HUGE_FLAT,
    HUGE_EQUAL,
    HUGE_DOMINANT,
    HUGE_TIES,
    HUGE_GAPS,
    HUGE_TWO_VALUES,
    HUGE_TINY,
    HUGE_INFINITE,
    HUGE_KINDS
};

static float huge_logit(int kind, int i) {
    float normal = random_logit(77, (uint64_t)i);
    switch (kind) {
    case HUGE_NORMAL:
        return normal;
    case HUGE_FLAT:
        return normal / 100;
    case HUGE_EQUAL:
        return -7;
    case HUGE_DOMINANT:
        return i == N_HUGE - 2 ? 60 : normal;
    case HUGE_TIES:
        return rintf(normal);
    case HUGE_GAPS: /* what is no number or nothing, in between */
        return i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : normal;
    case HUGE_TWO_VALUES: /* a little more than one float apart */
        return i % 2 ? 1 : 1 - 0x1p-22f;
    case HUGE_TINY: /* around 0, denormals and both zeros */
        return i % 5 ? (normal > 0 ? 1e-41f : -1e-41f) : (i % 2 ? 0.0f : -0.0f);
    default:
        return i % 1000 == 999 ? INFINITY : i % 7 ? normal : 3e38f;
    }
}

/* Those that can be drawn, the likeliest first; returns how many. */
static size_t sort_huge(int kind) {
    size_t n = 0;
    for (int i = 0; i < N_HUGE; i++) {
        huge[i] = huge_logit(kind, i);
        if (huge[i] > -INFINITY) huge_sorted[n++] = (struct token_logit){huge[i], i};
    }
    qsort(huge_sorted, n, sizeof *huge_sorted, likelier_first);
    return n;
}

static double huge_weight(size_t i, float divisor) {
    if (huge_sorted[i].logit == huge_sorted[0].logit) return 1;
    return exp(((double)huge_sorted[i].logit - (double)huge_sorted[0].logit) / (double)divisor);
}

/* How many of the likeliest hold `least`. */
static size_t huge_head(size_t n, float divisor, double least) {
    double sum = 0;
    size_t i = 0;
    while (i < n && sum < least) sum += huge_weight(i++, divisor);
    return i ? i : 1;
}

/* No assertion in the loops: Check writes down where each of them is. */
static void expect_huge_head(const struct candidates *kept) {
    static bool is_kept[N_HUGE];
    size_t n_wrong = 0;
    memset(is_kept, 0, sizeof is_kept);
    for (size_t i = 0; i < kept->n; i++) {
        n_wrong += kept->logits[i] != huge[kept->ids[i]];
        n_wrong += i > 0 && kept->ids[i - 1] >= kept->ids[i];
        is_kept[kept->ids[i]] = true;
    }
    for (size_t i = 0; i < kept->n; i++) n_wrong += !is_kept[huge_sorted[i].token];
    ck_assert_uint_eq(n_wrong, 0);
}

START_TEST(top_p_of_a_vocabulary) {
    static const float temperatures[] = {1, 0.7f, 50}, ps[] = {1e-6f, 0.3f, 0.9f, 0.99f, 0.9999f};
    transformer_sampler_options options = {.temperature = 1, .top_p = 0.5f};
    struct sampling_chain *chain = make(&options, N_HUGE);
    size_t n = sort_huge(_i);
    for (size_t t = 0; t < SIZE(temperatures); t++) {
        double total = 0;
        for (size_t i = 0; i < n; i++) total += huge_weight(i, temperatures[t]);
        for (size_t i = 0; i < SIZE(ps); i++) {
            struct candidates kept = {.logits = huge, .n = N_HUGE};
            kept.scale = (struct weight_scale){huge_sorted[0].logit, 1 / temperatures[t]};
            filter_top_p(chain, &kept, ps[i]);
            /* Its weights are right to 2^-22, so is the place of the cut. */
            double margin = 1e-6;
            size_t least = huge_head(n, temperatures[t], ((double)ps[i] - margin) * total);
            size_t most = huge_head(n, temperatures[t], ((double)ps[i] + margin) * total);
            ck_assert_msg(kept.n >= least && kept.n <= most,
                          "top_p %g at %g keeps %zu, not %zu to %zu", (double)ps[i],
                          (double)temperatures[t], kept.n, least, most);
            expect_huge_head(&kept);
            if (_i != HUGE_NORMAL || ps[i] < 0.5f) continue;
            /* Once more, of what is left, in place. */
            size_t before = kept.n;
            filter_top_p(chain, &kept, 0.5f);
            ck_assert_uint_lt(kept.n, before);
            expect_huge_head(&kept);
        }
    }
    sampling_destroy(chain);
}
END_TEST

/* The least logit of a bin is that: the float below it is in a later one. */
START_TEST(edges_of_bins) {
    static const struct weight_scale scales[] = {
        {0, 1},          {17.25f, 1 / 0.7f}, {-3, 1e-3f},      {INFINITY, 1},
        {3e38f, 1},      {-3e38f, 1},        {5, INFINITY},    {5, 1e-39f},
        {1e-42f, 1e30f}, {FLT_MAX, 1e-38f},  {-1e-42f, 1e38f}, {100, 30}};
    for (size_t s = 0; s < SIZE(scales); s++) {
        for (int32_t bin = 0; bin < WEIGHT_N_BINS; bin++) {
            float edge = weight_least_logit(&scales[s], bin), weights[5];
            float logits[] = {edge, nextafterf(edge, -INFINITY), scales[s].max, -INFINITY, NAN};
            int32_t bins[5];
            weight_bins(&scales[s], logits, 5, weights, bins);
            bool right = bins[0] <= bin && (edge == -FLT_MAX || bins[1] > bin) && bins[2] == 0 &&
                         bins[3] == WEIGHT_N_BINS - 1 && bins[4] == WEIGHT_N_BINS - 1;
            for (int i = 0; i < 5; i++) {
                float alone = weight_of(&scales[s], logits[i]);
                right = right && memcmp(&alone, &weights[i], sizeof alone) == 0;
            }
            if (!right) ck_abort_msg("scale %zu, bin %d: %g", s, bin, (double)edge);
        }
    }
}
END_TEST

/* ---- bias and penalties ---- */

static void expect_adjusted(transformer_sampler_options options, const int32_t *history, int64_t n,
                            const float *expected) {
    static const float logits[] = {4, -4, 0, 2, NAN, -INFINITY};
    options.temperature = 1;
    struct sampling_chain *chain = make(&options, 6);
    for (int call = 0; call < 2; call++) { /* the second finds no trace of the first */
        adjust_logits(chain, logits, history, n);
        for (int i = 0; i < 6; i++)
            ck_assert_msg(chain->logits[i] == expected[i], "call %d, token %d: %g, not %g", call, i,
                          (double)chain->logits[i], (double)expected[i]);
    }
    sampling_destroy(chain);
}

START_TEST(penalties) {
    const int32_t history[] = {3, 0, 1, 0, 5, 4, 0};
    const int64_t n = SIZE(history);
    const float inf = INFINITY;
    typedef transformer_sampler_options o;
    expect_adjusted((o){.repetition_penalty = 2}, history, n, (float[]){2, -8, 0, 1, -inf, -inf});
    expect_adjusted((o){.frequency_penalty = 0.5f}, history, n,
                    (float[]){2.5f, -4.5f, 0, 1.5f, -inf, -inf});
    expect_adjusted((o){.presence_penalty = 0.5f}, history, n,
                    (float[]){3.5f, -4.5f, 0, 1.5f, -inf, -inf});
    expect_adjusted((o){.presence_penalty = -1}, history, n, (float[]){5, -3, 0, 3, -inf, -inf});
    expect_adjusted((o){.repetition_penalty = 2, .frequency_penalty = 1, .presence_penalty = 0.25f},
                    history, n, (float[]){2 - 3.25f, -8 - 1.25f, 0, 1 - 1.25f, -inf, -inf});
    expect_adjusted((o){.presence_penalty = 1, .penalty_window = 5}, history, n,
                    (float[]){3, -5, 0, 2, -inf, -inf});
    expect_adjusted((o){.frequency_penalty = 1, .penalty_window = 4}, history, n,
                    (float[]){2, -4, 0, 2, -inf, -inf});
    expect_adjusted((o){.frequency_penalty = 1, .penalty_window = 100}, history, n,
                    (float[]){1, -5, 0, 1, -inf, -inf});
    expect_adjusted((o){.frequency_penalty = 1}, NULL, 0, (float[]){4, -4, 0, 2, -inf, -inf});
    expect_adjusted((o){.frequency_penalty = 1}, (int32_t[]){-1, 6, 0, INT32_MAX}, 4,
                    (float[]){3, -4, 0, 2, -inf, -inf});
    /* the sum overflows: still no NaN */
    expect_adjusted((o){.frequency_penalty = -3e38f, .presence_penalty = 3e38f}, history, n,
                    (float[]){inf, 0, 0, 0, -inf, -inf});
}
END_TEST

START_TEST(bias) {
    typedef transformer_sampler_options o;
    transformer_logit_bias biases[] = {{0, -6}, {1, 1.5f}, {2, -INFINITY}, {1, 1}, {5, 9}};
    o options = {.logit_bias = biases, .n_logit_bias = 5};
    expect_adjusted(options, NULL, 0, (float[]){-2, -1.5f, -INFINITY, 2, -INFINITY, -INFINITY});
    options.repetition_penalty = 2; /* looks at the sign after the bias */
    expect_adjusted(options, (int32_t[]){0}, 1,
                    (float[]){-4, -1.5f, -INFINITY, 2, -INFINITY, -INFINITY});
    transformer_logit_bias forbid[] = {
        {0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}, {3, -INFINITY}};
    options = (o){.temperature = 1, .logit_bias = forbid, .n_logit_bias = 2};
    expect_distribution(&options, (float[]){9, INFINITY, 1, 1}, 4, (double[]){0, 0, 0.5, 0.5});
    options.n_logit_bias = 4;
    expect_distribution(&options, (float[]){9, INFINITY, 1, 1}, 4, (double[]){1, 0, 0, 0});
    struct sampling_chain *chain = make(&(o){.logit_bias = forbid, .n_logit_bias = 1}, 4);
    memset(forbid, 0, sizeof forbid); /* it was copied */
    ck_assert_int_eq(sampling_choose(chain, (float[]){9, 1, 2, 2}, NULL, 0, 0, 0), 2);
    sampling_destroy(chain);
}
END_TEST

/* ---- what a choice depends on, and what not ---- */

#define N_POSITIONS 200

static const transformer_sampler_options plain = {.temperature = 0.9f, .seed = 11};
static const transformer_sampler_options filtered = {.temperature = 0.9f,
                                                     .seed = 11,
                                                     .top_k = 50,
                                                     .top_p = 0.9f,
                                                     .min_p = 0.01f,
                                                     .repetition_penalty = 1.1f,
                                                     .frequency_penalty = 0.1f};

static void text_of(struct sampling_chain *chain, uint64_t stream, int32_t *text) {
    for (uint64_t i = 0; i < N_POSITIONS; i++)
        text[i] = sampling_choose(chain, large, text, (int64_t)i, stream, i);
}

static void expect_text(const transformer_sampler_options *options, const int32_t *expected) {
    int32_t text[N_POSITIONS];
    struct sampling_chain *chain = make(options, N_LARGE);
    text_of(chain, 5, text);
    sampling_destroy(chain);
    ck_assert_mem_eq(text, expected, sizeof text);
}

/* The sums behind a choice have the same bits whatever the thread's rounding mode. */
static void expect_own_environment(const transformer_sampler_options *options) {
    struct sampling_chain *chain = make(options, N_LARGE), *other = make(options, N_LARGE);
    sampling_choose(chain, large, NULL, 0, 0, 0);
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    sampling_choose(other, large, NULL, 0, 0, 0);
    int rounding = fegetround(), raised = fetestexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    ck_assert_int_eq(rounding, FE_UPWARD);
    ck_assert_int_eq(raised, 0);
    ck_assert_mem_eq(chain->chunk_weight, other->chunk_weight,
                     draw_n_chunks(N_LARGE) * sizeof(double));
    sampling_destroy(chain);
    sampling_destroy(other);
}

START_TEST(same_seed_same_text) {
    make_large(1, 0);
    for (int i = 0; i < 2; i++) {
        const transformer_sampler_options *options = i ? &filtered : &plain;
        int32_t text[N_POSITIONS], other[N_POSITIONS];
        struct sampling_chain *chain = make(options, N_LARGE), *clone;
        ck_assert_int_eq(sampling_clone(chain, &clone), OK);
        ck_assert_int_eq(sampling_n_vocab(clone), N_LARGE);
        text_of(chain, 5, text);
        text_of(chain, 6, other); /* another stream in between */
        ck_assert(memcmp(text, other, sizeof text) != 0);
        text_of(chain, 5, other);
        ck_assert_mem_eq(text, other, sizeof text);
        sampling_destroy(chain);
        text_of(clone, 5, other);
        ck_assert_mem_eq(text, other, sizeof text);
        sampling_destroy(clone);

        transformer_sampler_options reseeded = *options;
        reseeded.seed++;
        chain = make(&reseeded, N_LARGE);
        text_of(chain, 5, other);
        ck_assert(memcmp(text, other, sizeof text) != 0);
        sampling_destroy(chain);

        expect_own_environment(options);
    }
}
END_TEST

START_TEST(filters_that_drop_nothing_change_nothing) {
    make_large(2, 0.125f);
    int32_t text[N_POSITIONS];
    struct sampling_chain *chain = make(&plain, N_LARGE);
    text_of(chain, 5, text);
    sampling_destroy(chain);
    transformer_sampler_options options = plain;
    options.top_k = N_LARGE;
    expect_text(&options, text);
    options.top_k = INT32_MAX;
    options.top_p = 1;
    options.min_p = 1e-38f;
    options.repetition_penalty = 1;
    expect_text(&options, text);
    transformer_logit_bias none = {3, 0};
    options.logit_bias = &none;
    options.n_logit_bias = 1;
    expect_text(&options, text);
    for (int i = 0; i < N_LARGE; i++) large[i] += 64; /* exact */
    expect_text(&options, text);
    expect_text(&plain, text);
    int first_low = 0;
    while (large[first_low] > 64 - 6) first_low++;
    large[first_low] = NAN;
    chain = make(&plain, N_LARGE);
    text_of(chain, 5, text);
    sampling_destroy(chain);
    large[first_low] = -INFINITY;
    expect_text(&plain, text);
}
END_TEST

/* ---- faults ---- */

START_TEST(bad_options) {
    typedef transformer_sampler_options o;
    transformer_logit_bias high = {10, 0}, low = {-1, 0}, nan = {0, NAN}, inf = {0, INFINITY};
    const struct {
        o options;
        const char *field;
    } cases[] = {
        {{.temperature = -1}, "temperature"},
        {{.temperature = NAN}, "temperature"},
        {{.temperature = INFINITY}, "temperature"},
        {{.top_k = -1}, "top_k is -1"},
        {{.top_p = -0.1f}, "top_p"},
        {{.top_p = 1.5f}, "top_p"},
        {{.top_p = NAN}, "top_p"},
        {{.min_p = -0.1f}, "min_p"},
        {{.min_p = 2}, "min_p is too large"},
        {{.min_p = NAN}, "min_p"},
        {{.repetition_penalty = -1}, "repetition_penalty is negative"},
        {{.repetition_penalty = NAN}, "repetition_penalty is not a number"},
        {{.repetition_penalty = INFINITY}, "repetition_penalty"},
        {{.presence_penalty = NAN}, "presence_penalty"},
        {{.presence_penalty = -INFINITY}, "presence_penalty"},
        {{.frequency_penalty = INFINITY}, "frequency_penalty is infinite"},
        {{.penalty_window = -3}, "penalty_window is -3"},
        {{.n_logit_bias = -1, .logit_bias = &high}, "n_logit_bias"},
        {{.n_logit_bias = 1}, "logit_bias"},
        {{.n_logit_bias = 1, .logit_bias = &high}, "logit_bias[0].token is 10"},
        {{.n_logit_bias = 1, .logit_bias = &low}, "logit_bias[0].token is -1"},
        {{.n_logit_bias = 1, .logit_bias = &nan}, "logit_bias[0].bias"},
        {{.n_logit_bias = 1, .logit_bias = &inf}, "logit_bias[0].bias"},
    };
    for (size_t i = 0; i < SIZE(cases); i++) {
        struct sampling_chain *chain = NULL;
        ck_assert_int_eq(sampling_create(&memory, &cases[i].options, 10, &chain), INVALID_ARGUMENT);
        ck_assert_ptr_null(chain);
        ck_assert_msg(strstr(status_text(), cases[i].field), "%zu: %s", i, status_text());
    }
    struct sampling_chain *chain = NULL;
    ck_assert_int_eq(sampling_create(&memory, &(o){0}, 0, &chain), INVALID_ARGUMENT);
    ck_assert_int_eq(sampling_create(&memory, &(o){0}, (int64_t)INT32_MAX + 1, &chain),
                     INVALID_ARGUMENT);
    ck_assert_ptr_null(chain);
    sampling_destroy(NULL);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

struct failing_allocator {
    int until_failure; /* -1: never */
};

static void *allocate(void *user, uint64_t size, uint64_t alignment) {
    struct failing_allocator *allocator = user;
    if (allocator->until_failure >= 0 && allocator->until_failure-- == 0) return NULL;
    return aligned_alloc(alignment, size);
}

static void release(void *user, void *pointer, uint64_t size) {
    (void)user;
    (void)size;
    free(pointer);
}

START_TEST(nth_allocation_fails) {
    make_large(3, 0);
    struct failing_allocator failing = {-1};
    struct memory own;
    memory_init(&own, &(transformer_allocator){allocate, release, &failing});
    transformer_logit_bias some = {3, 1};
    transformer_sampler_options options = filtered;
    options.logit_bias = &some;
    options.n_logit_bias = 1;
    struct sampling_chain *chain = NULL, *clone = NULL;
    int n = 0;
    for (;; n++) {
        failing.until_failure = n;
        status result = sampling_create(&own, &options, N_LARGE, &chain);
        if (result == OK) break;
        ck_assert_int_eq(result, OUT_OF_MEMORY);
        ck_assert_ptr_null(chain);
        ck_assert_uint_eq(own.bytes, 0);
    }
    ck_assert_int_eq(n, 7);
    uint64_t bytes = own.bytes;
    for (n = 0;; n++) {
        failing.until_failure = n;
        status result = sampling_clone(chain, &clone);
        if (result == OK) break;
        ck_assert_int_eq(result, OUT_OF_MEMORY);
        ck_assert_ptr_null(clone);
        ck_assert_uint_eq(own.bytes, bytes);
    }
    failing.until_failure = 0; /* a choice has no need of memory */
    int32_t text[N_POSITIONS];
    text_of(chain, 1, text);
    ck_assert_int_eq(failing.until_failure, 0);
    sampling_destroy(clone);
    sampling_destroy(chain);
    ck_assert_uint_eq(own.bytes, 0);
    /* greedy needs no scratch at all */
    failing.until_failure = 1;
    ck_assert_int_eq(sampling_create(&own, &(transformer_sampler_options){0}, N_LARGE, &chain), OK);
    sampling_destroy(chain);
}
END_TEST

static void begin(void) {
    memory_init(&memory, NULL);
}

static void end(void) {
    ck_assert_uint_eq(memory.bytes, 0);
}

int main(void) {
    Suite *suite = suite_create("sampling");
    TCase *tests = tcase_create("sampling");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, philox_vectors);
    tcase_add_test(tests, own_exp_is_exact_enough);
    tcase_add_test(tests, greedy);
    tcase_add_test(tests, temperature);
    tcase_add_test(tests, odd_logits);
    tcase_add_test(tests, top_k);
    tcase_add_test(tests, top_p);
    tcase_add_test(tests, min_p);
    tcase_add_test(tests, filters_against_sorting);
    tcase_add_test(tests, selection_against_sorting);
    tcase_add_test(tests, equal_logits);
    tcase_add_loop_test(tests, top_p_of_a_vocabulary, 0, HUGE_KINDS);
    tcase_add_test(tests, edges_of_bins);
    tcase_add_test(tests, penalties);
    tcase_add_test(tests, bias);
    tcase_add_test(tests, same_seed_same_text);
    tcase_add_test(tests, filters_that_drop_nothing_change_nothing);
    tcase_add_test(tests, bad_options);
    tcase_add_test(tests, nth_allocation_fails);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
