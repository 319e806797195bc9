/* test_gemm.c of the kernels for warpgroups. */
#define TEST_HOPPER 1
#include "test_gemm.c"
