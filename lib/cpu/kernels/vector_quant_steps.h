/* A block's products with their scales and offsets added to the sums. Defined by the file that
 * includes this, and undefined again at the end:
 *
 *   STEP(kind)       the names of what is defined here, for the kinds offset and halves
 *   MULTIPLY_PARTS   function: the products with the activations' scales, vector_quant_dot4.h */
INLINE void STEP(offset)(int n_groups, int n_x, const struct offset_block *const *w,
                         const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    simd_f scaled[QUANT_GROUPS][QUANT_TILE];
    const simd_i *bytes[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) bytes[g] = w[g]->w;
    MULTIPLY_PARTS(n_groups, n_x, bytes, x, 0, Q8_PARTS, scaled);
    UNROLL
    for (int g = 0; g < n_groups; g++) UNROLL
    for (int t = 0; t < n_x; t++) sum[g][t] = simd_fma(scaled[g][t], w[g]->scale, sum[g][t]);
    add_offsets(n_groups, n_x, w, x, sum);
}

INLINE void STEP(halves)(int n_groups, int n_x, const struct halves_block *const *w,
                         const struct q8_block *const *x, simd_f (*sum)[QUANT_TILE]) {
    const simd_i *bytes[QUANT_GROUPS];
    UNROLL
    for (int g = 0; g < n_groups; g++) bytes[g] = w[g]->w;
    UNROLL
    for (int half = 0; half < 2; half++) {
        simd_f scaled[QUANT_GROUPS][QUANT_TILE];
        MULTIPLY_PARTS(n_groups, n_x, bytes, x, 2 * half, 2, scaled);
        UNROLL
        for (int g = 0; g < n_groups; g++) UNROLL
        for (int t = 0; t < n_x; t++)
            sum[g][t] = simd_fma(scaled[g][t], w[g]->scale[half], sum[g][t]);
    }
    halves_add_offsets(n_groups, n_x, w, x, sum);
}

#undef STEP
#undef MULTIPLY_PARTS
