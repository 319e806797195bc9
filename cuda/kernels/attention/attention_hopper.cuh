/* Attention over pages of keys and values by wgmma: what attention.cuh does, its softmax, splits
 * and merges, with two warpgroups of 64 queries each that share the pages. One thread asks the copy
 * engine for keys and values, a page of either being a stage of a ring, as far ahead as there is
 * room, into the next tile too. Keys of the next page are multiplied while weights are made of this
 * one's scores; one warpgroup's weights are made while the other multiplies.
 *
 * The engine copies what lies in a page, seen or not: scores are masked, and where a page isn't
 * seen whole its values are put in order first: zeros where nobody sees them, and without what is
 * not finite, which comes after. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_CUH

#include "cuda/kernels/ptx_hopper.cuh"

#include "cuda/kernels/attention/attention.cuh"
#include "cuda/kernels/attention/attention_hopper_args.h"

/* As attention_shape, of a warpgroup; places count from its own part of shared memory. */
template <uint32_t TYPE, uint32_t DIM> struct attention_hopper_shape {
    static constexpr uint32_t type = TYPE, dim_warps = 1, planes = 1;
    static constexpr bool f16 = TYPE == CUDA_KV_F16, shared_kv = false;
    static constexpr uint32_t rows = ATTENTION_HOPPER_ROWS;
    static constexpr uint32_t key_tiles = ATTENTION_PAGE / 8, value_tiles = DIM / 8;
    static constexpr uint32_t at_totals = ATTENTION_HOPPER_QUERY_BYTES(DIM);
    static constexpr uint32_t at_seen = at_totals + ATTENTION_HOPPER_TOTAL_BYTES(DIM);
    static constexpr uint32_t at_factors = at_seen + 16 * rows, at_buckets = at_seen + 2048;
    static constexpr uint32_t query_plane = 0, total_tiles = ATTENTION_HOPPER_TOTAL_DIMS(DIM) / 8;

    DEVICE uint32_t thread() {
        return thread_index() % 128;
    }
    DEVICE uint32_t warp() {
        return warp_index() % 4;
    }
    DEVICE uint32_t row_warp() {
        return warp_index() % 4;
    }
    DEVICE uint32_t dim_warp() {
        return 0;
    }
    DEVICE uint32_t row_of_lane() {
        return row_warp() * 16 + lane_index() / 4;
    }
    DEVICE uint32_t first_value() {
        return 0;
    }
    DEVICE bool has_queries(uint32_t n_queries) {
        return row_warp() * 16 < n_queries;
    }
    DEVICE uint32_t padded_dims(uint32_t) {
        return DIM;
    }
    /* As tensor copies lay keys: 64 dims of all rows, then the next 64, swizzled. */
    DEVICE uint32_t query_at(uint32_t r, uint32_t d) {
        return d / 64 * (rows * 128) + r * 128 + ((d % 64 / 8) ^ (r % 8)) * 16 + d % 8 * 2;
    }
    DEVICE void multiply(float d[4], const uint32_t a[4], const uint32_t b[2]) {
        if constexpr (f16)
            mma_f16(d, a, b);
        else
            mma_bf16(d, a, b);
    }
};

template <uint32_t TYPE, uint32_t DIM> struct attention_hopper {
    typedef attention_hopper_shape<TYPE, DIM> S;
    static constexpr uint32_t n_stages = ATTENTION_HOPPER_STAGES(DIM);
    static constexpr uint32_t stage_bytes = ATTENTION_HOPPER_STAGE_BYTES(DIM);
    static constexpr uint32_t box_bytes = ATTENTION_PAGE * 128; /* 64 dims of a page */
    static constexpr uint32_t n_boxes = DIM / 64;
    static constexpr uint32_t first_consumer = 4; /* warp */
    static_assert(n_stages % 2 == 0, "keys have the even stages, values the odd ones");

    /* ---- shared memory ---- */

    DEVICE shared stage_at(uint32_t stage) {
        return shared_memory() + stage * stage_bytes;
    }
    DEVICE shared full_at(uint32_t stage) {
        return shared_memory() + (ATTENTION_HOPPER_BARRIERS_AT(DIM) + 16 * stage);
    }
    DEVICE shared empty_at(uint32_t stage) {
        return full_at(stage) + 8;
    }
    /* Of warpgroup 0 or 1 of those that multiply. */
    DEVICE shared group_at(uint32_t group) {
        return shared_memory() +
               (ATTENTION_HOPPER_GROUPS_AT(DIM) + group * ATTENTION_HOPPER_GROUP_BYTES(DIM));
    }
    DEVICE shared found_at(uint32_t warp) {
        return shared_memory() + (ATTENTION_HOPPER_FOUND_AT(DIM) + 4 * warp);
    }

    /* Where keys, or values, stand in the ring. */
    struct place {
        uint32_t stage, parity; /* of `full` in this round */
    };
    DEVICE void advance(place &at) {
        at.stage += 2;
        if (at.stage < n_stages) return;
        at.stage -= n_stages;
        at.parity ^= 1;
    }

    /* One value for all lanes, and the compiler knows: products must not be where lanes part. */
    DEVICE uint32_t of_all(uint32_t value) {
        return shuffle(value, 0);
    }

    /* ---- items ---- */

    DEVICE uint32_t end_query(const attention_args &args, const attention_item *item) {
        const uint32_t n = (uint32_t)load_global<int32_t>(&item->n_queries);
        if (n) return (uint32_t)load_global<int32_t>(&item->first_query) + n;
        return (uint32_t)load_global<int32_t>(&item->n_rows) * (args.n_heads / args.kv.n_kv_heads);
    }
    DEVICE uint32_t tile_queries(uint32_t first, uint32_t end) {
        return end - first < ATTENTION_HOPPER_TILE_QUERIES ? end - first
                                                           : ATTENTION_HOPPER_TILE_QUERIES;
    }

    /* ---- global memory to the ring ---- */

    DEVICE void copy_half(const attention_hopper_args &args, const tile &t, uint32_t page,
                          bool values, place &at) {
        const kv_stream_args &kv = args.attention.kv;
        const size_t offset = (size_t)load_global<int32_t>(t.pages + page) * kv.page_bytes +
                              (size_t)t.kv_head * kv.head_bytes +
                              (values ? kv.v_offset : kv.k_offset);
        const int32_t row = (int32_t)(offset / (2 * kv.key_dim));
        mbarrier_wait(empty_at(at.stage), at.parity ^ 1);
        mbarrier_arrive_expect(full_at(at.stage), stage_bytes);
#pragma unroll
        for (uint32_t i = 0; i < n_boxes; i++)
            tensor_copy(stage_at(at.stage) + i * box_bytes, &args.kv_map, (int32_t)(64 * i), row,
                        full_at(at.stage));
        advance(at);
    }

    /* A thread. */
    DEVICE void produce(const attention_hopper_args &args) {
        const attention_args &a = args.attention;
        place keys = {0, 0}, values = {1, 0};
        const uint32_t n_items = load_global<uint32_t>(a.n_items);
        tensor_map_prefetch(&args.kv_map);
        for (uint32_t i = block_index(); i < n_items; i += block_count()) {
            const attention_item *item = a.items + i;
            uint32_t first = (uint32_t)load_global<int32_t>(&item->first_query);
            const uint32_t end = end_query(a, item);
            for (; first < end; first += ATTENTION_HOPPER_TILE_QUERIES) {
                const tile t = tile_of(a, item, first, tile_queries(first, end));
                for (uint32_t page = t.first_page; page < t.end_page; page++) {
                    copy_half(args, t, page, false, keys);
                    copy_half(args, t, page, true, values);
                }
            }
        }
    }

    /* ---- products ---- */

    typedef float page_scores[S::key_tiles][4];

    /* What a consuming warp goes on with from tile to tile. */
    struct consumer {
        uint32_t group;
        shared memory;
        place keys, values;
    };

    DEVICE void release(uint32_t stage) {
        warp_sync();
        if (lane_index() == 0) mbarrier_arrive(empty_at(stage));
    }

    DEVICE void begin_keys(const consumer &c, page_scores &s) {
        float(&d)[ATTENTION_PAGE / 2] = reinterpret_cast<float(&)[ATTENTION_PAGE / 2]>(s);
        const shared stage = stage_at(c.keys.stage);
        wgmma_fence();
#pragma unroll
        for (uint32_t i = 0; i < DIM / 16; i++) {
            const uint32_t at = i / 4 * box_bytes + i % 4 * 32;
            if constexpr (S::f16)
                wgmma_f16<ATTENTION_PAGE>(d, wgmma_matrix(c.memory + at), wgmma_matrix(stage + at),
                                          i > 0);
            else
                wgmma_bf16<ATTENTION_PAGE>(d, wgmma_matrix(c.memory + at), wgmma_matrix(stage + at),
                                           i > 0);
        }
        wgmma_commit();
    }

    DEVICE void begin_values(const consumer &c, const weights<S> &p,
                             float (&values)[S::value_tiles][4]) {
        float(&d)[DIM / 2] = reinterpret_cast<float(&)[DIM / 2]>(values);
        wgmma_fence();
#pragma unroll
        for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++) {
            const uint64_t b =
                wgmma_matrix_of_rows(stage_at(c.values.stage) + k * 16 * 128, box_bytes);
            if constexpr (S::f16)
                wgmma_f16_rows<DIM>(d, p.w[0][k], b, true);
            else
                wgmma_bf16_rows<DIM>(d, p.w[0][k], b, true);
        }
        wgmma_commit();
    }

    /* ---- pages that aren't seen whole ---- */

    /* What a warpgroup has of a tile: t is of both of them, own of this one. */
    struct progress {
        tile t, own;
        bool whole;     /* no parts */
        uint32_t split; /* that `part` is of */
        sum_of_parts<S> total;
        partial<S> part;
        page_scores s; /* of the next page, then its weights */
        weights<S> p;  /* of this page */
    };

    DEVICE void both_groups_sync() {
        group_sync(3, ATTENTION_HOPPER_CONSUMERS);
    }

    /* By both warpgroups. true: something was not finite, and is zero now. */
    DEVICE bool clear_values(const tile &t, uint32_t page, shared stage) {
        uint32_t begin, end, found = 0;
        page_range(t, page, &begin, &end);
        both_groups_sync();
        for (uint32_t i = thread_index() - first_consumer * 32; i < ATTENTION_PAGE * DIM / 8;
             i += ATTENTION_HOPPER_CONSUMERS) {
            const uint32_t key = i / (DIM / 8), piece = i % (DIM / 8);
            const shared at =
                stage + piece / 8 * box_bytes + key * 128 + ((piece % 8) ^ (key % 8)) * 16;
            const bool seen = key >= begin && key < end;
            u32x4 eight = load_shared<u32x4>(at);
            const u32x4 infinite = {
                infinite_halves<S::f16>(eight.x), infinite_halves<S::f16>(eight.y),
                infinite_halves<S::f16>(eight.z), infinite_halves<S::f16>(eight.w)};
            const uint32_t any = infinite.x | infinite.y | infinite.z | infinite.w;
            if (seen && !any) continue;
            found |= seen ? any : 0;
            const uint32_t keep = seen ? 0xFFFFFFFFu : 0;
            eight = u32x4{eight.x & keep & ~infinite.x, eight.y & keep & ~infinite.y,
                          eight.z & keep & ~infinite.z, eight.w & keep & ~infinite.w};
            store_shared(at, eight);
        }
        const uint32_t warp = warp_index() - first_consumer, of_warp = warp_ballot(found != 0);
        if (lane_index() == 0) store_shared<uint32_t>(found_at(warp), of_warp);
        fence_proxy_async();
        both_groups_sync();
        found = 0;
        for (uint32_t i = 0; i < ATTENTION_HOPPER_CONSUMERS / 32; i++)
            found |= load_shared<uint32_t>(found_at(i));
        return of_all(found) != 0;
    }

    /* What clear_values took away, from where it lies in global memory. */
    DEVICE void add_infinite(const attention_args &args, const consumer &c, progress &now,
                             uint32_t page) {
        const uint8_t *rows = half_address<S>(args, now.t, page, true);
        const uint32_t dim = args.kv.value_dim;
        page_half half = {};
        uint32_t begin, end;
        page_range(now.own, page, &begin, &end);
        half.first_key = (int32_t)page * ATTENTION_PAGE;
        const auto fragments = [=](uint32_t(&b)[4], uint32_t(&)[4], uint32_t k, uint32_t j) {
            for (uint32_t i = 0; i < 4; i++) {
                const uint32_t key = k * 16 + i % 2 * 8 + lane_index() % 4 * 2;
                const uint32_t d = j * 16 + i / 2 * 8 + lane_index() / 4;
                b[i] = 0;
                for (uint32_t n = 0; n < 2; n++)
                    if (d < dim && key + n >= begin && key + n < end)
                        b[i] |= (uint32_t)load_global<uint16_t>(rows + 2 * ((key + n) * dim + d))
                                << 16 * n;
            }
        };
        for (uint32_t key = begin; key < end; key++)
            values_add_infinite<S>(now.part.values, now.p, half, key, queries_of_lane<S>(c.memory),
                                   fragments);
    }

    /* ---- a tile of queries ---- */

    /* Scores to weights, in place. */
    DEVICE void weigh(const attention_args &args, const consumer &c, progress &now, uint32_t page,
                      softmax_pair &state, float factor[2]) {
        const int32_t first_key = (int32_t)page * ATTENTION_PAGE;
        const int32_t key = first_key + (int32_t)(lane_index() % 4 * 2);
        scores_finish<S>(now.s, args, c.memory, key);
        if (first_key < now.own.all_begin || first_key + ATTENTION_PAGE > now.own.all_end)
            scores_mask<S>(now.s, queries_of_lane<S>(c.memory), key);
        softmax_weights<S>(now.s, c.memory, state, factor);
    }

    /* The part is whole, or there is nothing of it; the next one begins. */
    DEVICE void end_split(const attention_args &args, const consumer &c, progress &now, bool seen) {
        if (seen && S::has_queries(now.own.n_queries)) partial_complete<S>(now.part, c.memory);
        if (!now.whole)
            partial_write<S>(now.part, args, now.own, now.split);
        else if (seen)
            total_merge<S>(now.total, c.memory, now.part);
        partial_clear<S>(now.part);
        now.split++;
    }

    DEVICE void wait_for_keys(const consumer &c) {
        mbarrier_wait(full_at(c.keys.stage), c.keys.parity);
    }
    DEVICE void release_keys(consumer &c) {
        release(c.keys.stage);
        advance(c.keys);
    }
    /* Of a page, and puts them in order. true: there is something infinite to add. */
    DEVICE bool wait_for_values(const consumer &c, const tile &t, uint32_t page) {
        const int32_t first_key = (int32_t)page * ATTENTION_PAGE;
        mbarrier_wait(full_at(c.values.stage), c.values.parity);
        if (first_key >= t.all_begin && first_key + ATTENTION_PAGE <= t.all_end) return false;
        return clear_values(t, page, stage_at(c.values.stage));
    }
    DEVICE void release_values(consumer &c) {
        release(c.values.stage);
        advance(c.values);
    }

    /* Multiplies the page's values by its weights and the next page's keys by the queries, and
     * makes weights of these while the values are being multiplied. Products are begun and waited
     * for on one way through the code: else the compiler has them follow one another. */
    template <bool last>
    DEVICE void page_attend(const attention_args &args, consumer &c, progress &now, uint32_t page) {
        const bool ends = last || (page + 1) % (ATTENTION_SPLIT_KEYS / ATTENTION_PAGE) == 0;
        const bool infinite = wait_for_values(c, now.t, page);
        softmax_pair state = now.part.softmax;
        float factor[2] = {1.0f, 1.0f};
        if (ends) softmax_clear(state);
        if constexpr (!last) {
            wait_for_keys(c);
            begin_keys(c, now.s);
            begin_values(c, now.p, now.part.values);
            wgmma_wait<1>();
            release_keys(c);
            weigh(args, c, now, page + 1, state, factor);
        } else {
            begin_values(c, now.p, now.part.values);
        }
        wgmma_wait<0>();
        release_values(c);
        if (infinite) add_infinite(args, c, now, page);
        if (ends)
            end_split(args, c, now, true);
        else
            values_scale<S>(now.part.values, factor);
        now.part.softmax = state;
        if constexpr (!last) weights_round<S>(now.s, c.memory, now.p);
    }

    DEVICE void pages_attend(const attention_args &args, consumer &c, progress &now) {
        float factor[2];
        uint32_t page = now.t.first_page;
        while (now.split < page / (ATTENTION_SPLIT_KEYS / ATTENTION_PAGE))
            end_split(args, c, now, false);
        wait_for_keys(c);
        begin_keys(c, now.s);
        wgmma_wait<0>();
        release_keys(c);
        weigh(args, c, now, page, now.part.softmax, factor);
        weights_round<S>(now.s, c.memory, now.p);
        for (; page + 1 < now.t.end_page; page++) page_attend<false>(args, c, now, page);
        page_attend<true>(args, c, now, page);
    }

    /* A warpgroup without queries takes part in what needs both. */
    DEVICE void pages_pass(consumer &c, const tile &t) {
        for (uint32_t page = t.first_page; page < t.end_page; page++) {
            wait_for_keys(c);
            release_keys(c);
            wait_for_values(c, t, page);
            release_values(c);
        }
    }

    DEVICE tile tile_of_all(const attention_args &args, const attention_item *item, uint32_t first,
                            uint32_t n) {
        tile t = tile_of(args, item, first, n);
        t.first_page = of_all(t.first_page);
        t.end_page = of_all(t.end_page);
        t.all_begin = (int32_t)of_all((uint32_t)t.all_begin);
        t.all_end = (int32_t)of_all((uint32_t)t.all_end);
        return t;
    }

    /* n: of this warpgroup's queries. */
    DEVICE void queries_attend(const attention_args &args, const attention_item *item,
                               const tile &t, uint32_t first, uint32_t n, consumer &c) {
        progress now;
        now.t = t;
        now.own = tile_of_all(args, item, first, n);
        now.whole = of_all((uint32_t)load_global<int32_t>(&item->part)) >> 31;
        now.split = of_all((uint32_t)load_global<int32_t>(&item->first_split));
        const uint32_t end = of_all((uint32_t)load_global<int32_t>(&item->end_split));
        group_sync(1 + c.group, 128); /* nobody is at the tile before */
        queries_load<S>(args, now.own, c.memory);
        fence_proxy_async();
        group_sync(1 + c.group, 128);
        total_clear<S>(now.total, c.memory);
        partial_clear<S>(now.part);
        if (t.first_page < t.end_page) pages_attend(args, c, now);
        while (now.split < end) end_split(args, c, now, false);
        if (now.whole) total_write<S>(now.total, args, now.own, c.memory);
    }

    DEVICE void tile_attend(const attention_args &args, const attention_item *item, uint32_t first,
                            uint32_t n, consumer &c) {
        const uint32_t before = c.group * S::rows;
        const tile t = tile_of_all(args, item, first, n);
        if (n <= before)
            pages_pass(c, t);
        else
            queries_attend(args, item, t, first + before,
                           n - before < S::rows ? n - before : S::rows, c);
    }

    DEVICE void consume(const attention_args &args) {
        const uint32_t group = (warp_index_of_all() - first_consumer) / 4;
        consumer c = {group, group_at(group), {0, 0}, {1, 0}};
        const uint32_t n_items = of_all(load_global<uint32_t>(args.n_items));
        for (uint32_t i = block_index(); i < n_items; i += block_count()) {
            const attention_item *item = args.items + i;
            uint32_t first = of_all((uint32_t)load_global<int32_t>(&item->first_query));
            const uint32_t end = of_all(end_query(args, item));
            for (; first < end; first += ATTENTION_HOPPER_TILE_QUERIES)
                tile_attend(args, item, first, tile_queries(first, end), c);
        }
    }

    DEVICE void make_barriers() {
        for (uint32_t i = 0; i < n_stages; i++) {
            mbarrier_init(full_at(i), 1);
            mbarrier_init(empty_at(i), ATTENTION_HOPPER_CONSUMERS / 32);
        }
        mbarrier_fence_init();
    }

    DEVICE void run(const attention_hopper_args &args) {
        const uint32_t warp = warp_index_of_all();
        if (thread_index() == 0) make_barriers();
        if (args.attention.relative_bias)
            for (uint32_t group = 0; group < 2; group++)
                relative_buckets_make(args.attention, group_at(group) + S::at_buckets);
        block_sync();
        wait_for_previous_kernel();
        let_next_kernel_begin();
        if (warp < first_consumer) {
            registers_give<24>();
            if (thread_index() == 0) produce(args);
        } else {
            registers_take<240>();
            consume(args.attention);
        }
    }
};

#define ATTENTION_HOPPER_KERNEL(kv_name, kv_type, bucket, dim)                  \
    KERNEL(attention_hopper_##kv_name##_##bucket, struct attention_hopper_args, \
           ATTENTION_HOPPER_THREADS, 1) {                                       \
        attention_hopper<kv_type, dim>::run(args);                              \
    }

#endif
