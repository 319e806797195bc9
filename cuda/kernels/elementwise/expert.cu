/* Which experts a row goes to, and what comes of theirs. */
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/math.cuh"
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

KERNEL(route, route_args, ROUTE_THREADS, 1) {
    uint32_t row = block_index();
    let_next_kernel_begin();
    wait_for_previous_kernel();
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

static_assert(EXPERT_GROUP_SHARED == REDUCE_BYTES + 4 * ROUTE_MAX_EXPERTS, "a word for an expert");
static_assert((int)EXPERT_GROUP_THREADS == ROUTE_MAX_EXPERTS, "a thread for an expert");

DEVICE shared expert_word(uint32_t expert) {
    return shared_memory() + (REDUCE_BYTES + 4 * expert);
}

/* Lanes that have the same value below 1,024, of those in `lanes`. */
DEVICE uint32_t lanes_alike(uint32_t value, uint32_t lanes) {
    for (uint32_t bit = 0; bit < 10; bit++) {
        bool set = value >> bit & 1;
        uint32_t others = warp_ballot(set);
        lanes &= set ? others : ~others;
    }
    return lanes;
}

/* One warp hands out the places, 32 slots at a time: they keep their order. */
DEVICE void place_slots(const expert_group_args &args, uint32_t n) {
    uint32_t lower_lanes = (1u << lane_index()) - 1;
    for (uint32_t begin = 0; begin < n; begin += 32) {
        uint32_t slot = begin + lane_index();
        bool present = slot < n;
        uint32_t expert = present ? (uint32_t)load_global<int32_t>(args.expert + slot) : 0;
        uint32_t alike = lanes_alike(expert, warp_ballot(present));
        uint32_t place = load_shared<uint32_t>(expert_word(expert)) + ones(alike & lower_lanes);
        warp_sync();
        if (present) {
            store_global<int32_t>(args.place + slot, (int32_t)place);
            store_global<int32_t>(args.row + place, (int32_t)(slot / args.n_used));
            /* The last one of them leaves it to the next. */
            if (alike >> lane_index() == 1) store_shared<uint32_t>(expert_word(expert), place + 1);
        }
        warp_sync();
    }
}

KERNEL(expert_group, expert_group_args, EXPERT_GROUP_THREADS, 1) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    uint32_t n = args.n_rows * args.n_used, own = thread_index();
    store_shared<uint32_t>(expert_word(own), 0);
    block_sync();
    for (uint32_t slot = own; slot < n; slot += EXPERT_GROUP_THREADS)
        atomic_add_shared(expert_word((uint32_t)load_global<int32_t>(args.expert + slot)), 1);
    block_sync();
    uint64_t count = load_shared<uint32_t>(expert_word(own)), total;
    uint64_t first = block_sum_before(shared_memory(), count, &total);
    if (own < args.n_experts) store_global<int32_t>(args.first + own, (int32_t)first);
    if (own == 0) store_global<int32_t>(args.first + args.n_experts, (int32_t)total);
    store_shared<uint32_t>(expert_word(own), (uint32_t)first);
    block_sync();
    if (thread_index() < 32) place_slots(args, n);
}

KERNEL(expert_combine, expert_combine_args, EXPERT_COMBINE_THREADS, 4) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    uint32_t quads = (args.n_cols + 3) / 4, step = block_count() * EXPERT_COMBINE_THREADS;
    for (uint32_t at = block_index() * EXPERT_COMBINE_THREADS + thread_index();
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
