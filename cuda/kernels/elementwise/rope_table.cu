/* Cosines and sines of the positions of a step's rows. */
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/math.cuh"

KERNEL(rope_table, rope_table_args, ROPE_TABLE_THREADS, 1) {
    uint32_t row = block_index();
    let_next_kernel_begin();
    wait_for_previous_kernel();
    bool used = load_global<int32_t>(args.rows.sequence + row) >= 0;
    float position = used ? (float)load_global<int64_t>(args.rows.position + row) : 0.0f;
    float *table = args.table + 2 * (uint64_t)row * args.n;
    for (uint32_t i = thread_index(); i < args.n; i += ROPE_TABLE_THREADS) {
        double sine, cosine;
        float angle = position * load_global<float>(args.frequencies + i);
        sine_cosine((double)angle, &sine, &cosine);
        store_global<f32x2>(table + 2 * i,
                            f32x2{args.scale * (float)cosine, args.scale * (float)sine});
    }
}
