#include "cuda/kernels/attention/merge_queries.cuh"

KERNEL(attention_merge, struct attention_args, ATTENTION_MERGE_THREADS, 1) {
    attention_merge_run(own_launch{}, args);
}
