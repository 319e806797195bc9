/* Parts of a query's keys into one, in the order of the splits; and what a query gets in the end.
 * The same operations whether parts come from registers or from memory. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_MERGE_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_MERGE_CUH

#include "cuda/kernels/attention/attention_args.h"
#include "cuda/kernels/math.cuh"

#define MINUS_INFINITY from_bits(0xFF800000u)

struct merge_factors {
    float of_total, of_part;
};

/* A part in which nothing was seen has sum 0 and values +0, and changes nothing. */
DEVICE merge_factors merge_softmax(float *maximum, float *sum, float part_maximum, float part_sum) {
    float now = part_maximum > *maximum ? part_maximum : *maximum;
    merge_factors f = {exp_weight(*maximum - now), exp_weight(part_maximum - now)};
    if (*sum == 0.0f) f = {0.0f, 1.0f};
    if (part_sum == 0.0f) f = {1.0f, 0.0f};
    *sum = fma_f32(part_sum, f.of_part, *sum * f.of_total);
    *maximum = part_sum == 0.0f ? *maximum : now;
    return f;
}
DEVICE float merge_value(const merge_factors &f, float total, float part) {
    return fma_f32(part, f.of_part, total * f.of_total);
}

/* By which a query's values are multiplied: 1 / sum, a sink being one more weight. Nothing seen:
 * 0. */
DEVICE float finish_factor(const attention_args &args, uint32_t head, float maximum, float sum) {
    if (sum == 0.0f) return 0.0f;
    float of_values = 1.0f;
    if (args.sinks) {
        float sink = load_global<float>(args.sinks + head);
        float now = sink > maximum ? sink : maximum;
        of_values = exp_weight(maximum - now);
        sum = fma_f32(sum, of_values, exp_weight(sink - now));
    }
    return of_values / sum;
}
DEVICE float finish_value(float factor, float value) {
    return factor == 0.0f ? 0.0f : value * factor;
}

#endif
