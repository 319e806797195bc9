/* test_attention.c of the kernels for warpgroups. */
#define TEST_HOPPER 1
#include "test_attention.c"
