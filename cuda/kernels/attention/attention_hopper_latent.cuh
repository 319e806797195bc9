/* Latent attention (arXiv:2405.04434, section 2.1, absorbed) over pages by wgmma: keys of up to 576
 * dims whose first 512 are the values, one KV head for many query heads. A block has 64 queries;
 * two warpgroups share them. Of a page's 64 keys each makes the scores of 32, and their maxima and
 * weights go through shared memory; then each has the weights of all keys, and half of the values'
 * dims. So a page is copied once, and 64 x 256 sums fit in a warpgroup's registers; totals are
 * parked in the output at the end of every split.
 *
 * Two pages fit beside the queries. A page's values are asked for before the next page's keys, so
 * that its place is free, and the page after next under way, while these are multiplied and
 * weights are made. */
#ifndef CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_LATENT_CUH
#define CUDA_KERNELS_ATTENTION_ATTENTION_HOPPER_LATENT_CUH

#include "cuda/kernels/attention/attention_hopper_pages.cuh"

/* As attention_shape; places count from the beginning of the queries. */
template <uint32_t TYPE> struct attention_latent_shape {
    static constexpr uint32_t type = TYPE, dim_warps = 2, planes = 1;
    static constexpr bool f16 = TYPE == CUDA_KV_F16, shared_kv = true, converts = false;
    static constexpr uint32_t rows = ATTENTION_HOPPER_ROWS;
    static constexpr uint32_t load_warps = ATTENTION_HOPPER_CONSUMERS / 32;
    static constexpr uint32_t key_tiles = ATTENTION_PAGE / 8 / dim_warps;
    static constexpr uint32_t value_tiles = ATTENTION_LATENT_VALUE_DIM / 8 / dim_warps;
    static constexpr uint32_t total_tiles = value_tiles;
    static constexpr uint32_t query_plane = 0, weights_plane = 0;
    static constexpr uint32_t at_weights =
        ATTENTION_LATENT_WEIGHTS_AT - ATTENTION_LATENT_QUERIES_AT;
    static constexpr uint32_t at_seen = ATTENTION_LATENT_SEEN_AT - ATTENTION_LATENT_QUERIES_AT;
    static constexpr uint32_t at_factors = at_seen + 16 * rows;
    static constexpr uint32_t at_maxima = at_factors + 4 * rows;
    static constexpr uint32_t at_sums = at_maxima + 4 * rows * dim_warps;
    static constexpr uint32_t at_totals = at_sums + 4 * rows * dim_warps;
    /* There is no room for them, and no model that has them beside latent keys. */
    static constexpr uint32_t at_buckets = 0;

    DEVICE uint32_t warp() {
        return warp_index() - attention_hopper_pages::first_consumer;
    }
    DEVICE uint32_t row_warp() {
        return warp_index() % 4;
    }
    DEVICE uint32_t dim_warp() {
        return warp() / 4;
    }
    DEVICE uint32_t row_of_lane() {
        return row_warp() * 16 + lane_index() / 4;
    }
    DEVICE uint32_t first_value() {
        return dim_warp() * (ATTENTION_LATENT_VALUE_DIM / dim_warps);
    }
    DEVICE bool has_queries(uint32_t n_queries) {
        return row_warp() * 16 < n_queries;
    }
    DEVICE uint32_t padded_dims(uint32_t) {
        return ATTENTION_LATENT_KEY_DIM;
    }
    DEVICE uint32_t query_at(uint32_t r, uint32_t d) {
        return attention_hopper_pages::piece_at(r, d / 8) + d % 8 * 2;
    }
    DEVICE uint32_t weights_at(uint32_t r, uint32_t piece) {
        return at_weights + attention_hopper_pages::piece_at(r, piece);
    }
    /* The two warps that share 16 queries. */
    DEVICE void warps_sync() {
        group_sync(1 + row_warp(), 64);
    }
    DEVICE void multiply(float d[4], const uint32_t a[4], const uint32_t b[2]) {
        if constexpr (f16)
            mma_f16(d, a, b);
        else
            mma_bf16(d, a, b);
    }
};

template <uint32_t TYPE> struct attention_latent {
    typedef attention_latent_shape<TYPE> S;
    static constexpr uint32_t n_stages = ATTENTION_LATENT_STAGES;
    static constexpr uint32_t stage_bytes = ATTENTION_LATENT_STAGE_BYTES;
    static constexpr uint32_t key_dim = ATTENTION_LATENT_KEY_DIM;
    static constexpr uint32_t value_dims = ATTENTION_LATENT_VALUE_DIM / S::dim_warps;
    static constexpr uint32_t group_keys = ATTENTION_PAGE / S::dim_warps;
    static constexpr uint32_t split_pages = ATTENTION_SPLIT_KEYS / ATTENTION_PAGE;
    static constexpr uint32_t box_bytes = attention_hopper_pages::box_bytes;
    static constexpr uint32_t first_consumer = attention_hopper_pages::first_consumer;

    /* ---- shared memory ---- */

    DEVICE shared stage_at(uint32_t stage) {
        return shared_memory() + stage * stage_bytes;
    }
    DEVICE shared queries() {
        return shared_memory() + ATTENTION_LATENT_QUERIES_AT;
    }
    DEVICE shared found_at() {
        return shared_memory() + ATTENTION_LATENT_FOUND_AT;
    }
    DEVICE shared full_at(uint32_t stage) {
        return shared_memory() + (ATTENTION_LATENT_BARRIERS_AT + 16 * stage);
    }
    DEVICE shared empty_at(uint32_t stage) {
        return full_at(stage) + 8;
    }

    static_assert(n_stages == 2, "pages are counted in one register: stage, then parity");
    DEVICE uint32_t stage_of(uint32_t n_pages) {
        return n_pages % 2;
    }
    DEVICE uint32_t parity_of(uint32_t n_pages) { /* of `full` in this round */
        return n_pages / 2 % 2;
    }
    DEVICE uint32_t of_all(uint32_t value) {
        return attention_hopper_pages::of_all(value);
    }

    /* ---- global memory to the ring: a thread ---- */

    DEVICE void produce(const attention_hopper_args &args) {
        uint32_t n_pages = 0;
        tensor_map_prefetch(&args.kv_map);
        attention_hopper_pages::pages_walk<ATTENTION_LATENT_TILE_QUERIES>(
            args.attention, [&](const tile &t, uint32_t page) {
                const int32_t row =
                    attention_hopper_pages::map_row_of<S>(args.attention, t, page, false);
                const uint32_t stage = stage_of(n_pages);
                mbarrier_wait(empty_at(stage), parity_of(n_pages) ^ 1);
                mbarrier_arrive_expect(full_at(stage), stage_bytes);
#pragma unroll
                for (uint32_t i = 0; i < key_dim / 64; i++)
                    tensor_copy(stage_at(stage) + i * box_bytes, &args.kv_map, (int32_t)(64 * i),
                                row, full_at(stage));
                n_pages++;
            });
    }

    /* ---- products ---- */

    typedef float page_scores[S::key_tiles][4]; /* of this warpgroup's keys */

    /* 0 or 1: the warpgroup. Registers are short: made anew each time. */
    DEVICE uint32_t group() {
        return (warp_index_of_all() - first_consumer) / 4;
    }

    /* Pages that the warp has multiplied, of all tiles. */
    DEVICE shared count_at() {
        return shared_memory() + (ATTENTION_LATENT_COUNTS_AT + 4 * S::warp());
    }
    DEVICE uint32_t pages_done() {
        return of_all(load_shared<uint32_t>(count_at()));
    }
    DEVICE void pages_done_set(uint32_t n) {
        warp_sync(); /* all have read what there was */
        if (lane_index() == 0) store_shared<uint32_t>(count_at(), n);
        warp_sync();
    }

    /* What a warpgroup has of a tile. */
    struct progress {
        tile t;
        partial<S> part;
        page_scores s; /* of the next page, then its weights */
        weights<S> p;  /* of this page */
    };

    DEVICE void page_wait() {
        const uint32_t n = pages_done();
        mbarrier_wait(full_at(stage_of(n)), parity_of(n));
    }
    DEVICE void release(uint32_t stage) {
        warp_sync();
        if (lane_index() == 0) mbarrier_arrive(empty_at(stage));
    }

    DEVICE void begin_keys(progress &now) {
        float(&d)[group_keys / 2] = reinterpret_cast<float(&)[group_keys / 2]>(now.s);
        const shared keys = stage_at(stage_of(pages_done())) + group() * (group_keys * 128);
        wgmma_fence();
#pragma unroll
        for (uint32_t i = 0; i < key_dim / 16; i++) {
            const uint32_t at = i / 4 * box_bytes + i % 4 * 32;
            const uint64_t a = wgmma_matrix(queries() + at), b = wgmma_matrix(keys + at);
            if constexpr (S::f16)
                wgmma_f16<group_keys>(d, a, b, i > 0);
            else
                wgmma_bf16<group_keys>(d, a, b, i > 0);
        }
        wgmma_commit();
    }

    DEVICE void begin_values(progress &now) {
        float(&d)[value_dims / 2] = reinterpret_cast<float(&)[value_dims / 2]>(now.part.values);
        const shared rows =
            stage_at(stage_of(pages_done())) + group() * (value_dims / 64 * box_bytes);
        wgmma_fence();
#pragma unroll
        for (uint32_t k = 0; k < ATTENTION_PAGE / 16; k++) {
            const uint64_t b = wgmma_matrix_of_rows(rows + k * 16 * 128, box_bytes);
            if constexpr (S::f16)
                wgmma_f16_rows<value_dims>(d, now.p.w[0][k], b, true);
            else
                wgmma_bf16_rows<value_dims>(d, now.p.w[0][k], b, true);
        }
        wgmma_commit();
    }

    /* ---- a tile of queries ---- */

    /* Scores to the page's weights, and what there is of values to their maximum. */
    DEVICE void weigh(const attention_args &args, progress &now, uint32_t page) {
        const int32_t key =
            (int32_t)(page * ATTENTION_PAGE + S::dim_warp() * group_keys + lane_index() % 4 * 2);
        float factor[2];
        scores_finish<S>(now.s, args, queries(), key);
        if (!attention_hopper_pages::seen_whole(now.t, page))
            scores_mask<S>(now.s, queries_of_lane<S>(queries()), key);
        softmax_weights<S>(now.s, queries(), now.part.softmax, factor);
        values_scale<S>(now.part.values, factor);
        weights_round<S>(now.s, queries(), now.p);
    }

    /* No parts. */
    DEVICE bool is_whole(const tile &t) {
        return of_all((uint32_t)load_global<int32_t>(&t.item->part)) >> 31;
    }

    /* Maxima and sums of totals, which both warpgroups have alike, wait in shared memory. */
    DEVICE shared total_at(uint32_t half) {
        return queries() + S::at_totals + 8 * (S::row_of_lane() + 8 * half);
    }
    DEVICE softmax_pair total_load() {
        softmax_pair total;
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
            const f32x2 of = load_shared<f32x2>(total_at(half));
            total.maximum[half] = of.x;
            total.sum[half] = of.y;
        }
        S::warps_sync(); /* before they are changed */
        return total;
    }
    DEVICE void total_store(const softmax_pair &total) {
#pragma unroll
        for (uint32_t half = 0; half < 2; half++)
            if (S::dim_warp() == 0 && lane_index() % 4 == 0)
                store_shared(total_at(half), f32x2{total.maximum[half], total.sum[half]});
        S::warps_sync();
    }

    /* The part is whole, or there is nothing of it; the next one begins. */
    DEVICE void end_split(const attention_args &args, progress &now, uint32_t split, bool seen) {
        if (seen && S::has_queries(now.t.n_queries)) partial_complete<S>(now.part, queries());
        if (!is_whole(now.t)) {
            partial_write<S>(now.part, args, now.t, split);
        } else if (seen) {
            softmax_pair total = total_load();
            attention_hopper_pages::parked_merge<S>(total, now.part, args, now.t);
            total_store(total);
        }
        partial_clear<S>(now.part);
    }

    /* Multiplies the page's values by its weights, and the next page's keys by the queries. Both
     * warpgroups are done with the page's keys when values are put in order: their weights have
     * been exchanged. */
    template <bool last>
    DEVICE void page_attend(const attention_args &args, progress &now, uint32_t page) {
        const bool ends = last || (page + 1) % split_pages == 0;
        if (!attention_hopper_pages::seen_whole(now.t, page) &&
            attention_hopper_pages::clear_values<S::f16, ATTENTION_LATENT_VALUE_DIM>(
                args, now.t, page, stage_at(stage_of(pages_done())), found_at()))
            attention_hopper_pages::add_infinite<S>(args, now.t, page, queries(), now.p, now.part);
        begin_values(now);
        pages_done_set(pages_done() + 1);
        if constexpr (!last) {
            page_wait();
            begin_keys(now);
            wgmma_wait<1>();
            release(stage_of(pages_done() - 1));
        }
        wgmma_wait<0>();
        if constexpr (last) release(stage_of(pages_done() - 1));
        if (ends) end_split(args, now, page / split_pages, true);
        if constexpr (!last) weigh(args, now, page + 1);
    }

    DEVICE void pages_attend(const attention_args &args, progress &now) {
        uint32_t page = now.t.first_page;
        page_wait();
        begin_keys(now);
        wgmma_wait<0>();
        weigh(args, now, page);
        for (; page + 1 < now.t.end_page; page++) page_attend<false>(args, now, page);
        page_attend<true>(args, now, page);
    }

    DEVICE void tile_attend(const attention_args &args, const attention_item *item, uint32_t first,
                            uint32_t n, progress &now) {
        now.t = attention_hopper_pages::tile_of_all(args, item, first, n);
        attention_hopper_pages::consumers_sync(); /* nobody is at the tile before */
        queries_load<S>(args, now.t, queries());
        fence_proxy_async();
        attention_hopper_pages::consumers_sync();
        partial_clear<S>(now.part);
        total_store(now.part.softmax);
        if (now.t.first_page < now.t.end_page) {
            uint32_t split = of_all((uint32_t)load_global<int32_t>(&item->first_split));
            for (; split < now.t.first_page / split_pages; split++)
                end_split(args, now, split, false);
            pages_attend(args, now);
        }
        finish(args, now);
    }

    /* What nothing is seen of at the end; then the total is whole. */
    DEVICE void finish(const attention_args &args, progress &now) {
        const bool any = now.t.first_page < now.t.end_page;
        const uint32_t end = of_all((uint32_t)load_global<int32_t>(&now.t.item->end_split));
        uint32_t split = any ? (now.t.end_page + split_pages - 1) / split_pages
                             : of_all((uint32_t)load_global<int32_t>(&now.t.item->first_split));
        for (; split < end; split++) end_split(args, now, split, false);
        if (is_whole(now.t)) attention_hopper_pages::parked_finish<S>(total_load(), args, now.t);
    }

    DEVICE void consume(const attention_args &args) {
        progress now;
        pages_done_set(0);
        const attention_item *item = args.items + block_index();
        for (; item < args.items + of_all(load_global<uint32_t>(args.n_items));
             item += block_count()) {
            uint32_t first = of_all((uint32_t)load_global<int32_t>(&item->first_query));
            for (; first < of_all(attention_hopper_pages::end_query(args, item));
                 first += S::rows) {
                const uint32_t rest = of_all(attention_hopper_pages::end_query(args, item)) - first;
                tile_attend(args, item, first, rest < S::rows ? rest : S::rows, now);
            }
        }
    }

    DEVICE void run(const attention_hopper_args &args) {
        if (thread_index() == 0) {
            for (uint32_t i = 0; i < n_stages; i++) {
                mbarrier_init(full_at(i), 1);
                mbarrier_init(empty_at(i), ATTENTION_HOPPER_CONSUMERS / 32);
            }
            mbarrier_fence_init();
        }
        block_sync();
        wait_for_previous_kernel();
        let_next_kernel_begin();
        if (warp_index_of_all() < first_consumer) {
            registers_give<24>();
            if (thread_index() == 0) produce(args);
        } else {
            registers_take<240>();
            consume(args.attention);
        }
    }
};

#define ATTENTION_LATENT_KERNEL(kv_name, kv_type)                          \
    KERNEL(attention_hopper_##kv_name##_mla, struct attention_hopper_args, \
           ATTENTION_HOPPER_THREADS, 1) {                                  \
        attention_latent<kv_type>::run(args);                              \
    }

#endif
