#include "cuda/kernels/elementwise/rope_table.cuh"

KERNEL(rope_table, rope_table_args, ROPE_TABLE_THREADS, 1) {
    rope_table_run(own_launch{}, args);
}
