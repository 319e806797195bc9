/* Logits to softmax weights and random numbers, in the very arithmetic of lib/sampling: weight.c,
 * philox.c, sampling.c. */
#ifndef CUDA_KERNELS_ELEMENTWISE_SAMPLE_WEIGHT_CUH
#define CUDA_KERNELS_ELEMENTWISE_SAMPLE_WEIGHT_CUH

#include "cuda/kernels/ptx.cuh"

#define WEIGHT_BINS_PER_UNIT 32
#define WEIGHT_N_BINS 1024

struct weight_scale {
    float max, inverse_temperature;
};

/* exp(x) for x <= 0, 0 below -87 and for NaN. Products and sums are rounded one by one, as the
 * host's are. */
DEVICE float exp_nonpositive(float x) {
    const float round = 12582912.0f;
    float rounded = x * 1.44269504f + round, n = rounded - round;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    float power = from_bits((bits_of(rounded) - 0x4B400000u + 127u) << 23);
    return x > -87.0f ? sum * power : 0.0f;
}

/* (logit - max) / temperature */
DEVICE float exponent_of(const weight_scale &scale, float logit) {
    return logit == scale.max ? 0.0f : (logit - scale.max) * scale.inverse_temperature;
}

DEVICE uint32_t bin_of(float exponent) {
    const float last = WEIGHT_N_BINS - 1;
    float depth = exponent * -(float)WEIGHT_BINS_PER_UNIT;
    return (uint32_t)(int32_t)(depth < last ? depth : last);
}

/* The weights of a bin (but the last) are whole multiples of 2^-bin_unit(bin), less than 2^26. */
DEVICE uint32_t bin_unit(uint32_t bin) {
    const float bits_per_bin = 1.44269504f / WEIGHT_BINS_PER_UNIT;
    return 25 + (uint32_t)(int32_t)((float)(bin + 1) * bits_per_bin);
}
DEVICE float units(uint32_t unit) {
    return from_bits((unit + 127) << 23);
}

/* The first word of Philox4x32-10 (Salmon et al., SC'11) of counter (position, stream) under key
 * seed, as a number in [0, 1). */
DEVICE float uniform_of(uint64_t seed, uint64_t stream, uint64_t position) {
    uint32_t c0 = (uint32_t)position, c1 = (uint32_t)(position >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53u * c0, product1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (float)(c0 >> 8) * 0x1p-24f;
}

#endif
