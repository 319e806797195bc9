/* The work list of attention on a GPU, and the block of bytes that tells a step to its kernels. */
#include "cuda/step_data.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdlib.h>
#include <string.h>

enum { MAX_SEQUENCES = 12, MAX_SPLITS = 64, MAX_ROWS = 512, MAX_HEADS = 8, MAX_GROUP = 8 };

static uint64_t random_state;

static int64_t random_below(int64_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((random_state >> 33) % (uint64_t)n);
}

struct made_step {
    struct step step;
    struct step_sequence sequences[MAX_SEQUENCES];
    int32_t tokens[MAX_ROWS], logit_rows[MAX_ROWS];
    int32_t table[MAX_SPLITS * ATTENTION_SPLIT_KEYS / KV_PAGE_TOKENS + 1];
    const int32_t *tables[2];
};

static void make_step(struct made_step *made) {
    memset(made, 0, sizeof *made);
    int64_t n = 1 + random_below(MAX_SEQUENCES), row = 0;
    for (size_t i = 0; i < sizeof made->table / sizeof *made->table; i++)
        made->table[i] = (int32_t)i;
    made->tables[0] = made->tables[1] = made->table;
    for (int64_t s = 0; s < n; s++) {
        int64_t n_rows = random_below(2) ? 1 : 1 + random_below(MAX_ROWS / MAX_SEQUENCES);
        int64_t position = random_below(MAX_SPLITS * ATTENTION_SPLIT_KEYS - n_rows);
        made->sequences[s] = (struct step_sequence){
            .position = position, .first_row = row, .n_rows = n_rows, .pages = made->tables};
        row += n_rows;
    }
    for (int64_t i = 0; i < row; i++) made->tokens[i] = (int32_t)(100 + i);
    made->logit_rows[0] = (int32_t)row - 1;
    made->step = (struct step){.n_rows = row,
                               .n_sequences = n,
                               .n_logit_rows = 1,
                               .tokens = made->tokens,
                               .sequences = made->sequences,
                               .logit_rows = made->logit_rows};
}

static bool sees(int64_t position, int64_t window, int64_t split) {
    int64_t first = window && position + 1 > window ? position + 1 - window : 0;
    return split >= first / ATTENTION_SPLIT_KEYS && split <= position / ATTENTION_SPLIT_KEYS;
}

/* Slot of a query's split → how often it is written; every merge reads each of its slots once. */
static void check_slots(const struct attention_plan *plan, int64_t group, int64_t max_slots) {
    uint8_t *written = calloc((size_t)max_slots + 1, 1);
    int64_t n_wrong = 0; /* an assertion for each would take minutes */
    for (int64_t i = 0; i < plan->n_items; i++) {
        const struct attention_item *item = &plan->items[i];
        if (item->part < 0) continue;
        int64_t n_queries = item->n_rows * group, n_splits = item->end_split - item->first_split;
        ck_assert_int_le(item->part + n_splits * n_queries, max_slots);
        for (int64_t split = 0; split < n_splits; split++)
            for (int64_t q = item->first_query; q < item->first_query + item->n_queries; q++)
                written[item->part + split * n_queries + q]++;
    }
    for (int64_t i = 0; i < plan->n_merges; i++) {
        const struct attention_merge_item *merge = &plan->merges[i];
        int64_t n_queries = merge->n_rows * group;
        ck_assert_int_le(merge->n_queries, ATTENTION_MERGE_QUERIES);
        ck_assert_int_le(merge->first_query + merge->n_queries, n_queries);
        for (int64_t split = 0; split < merge->n_splits; split++)
            for (int64_t q = merge->first_query; q < merge->first_query + merge->n_queries; q++)
                n_wrong += written[merge->part + split * n_queries + q]-- != 1;
    }
    for (int64_t i = 0; i < max_slots; i++) n_wrong += written[i] != 0;
    ck_assert_int_eq(n_wrong, 0);
    free(written);
}

/* Every row, head and split that it sees is in exactly one item. */
static void check_cover(const struct attention_geometry *geometry, int64_t tile_queries,
                        const struct step *step, const struct attention_plan *plan) {
    static uint8_t seen[MAX_ROWS][MAX_HEADS * MAX_GROUP][MAX_SPLITS + 1];
    int64_t n_wrong = 0, group = geometry->n_heads / geometry->n_kv_heads;
    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < plan->n_items; i++) {
        const struct attention_item *item = &plan->items[i];
        ck_assert_int_lt(item->first_split, item->end_split);
        const struct step_sequence *sequence = &step->sequences[item->sequence];
        ck_assert_int_ge(item->first_row, sequence->first_row);
        ck_assert_int_le(item->first_row + item->n_rows, sequence->first_row + sequence->n_rows);
        ck_assert_int_gt(item->n_queries, 0);
        ck_assert_int_le(item->n_queries, tile_queries);
        ck_assert_int_le(item->first_query + item->n_queries, item->n_rows * group);
        for (int32_t q = item->first_query; q < item->first_query + item->n_queries; q++)
            for (int32_t split = item->first_split; split < item->end_split; split++)
                seen[item->first_row + q / group][item->kv_head * group + q % group][split]++;
    }
    for (int64_t s = 0; s < step->n_sequences; s++)
        for (int64_t i = 0; i < step->sequences[s].n_rows; i++)
            for (int64_t head = 0; head < geometry->n_heads; head++)
                for (int64_t split = 0; split <= MAX_SPLITS; split++) {
                    int64_t position = step->sequences[s].position + i;
                    int n = seen[step->sequences[s].first_row + i][head][split];
                    n_wrong += n > 1 || (n == 0 && sees(position, geometry->window, split));
                }
    ck_assert_int_eq(n_wrong, 0);
}

START_TEST(test_every_split_once) {
    random_state = (uint64_t)_i;
    struct made_step made;
    make_step(&made);
    const int64_t windows[] = {0, 1, 100, 512, 4096};
    struct attention_geometry geometry = {.window = windows[random_below(5)],
                                          .n_kv_heads = 1 + random_below(MAX_HEADS),
                                          .key_dim = 64,
                                          .value_dim = 64};
    int64_t group = 1 + random_below(MAX_GROUP);
    geometry.n_heads = geometry.n_kv_heads * group;
    struct attention_limits limits = {.rows_per_item = 1 + random_below(64),
                                      .tile_queries = 1 + random_below(64),
                                      .n_blocks = 1 + random_below(264),
                                      .max_merges = random_below(1000)};
    limits.max_items =
        attention_plan_least_items(&geometry, &limits, made.step.n_rows, made.step.n_sequences) +
        random_below(300);
    limits.max_slots = random_below(2) ? random_below(1 << 12) : 1 << 20;
    struct attention_plan plan = {
        .items = calloc((size_t)limits.max_items, sizeof *plan.items),
        .merges = calloc((size_t)limits.max_merges + 1, sizeof *plan.merges),
    };
    attention_plan_make(&geometry, &limits, &made.step, &plan);
    ck_assert_int_le(plan.n_items, limits.max_items);
    ck_assert_int_le(plan.n_merges, limits.max_merges);
    ck_assert_int_le(plan.n_slots, limits.max_slots);
    check_cover(&geometry, limits.tile_queries, &made.step, &plan);
    check_slots(&plan, group, limits.max_slots);
    free(plan.items);
    free(plan.merges);
}
END_TEST

START_TEST(test_long_past_of_one_row_is_cut) {
    struct made_step made;
    memset(&made, 0, sizeof made);
    made.sequences[0] = (struct step_sequence){.position = 8191, .n_rows = 1};
    made.step = (struct step){.n_rows = 1, .n_sequences = 1, .sequences = made.sequences};
    struct attention_geometry geometry = {.n_heads = 8, .n_kv_heads = 2};
    struct attention_limits limits = {.rows_per_item = 16,
                                      .tile_queries = 64,
                                      .n_blocks = 32,
                                      .max_items = 100,
                                      .max_merges = 10,
                                      .max_slots = 1000};
    struct attention_item items[100];
    struct attention_merge_item merges[10];
    struct attention_plan plan = {.items = items, .merges = merges};
    attention_plan_make(&geometry, &limits, &made.step, &plan);
    ck_assert_int_eq(plan.n_items, 32);
    ck_assert_int_eq(plan.n_merges, 2);
    ck_assert_int_eq(merges[0].n_splits, 16);
    limits.n_blocks = 1;
    attention_plan_make(&geometry, &limits, &made.step, &plan);
    ck_assert_int_eq(plan.n_items, 2);
    ck_assert_int_eq(plan.n_merges, 0);
    ck_assert_int_eq(items[1].part, -1);
}
END_TEST

/* Latent attention: many heads over one KV head are shared out among blocks before the keys are,
 * and so are their merges. */
START_TEST(test_many_heads_are_shared) {
    struct made_step made;
    memset(&made, 0, sizeof made);
    made.sequences[0] = (struct step_sequence){.position = 8191, .n_rows = 1};
    made.step = (struct step){.n_rows = 1, .n_sequences = 1, .sequences = made.sequences};
    struct attention_geometry geometry = {.n_heads = 128, .n_kv_heads = 1};
    struct attention_limits limits = {.rows_per_item = 1,
                                      .tile_queries = 16,
                                      .n_blocks = 32,
                                      .max_items = 100,
                                      .max_merges = 32,
                                      .max_slots = 128 * 16};
    ck_assert_int_eq(attention_plan_least_items(&geometry, &limits, 1, 1), 16);
    struct attention_item items[100];
    struct attention_merge_item merges[32];
    struct attention_plan plan = {.items = items, .merges = merges};
    attention_plan_make(&geometry, &limits, &made.step, &plan);
    ck_assert_int_eq(plan.n_items, 32); /* 8 shares of 4 pieces */
    ck_assert_int_eq(plan.n_merges, 32);
    check_slots(&plan, 128, limits.max_slots);
    limits.n_blocks = 8;
    attention_plan_make(&geometry, &limits, &made.step, &plan);
    ck_assert_int_eq(plan.n_items, 8);
    ck_assert_int_eq(plan.n_merges, 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(items[i].first_query, 16 * i);
        ck_assert_int_eq(items[i].n_queries, 16);
    }
}
END_TEST

/* Blocks take items in turn: what takes long is not left to the end. */
START_TEST(test_long_items_come_first) {
    struct made_step made;
    memset(&made, 0, sizeof made);
    made.sequences[0] = (struct step_sequence){.position = 600, .n_rows = 1};
    made.sequences[1] = (struct step_sequence){.position = 0, .first_row = 1, .n_rows = 8192};
    made.sequences[2] = (struct step_sequence){.position = 9000, .first_row = 8193, .n_rows = 1};
    made.step = (struct step){.n_rows = 8194, .n_sequences = 3, .sequences = made.sequences};
    struct attention_geometry geometry = {.n_heads = 8, .n_kv_heads = 2};
    struct attention_limits limits = {.rows_per_item = 16,
                                      .tile_queries = 64,
                                      .n_blocks = 132,
                                      .max_items = 1200,
                                      .max_merges = 10,
                                      .max_slots = 1000};
    static struct attention_item items[1200];
    struct attention_merge_item merges[10];
    struct attention_plan plan = {.items = items, .merges = merges};
    attention_plan_make(&geometry, &limits, &made.step, &plan);
    ck_assert_int_eq(plan.n_items, 2 * (1 + 512 + 1));
    int least = MAX_SPLITS;
    for (int64_t i = 0; i < plan.n_items; i++) {
        int n_splits = items[i].end_split - items[i].first_split;
        ck_assert_int_lt(n_splits, 2 * least);
        if (n_splits < least) least = n_splits;
    }
    /* Prompts from their end on. */
    ck_assert_int_eq(items[0].sequence, 1);
    ck_assert_int_eq(items[0].first_row, 1 + 8192 - 16);
    ck_assert_int_eq(items[plan.n_items - 1].sequence, 1);
    ck_assert_int_eq(items[plan.n_items - 1].first_row, 1);
}
END_TEST

START_TEST(test_block_of_a_step) {
    struct made_step made;
    random_state = 5;
    make_step(&made);
    struct step_attention attention = {.geometry = {.n_heads = 4, .n_kv_heads = 2},
                                       .limits = {.rows_per_item = 16,
                                                  .tile_queries = 32,
                                                  .n_blocks = 8,
                                                  .max_items = 4096,
                                                  .max_merges = 64,
                                                  .max_slots = 100000}};
    struct step_data data = {.attentions = &attention, .n_attentions = 1};
    struct backend_limits limits = {.max_rows = MAX_ROWS,
                                    .max_sequences = MAX_SEQUENCES,
                                    .max_logit_rows = 4,
                                    .max_sequence_tokens = MAX_SPLITS * ATTENTION_SPLIT_KEYS};
    step_data_measure(&data, &limits, 2);
    uint8_t *block = malloc(data.bytes), *device = malloc(data.bytes);
    memset(block, 0xab, data.bytes);
    memset(device, 0xcd, data.bytes);
    struct step_range ranges[STEP_MAX_RANGES(1)];
    int64_t n_rows = made.step.n_rows + 3;
    struct step_sample sample = {.seed = 7, .logit_row = 1};
    made.step.samples = &sample;
    made.step.n_samples = 1;
    int n = step_data_write(&data, &made.step, n_rows, 2, block, ranges);
    ck_assert_int_le(n, STEP_MAX_RANGES(1));
    ck_assert_uint_eq(ranges[0].bytes, data.samples + sizeof(struct sample_row)); /* one copy */
    for (int i = 0; i < n; i++) {
        ck_assert_uint_le(ranges[i].offset + ranges[i].bytes, data.bytes);
        memcpy(device + ranges[i].offset, block + ranges[i].offset, ranges[i].bytes);
    }
    const int32_t *token = (const int32_t *)(const void *)(device + data.token);
    const int32_t *sequence = (const int32_t *)(const void *)(device + data.sequence);
    const int64_t *position = (const int64_t *)(const void *)(device + data.position);
    const int32_t *pages = (const int32_t *)(const void *)(device + data.pages);
    const uint32_t *pages_at = (const uint32_t *)(const void *)(device + data.pages_at);
    for (int64_t s = 0; s < made.step.n_sequences; s++)
        for (int64_t i = 0; i < made.sequences[s].n_rows; i++) {
            int64_t row = made.sequences[s].first_row + i, at = made.sequences[s].position + i;
            ck_assert_int_eq(token[row], 100 + row);
            ck_assert_int_eq(sequence[row], s);
            ck_assert_int_eq(position[row], at);
            for (int64_t g = 0; g < 2; g++)
                ck_assert_int_eq(pages[pages_at[g * MAX_SEQUENCES + s] + at / KV_PAGE_TOKENS],
                                 at / KV_PAGE_TOKENS);
        }
    for (int64_t row = made.step.n_rows; row < n_rows; row++) ck_assert_int_eq(sequence[row], -1);
    const uint32_t *counts = (const uint32_t *)(const void *)(device + attention.counts);
    ck_assert_int_eq(counts[0], attention.plan.n_items);
    ck_assert_mem_eq(device + attention.items, attention.plan.items,
                     (size_t)attention.plan.n_items * sizeof(struct attention_item));
    const struct sample_row *row = (const struct sample_row *)(const void *)(device + data.samples);
    ck_assert_uint_eq(row->seed, 7);
    ck_assert_int_eq(row->logits_row, 1);
    free(block);
    free(device);
}
END_TEST

/* Each row once, with its own adapter at its own scale; no more items than there is room for. */
static void check_items(const struct made_step *made, const struct adapter_item *items, uint32_t n,
                        const int32_t *rows, int64_t n_rows, int64_t most) {
    uint8_t seen[MAX_ROWS] = {0};
    int64_t n_seen = 0;
    ck_assert_int_le(n, most);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_uint_ge(items[i].n_rows, 1);
        ck_assert_uint_le(items[i].n_rows, ADAPTER_ITEM_ROWS);
        for (uint32_t j = 0; j < items[i].n_rows; j++, n_seen++) {
            int32_t at = items[i].row[j];
            ck_assert_int_lt(at, n_rows);
            ck_assert_uint_eq(seen[at]++, 0);
            const struct step_sequence *of = made->sequences;
            while ((rows ? rows[at] : at) >= of->first_row + of->n_rows) of++;
            const struct cuda_adapter *resident = of->adapter ? of->adapter->resident : NULL;
            ck_assert_ptr_eq(items[i].weights, resident ? resident->weights : NULL);
            ck_assert(items[i].scale == (of->adapter ? of->adapter_scale : 0.0f));
        }
    }
    ck_assert_int_eq(n_seen, n_rows);
}

START_TEST(test_rows_by_adapter) {
    static const struct adapter_matrices tables[2][1];
    struct cuda_adapter resident[2] = {{.weights = tables[0]}, {.weights = tables[1]}};
    struct backend_adapter adapters[2] = {{.resident = &resident[0]}, {.resident = &resident[1]}};
    struct made_step made;
    struct step_adapter scratch[MAX_SEQUENCES];
    struct step_range ranges[STEP_MAX_RANGES(0)];
    random_state = (uint64_t)_i;
    make_step(&made);
    bool adapts = false;
    for (int64_t s = 0; s < made.step.n_sequences; s++) {
        int64_t which = random_below(3);
        made.sequences[s].adapter = which < 2 ? &adapters[which] : NULL;
        made.sequences[s].adapter_scale = (float)random_below(3);
        adapts |= which < 2;
        made.logit_rows[s] = (int32_t)(made.sequences[s].first_row + made.sequences[s].n_rows - 1);
    }
    made.step.n_logit_rows = made.step.n_sequences;
    struct step_data data = {.adapters = scratch};
    struct backend_limits limits = {.max_rows = MAX_ROWS,
                                    .max_sequences = MAX_SEQUENCES,
                                    .max_logit_rows = MAX_SEQUENCES,
                                    .max_sequence_tokens = MAX_SPLITS * ATTENTION_SPLIT_KEYS};
    step_data_measure(&data, &limits, 2);
    uint8_t *block = malloc(data.bytes);
    int n =
        step_data_write(&data, &made.step, made.step.n_rows, made.step.n_logit_rows, block, ranges);
    ck_assert_int_le(n, STEP_MAX_RANGES(0));
    const uint32_t *counts = (const uint32_t *)(const void *)(block + data.adapter_counts);
    const struct adapter_item *items = (const void *)(block + data.adapter_items);
    const struct adapter_item *kept = (const void *)(block + data.adapter_logit_items);
    int64_t room = (int64_t)((data.adapter_logit_items - data.adapter_items) / sizeof *items);
    int64_t kept_room = (int64_t)((data.pages - data.adapter_logit_items) / sizeof *items);
    ck_assert_int_eq(step_data_adapts(&made.step), adapts);
    if (adapts) {
        check_items(&made, items, counts[0], NULL, made.step.n_rows, room);
        check_items(&made, kept, counts[1], made.logit_rows, made.step.n_logit_rows, kept_room);
    } else {
        ck_assert_uint_eq(counts[0] + counts[1], 0);
    }
    made.step.source = true;
    ck_assert(!step_data_adapts(&made.step));
    free(block);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cuda_plan");
    TCase *tests = tcase_create("plan");
    tcase_add_loop_test(tests, test_every_split_once, 0, 200);
    tcase_add_test(tests, test_long_past_of_one_row_is_cut);
    tcase_add_test(tests, test_many_heads_are_shared);
    tcase_add_test(tests, test_long_items_come_first);
    tcase_add_test(tests, test_block_of_a_step);
    tcase_add_loop_test(tests, test_rows_by_adapter, 0, 200);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
