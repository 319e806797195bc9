/* Every kernel that selection can name is there, can have its block and its shared memory, and on a
 * GPU uses no local memory. */
#include <ctype.h>
#include <stdio.h>

#include "cuda/kernels/attention/attention_hopper_args.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/kernels/persistent/persistent_args.h"
#include "gpu_test.h"

static void check_kernel(struct gpu *gpu, const char *name, unsigned threads, unsigned shared_bytes,
                         bool local_allowed) {
    driver_result result = DRIVER_NOT_FOUND;
    driver_kernel kernel;
    int most_threads = 0, local = 0, blocks = 0;
    for (uint32_t i = 0; result == DRIVER_NOT_FOUND && i < gpu->n_libraries; i++)
        result = gpu->driver.library_get_kernel(&kernel, gpu->libraries[i], name);
    if (result != DRIVER_SUCCESS) {
        gpu_fail(gpu, "%s is not there", name);
        return;
    }
    if (gpu->driver.kernel_get_attribute(&most_threads, DRIVER_KERNEL_MAX_THREADS_PER_BLOCK, kernel,
                                         gpu->device) != DRIVER_SUCCESS ||
        most_threads < (int)threads)
        gpu_fail(gpu, "%s: blocks of %d threads, %u are needed", name, most_threads, threads);
    if (gpu->emulated) return;
    gpu->driver.kernel_get_attribute(&local, DRIVER_KERNEL_LOCAL_SIZE_BYTES, kernel, gpu->device);
    if (local && !local_allowed) gpu_fail(gpu, "%s: %d bytes of local memory", name, local);
    if (gpu->driver.kernel_set_attribute(DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                         (int)shared_bytes, kernel,
                                         gpu->device) != DRIVER_SUCCESS) {
        int most = 0;
        gpu->driver.device_get_attribute(&most, DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                                         gpu->device);
        if ((int)shared_bytes <= most)
            gpu_fail(gpu, "%s: %u bytes of shared memory are refused", name, shared_bytes);
        return;
    }
    if (gpu->driver.blocks_per_multiprocessor(&blocks, (driver_function)kernel, (int)threads,
                                              shared_bytes) == DRIVER_SUCCESS)
        printf("%-32s %u threads, %u bytes of shared memory: %d blocks on a multiprocessor\n", name,
               threads, shared_bytes, blocks);
}

static void check_gemm(struct gpu *gpu) {
    for (int type = 0; type < WEIGHT_TYPES; type++)
        for (uint32_t gate = 0; gate < 2; gate++)
            for (uint32_t i = 0; i < GEMM_TILE_NS; i++) {
                const struct gemm_tile tile =
                    gemm_tile_of((enum weight_type)type, gate, gemm_tile_n(i));
                char name[64];
                if (tile.shared_bytes == 0) continue;
                if (weight_layout_type((uint32_t)type) != (uint32_t)type) continue;
                snprintf(name, sizeof name, "gemm_%s_n%u%s", weight_type_traits[type].name, tile.n,
                         gate ? "_gate" : "");
                for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
                check_kernel(gpu, name, tile.threads, tile.shared_bytes, false);
            }
}

static void check_attention(struct gpu *gpu) {
    for (unsigned type = 0; type < CUDA_KV_TYPES; type++)
        for (int i = 0; i < ATTENTION_N_BUCKETS; i++) {
            const struct attention_bucket *bucket =
                (type == CUDA_KV_F32 ? attention_buckets_f32 : attention_buckets) + i;
            char name[64];
            snprintf(name, sizeof name, "attention_%s_%s", attention_type_names[type],
                     bucket->name);
            check_kernel(gpu, name, ATTENTION_THREADS, attention_shared_bytes(type, bucket, 1),
                         false);
        }
    check_kernel(gpu, "attention_merge", ATTENTION_MERGE_THREADS, 0, true);
    check_kernel(gpu, "rope_store", ROPE_STORE_THREADS, 0, true);
}

/* Those of warpgroups, where the device has them. */
static void check_hopper(struct gpu *gpu) {
    if (gpu->major != 9) return;
    for (uint32_t type = 0; type < CUDA_KV_TYPES; type++)
        for (uint32_t dim = 64; dim <= 576; dim = dim < 256 ? 2 * dim : dim + 320) {
            const uint32_t value_dim = dim > 256 ? 512 : dim;
            const struct attention_hopper_bucket *bucket =
                attention_hopper_bucket_find(type, dim, value_dim, dim > 256);
            if (bucket)
                check_kernel(gpu, bucket->kernels[type], ATTENTION_HOPPER_THREADS,
                             attention_hopper_shared_bytes(type, bucket), false);
        }
}

/* As many blocks as its ring is made for. */
static void check_persistent(struct gpu *gpu) {
    const unsigned bytes = GEMM_SHARED_RESIDENT + PERSISTENT_CONTROL;
    check_kernel(gpu, "persistent", PERSISTENT_THREADS, bytes, true);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    check_gemm(&gpu);
    check_attention(&gpu);
    check_hopper(&gpu);
    check_persistent(&gpu);
    return gpu_close(&gpu);
}
