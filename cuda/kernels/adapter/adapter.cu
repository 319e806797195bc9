#include "cuda/kernels/adapter/adapter_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/math.cuh"

#define SUMS (ADAPTER_ITEM_ROWS * ADAPTER_RANKS)
#define WARPS (ADAPTER_SHRINK_THREADS / 32)
static_assert(SUMS == 32, "a lane for each sum of a warp");

DEVICE uint32_t padded_to_quads(uint32_t n) {
    return (n + 3) / 4 * 4;
}

DEVICE adapter_matrices load_matrices(const adapter_item *item, uint32_t weight) {
    const adapter_matrices *weights = load_global<const adapter_matrices *>(&item->weights);
    if (!weights) return {nullptr, nullptr, 0, 0.0f};
    return {load_global<const float *>(&weights[weight].a),
            load_global<const float *>(&weights[weight].bt),
            load_global<uint32_t>(&weights[weight].rank),
            load_global<float>(&weights[weight].scale)};
}

DEVICE uint64_t load_row(const adapter_item *item, uint32_t index) {
    return (uint64_t)load_global<int32_t>(&item->row[index]);
}

/* ---- A x ---- */

/* Of the 32 values of every lane, lane i gets the sum of the i-th over the lanes: at each step it
 * keeps half of them and gives the other half to the lane that keeps those. Each value is added up
 * in the order of the same butterfly. */
DEVICE float spread_sums(float v[SUMS]) {
#pragma unroll
    for (uint32_t half = SUMS / 2; half > 0; half /= 2) {
        bool upper = (lane_index() & half) != 0;
#pragma unroll
        for (uint32_t i = 0; i < half; i++) {
            float kept = upper ? v[i + half] : v[i], given = upper ? v[i] : v[i + half];
            v[i] = kept + shuffle_xor(given, half);
        }
    }
    return v[0];
}

/* ADAPTER_RANKS rows of A from `first` on, times the item's rows of x. All threads. */
DEVICE void shrink(const adapter_shrink_args &args, const adapter_item *item, uint32_t weight,
                   uint32_t first, const float *a) {
    uint32_t n_rows = load_global<uint32_t>(&item->n_rows);
    uint32_t a_stride = padded_to_quads(args.n_cols);
    const float *x[ADAPTER_ITEM_ROWS];
    float sums[SUMS];
#pragma unroll
    for (uint32_t j = 0; j < ADAPTER_ITEM_ROWS; j++)
        x[j] = args.x + load_row(item, j < n_rows ? j : 0) * args.x_stride;
#pragma unroll
    for (uint32_t i = 0; i < SUMS; i++) sums[i] = 0.0f;
    for (uint32_t col = 4 * thread_index(); col < args.n_cols; col += 4 * ADAPTER_SHRINK_THREADS) {
        quad q[ADAPTER_RANKS];
#pragma unroll
        for (uint32_t r = 0; r < ADAPTER_RANKS; r++)
            q[r] = load_global<quad>(a + (uint64_t)(first + r) * a_stride + col);
#pragma unroll
        for (uint32_t j = 0; j < ADAPTER_ITEM_ROWS; j++) {
            if (j >= n_rows) break;
            quad of_x = load_quad(x[j], col, args.n_cols);
#pragma unroll
            for (uint32_t r = 0; r < ADAPTER_RANKS; r++)
                for (uint32_t i = 0; i < 4; i++)
                    sums[j * ADAPTER_RANKS + r] =
                        fma_f32(q[r].v[i], of_x.v[i], sums[j * ADAPTER_RANKS + r]);
        }
    }
    float sum = spread_sums(sums);
    store_shared<float>(shared_memory() + 4 * thread_index(), sum);
    block_sync();
    uint32_t row = thread_index() / ADAPTER_RANKS, rank = thread_index() % ADAPTER_RANKS;
    if (thread_index() < SUMS && row < n_rows) {
        sum = 0.0f;
        for (uint32_t warp = 0; warp < WARPS; warp++)
            sum += load_shared<float>(shared_memory() + 4 * (warp * SUMS + thread_index()));
        uint64_t place = load_row(item, row) * ADAPTER_MAX_WEIGHTS + weight;
        store_global<float>(args.ax + place * args.ax_stride + first + rank, sum);
    }
    block_sync(); /* before the next one's sums are stored */
}

KERNEL(adapter_shrink, adapter_shrink_args, ADAPTER_SHRINK_THREADS, 2) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    uint32_t steps = args.ax_stride / ADAPTER_RANKS;
    uint32_t of_item = args.n_weights * steps, n = load_global<uint32_t>(args.n_items) * of_item;
    for (uint32_t unit = block_index(); unit < n; unit += block_count()) {
        const adapter_item *item = args.items + unit / of_item;
        uint32_t weight = unit % of_item / steps, first = unit % steps * ADAPTER_RANKS;
        adapter_matrices matrices = load_matrices(item, args.weight[weight]);
        if (first < matrices.rank) shrink(args, item, weight, first, matrices.a);
    }
}

/* ---- B (A x), and what comes after it ---- */

/* Columns col ... col + 3 of an output, in the item's rows. */
DEVICE void expand(const adapter_expand_args &args, const adapter_item *item, uint32_t index,
                   uint32_t col) {
    const adapter_output &to = args.y[index];
    adapter_matrices matrices = load_matrices(item, to.weight);
    if (!matrices.rank) return;
    uint32_t n_rows = load_global<uint32_t>(&item->n_rows), stride = padded_to_quads(to.n_cols);
    float scale = matrices.scale * load_global<float>(&item->scale);
    const float *ax[ADAPTER_ITEM_ROWS];
    quad sums[ADAPTER_ITEM_ROWS];
#pragma unroll
    for (uint32_t j = 0; j < ADAPTER_ITEM_ROWS; j++) {
        uint64_t place = load_row(item, j < n_rows ? j : 0) * ADAPTER_MAX_WEIGHTS + index;
        ax[j] = args.ax + place * args.ax_stride;
        sums[j] = {{0.0f, 0.0f, 0.0f, 0.0f}};
    }
    for (uint32_t r = 0; r < matrices.rank; r += 4) {
        quad b[4];
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            b[i] = load_global<quad>(matrices.bt + (uint64_t)(r + i) * stride + col);
#pragma unroll
        for (uint32_t j = 0; j < ADAPTER_ITEM_ROWS; j++) {
            if (j >= n_rows) break;
            quad of_ax = load_global<quad>(ax[j] + r);
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
                for (uint32_t c = 0; c < 4; c++)
                    sums[j].v[c] = fma_f32(b[i].v[c], of_ax.v[i], sums[j].v[c]);
        }
    }
#pragma unroll
    for (uint32_t j = 0; j < ADAPTER_ITEM_ROWS; j++) {
        if (j >= n_rows) break;
        float *row = to.y + load_row(item, j) * to.stride;
        quad y = load_quad(row, col, to.n_cols);
        for (uint32_t c = 0; c < 4; c++) y.v[c] += scale * sums[j].v[c];
        store_quad(row, col, to.n_cols, y);
    }
}

/* The same columns and rows, which this thread alone reads and writes. */
DEVICE void combine(const adapter_expand_args &args, const adapter_item *item, uint32_t col) {
    uint32_t n_rows = load_global<uint32_t>(&item->n_rows), n = args.y[0].n_cols;
    for (uint32_t j = 0; j < n_rows; j++) {
        uint64_t at = load_row(item, j) * args.y[0].stride;
        quad y = load_quad(args.y[0].y + at, col, n), other;
        switch (args.combine) {
        case ADAPTER_ADD:
            other = load_quad(args.out + at, col, n);
            for (uint32_t c = 0; c < 4; c++) y.v[c] = other.v[c] + y.v[c];
            store_quad(args.out + at, col, n, y);
            break;
        case ADAPTER_GATE:
            other = load_quad(args.y[1].y + at, col, n);
            for (uint32_t c = 0; c < 4; c++)
                y.v[c] = gate_apply(args.activation, y.v[c], other.v[c]);
            store_quad(args.out + at, col, n, y);
            break;
        default:
            for (uint32_t c = 0; c < 4; c++) y.v[c] = activation_apply(args.activation, y.v[c]);
            store_quad(args.y[0].y + at, col, n, y);
        }
    }
}

DEVICE uint32_t tiles_of(const adapter_expand_args &args, uint32_t index) {
    const uint32_t cols = 4 * ADAPTER_EXPAND_THREADS;
    return (args.y[index].n_cols + cols - 1) / cols;
}

KERNEL(adapter_expand, adapter_expand_args, ADAPTER_EXPAND_THREADS, 4) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    bool stores = args.combine == ADAPTER_STORE;
    uint32_t of_item = 0;
    for (uint32_t i = 0; i < (stores ? args.n_weights : 1); i++) of_item += tiles_of(args, i);
    uint32_t n = load_global<uint32_t>(args.n_items) * of_item;
    for (uint32_t unit = block_index(); unit < n; unit += block_count()) {
        const adapter_item *item = args.items + unit / of_item;
        uint32_t tile = unit % of_item, index = 0;
        for (; tile >= tiles_of(args, index); index++) tile -= tiles_of(args, index);
        uint32_t col = 4 * (tile * ADAPTER_EXPAND_THREADS + thread_index());
        if (col >= args.y[index].n_cols) continue;
        expand(args, item, index, col);
        if (stores) continue;
        if (args.combine == ADAPTER_GATE) expand(args, item, 1, col);
        combine(args, item, col);
    }
}
