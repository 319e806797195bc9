/* A row of logits to a token: filters and draw of lib/sampling with the same weights, the same
 * order of the sums that are rounded, and so the same token. One block does a row. */
#include "cuda/kernels/elementwise/sample_select.cuh"

/* ---- where the tokens that are left stand among each other ---- */

/* A warp looks at a segment of ids in groups of 128, a lane at four of them. A token's place is the
 * number of tokens left with lower ids; `first_place` of each segment is kept. */
#define GROUP 128
#define MAX_SEGMENTS 2048

/* Of the area: weights of a window of places in chunks as the host has them, a chunk's row being
 * longer for the sake of the banks; chunk sums; first places. */
#define CHUNK 256
#define CHUNK_PITCH 260
#define WINDOW_CHUNKS 32
#define WINDOW (WINDOW_CHUNKS * CHUNK)
#define MAX_CHUNKS (SAMPLE_MAX_VOCAB / CHUNK + 1)
#define WINDOW_WEIGHTS SAMPLE_AREA
#define CHUNK_SUMS (WINDOW_WEIGHTS + 4 * WINDOW_CHUNKS * CHUNK_PITCH)
#define FIRST_PLACES (CHUNK_SUMS + 8 * (MAX_CHUNKS + 1))
static_assert(SAMPLE_SHARED == FIRST_PLACES + 4 * (MAX_SEGMENTS + 4), "that is all of it");
static_assert(SAMPLE_AREA + BIN_SUMS + 8 * WEIGHT_N_BINS <= CHUNK_SUMS, "histograms fit");
static_assert(MAX_SEGMENTS == 2 * SAMPLE_THREADS, "two for a thread");

struct segment_cut {
    uint32_t n, size;
};

DEVICE segment_cut segments_of(uint32_t n_vocab) {
    uint32_t n_groups = (n_vocab + GROUP - 1) / GROUP;
    uint32_t size = (n_groups + MAX_SEGMENTS - 1) / MAX_SEGMENTS * GROUP;
    return {(n_vocab + size - 1) / size, size};
}

DEVICE uint32_t first_place(uint32_t segment) {
    return load_shared<uint32_t>(shared_memory() + (FIRST_PLACES + 4 * segment));
}
DEVICE void set_first_place(uint32_t segment, uint32_t place) {
    store_shared<uint32_t>(shared_memory() + (FIRST_PLACES + 4 * segment), place);
}

/* f(logit, token, place) of those left in a segment whose first place is `place`; returns the place
 * after the last. All lanes call. */
template <typename F>
DEVICE uint32_t each_of_segment(const logits_row &row, const head_bound &head,
                                const segment_cut &segments, uint32_t segment, uint32_t place,
                                F f) {
    uint32_t begin = segment * segments.size, lower_lanes = (1u << lane_index()) - 1;
    for (uint32_t at = begin; at < begin + segments.size; at += GROUP) {
        uint32_t token = at + 4 * lane_index();
        quad logits = {};
        if (token < row.n) logits = load_quad(row.logits, token, row.n);
        uint32_t before = place, own = 0;
        for (uint32_t i = 0; i < 4; i++) {
            bool left = token + i < row.n && is_in(head, logits.v[i], token + i);
            uint32_t lanes = warp_ballot(left);
            own |= (uint32_t)left << i;
            before += ones(lanes & lower_lanes);
            place += ones(lanes);
        }
        for (uint32_t i = 0; i < 4; i++)
            if (own >> i & 1) f(logits.v[i], token + i, before++);
    }
    return place;
}

/* Returns how many tokens are left. */
DEVICE uint32_t find_places(const logits_row &row, const head_bound &head,
                            const segment_cut &segments) {
    uint32_t n_warps = SAMPLE_THREADS / 32;
    for (uint32_t segment = thread_index() / 32; segment < segments.n; segment += n_warps) {
        uint32_t n =
            each_of_segment(row, head, segments, segment, 0, [](float, uint32_t, uint32_t) {});
        if (lane_index() == 0) set_first_place(segment, n);
    }
    block_sync();
    uint32_t segment = 2 * thread_index();
    uint32_t n0 = segment < segments.n ? first_place(segment) : 0;
    uint32_t n1 = segment + 1 < segments.n ? first_place(segment + 1) : 0;
    uint64_t total, before = block_sum_before(sample_scratch(), n0 + n1, &total);
    set_first_place(segment, (uint32_t)before);
    set_first_place(segment + 1, (uint32_t)before + n0);
    if (thread_index() == 0) set_first_place(MAX_SEGMENTS, (uint32_t)total);
    block_sync();
    return (uint32_t)total;
}

/* f(logit, token, place) of the places first ... end - 1. */
template <typename F>
DEVICE void each_place(const logits_row &row, const head_bound &head, const segment_cut &segments,
                       uint32_t first, uint32_t end, F f) {
    uint32_t n_warps = SAMPLE_THREADS / 32;
    for (uint32_t segment = thread_index() / 32; segment < segments.n; segment += n_warps) {
        uint32_t place = first_place(segment);
        if (place >= end || first_place(segment + 1) <= first) continue;
        each_of_segment(row, head, segments, segment, place,
                        [&](float logit, uint32_t token, uint32_t at) {
                            if (at >= first && at < end) f(logit, token, at);
                        });
    }
}

/* ---- the draw ---- */

DEVICE float window_weight(uint32_t chunk, uint32_t i) {
    return load_shared<float>(shared_memory() + (WINDOW_WEIGHTS + 4 * (chunk * CHUNK_PITCH + i)));
}
DEVICE double chunk_sum(uint32_t chunk) {
    return load_shared<double>(shared_memory() + (CHUNK_SUMS + 8 * chunk));
}
/* Tokens in a chunk of n. */
DEVICE uint32_t chunk_size(uint32_t chunk, uint32_t n) {
    return n - chunk * CHUNK < CHUNK ? n - chunk * CHUNK : CHUNK;
}

struct drawing {
    logits_row row;
    head_bound head;
    segment_cut segments;
    weight_scale scale;
    float min_p;
    uint32_t n; /* tokens left */
};

DEVICE void weigh_window(const drawing &draw, uint32_t first_chunk) {
    uint32_t first = first_chunk * CHUNK;
    block_sync();
    each_place(draw.row, draw.head, draw.segments, first, first + WINDOW,
               [&](float logit, uint32_t, uint32_t place) {
                   float weight = exp_nonpositive(exponent_of(draw.scale, logit));
                   uint32_t at = place - first;
                   at += at / CHUNK * (CHUNK_PITCH - CHUNK);
                   store_shared<float>(shared_memory() + (WINDOW_WEIGHTS + 4 * at),
                                       weight >= draw.min_p ? weight : 0.0f);
               });
    block_sync();
}

/* Four sums side by side, as the host has them: one for a thread. What is left over from the fours
 * goes to the first. */
DEVICE void sum_window(const drawing &draw, uint32_t first_chunk) {
    if (thread_index() >= 4 * WINDOW_CHUNKS) return;
    uint32_t in_window = thread_index() / 4, lane = thread_index() % 4;
    uint32_t chunk = first_chunk + in_window;
    uint32_t n = chunk * CHUNK < draw.n ? chunk_size(chunk, draw.n) : 0;
    double sum = 0.0;
    for (uint32_t i = 0; i + 4 <= n; i += 4) sum += (double)window_weight(in_window, i + lane);
    if (lane == 0)
        for (uint32_t i = n / 4 * 4; i < n; i++) sum += (double)window_weight(in_window, i);
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    if (lane == 0 && n > 0) store_shared<double>(shared_memory() + (CHUNK_SUMS + 8 * chunk), sum);
}

struct drawn_chunk {
    uint32_t chunk;
    double before, target; /* weight before the chunk, and that which is looked for */
};

/* The chunk that holds `uniform` of the weight; where rounding has it that there is none, the last
 * one that weighs anything. */
DEVICE drawn_chunk find_chunk(uint32_t n_chunks, float uniform) {
    double total = 0.0;
    for (uint32_t chunk = 0; chunk < n_chunks; chunk++) total += chunk_sum(chunk);
    drawn_chunk found = {0, 0.0, (double)uniform * total};
    uint32_t chunk = 0;
    for (; chunk < n_chunks; chunk++) {
        double sum = chunk_sum(chunk);
        if (sum == 0.0) continue;
        found.chunk = chunk;
        if (found.before + sum > found.target) break;
        found.before += sum;
    }
    if (chunk == n_chunks) found.before -= chunk_sum(found.chunk);
    return found;
}

DEVICE uint32_t find_place(const drawing &draw, const drawn_chunk &found, uint32_t first_chunk) {
    uint32_t n = chunk_size(found.chunk, draw.n), chosen = 0;
    double before = found.before;
    for (uint32_t i = 0; i < n; i++) {
        float weight = window_weight(found.chunk - first_chunk, i);
        if (weight == 0.0f) continue;
        chosen = i;
        before += (double)weight;
        if (before > found.target) break;
    }
    return found.chunk * CHUNK + chosen;
}

DEVICE void draw_token(const drawing &draw, float uniform, int32_t *to) {
    uint32_t n_chunks = (draw.n + CHUNK - 1) / CHUNK;
    for (uint32_t chunk = 0; chunk < n_chunks; chunk += WINDOW_CHUNKS) {
        weigh_window(draw, chunk);
        sum_window(draw, chunk);
    }
    block_sync();
    if (thread_index() == 0) {
        drawn_chunk found = find_chunk(n_chunks, uniform);
        store_shared<uint32_t>(sample_found(), found.chunk);
        store_shared<double>(sample_found() + 8, found.before);
        store_shared<double>(sample_found() + 16, found.target);
    }
    block_sync();
    drawn_chunk found = {load_shared<uint32_t>(sample_found()),
                         load_shared<double>(sample_found() + 8),
                         load_shared<double>(sample_found() + 16)};
    uint32_t first_chunk = found.chunk / WINDOW_CHUNKS * WINDOW_CHUNKS;
    if (n_chunks > WINDOW_CHUNKS) weigh_window(draw, first_chunk);
    if (thread_index() == 0)
        store_shared<uint32_t>(sample_found() + 24, find_place(draw, found, first_chunk));
    block_sync();
    uint32_t chosen = load_shared<uint32_t>(sample_found() + 24);
    each_place(draw.row, draw.head, draw.segments, chosen, chosen + 1,
               [&](float, uint32_t token, uint32_t) { store_global<int32_t>(to, (int32_t)token); });
}

KERNEL(sample, sample_args, SAMPLE_THREADS, 1) {
    let_next_kernel_begin();
    wait_for_previous_kernel();
    sample_row sample = load_global<sample_row>(args.sample + block_index());
    if (sample.logits_row < 0) return;
    logits_row row = {args.logits + (uint64_t)sample.logits_row * args.logits_stride, args.n_vocab};
    int32_t *token = args.token + block_index();

    uint64_t greatest = 0;
    each_logit(row, [&](float logit, uint32_t id) {
        uint64_t rank = ranked(logit, id);
        greatest = rank > greatest ? rank : greatest;
    });
    uint32_t thread_order = (uint32_t)(greatest >> 32);
    greatest = block_argmax(sample_scratch(), greatest);
    float max = ranked_value(greatest);
    if (!(sample.temperature > 0.0f) || max == from_bits(0xFF800000u)) {
        /* The lowest id among equals, where nothing is above -inf too. */
        if (thread_index() == 0) store_global<int32_t>(token, (int32_t)ranked_index(greatest));
        return;
    }

    weight_scale scale = {max, 1.0f / sample.temperature};
    head_bound head = {true, 0, 0xFFFFFFFFu};
    if (sample.top_k > 0 && (uint32_t)sample.top_k < row.n)
        cut_top_k(row, (uint32_t)sample.top_k, thread_order, head);
    if (sample.top_p > 0.0f && sample.top_p < 1.0f) cut_top_p(row, scale, sample.top_p, head);

    segment_cut segments = segments_of(row.n);
    drawing draw = {row, head, segments, scale, sample.min_p, find_places(row, head, segments)};
    draw_token(draw, uniform_of(sample.seed, sample.stream, sample.position), token);
}
