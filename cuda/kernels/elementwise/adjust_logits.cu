/* What changes single logits before a token is chosen: the arithmetic of lib/sampling/adjust.c. */
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"

/* inf - inf counts as -inf, as any NaN does. */
DEVICE float without_nan(float logit) {
    return logit == logit ? logit : from_bits(0xFF800000u);
}

DEVICE void add_biases(const adjust_logits_row &row, float *out) {
    uint32_t n = (uint32_t)row.n_bias;
    for (uint32_t i = thread_index(); i < n; i += ADJUST_LOGITS_THREADS) {
        int32_t token = load_global<int32_t>(row.bias_token + i);
        if (i > 0 && load_global<int32_t>(row.bias_token + i - 1) == token) continue;
        float logit = load_global<float>(out + token);
        for (uint32_t j = i; j < n && load_global<int32_t>(row.bias_token + j) == token; j++)
            logit = without_nan(logit + load_global<float>(row.bias + j));
        store_global<float>(out + token, logit);
    }
}

DEVICE void penalize_history(const adjust_logits_row &row, float *out) {
    float repetition = row.repetition_penalty;
    for (uint32_t i = thread_index(); i < (uint32_t)row.n_history; i += ADJUST_LOGITS_THREADS) {
        int32_t token = load_global<int32_t>(row.history_token + i);
        float logit = load_global<float>(out + token);
        if (repetition != 0.0f) logit = logit > 0.0f ? logit / repetition : logit * repetition;
        logit -= row.frequency_penalty * (float)load_global<uint32_t>(row.history_count + i);
        logit -= row.presence_penalty;
        store_global<float>(out + token, without_nan(logit));
    }
}

KERNEL(adjust_logits, adjust_logits_args, ADJUST_LOGITS_THREADS, 1) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    adjust_logits_row row = load_global<adjust_logits_row>(args.rows + block_index());
    if (row.logits_row < 0) return;
    const float *logits = args.logits + (uint64_t)row.logits_row * args.logits_stride;
    float *out = args.out + (uint64_t)row.out_row * args.out_stride;
    for (uint32_t col = 4 * thread_index(); col < args.n_vocab; col += 4 * ADJUST_LOGITS_THREADS) {
        quad x = load_quad(logits, col, args.n_vocab);
        for (uint32_t i = 0; i < 4; i++) x.v[i] = without_nan(x.v[i]);
        store_quad(out, col, args.n_vocab, x);
    }
    block_sync(); /* a token's logit may be another thread's */
    add_biases(row, out);
    block_sync();
    penalize_history(row, out);
}
