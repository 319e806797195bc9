/* The interpreter of persistent_args.h. What a task does is the body of the kernel that the
 * instruction would be: products load their first weights before they wait for what comes before
 * (gemm.cuh), which here is the instruction before, so a block without a task in one instruction
 * has the next one's weights under way while others still work. */
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

/* Where a task runs (place.cuh). All else is in shared memory: `control`, and there the
 * instruction. */
struct resident {
    uint32_t control; /* place in shared memory */
    uint32_t slot;    /* of the two instructions there */
    uint32_t block;
    bool waits; /* it is the block's first task of the instruction */
};

DEVICE const persistent_instruction &persistent_in(const resident &place) {
    return shared_struct<persistent_instruction>(
        shared_memory() + (place.control + place.slot * PERSISTENT_INSTRUCTION_BYTES));
}
DEVICE uint32_t place_block(const resident &place) {
    return place.block;
}
DEVICE uint32_t place_blocks(const resident &place) {
    return persistent_in(place).n_tasks;
}
DEVICE void place_let_next_begin(const resident &) {}

/* One thread asks; if the wait is in vain, the block ends here. */
DEVICE void place_wait(const resident &place) {
    const persistent_instruction &in = persistent_in(place);
    if (!place.waits || in.n_before == 0) return;
    shared flag = shared_memory() + (place.control + PERSISTENT_FLAG_AT);
    if (thread_index() == 0) {
        const persistent_args &args =
            shared_struct<persistent_args>(shared_memory() + (place.control + PERSISTENT_ARGS_AT));
        bool complete = wait_for_count(args.counters + (in.number - 1), args.launch * in.n_before,
                                       args.failures, args.most_polls);
        if (!complete && atomic_add_u32(args.failures, 1) == 0)
            store_global<uint32_t>(args.failures + 1, in.number);
        store_shared<uint32_t>(flag, complete);
    }
    block_sync();
    if (!load_shared<uint32_t>(flag)) end_thread();
}

template <typename Args> DEVICE const Args &persistent_args_of(const resident &place) {
    static_assert(sizeof(Args) <= sizeof(persistent_instruction::args), "it has its place");
    return shared_struct<Args>(shared_memory() +
                               (place.control + place.slot * PERSISTENT_INSTRUCTION_BYTES + 16));
}

/* ---- tasks: each a function of its own, or what the compiler knows of all of them before the loop
 * would take the registers of the one that runs ---- */

template <int type, int gate> DEVICE_CALLED void product_task(resident place) {
    gemm<type, 8, gate, true>::run(place, persistent_args_of<gemm_args>(place));
}
template <int type, int dim> DEVICE_CALLED void attention_task(resident place) {
    attention<attention_shape<type, dim, dim, 1, 4, 1>>(place,
                                                        persistent_args_of<attention_args>(place));
}
DEVICE_CALLED void merge_task(resident place) {
    attention_merge_run(place, persistent_args_of<attention_args>(place));
}
DEVICE_CALLED void rope_store_task(resident place) {
    rope_store_run(place, persistent_args_of<rope_store_args>(place));
}
DEVICE_CALLED void norm_task(resident place) {
    norm_run<(int)NORM_THREADS / (int)PERSISTENT_THREADS>(place,
                                                          persistent_args_of<norm_args>(place));
}
DEVICE_CALLED void embed_task(resident place) {
    embed_run(place, persistent_args_of<embed_args>(place));
}
DEVICE_CALLED void rope_table_task(resident place) {
    rope_table_run(place, persistent_args_of<rope_table_args>(place));
}
DEVICE_CALLED void gate_task(resident place) {
    gate_run(place, persistent_args_of<gate_args>(place));
}
DEVICE_CALLED void softcap_task(resident place) {
    softcap_run(place, persistent_args_of<softcap_args>(place));
}
DEVICE_CALLED void route_task(resident place) {
    route_run(place, persistent_args_of<route_args>(place));
}
DEVICE_CALLED void groups_task(resident place) {
    groups<PERSISTENT_THREADS>::run(place, persistent_args_of<gemm_groups_args>(place));
}
DEVICE_CALLED void combine_task(resident place) {
    expert_combine_run(place, persistent_args_of<expert_combine_args>(place));
}

DEVICE void persistent_task(uint32_t kind, const resident &place) {
    switch (kind) {
    case PERSISTENT_EMBED:
        return embed_task(place);
    case PERSISTENT_ROPE_TABLE:
        return rope_table_task(place);
    case PERSISTENT_NORM:
        return norm_task(place);
    case PERSISTENT_GATE:
        return gate_task(place);
    case PERSISTENT_SOFTCAP:
        return softcap_task(place);
    case PERSISTENT_ROPE_STORE:
        return rope_store_task(place);
    case PERSISTENT_MERGE:
        return merge_task(place);
    case PERSISTENT_ROUTE:
        return route_task(place);
    case PERSISTENT_GROUPS:
        return groups_task(place);
    case PERSISTENT_COMBINE:
        return combine_task(place);
#define PRODUCTS(name, type)                 \
    case PERSISTENT_GEMM_##name:             \
        return product_task<type, 0>(place); \
    case PERSISTENT_GEMM_##name##_gate:      \
        return product_task<type, 1>(place);
        PERSISTENT_TYPES(PRODUCTS)
#undef PRODUCTS
#define ATTENTION(kv_name, kv_type, bucket, dim)    \
    case PERSISTENT_ATTENTION_##kv_name##_##bucket: \
        return attention_task<kv_type, dim>(place);
        PERSISTENT_ATTENTIONS(ATTENTION)
#undef ATTENTION
    }
}

/* ---- the interpreter ---- */

DEVICE uint32_t persistent_word(const persistent_args &args, uint32_t instruction) {
    const uint32_t *from = reinterpret_cast<const uint32_t *>(args.instructions + instruction);
    return load_global<uint32_t>(from + thread_index());
}

DEVICE shared persistent_slot(const persistent_args &args, uint32_t instruction) {
    return shared_memory() + (args.control_at + instruction % 2 * PERSISTENT_INSTRUCTION_BYTES);
}

DEVICE void persistent_run(const persistent_args &args) {
    uint32_t word = persistent_word(args, 0);
    static_assert(sizeof(persistent_args) % 8 == 0 &&
                      PERSISTENT_ARGS_AT + sizeof(persistent_args) <= PERSISTENT_CONTROL,
                  "they have their place");
#pragma unroll
    for (uint32_t i = 0; i < sizeof(persistent_args) / 8; i++)
        if (thread_index() == 0)
            store_shared<uint64_t>(shared_memory() + (args.control_at + PERSISTENT_ARGS_AT + 8 * i),
                                   reinterpret_cast<const uint64_t *>(&args)[i]);
    /* What is kept over a task is a task's to spill: the number, the block, and the next
     * instruction's word; all else is read again. */
    for (uint32_t i = 0; i < args.n_instructions; i++) {
        store_shared<uint32_t>(persistent_slot(args, i) + 4 * thread_index(), word);
        block_sync();
        if (i + 1 < args.n_instructions) word = persistent_word(args, i + 1);
        for (uint32_t block = block_index();
             block < load_shared<uint32_t>(persistent_slot(args, i) + 4); block += block_count()) {
            const resident place = {args.control_at, i % 2, block, block == block_index()};
            persistent_task(load_shared<uint32_t>(persistent_slot(args, i)), place);
            block_sync(); /* all is written, and shared memory is free */
        }
        const uint32_t n_tasks = load_shared<uint32_t>(persistent_slot(args, i) + 4);
        if (thread_index() == 0 && block_index() < n_tasks)
            add_release(args.counters + i, (n_tasks - block_index() - 1) / block_count() + 1);
    }
}

#endif
