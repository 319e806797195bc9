/* Shapes of the attention kernels, what a tile of queries sees, and pages on their way to shared
 * memory. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_RING_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_RING_CUH

#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/attention/kv_values.cuh"

/* KEY_WARPS: of the warps that share 16 queries' dims, those that share a page's keys too; 1: each
 * of them makes all scores for itself, in the order of one warp, and the bits are those of one. */
template <uint32_t TYPE, uint32_t KEY_DIM, uint32_t VALUE_DIM, uint32_t ROW_WARPS,
          uint32_t DIM_WARPS, uint32_t KEY_WARPS = DIM_WARPS>
struct attention_shape {
    static constexpr uint32_t type = TYPE, dim_warps = KEY_WARPS; /* that share the keys */
    static constexpr bool f16 = TYPE != CUDA_KV_F32 && TYPE != CUDA_KV_BF16;
    static constexpr bool ringed = TYPE != CUDA_KV_F32, converts = ATTENTION_CONVERTS(TYPE);
    static constexpr bool shared_kv = KEY_DIM != VALUE_DIM;
    static constexpr uint32_t planes = ATTENTION_PLANES(TYPE);
    static constexpr uint32_t rows = ATTENTION_TILE_ROWS(ROW_WARPS);
    static constexpr uint32_t load_warps = ATTENTION_THREADS / 32;        /* that bring queries */
    static constexpr uint32_t key_tiles = ATTENTION_PAGE / 8 / KEY_WARPS; /* of 8, of a warp */
    static constexpr uint32_t value_tiles = VALUE_DIM / 8 / DIM_WARPS;
    static constexpr uint32_t row_pieces = KEY_DIM / 8; /* of 16 bytes */
    static constexpr uint32_t row_bytes = ATTENTION_ROW_BYTES(KEY_DIM);
    static constexpr uint32_t query_plane = rows * row_bytes;
    static constexpr uint32_t stage_bytes = ATTENTION_STAGE_BYTES(TYPE, KEY_DIM);
    /* Places in shared memory, whose end depends on the number of stages. */
    static constexpr uint32_t at_queries = 0;
    static constexpr uint32_t at_p = ATTENTION_QUERY_BYTES(TYPE, KEY_DIM, ROW_WARPS);
    static constexpr uint32_t at_seen = at_p + ATTENTION_P_BYTES(TYPE, ROW_WARPS, KEY_WARPS);
    static constexpr uint32_t at_factors = at_seen + 16 * rows;
    static constexpr uint32_t at_maxima = at_factors + 16 * rows;
    static constexpr uint32_t at_sums = at_maxima + 4 * rows * DIM_WARPS;
    static constexpr uint32_t at_buckets = at_sums + 4 * rows * DIM_WARPS;
    static constexpr bool resident = KEY_WARPS != DIM_WARPS; /* of the persistent kernel */
    static constexpr uint32_t total_tiles =
        resident ? value_tiles : ATTENTION_TOTAL_DIMS(TYPE, KEY_DIM, DIM_WARPS) / 8;
    static constexpr uint32_t at_totals = at_seen + ATTENTION_SMALL_BYTES(ROW_WARPS, DIM_WARPS);
    static constexpr uint32_t at_converted =
        at_totals + (resident ? ATTENTION_RESIDENT_TOTAL_BYTES(VALUE_DIM)
                              : ATTENTION_TOTAL_BYTES(TYPE, KEY_DIM, ROW_WARPS, DIM_WARPS));
    static constexpr uint32_t at_ring = at_converted + ATTENTION_CONVERTED_BYTES(TYPE, KEY_DIM);
    static_assert(KEY_WARPS == DIM_WARPS || KEY_WARPS == 1, "all share the keys, or none");
    static_assert(ROW_WARPS * DIM_WARPS * 32 == ATTENTION_THREADS, "every warp has its share");
    static_assert(at_ring % 16 == 0 && stage_bytes % 16 == 0, "copies are of 16 bytes");

    DEVICE uint32_t thread() {
        return thread_index();
    }
    DEVICE uint32_t warp() {
        return warp_index();
    }
    DEVICE uint32_t row_warp() {
        return warp_index() / DIM_WARPS;
    }
    /* Dims of a query that products take, and where two of them lie. */
    DEVICE uint32_t padded_dims(uint32_t dim) {
        return (dim + 15) / 16 * 16;
    }
    DEVICE uint32_t query_at(uint32_t r, uint32_t d) {
        return at_queries + r * row_bytes + 2 * d;
    }
    /* Of a query's weights, among warps: 16 bytes, of 8 keys. */
    DEVICE uint32_t weights_at(uint32_t r, uint32_t piece) {
        return at_p + r * ATTENTION_ROW_BYTES(ATTENTION_PAGE) + piece * 16;
    }
    static constexpr uint32_t weights_plane = rows * ATTENTION_ROW_BYTES(ATTENTION_PAGE);
    DEVICE uint32_t dim_warp() {
        return KEY_WARPS == 1 ? 0 : warp_index() % DIM_WARPS;
    }
    /* The first of the lane's two queries in a product's sums; the other is 8 after it. */
    DEVICE uint32_t row_of_lane() {
        return row_warp() * 16 + lane_index() / 4;
    }
    /* Where load_matrix4 finds two tiles of keys by 16 dims. */
    DEVICE uint32_t key_of_lane() {
        return dim_warp() * key_tiles * 8 + lane_index() / 16 * 8 + lane_index() % 8;
    }
    DEVICE uint32_t key_piece() {
        return lane_index() / 8 % 2 * 16;
    }
    DEVICE uint32_t first_value() {
        return warp_index() % DIM_WARPS * (VALUE_DIM / DIM_WARPS);
    }
    /* Whether the warp has any of a tile's; all that share its 16 rows say the same. */
    DEVICE bool has_queries(uint32_t n_queries) {
        return row_warp() * 16 < n_queries;
    }
    /* The warps that share 16 queries. */
    DEVICE void warps_sync() {
        if constexpr (ROW_WARPS == 1)
            block_sync();
        else
            group_sync(1 + row_warp(), DIM_WARPS * 32);
    }
    DEVICE void multiply(float d[4], const uint32_t a[4], const uint32_t b[2]) {
        if constexpr (f16)
            mma_f16(d, a, b);
        else
            mma_bf16(d, a, b);
    }
};

/* ---- what is seen ---- */

/* Registers are short: what isn't needed page by page stays in the item. */
struct tile {
    const attention_item *item;
    uint32_t first_query, n_queries; /* of the item's */
    uint32_t kv_head;
    int32_t key_begin, key_end;    /* some query sees them */
    int32_t all_begin, all_end;    /* every query sees them */
    uint32_t first_page, end_page; /* of those the item's splits have */
    const int32_t *pages;          /* of the sequence */
};

/* Row and head of query r of a tile. */
struct query_place {
    uint32_t row, head;
};
DEVICE query_place query_place_of(const attention_args &args, const tile &t, uint32_t r) {
    uint32_t heads = args.n_heads / args.kv.n_kv_heads, query = t.first_query + r;
    uint32_t first_row = (uint32_t)load_global<int32_t>(&t.item->first_row);
    uint32_t kv_head = (uint32_t)load_global<int32_t>(&t.item->kv_head);
    return query_place{first_row + query / heads, kv_head * heads + query % heads};
}

struct key_range {
    int32_t begin, end, position;
};

/* The same of a query, with its head. */
struct alignas(16) query_seen {
    int32_t begin, end, position, head;
};

DEVICE key_range key_range_of(const attention_args &args, int32_t sequence, uint32_t row) {
    int32_t position = (int32_t)load_global<int64_t>(args.rows.position + row);
    int64_t begin = args.window > 0 ? position - args.window + 1 : 0, end = position + 1;
    if (args.unmasked) {
        int64_t seen = position + args.window;
        end = load_global<int64_t>(args.key_counts + sequence);
        if (args.window > 0 && seen < end) end = seen;
    }
    return key_range{begin > 0 ? (int32_t)begin : 0, (int32_t)end, position};
}

/* Rows of a tile are consecutive positions: the first sees least of the end, the last least of the
 * beginning. */
DEVICE tile tile_of(const attention_args &args, const attention_item *item, uint32_t first_query,
                    uint32_t n_queries) {
    tile t;
    t.item = item;
    t.first_query = first_query;
    t.n_queries = n_queries;
    t.kv_head = (uint32_t)load_global<int32_t>(&item->kv_head);
    int32_t sequence = load_global<int32_t>(&item->sequence);
    key_range first = key_range_of(args, sequence, query_place_of(args, t, 0).row);
    key_range last = key_range_of(args, sequence, query_place_of(args, t, n_queries - 1).row);
    t.key_begin = first.begin;
    t.key_end = last.end;
    t.all_begin = last.begin;
    t.all_end = first.end;
    const uint32_t split_pages = ATTENTION_SPLIT_KEYS / ATTENTION_PAGE;
    uint32_t first_page = (uint32_t)t.key_begin / ATTENTION_PAGE;
    uint32_t end_page = ((uint32_t)t.key_end + ATTENTION_PAGE - 1) / ATTENTION_PAGE;
    uint32_t first_of_item = (uint32_t)load_global<int32_t>(&item->first_split) * split_pages;
    uint32_t end_of_item = (uint32_t)load_global<int32_t>(&item->end_split) * split_pages;
    t.first_page = first_page > first_of_item ? first_page : first_of_item;
    t.end_page = end_page < end_of_item ? end_page : end_of_item;
    t.pages = args.kv.pages + load_global<uint32_t>(args.kv.pages_at + sequence);
    return t;
}

/* ---- T5's buckets ---- */

/* How many of `n` buckets, whose bounds grow by equal factors from n to `most`, end at or before
 * the distance: log(distance / n) / log(most / n) * n rounded down, by products alone. */
DEVICE uint32_t buckets_passed(uint32_t distance, uint32_t exact, uint32_t n, uint32_t most) {
    double ratio = (double)most / (double)exact, power = 1.0 + 1e-9, bound = ratio;
    for (uint32_t i = 0; i < n; i++) power = power * ((double)distance / (double)exact);
    uint32_t passed = 0;
    for (; passed + 1 < n && bound <= power; passed++) bound = bound * ratio;
    return passed;
}

/* Buckets of the distances below relative_max_distance, a byte each, without the direction. */
DEVICE void relative_buckets_make(const attention_args &args, shared buckets) {
    uint32_t n = args.relative_buckets / (args.relative_bidirectional ? 2 : 1), exact = n / 2;
    for (uint32_t d = thread_index(); d < args.relative_max_distance; d += thread_count()) {
        uint32_t bucket =
            d < exact ? d : exact + buckets_passed(d, exact, n - exact, args.relative_max_distance);
        store_shared<uint8_t>(buckets + d, (uint8_t)bucket);
    }
}

/* distance: key - query. */
DEVICE uint32_t relative_bucket(const attention_args &args, shared buckets, int32_t distance) {
    uint32_t n = args.relative_buckets / (args.relative_bidirectional ? 2 : 1);
    uint32_t before = (uint32_t)(distance < 0 ? -distance : 0);
    uint32_t far = args.relative_bidirectional && distance > 0 ? (uint32_t)distance : before;
    uint32_t bucket =
        far < args.relative_max_distance ? load_shared<uint8_t>(buckets + far) : n - 1;
    return bucket + (args.relative_bidirectional && distance > 0 ? n : 0);
}

/* ---- pages ---- */

/* Keys or values of a page. `at`: [64][row_bytes] of 16-bit elements; f32: rows where they lie.
 * What no query of the tile sees is 0. */
struct page_half {
    shared at;
    const float *rows;
    uint32_t dim, stride; /* of `rows` */
    int32_t first_key;    /* the page's */
    int32_t begin, end;   /* what some query sees of it */
};

/* Copies go ahead of their use by stages - 1. */
struct ring {
    uint32_t next_load, end_load; /* of the tile's halves of pages */
    uint32_t load_slot, use_slot;
};

/* Dims of a stored row: the values' are the keys' where they are a prefix of them. */
template <typename S> DEVICE uint32_t stored_dim(const attention_args &args, bool values) {
    bool own = values && !S::shared_kv && args.kv.v_offset != args.kv.k_offset;
    return own ? args.kv.value_dim : args.kv.key_dim;
}

template <typename S>
DEVICE const uint8_t *half_address(const attention_args &args, const tile &t, uint32_t page,
                                   bool values) {
    int32_t number = load_global<int32_t>(t.pages + page);
    return args.kv.pool + (size_t)number * args.kv.page_bytes +
           (size_t)t.kv_head * args.kv.head_bytes +
           (values && !S::shared_kv ? args.kv.v_offset : args.kv.k_offset);
}

/* What of a page is seen, as positions in it. */
DEVICE void page_range(const tile &t, uint32_t page, uint32_t *begin, uint32_t *end) {
    int32_t first = (int32_t)page * ATTENTION_PAGE;
    int32_t b = t.key_begin - first, e = t.key_end - first;
    *begin = b > 0 ? (uint32_t)b : 0;
    *end = e < ATTENTION_PAGE ? (uint32_t)e : ATTENTION_PAGE;
}

/* 16-byte pieces of `bytes` with anything of first ... end - 1 in them. */
DEVICE void copy_pieces(shared to, const uint8_t *from, uint32_t bytes, uint32_t first,
                        uint32_t end) {
    for (uint32_t i = 16 * thread_index(); i < bytes; i += 16 * ATTENTION_THREADS)
        copy_async16(to + i, from + i, i < end && i + 16 > first);
}

template <typename S>
DEVICE void half_copy(const attention_args &args, const tile &t, shared to, uint32_t page,
                      bool values) {
    const uint8_t *from = half_address<S>(args, t, page, values);
    uint32_t dim = stored_dim<S>(args, values), begin, end;
    page_range(t, page, &begin, &end);
    if constexpr (S::converts) {
        copy_pieces(to, from, ATTENTION_PAGE * dim, begin * dim, end * dim);
        uint32_t bytes = 2 * ((dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS);
        if (S::type == CUDA_KV_Q8_0)
            copy_pieces(to + ATTENTION_PAGE * dim, from + ATTENTION_PAGE * dim,
                        ATTENTION_PAGE * bytes, begin * bytes, end * bytes);
    } else {
        uint32_t pieces = dim / 8;
#pragma unroll 4
        for (uint32_t i = thread_index(); i < ATTENTION_PAGE * S::row_pieces;
             i += ATTENTION_THREADS) {
            uint32_t key = i / S::row_pieces, piece = i % S::row_pieces;
            copy_async16(to + key * S::row_bytes + piece * 16, from + (key * pieces + piece) * 16,
                         piece < pieces && key >= begin && key < end);
        }
    }
}

/* Eight dims of a key, from quants as they are stored in a page, of dim dims. */
template <typename S>
DEVICE u32x4 stored_piece(shared from, uint32_t dim, uint32_t key, uint32_t piece) {
    const uint32_t n_scales = (dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
    u32x2 eight = load_shared<u32x2>(from + key * dim + piece * 8), low, high;
    if constexpr (S::type == CUDA_KV_Q8_0) {
        float scale = q8_scale(
            load_shared<uint16_t>(from + ATTENTION_PAGE * dim + 2 * (key * n_scales + piece / 4)));
        low = q8_to_f16(eight.x, scale);
        high = q8_to_f16(eight.y, scale);
    } else {
        low = e4m3_to_f16(eight.x);
        high = e4m3_to_f16(eight.y);
    }
    return u32x4{low.x, low.y, high.x, high.y};
}

/* Stored quants to f16 rows. */
template <typename S>
DEVICE void half_convert(const tile &t, shared from, shared to, uint32_t page, uint32_t dim) {
    uint32_t pieces = dim / 8, begin, end;
    page_range(t, page, &begin, &end);
#pragma unroll 2
    for (uint32_t i = thread_index(); i < ATTENTION_PAGE * S::row_pieces; i += ATTENTION_THREADS) {
        uint32_t key = i / S::row_pieces, piece = i % S::row_pieces;
        u32x4 out = {0, 0, 0, 0};
        if (piece < pieces && key >= begin && key < end)
            out = stored_piece<S>(from, dim, key, piece);
        store_shared(to + key * S::row_bytes + piece * 16, out);
    }
}

/* The next load into the ring, if there is one; a group of copies in any case. */
template <typename S>
DEVICE void ring_load(const attention_args &args, const tile &t, shared memory, ring &r) {
    if (r.next_load < r.end_load) {
        uint32_t page = t.first_page + (S::shared_kv ? r.next_load : r.next_load / 2);
        half_copy<S>(args, t, memory + S::at_ring + r.load_slot * S::stage_bytes, page,
                     !S::shared_kv && r.next_load % 2 == 1);
        r.next_load++;
        r.load_slot = r.load_slot + 1 == args.stages ? 0 : r.load_slot + 1;
    }
    copy_async_commit();
}

template <typename S>
DEVICE ring ring_begin(const attention_args &args, const tile &t, shared memory) {
    uint32_t n_pages = t.end_page > t.first_page ? t.end_page - t.first_page : 0;
    ring r = {0, n_pages * (S::shared_kv ? 1 : 2), 0, 0};
    if constexpr (S::ringed)
        for (uint32_t i = 1; i < args.stages; i++) ring_load<S>(args, t, memory, r);
    return r;
}

/* Waits for the keys or values that come next, which are this page's, and sends for later ones.
 * Everyone in the block is past what they had before. */
template <typename S>
DEVICE page_half ring_next(const attention_args &args, const tile &t, shared memory, ring &r,
                           uint32_t page, bool values) {
    page_half half;
    uint32_t begin, end;
    page_range(t, page, &begin, &end);
    half.dim = values ? args.kv.value_dim : args.kv.key_dim;
    half.first_key = (int32_t)page * ATTENTION_PAGE;
    half.begin = half.first_key + (int32_t)begin;
    half.end = half.first_key + (int32_t)end;
    half.stride = stored_dim<S>(args, values);
    half.rows = nullptr;
    half.at = memory;
    if constexpr (!S::ringed) {
        half.rows = (const float *)half_address<S>(args, t, page, values);
        return half;
    }
    if (args.stages == 1) {
        block_sync();
        ring_load<S>(args, t, memory, r);
        copy_async_wait<0>();
        block_sync();
    } else {
        if (args.stages >= 4)
            copy_async_wait<2>();
        else if (args.stages == 3)
            copy_async_wait<1>();
        else
            copy_async_wait<0>();
        block_sync();
        ring_load<S>(args, t, memory, r);
    }
    shared stage = memory + S::at_ring + r.use_slot * S::stage_bytes;
    r.use_slot = r.use_slot + 1 == args.stages ? 0 : r.use_slot + 1;
    half.at = stage;
    if constexpr (S::converts) {
        half.at = memory + S::at_converted;
        half_convert<S>(t, stage, half.at, page, half.stride);
        block_sync();
    }
    return half;
}

/* ---- operands from f32 rows, each as two of bf16 ---- */

/* Tile of 8 keys from `first` on by dims 16 c ... 16 c + 15. */
DEVICE void key_fragment_f32(uint32_t high[2], uint32_t low[2], const page_half &keys,
                             uint32_t first, uint32_t c) {
    uint32_t key = first + lane_index() / 4, d = c * 16 + lane_index() % 4 * 2;
    int32_t position = keys.first_key + (int32_t)key;
    bool seen = position >= keys.begin && position < keys.end;
    for (uint32_t i = 0; i < 2; i++) {
        f32x2 x = {0.0f, 0.0f};
        if (seen && d + 8 * i < keys.dim)
            x = load_global<f32x2>(keys.rows + (size_t)key * keys.stride + d + 8 * i);
        split_bf16(x.x, x.y, &high[i], &low[i]);
    }
}

/* Keys 16 k ... 16 k + 15 by dims first_dim ... first_dim + 15: two operands. */
DEVICE void value_fragments_f32(uint32_t high[4], uint32_t low[4], const page_half &values,
                                uint32_t k, uint32_t first_dim) {
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t key = k * 16 + i % 2 * 8 + lane_index() % 4 * 2;
        uint32_t d = first_dim + i / 2 * 8 + lane_index() / 4;
        const float *at = values.rows + (size_t)key * values.stride + d;
        int32_t position = values.first_key + (int32_t)key;
        bool in = d < values.dim;
        float x = 0.0f, y = 0.0f;
        if (in && position >= values.begin && position < values.end) x = load_global<float>(at);
        if (in && position + 1 >= values.begin && position + 1 < values.end)
            y = load_global<float>(at + values.stride);
        split_bf16(x, y, &high[i], &low[i]);
    }
}

#endif
