/* Queries and keys of a row: norm of each head, rotation; then keys and values into their page. All
 * arithmetic is that of the host's reference kernels, order of sums included. */
#ifndef CUDA_KERNELS_ATTENTION_ROPE_STORE_CUH
#define CUDA_KERNELS_ATTENTION_ROPE_STORE_CUH

#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/attention/kv_values.cuh"
#include "cuda/kernels/kinds.h"
#include "cuda/kernels/place.cuh"

/* Eight lanes have a head, lane j of them the dims j, j + 8, ... of it for norm and rotation, in
 * shared memory. */
struct head_lanes {
    shared x; /* [dim] */
    uint32_t lane, dim;
};

/* Lane sums added pairwise: (0 + 4) + (1 + 5) + ((2 + 6) + (3 + 7)). */
DEVICE float lanes_sum(float sum) {
    sum = sum + shuffle_xor(sum, 4);
    sum = sum + shuffle_xor(sum, 1);
    return sum + shuffle_xor(sum, 2);
}

DEVICE float head_value(const head_lanes &head, uint32_t d) {
    return load_shared<float>(head.x + 4 * d);
}

/* All lanes of the warp call, whatever the kinds of their heads' norms. */
DEVICE void head_norm(const head_lanes &head, uint32_t kind, const float *weight, const float *bias,
                      float eps) {
    float n = (float)head.dim, mean = 0.0f, squares = 0.0f;
    bool layer = kind == KIND_NORM_LAYER;
    if (warp_ballot(layer)) {
        float sum = 0.0f;
        for (uint32_t d = head.lane; d < head.dim; d += 8) sum += head_value(head, d);
        sum = lanes_sum(sum);
        if (layer) mean = sum / n;
    }
    for (uint32_t d = head.lane; d < head.dim; d += 8) {
        float x = head_value(head, d) - mean;
        squares += x * x;
    }
    float factor = 1.0f / sqrt_f32(lanes_sum(squares) / n + eps);
    for (uint32_t d = head.lane; d < head.dim; d += 8) {
        float x = layer ? head_value(head, d) - mean : head_value(head, d);
        float y = x * factor * (weight ? load_global<float>(weight + d) : 1.0f);
        if (layer) y = y + (bias ? load_global<float>(bias + d) : 0.0f);
        store_shared<float>(head.x + 4 * d, y);
    }
}

DEVICE void head_rotate(const head_lanes &head, const rope_store_args &args, uint32_t row) {
    uint32_t half = args.rope_dims / 2;
    const float *table = args.rope_table + (size_t)row * args.rope_dims;
    for (uint32_t i = head.lane; i < half; i += 8) {
        uint32_t first = args.rope_first + (args.rope_halves ? i : 2 * i),
                 second = first + (args.rope_halves ? half : 1);
        f32x2 turn = load_global<f32x2>(table + 2 * i);
        float a = head_value(head, first), b = head_value(head, second);
        store_shared<float>(head.x + 4 * first, a * turn.x - b * turn.y);
        store_shared<float>(head.x + 4 * second, a * turn.y + b * turn.x);
    }
}

/* Dim d of a row's head of q, k or v, `from` being the row. */
DEVICE float stored_value(const rope_store_args &args, const float *from, uint32_t row, uint32_t h,
                          uint32_t d, uint32_t dim, bool is_q) {
    if (is_q && args.q_rest && d >= args.rope_first) {
        size_t head = (size_t)row * args.q_rest_stride + (size_t)h * args.q_rest_dim;
        return load_global<float>(args.q_rest + head + args.q_rest_dim - (dim - d));
    }
    return load_global<float>(from + (size_t)h * dim + d);
}

/* Eight values of a head in one of the page's rows, at dim d; `scale` of q8_0. */
DEVICE void store_values(uint32_t type, uint8_t *rows, size_t at, const float x[8], float inverse) {
    uint32_t w[8];
    switch (type) {
    case CUDA_KV_F32:
        for (uint32_t i = 0; i < 8; i += 4)
            store_global(rows + 4 * (at + i), f32x4{x[i], x[i + 1], x[i + 2], x[i + 3]});
        return;
    case CUDA_KV_F16:
        for (uint32_t i = 0; i < 4; i++) w[i] = pack_f16(x[2 * i], x[2 * i + 1]);
        store_global(rows + 2 * at, u32x4{w[0], w[1], w[2], w[3]});
        return;
    case CUDA_KV_BF16:
        for (uint32_t i = 0; i < 4; i++) w[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
        store_global(rows + 2 * at, u32x4{w[0], w[1], w[2], w[3]});
        return;
    default:
        for (uint32_t i = 0; i < 8; i++)
            w[i] = type == CUDA_KV_Q8_0 ? int8_of(x[i] * inverse) : e4m3_of(x[i]);
        store_global(rows + at, u32x2{w[0] | w[1] << 8 | w[2] << 16 | w[3] << 24,
                                      w[4] | w[5] << 8 | w[6] << 16 | w[7] << 24});
    }
}

/* A whole head into row `slot` of its page. Eight dims to a lane: a scale's 32 lie in four lanes.
 * All lanes of the warp take part. */
DEVICE void head_store(const head_lanes &head, uint32_t most_dims, uint32_t type, uint8_t *rows,
                       uint32_t slot, bool active) {
    uint32_t n_scales = (head.dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
    for (uint32_t first = 0; first < most_dims; first += 64) {
        uint32_t d = first + 8 * head.lane;
        bool stores = active && d < head.dim;
        float x[8] = {0}, largest = 0.0f, inverse = 0.0f;
        if (stores)
            for (uint32_t i = 0; i < 8; i++) x[i] = head_value(head, d + i);
        if (type == CUDA_KV_Q8_0) {
            for (uint32_t i = 0; i < 8; i++) {
                float magnitude = from_bits(bits_of(x[i]) & 0x7FFFFFFFu);
                largest = magnitude > largest ? magnitude : largest;
            }
            for (uint32_t mask = 1; mask < 4; mask *= 2) {
                float other = shuffle_xor(largest, mask);
                largest = other > largest ? other : largest;
            }
            uint16_t bits = (uint16_t)pack_f16(largest / 127.0f, 0.0f);
            float scale = f16_to_f32(bits);
            inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
            if (stores && d % KV_SCALE_DIMS == 0)
                store_global<uint16_t>(rows + (size_t)ATTENTION_PAGE * head.dim +
                                           2 * (slot * n_scales + d / KV_SCALE_DIMS),
                                       bits);
        }
        if (stores) store_values(type, rows, (size_t)slot * head.dim + d, x, inverse);
    }
}

DEVICE float clamped(float x, float most) {
    if (most == 0.0f) return x;
    x = x > most ? most : x;
    return x < -most ? -most : x;
}

template <typename Place>
DEVICE void rope_store_run(const Place &place, const rope_store_args &args) {
    place_wait(place);
    place_let_next_begin(place);
    uint32_t row = place_block(place);
    int32_t sequence = load_global<int32_t>(args.rows.sequence + row);
    if (sequence < 0) return;
    int64_t position = load_global<int64_t>(args.rows.position + row);
    uint32_t first_page = load_global<uint32_t>(args.kv.pages_at + sequence);
    int32_t page = load_global<int32_t>(args.kv.pages + first_page + position / ATTENTION_PAGE);
    uint8_t *pool = args.kv.pool + (size_t)page * args.kv.page_bytes;
    uint32_t slot = (uint32_t)(position % ATTENTION_PAGE);
    uint32_t largest = args.head_dim > args.kv.value_dim ? args.head_dim : args.kv.value_dim;
    uint32_t n_kv = args.kv.n_kv_heads;
    uint32_t n = args.n_heads + (args.k ? n_kv : 0) + (args.v ? n_kv : 0);
    uint32_t group = thread_index() / 8;
    /* The loop is the same for a whole warp, whose lanes all shuffle. */
    for (uint32_t first = warp_index() * 4; first < n; first += ROPE_STORE_THREADS / 8) {
        uint32_t unit = first + group % 4;
        bool active = unit < n, is_q = unit < args.n_heads, is_v = unit >= args.n_heads + n_kv;
        uint32_t h = is_q ? unit : (unit - args.n_heads) % n_kv;
        head_lanes head = {shared_memory() + group * largest * 4, lane_index() % 8,
                           is_v ? args.kv.value_dim : args.head_dim};
        const float *from = is_q   ? args.q + (size_t)row * args.q_stride
                            : is_v ? args.v + (size_t)row * args.v_stride
                                   : args.k + (size_t)row * args.k_stride;
        for (uint32_t d = head.lane; d < head.dim; d += 8)
            store_shared<float>(
                head.x + 4 * d,
                active ? clamped(stored_value(args, from, row, h, d, head.dim, is_q), args.clamp)
                       : 0.0f);
        const float *weight = is_v ? nullptr : is_q ? args.q_norm : args.k_norm;
        const float *bias = is_v ? nullptr : is_q ? args.q_norm_bias : args.k_norm_bias;
        uint32_t first_weight = args.norm_of_each && active ? h * args.head_dim : 0;
        if (weight) weight += first_weight;
        if (bias) bias += first_weight;
        warp_sync();
        /* Lanes of one head at a time see the same of it, but lanes of others another: sums go
         * through all lanes, and what isn't wanted is not stored. */
        uint32_t kind = is_v ? args.v_norm_kind : is_q ? args.q_norm_kind : args.k_norm_kind;
        bool normed = kind != KIND_NORM_NONE;
        const bool turns = !is_v && args.rope_dims;
        if (turns && args.norm_turned) head_rotate(head, args, row);
        warp_sync();
        if (warp_ballot(normed)) {
            head_lanes of_norm = head;
            if (!normed) of_norm.dim = 0;
            head_norm(of_norm, kind, weight, bias,
                      is_v   ? args.v_eps
                      : is_q ? args.q_eps
                             : args.k_eps);
            warp_sync();
        }
        if (turns && !args.norm_turned) head_rotate(head, args, row);
        warp_sync();
        if (is_q && active)
            for (uint32_t d = head.lane; d < head.dim; d += 8)
                store_global(args.q + (size_t)row * args.q_stride + (size_t)h * head.dim + d,
                             head_value(head, d));
        uint8_t *rows =
            pool + (size_t)h * args.kv.head_bytes + (is_v ? args.kv.v_offset : args.kv.k_offset);
        head_store(head, largest, args.kv.type, rows, slot, active && !is_q);
        warp_sync();
    }
}

#endif
