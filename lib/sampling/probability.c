#include "sampling/probability.h"

#include <math.h>
#include <string.h>

#include "base/float_environment.h"
#include "sampling/rank.h"
#include "sampling/weight.h"

/* Vectors of the compiler's own, as in weight.c: a lane computes what it would alone. */
#define N_LANES 2
typedef double doubles __attribute__((vector_size(8 * N_LANES)));
typedef int64_t longs __attribute__((vector_size(8 * N_LANES)));
typedef uint64_t bits __attribute__((vector_size(8 * N_LANES))); /* of doubles */

static inline doubles all(double value) {
    return (doubles){value, value};
}

/* Less than this below the greatest logit 2^31 tokens weigh less than half a bit of the sum. */
#define LEAST_EXPONENT -60.0

/* exp(x) for x <= 0: 2^n exp(r), |r| <= ln 2 / 2, by Taylor's series; 0 of NaN too. */
static inline doubles exp_nonpositive(doubles x) {
    static const double factors[] = {1.0 / 6227020800,
                                     1.0 / 479001600,
                                     1.0 / 39916800,
                                     1.0 / 3628800,
                                     1.0 / 362880,
                                     1.0 / 40320,
                                     1.0 / 5040,
                                     1.0 / 720,
                                     1.0 / 120,
                                     1.0 / 24,
                                     1.0 / 6,
                                     0.5,
                                     1.0,
                                     1.0};
    longs counts = x > all(LEAST_EXPONENT);
    const doubles round = all(0x1.8p52); /* adding it rounds */
    doubles rounded = x * 1.4426950408889634 + round, n = rounded - round;
    doubles r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    doubles sum = all(factors[0]);
    for (size_t i = 1; i < sizeof factors / sizeof *factors; i++) sum = sum * r + factors[i];
    /* n is what the last bits of `rounded` are above those of `round`. */
    doubles power = (doubles)(((bits)rounded - 0x4338000000000000u + 1023) << 52);
    return (doubles)(counts & (longs)(sum * power));
}

/* ln(x) for a normal x >= 1: of 2^e m, m from sqrt(1/2) to sqrt(2), by the series of
 * 2 artanh((m - 1) / (m + 1)). */
static double log_of(double x) {
    uint64_t word;
    memcpy(&word, &x, sizeof word);
    int64_t exponent = (int64_t)(word >> 52) - 1023;
    word = (word & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    double m;
    memcpy(&m, &word, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int i = 21; i > 0; i -= 2) sum = sum * square + 1.0 / i;
    return 2 * s * sum + (double)exponent * 0.6931471805599453;
}

struct row {
    const float *logits;
    double max, log_sum; /* of exp(logit - max) */
};

static double sum_of(const float *logits, int64_t n, double max) {
    doubles sums[2] = {all(0), all(0)}; /* one would wait for each addition */
    int64_t i = 0;
    for (; i + 2 * N_LANES <= n; i += 2 * N_LANES)
        for (int64_t j = 0; j < 2; j++) {
            const float *at = logits + i + j * N_LANES;
            sums[j] += exp_nonpositive((doubles){(double)at[0], (double)at[1]} - max);
        }
    for (; i < n; i++) sums[0][0] += exp_nonpositive(all((double)logits[i] - max))[0];
    return (sums[0][0] + sums[0][1]) + (sums[1][0] + sums[1][1]);
}

static double infinite_sum(const float *logits, int64_t n) {
    double count = 0;
    for (int64_t i = 0; i < n; i++) count += logits[i] == INFINITY;
    return count;
}

static float log_probability(const struct row *row, float logit) {
    if (!(logit > -INFINITY)) return -INFINITY;
    if (row->max == INFINITY) return logit == INFINITY ? (float)-row->log_sum : -INFINITY;
    return (float)(((double)logit - row->max) - row->log_sum);
}

/* While they are sought the best so far are a heap, the least likely at its root, with their logits
 * in the place of probabilities. */
static uint64_t rank_at(const transformer_token_probability *heap, int64_t i) {
    return rank_of(heap[i].log_probability, heap[i].token);
}

static void sift_down(transformer_token_probability *heap, int64_t i, int64_t n) {
    for (;;) {
        int64_t least = i, left = 2 * i + 1;
        if (left < n && rank_at(heap, left) < rank_at(heap, least)) least = left;
        if (left + 1 < n && rank_at(heap, left + 1) < rank_at(heap, least)) least = left + 1;
        if (least == i) return;
        transformer_token_probability other = heap[i];
        heap[i] = heap[least];
        heap[least] = other;
        i = least;
    }
}

static float without_nan(float logit) {
    return isnan(logit) ? -INFINITY : logit;
}

static void find_top(const float *logits, int64_t n_vocab, transformer_token_probability *top,
                     int64_t n) {
    if (n == 0) return;
    for (int64_t i = 0; i < n; i++)
        top[i] = (transformer_token_probability){(int32_t)i, without_nan(logits[i])};
    for (int64_t i = n / 2; i-- > 0;) sift_down(top, i, n);
    for (int64_t i = n; i < n_vocab; i++) {
        /* Of equal logits the lower id is there already. */
        if (!(logits[i] > top[0].log_probability)) continue;
        top[0] = (transformer_token_probability){(int32_t)i, logits[i]};
        sift_down(top, 0, n);
    }
    for (int64_t end = n - 1; end > 0; end--) { /* the least likely goes to the end */
        transformer_token_probability least = top[0];
        top[0] = top[end];
        top[end] = least;
        sift_down(top, 0, end);
    }
}

void probability_log(const float *logits, int64_t n_vocab, const int32_t *tokens, int64_t n_tokens,
                     float *values, transformer_token_probability *top, int64_t n_top) {
    fenv_t host;
    float_environment_enter(&host);
    struct row row = {.logits = logits, .max = (double)weight_max(logits, (size_t)n_vocab)};
    if (row.max == INFINITY)
        row.log_sum = log_of(infinite_sum(logits, n_vocab));
    else if (row.max > -INFINITY)
        row.log_sum = log_of(sum_of(logits, n_vocab, row.max));
    for (int64_t i = 0; i < n_tokens; i++) values[i] = log_probability(&row, logits[tokens[i]]);
    find_top(logits, n_vocab, top, n_top);
    for (int64_t i = 0; i < n_top; i++)
        top[i].log_probability = log_probability(&row, top[i].log_probability);
    float_environment_leave(&host);
}
