/* Which experts a row goes to, and what comes of theirs. */
#ifndef CUDA_KERNELS_ELEMENTWISE_EXPERT_CUH
#define CUDA_KERNELS_ELEMENTWISE_EXPERT_CUH

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/math.cuh"
#include "cuda/kernels/place.cuh"
#include "cuda/kernels/reduce.cuh"

/* Shared memory of `route`: [n_experts] ranks by which is chosen and scores, [n_groups] ranks. */
#define SCORES (8 * ROUTE_MAX_EXPERTS)
#define GROUPS (12 * ROUTE_MAX_EXPERTS)
static_assert(ROUTE_SHARED == GROUPS + 8 * ROUTE_MAX_GROUPS, "that is all of it");

DEVICE uint64_t load_rank(uint32_t place) {
    return load_shared<uint64_t>(shared_memory() + 8 * place);
}
DEVICE void store_rank(uint32_t place, uint64_t rank) {
    store_shared<uint64_t>(shared_memory() + 8 * place, rank);
}
DEVICE float load_score(uint32_t expert) {
    return load_shared<float>(shared_memory() + (SCORES + 4 * expert));
}
DEVICE void store_score(uint32_t expert, float score) {
    store_shared<float>(shared_memory() + (SCORES + 4 * expert), score);
}

DEVICE float load_logit(const route_args &args, const float *logits, uint32_t expert) {
    float logit = load_global<float>(logits + expert);
    return args.logit_scale != 0.0f ? logit * args.logit_scale : logit;
}

/* The greatest of the ranks [first, end), 0 if none is left. */
DEVICE uint64_t greatest_rank(uint32_t first, uint32_t end) {
    uint64_t greatest = 0;
    for (uint32_t i = first + lane_index(); i < end; i += 32) {
        uint64_t rank = load_rank(i);
        greatest = rank > greatest ? rank : greatest;
    }
    return warp_reduce<reduce_max>(greatest);
}

/* Of a lane's experts: score and rank into shared memory. Sums go lane by lane, then as a
 * butterfly: the order depends on n_experts alone. */
DEVICE void score_experts(const route_args &args, const float *logits) {
    uint32_t n = args.n_experts;
    float max = from_bits(0xFF800000u), sum = 0.0f;
    for (uint32_t i = lane_index(); i < n; i += 32) {
        float logit = load_logit(args, logits, i);
        max = logit > max ? logit : max;
    }
    max = warp_reduce<reduce_max>(max);
    for (uint32_t i = lane_index(); i < n; i += 32) {
        float logit = load_logit(args, logits, i), score;
        if (args.kind == KIND_ROUTING_SIGMOID) {
            score = 1.0f / (1.0f + exp_f32(-logit));
        } else {
            score = exp_f32(logit == max ? 0.0f : logit - max);
            sum += score;
        }
        store_score(i, score);
    }
    sum = warp_reduce<reduce_sum>(sum);
    for (uint32_t i = lane_index(); i < n; i += 32) {
        float score = load_score(i);
        if (args.kind == KIND_ROUTING_SOFTMAX) {
            score = score / sum;
            store_score(i, score);
        }
        store_rank(i, ranked(args.bias ? score + load_global<float>(args.bias + i) : score, i));
    }
    warp_sync();
}

/* Takes the experts of all groups but the best out of the running. */
DEVICE void limit_groups(const route_args &args) {
    uint32_t n_groups = args.n_groups, size = args.n_experts / n_groups;
    shared groups = shared_memory() + GROUPS;
    for (uint32_t group = 0; group < n_groups; group++) {
        uint32_t first = group * size, end = first + size;
        uint64_t best = greatest_rank(first, end);
        float score = ranked_value(best);
        if (args.group_top == 2 && size > 1) {
            /* The second one: what is left of the group without the first. */
            warp_sync();
            if (lane_index() == 0) store_rank(ranked_index(best), 0);
            warp_sync();
            score += ranked_value(greatest_rank(first, end));
            warp_sync();
            if (lane_index() == 0) store_rank(ranked_index(best), best);
            warp_sync();
        }
        if (lane_index() == 0) store_shared<uint64_t>(groups + 8 * group, ranked(score, group));
    }
    warp_sync();
    /* A group stays if fewer than n_groups_used are better. */
    for (uint32_t group = lane_index(); group < n_groups; group += 32) {
        uint64_t own = load_shared<uint64_t>(groups + 8 * group);
        uint32_t n_better = 0;
        for (uint32_t i = 0; i < n_groups; i++)
            n_better += load_shared<uint64_t>(groups + 8 * i) > own;
        if (n_better < args.n_groups_used) continue;
        for (uint32_t i = 0; i < size; i++) store_rank(group * size + i, 0);
    }
    warp_sync();
}

/* One warp does it, of however many there are. */
template <typename Place> DEVICE void route_run(const Place &place, const route_args &args) {
    uint32_t row = place_block(place);
    place_let_next_begin(place);
    place_wait(place);
    if (thread_index() >= ROUTE_THREADS) return;
    score_experts(args, args.logits + (uint64_t)row * args.logits_stride);
    if (args.n_groups > 1) limit_groups(args);
    int32_t *expert = args.expert + (uint64_t)row * args.n_used;
    float *weight = args.weight + (uint64_t)row * args.n_used;
    float sum = 0.0f;
    for (uint32_t i = 0; i < args.n_used; i++) {
        uint64_t best = greatest_rank(0, args.n_experts);
        uint32_t chosen = ranked_index(best);
        sum += load_score(chosen);
        warp_sync();
        if (lane_index() == 0) {
            store_rank(chosen, 0);
            store_global<int32_t>(expert + i, (int32_t)chosen);
        }
        if (lane_index() == i % 32) {
            /* Weights come last, when the sum is known: until then lane i % 32 keeps its scores. */
            store_global<float>(weight + i, load_score(chosen));
        }
        warp_sync();
    }
    for (uint32_t i = lane_index(); i < args.n_used; i += 32) {
        float score = load_global<float>(weight + i);
        score = args.factor * (args.renormalize ? score / sum : score);
        if (args.scales)
            score *= load_global<float>(args.scales + load_global<int32_t>(expert + i));
        store_global<float>(weight + i, score);
    }
}

template <typename Place>
DEVICE void expert_combine_run(const Place &place, const expert_combine_args &args) {
    place_let_next_begin(place);
    place_wait(place);
    uint32_t quads = (args.n_cols + 3) / 4, step = place_blocks(place) * thread_count();
    for (uint32_t at = place_block(place) * thread_count() + thread_index();
         at < args.n_rows * quads; at += step) {
        uint32_t row = at / quads, col = at % quads * 4;
        float *out = args.out + (uint64_t)row * args.out_stride;
        quad total = {{0.0f, 0.0f, 0.0f, 0.0f}};
        if (args.add) total = load_quad(out, col, args.n_cols);
        for (uint32_t i = 0; i < args.n_used; i++) {
            uint64_t slot = (uint64_t)row * args.n_used + i, place = slot;
            if (args.place) place = (uint64_t)load_global<int32_t>(args.place + slot);
            float weight = load_global<float>(args.weight + slot);
            quad y = load_quad(args.y + place * args.y_stride, col, args.n_cols);
            for (uint32_t j = 0; j < 4; j++) total.v[j] = fma_f32(weight, y.v[j], total.v[j]);
        }
        if (args.shared) {
            quad y = load_quad(args.shared + (uint64_t)row * args.shared_stride, col, args.n_cols);
            float weight = 1.0f;
            if (args.shared_gate) {
                float gate =
                    load_global<float>(args.shared_gate + (uint64_t)row * args.shared_gate_stride);
                weight = 1.0f / (1.0f + exp_f32(-gate));
            }
            for (uint32_t j = 0; j < 4; j++) total.v[j] = fma_f32(weight, y.v[j], total.v[j]);
        }
        store_quad(out, col, args.n_cols, total);
    }
}

#endif
