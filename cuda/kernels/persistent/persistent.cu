#include "cuda/kernels/persistent/persistent.cuh"

KERNEL(persistent, struct persistent_args, PERSISTENT_THREADS, PERSISTENT_BLOCKS) {
    persistent_run(args);
}
