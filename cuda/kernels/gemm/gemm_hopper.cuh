/* y = W x by wgmma: weights are the A operand, unpacked from their fragments into registers, tokens
 * the columns of B in shared memory. A block does GEMM_HOPPER_ROWS weight rows × N rows of x, tile
 * after tile. One warp asks the copy engine for weights, one for x, each through a ring of its own,
 * as far ahead as there is room, into the next tile too; eight warps multiply, LAYOUT_ROWS rows of
 * weights each, the next unit being unpacked while the products of the one before run.
 *
 * e4m3 weights with e4m3 activations are multiplied as they are, LAYOUT_BLOCK_COLS columns at a
 * time: tensor cores add such products with fewer bits than f32 has, so a block's sums are begun
 * anew and, times both scales, added to those of the blocks before.
 *
 * Blocks of a pair, a cluster of two, do neighbouring row blocks of the same rows of x, of which
 * each brings half to both: a stage of x is free when the consumers of both have read it.
 *
 * Bits: of every (weight row, row of x) the products are added by wgmma in the order of k, the
 * first one after each multiple of split_cols being not added but stored; the sums of the splits
 * are added to zero in their order. That holds for every N. */
#ifndef CUDA_KERNELS_GEMM_GEMM_HOPPER_CUH
#define CUDA_KERNELS_GEMM_GEMM_HOPPER_CUH

#include "cuda/kernels/ptx_hopper.cuh"

#include "cuda/kernels/gemm/gemm_finish.cuh"
#include "cuda/kernels/gemm/gemm_hopper_args.h"
#include "cuda/kernels/gemm/gemm_hopper_tiles.h"
#include "cuda/kernels/gemm/unpack.cuh"

/* One tile. */
struct gemm_hopper_work {
    uint32_t weight;       /* of args.weights; the first of GATE's two */
    uint32_t first_row;    /* of that weight */
    uint32_t first_x, n_x; /* n_x 0: nothing */
    uint32_t first_y;      /* row of y of the first of these */
    uint32_t expert;
    uint32_t n_units, split_units, n_splits;
    uint32_t first_unit, last_unit; /* of this tile's columns: first ... last - 1 */
    uint32_t place;                 /* without its split: gemm_args.counters */
    uint32_t split;
};

/* Who this block is among those that share the tiles out. */
struct gemm_hopper_share {
    uint32_t pair;        /* blocks of a cluster do the two row blocks of a tile: 1, else 0 */
    uint32_t rank;        /* in that cluster, else 0 */
    uint32_t first, step; /* tiles that the block does */
};

/* Where one of the two rings stands. */
struct gemm_hopper_ring {
    uint32_t stage, parity; /* of the stage's `full` in this round */
};

template <int type, int n, int gate> struct gemm_hopper {
    static constexpr gemm_hopper_tile tile = gemm_hopper_tile_of(type, gate, n);
    static constexpr weight_format format = weight_layout_format(type);
    static constexpr uint32_t n_weights = 1 + gate;
    static constexpr uint32_t row_tiles = GEMM_HOPPER_ROWS / LAYOUT_ROWS; /* a warp's each */
    static constexpr uint32_t n_tiles = n / 8;
    static constexpr uint32_t unit_bytes = weight_layout_unit_bytes(format);
    static constexpr uint32_t header_units = LAYOUT_HEADER_COLS / LAYOUT_COLS;
    static constexpr bool bytes = type == LAYOUT_FP8_FP8; /* so are activations */
    static constexpr uint32_t first_consumer = 4;         /* warp */
    static constexpr uint32_t part_bytes = gemm_hopper_part_bytes(gate, n);

    typedef float sums[n_weights][n / 2];
    typedef uint32_t operands[n_weights][4][4]; /* a unit's, step by step */

    /* ---- shared memory ---- */

    DEVICE shared x_at(uint32_t stage) {
        return shared_memory() + stage * tile.x_bytes;
    }
    DEVICE shared scale_at(uint32_t stage) {
        return shared_memory() + (tile.x_stages * tile.x_bytes + stage * tile.scale_bytes);
    }
    DEVICE shared run_at(uint32_t stage, uint32_t w, uint32_t row_tile) {
        return shared_memory() +
               (tile.runs_at + ((stage * n_weights + w) * row_tiles + row_tile) * tile.run_bytes);
    }
    DEVICE shared run_full(uint32_t stage) {
        return shared_memory() + (tile.barriers_at + 16 * stage);
    }
    DEVICE shared x_full(uint32_t stage) {
        return run_full(tile.run_stages + stage);
    }
    /* Of a `full`: the barrier of the stage being free. */
    DEVICE shared empty_of(shared full) {
        return full + 8;
    }

    DEVICE void advance(gemm_hopper_ring &ring, uint32_t n_stages) {
        if (++ring.stage < n_stages) return;
        ring.stage = 0;
        ring.parity ^= 1;
    }

    /* ---- which part of the product ---- */

    DEVICE gemm_hopper_share share_of(const gemm_hopper_args &args) {
        if (!args.pair) return {0, 0, block_index(), block_count()};
        return {1, cluster_rank(), block_index() / 2, block_count() / 2};
    }

    /* Of a pair: both blocks' rows are one row block. */
    DEVICE uint32_t blocks_of(const gemm_weight &weight, uint32_t pair) {
        const uint32_t rows = GEMM_HOPPER_ROWS << pair;
        return (weight.n_rows + rows - 1) / rows;
    }

    DEVICE uint32_t count_row_blocks(const gemm_args &args, uint32_t pair) {
        uint32_t row_blocks = 0;
        for (uint32_t w = 0; w < (gate ? 1 : args.n_weights); w++)
            row_blocks += blocks_of(args.weights[w], pair);
        return row_blocks;
    }
    DEVICE uint32_t count_x_tiles(const gemm_args &args) {
        if (args.groups) return args.max_groups;
        return (args.n_x + n - 1) / n * (args.n_heads ? args.n_heads : 1);
    }
    DEVICE uint32_t count_splits(const gemm_args &args) {
        return (args.n_cols + args.split_cols - 1) / args.split_cols;
    }
    DEVICE uint32_t count_tiles(const gemm_args &args, uint32_t pair) {
        return count_row_blocks(args, pair) * count_x_tiles(args) *
               (args.splits_apart ? count_splits(args) : 1);
    }

    /* Neighbouring tiles of x, a band of them, meet the same weights at about the same time, and
     * many weights the same x. */
    DEVICE gemm_hopper_work find_work(const gemm_args &args, const gemm_hopper_share &share,
                                      uint32_t index) {
        gemm_hopper_work work;
        const uint32_t row_blocks = count_row_blocks(args, share.pair);
        const uint32_t x_tiles = count_x_tiles(args);
        const uint32_t per_split = row_blocks * x_tiles, in_split = index % per_split;
        const uint32_t band = in_split / (row_blocks * GEMM_HOPPER_BAND);
        const uint32_t in_band = in_split - band * row_blocks * GEMM_HOPPER_BAND;
        uint32_t width = x_tiles - band * GEMM_HOPPER_BAND;
        if (width > GEMM_HOPPER_BAND) width = GEMM_HOPPER_BAND;
        const uint32_t x_tile = band * GEMM_HOPPER_BAND + in_band % width;
        uint32_t row_block = in_band / width;
        work.split = index / per_split;
        work.place = row_block * x_tiles + x_tile;
        const uint32_t of_head = (args.n_x + n - 1) / n;
        work.expert = args.groups ? 0 : x_tile / of_head;
        work.first_y = args.groups ? 0 : x_tile % of_head * n;
        work.first_x = work.expert * args.n_x + work.first_y;
        work.n_x = args.n_x - work.first_y;
        if (args.groups) {
            work.n_x = 0;
            if (x_tile < load_global<uint32_t>(args.n_groups)) {
                u32x4 group = load_global<u32x4>(args.groups + x_tile);
                work.expert = group.x, work.first_x = group.y, work.n_x = group.z;
                work.first_y = work.first_x;
            }
        }
        if (work.n_x > n) work.n_x = n;
        work.weight = 0;
        while (row_block >= blocks_of(args.weights[work.weight], share.pair))
            row_block -= blocks_of(args.weights[work.weight++], share.pair);
        work.first_row = ((row_block << share.pair) + share.rank) * GEMM_HOPPER_ROWS;
        work.n_units = args.n_cols / LAYOUT_COLS;
        work.split_units = args.split_cols / LAYOUT_COLS;
        work.n_splits = count_splits(args);
        work.first_unit = args.splits_apart ? work.split * work.split_units : 0;
        work.last_unit = args.splits_apart ? work.first_unit + work.split_units : work.n_units;
        if (work.last_unit > work.n_units) work.last_unit = work.n_units;
        return work;
    }

    /* Row tiles of the block that the weight has: none, if the last row block of a pair is half. */
    DEVICE uint32_t present_tiles(const gemm_args &args, const gemm_hopper_work &work) {
        const uint32_t n_rows = args.weights[work.weight].n_rows;
        if (work.first_row >= n_rows) return 0;
        const uint32_t here = (n_rows - work.first_row + LAYOUT_ROWS - 1) / LAYOUT_ROWS;
        return here < row_tiles ? here : row_tiles;
    }

    /* ---- global memory to the rings ---- */

    /* A warp; a lane asks for a row tile's run of a weight. */
    DEVICE void produce_runs(const gemm_args &args, const gemm_hopper_share &share) {
        gemm_hopper_ring ring = {0, 0};
        const uint32_t w = lane_index() / row_tiles, row_tile = lane_index() % row_tiles;
        const uint32_t end = count_tiles(args, share.pair);
        for (uint32_t index = share.first; index < end; index += share.step) {
            const gemm_hopper_work work = find_work(args, share, index);
            if (work.n_x == 0) continue;
            const uint32_t headers = (work.n_units + header_units - 1) / header_units;
            const size_t tile_bytes =
                (size_t)work.n_units * unit_bytes + headers * format.header_bytes;
            const uint32_t n_present = present_tiles(args, work);
            const bool copies = w < n_weights && row_tile < n_present;
            const gemm_weight &weight = args.weights[work.weight + (copies ? w : 0)];
            const unsigned char *from = static_cast<const unsigned char *>(weight.tiles) +
                                        work.expert * weight.expert_bytes +
                                        (work.first_row / LAYOUT_ROWS + row_tile) * tile_bytes +
                                        (size_t)work.first_unit * unit_bytes +
                                        work.first_unit / header_units * format.header_bytes;
            for (uint32_t unit = work.first_unit; unit < work.last_unit; unit += tile.run_units) {
                uint32_t units = work.last_unit - unit;
                if (units > tile.run_units) units = tile.run_units;
                const uint32_t bytes = format.header_bytes + units * unit_bytes;
                const shared full = run_full(ring.stage);
                mbarrier_wait(empty_of(full), ring.parity ^ 1);
                if (lane_index() == 0) mbarrier_arrive_expect(full, bytes * n_present * n_weights);
                warp_sync();
                if (copies) bulk_copy(run_at(ring.stage, w, row_tile), from, bytes, full);
                from += bytes;
                advance(ring, tile.run_stages);
            }
        }
    }

    /* A stage of x, from row first_x on; of a pair half of it, to both blocks. */
    DEVICE void copy_x(const gemm_hopper_args &args, const gemm_hopper_share &share, uint32_t stage,
                       uint32_t unit, uint32_t first_x) {
        const int32_t column = (int32_t)(unit * LAYOUT_COLS);
        const int32_t row = (int32_t)(first_x + share.rank * (n / 2));
        const shared to = x_at(stage) + share.rank * (tile.x_bytes / 2), full = x_full(stage);
        if (share.pair)
            tensor_copy_multicast(to, &args.x_map, column, row, full, 3);
        else
            tensor_copy(to, &args.x_map, column, row, full);
        if constexpr (bytes) {
            const shared scales = scale_at(stage) + share.rank * (n / 2 * 4);
            const int32_t block = (int32_t)(unit / tile.x_units);
            if (share.pair)
                tensor_copy_multicast(scales, &args.scale_map, row, block, full, 3);
            else
                tensor_copy(scales, &args.scale_map, row, block, full);
        }
    }

    /* A thread. */
    DEVICE void produce_x(const gemm_hopper_args &args, const gemm_hopper_share &share) {
        gemm_hopper_ring ring = {0, 0};
        const uint32_t end = count_tiles(args.gemm, share.pair);
        tensor_map_prefetch(&args.x_map);
        if constexpr (bytes) tensor_map_prefetch(&args.scale_map);
        wait_for_previous_kernel();
        for (uint32_t index = share.first; index < end; index += share.step) {
            const gemm_hopper_work work = find_work(args.gemm, share, index);
            if (work.n_x == 0) continue;
            for (uint32_t unit = work.first_unit; unit < work.last_unit; unit += tile.x_units) {
                const shared full = x_full(ring.stage);
                mbarrier_wait(empty_of(full), ring.parity ^ 1);
                mbarrier_arrive_expect(full, tile.x_bytes + (bytes ? n * 4 : 0));
                copy_x(args, share, ring.stage, unit, work.first_x);
                advance(ring, tile.x_stages);
            }
        }
    }

    /* ---- products ---- */

    /* What a consuming warp goes on with from tile to tile. */
    struct consumer {
        gemm_hopper_ring runs, x;
        uint32_t row_tile; /* of the block */
        bool present;      /* in this tile */
        uint32_t in_run;   /* units of the run that have been unpacked */
        bool holds_x;      /* the stage of x before this one is still being read */
        uint32_t other;    /* of a pair: the rank of the other block, which fills x too; else 2 */
    };

    DEVICE void release_run(shared full) {
        warp_sync();
        if (lane_index() == 0) mbarrier_arrive(empty_of(full));
    }
    DEVICE void release_x(const consumer &c, uint32_t stage) {
        const shared empty = empty_of(x_full(stage));
        warp_sync();
        if (lane_index() == 0) {
            mbarrier_arrive(empty);
            if (c.other < 2) mbarrier_arrive_remote(empty, c.other);
        }
    }
    DEVICE void release_x_before(consumer &c) {
        if (!c.holds_x) return;
        release_x(c, c.x.stage == 0 ? tile.x_stages - 1 : c.x.stage - 1);
        c.holds_x = false;
    }
    /* A unit of the run has been unpacked. last: of the tile's columns. */
    DEVICE void leave_unit(consumer &c, bool last) {
        if (++c.in_run < tile.run_units && !last) return;
        release_run(run_full(c.runs.stage));
        advance(c.runs, tile.run_stages);
        c.in_run = 0;
    }

    /* The unit's A operands; of a row tile that isn't there, zeros. last: of the tile's columns. */
    DEVICE void unpack(consumer &c, bool last, operands &a) {
        if (c.in_run == 0) mbarrier_wait(run_full(c.runs.stage), c.runs.parity);
#pragma unroll
        for (uint32_t w = 0; w < n_weights; w++) {
            if (c.present) {
                const shared run = run_at(c.runs.stage, w, c.row_tile);
                unit_words<type, shared> words = unit_load<type>(
                    run + (format.header_bytes + c.in_run * unit_bytes), run, lane_index());
                unit_operand<type, 0>(words, a[w][0]);
                unit_operand<type, 1>(words, a[w][1]);
                unit_operand<type, 2>(words, a[w][2]);
                unit_operand<type, 3>(words, a[w][3]);
            } else {
#pragma unroll
                for (uint32_t s = 0; s < 4; s++)
#pragma unroll
                    for (uint32_t i = 0; i < 4; i++) a[w][s][i] = 0;
            }
        }
        leave_unit(c, last);
    }

    /* Begins the products of one unit with the next stage of x, and waits for those of the unit
     * before. */
    DEVICE void multiply(consumer &c, const operands &a, bool fresh, sums &part) {
        mbarrier_wait(x_full(c.x.stage), c.x.parity);
        wgmma_fence();
#pragma unroll
        for (uint32_t s = 0; s < 4; s++) {
            const uint64_t b = wgmma_matrix(x_at(c.x.stage) + 32 * s);
#pragma unroll
            for (uint32_t w = 0; w < n_weights; w++) {
                if constexpr (type == WEIGHT_F16)
                    wgmma_f16<n>(part[w], a[w][s], b, !fresh || s > 0);
                else
                    wgmma_bf16<n>(part[w], a[w][s], b, !fresh || s > 0);
            }
        }
        wgmma_commit();
        wgmma_wait<1>();
        release_x_before(c);
        c.holds_x = true;
        advance(c.x, tile.x_stages);
    }

    DEVICE void clear(sums &sum) {
#pragma unroll
        for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
            for (uint32_t i = 0; i < n / 2; i++) sum[w][i] = 0.0f;
    }
    DEVICE void add(sums &total, const sums &part) {
#pragma unroll
        for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
            for (uint32_t i = 0; i < n / 2; i++) total[w][i] += part[w][i];
    }

    /* Units up to `end`, from a sum of nothing on. */
    DEVICE void sum_split(consumer &c, const gemm_hopper_work &work, uint32_t unit, uint32_t end,
                          sums &part) {
        operands even, odd; /* a unit's are read while the next one's are made */
        bool fresh = true;
        for (; unit < end; unit += 2) {
            unpack(c, unit + 1 == work.last_unit, even);
            multiply(c, even, fresh, part);
            fresh = false;
            if (unit + 1 == end) break;
            unpack(c, unit + 2 == work.last_unit, odd);
            multiply(c, odd, false, part);
        }
        wgmma_wait<0>();
        release_x_before(c);
    }

    /* ---- products of e4m3 ---- */

    /* Two units: a weight's codes, step by step of 32 columns, and the scales of its rows g, g + 8.
     */
    struct block_operands {
        uint32_t codes[n_weights][4][4];
        float scale[n_weights][2];
    };

    /* Unit `unit` of two of a block. A word of the unit has codes of rows g and g + 8 in turn, two
     * words of one register pair are those of four columns: CUDA_ACTIVATION_E4M3 has its columns in
     * the order that comes of it. */
    template <uint32_t unit> DEVICE void unpack_codes(consumer &c, bool last, block_operands &a) {
        if (c.in_run == 0) mbarrier_wait(run_full(c.runs.stage), c.runs.parity);
#pragma unroll
        for (uint32_t w = 0; w < n_weights; w++) {
            const shared at =
                run_at(c.runs.stage, w, c.present ? c.row_tile : 0) + c.in_run * unit_bytes;
#pragma unroll
            for (uint32_t i = 0; i < 2; i++) {
                u32x4 v = {0, 0, 0, 0};
                if (c.present) v = load_shared<u32x4>(at + (i * 512 + lane_index() * 16));
                a.codes[w][2 * unit + i][0] = permute_bytes(v.x, v.y, 0x6420);
                a.codes[w][2 * unit + i][1] = permute_bytes(v.x, v.y, 0x7531);
                a.codes[w][2 * unit + i][2] = permute_bytes(v.z, v.w, 0x6420);
                a.codes[w][2 * unit + i][3] = permute_bytes(v.z, v.w, 0x7531);
            }
            if constexpr (unit == 0) {
                f32x2 v = {0.0f, 0.0f};
                if (c.present)
                    v = load_shared<f32x2>(at +
                                           (packed_format<type>::scales_at + lane_index() / 4 * 8));
                a.scale[w][0] = v.x, a.scale[w][1] = v.y;
            }
        }
        leave_unit(c, last);
    }

    /* The block that begins with `unit`; of a second unit that isn't there, zeros. */
    DEVICE void unpack_block(consumer &c, const gemm_hopper_work &work, uint32_t unit,
                             block_operands &a) {
        unpack_codes<0>(c, unit + 1 == work.last_unit, a);
        if (unit + 1 < work.last_unit) {
            unpack_codes<1>(c, unit + 2 == work.last_unit, a);
        } else {
#pragma unroll
            for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
                for (uint32_t i = 0; i < 8; i++) a.codes[w][2 + i / 4][i % 4] = 0;
        }
    }

    DEVICE void multiply_block(const consumer &c, const block_operands &a, sums &part) {
        mbarrier_wait(x_full(c.x.stage), c.x.parity);
        wgmma_fence();
#pragma unroll
        for (uint32_t s = 0; s < 4; s++) {
            const uint64_t b = wgmma_matrix(x_at(c.x.stage) + 32 * s);
#pragma unroll
            for (uint32_t w = 0; w < n_weights; w++)
                wgmma_e4m3<n>(part[w], a.codes[w][s], b, s > 0);
        }
        wgmma_commit();
    }

    /* total += (scale of the row * scale of the row of x) * part. */
    DEVICE void add_block(consumer &c, const block_operands &a, const sums &part, sums &total) {
        const shared scales = scale_at(c.x.stage) + lane_index() % 4 * 8;
#pragma unroll
        for (uint32_t i = 0; i < n_tiles; i++) {
            const f32x2 x = load_shared<f32x2>(scales + i * 32);
#pragma unroll
            for (uint32_t w = 0; w < n_weights; w++) {
                const float *v = part[w] + 4 * i;
                float *to = total[w] + 4 * i;
                to[0] = fma_f32(a.scale[w][0] * x.x, v[0], to[0]);
                to[1] = fma_f32(a.scale[w][0] * x.y, v[1], to[1]);
                to[2] = fma_f32(a.scale[w][1] * x.x, v[2], to[2]);
                to[3] = fma_f32(a.scale[w][1] * x.y, v[3], to[3]);
            }
        }
        release_x(c, c.x.stage);
        advance(c.x, tile.x_stages);
    }

    /* The block's products, while the next one's codes are unpacked. */
    DEVICE void do_block(consumer &c, const gemm_hopper_work &work, uint32_t next, uint32_t end,
                         const block_operands &a, block_operands &a_next, sums &total) {
        sums part;
        multiply_block(c, a, part);
        if (next < end) unpack_block(c, work, next, a_next);
        wgmma_wait<0>();
        add_block(c, a, part, total);
    }

    /* The same as sum_split, of units that are added to what is in total. */
    DEVICE void sum_blocks(consumer &c, const gemm_hopper_work &work, uint32_t unit, uint32_t end,
                           sums &total) {
        block_operands even, odd;
        if (unit < end) unpack_block(c, work, unit, even);
        for (; unit < end; unit += 4) {
            do_block(c, work, unit + 2, end, even, odd, total);
            if (unit + 2 >= end) break;
            do_block(c, work, unit + 4, end, odd, even, total);
        }
    }

    /* One split from a sum of nothing on. */
    DEVICE void sum_one(consumer &c, const gemm_hopper_work &work, uint32_t unit, uint32_t end,
                        sums &part) {
        if constexpr (bytes) {
            clear(part);
            sum_blocks(c, work, unit, end, part);
        } else {
            sum_split(c, work, unit, end, part);
        }
    }

    /* All splits of the tile, added up. */
    DEVICE void sum_columns(consumer &c, const gemm_hopper_work &work, sums &total) {
        clear(total);
        if constexpr (tile.whole) {
            sum_one(c, work, work.first_unit, work.last_unit, total);
#pragma unroll
            for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
                for (uint32_t i = 0; i < n / 2; i++) total[w][i] += 0.0f; /* as one part is */
        } else {
            sums part;
            for (uint32_t unit = work.first_unit; unit < work.last_unit;) {
                uint32_t end = unit + work.split_units;
                if (end > work.last_unit) end = work.last_unit;
                sum_one(c, work, unit, end, part);
                add(total, part);
                unit = end;
            }
        }
    }

    /* ---- splits apart ---- */

    DEVICE uint32_t consumer_thread() {
        return thread_index() - first_consumer * 32;
    }

    DEVICE unsigned char *part_of(const gemm_args &args, const gemm_hopper_work &work,
                                  uint32_t split) {
        size_t part = (size_t)work.place * work.n_splits + split;
        return reinterpret_cast<unsigned char *>(args.parts) + part * part_bytes +
               consumer_thread() * 16;
    }

    /* Puts this split away. true: all splits are there, and their sum is in `total`. */
    DEVICE bool join_splits(const gemm_args &args, const gemm_hopper_work &work, sums &total) {
        constexpr uint32_t step = GEMM_HOPPER_CONSUMERS * 16;
        unsigned char *to = part_of(args, work, work.split);
#pragma unroll
        for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
            for (uint32_t i = 0; i < n_tiles; i++) {
                const float *v = total[w] + 4 * i;
                store_global(to + (w * n_tiles + i) * step, f32x4{v[0], v[1], v[2], v[3]});
            }
        const shared flag = shared_memory() + (tile.shared_bytes - 16);
        fence_device();
        group_sync(1, GEMM_HOPPER_CONSUMERS);
        if (consumer_thread() == 0)
            store_shared(flag, atomic_add_u32(args.counters + work.place, 1));
        group_sync(1, GEMM_HOPPER_CONSUMERS);
        if (load_shared<uint32_t>(flag) != work.n_splits - 1) return false;
        fence_device();
        clear(total);
        for (uint32_t split = 0; split < work.n_splits; split++) {
            const unsigned char *part = part_of(args, work, split);
#pragma unroll
            for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
                for (uint32_t i = 0; i < n_tiles; i++) {
                    f32x4 v = load_global<f32x4>(part + (w * n_tiles + i) * step);
                    total[w][4 * i] += v.x, total[w][4 * i + 1] += v.y;
                    total[w][4 * i + 2] += v.z, total[w][4 * i + 3] += v.w;
                }
        }
        if (consumer_thread() == 0) store_global(args.counters + work.place, 0u);
        return true;
    }

    /* ---- to y ---- */

    /* A warp's sums go by shared memory of its own, [n_weights][chunk][pitch] floats at a time, so
     * that lanes have consecutive rows and the arithmetic of an output is not there for each
     * register. */
    static constexpr uint32_t chunk = gemm_hopper_chunk(n), pitch = GEMM_HOPPER_SUM_PITCH;

    DEVICE shared sums_of(const consumer &c) {
        return shared_memory() +
               (tile.sums_at + c.row_tile * (n_weights * chunk * pitch * (uint32_t)sizeof(float)));
    }

    template <uint32_t first> DEVICE void spread(const consumer &c, const sums &total) {
        const shared to = sums_of(c);
        const uint32_t row = lane_index() / 4, x = lane_index() % 4 * 2;
#pragma unroll
        for (uint32_t w = 0; w < n_weights; w++)
#pragma unroll
            for (uint32_t i = 0; i < chunk / 2; i++) {
                const uint32_t at =
                    (w * chunk + i / 4 * 8 + x + i % 2) * pitch + row + i % 4 / 2 * 8;
                store_shared(to + at * 4, total[w][first / 2 + i]);
            }
        warp_sync();
    }

    DEVICE void store_chunk(const gemm_args &args, const gemm_hopper_work &work, const consumer &c,
                            uint32_t first) {
        const gemm_weight &weight = args.weights[work.weight];
        const shared from = sums_of(c);
        const uint32_t in_tile = lane_index() % LAYOUT_ROWS;
        const uint32_t row = work.first_row + c.row_tile * LAYOUT_ROWS + in_tile;
        for (uint32_t at = lane_index() / LAYOUT_ROWS; at < chunk; at += 32 / LAYOUT_ROWS) {
            if (first + at >= work.n_x || row >= weight.n_rows) continue;
            const uint32_t x = work.first_x + first + at;
            float value =
                gemm_finish_sum<type>(args, weight, work.expert, row, x,
                                      load_shared<float>(from + (at * pitch + in_tile) * 4));
            if constexpr (gate != 0)
                value = gate_apply(
                    args.activation, value,
                    gemm_finish_sum<type>(
                        args, args.weights[work.weight + 1], work.expert, row, x,
                        load_shared<float>(from + ((chunk + at) * pitch + in_tile) * 4)));
            float *y = weight.y + (size_t)(work.first_y + first + at) * weight.y_stride +
                       (size_t)work.expert * args.y_head + row;
            gemm_finish_store(args, y, value);
        }
        warp_sync();
    }

    template <uint32_t first>
    DEVICE void store(const gemm_args &args, const gemm_hopper_work &work, const consumer &c,
                      const sums &total) {
        if (first >= work.n_x) return;
        spread<first>(c, total);
        store_chunk(args, work, c, first);
        if constexpr (first + chunk < n) store<first + chunk>(args, work, c, total);
    }

    DEVICE void consume(const gemm_args &args, const gemm_hopper_share &share) {
        consumer c = {{0, 0}, {0, 0}, warp_index_of_all() - first_consumer, false,
                      0,      false,  share.pair ? share.rank ^ 1 : 2};
        const uint32_t end = count_tiles(args, share.pair);
        wait_for_previous_kernel(); /* scales, sums that others are added to */
        for (uint32_t index = share.first; index < end; index += share.step) {
            const gemm_hopper_work work = find_work(args, share, index);
            if (work.n_x == 0) continue;
            c.present = c.row_tile < present_tiles(args, work);
            sums total;
            sum_columns(c, work, total);
            if (args.splits_apart && work.n_splits > 1 && !join_splits(args, work, total)) continue;
            store<0>(args, work, c, total);
        }
    }

    DEVICE void make_barriers(uint32_t pair) {
        for (uint32_t i = 0; i < tile.run_stages + tile.x_stages; i++) {
            mbarrier_init(run_full(i), 1);
            mbarrier_init(empty_of(run_full(i)), row_tiles << (i < tile.run_stages ? 0 : pair));
        }
        mbarrier_fence_init();
    }

    /* All blocks that reach each other's shared memory are there, or have done so. */
    DEVICE void meet(uint32_t pair) {
        if (pair)
            cluster_sync();
        else
            block_sync();
    }

    DEVICE void run(const gemm_hopper_args &args) {
        const uint32_t warp = warp_index_of_all();
        const gemm_hopper_share share = share_of(args);
        if (thread_index() == 0) make_barriers(share.pair);
        meet(share.pair);
        if (args.gemm.groups) wait_for_previous_kernel(); /* which experts is its to say */
        let_next_kernel_begin();
        if (warp < first_consumer) {
            registers_give<24>();
            if (warp == 0) produce_runs(args.gemm, share);
            if (warp == 1 && lane_index() == 0) produce_x(args, share);
            warp_sync();
        } else {
            registers_take<240>();
            consume(args.gemm, share);
        }
        if (share.pair) cluster_sync();
    }
};

#define GEMM_HOPPER_KERNEL(name, type, n, gate)                     \
    KERNEL(name, struct gemm_hopper_args, GEMM_HOPPER_THREADS, 1) { \
        gemm_hopper<type, n, gate>::run(args);                      \
    }
/* All kernels of a type; there are none of 256 rows of x, nor of 128 with a gate, of e4m3. */
#define GEMM_HOPPER_KERNELS(name, type)                         \
    GEMM_HOPPER_KERNELS_OF_BYTES(name, type)                    \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n256, type, 256, 0) \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n128_gate, type, 128, 1)
#define GEMM_HOPPER_KERNELS_OF_BYTES(name, type)                   \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n8, type, 8, 0)        \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n16, type, 16, 0)      \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n32, type, 32, 0)      \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n64, type, 64, 0)      \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n128, type, 128, 0)    \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n8_gate, type, 8, 1)   \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n16_gate, type, 16, 1) \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n32_gate, type, 32, 1) \
    GEMM_HOPPER_KERNEL(gemm_hopper_##name##_n64_gate, type, 64, 1)

#endif
