/* What only sm_90a has, in thin functions beside those of ptx.cuh: barriers in shared memory that
 * count bytes, copies by the copy engine, products of warpgroups, clusters.
 *
 * The engine and wgmma reach shared memory by another way (the async proxy) than loads and stores:
 * what stores have written it sees after fence_proxy_async by the thread that wrote, and a barrier.
 */
#ifndef CUDA_KERNELS_PTX_HOPPER_CUH
#define CUDA_KERNELS_PTX_HOPPER_CUH

#include "cuda/kernels/ptx.cuh"
#include "cuda/kernels/tensor_map.h"

#ifdef __CUDACC__
#include "cuda/kernels/ptx_hopper_device.cuh"
#else
#include "ptx_hopper_emulated.h"
#endif

#endif
