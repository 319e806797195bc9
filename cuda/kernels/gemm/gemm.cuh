/* y = W x, weights being the A operand of mma.m16n8k16 and tokens its columns. A block does
 * tile.rows weight rows × N rows of x; a warp has LAYOUT_ROWS of the weight rows (of both weights
 * of GATE) and all N of x. Packed weights and rows of x come by cp.async through a ring of stages;
 * weights are unpacked in registers.
 *
 * Bits: of every (weight row, row of x) the products are added by mma in the order of k, from zero
 * at each multiple of split_cols; the sums of the splits are added to zero in their order. That
 * holds for every N, so N leaves the bits unchanged, and so does what else is in the call. */
#ifndef CUDA_KERNELS_GEMM_GEMM_CUH
#define CUDA_KERNELS_GEMM_GEMM_CUH

#include "cuda/kernels/gemm/gemm_finish.cuh"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/kernels/gemm/unpack.cuh"
#include "cuda/kernels/place.cuh"

static_assert(sizeof(gemm_group) == 16, "it is read at once");

/* What a block does. */
struct gemm_work {
    uint32_t weight;       /* of args.weights; the first of GATE's two */
    uint32_t first_row;    /* of that weight */
    uint32_t first_x, n_x; /* n_x 0: nothing */
    uint32_t first_y;      /* row of y of the first of these */
    uint32_t expert;
    uint32_t n_units, split_units, n_splits;
    uint32_t first_unit, last_unit; /* of this block's columns: first ... last - 1 */
    uint32_t tile;                  /* of the grid without its splits */
    uint32_t split;
    uint32_t warp;
};

/* resident: a task of the persistent kernel, whose ring is as long as its share of shared memory.
 */
template <int type, int n, int gate, bool resident = false> struct gemm {
    static constexpr gemm_tile tile =
        resident ? gemm_tile_resident_of(type, gate) : gemm_tile_of(type, gate, n);
    static_assert(!resident || n == 8, "the persistent kernel has tiles of 8 tokens");
    static constexpr weight_format format = weight_layout_format(type);
    static constexpr uint32_t n_tiles = n / 8;
    static constexpr uint32_t n_weights = 1 + gate;
    static constexpr uint32_t row_tiles = tile.rows / LAYOUT_ROWS; /* a warp's each */
    static constexpr uint32_t unit_bytes = weight_layout_unit_bytes(format);
    static constexpr uint32_t header_units = LAYOUT_HEADER_COLS / LAYOUT_COLS;
    static constexpr uint32_t piece_bytes =
        tile.stage_units * unit_bytes; /* a row tile's, a stage */
    static constexpr uint32_t stage_bytes = tile.stage_units * tile.unit_bytes + tile.x_bytes;
    static constexpr uint32_t headers_at = tile.stages * stage_bytes;
    static constexpr uint32_t x_planes = type == WEIGHT_F32 ? 2 : 1;
    static constexpr uint32_t x_pitch = tile.stage_units * LAYOUT_COLS * 2; /* of a row of x */
    static constexpr uint32_t sum_pitch = tile.rows + 4; /* floats; the 4: no bank conflicts */

    /* ---- which part of the product ---- */

    template <typename Place>
    DEVICE gemm_work find_work(const Place &place, const gemm_args &args) {
        gemm_work work;
        const uint32_t block = place_block(place);
        uint32_t of_head = (args.n_x + n - 1) / n, n_heads = args.n_heads ? args.n_heads : 1;
        uint32_t n_x_tiles = args.groups ? args.max_groups : of_head * n_heads;
        uint32_t row_blocks = 0;
        for (uint32_t w = 0; w < (gate ? 1 : args.n_weights); w++)
            row_blocks += (args.weights[w].n_rows + tile.rows - 1) / tile.rows;
        uint32_t x_tile = block % n_x_tiles, rest = block / n_x_tiles;
        uint32_t row_block = rest % row_blocks, split = rest / row_blocks;
        work.tile = row_block * n_x_tiles + x_tile;
        work.expert = args.groups ? 0 : x_tile / of_head;
        work.first_y = args.groups ? 0 : x_tile % of_head * n;
        work.first_x = work.expert * args.n_x + work.first_y;
        work.n_x = args.n_x - work.first_y;
        if (args.groups) {
            place_wait(place); /* which experts is its to say */
            work.n_x = 0;
            if (x_tile < load_global<uint32_t>(args.n_groups)) {
                u32x4 group = load_global<u32x4>(args.groups + x_tile);
                work.expert = group.x, work.first_x = group.y, work.n_x = group.z;
                work.first_y = work.first_x;
            }
        }
        if (work.n_x > n) work.n_x = n;
        work.weight = 0;
        for (;;) {
            uint32_t here = (args.weights[work.weight].n_rows + tile.rows - 1) / tile.rows;
            if (row_block < here) break;
            row_block -= here;
            work.weight++;
        }
        work.first_row = row_block * tile.rows;
        work.n_units = args.n_cols / LAYOUT_COLS;
        work.split_units = args.split_cols / LAYOUT_COLS;
        work.n_splits = (work.n_units + work.split_units - 1) / work.split_units;
        work.split = split;
        work.warp = warp_index_of_all();
        work.first_unit = args.splits_apart ? split * work.split_units : 0;
        work.last_unit = args.splits_apart ? work.first_unit + work.split_units : work.n_units;
        if (work.last_unit > work.n_units) work.last_unit = work.n_units;
        return work;
    }

    /* ---- global memory to the ring ---- */

    /* What a thread copies next: of its warp's row tiles, and of x. A row tile that isn't there is
     * zero weights. */
    struct weight_cursor {
        const unsigned char *from[n_weights]; /* this lane's first 16 bytes of the unit */
        uint32_t unit, last;
        bool present;
    };
    struct x_cursor {
        const unsigned char *from; /* this thread's 16 bytes of its first row */
        uint32_t unit, last;
        uint32_t row, piece;
        uint32_t n_rows; /* of x, from the block's first on */
    };
    static constexpr uint32_t x_pieces =
        tile.stage_units * 8; /* of 16 bytes, in a row of a stage */
    static constexpr uint32_t x_row_step = tile.threads / x_pieces;
    static constexpr uint32_t x_copies = (n + x_row_step - 1) / x_row_step;

    DEVICE weight_cursor first_weights(const gemm_args &args, const gemm_work &work) {
        weight_cursor cursor;
        uint32_t row_tile = work.first_row / LAYOUT_ROWS + work.warp;
        uint32_t headers = (work.n_units + header_units - 1) / header_units;
        size_t tile_bytes = (size_t)work.n_units * unit_bytes + headers * format.header_bytes;
        size_t at = row_tile * tile_bytes + (size_t)work.first_unit * unit_bytes +
                    (work.first_unit / header_units + 1) * format.header_bytes;
        cursor.present = row_tile * LAYOUT_ROWS < args.weights[work.weight].n_rows;
        cursor.unit = work.first_unit;
        cursor.last = work.last_unit;
        for (uint32_t w = 0; w < n_weights; w++)
            cursor.from[w] =
                static_cast<const unsigned char *>(args.weights[work.weight + w].tiles) + at +
                work.expert * args.weights[work.weight + w].expert_bytes + lane_index() * 16;
        return cursor;
    }

    DEVICE x_cursor first_x(const gemm_args &args, const gemm_work &work) {
        x_cursor cursor;
        cursor.row = thread_index() / x_pieces;
        cursor.piece = thread_index() % x_pieces;
        cursor.unit = work.first_unit;
        cursor.last = work.last_unit;
        cursor.n_rows = work.n_x;
        cursor.from = static_cast<const unsigned char *>(args.x) +
                      (size_t)(work.first_x + cursor.row) * args.x_stride +
                      work.first_unit * (LAYOUT_COLS * 2) + cursor.piece * 16;
        return cursor;
    }

    DEVICE uint32_t weights_at(const gemm_work &work, uint32_t stage, uint32_t w) {
        return stage * stage_bytes + (w * row_tiles + work.warp) * piece_bytes;
    }
    DEVICE uint32_t header_at(const gemm_work &work, uint32_t unit, uint32_t w) {
        if constexpr (tile.headers == 0) return 0;
        uint32_t slot = unit / header_units % (tile.headers ? tile.headers : 1);
        return headers_at + slot * tile.header_bytes +
               (w * row_tiles + work.warp) * format.header_bytes;
    }

    DEVICE void copy_weights(const gemm_work &work, weight_cursor &cursor, uint32_t stage) {
        if (cursor.unit >= cursor.last) return;
        uint32_t bytes = (cursor.last - cursor.unit) * unit_bytes, lane_at = lane_index() * 16;
        for (uint32_t w = 0; w < n_weights; w++) {
            shared to = shared_memory() + (weights_at(work, stage, w) + lane_at);
            for (uint32_t done = 0; done < piece_bytes; done += 512) {
                bool inside = done + 512 <= piece_bytes || done + lane_at < piece_bytes;
                if (inside && (tile.stage_units == 1 || done + lane_at < bytes))
                    copy_async16(to + done, cursor.from[w] + done, cursor.present);
            }
            if (tile.headers && cursor.unit % header_units == 0 && lane_at < format.header_bytes)
                copy_async16(shared_memory() + (header_at(work, cursor.unit, w) + lane_at),
                             cursor.from[w] - format.header_bytes, cursor.present);
        }
        cursor.unit += tile.stage_units;
        uint32_t step = piece_bytes;
        if (cursor.unit % header_units == 0) step += format.header_bytes;
        for (uint32_t w = 0; w < n_weights; w++) cursor.from[w] += step;
    }

    /* A row of a stage is stage_units * 128 bytes; its 16-byte pieces are exchanged by the row's
     * number, so that the eight rows of a matrix lie in different banks. */
    DEVICE void copy_x(const gemm_args &args, x_cursor &cursor, uint32_t stage) {
        bool inside = tile.stage_units == 1 || cursor.piece < (cursor.last - cursor.unit) * 8;
        if (cursor.unit < cursor.last && inside) {
            shared to =
                shared_memory() + (stage * stage_bytes + tile.stage_units * tile.unit_bytes);
            for (uint32_t plane = 0; plane < x_planes; plane++)
                for (uint32_t k = 0; k < x_copies; k++) {
                    uint32_t row = cursor.row + k * x_row_step;
                    if (n % x_row_step != 0 && row >= n) continue;
                    copy_async16(to + ((plane * n + row) * x_pitch + (cursor.piece ^ row % 8) * 16),
                                 cursor.from + (size_t)(k * x_row_step) * args.x_stride +
                                     plane * args.n_cols * 2,
                                 row < cursor.n_rows);
                }
        }
        cursor.unit += tile.stage_units;
        cursor.from += tile.stage_units * LAYOUT_COLS * 2;
    }

    /* ---- the products of one unit ---- */

    /* B operands of all of x for step s of the unit at x. `ahead` is of N = 8, whose four matrices
     * are those of two steps. */
    template <int s>
    DEVICE void load_x(shared x, uint32_t exchange, uint32_t b[n_tiles][2], uint32_t ahead[4]) {
        if constexpr (n_tiles == 1) {
            if constexpr (s % 2 == 0) load_matrix4(ahead, x + (exchange ^ s * 32));
            b[0][0] = ahead[s % 2 * 2], b[0][1] = ahead[s % 2 * 2 + 1];
        } else {
            for (uint32_t pair = 0; pair < n_tiles; pair += 2) {
                uint32_t r[4];
                load_matrix4(r, x + (pair * 8 * x_pitch + (exchange ^ s * 32)));
                b[pair][0] = r[0], b[pair][1] = r[1];
                b[pair + 1][0] = r[2], b[pair + 1][1] = r[3];
            }
        }
    }

    DEVICE void multiply(float d[n_tiles][4], const uint32_t a[4], const uint32_t b[n_tiles][2]) {
        for (uint32_t i = 0; i < n_tiles; i++) {
            if constexpr (type == WEIGHT_F16)
                mma_f16(d[i], a, b[i]);
            else
                mma_bf16(d[i], a, b[i]);
        }
    }

    typedef float sums[n_weights][n_tiles][4];

    /* Where a lane's row of a matrix is, and how its pieces are exchanged. */
    struct x_lane {
        uint32_t at, exchange;
        uint32_t ahead[x_planes][4];
    };
    DEVICE x_lane find_x_lane() {
        x_lane lane;
        uint32_t matrix = lane_index() / 8, row = lane_index() % 8;
        lane.at = (n_tiles == 1 ? row : matrix / 2 * 8 + row) * x_pitch;
        lane.exchange = ((n_tiles == 1 ? matrix : matrix % 2) ^ row) * 16;
        return lane;
    }

    template <int s>
    DEVICE void step(unit_words<type, shared> words[n_weights], shared x, x_lane &lane,
                     sums &part) {
        uint32_t b[n_tiles][2];
        load_x<s>(x, lane.exchange, b, lane.ahead[0]);
        if constexpr (type == WEIGHT_F32) {
            /* (wh + wl) (xh + xl) without wl xl, which is 2^-16 of the product at most; the smaller
             * ones first */
            uint32_t rest[n_tiles][2];
            load_x<s>(x + n * x_pitch, lane.exchange, rest, lane.ahead[1]);
            for (uint32_t w = 0; w < n_weights; w++) {
                uint32_t high[4], low[4];
                unit_operand_split<s>(words[w], high, low);
                multiply(part[w], low, b);
                multiply(part[w], high, rest);
                multiply(part[w], high, b);
            }
        } else {
            for (uint32_t w = 0; w < n_weights; w++) {
                uint32_t a[4];
                unit_operand<type, s>(words[w], a);
                multiply(part[w], a, b);
            }
        }
    }

    DEVICE void multiply_stage(const gemm_work &work, uint32_t stage, uint32_t first, x_lane &lane,
                               sums &part) {
        /* Numbers, not addresses: a loop over addresses hides that they are in shared memory. */
        uint32_t x_at = stage * stage_bytes + tile.stage_units * tile.unit_bytes + lane.at;
        uint32_t weights = weights_at(work, stage, 0), header = header_at(work, first, 0);
        for (uint32_t unit = 0; unit < tile.stage_units; unit++) {
            if (tile.stage_units > 1 && first + unit >= work.last_unit) break;
            unit_words<type, shared> words[n_weights];
            for (uint32_t w = 0; w < n_weights; w++)
                words[w] = unit_load<type>(
                    shared_memory() + (weights + w * row_tiles * piece_bytes),
                    shared_memory() + (header + w * row_tiles * format.header_bytes), lane_index());
            shared x = shared_memory() + x_at;
            step<0>(words, x, lane, part);
            step<1>(words, x, lane, part);
            step<2>(words, x, lane, part);
            step<3>(words, x, lane, part);
            weights += unit_bytes;
            x_at += LAYOUT_COLS * 2;
        }
    }

    /* ---- sums ---- */

    DEVICE void clear(sums &sum) {
        for (uint32_t w = 0; w < n_weights; w++)
            for (uint32_t i = 0; i < n_tiles; i++)
                for (uint32_t e = 0; e < 4; e++) sum[w][i][e] = 0.0f;
    }
    DEVICE void add(sums &total, const sums &part) {
        for (uint32_t w = 0; w < n_weights; w++)
            for (uint32_t i = 0; i < n_tiles; i++)
                for (uint32_t e = 0; e < 4; e++) total[w][i][e] += part[w][i][e];
    }

    /* The splits of this block, added up. */
    template <typename Place>
    DEVICE void sum_columns(const Place &place, const gemm_args &args, const gemm_work &work,
                            sums &total) {
        constexpr uint32_t ahead = tile.stages - 1, units = tile.stage_units;
        weight_cursor weights = first_weights(args, work);
        x_cursor x = first_x(args, work);
        /* Weights are there whatever comes before does; what x is, it decides. */
        for (uint32_t i = 0; i < ahead; i++) copy_weights(work, weights, i);
        if (!args.groups) place_wait(place); /* else it has been waited for */
        for (uint32_t i = 0; i < ahead; i++) {
            copy_x(args, x, i);
            copy_async_commit();
        }
        place_let_next_begin(place);

        x_lane lane = find_x_lane();
        sums part;
        clear(total);
        clear(part);
        uint32_t stage = 0, free_stage = ahead, until_split = work.split_units;
        for (uint32_t unit = work.first_unit; unit < work.last_unit; unit += units) {
            copy_async_wait<(int)ahead - 1>();
            block_sync(); /* this stage has arrived, and the one before it has been used */
            copy_weights(work, weights, free_stage);
            copy_x(args, x, free_stage);
            copy_async_commit();
            multiply_stage(work, stage, unit, lane, part);
            free_stage = stage;
            stage = stage == ahead ? 0 : stage + 1;
            if (until_split <= units) {
                add(total, part);
                clear(part);
                until_split = work.split_units;
            } else {
                until_split -= units;
            }
        }
        if (until_split != work.split_units) add(total, part);
        copy_async_wait<0>();
        block_sync(); /* the ring is free */
    }

    /* Where this thread has its sums of a split in args.parts. */
    DEVICE unsigned char *parts_of(const gemm_args &args, const gemm_work &work, uint32_t split) {
        size_t block = (size_t)work.tile * work.n_splits + split;
        return reinterpret_cast<unsigned char *>(args.parts) +
               block * (n * tile.rows * n_weights * 4) + thread_index() * 16;
    }

    /* Puts this block's split away. true: all splits are there, and their sum is in `total`. */
    DEVICE bool join_splits(const gemm_args &args, const gemm_work &work, sums &total) {
        unsigned char *to = parts_of(args, work, work.split);
        for (uint32_t w = 0; w < n_weights; w++)
            for (uint32_t i = 0; i < n_tiles; i++) {
                f32x4 v = {total[w][i][0], total[w][i][1], total[w][i][2], total[w][i][3]};
                store_global(to + (w * n_tiles + i) * tile.threads * 16, v);
            }
        fence_device();
        block_sync();
        shared flag = shared_memory() + (tile.shared_bytes - 16);
        if (thread_index() == 0) store_shared(flag, atomic_add_u32(args.counters + work.tile, 1));
        block_sync();
        if (load_shared<uint32_t>(flag) != work.n_splits - 1) return false;
        fence_device();
        clear(total);
        for (uint32_t split = 0; split < work.n_splits; split++) {
            const unsigned char *part = parts_of(args, work, split);
            for (uint32_t w = 0; w < n_weights; w++)
                for (uint32_t i = 0; i < n_tiles; i++) {
                    f32x4 v = load_global<f32x4>(part + (w * n_tiles + i) * tile.threads * 16);
                    total[w][i][0] += v.x, total[w][i][1] += v.y;
                    total[w][i][2] += v.z, total[w][i][3] += v.w;
                }
        }
        if (thread_index() == 0) store_global(args.counters + work.tile, 0u);
        return true;
    }

    /* ---- to y ---- */

    /* Sums go by shared memory, [n_weights][n][sum_pitch], so that a warp stores whole lines and
     * the arithmetic below is there once. */
    DEVICE void spread(const gemm_work &work, const sums &total) {
        uint32_t row = work.warp * LAYOUT_ROWS + lane_index() / 4, x = lane_index() % 4 * 2;
        for (uint32_t w = 0; w < n_weights; w++)
            for (uint32_t i = 0; i < n_tiles; i++)
                for (uint32_t e = 0; e < 4; e++) {
                    uint32_t at = (w * n + i * 8 + x + e % 2) * sum_pitch + row + e / 2 * 8;
                    store_shared(shared_memory() + at * 4, total[w][i][e]);
                }
        block_sync();
    }

    DEVICE float finished_sum(const gemm_args &args, const gemm_work &work, uint32_t w, uint32_t x,
                              uint32_t row) {
        float sum = load_shared<float>(shared_memory() + ((w * n + x) * sum_pitch + row) * 4);
        return gemm_finish_sum<type>(args, args.weights[work.weight + w], work.expert,
                                     work.first_row + row, work.first_x + x, sum);
    }

    DEVICE void store(const gemm_args &args, const gemm_work &work) {
        const gemm_weight &weight = args.weights[work.weight];
        uint32_t row = thread_index() % tile.rows, first_x = thread_index() / tile.rows;
        if (work.first_row + row >= weight.n_rows) return;
        for (uint32_t x = first_x; x < n; x += tile.threads / tile.rows) {
            if (x >= work.n_x) break;
            float value = finished_sum(args, work, 0, x, row);
            if constexpr (gate != 0)
                value = gate_apply(args.activation, value, finished_sum(args, work, 1, x, row));
            gemm_finish_store(args,
                              weight.y + (size_t)(work.first_y + x) * weight.y_stride +
                                  (size_t)work.expert * args.y_head + work.first_row + row,
                              value);
        }
    }

    template <typename Place> DEVICE void run(const Place &place, const gemm_args &args) {
        gemm_work work = find_work(place, args);
        if (work.n_x == 0) return;
        sums total;
        sum_columns(place, args, work, total);
        if (args.splits_apart && work.n_splits > 1 && !join_splits(args, work, total)) return;
        spread(work, total);
        store(args, work);
    }
};

#define GEMM_KERNEL(name, type, n, gate)                                \
    KERNEL(name, struct gemm_args, gemm_tile_of(type, gate, n).threads, \
           gemm_tile_resident(gate, n)) {                               \
        gemm<type, n, gate>::run(own_launch{}, args);                   \
    }
/* All kernels of a type (F32 has fewer: gemm_tiles.h). */
#define GEMM_NARROW_KERNELS(name, type)              \
    GEMM_KERNEL(gemm_##name##_n8, type, 8, 0)        \
    GEMM_KERNEL(gemm_##name##_n16, type, 16, 0)      \
    GEMM_KERNEL(gemm_##name##_n32, type, 32, 0)      \
    GEMM_KERNEL(gemm_##name##_n64, type, 64, 0)      \
    GEMM_KERNEL(gemm_##name##_n8_gate, type, 8, 1)   \
    GEMM_KERNEL(gemm_##name##_n16_gate, type, 16, 1) \
    GEMM_KERNEL(gemm_##name##_n32_gate, type, 32, 1)
#define GEMM_KERNELS(name, type)                  \
    GEMM_NARROW_KERNELS(name, type)               \
    GEMM_KERNEL(gemm_##name##_n128, type, 128, 0) \
    GEMM_KERNEL(gemm_##name##_n64_gate, type, 64, 1)

#endif
