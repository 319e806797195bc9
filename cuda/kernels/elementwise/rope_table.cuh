/* Cosines and sines of the positions of a step's rows. */
#ifndef CUDA_KERNELS_ELEMENTWISE_ROPE_TABLE_CUH
#define CUDA_KERNELS_ELEMENTWISE_ROPE_TABLE_CUH

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/math.cuh"
#include "cuda/kernels/place.cuh"

template <typename Place>
DEVICE void rope_table_run(const Place &place, const rope_table_args &args) {
    uint32_t row = place_block(place);
    place_let_next_begin(place);
    place_wait(place);
    bool used = load_global<int32_t>(args.rows.sequence + row) >= 0;
    float position = used ? (float)load_global<int64_t>(args.rows.position + row) : 0.0f;
    float *table = args.table + 2 * (uint64_t)row * args.n;
    for (uint32_t i = thread_index(); i < args.n; i += thread_count()) {
        double sine, cosine;
        float angle = position * load_global<float>(args.frequencies + i);
        sine_cosine((double)angle, &sine, &cosine);
        store_global<f32x2>(table + 2 * i,
                            f32x2{args.scale * (float)cosine, args.scale * (float)sine});
    }
}

#endif
