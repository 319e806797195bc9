/* What cuTensorMapEncodeTiled makes: a member of the arguments of kernels that use the copy engine.
 */
#ifndef CUDA_KERNELS_TENSOR_MAP_H
#define CUDA_KERNELS_TENSOR_MAP_H

#include <stdint.h>

#ifdef __cplusplus
struct alignas(64) tensor_map {
    uint64_t opaque[16];
};
#else
struct tensor_map {
    uint64_t opaque[16];
} __attribute__((aligned(64)));
#endif

#endif
