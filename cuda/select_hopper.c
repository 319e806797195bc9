/* The choice among the kernels for warpgroups: blocks stay, one on a multiprocessor, and take tiles
 * in turn. */
#include "cuda/kernels/gemm/gemm_hopper_tiles.h"
#include "cuda/select_model.h"

/* A clock of a multiprocessor: multiply-adds of wgmma on 16-bit operands, N of a product counting
 * as 32 at least, while its A operand is read. */
static const double products = 2048;
static const uint32_t least_n = 32;
/* A clock, made bf16: eight warps, about 160 instructions of one for a unit's 1,024. */
static const double codes = 4.0 * LAYOUT_ROWS * LAYOUT_COLS / 160;
/* A clock, of sums of e4m3 that are made for each 128 columns: of its 128 lanes each is one of the
 * scales' product and a multiply-add. */
static const double block_sums = 64.0 * LAYOUT_BLOCK_COLS;
static const double launch_clocks = 2500; /* first copies and last stores, which nothing hides */
static const double store_clocks = 3;     /* of a row of x, beside copies and products */
/* Rows of x in a tile from which on two blocks share them: with fewer, weights are most of what is
 * read. */
static const uint32_t least_paired = 128;

/* By type, by gate, by gemm_hopper_n. */
#define NAMES(type)                                                                             \
    {                                                                                           \
        {"gemm_hopper_" type "_n8",  "gemm_hopper_" type "_n16",  "gemm_hopper_" type "_n32",   \
         "gemm_hopper_" type "_n64", "gemm_hopper_" type "_n128", "gemm_hopper_" type "_n256"}, \
        {                                                                                       \
            "gemm_hopper_" type "_n8_gate", "gemm_hopper_" type "_n16_gate",                    \
                "gemm_hopper_" type "_n32_gate", "gemm_hopper_" type "_n64_gate",               \
                "gemm_hopper_" type "_n128_gate", NULL                                          \
        }                                                                                       \
    }
static const char *const names[LAYOUT_TYPES][2][GEMM_HOPPER_NS] = {
    [WEIGHT_F16] = NAMES("f16"),         [WEIGHT_BF16] = NAMES("bf16"),
    [WEIGHT_Q4_0] = NAMES("q4_0"),       [WEIGHT_Q4_1] = NAMES("q4_1"),
    [WEIGHT_Q5_0] = NAMES("q5_0"),       [WEIGHT_Q5_1] = NAMES("q5_1"),
    [WEIGHT_Q8_0] = NAMES("q8_0"),       [WEIGHT_Q2_K] = NAMES("q2_k"),
    [WEIGHT_Q3_K] = NAMES("q3_k"),       [WEIGHT_Q4_K] = NAMES("q4_k"),
    [WEIGHT_Q5_K] = NAMES("q5_k"),       [WEIGHT_Q6_K] = NAMES("q6_k"),
    [WEIGHT_Q8_K] = NAMES("q8_k"),       [LAYOUT_FP8] = NAMES("fp8"),
    [LAYOUT_FP8_FP8] = NAMES("fp8_fp8"),
};
#undef NAMES

bool select_hopper_has(const struct cuda_properties *device, enum weight_type type) {
    return device->warpgroups && names[type][0][0] != NULL;
}

struct trial {
    const struct gemm_problem *problem;
    struct gemm_hopper_tile tile;
    uint32_t n_row_blocks, n_x_blocks;
    uint32_t n_tiles; /* with splits apart, of all */
    uint32_t units;   /* of a tile */
    uint32_t grid;
    bool apart;
    bool pair; /* two blocks share what they read of x; a tile then is one of two */
};

static double trial_clocks(const struct cuda_properties *device, const struct trial *trial) {
    const enum weight_type type = trial->problem->type;
    const struct weight_format format = weight_layout_format(type);
    const struct gemm_hopper_tile *tile = &trial->tile;
    const uint32_t n_matrices = trial->problem->combine == GEMM_GATE ? 2 : 1;
    const uint32_t row_tiles = GEMM_HOPPER_ROWS / LAYOUT_ROWS * n_matrices;
    const double weights = (double)row_tiles * LAYOUT_ROWS * LAYOUT_COLS;
    const double x_bytes =
        (double)(tile->x_bytes + tile->scale_bytes) / tile->x_units / (trial->pair ? 2 : 1);
    const double bytes = (double)row_tiles * tile->run_bytes / tile->run_units + x_bytes;
    const double under_way = (double)tile->run_stages * tile->run_units;
    /* Unpacking goes on while products run. */
    double unit = weights * (tile->n < least_n ? least_n : tile->n) / products;
    if ((uint32_t)type == LAYOUT_FP8_FP8) /* twice as fast; sums are added up by the threads */
        unit = larger(unit / 2, weights * tile->n / block_sums);
    else if (format.low_bits < 16)
        unit = larger(unit, weights / codes);
    unit = larger(unit, bytes / cache_bytes);
    unit = larger(unit, memory_clocks / under_way);
    const double rounds = ceil_div(trial->n_tiles, trial->grid);
    const double clocks =
        rounds * (trial->units * unit + tile->n * store_clocks + (trial->apart ? part_clocks : 0));
    /* Weights come from memory once. */
    const uint32_t n_experts = smaller(trial->problem->n_experts, trial->problem->n_x);
    const uint32_t n_weights = n_experts                 ? n_experts
                               : trial->problem->n_heads ? trial->problem->n_heads
                                                         : 1;
    const double read = (double)trial->n_row_blocks * row_tiles *
                        ((double)tile->run_bytes / tile->run_units) *
                        ceil_div(trial->problem->n_cols, LAYOUT_COLS) * n_weights;
    return launch_clocks + larger(clocks, read / (memory_bytes * device->n_multiprocessors));
}

static void take(const struct trial *trial, const char *kernel, struct gemm_choice *choice) {
    const uint32_t gate = trial->problem->combine == GEMM_GATE;
    *choice = (struct gemm_choice){
        .launch = {.kernel = kernel,
                   .grid = trial->grid,
                   .threads = GEMM_HOPPER_THREADS,
                   .shared_bytes = trial->tile.shared_bytes,
                   .cluster = trial->pair ? 2 : 0},
        .split_cols = choice->split_cols,
        .splits_apart = trial->apart,
        .tile_rows = trial->tile.n,
        .max_groups = trial->problem->n_experts ? trial->n_x_blocks : 0,
        .warpgroups = true,
    };
    if (!trial->apart) return;
    choice->n_counters = trial->n_row_blocks * trial->n_x_blocks;
    choice->parts_bytes = (uint64_t)trial->n_tiles * gemm_hopper_part_bytes(gate, trial->tile.n);
}

/* Takes it if it costs less than the least so far. Returns the least now. */
static double consider(const struct cuda_properties *device, const struct trial *trial,
                       const char *kernel, double least, struct gemm_choice *choice) {
    const double clocks = trial_clocks(device, trial);
    if (choice->launch.kernel && clocks >= least) return least;
    take(trial, kernel, choice);
    return clocks;
}

void select_gemm_hopper(const struct cuda_properties *device, const struct gemm_problem *problem,
                        struct gemm_choice *choice) {
    const uint32_t gate = problem->combine == GEMM_GATE;
    const uint32_t n_splits = ceil_div(problem->n_cols, choice->split_cols);
    double least = 0;
    for (uint32_t i = 0; i < GEMM_HOPPER_NS; i++) {
        struct trial trial = {.problem = problem};
        trial.tile = gemm_hopper_tile_of(problem->type, gate, gemm_hopper_n(i));
        if (trial.tile.shared_bytes == 0 || trial.tile.shared_bytes > device->shared_per_block)
            continue;
        if (trial.tile.whole && n_splits > 1) continue;
        trial.n_row_blocks = count_row_blocks(problem, GEMM_HOPPER_ROWS);
        trial.n_x_blocks =
            problem->n_experts
                ? gemm_groups_most(problem->n_x, problem->n_experts, trial.tile.n)
                : ceil_div(problem->n_x, trial.tile.n) * (problem->n_heads ? problem->n_heads : 1);
        const uint32_t n_tiles = trial.n_row_blocks * trial.n_x_blocks;
        const bool idle =
            problem->n_x <= SELECT_APART_MAX_ROWS && n_tiles < (uint32_t)device->n_multiprocessors;
        for (int apart = 0; apart <= (n_splits > 1 && idle); apart++) {
            trial.apart = apart;
            trial.units = ceil_div(apart ? choice->split_cols : problem->n_cols, LAYOUT_COLS);
            trial.n_tiles = apart ? n_tiles * n_splits : n_tiles;
            trial.grid = smaller(trial.n_tiles, (uint32_t)device->n_multiprocessors);
            least = consider(device, &trial, names[problem->type][gate][i], least, choice);
        }
        if (trial.tile.n < least_paired || n_tiles < (uint32_t)device->n_multiprocessors) continue;
        trial.pair = true;
        trial.apart = false;
        trial.units = ceil_div(problem->n_cols, LAYOUT_COLS);
        trial.n_tiles = 2 * count_row_blocks(problem, 2 * GEMM_HOPPER_ROWS) * trial.n_x_blocks;
        trial.grid = smaller(trial.n_tiles, (uint32_t)device->n_multiprocessors / 2 * 2);
        least = consider(device, &trial, names[problem->type][gate][i], least, choice);
    }
}
