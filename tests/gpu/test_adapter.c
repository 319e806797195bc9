/* LoRA beside products: A x and B (A x) against plain C, and a row alone against the row among
 * others, bit for bit. */
#include "cuda/kernels/adapter/adapter_args.h"
#include "elementwise_test.h"

enum { N_WEIGHTS = 5, MOST_OUTPUTS = ADAPTER_MAX_WEIGHTS };

/* One adapter's matrices for some of the model's weights. */
struct made_adapter {
    struct rows a[N_WEIGHTS], bt[N_WEIGHTS];
    struct adapter_matrices table[N_WEIGHTS];
    void *on_device;
};

/* As cuda/adapters.c lays it out: ranks padded with rows of zeros, rows with zeros. */
static struct rows padded_matrix(struct gpu *gpu, size_t rank, size_t n_rows, size_t n_cols) {
    struct rows m = {.n_rows = n_rows, .n_cols = (n_cols + 3) / 4 * 4};
    m.stride = m.n_cols;
    m.host = calloc(m.n_rows * m.stride, sizeof(float));
    for (size_t row = 0; row < rank; row++)
        for (size_t col = 0; col < n_cols; col++)
            rows_at(&m, row)[col] = gpu_random_float(gpu, -1.0f, 1.0f);
    m.device = gpu_upload(gpu, m.host, m.n_rows * m.stride * sizeof(float));
    return m;
}

static void make_adapter(struct gpu *gpu, const size_t *rank, size_t n_in, const size_t *n_out,
                         struct made_adapter *adapter) {
    memset(adapter, 0, sizeof *adapter);
    for (int i = 0; i < N_WEIGHTS; i++) {
        if (!rank[i]) continue;
        size_t padded = (rank[i] + ADAPTER_RANKS - 1) / ADAPTER_RANKS * ADAPTER_RANKS;
        adapter->a[i] = padded_matrix(gpu, rank[i], padded, n_in);
        adapter->bt[i] = padded_matrix(gpu, rank[i], padded, n_out[i]);
        adapter->table[i] = (struct adapter_matrices){.a = adapter->a[i].device,
                                                      .bt = adapter->bt[i].device,
                                                      .rank = (uint32_t)padded,
                                                      .scale = gpu_random_float(gpu, 0.5f, 2.0f)};
    }
    adapter->on_device = gpu_upload(gpu, adapter->table, sizeof adapter->table);
}

static void free_adapter(struct gpu *gpu, struct made_adapter *adapter) {
    for (int i = 0; i < N_WEIGHTS; i++) {
        if (!adapter->table[i].rank) continue;
        rows_free(gpu, &adapter->a[i]);
        rows_free(gpu, &adapter->bt[i]);
    }
    gpu_free(gpu, adapter->on_device);
}

/* ---- what is to come out ---- */

struct problem {
    size_t n_rows, n_in, n_outputs, n_out[MOST_OUTPUTS];
    int weight[MOST_OUTPUTS];
    uint32_t combine, activation;
};

static double delta(const struct made_adapter *adapter, int weight, const float *x, size_t n_in,
                    size_t col, float scale) {
    const struct adapter_matrices *m = &adapter->table[weight];
    double sum = 0;
    for (uint32_t r = 0; r < m->rank; r++) {
        double ax = 0;
        for (size_t k = 0; k < n_in; k++)
            ax += (double)rows_at(&adapter->a[weight], r)[k] * (double)x[k];
        sum += ax * (double)rows_at(&adapter->bt[weight], r)[col];
    }
    return (double)m->scale * (double)scale * sum;
}

static double activated(uint32_t activation, double x) {
    return activation == KIND_ACTIVATION_SILU ? x / (1 + exp(-x)) : x > 0 ? x : 0;
}

/* ---- the launches ---- */

struct memory {
    struct rows x, y[MOST_OUTPUTS], out;
    float *ax;
    size_t ax_floats;
    uint32_t ax_stride;
};

/* Grids of any size give the same. */
static bool launch(struct gpu *gpu, const struct problem *p, const struct memory *m,
                   const struct adapter_item *items, uint32_t n_items) {
    struct adapter_item *on_device = gpu_upload(gpu, items, n_items * sizeof *items);
    uint32_t *count = gpu_upload(gpu, &n_items, sizeof n_items);
    struct adapter_shrink_args shrink = {.items = on_device,
                                         .n_items = count,
                                         .x = m->x.device,
                                         .ax = m->ax,
                                         .n_weights = (uint32_t)p->n_outputs,
                                         .n_cols = (uint32_t)p->n_in,
                                         .x_stride = (uint32_t)m->x.stride,
                                         .ax_stride = m->ax_stride};
    struct adapter_expand_args expand = {.items = on_device,
                                         .n_items = count,
                                         .ax = m->ax,
                                         .out = m->out.device,
                                         .n_weights = (uint32_t)p->n_outputs,
                                         .ax_stride = m->ax_stride,
                                         .combine = p->combine,
                                         .activation = p->activation};
    for (size_t i = 0; i < p->n_outputs; i++) {
        shrink.weight[i] = (uint32_t)p->weight[i];
        expand.y[i] = (struct adapter_output){.y = m->y[i].device,
                                              .n_cols = (uint32_t)p->n_out[i],
                                              .stride = (uint32_t)m->y[i].stride,
                                              .weight = (uint32_t)p->weight[i]};
    }
    unsigned grid = 1 + gpu_random(gpu) % 40;
    bool fine =
        gpu_run(gpu, "adapter_shrink", grid, ADAPTER_SHRINK_THREADS, ADAPTER_SHRINK_SHARED, &shrink,
                sizeof shrink) &&
        gpu_run(gpu, "adapter_expand", grid, ADAPTER_EXPAND_THREADS, 0, &expand, sizeof expand);
    gpu_free(gpu, on_device);
    gpu_free(gpu, count);
    return fine;
}

static bool is_apart(const struct problem *p) {
    return p->combine == ADAPTER_ADD || p->combine == ADAPTER_GATE;
}

static void check_row(struct gpu *gpu, const struct problem *p, const struct memory *m, size_t row,
                      const struct made_adapter *adapter, float scale, const struct rows *before_y,
                      const struct rows *before_out) {
    static const char *const names[] = {"store", "add", "activate", "gate"};
    const float *x = rows_at(&m->x, row);
    size_t n_results = p->combine == ADAPTER_STORE ? p->n_outputs : 1;
    for (size_t i = 0; i < n_results; i++) {
        float *expected = malloc(p->n_out[i] * sizeof *expected);
        for (size_t col = 0; col < p->n_out[i]; col++) {
            double y = (double)rows_at(&before_y[i], row)[col];
            if (adapter && adapter->table[p->weight[i]].rank)
                y += delta(adapter, p->weight[i], x, p->n_in, col, scale);
            if (p->combine == ADAPTER_ADD) y += (double)rows_at(before_out, row)[col];
            if (p->combine == ADAPTER_ACTIVATE) y = activated(p->activation, y);
            if (p->combine == ADAPTER_GATE) {
                double up = (double)rows_at(&before_y[1], row)[col];
                if (adapter && adapter->table[p->weight[1]].rank)
                    up += delta(adapter, p->weight[1], x, p->n_in, col, scale);
                y = activated(p->activation, y) * up;
            }
            expected[col] = (float)y;
        }
        const struct rows *got = is_apart(p) ? &m->out : &m->y[i];
        expect_near(gpu, names[p->combine], row, rows_at(got, row), expected, p->n_out[i], 2e-4f,
                    2e-3f);
        free(expected);
    }
}

static struct rows copy_of(const struct rows *rows) {
    struct rows copy = *rows;
    copy.host = malloc(rows_bytes(rows));
    memcpy(copy.host, rows->host, rows_bytes(rows));
    return copy;
}

static void restore(struct gpu *gpu, const struct problem *p, struct memory *m,
                    const struct rows *before_y, const struct rows *before_out) {
    for (size_t i = 0; i < p->n_outputs; i++) rows_write(gpu, &before_y[i]);
    rows_write(gpu, before_out);
    gpu_poison(gpu, m->ax, m->ax_floats * sizeof(float));
}

static void read_results(struct gpu *gpu, const struct problem *p, struct memory *m) {
    for (size_t i = 0; i < p->n_outputs; i++) rows_read(gpu, &m->y[i], "adapters");
    rows_read(gpu, &m->out, "adapters");
}

/* Rows of two adapters, one of them at two scales, and of none, in items as a step has them; then
 * each alone. */
static void test_problem(struct gpu *gpu, struct problem p) {
    enum { KINDS = 4 };
    static const size_t ranks[2][N_WEIGHTS] = {{3, 0, 16, 1, 8}, {5, 9, 4, 0, 37}};
    size_t n_out[N_WEIGHTS] = {0};
    struct made_adapter adapters[2];
    for (int i = 0; i < N_WEIGHTS; i++) n_out[i] = p.n_out[0];
    for (size_t i = 0; i < p.n_outputs; i++) n_out[p.weight[i]] = p.n_out[i];
    for (int i = 0; i < 2; i++) make_adapter(gpu, ranks[i], p.n_in, n_out, &adapters[i]);
    struct memory m = {.ax_stride = 40};
    m.x = rows_random(gpu, p.n_rows, p.n_in, 1.0f);
    for (size_t i = 0; i < p.n_outputs; i++) m.y[i] = rows_random(gpu, p.n_rows, p.n_out[i], 2.0f);
    m.out = rows_random(gpu, p.n_rows, p.n_out[0], 2.0f);
    m.ax_floats = p.n_rows * ADAPTER_MAX_WEIGHTS * m.ax_stride;
    m.ax = gpu_alloc(gpu, m.ax_floats * sizeof(float));
    struct rows before_y[MOST_OUTPUTS], before_out = copy_of(&m.out);
    for (size_t i = 0; i < p.n_outputs; i++) before_y[i] = copy_of(&m.y[i]);

    const struct made_adapter *of_kind[KINDS] = {&adapters[0], &adapters[1], &adapters[1], NULL};
    const float scales[KINDS] = {1.0f, 0.75f, -2.0f, 0.0f};
    struct adapter_item *items = calloc(KINDS + p.n_rows, sizeof *items);
    uint32_t n_items = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t row = (size_t)kind; row < p.n_rows; row += KINDS) {
            struct adapter_item *item = n_items ? &items[n_items - 1] : NULL;
            bool here = row != (size_t)kind && item->n_rows < ADAPTER_ITEM_ROWS;
            if (!here) {
                item = &items[n_items++];
                item->weights = of_kind[kind] ? of_kind[kind]->on_device : NULL;
                item->scale = scales[kind];
            }
            item->row[item->n_rows++] = (int32_t)row;
        }
    struct rows together[MOST_OUTPUTS], together_out;
    if (launch(gpu, &p, &m, items, n_items)) {
        read_results(gpu, &p, &m);
        for (size_t row = 0; row < p.n_rows; row++)
            check_row(gpu, &p, &m, row, of_kind[row % KINDS], scales[row % KINDS], before_y,
                      &before_out);
        for (size_t i = 0; i < p.n_outputs; i++) together[i] = copy_of(&m.y[i]);
        together_out = copy_of(&m.out);
        for (size_t row = 0; row < p.n_rows; row += 1 + p.n_rows / 6) {
            struct adapter_item one = {
                .weights = of_kind[row % KINDS] ? of_kind[row % KINDS]->on_device : NULL,
                .scale = scales[row % KINDS],
                .n_rows = 1,
                .row = {(int32_t)row}};
            restore(gpu, &p, &m, before_y, &before_out);
            if (!launch(gpu, &p, &m, &one, 1)) break;
            read_results(gpu, &p, &m);
            for (size_t i = 0; i < p.n_outputs; i++)
                expect_same(gpu, "alone", row, rows_at(&m.y[i], row), rows_at(&together[i], row),
                            p.n_out[i]);
            expect_same(gpu, "alone", row, rows_at(&m.out, row), rows_at(&together_out, row),
                        p.n_out[0]);
        }
        for (size_t i = 0; i < p.n_outputs; i++) free(together[i].host);
        free(together_out.host);
    }
    for (size_t i = 0; i < p.n_outputs; i++) {
        free(before_y[i].host);
        rows_free(gpu, &m.y[i]);
    }
    free(before_out.host);
    free(items);
    rows_free(gpu, &m.x);
    rows_free(gpu, &m.out);
    gpu_free(gpu, m.ax);
    for (int i = 0; i < 2; i++) free_adapter(gpu, &adapters[i]);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    static const struct problem problems[] = {
        {.n_rows = 1, .n_in = 8, .n_outputs = 1, .n_out = {4}, .weight = {2}},
        {.n_rows = 45, .n_in = 77, .n_outputs = 3, .n_out = {96, 31, 300}, .weight = {0, 1, 2}},
        {.n_rows = 9, .n_in = 1500, .n_outputs = 2, .n_out = {1, 517}, .weight = {4, 3}},
        {.n_rows = 6,
         .n_in = 64,
         .n_outputs = 1,
         .n_out = {259},
         .weight = {4},
         .combine = ADAPTER_ADD},
        {.n_rows = 7,
         .n_in = 31,
         .n_outputs = 1,
         .n_out = {100},
         .weight = {1},
         .combine = ADAPTER_ACTIVATE,
         .activation = KIND_ACTIVATION_RELU},
        {.n_rows = 38,
         .n_in = 120,
         .n_outputs = 2,
         .n_out = {270, 270},
         .weight = {0, 1},
         .combine = ADAPTER_GATE,
         .activation = KIND_ACTIVATION_SILU},
    };
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) test_problem(&gpu, problems[i]);
    return gpu_close(&gpu);
}
