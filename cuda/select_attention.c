#include "cuda/kernels/attention/attention_hopper_args.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/select.h"

/* By bucket, then by enum cuda_kv_type. */
#define NAMES(bucket, key_dim, value_dim, row_warps, dim_warps)                     \
    {"attention_f32_" #bucket, "attention_f16_" #bucket, "attention_bf16_" #bucket, \
     "attention_q8_0_" #bucket, "attention_e4m3_" #bucket},
static const char *const names[ATTENTION_N_BUCKETS][CUDA_KV_TYPES] = {ATTENTION_BUCKETS(NAMES)};
#undef NAMES

/* Blocks that share a multiprocessor: their registers are bounded for so many. */
static const uint32_t most_blocks = 2;
/* Merges are short and there are many of them. */
static const uint32_t merge_blocks = 8;

/* Blocks of so much shared memory on a multiprocessor, which keeps 1 KiB for each. */
static uint32_t blocks_that_fit(const struct cuda_properties *device, uint32_t bytes) {
    if (bytes > device->shared_per_block) return 0;
    const size_t n = device->shared_per_multiprocessor / (bytes + 1024);
    return n < most_blocks ? (uint32_t)n : most_blocks;
}

static const struct attention_bucket *find_bucket(const struct attention_problem *problem) {
    if (problem->key_dim % 8 || problem->value_dim % 8) return NULL;
    return attention_bucket_find(problem->kv_type, problem->key_dim, problem->value_dim,
                                 problem->values_in_keys);
}

static const char *kernel_name(uint32_t kv_type, const struct attention_bucket *bucket) {
    const struct attention_bucket *first =
        kv_type == CUDA_KV_F32 ? attention_buckets_f32 : attention_buckets;
    return names[bucket - first][kv_type];
}

/* ---- warpgroups: one block on a multiprocessor ---- */

static struct attention_choice choose_hopper(const struct cuda_properties *device,
                                             const struct attention_problem *problem) {
    const uint32_t n_multiprocessors = (uint32_t)device->n_multiprocessors;
    const struct attention_hopper_bucket *bucket = attention_hopper_bucket_find(
        problem->kv_type, problem->key_dim, problem->value_dim, problem->values_in_keys);
    if (!bucket) return (struct attention_choice){.launch = {.kernel = NULL}};
    const uint32_t shared_bytes = attention_hopper_shared_bytes(problem->kv_type, bucket);
    if (shared_bytes > device->shared_per_block)
        return (struct attention_choice){.launch = {.kernel = NULL}};
    const uint32_t rows = bucket->tile_queries / (problem->n_heads / problem->n_kv_heads);
    return (struct attention_choice){
        .launch = {.kernel = bucket->kernels[problem->kv_type],
                   .grid = n_multiprocessors,
                   .threads = ATTENTION_HOPPER_THREADS,
                   .shared_bytes = shared_bytes},
        .merge = {.kernel = "attention_merge",
                  .grid = n_multiprocessors * merge_blocks,
                  .threads = ATTENTION_MERGE_THREADS},
        .rows_per_item = rows ? rows : 1,
        .tile_queries = bucket->tile_queries,
        .warpgroups = true,
    };
}

struct attention_choice select_attention(const struct cuda_properties *device,
                                         const struct attention_problem *problem) {
    struct attention_choice choice = {.launch = {.kernel = NULL}};
    if (device->warpgroups) choice = choose_hopper(device, problem);
    if (choice.launch.kernel) return choice;
    const struct attention_bucket *bucket = find_bucket(problem);
    if (!bucket) return choice;
    const uint32_t n_multiprocessors = (uint32_t)device->n_multiprocessors;
    const uint32_t group = problem->n_heads / problem->n_kv_heads;
    /* The most pages under way on a multiprocessor; of equals the most blocks, one of which
     * computes while another waits. */
    uint32_t best = 0, n_blocks = 0;
    for (uint32_t stages = 1; stages <= ATTENTION_MAX_STAGES; stages++) {
        const uint32_t blocks =
            blocks_that_fit(device, attention_shared_bytes(problem->kv_type, bucket, stages));
        if (blocks * stages < best || blocks == 0) continue;
        if (blocks * stages == best && blocks <= n_blocks) continue;
        best = blocks * stages;
        n_blocks = blocks;
        choice.stages = stages;
    }
    if (n_blocks == 0) return choice;
    choice.launch = (struct launch_shape){
        .kernel = kernel_name(problem->kv_type, bucket),
        .grid = n_multiprocessors * n_blocks,
        .threads = ATTENTION_THREADS,
        .shared_bytes = attention_shared_bytes(problem->kv_type, bucket, choice.stages),
    };
    choice.merge = (struct launch_shape){
        .kernel = "attention_merge",
        .grid = n_multiprocessors * merge_blocks,
        .threads = ATTENTION_MERGE_THREADS,
    };
    choice.tile_queries = ATTENTION_TILE_ROWS(bucket->row_warps);
    const uint32_t rows = choice.tile_queries / group;
    choice.rows_per_item = rows ? rows : 1;
    return choice;
}
