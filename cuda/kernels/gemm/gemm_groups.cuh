/* Choices of experts sorted by expert, and the groups of one expert's that blocks multiply. */
#ifndef CUDA_KERNELS_GEMM_GEMM_GROUPS_CUH
#define CUDA_KERNELS_GEMM_GEMM_GROUPS_CUH

#include "cuda/kernels/gemm/gemm_args.h"
#include "cuda/kernels/place.cuh"

/* A counting sort. Each warp has a run of the choices and counts them by expert; where a warp's
 * choices of an expert go follows from all counts. In shared memory: count[warp][expert], which
 * becomes the next place of the warp's choices, then first[expert] and total[expert]. The
 * places are the same for every number of threads. */
template <uint32_t threads> struct groups {
    static constexpr uint32_t warps = threads / 32;

    DEVICE shared count_of(const gemm_groups_args &args, uint32_t warp, uint32_t expert) {
        return shared_memory() + (warp * args.n_experts + expert) * 4;
    }
    DEVICE shared first_of(const gemm_groups_args &args, uint32_t expert) {
        return count_of(args, warps, expert);
    }
    DEVICE shared total_of(const gemm_groups_args &args, uint32_t expert) {
        return count_of(args, warps + 1, expert);
    }

    /* Choices a warp has, a multiple of 32. */
    DEVICE uint32_t run_length(const gemm_groups_args &args) {
        return (args.n_choices + 32 * warps - 1) / (32 * warps) * 32;
    }

    /* A lane's choice among the 32 from `first` on: how many lanes before it have the same expert,
     * and how many at all. */
    struct lane_choice {
        uint32_t choice, expert, before, same;
        bool present;
    };
    DEVICE lane_choice look(const gemm_groups_args &args, uint32_t first, uint32_t end) {
        lane_choice c;
        c.choice = first + lane_index();
        c.present = c.choice < end;
        c.expert = c.present ? (uint32_t)load_global<int32_t>(args.expert + c.choice) : 0xFFFFFFFFu;
        c.before = c.same = 0;
        for (uint32_t lane = 0; lane < 32; lane++) {
            bool equal = shuffle(c.expert, lane) == c.expert;
            c.same += equal;
            c.before += equal && lane < lane_index();
        }
        return c;
    }

    /* Takes a lane's number from the warp's counter of its expert, and adds to it. */
    DEVICE uint32_t take(const gemm_groups_args &args, const lane_choice &c) {
        uint32_t number = 0;
        shared counter = count_of(args, warp_index(), c.present ? c.expert : 0);
        if (c.present) number = load_shared<uint32_t>(counter) + c.before;
        warp_sync();
        if (c.present && c.before == c.same - 1) store_shared(counter, number + 1);
        warp_sync();
        return number;
    }

    /* first[expert] from total[expert], and the groups, by one warp. */
    DEVICE void place_experts(const gemm_groups_args &args) {
        uint32_t place = 0, group = 0;
        for (uint32_t first = 0; first < args.n_experts; first += 32) {
            uint32_t expert = first + lane_index();
            uint32_t n =
                expert < args.n_experts ? load_shared<uint32_t>(total_of(args, expert)) : 0;
            uint32_t n_groups = (n + args.group_rows - 1) / args.group_rows;
            uint32_t places = n, all_groups = n_groups;
            for (uint32_t step = 1; step < 32; step *= 2) { /* sums up to and with this lane */
                uint32_t lane = lane_index() - step;
                uint32_t p = shuffle(places, lane % 32), g = shuffle(all_groups, lane % 32);
                if (lane_index() >= step) places += p, all_groups += g;
            }
            uint32_t begin = place + places - n, at = group + all_groups - n_groups;
            if (expert < args.n_experts) store_shared(first_of(args, expert), begin);
            for (uint32_t i = 0; i < n_groups; i++) {
                uint32_t rows = n - i * args.group_rows;
                if (rows > args.group_rows) rows = args.group_rows;
                store_global(args.groups + at + i,
                             u32x4{expert, begin + i * args.group_rows, rows, 0});
            }
            place += shuffle(places, 31);
            group += shuffle(all_groups, 31);
        }
        if (lane_index() == 0) store_global(args.n_groups, group);
    }

    template <typename Place> DEVICE void run(const Place &place, const gemm_groups_args &args) {
        for (uint32_t i = thread_index(); i < warps * args.n_experts; i += threads)
            store_shared(shared_memory() + i * 4, 0u);
        place_wait(place);
        place_let_next_begin(place);
        block_sync();
        uint32_t begin = warp_index() * run_length(args), end = begin + run_length(args);
        if (end > args.n_choices) end = args.n_choices;
        for (uint32_t first = begin; first < end; first += 32) take(args, look(args, first, end));
        block_sync();
        for (uint32_t e = thread_index(); e < args.n_experts; e += threads) {
            uint32_t total = 0;
            for (uint32_t warp = 0; warp < warps; warp++) {
                shared counter = count_of(args, warp, e);
                uint32_t n = load_shared<uint32_t>(counter);
                store_shared(counter, total);
                total += n;
            }
            store_shared(total_of(args, e), total);
        }
        block_sync();
        if (warp_index() == 0) place_experts(args);
        block_sync();
        for (uint32_t first = begin; first < end; first += 32) {
            lane_choice c = look(args, first, end);
            uint32_t number = take(args, c);
            if (!c.present) continue;
            uint32_t place = load_shared<uint32_t>(first_of(args, c.expert)) + number;
            store_global(args.place + c.choice, (int32_t)place);
            store_global(args.row + place, (int32_t)(c.choice / args.n_used));
        }
    }
};

#endif
