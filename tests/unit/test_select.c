/* Kernel selection, for the shapes of real models on five devices: the kernels are there and legal,
 * a grid computes every output once, and how sums are split does not depend on the rows. */
#include "cuda/select.h"

#include "cuda/kernels/attention/attention_hopper_args.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/gemm/gemm_hopper_tiles.h"
#include "cuda/kernels/gemm/gemm_tiles.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_shapes.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct device {
    const char *name;
    struct cuda_properties properties;
} devices[] = {
    {"A100",
     {.major = 8,
      .minor = 0,
      .n_multiprocessors = 108,
      .shared_per_block = 163 << 10,
      .shared_per_multiprocessor = 164 << 10,
      .l2_bytes = 40 << 20}},
    {"H100",
     {.major = 9,
      .minor = 0,
      .n_multiprocessors = 132,
      .shared_per_block = 227 << 10,
      .shared_per_multiprocessor = 228 << 10,
      .l2_bytes = 50 << 20}},
    {"H200",
     {.major = 9,
      .minor = 0,
      .n_multiprocessors = 132,
      .shared_per_block = 227 << 10,
      .shared_per_multiprocessor = 228 << 10,
      .l2_bytes = 60 << 20}},
    {"H100 by warpgroups",
     {.major = 9,
      .minor = 0,
      .n_multiprocessors = 132,
      .shared_per_block = 227 << 10,
      .shared_per_multiprocessor = 228 << 10,
      .l2_bytes = 50 << 20,
      .warpgroups = true}},
    {"a card of 20 multiprocessors",
     {.major = 8,
      .minor = 6,
      .n_multiprocessors = 20,
      .shared_per_block = 99 << 10,
      .shared_per_multiprocessor = 100 << 10,
      .l2_bytes = 2 << 20}},
};
static const uint32_t rows_of_x[] = {1,  2,   3,   7,   8,   9,   16,  17,   32,   33,
                                     64, 100, 128, 129, 257, 512, 777, 1024, 2048, 4096};

/* Check writes a record for each of its assertions; here are some millions. */
#define require_that(condition, ...)                 \
    do {                                             \
        if (!(condition)) ck_abort_msg(__VA_ARGS__); \
    } while (0)
#define require(condition) require_that(condition, "%s", #condition)

/* ---- the products of a model ---- */

struct problem {
    char what[96];
    struct gemm_problem gemm; /* n_x and type are the test's */
};
#define MOST_PROBLEMS 16

static void add(struct problem *problems, size_t *n, const struct model_shape *model,
                const char *what, enum gemm_combine combine, uint32_t n_cols, uint32_t n_rows,
                uint32_t n_rows_1, uint32_t n_rows_2) {
    struct problem *problem = &problems[(*n)++];
    require(*n <= MOST_PROBLEMS);
    snprintf(problem->what, sizeof problem->what, "%s, %s", model->name, what);
    problem->gemm = (struct gemm_problem){
        .combine = combine,
        .n_weights = n_rows_2   ? 3
                     : n_rows_1 ? 2
                                : 1,
        .n_rows = {n_rows, n_rows_1, n_rows_2},
        .n_cols = n_cols,
    };
}

static void add_ffn(struct problem *problems, size_t *n, const struct model_shape *model,
                    const char *what, uint32_t n_ff) {
    if (n_ff == 0) return;
    if (model->gated)
        add(problems, n, model, what, GEMM_GATE, model->n_embd, n_ff, n_ff, 0);
    else
        add(problems, n, model, what, GEMM_STORE, model->n_embd, n_ff, 0, 0);
    add(problems, n, model, what, GEMM_ADD, n_ff, model->n_embd, 0, 0);
}

static size_t products_of(const struct model_shape *m, struct problem *problems) {
    size_t n = 0;
    const uint32_t n_q = m->n_heads * m->head_dim, n_kv = m->n_kv_heads * m->head_dim;
    if (m->kv_rank) {
        const uint32_t n_value = m->n_heads * (m->head_dim - m->n_rope);
        const uint32_t q_in = m->q_rank ? m->q_rank : m->n_embd;
        add(problems, &n, m, "q and kv down", GEMM_STORE, m->n_embd, m->q_rank ? m->q_rank : n_q,
            m->kv_rank + m->n_rope, 0);
        add(problems, &n, m, "q up", GEMM_STORE, q_in, n_q, 0, 0);
        add(problems, &n, m, "kv up", GEMM_STORE, m->kv_rank, 2 * n_value, 0, 0);
        add(problems, &n, m, "attention out", GEMM_ADD, n_value, m->n_embd, 0, 0);
    } else {
        add(problems, &n, m, "q, k and v", GEMM_STORE, m->n_embd, n_q, n_kv, n_kv);
        add(problems, &n, m, "q", GEMM_STORE, m->n_embd, n_q, 0, 0);
        add(problems, &n, m, "v", GEMM_STORE, m->n_embd, n_kv, 0, 0);
        add(problems, &n, m, "attention out", GEMM_ADD, n_q, m->n_embd, 0, 0);
    }
    add_ffn(problems, &n, m, "FFN", m->n_ff);
    add_ffn(problems, &n, m, "expert", m->expert_ff);
    add(problems, &n, m, "head", GEMM_STORE, m->n_embd, m->n_vocab, 0, 0);
    return n;
}

static const char *name_of(enum weight_type type) {
    return (uint32_t)type == LAYOUT_FP8       ? "fp8"
           : (uint32_t)type == LAYOUT_FP8_FP8 ? "fp8_fp8"
                                              : weight_type_traits[type].name;
}

/* Calls with every product of every model in every type whose blocks its rows can have. */
static void for_products(void (*check)(const struct device *, struct problem *)) {
    for (size_t m = 0; m < COUNT(model_shapes); m++) {
        struct problem problems[MOST_PROBLEMS];
        const size_t n = products_of(&model_shapes[m], problems);
        for (size_t p = 0; p < n; p++)
            for (uint32_t type = 0; type < LAYOUT_TYPES; type++) {
                problems[p].gemm.type = (enum weight_type)type;
                if (type == LAYOUT_INT4_32 || type == LAYOUT_INT4_64) continue; /* of no model */
                if (type < WEIGHT_TYPES && problems[p].gemm.n_cols % weight_type_traits[type].block)
                    continue;
                if (weight_layout_type(type) != type) continue;
                for (size_t d = 0; d < COUNT(devices); d++)
                    if (type != LAYOUT_FP8_FP8 || devices[d].properties.warpgroups)
                        check(&devices[d], &problems[p]);
            }
    }
}

/* ---- GEMM ---- */

static uint32_t tile_of_name(const char *kernel) {
    unsigned n = 0;
    const char *at = strstr(kernel, "_n");
    require(at);
    require(sscanf(at, "_n%u", &n) == 1);
    return n;
}

/* What a chosen kernel's blocks do. */
struct kernel_tile {
    uint32_t rows, threads, shared_bytes, part_bytes;
};
static struct kernel_tile tile_of(const struct gemm_problem *gemm,
                                  const struct gemm_choice *choice) {
    const uint32_t gate = gemm->combine == GEMM_GATE, n = tile_of_name(choice->launch.kernel);
    if (choice->warpgroups)
        return (struct kernel_tile){GEMM_HOPPER_ROWS, GEMM_HOPPER_THREADS,
                                    gemm_hopper_tile_of(gemm->type, gate, n).shared_bytes,
                                    gemm_hopper_part_bytes(gate, n)};
    const struct gemm_tile tile = gemm_tile_of(gemm->type, gate, n);
    return (struct kernel_tile){tile.rows, tile.threads, tile.shared_bytes,
                                gemm_tile_part_bytes(gate, n)};
}

static void check_launch(const struct device *device, const struct problem *problem,
                         const struct gemm_choice *choice) {
    const struct gemm_problem *gemm = &problem->gemm;
    const struct launch_shape *launch = &choice->launch;
    const uint32_t gate = gemm->combine == GEMM_GATE;
    char name[64];
    require_that(launch->kernel, "%s on %s has no kernel", problem->what, device->name);
    const uint32_t n = tile_of_name(launch->kernel);
    snprintf(name, sizeof name, "gemm_%s%s_n%u%s", choice->warpgroups ? "hopper_" : "",
             name_of(gemm->type), n, gate ? "_gate" : "");
    for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
    require(!strcmp(launch->kernel, name));
    require(choice->warpgroups == (device->properties.warpgroups && gemm->type != WEIGHT_F32));
    require(choice->tile_rows == n);
    if (choice->warpgroups && gemm_hopper_tile_of(gemm->type, gate, n).whole)
        require(choice->split_cols >= gemm->n_cols);
    const struct kernel_tile tile = tile_of(gemm, choice);
    require(tile.shared_bytes > 0);
    require(launch->shared_bytes == tile.shared_bytes);
    require(launch->shared_bytes <= device->properties.shared_per_block);
    require(launch->threads == tile.threads);
    require(launch->grid > 0);
    require(launch->grid < 1u << 31);
}

/* Blocks of a launch that has so many tiles, those of a pair of blocks counting once. */
static uint32_t grid_of(const struct device *device, const struct gemm_choice *choice,
                        uint32_t n_tiles) {
    const uint32_t most = (uint32_t)device->properties.n_multiprocessors; /* tiles in turn */
    if (!choice->warpgroups) return n_tiles;
    if (choice->launch.cluster == 2) return n_tiles > most / 2 ? most / 2 * 2 : 2 * n_tiles;
    return n_tiles > most ? most : n_tiles;
}

/* Every block of the grid has outputs, and all together have each once. */
static void check_cover(const struct device *device, const struct problem *problem,
                        const struct gemm_choice *choice) {
    const struct gemm_problem *gemm = &problem->gemm;
    const uint32_t gate = gemm->combine == GEMM_GATE, n = tile_of_name(choice->launch.kernel);
    const struct kernel_tile tile = tile_of(gemm, choice);
    const uint32_t rows = tile.rows * (choice->launch.cluster == 2 ? 2 : 1);
    const uint32_t n_splits =
        choice->splits_apart ? (gemm->n_cols - 1) / choice->split_cols + 1 : 1;
    const uint32_t n_weights = gate ? 1 : gemm->n_weights;
    uint64_t outputs = 0, found = 0;
    uint32_t n_row_blocks = 0;
    for (uint32_t i = 0; i < n_weights; i++) {
        outputs += (uint64_t)gemm->n_rows[i] * gemm->n_x * n_splits;
        n_row_blocks += (gemm->n_rows[i] + rows - 1) / rows;
    }
    const uint32_t n_x_blocks = (gemm->n_x - 1) / n + 1;
    const uint32_t n_tiles = n_row_blocks * n_x_blocks * n_splits;
    require(choice->launch.grid == grid_of(device, choice, n_tiles));
    if (choice->launch.cluster)
        require(choice->launch.cluster == 2 && choice->warpgroups && n >= 128 &&
                !choice->splits_apart);
    if (choice->splits_apart) {
        require(n_splits > 1 && gemm->n_x <= SELECT_APART_MAX_ROWS);
        require(choice->n_counters >= n_row_blocks * n_x_blocks);
        require(choice->parts_bytes >=
                (uint64_t)n_row_blocks * n_x_blocks * n_splits * tile.part_bytes);
        require(choice->parts_bytes <= 64 << 20);
    }
    for (uint32_t b = 0; b < n_tiles; b++) {
        if (n_tiles > 1024) return; /* the same arithmetic, only longer */
        uint32_t row_block = b / n_x_blocks % n_row_blocks, x = b % n_x_blocks * n, weight = 0;
        while (row_block >= (gemm->n_rows[weight] + rows - 1) / rows)
            row_block -= (gemm->n_rows[weight++] + rows - 1) / rows;
        require(row_block * rows < gemm->n_rows[weight]);
        require(x < gemm->n_x);
        const uint32_t has_rows = gemm->n_rows[weight] - row_block * rows;
        const uint32_t has_x = gemm->n_x - x;
        found += (uint64_t)(has_rows < rows ? has_rows : rows) * (has_x < n ? has_x : n);
    }
    require(found == outputs);
}

static void check_product(const struct device *device, struct problem *problem) {
    struct gemm_problem *gemm = &problem->gemm;
    uint32_t split_cols = 0;
    for (size_t i = 0; i < COUNT(rows_of_x); i++) {
        gemm->n_x = rows_of_x[i];
        const struct gemm_choice choice = select_gemm(&device->properties, gemm);
        if (i == 0) split_cols = choice.split_cols;
        require(choice.split_cols == split_cols);
        check_launch(device, problem, &choice);
        check_cover(device, problem, &choice);
    }
    require(split_cols % LAYOUT_COLS == 0);
    require_that(split_cols >= gemm->n_cols || split_cols % GEMM_SPLIT_MULTIPLE == 0,
                 "%s: %u columns are split after %u", problem->what, gemm->n_cols, split_cols);
    require_that(split_cols >= gemm->n_cols || split_cols >= 512, "%s: splits of %u columns",
                 problem->what, split_cols);
    if (gemm->n_weights == 1 || gemm->combine == GEMM_GATE) {
        /* Where adapters change it, it's stored for itself: the same sums. */
        struct gemm_problem apart = *gemm;
        apart.combine = GEMM_STORE;
        apart.n_weights = 1;
        require(select_gemm(&device->properties, &apart).split_cols == split_cols);
    }
    if (gemm->n_weights == 1) {
        require(select_split_cols(&device->properties, gemm->type, gemm->n_rows[0], gemm->n_cols) ==
                split_cols);
        /* What pads a row changes no law. */
        require(select_split_cols(&device->properties, gemm->type, gemm->n_rows[0],
                                  (uint32_t)weight_layout_padded_cols(gemm->n_cols)) == split_cols);
    }
}

START_TEST(products_are_covered) {
    for_products(check_product);
}
END_TEST

/* One token of a large weight: most multiprocessors have a block. */
static void check_one_token(const struct device *device, struct problem *problem) {
    struct gemm_problem *gemm = &problem->gemm;
    gemm->n_x = 1;
    const struct gemm_choice choice = select_gemm(&device->properties, gemm);
    if ((uint64_t)gemm->n_rows[0] * gemm->n_cols < 16 << 20) return;
    require_that(tile_of_name(choice.launch.kernel) <= 16, "%s on %s: %s", problem->what,
                 device->name, choice.launch.kernel);
    require_that(choice.launch.grid * 2 > (uint32_t)device->properties.n_multiprocessors,
                 "%s, %s on %s: %u blocks", problem->what, name_of(gemm->type), device->name,
                 choice.launch.grid);
}

START_TEST(one_token_fills_the_device) {
    for_products(check_one_token);
}
END_TEST

START_TEST(many_tokens_share_what_is_read) {
    struct gemm_problem gemm = {.type = WEIGHT_Q4_K,
                                .combine = GEMM_STORE,
                                .n_weights = 1,
                                .n_rows = {14336},
                                .n_cols = 4096,
                                .n_x = 4096};
    for (size_t d = 0; d < COUNT(devices); d++) {
        const struct gemm_choice choice = select_gemm(&devices[d].properties, &gemm);
        ck_assert_uint_ge(tile_of_name(choice.launch.kernel), 64);
        ck_assert_uint_eq(choice.splits_apart, 0);
    }
}
END_TEST

/* Two blocks share what they read of x where that is most of what they read, and nowhere else. */
START_TEST(blocks_pair_for_many_tokens) {
    struct gemm_problem gemm = {.type = WEIGHT_BF16,
                                .combine = GEMM_STORE,
                                .n_weights = 1,
                                .n_rows = {8192},
                                .n_cols = 8192,
                                .n_x = 8192};
    for (size_t d = 0; d < COUNT(devices); d++) {
        const bool warpgroups = devices[d].properties.warpgroups;
        gemm.n_x = 8192;
        ck_assert_uint_eq(select_gemm(&devices[d].properties, &gemm).launch.cluster,
                          warpgroups ? 2 : 0);
        gemm.n_x = 64;
        ck_assert_uint_eq(select_gemm(&devices[d].properties, &gemm).launch.cluster, 0);
    }
}
END_TEST

/* Experts' rows of x lie in groups of one expert each, and there is a tile for every group there
 * may be; the law is that of one expert's weight. */
START_TEST(experts_have_groups) {
    for (size_t m = 0; m < COUNT(model_shapes); m++) {
        const struct model_shape *model = &model_shapes[m];
        if (model->expert_ff == 0) continue;
        for (size_t i = 0; i < COUNT(rows_of_x); i++)
            for (size_t d = 0; d < COUNT(devices); d++) {
                struct gemm_problem gemm = {.type = WEIGHT_BF16,
                                            .combine = GEMM_GATE,
                                            .n_weights = 2,
                                            .n_rows = {model->expert_ff, model->expert_ff},
                                            .n_cols = model->n_embd,
                                            .n_x = rows_of_x[i]};
                const struct gemm_choice one = select_gemm(&devices[d].properties, &gemm);
                gemm.n_experts = 64;
                const struct gemm_choice all = select_gemm(&devices[d].properties, &gemm);
                const uint32_t rows = tile_of(&gemm, &all).rows * (all.launch.cluster == 2 ? 2 : 1);
                const uint32_t n_splits =
                    all.splits_apart ? (gemm.n_cols - 1) / all.split_cols + 1 : 1;
                ck_assert_uint_eq(all.split_cols, one.split_cols);
                ck_assert_uint_eq(one.max_groups, 0);
                ck_assert_uint_eq(all.tile_rows, tile_of_name(all.launch.kernel));
                ck_assert_uint_eq(all.max_groups,
                                  gemm_groups_most(gemm.n_x, gemm.n_experts, all.tile_rows));
                const uint32_t n_tiles =
                    all.max_groups * n_splits * ((model->expert_ff - 1) / rows + 1);
                ck_assert_uint_eq(all.launch.grid, grid_of(&devices[d], &all, n_tiles));
            }
    }
}
END_TEST

START_TEST(wide_weights_are_not_split) {
    for (int type = 0; type < WEIGHT_TYPES; type++)
        for (size_t d = 0; d < COUNT(devices); d++)
            ck_assert_uint_eq(
                select_split_cols(&devices[d].properties, (enum weight_type)type, 128256, 4096),
                4096);
}
END_TEST

START_TEST(activations_follow_the_type) {
    ck_assert_int_eq(select_activation(WEIGHT_F32), CUDA_ACTIVATION_SPLIT);
    ck_assert_int_eq(select_activation(WEIGHT_F16), CUDA_ACTIVATION_F16);
    for (int type = WEIGHT_BF16; type < WEIGHT_TYPES; type++)
        ck_assert_int_eq(select_activation((enum weight_type)type), CUDA_ACTIVATION_BF16);
    ck_assert_int_eq(select_activation((enum weight_type)LAYOUT_FP8), CUDA_ACTIVATION_BF16);
    ck_assert_int_eq(select_activation((enum weight_type)LAYOUT_FP8_FP8), CUDA_ACTIVATION_E4M3);
}
END_TEST

/* ---- attention ---- */

static const struct attention_bucket *bucket_of(const struct attention_problem *problem) {
    return attention_bucket_find(problem->kv_type, problem->key_dim, problem->value_dim,
                                 problem->values_in_keys);
}

/* What a kernel of attention is expected to be. */
struct attention_kernel {
    const char *family, *bucket;
    uint32_t key_dim, value_dim, threads, shared_bytes, tile;
};

static struct attention_kernel expected_attention(const struct device *device,
                                                  const struct attention_problem *problem,
                                                  uint32_t stages) {
    const bool two_bytes = problem->kv_type == CUDA_KV_F16 || problem->kv_type == CUDA_KV_BF16;
    const bool is_long = problem->key_dim > 128;
    if (device->properties.warpgroups && problem->kv_type != CUDA_KV_F32 &&
        (!two_bytes || problem->values_in_keys || problem->key_dim == problem->value_dim) &&
        (!is_long || (two_bytes && problem->values_in_keys))) {
        const uint32_t dim = problem->key_dim <= 64 ? 64 : is_long ? 576 : 128;
        return (struct attention_kernel){"hopper_",
                                         dim == 64    ? "d64"
                                         : dim == 128 ? "d128"
                                                      : "mla",
                                         dim,
                                         is_long ? 512 : dim,
                                         ATTENTION_HOPPER_THREADS,
                                         0, /* whatever fits */
                                         is_long ? 64 : 128};
    }
    const struct attention_bucket *bucket = bucket_of(problem);
    ck_assert_ptr_nonnull(bucket);
    ck_assert_uint_ge(stages, 1);
    ck_assert_uint_le(stages, ATTENTION_MAX_STAGES);
    return (struct attention_kernel){"",
                                     bucket->name,
                                     bucket->key_dim,
                                     bucket->value_dim,
                                     ATTENTION_THREADS,
                                     attention_shared_bytes(problem->kv_type, bucket, stages),
                                     ATTENTION_TILE_ROWS(bucket->row_warps)};
}

static void check_attention(const struct device *device, const char *what,
                            const struct attention_problem *problem) {
    const struct attention_choice choice = select_attention(&device->properties, problem);
    ck_assert_msg(choice.launch.kernel, "%s on %s has no kernel for KV type %u", what, device->name,
                  problem->kv_type);
    char name[64];
    const struct attention_kernel kernel = expected_attention(device, problem, choice.stages);
    snprintf(name, sizeof name, "attention_%s%s_%s", kernel.family,
             attention_type_names[problem->kv_type], kernel.bucket);
    ck_assert_str_eq(choice.launch.kernel, name);
    ck_assert_int_eq(choice.warpgroups, kernel.family[0] != 0);
    ck_assert_uint_ge(kernel.key_dim, problem->key_dim);
    ck_assert_uint_ge(kernel.value_dim, problem->value_dim);
    ck_assert_uint_eq(choice.launch.threads, kernel.threads);
    if (kernel.shared_bytes) ck_assert_uint_eq(choice.launch.shared_bytes, kernel.shared_bytes);
    ck_assert_uint_le(choice.launch.shared_bytes, device->properties.shared_per_block);
    ck_assert_uint_ge(choice.launch.grid, (uint32_t)device->properties.n_multiprocessors);
    ck_assert_uint_ge(choice.rows_per_item, 1);
    const uint32_t group = problem->n_heads / problem->n_kv_heads;
    ck_assert_uint_eq(choice.tile_queries, kernel.tile);
    ck_assert(choice.rows_per_item == 1 || choice.rows_per_item * group <= kernel.tile);
    ck_assert_str_eq(choice.merge.kernel, "attention_merge");
    ck_assert_uint_gt(choice.merge.grid, 0);
    ck_assert_uint_eq(choice.merge.threads, ATTENTION_MERGE_THREADS);
}

START_TEST(every_model_has_attention) {
    for (size_t m = 0; m < COUNT(model_shapes); m++)
        for (uint32_t type = 0; type < CUDA_KV_TYPES; type++)
            for (size_t d = 0; d < COUNT(devices); d++) {
                const struct model_shape *model = &model_shapes[m];
                struct attention_problem problem = {
                    type,           model->head_dim,   model->head_dim,
                    model->n_heads, model->n_kv_heads, false};
                if (model->kv_rank) {
                    problem.key_dim = model->kv_rank + model->n_rope;
                    problem.value_dim = model->kv_rank;
                    problem.n_kv_heads = 1;
                    problem.values_in_keys = true;
                }
                /* A page of latent keys may be more than a small card's shared memory. */
                if (model->kv_rank && attention_shared_bytes(type, bucket_of(&problem), 1) >
                                          devices[d].properties.shared_per_block)
                    ck_assert_ptr_null(
                        select_attention(&devices[d].properties, &problem).launch.kernel);
                else
                    check_attention(&devices[d], model->name, &problem);
            }
}
END_TEST

START_TEST(every_head_dim_has_attention) {
    for (uint32_t dim = 8; dim <= 256; dim += 8)
        for (uint32_t type = 0; type < CUDA_KV_TYPES; type++)
            for (size_t d = 0; d < COUNT(devices); d++) {
                const struct attention_problem problem = {type, dim, dim, 12, 4, false};
                check_attention(&devices[d], "a head", &problem);
            }
}
END_TEST

START_TEST(heads_without_a_kernel) {
    const struct attention_problem odd = {CUDA_KV_F16, 60, 60, 4, 4, false};
    const struct attention_problem wide = {CUDA_KV_F16, 1024, 1024, 4, 4, false};
    ck_assert_ptr_null(select_attention(&devices[0].properties, &odd).launch.kernel);
    const struct attention_problem apart = {CUDA_KV_F16, 512, 512, 4, 4, false};
    ck_assert_ptr_null(select_attention(&devices[0].properties, &wide).launch.kernel);
    ck_assert_ptr_null(select_attention(&devices[0].properties, &apart).launch.kernel);
}
END_TEST

int main(void) {
    _Static_assert(COUNT(model_shapes) >= 60, "many models");
    TCase *gemm = tcase_create("gemm"), *attention = tcase_create("attention");
    tcase_set_timeout(gemm, 300);
    tcase_add_test(gemm, products_are_covered);
    tcase_add_test(gemm, one_token_fills_the_device);
    tcase_add_test(gemm, many_tokens_share_what_is_read);
    tcase_add_test(gemm, blocks_pair_for_many_tokens);
    tcase_add_test(gemm, experts_have_groups);
    tcase_add_test(gemm, wide_weights_are_not_split);
    tcase_add_test(gemm, activations_follow_the_type);
    tcase_add_test(attention, every_model_has_attention);
    tcase_add_test(attention, every_head_dim_has_attention);
    tcase_add_test(attention, heads_without_a_kernel);
    Suite *suite = suite_create("select");
    suite_add_tcase(suite, gemm);
    suite_add_tcase(suite, attention);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
