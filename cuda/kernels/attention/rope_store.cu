#include "cuda/kernels/attention/rope_store.cuh"

KERNEL(rope_store, struct rope_store_args, ROPE_STORE_THREADS, 1) {
    rope_store_run(own_launch{}, args);
}
