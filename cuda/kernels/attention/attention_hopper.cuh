/* Attention over pages of keys and values by wgmma: what attention.cuh does, its softmax, splits
 * and merges, with two warpgroups of 64 queries each that share the pages. Keys and values of a
 * page are stages of a ring, which a third warpgroup fills as far ahead as there is room, into the
 * next tile too: by tensor copies, or, where quants are stored, by copies of these to a ring of
 * their own, from which three warps make operands. Keys of the next page are multiplied while
 * weights are made of this one's scores; one warpgroup's weights are made while the other
 * multiplies. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_CUH

#include "cuda/kernels/attention/attention_hopper_pages.cuh"

/* As attention_shape, of a warpgroup; places count from its own part of shared memory. */
template <uint32_t TYPE, uint32_t DIM> struct attention_hopper_shape {
    static constexpr uint32_t type = TYPE, dim_warps = 1, planes = 1;
    static constexpr bool f16 = TYPE != CUDA_KV_BF16, shared_kv = false;
    static constexpr bool converts = ATTENTION_CONVERTS(TYPE);
    static constexpr uint32_t rows = ATTENTION_HOPPER_ROWS, load_warps = 4;
    static constexpr uint32_t key_tiles = ATTENTION_PAGE / 8, value_tiles = DIM / 8;
    static constexpr uint32_t row_pieces = DIM / 8;
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
    DEVICE uint32_t query_at(uint32_t r, uint32_t d) {
        return attention_hopper_pages::piece_at(r, d / 8) + d % 8 * 2;
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
    static constexpr uint32_t n_stages = ATTENTION_HOPPER_STAGES(TYPE, DIM);
    static constexpr uint32_t stage_bytes = ATTENTION_HOPPER_STAGE_BYTES(DIM);
    static constexpr uint32_t n_stored = ATTENTION_HOPPER_STORED_STAGES(TYPE, DIM);
    static constexpr uint32_t stored_bytes = ATTENTION_STAGE_BYTES(TYPE, DIM);
    static constexpr uint32_t box_bytes = attention_hopper_pages::box_bytes;
    static constexpr uint32_t n_boxes = DIM / 64;
    static constexpr uint32_t first_consumer = attention_hopper_pages::first_consumer;
    static constexpr uint32_t converters = 3; /* warps */
    static constexpr int producer_registers = S::converts ? 40 : 24;
    static constexpr int consumer_registers = S::converts ? 232 : 240;
    static_assert(n_stages % 2 == 0, "keys have the even stages, values the odd ones");

    /* ---- shared memory ---- */

    DEVICE shared stage_at(uint32_t stage) {
        return shared_memory() + stage * stage_bytes;
    }
    DEVICE shared full_at(uint32_t stage) {
        return shared_memory() + (ATTENTION_HOPPER_BARRIERS_AT(TYPE, DIM) + 16 * stage);
    }
    DEVICE shared empty_at(uint32_t stage) {
        return full_at(stage) + 8;
    }
    /* Quants as they are stored; their barriers follow the others. */
    DEVICE shared stored_at(uint32_t stage) {
        return shared_memory() + (ATTENTION_HOPPER_STORED_AT(TYPE, DIM) + stage * stored_bytes);
    }
    DEVICE shared stored_full_at(uint32_t stage) {
        return full_at(n_stages + stage);
    }
    DEVICE shared stored_empty_at(uint32_t stage) {
        return empty_at(n_stages + stage);
    }
    /* Of warpgroup 0 or 1 of those that multiply. */
    DEVICE shared group_at(uint32_t group) {
        return shared_memory() +
               (ATTENTION_HOPPER_GROUPS_AT(TYPE, DIM) + group * ATTENTION_HOPPER_GROUP_BYTES(DIM));
    }
    DEVICE shared found_at() {
        return shared_memory() + ATTENTION_HOPPER_FOUND_AT(TYPE, DIM);
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
    DEVICE void advance_stored(place &at) {
        if (++at.stage < n_stored) return;
        at.stage = 0;
        at.parity ^= 1;
    }

    DEVICE uint32_t of_all(uint32_t value) {
        return attention_hopper_pages::of_all(value);
    }

    /* ---- global memory to the ring ---- */

    DEVICE void copy_half(const attention_hopper_args &args, const tile &t, uint32_t page,
                          bool values, place &at) {
        const int32_t row = attention_hopper_pages::map_row_of<S>(args.attention, t, page, values);
        mbarrier_wait(empty_at(at.stage), at.parity ^ 1);
        mbarrier_arrive_expect(full_at(at.stage), stage_bytes);
#pragma unroll
        for (uint32_t i = 0; i < n_boxes; i++)
            tensor_copy(stage_at(at.stage) + i * box_bytes, &args.kv_map, (int32_t)(64 * i), row,
                        full_at(at.stage));
        advance(at);
    }

    /* A thread. */
    DEVICE void copy_pages(const attention_hopper_args &args) {
        place keys = {0, 0}, values = {1, 0};
        tensor_map_prefetch(&args.kv_map);
        attention_hopper_pages::pages_walk<ATTENTION_HOPPER_TILE_QUERIES>(
            args.attention, [&](const tile &t, uint32_t page) {
                copy_half(args, t, page, false, keys);
                copy_half(args, t, page, true, values);
            });
    }

    /* ---- quants to the ring ---- */

    DEVICE void copy_stored_half(const attention_args &args, const tile &t, uint32_t page,
                                 bool values, place &at) {
        const uint32_t dim = stored_dim<S>(args, values);
        const uint32_t bytes = ATTENTION_STAGE_BYTES(TYPE, dim);
        mbarrier_wait(stored_empty_at(at.stage), at.parity ^ 1);
        mbarrier_arrive_expect(stored_full_at(at.stage), bytes);
        bulk_copy(stored_at(at.stage), half_address<S>(args, t, page, values), bytes,
                  stored_full_at(at.stage));
        advance_stored(at);
    }

    /* A thread. */
    DEVICE void copy_stored_pages(const attention_args &args) {
        place at = {0, 0};
        attention_hopper_pages::pages_walk<ATTENTION_HOPPER_TILE_QUERIES>(
            args, [&](const tile &t, uint32_t page) {
                copy_stored_half(args, t, page, false, at);
                copy_stored_half(args, t, page, true, at);
            });
    }

    /* Whole, seen or not. */
    DEVICE void convert_half(const attention_args &args, bool values, place &from, place &to) {
        const uint32_t dim = stored_dim<S>(args, values);
        mbarrier_wait(stored_full_at(from.stage), from.parity);
        mbarrier_wait(empty_at(to.stage), to.parity ^ 1);
        const shared stored = stored_at(from.stage), stage = stage_at(to.stage);
#pragma unroll 2
        for (uint32_t i = thread_index() - 32; i < ATTENTION_PAGE * S::row_pieces;
             i += 32 * converters) {
            const uint32_t key = i / S::row_pieces, piece = i % S::row_pieces;
            u32x4 out = {0, 0, 0, 0};
            if (piece < dim / 8) out = stored_piece<S>(stored, dim, key, piece);
            store_shared(stage + attention_hopper_pages::piece_at(key, piece), out);
        }
        fence_proxy_async();
        warp_sync();
        if (lane_index() == 0) {
            mbarrier_arrive(full_at(to.stage));
            mbarrier_arrive(stored_empty_at(from.stage));
        }
        advance(to);
        advance_stored(from);
    }

    DEVICE void convert_pages(const attention_args &args) {
        place from = {0, 0}, keys = {0, 0}, values = {1, 0};
        attention_hopper_pages::pages_walk<ATTENTION_HOPPER_TILE_QUERIES>(
            args, [&](const tile &, uint32_t) {
                convert_half(args, false, from, keys);
                convert_half(args, true, from, values);
            });
    }

    DEVICE void produce(const attention_hopper_args &args, uint32_t warp) {
        if constexpr (S::converts) {
            if (warp > 0)
                convert_pages(args.attention);
            else if (thread_index() == 0)
                copy_stored_pages(args.attention);
        } else if (thread_index() == 0) {
            copy_pages(args);
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

    /* ---- a tile of queries ---- */

    /* Scores to weights, in place. */
    DEVICE void weigh(const attention_args &args, const consumer &c, progress &now, uint32_t page,
                      softmax_pair &state, float factor[2]) {
        const int32_t first_key = (int32_t)page * ATTENTION_PAGE;
        const int32_t key = first_key + (int32_t)(lane_index() % 4 * 2);
        scores_finish<S>(now.s, args, c.memory, key);
        if (!attention_hopper_pages::seen_whole(now.t, page))
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
    /* Of a page, and puts them in order. true: something of it is infinite. */
    DEVICE bool wait_for_values(const attention_args &args, const consumer &c, const tile &t,
                                uint32_t page) {
        mbarrier_wait(full_at(c.values.stage), c.values.parity);
        if (attention_hopper_pages::seen_whole(t, page)) return false;
        return attention_hopper_pages::clear_values<S::f16, DIM>(
            args, t, page, stage_at(c.values.stage), found_at());
    }
    DEVICE void release_values(consumer &c) {
        release(c.values.stage);
        advance(c.values);
    }

    DEVICE void values_wait(const attention_args &args, const consumer &c, progress &now,
                            uint32_t page) {
        if (wait_for_values(args, c, now.t, page))
            attention_hopper_pages::add_infinite<S>(args, now.own, page, c.memory, now.p, now.part);
    }

    /* Multiplies the page's values by its weights and the next page's keys by the queries, and
     * makes weights of these while the values are being multiplied. Products are begun and waited
     * for on one way through the code: else the compiler has them follow one another. */
    template <bool last>
    DEVICE void page_attend(const attention_args &args, consumer &c, progress &now, uint32_t page) {
        const bool ends = last || (page + 1) % (ATTENTION_SPLIT_KEYS / ATTENTION_PAGE) == 0;
        values_wait(args, c, now, page);
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
    DEVICE void pages_pass(const attention_args &args, consumer &c, const tile &t) {
        for (uint32_t page = t.first_page; page < t.end_page; page++) {
            wait_for_keys(c);
            release_keys(c);
            wait_for_values(args, c, t, page);
            release_values(c);
        }
    }

    /* n: of this warpgroup's queries. */
    DEVICE void queries_attend(const attention_args &args, const attention_item *item,
                               const tile &t, uint32_t first, uint32_t n, consumer &c) {
        progress now;
        now.t = t;
        now.own = attention_hopper_pages::tile_of_all(args, item, first, n);
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
        const tile t = attention_hopper_pages::tile_of_all(args, item, first, n);
        if (n <= before)
            pages_pass(args, c, t);
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
            const uint32_t end = of_all(attention_hopper_pages::end_query(args, item));
            for (; first < end; first += ATTENTION_HOPPER_TILE_QUERIES)
                tile_attend(args, item, first,
                            end - first < ATTENTION_HOPPER_TILE_QUERIES
                                ? end - first
                                : ATTENTION_HOPPER_TILE_QUERIES,
                            c);
        }
    }

    DEVICE void make_barriers() {
        for (uint32_t i = 0; i < n_stages; i++) {
            mbarrier_init(full_at(i), S::converts ? converters : 1);
            mbarrier_init(empty_at(i), ATTENTION_HOPPER_CONSUMERS / 32);
        }
        for (uint32_t i = n_stages; i < n_stages + n_stored; i++) {
            mbarrier_init(full_at(i), 1);
            mbarrier_init(empty_at(i), converters);
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
            registers_give<producer_registers>();
            produce(args, warp);
        } else {
            registers_take<consumer_registers>();
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
