/* The interpreter of persistent_args.h. What a task does is the body of the kernel that the
 * instruction would be: products load their first weights before they wait for what comes before
 * (gemm.cuh), which here is the instruction before, so a block without a task in one instruction has
 * the next one's weights under way while others still work. */
#ifndef CUDA_KERNELS_PERSISTENT_PERSISTENT_CUH
#define CUDA_KERNELS_PERSISTENT_PERSISTENT_CUH

#include "cuda/kernels/attention/attention.cuh"
#include "cuda/kernels/attention/merge_queries.cuh"
#include "cuda/kernels/attention/rope_store.cuh"
#include "cuda/kernels/elementwise/embed.cuh"
#include "cuda/kernels/elementwise/expert.cuh"
#include "cuda/kernels/elementwise/gate.cuh"
#include "cuda/kernels/elementwise/norm.cuh"
#include "cuda/kernels/elementwise/rope_table.cuh"
#include "cuda/kernels/gemm/gemm.cuh"
#include "cuda/kernels/gemm/gemm_groups.cuh"
#include "cuda/kernels/persistent/persistent_args.h"
#include "cuda/kernels/ptx_persistent.cuh"

static_assert(sizeof(persistent_instruction) == PERSISTENT_INSTRUCTION_BYTES, "a word a thread");
static_assert((int)PERSISTENT_THREADS == (int)ATTENTION_THREADS &&
                  (int)PERSISTENT_THREADS == (int)ATTENTION_MERGE_THREADS &&
                  (int)PERSISTENT_THREADS == (int)ROPE_STORE_THREADS,
              "a task is a block of theirs");

/* Where a task runs (place.cuh). */
struct resident {
    const persistent_args &args;
    uint32_t instruction, block, n_blocks;
    uint32_t n_before; /* 0: there is nothing to wait for */
};

DEVICE uint32_t place_block(const resident &place) {
    return place.block;
}
DEVICE uint32_t place_blocks(const resident &place) {
    return place.n_blocks;
}
DEVICE void place_let_next_begin(const resident &) {}

DEVICE shared persistent_flag(const persistent_args &args) {
    return shared_memory() + (args.control_at + 2 * PERSISTENT_INSTRUCTION_BYTES);
}

/* One thread asks; if the wait is in vain, the block ends here. */
DEVICE void place_wait(const resident &place) {
    const persistent_args &args = place.args;
    if (place.n_before == 0) return;
    if (thread_index() == 0) {
        bool complete =
            wait_for_count(args.counters + (place.instruction - 1), args.launch * place.n_before,
                           args.failures, args.most_polls);
        if (!complete && atomic_add_u32(args.failures, 1) == 0)
            store_global<uint32_t>(args.failures + 1, place.instruction + 1);
        store_shared<uint32_t>(persistent_flag(args), complete);
    }
    block_sync();
    if (!load_shared<uint32_t>(persistent_flag(args))) end_thread();
}

template <typename Args> DEVICE const Args &persistent_args_of(shared instruction) {
    static_assert(sizeof(Args) <= sizeof(persistent_instruction::args), "it has its place");
    return shared_struct<Args>(instruction + 16);
}

DEVICE void persistent_task(uint32_t kind, const resident &place, shared in) {
    switch (kind) {
    case PERSISTENT_EMBED:
        embed_run(place, persistent_args_of<embed_args>(in));
        break;
    case PERSISTENT_ROPE_TABLE:
        rope_table_run(place, persistent_args_of<rope_table_args>(in));
        break;
    case PERSISTENT_NORM:
        norm_run<(int)NORM_THREADS / (int)PERSISTENT_THREADS>(place,
                                                              persistent_args_of<norm_args>(in));
        break;
    case PERSISTENT_GATE:
        gate_run(place, persistent_args_of<gate_args>(in));
        break;
    case PERSISTENT_SOFTCAP:
        softcap_run(place, persistent_args_of<softcap_args>(in));
        break;
    case PERSISTENT_ROPE_STORE:
        rope_store_run(place, persistent_args_of<rope_store_args>(in));
        break;
    case PERSISTENT_MERGE:
        attention_merge_run(place, persistent_args_of<attention_args>(in));
        break;
    case PERSISTENT_ROUTE:
        route_run(place, persistent_args_of<route_args>(in));
        break;
    case PERSISTENT_GROUPS:
        groups<PERSISTENT_THREADS>::run(place, persistent_args_of<gemm_groups_args>(in));
        break;
    case PERSISTENT_COMBINE:
        expert_combine_run(place, persistent_args_of<expert_combine_args>(in));
        break;
#define PRODUCTS(name, type)                                                  \
    case PERSISTENT_GEMM_##name:                                              \
        gemm<type, 8, 0, true>::run(place, persistent_args_of<gemm_args>(in)); \
        break;                                                                \
    case PERSISTENT_GEMM_##name##_gate:                                       \
        gemm<type, 8, 1, true>::run(place, persistent_args_of<gemm_args>(in)); \
        break;
        PERSISTENT_TYPES(PRODUCTS)
#undef PRODUCTS
#define ATTENTION(kv_name, kv_type, bucket, dim)                                             \
    case PERSISTENT_ATTENTION_##kv_name##_##bucket:                                          \
        attention<attention_shape<kv_type, dim, dim, 1, 4, 1>>(                              \
            place, persistent_args_of<attention_args>(in));                                  \
        break;
        PERSISTENT_ATTENTIONS(ATTENTION)
#undef ATTENTION
    }
}

DEVICE uint32_t persistent_word(const persistent_args &args, uint32_t instruction) {
    const uint32_t *from = reinterpret_cast<const uint32_t *>(args.instructions + instruction);
    return load_global<uint32_t>(from + thread_index());
}

DEVICE void persistent_run(const persistent_args &args) {
    uint32_t word = persistent_word(args, 0);
    for (uint32_t i = 0; i < args.n_instructions; i++) {
        shared in = shared_memory() + (args.control_at + i % 2 * PERSISTENT_INSTRUCTION_BYTES);
        store_shared<uint32_t>(in + 4 * thread_index(), word);
        block_sync();
        if (i + 1 < args.n_instructions) word = persistent_word(args, i + 1);
        const uint32_t n_tasks = load_shared<uint32_t>(in + 4);
        resident place = {args, i, block_index(), n_tasks, load_shared<uint32_t>(in + 8)};
        if (place.block >= n_tasks) continue;
        uint32_t n_done = 0;
        for (; place.block < n_tasks; place.block += block_count()) {
            persistent_task(load_shared<uint32_t>(in), place, in);
            block_sync(); /* all is written, and shared memory is free */
            n_done++;
        }
        if (thread_index() == 0) add_release(args.counters + i, n_done);
    }
}

#endif
