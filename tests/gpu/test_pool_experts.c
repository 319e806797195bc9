/* Pooling of hidden states, routing to experts and the sum of what they give: against plain C, and
 * a row or sequence alone against the one among others, bit for bit. */
#include "elementwise_test.h"

/* ---- pooling ---- */

static float length_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return (float)sqrt(sum);
}

static void expected_pool(const struct rows *in, int32_t first, int32_t n, int kind, bool normalize,
                          float *out) {
    for (size_t i = 0; i < in->n_cols; i++) {
        out[i] = rows_at(in, (size_t)(kind == KIND_POOLING_LAST ? first + n - 1 : first))[i];
        if (kind != KIND_POOLING_MEAN) continue;
        for (int32_t row = 1; row < n; row++) out[i] += rows_at(in, (size_t)(first + row))[i];
        out[i] /= (float)n;
    }
    float length = length_of(out, in->n_cols);
    for (size_t i = 0; normalize && length > 0 && i < in->n_cols; i++) out[i] /= length;
}

static void test_pool(struct gpu *gpu, size_t n_cols, int kind, bool normalize) {
    enum { N = 3, ROWS = 12 };
    struct pool_sequence sequences[N] = {{0, 5, 1, 5}, {5, 1, 1, 1}, {6, 6, 1, 6}};
    struct rows in = rows_random(gpu, ROWS, n_cols, 2.0f);
    struct rows out = rows_make(gpu, N, n_cols), sum = rows_make(gpu, N, n_cols);
    float *expected = malloc(n_cols * sizeof *expected);
    memset(rows_at(&in, 5), 0, n_cols * sizeof(float)); /* a sequence of zeros has no length */
    rows_write(gpu, &in);
    struct pool_sequence *on_device = gpu_upload(gpu, sequences, sizeof sequences);
    struct pool_args args = {.in = in.device,
                             .sequences = on_device,
                             .sum = sum.device,
                             .out = out.device,
                             .n_sequences = N,
                             .n_cols = (uint32_t)n_cols,
                             .in_stride = (uint32_t)in.stride,
                             .out_stride = (uint32_t)out.stride,
                             .kind = (uint32_t)kind,
                             .normalize = normalize};
    if (!gpu_run(gpu, "pool", N, POOL_THREADS, POOL_SHARED, &args, sizeof args)) return;
    rows_read(gpu, &out, "pool");
    for (size_t i = 0; i < N; i++) {
        expected_pool(&in, sequences[i].first_row, sequences[i].n_rows, kind, normalize, expected);
        if (normalize)
            expect_near(gpu, "pool", i, rows_at(&out, i), expected, n_cols, 1e-6f, 0.0f);
        else
            expect_same(gpu, "pool", i, rows_at(&out, i), expected, n_cols);
    }
    /* The last sequence alone, in steps of one, three and two rows: the same bits. */
    memcpy(expected, rows_at(&out, 2), n_cols * sizeof *expected);
    gpu_poison(gpu, out.device, rows_bytes(&out));
    static const struct pool_sequence steps[] = {{6, 1, 1, 0}, {7, 3, 0, 0}, {10, 2, 0, 6}};
    args.n_sequences = 1;
    for (size_t i = kind == KIND_POOLING_MEAN ? 0 : 2; i < 3; i++) {
        struct pool_sequence one = kind == KIND_POOLING_FIRST ? sequences[2] : steps[i];
        gpu_write(gpu, on_device, &one, sizeof one);
        gpu_run(gpu, "pool", 1, POOL_THREADS, POOL_SHARED, &args, sizeof args);
    }
    gpu_download(gpu, out.host, out.device, n_cols * sizeof(float));
    if (memcmp(expected, out.host, n_cols * sizeof *expected) != 0)
        gpu_fail(gpu, "pooling %d of %zu columns is another one in steps", kind, n_cols);
    gpu_free(gpu, on_device);
    rows_free(gpu, &in);
    rows_free(gpu, &out);
    rows_free(gpu, &sum);
    free(expected);
}

/* ---- routing ---- */

struct route_case {
    uint32_t n_experts, n_used, n_groups, n_groups_used, group_top;
    int kind;
    bool renormalize, biased;
};

/* The device's scores aren't the host's to the last bit, so what is chosen is checked by the
 * scores: none that stays out is greater by more than rounding, and equal logits keep the order of
 * their indices. */
static void scores_of(const struct route_case *c, const float *logits, double *scores) {
    double max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < c->n_experts; i++)
        if ((double)logits[i] > max) max = (double)logits[i];
    for (uint32_t i = 0; i < c->n_experts; i++) {
        if (c->kind == KIND_ROUTING_SIGMOID)
            scores[i] = 1 / (1 + exp(-(double)logits[i]));
        else
            sum += scores[i] = exp((double)logits[i] - max);
    }
    for (uint32_t i = 0; i < c->n_experts && c->kind == KIND_ROUTING_SOFTMAX; i++) scores[i] /= sum;
}

/* Of which groups experts may come. */
static void allowed_groups(const struct route_case *c, const double *choice, bool *allowed) {
    uint32_t n_groups = c->n_groups > 1 ? c->n_groups : 1, size = c->n_experts / n_groups;
    double of_group[ROUTE_MAX_GROUPS];
    for (uint32_t g = 0; g < n_groups; g++) {
        double first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            double value = choice[i];
            if (value > first) {
                second = first;
                first = value;
            } else if (value > second) {
                second = value;
            }
        }
        of_group[g] = c->group_top == 2 && size > 1 ? first + second : first;
    }
    for (uint32_t g = 0; g < n_groups; g++) {
        uint32_t better = 0;
        for (uint32_t i = 0; i < n_groups; i++)
            better += of_group[i] > of_group[g] || (of_group[i] == of_group[g] && i < g);
        allowed[g] = c->n_groups <= 1 || better < c->n_groups_used;
    }
}

static void check_route(struct gpu *gpu, const struct route_case *c, const float *logits,
                        const float *bias, float factor, const int32_t *expert,
                        const float *weight) {
    double scores[ROUTE_MAX_EXPERTS], choice[ROUTE_MAX_EXPERTS], sum = 0;
    bool allowed[ROUTE_MAX_GROUPS], used[ROUTE_MAX_EXPERTS] = {false};
    uint32_t n_groups = c->n_groups > 1 ? c->n_groups : 1, size = c->n_experts / n_groups;
    scores_of(c, logits, scores);
    for (uint32_t i = 0; i < c->n_experts; i++)
        choice[i] = scores[i] + (bias ? (double)bias[i] : 0);
    allowed_groups(c, choice, allowed);
    for (uint32_t i = 0; i < c->n_used; i++) {
        int32_t e = expert[i];
        if (e < 0 || (uint32_t)e >= c->n_experts || used[e] || !allowed[(uint32_t)e / size]) {
            gpu_fail(gpu, "route: expert %d is the %uth of %u", e, i, c->n_experts);
            return;
        }
        for (uint32_t j = 0; j < c->n_experts; j++) {
            if (used[j] || j == (uint32_t)e || !allowed[j / size]) continue;
            bool equal = logits[j] == logits[e] && (!bias || bias[j] == bias[e]);
            if (equal ? j < (uint32_t)e : choice[j] > choice[e] + 4e-7)
                gpu_fail(gpu, "route: expert %d before %u", e, j);
        }
        used[e] = true;
        sum += scores[e];
    }
    for (uint32_t i = 0; i < c->n_used; i++) {
        double expected = (double)factor * scores[expert[i]] / (c->renormalize ? sum : 1);
        if (!(fabs((double)weight[i] - expected) <= 2e-6 * expected))
            gpu_fail(gpu, "route: weight %g, not %g", (double)weight[i], expected);
    }
}

static void test_route(struct gpu *gpu, struct route_case c) {
    enum { N = 5 };
    struct rows logits = rows_random(gpu, N, c.n_experts, 4.0f);
    struct rows bias = rows_random(gpu, 1, c.n_experts, 0.2f);
    size_t n = N * c.n_used;
    int32_t *expert = malloc(n * sizeof *expert), *expert_device = gpu_alloc(gpu, n * 4);
    float *weight = malloc(n * sizeof *weight), *weight_device = gpu_alloc(gpu, n * 4);
    for (uint32_t i = 0; i < c.n_experts; i++) { /* ties, without any bias to part them */
        rows_at(&logits, 1)[i] = rows_at(&logits, 1)[i / 3];
        rows_at(&logits, 2)[i] = 0.5f;
    }
    rows_write(gpu, &logits);
    struct route_args args = {.logits = logits.device,
                              .bias = c.biased ? bias.device : NULL,
                              .expert = expert_device,
                              .weight = weight_device,
                              .n_rows = N,
                              .n_experts = c.n_experts,
                              .n_used = c.n_used,
                              .logits_stride = (uint32_t)logits.stride,
                              .kind = (uint32_t)c.kind,
                              .renormalize = c.renormalize,
                              .n_groups = c.n_groups,
                              .n_groups_used = c.n_groups_used,
                              .group_top = c.group_top,
                              .factor = 2.5f};
    if (gpu_run(gpu, "route", N, ROUTE_THREADS, ROUTE_SHARED, &args, sizeof args)) {
        gpu_download(gpu, expert, expert_device, n * 4);
        gpu_download(gpu, weight, weight_device, n * 4);
        for (size_t row = 0; row < N; row++)
            check_route(gpu, &c, rows_at(&logits, row), c.biased ? bias.host : NULL, 2.5f,
                        expert + row * c.n_used, weight + row * c.n_used);
        /* The last row alone. */
        args.logits += 4 * logits.stride;
        args.n_rows = 1;
        float *alone = malloc(c.n_used * sizeof *alone);
        gpu_run(gpu, "route", 1, ROUTE_THREADS, ROUTE_SHARED, &args, sizeof args);
        gpu_download(gpu, alone, weight_device, c.n_used * 4);
        if (memcmp(alone, weight + 4 * c.n_used, c.n_used * sizeof *alone) != 0)
            gpu_fail(gpu, "route: another row alone");
        free(alone);
    }
    gpu_free(gpu, expert_device);
    gpu_free(gpu, weight_device);
    rows_free(gpu, &logits);
    rows_free(gpu, &bias);
    free(expert);
    free(weight);
}

/* Logits that are no numbers: experts in range, each once. */
static void test_route_nan(struct gpu *gpu) {
    enum { N = 20, USED = 4 };
    struct rows logits = rows_random(gpu, 2, N, 1.0f);
    int32_t expert[2 * USED], *expert_device = gpu_alloc(gpu, sizeof expert);
    float *weight_device = gpu_alloc(gpu, sizeof expert);
    for (size_t i = 0; i < N; i++) rows_at(&logits, 0)[i] = i % 2 ? NAN : -INFINITY;
    rows_at(&logits, 1)[7] = INFINITY;
    rows_write(gpu, &logits);
    for (uint32_t kind = 0; kind < 2; kind++) {
        struct route_args args = {.logits = logits.device,
                                  .expert = expert_device,
                                  .weight = weight_device,
                                  .n_rows = 2,
                                  .n_experts = N,
                                  .n_used = USED,
                                  .logits_stride = (uint32_t)logits.stride,
                                  .kind = kind,
                                  .factor = 1.0f};
        if (!gpu_run(gpu, "route", 2, ROUTE_THREADS, ROUTE_SHARED, &args, sizeof args)) break;
        gpu_download(gpu, expert, expert_device, sizeof expert);
        for (size_t row = 0; row < 2; row++)
            for (size_t i = 0; i < USED; i++) {
                int32_t e = expert[row * USED + i];
                bool again = false;
                for (size_t j = 0; j < i; j++) again |= expert[row * USED + j] == e;
                if (e < 0 || e >= N || again) gpu_fail(gpu, "route: expert %d of NaN", e);
            }
        if (expert[USED] != 7) gpu_fail(gpu, "route: %d before the infinite one", expert[USED]);
    }
    gpu_free(gpu, expert_device);
    gpu_free(gpu, weight_device);
    rows_free(gpu, &logits);
}

/* ---- slots by expert ---- */

static void test_group(struct gpu *gpu, uint32_t n_rows, uint32_t n_used, uint32_t n_experts) {
    size_t n = (size_t)n_rows * n_used, bytes = n * sizeof(int32_t);
    int32_t *expert = malloc(bytes), *row = malloc(bytes), *place = malloc(bytes);
    int32_t *first = malloc((n_experts + 1) * sizeof *first), at = 0;
    for (size_t i = 0; i < n; i++) /* some experts get nearly all */
        expert[i] = (int32_t)(gpu_random(gpu) % n_experts / (gpu_random(gpu) % 3 + 1));
    struct expert_group_args args = {
        .expert = gpu_upload(gpu, expert, bytes),
        .first = gpu_alloc(gpu, (n_experts + 1) * sizeof *first),
        .row = gpu_alloc(gpu, bytes),
        .place = gpu_alloc(gpu, bytes),
        .n_rows = n_rows,
        .n_used = n_used,
        .n_experts = n_experts,
    };
    if (gpu_run(gpu, "expert_group", 1, EXPERT_GROUP_THREADS, EXPERT_GROUP_SHARED, &args,
                sizeof args)) {
        gpu_download(gpu, first, args.first, (n_experts + 1) * sizeof *first);
        gpu_download(gpu, row, args.row, bytes);
        gpu_download(gpu, place, args.place, bytes);
        for (uint32_t e = 0; e < n_experts; e++) {
            if (first[e] != at) gpu_fail(gpu, "expert %u begins at %d, not %d", e, first[e], at);
            for (size_t i = 0; i < n; i++) {
                if (expert[i] != (int32_t)e) continue;
                if (place[i] != at || row[at] != (int32_t)(i / n_used))
                    gpu_fail(gpu, "slot %zu of expert %u is at %d, not %d", i, e, place[i], at);
                at++;
            }
        }
        if (first[n_experts] != at) gpu_fail(gpu, "the last expert ends at %d", first[n_experts]);
    }
    gpu_free(gpu, (void *)(uintptr_t)args.expert);
    gpu_free(gpu, args.first);
    gpu_free(gpu, args.row);
    gpu_free(gpu, args.place);
    free(expert);
    free(row);
    free(place);
    free(first);
}

/* ---- what the experts give ---- */

enum shared_expert { NO_SHARED, SHARED, SHARED_GATED };

static void test_combine(struct gpu *gpu, size_t n_cols, bool add, bool placed,
                         enum shared_expert kind) {
    enum { N = 4, USED = 3 };
    struct rows y = rows_random(gpu, N * USED, n_cols, 2.0f);
    struct rows weight = rows_random(gpu, 1, N * USED, 1.0f);
    struct rows out = rows_random(gpu, N, n_cols, 1.0f);
    struct rows shared = rows_random(gpu, N, n_cols, 2.0f), gate = rows_random(gpu, N, 1, 3.0f);
    float *expected = malloc(N * n_cols * sizeof *expected);
    int32_t place[N * USED];
    for (int32_t i = 0; i < N * USED; i++) place[i] = placed ? N * USED - 1 - i : i;
    int32_t *place_device = gpu_upload(gpu, place, sizeof place);
    for (size_t row = 0; row < N; row++)
        for (size_t col = 0; col < n_cols; col++) {
            float total = add ? rows_at(&out, row)[col] : 0.0f;
            for (size_t i = 0; i < USED; i++)
                total = fmaf(weight.host[row * USED + i],
                             rows_at(&y, (size_t)place[row * USED + i])[col], total);
            double sigmoid = 1.0 / (1.0 + exp(-(double)rows_at(&gate, row)[0]));
            if (kind == SHARED) total += rows_at(&shared, row)[col];
            if (kind == SHARED_GATED) total += (float)sigmoid * rows_at(&shared, row)[col];
            expected[row * n_cols + col] = total;
        }
    struct expert_combine_args args = {.y = y.device,
                                       .weight = weight.device,
                                       .place = placed ? place_device : NULL,
                                       .out = out.device,
                                       .shared = kind ? shared.device : NULL,
                                       .shared_gate = kind == SHARED_GATED ? gate.device : NULL,
                                       .shared_stride = (uint32_t)shared.stride,
                                       .shared_gate_stride = (uint32_t)gate.stride,
                                       .n_rows = N,
                                       .n_used = USED,
                                       .n_cols = (uint32_t)n_cols,
                                       .y_stride = (uint32_t)y.stride,
                                       .out_stride = (uint32_t)out.stride,
                                       .add = add};
    if (gpu_run(gpu, "expert_combine", 2, EXPERT_COMBINE_THREADS, 0, &args, sizeof args)) {
        rows_read(gpu, &out, "expert_combine");
        for (size_t row = 0; row < N; row++)
            if (kind == SHARED_GATED) /* the sigmoid is the device's */
                expect_near(gpu, "expert_combine", row, rows_at(&out, row), expected + row * n_cols,
                            n_cols, 1e-6f, 1e-5f);
            else
                expect_same(gpu, "expert_combine", row, rows_at(&out, row), expected + row * n_cols,
                            n_cols);
    }
    gpu_free(gpu, place_device);
    rows_free(gpu, &y);
    rows_free(gpu, &weight);
    rows_free(gpu, &out);
    rows_free(gpu, &shared);
    rows_free(gpu, &gate);
    free(expected);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    for (int kind = KIND_POOLING_FIRST; kind <= KIND_POOLING_MEAN; kind++)
        for (int normalize = 0; normalize < 2; normalize++) {
            test_pool(&gpu, 1, kind, normalize);
            test_pool(&gpu, 1027, kind, normalize);
        }
    test_route(&gpu, (struct route_case){8, 2, 0, 0, 0, KIND_ROUTING_SOFTMAX, true, false});
    test_route(&gpu, (struct route_case){60, 4, 1, 1, 1, KIND_ROUTING_SOFTMAX, false, false});
    test_route(&gpu, (struct route_case){160, 6, 8, 3, 1, KIND_ROUTING_SOFTMAX, false, false});
    test_route(&gpu, (struct route_case){256, 8, 8, 4, 2, KIND_ROUTING_SIGMOID, true, true});
    test_route(&gpu, (struct route_case){1024, 40, 64, 7, 2, KIND_ROUTING_SIGMOID, false, true});
    test_route(&gpu, (struct route_case){33, 33, 0, 0, 0, KIND_ROUTING_SIGMOID, true, false});
    test_route_nan(&gpu);
    test_group(&gpu, 1, 1, 1);
    test_group(&gpu, 7, 3, 8);
    test_group(&gpu, 150, 8, 1024);
    test_combine(&gpu, 5, false, false, NO_SHARED);
    test_combine(&gpu, 1030, true, true, NO_SHARED);
    test_combine(&gpu, 33, true, true, SHARED);
    test_combine(&gpu, 70, false, true, SHARED_GATED);
    return gpu_close(&gpu);
}
