/* The persistent kernel: one launch does what a decode step's launches do one after the other, as a
 * list of instructions in device memory. An instruction is what would be a launch, its blocks are
 * tasks: block b of the launch takes tasks b, b + blocks, ... of each instruction. A counter of
 * each instruction says how many of its tasks are done; an instruction waits until all of those
 * before it are. Counters only grow: in launch n (from 1) one is complete at n times its tasks,
 * modulo 2^32. */
#ifndef CUDA_KERNELS_PERSISTENT_ARGS_H
#define CUDA_KERNELS_PERSISTENT_ARGS_H

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/gemm/gemm_args.h"

enum {
    PERSISTENT_THREADS = 128,
    PERSISTENT_BLOCKS = 4, /* that a multiprocessor is to have at once */
    PERSISTENT_MAX_ROWS = 8,
    /* Bytes of shared memory behind what the tasks use: two instructions, a flag, persistent_args.
     */
    PERSISTENT_FLAG_AT = 2 * 4 * PERSISTENT_THREADS,
    PERSISTENT_ARGS_AT = PERSISTENT_FLAG_AT + 16,
    PERSISTENT_CONTROL = PERSISTENT_ARGS_AT + 64
};

/* Weight types of products, with what their kernels are called. */
#define PERSISTENT_TYPES(X) \
    X(f32, WEIGHT_F32)      \
    X(f16, WEIGHT_F16)      \
    X(bf16, WEIGHT_BF16)    \
    X(q4_0, WEIGHT_Q4_0)    \
    X(q4_1, WEIGHT_Q4_1)    \
    X(q8_0, WEIGHT_Q8_0)    \
    X(q4_k, WEIGHT_Q4_K)    \
    X(q6_k, WEIGHT_Q6_K)
/* Types of keys and values, and heads. */
#define PERSISTENT_ATTENTIONS(X)     \
    X(f16, CUDA_KV_F16, d64, 64)     \
    X(f16, CUDA_KV_F16, d128, 128)   \
    X(bf16, CUDA_KV_BF16, d64, 64)   \
    X(bf16, CUDA_KV_BF16, d128, 128) \
    X(q8_0, CUDA_KV_Q8_0, d64, 64)   \
    X(q8_0, CUDA_KV_Q8_0, d128, 128)

enum persistent_kind {
    PERSISTENT_EMBED,
    PERSISTENT_ROPE_TABLE,
    PERSISTENT_NORM,
    PERSISTENT_GATE,
    PERSISTENT_SOFTCAP,
    PERSISTENT_ROPE_STORE,
    PERSISTENT_MERGE,
    PERSISTENT_ROUTE,
    PERSISTENT_GROUPS,
    PERSISTENT_COMBINE,
#define PERSISTENT_KIND(name, type) PERSISTENT_GEMM_##name, PERSISTENT_GEMM_##name##_gate,
    PERSISTENT_TYPES(PERSISTENT_KIND)
#undef PERSISTENT_KIND
#define PERSISTENT_KIND(kv_name, kv_type, bucket, dim) PERSISTENT_ATTENTION_##kv_name##_##bucket,
        PERSISTENT_ATTENTIONS(PERSISTENT_KIND)
#undef PERSISTENT_KIND
            PERSISTENT_KINDS
};

/* Read by a block at once, a word for each of its threads. */
#define PERSISTENT_INSTRUCTION_BYTES (4 * PERSISTENT_THREADS)
struct persistent_instruction {
    uint32_t kind;     /* enum persistent_kind */
    uint32_t n_tasks;  /* at least 1 */
    uint32_t n_before; /* tasks of the instruction before; 0: it is the first */
    uint32_t number;   /* of the instruction, from 0 */
    unsigned char args[PERSISTENT_INSTRUCTION_BYTES - 16]; /* of the kernel that it would be */
};

struct persistent_args {
    const struct persistent_instruction *instructions;
    uint32_t *counters; /* [n_instructions] */
    /* Two words, zeros: how many blocks waited in vain, and 1 + the instruction that the first of
     * them was at. Once it isn't zero every block ends where it would wait. */
    uint32_t *failures;
    uint32_t n_instructions;
    uint32_t launch;     /* n above */
    uint32_t most_polls; /* of a counter in one wait */
    uint32_t control_at; /* place in shared memory of PERSISTENT_CONTROL bytes */
};

#endif
