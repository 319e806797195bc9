/* The head of the order of likelihood: where it ends is found digit by digit of the logits' bits,
 * by histograms, so nothing is sorted and nothing but the logits is read. */
#ifndef CUDA_KERNELS_ELEMENTWISE_SAMPLE_SELECT_CUH
#define CUDA_KERNELS_ELEMENTWISE_SAMPLE_SELECT_CUH

#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/kernels/elementwise/quad.cuh"
#include "cuda/kernels/elementwise/sample_weight.cuh"
#include "cuda/kernels/reduce.cuh"

/* Shared memory: what a step tells all threads, and areas that are used one after the other. */
#define SAMPLE_SCRATCH 0                /* of reductions */
#define SAMPLE_FOUND REDUCE_BYTES       /* 64 bytes */
#define SAMPLE_AREA (SAMPLE_FOUND + 64) /* histograms, then weights */
#define HISTOGRAM_SIZE 2048             /* of two words each: lower ones, then upper ones */
#define HISTOGRAM_UPPER (4 * HISTOGRAM_SIZE)

DEVICE shared sample_scratch() {
    return shared_memory() + SAMPLE_SCRATCH;
}
DEVICE shared sample_found() {
    return shared_memory() + SAMPLE_FOUND;
}
DEVICE shared sample_area() {
    return shared_memory() + SAMPLE_AREA;
}

/* ---- a histogram of 64-bit sums, exact, so that it doesn't matter who comes first ---- */

DEVICE void histogram_clear() {
    for (uint32_t i = thread_index(); i < 2 * HISTOGRAM_SIZE; i += SAMPLE_THREADS)
        store_shared<uint32_t>(sample_area() + 4 * i, 0);
    block_sync();
}
DEVICE void histogram_add(uint32_t place, uint32_t amount) {
    uint32_t before = atomic_add_shared(sample_area() + 4 * place, amount);
    if (before + amount < before)
        atomic_add_shared(sample_area() + (HISTOGRAM_UPPER + 4 * place), 1);
}
DEVICE uint64_t histogram_at(uint32_t place) {
    uint64_t upper = load_shared<uint32_t>(sample_area() + (HISTOGRAM_UPPER + 4 * place));
    return upper << 32 | load_shared<uint32_t>(sample_area() + 4 * place);
}

/* ---- tokens ---- */

struct logits_row {
    const float *logits;
    uint32_t n;
};

/* f(logit, token) of the block's tokens, each by one thread. Two loads are under way at a time. */
template <typename F> DEVICE void each_logit(const logits_row &row, F f) {
    const uint32_t step = 4 * SAMPLE_THREADS;
    for (uint32_t at = 4 * thread_index(); at < row.n; at += 2 * step) {
        quad first = load_quad(row.logits, at, row.n), second = {};
        if (at + step < row.n) second = load_quad(row.logits, at + step, row.n);
        for (uint32_t i = 0; i < 4; i++)
            if (at + i < row.n) f(first.v[i], at + i);
        for (uint32_t i = 0; i < 4; i++)
            if (at + step + i < row.n) f(second.v[i], at + step + i);
    }
}

/* The tokens still in the running: all, or those whose logit is above a number or equal to it and
 * the token at most last_token. NaN is none of these. */
struct head_bound {
    bool all;
    uint32_t order; /* order_of the lowest logit */
    uint32_t last_token;
};

DEVICE bool is_in(const head_bound &head, float logit, uint32_t token) {
    if (head.all) return true;
    uint32_t order = order_of(logit);
    return logit == logit &&
           (order > head.order || (order == head.order && token <= head.last_token));
}

/* ---- selection ---- */

struct selection {
    bool found;
    uint32_t key;
    uint64_t needed; /* of the amounts of this very key */
    uint64_t amount; /* that they have together */
};

/* Looks for the greatest key such that the amounts of it and of all greater keys sum up to at least
 * `needed`, >= 1. each(f) calls f(key, amount) for what a thread brings, the same every time it is
 * called. Where all together don't suffice: the least key if `clamp`, else not found. */
template <typename Each> DEVICE selection select_key(uint64_t needed, bool clamp, Each each) {
    selection chosen = {true, 0, needed, 0};
    uint32_t known = 0; /* mask of the bits of the key */
    for (uint32_t end = 32; end > 0;) {
        uint32_t shift = end > 11 ? end - 11 : 0;
        uint32_t digits = (1u << (end - shift)) - 1;
        histogram_clear();
        each([&](uint32_t key, uint32_t amount) {
            if ((key & known) == chosen.key) histogram_add(key >> shift & digits, amount);
        });
        block_sync();
        /* From the greatest digit down, two for a thread. */
        uint32_t high = HISTOGRAM_SIZE - 1 - 2 * thread_index(), low = high - 1;
        uint64_t of_high = histogram_at(high), of_low = histogram_at(low), total;
        uint64_t before = block_sum_before(sample_scratch(), of_high + of_low, &total);
        if (total < chosen.needed) {
            if (!clamp || total == 0) return {false, 0, 0, 0};
            chosen.needed = total;
        }
        bool in_high = before < chosen.needed && chosen.needed <= before + of_high;
        bool in_low =
            before + of_high < chosen.needed && chosen.needed <= before + of_high + of_low;
        if (in_high || in_low) {
            store_shared<uint32_t>(sample_found(), in_high ? high : low);
            store_shared<uint64_t>(sample_found() + 8, in_high ? before : before + of_high);
            store_shared<uint64_t>(sample_found() + 16, in_high ? of_high : of_low);
        }
        block_sync();
        chosen.key |= load_shared<uint32_t>(sample_found()) << shift;
        chosen.needed -= load_shared<uint64_t>(sample_found() + 8);
        chosen.amount = load_shared<uint64_t>(sample_found() + 16);
        block_sync();
        known |= digits << shift;
        end = shift;
    }
    return chosen;
}

/* A head that ends within the tokens of one logit: its n_needed lowest ones of n. */
DEVICE void end_head(const logits_row &row, uint32_t order, uint64_t n_needed, uint64_t n,
                     head_bound &head) {
    uint32_t last_token = head.all || order > head.order ? 0xFFFFFFFFu : head.last_token;
    if (n_needed < n) {
        selection chosen = select_key(n_needed, true, [&](auto found) {
            each_logit(row, [&](float logit, uint32_t token) {
                bool equal = logit == logit && order_of(logit) == order && token <= last_token;
                if (equal) found(~token, 1);
            });
        });
        last_token = ~chosen.key;
    }
    head = {false, order, last_token};
}

#define ORDER_OF_NOTHING 0x007FFFFFu /* order_of(-inf) */

/* The k likeliest. thread_order: order_of the greatest logit of those that each_logit gives this
 * thread. */
DEVICE void cut_top_k(const logits_row &row, uint32_t k, uint32_t thread_order, head_bound &head) {
    /* The k-th of the threads' best is a bound, which keeps nearly all out of the histograms. */
    uint32_t bound = ORDER_OF_NOTHING + 1;
    if (k <= SAMPLE_THREADS) {
        selection of_threads = select_key(k, false, [&](auto found) {
            if (thread_order > ORDER_OF_NOTHING) found(thread_order, 1);
        });
        if (of_threads.found) bound = of_threads.key;
    }
    selection chosen = select_key(k, false, [&](auto found) {
        each_logit(row, [&](float logit, uint32_t) {
            uint32_t order = order_of(logit);
            if (logit == logit && order >= bound) found(order, 1);
        });
    });
    if (chosen.found) end_head(row, chosen.key, chosen.needed, chosen.amount, head);
}

/* ---- top_p ---- */

/* Sums of the bins, in f64: exact, and so the host's own, but for the last. That one is a sum of
 * what is below exp(-32) of the likeliest, rounded in another order than the host's: of a whole of
 * at least 1 it is less than 2^-27, so that its rounding, 2^-53 of itself, all but never reaches
 * the whole's. They lie where the histogram's upper words end. */
#define BIN_SUMS (8 * HISTOGRAM_SIZE)

DEVICE void fill_bins(const logits_row &row, const weight_scale &scale, const head_bound &head) {
    const uint32_t last = WEIGHT_N_BINS - 1;
    histogram_clear();
    double rest = 0.0;
    each_logit(row, [&](float logit, uint32_t token) {
        if (!is_in(head, logit, token)) return;
        float exponent = exponent_of(scale, logit), weight = exp_nonpositive(exponent);
        uint32_t bin = bin_of(exponent);
        if (bin == last)
            rest += (double)weight;
        else
            histogram_add(bin, (uint32_t)(weight * units(bin_unit(bin))));
    });
    block_sync();
    rest = block_reduce<reduce_sum>(sample_scratch(), rest, 0.0);
    for (uint32_t bin = thread_index(); bin < WEIGHT_N_BINS; bin += SAMPLE_THREADS) {
        double sum = (double)histogram_at(bin) * (double)from_bits((127 - bin_unit(bin)) << 23);
        store_shared<double>(sample_area() + (BIN_SUMS + 8 * bin), bin == last ? rest : sum);
    }
    block_sync();
}

/* The likeliest tokens that have p of the weight, p < 1. */
DEVICE void cut_top_p(const logits_row &row, const weight_scale &scale, float p, head_bound &head) {
    const uint32_t last = WEIGHT_N_BINS - 1;
    fill_bins(row, scale, head);
    if (thread_index() == 0) { /* one after the other: it is the host's order of additions */
        double total = 0.0, above = 0.0;
        for (uint32_t bin = 0; bin <= last; bin++)
            total += load_shared<double>(sample_area() + (BIN_SUMS + 8 * bin));
        double least = (double)p * total;
        uint32_t cut = 0;
        for (; cut < last; cut++) {
            double with = above + load_shared<double>(sample_area() + (BIN_SUMS + 8 * cut));
            if (!(with < least)) break;
            above = with;
        }
        store_shared<uint32_t>(sample_found(), cut);
        store_shared<double>(sample_found() + 8, least - above);
    }
    block_sync();
    uint32_t cut = load_shared<uint32_t>(sample_found());
    double least = load_shared<double>(sample_found() + 8);
    block_sync();
    if (cut == last) return; /* no p below 1 reaches there: all that is below exp(-32) is less */

    float factor = units(bin_unit(cut));
    double exact = least * (double)factor;
    uint64_t needed = exact > 1.0 ? (uint64_t)exact : 1;
    if ((double)needed < exact) needed++;
    selection chosen = select_key(needed, true, [&](auto found) {
        each_logit(row, [&](float logit, uint32_t token) {
            if (!is_in(head, logit, token)) return;
            float exponent = exponent_of(scale, logit);
            if (bin_of(exponent) != cut) return;
            found(order_of(logit), (uint32_t)(exp_nonpositive(exponent) * factor));
        });
    });
    if (!chosen.found) return;
    float weight = exp_nonpositive(exponent_of(scale, value_of_order(chosen.key)));
    uint64_t each = (uint64_t)(weight * factor);
    end_head(row, chosen.key, (chosen.needed + each - 1) / each, chosen.amount / each, head);
}

#endif
