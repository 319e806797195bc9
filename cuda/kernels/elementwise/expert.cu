#include "cuda/kernels/elementwise/expert.cuh"

KERNEL(route, route_args, ROUTE_THREADS, 1) {
    route_run(own_launch{}, args);
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
    expert_combine_run(own_launch{}, args);
}
