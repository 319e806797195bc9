#include "cuda/kernels/elementwise/norm.cuh"

KERNEL(norm_prepare, norm_args, NORM_THREADS, 2) {
    norm_run<1>(own_launch{}, args);
}
