#include "cuda/select_model.h"

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/gemm/gemm_hopper_tiles.h"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/kernels/persistent/persistent_args.h"

int select_activation(enum weight_type type) {
    switch ((uint32_t)type) {
    case WEIGHT_F32:
        return CUDA_ACTIVATION_SPLIT;
    case WEIGHT_F16:
        return CUDA_ACTIVATION_F16;
    case LAYOUT_FP8_FP8:
        return CUDA_ACTIVATION_E4M3;
    default:
        return CUDA_ACTIVATION_BF16;
    }
}

/* ---- the law of splits: whatever is changed here changes the bits of results ---- */

/* Bytes that a multiprocessor must have asked for so that memory never waits for it: its share of
 * the bandwidth, about 16 bytes a clock, times the clocks until they come under load, about 2,000.
 */
static const uint32_t bytes_under_way = 32 * 1024;
static const uint32_t most_blocks = 4; /* of a multiprocessor, that a split is made for */
static const uint32_t most_splits = 16;
static const uint32_t least_split = 2; /* GEMM_SPLIT_MULTIPLEs; in less, filling the ring is most */

/* Of the kernel of the fewest tokens. */
static uint32_t law_tile_rows(const struct cuda_properties *device, enum weight_type type) {
    return select_hopper_has(device, type) ? GEMM_HOPPER_ROWS
                                           : gemm_tile_of(type, 0, gemm_tile_n(0)).rows;
}

uint32_t select_split_cols(const struct cuda_properties *device, enum weight_type type,
                           uint32_t n_rows, uint32_t n_cols) {
    const uint32_t never = (uint32_t)weight_layout_padded_cols(n_cols);
    const bool hopper = select_hopper_has(device, type); /* its blocks fill a multiprocessor */
    /* The kernel of the fewest tokens is the one that waits for memory. */
    const struct gemm_tile tile = gemm_tile_of(type, 0, gemm_tile_n(0));
    const uint32_t asked = (tile.stages - 1) * tile.stage_units * tile.unit_bytes;
    const uint32_t blocks = hopper ? 1 : smaller(most_blocks, ceil_div(bytes_under_way, asked));
    const uint32_t wanted = (uint32_t)device->n_multiprocessors * blocks;
    const uint32_t n_tiles = ceil_div(n_rows, law_tile_rows(device, type));
    const uint32_t n_pieces = n_cols / GEMM_SPLIT_MULTIPLE;
    if (n_tiles == 0) return never;
    /* As many as all run side by side: one more, and some multiprocessors would do twice the work.
     */
    const uint32_t n_splits =
        smaller(smaller(wanted / n_tiles, most_splits), n_pieces / least_split);
    if (n_splits <= 1) return never;
    return smaller(ceil_div(ceil_div(n_cols, GEMM_SPLIT_MULTIPLE), n_splits) * GEMM_SPLIT_MULTIPLE,
                   never);
}

/* ---- what a launch would cost, in clocks of a multiprocessor ---- */

static const double products = 1024; /* a clock: multiply-adds of mma.sync on 16-bit operands */
/* A clock, made bf16: about 160 instructions of a warp unpack a unit's 1,024, and four warps have
 * one each. */
static const double codes = 4.0 * LAYOUT_ROWS * LAYOUT_COLS / 160;
static const double block_clocks = 2000; /* first and last steps of a block, which nothing hides */

struct trial {
    const struct gemm_problem *problem;
    struct gemm_tile tile;
    uint32_t n_row_blocks, n_x_blocks, n_splits;
    uint32_t units;      /* of a block, LAYOUT_COLS columns each */
    uint32_t n_blocks;   /* in all */
    uint32_t n_resident; /* on a multiprocessor at once */
    bool apart;
};

static uint32_t n_matrices(const struct gemm_problem *problem) {
    return problem->combine == GEMM_GATE ? 2 : 1; /* that a block multiplies with */
}

/* From the first to the last of n blocks that run side by side. */
static double wave_clocks(const struct cuda_properties *device, const struct trial *trial,
                          uint32_t n) {
    const enum weight_type type = trial->problem->type;
    const struct gemm_tile *tile = &trial->tile;
    const double together = ceil_div(n, (uint32_t)device->n_multiprocessors);
    const double weights = (double)n_matrices(trial->problem) * tile->rows * LAYOUT_COLS;
    const double bytes = tile->unit_bytes + (double)tile->x_bytes / tile->stage_units;
    double work = weights * tile->n / products;
    if (type == WEIGHT_F32) work *= 3; /* of bf16 halves */
    if (weight_layout_format(type).low_bits < 16) work += weights / codes;
    const double waiting = memory_clocks / ((tile->stages - 1) * tile->stage_units);
    const double unit = larger(together * larger(work, bytes / cache_bytes), waiting);
    return trial->units * unit + block_clocks + (trial->apart ? part_clocks : 0);
}

static double trial_clocks(const struct cuda_properties *device, const struct trial *trial) {
    const struct gemm_tile *tile = &trial->tile;
    const uint32_t at_once = trial->n_resident * (uint32_t)device->n_multiprocessors;
    const uint32_t full = trial->n_blocks / at_once, rest = trial->n_blocks % at_once;
    double clocks = 0;
    if (full) clocks += full * wave_clocks(device, trial, at_once);
    if (rest) clocks += wave_clocks(device, trial, rest);
    /* Weights come from memory once, and from L2 for every block of x. */
    const uint32_t n_experts = smaller(trial->problem->n_experts, trial->problem->n_x);
    const uint32_t n_weights = n_experts                 ? n_experts
                               : trial->problem->n_heads ? trial->problem->n_heads
                                                         : 1;
    const double bytes = (double)trial->n_row_blocks * tile->unit_bytes *
                         ceil_div(trial->problem->n_cols, LAYOUT_COLS) * n_weights;
    return larger(clocks, block_clocks + bytes / (memory_bytes * device->n_multiprocessors));
}

/* ---- the choice ---- */

/* Kernels by type, by gate, by gemm_tile_n. */
#define NAMES(type)                                                                         \
    {                                                                                       \
        {"gemm_" type "_n8", "gemm_" type "_n16", "gemm_" type "_n32", "gemm_" type "_n64", \
         "gemm_" type "_n128"},                                                             \
        {                                                                                   \
            "gemm_" type "_n8_gate", "gemm_" type "_n16_gate", "gemm_" type "_n32_gate",    \
                "gemm_" type "_n64_gate", "gemm_" type "_n128_gate"                         \
        }                                                                                   \
    }
static const char *const names[LAYOUT_TYPES][2][GEMM_TILE_NS] = {
    [WEIGHT_F32] = NAMES("f32"),   [WEIGHT_F16] = NAMES("f16"),   [WEIGHT_BF16] = NAMES("bf16"),
    [WEIGHT_Q4_0] = NAMES("q4_0"), [WEIGHT_Q4_1] = NAMES("q4_1"), [WEIGHT_Q5_0] = NAMES("q5_0"),
    [WEIGHT_Q5_1] = NAMES("q5_1"), [WEIGHT_Q8_0] = NAMES("q8_0"), [WEIGHT_Q2_K] = NAMES("q2_k"),
    [WEIGHT_Q3_K] = NAMES("q3_k"), [WEIGHT_Q4_K] = NAMES("q4_k"), [WEIGHT_Q5_K] = NAMES("q5_k"),
    [WEIGHT_Q6_K] = NAMES("q6_k"), [WEIGHT_Q8_K] = NAMES("q8_k"), [LAYOUT_FP8] = NAMES("fp8"),
};
#undef NAMES

/* All rows whose tiles one launch has side by side: for the law, in which two matrices of a gate
 * count as one. */
static uint32_t law_rows(const struct cuda_properties *device, const struct gemm_problem *problem) {
    const uint32_t rows = law_tile_rows(device, problem->type);
    return count_row_blocks(problem, rows) * rows;
}

static uint32_t blocks_that_fit(const struct cuda_properties *device, const struct gemm_tile *tile,
                                uint32_t gate) {
    const uint32_t bounded = gemm_tile_resident(gate, tile->n);
    if (tile->shared_bytes == 0 || tile->shared_bytes > device->shared_per_block) return 0;
    /* The driver keeps 1 KiB of each block's for itself. */
    const size_t n = device->shared_per_multiprocessor / (tile->shared_bytes + 1024);
    return n < bounded ? (uint32_t)n : bounded;
}

static struct gemm_choice as_choice(const struct trial *trial, const char *kernel,
                                    uint32_t split_cols) {
    const uint32_t gate = trial->problem->combine == GEMM_GATE;
    struct gemm_choice choice = {
        .launch = {.kernel = kernel,
                   .grid = trial->n_blocks,
                   .threads = trial->tile.threads,
                   .shared_bytes = trial->tile.shared_bytes},
        .split_cols = split_cols,
        .splits_apart = trial->apart,
        .tile_rows = trial->tile.n,
        .max_groups = trial->problem->n_experts ? trial->n_x_blocks : 0,
    };
    if (trial->apart) {
        choice.n_counters = trial->n_row_blocks * trial->n_x_blocks;
        choice.parts_bytes = (uint64_t)trial->n_blocks * gemm_tile_part_bytes(gate, trial->tile.n);
    }
    return choice;
}

struct gemm_choice select_gemm(const struct cuda_properties *device,
                               const struct gemm_problem *problem) {
    const uint32_t split_cols =
        select_split_cols(device, problem->type, law_rows(device, problem), problem->n_cols);
    const uint32_t gate = problem->combine == GEMM_GATE;
    struct gemm_choice choice = {.split_cols = split_cols};
    double least = 0;
    if (select_hopper_has(device, problem->type)) {
        select_gemm_hopper(device, problem, &choice);
        return choice;
    }
    struct trial trial = {.problem = problem, .n_splits = ceil_div(problem->n_cols, split_cols)};
    for (uint32_t i = 0; i < GEMM_TILE_NS; i++) {
        trial.tile = gemm_tile_of(problem->type, gate, gemm_tile_n(i));
        trial.n_resident = blocks_that_fit(device, &trial.tile, gate);
        if (!trial.n_resident) continue;
        trial.n_row_blocks = count_row_blocks(problem, trial.tile.rows);
        trial.n_x_blocks =
            problem->n_experts
                ? gemm_groups_most(problem->n_x, problem->n_experts, trial.tile.n)
                : ceil_div(problem->n_x, trial.tile.n) * (problem->n_heads ? problem->n_heads : 1);
        const uint32_t n_tiles = trial.n_row_blocks * trial.n_x_blocks;
        const bool idle = problem->n_x <= SELECT_APART_MAX_ROWS && !problem->n_heads &&
                          n_tiles < trial.n_resident * (uint32_t)device->n_multiprocessors;
        for (int apart = 0; apart <= (trial.n_splits > 1 && idle); apart++) {
            trial.apart = apart;
            trial.units = ceil_div(apart ? split_cols : problem->n_cols, LAYOUT_COLS);
            trial.n_blocks = apart ? n_tiles * trial.n_splits : n_tiles;
            const double clocks = trial_clocks(device, &trial);
            if (choice.launch.kernel && clocks >= least) continue;
            least = clocks;
            choice = as_choice(&trial, names[problem->type][gate][i], split_cols);
        }
    }
    return choice;
}

struct gemm_choice select_gemm_resident(const struct cuda_properties *device,
                                        const struct gemm_problem *problem) {
    const uint32_t gate = problem->combine == GEMM_GATE;
    const uint32_t split_cols =
        select_split_cols(device, problem->type, law_rows(device, problem), problem->n_cols);
    struct trial trial = {.problem = problem,
                          .tile = gemm_tile_resident_of(problem->type, gate),
                          .n_splits = ceil_div(problem->n_cols, split_cols)};
    if (trial.tile.shared_bytes == 0 || problem->type >= WEIGHT_TYPES ||
        problem->n_x > (problem->n_experts ? UINT32_MAX : trial.tile.n))
        return (struct gemm_choice){.split_cols = split_cols};
    trial.n_row_blocks = count_row_blocks(problem, trial.tile.rows);
    trial.n_x_blocks = problem->n_experts
                           ? gemm_groups_most(problem->n_x, problem->n_experts, trial.tile.n)
                       : problem->n_heads ? problem->n_heads
                                          : 1;
    const uint32_t n_tiles = trial.n_row_blocks * trial.n_x_blocks;
    trial.apart = trial.n_splits > 1 && !problem->n_heads &&
                  n_tiles < PERSISTENT_BLOCKS * (uint32_t)device->n_multiprocessors;
    trial.n_blocks = trial.apart ? n_tiles * trial.n_splits : n_tiles;
    return as_choice(&trial, names[problem->type][gate][0], split_cols);
}
