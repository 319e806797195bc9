#include "sampling/rank.h"

/* Quickselect with a scattered pivot: no order of the logits that a model would make is slow. */
static size_t pivot_of(size_t low, size_t high) {
    uint64_t mixed = (low + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ high * UINT64_C(0xD1B54A32D192ED03);
    return low + (size_t)((mixed ^ mixed >> 29) % (high - low));
}

/* Puts a pivot at its place in [low, high), the greater ones before it; returns the place. */
static size_t partition(uint64_t *ranks, size_t low, size_t high) {
    size_t chosen = pivot_of(low, high);
    uint64_t pivot = ranks[chosen];
    ranks[chosen] = ranks[high - 1];
    size_t end = low; /* of the greater ones */
    for (size_t i = low; i < high - 1; i++) {
        uint64_t rank = ranks[i];
        ranks[i] = ranks[end];
        ranks[end] = rank;
        end += rank > pivot; /* no branch: it would be a coin toss */
    }
    ranks[high - 1] = ranks[end];
    ranks[end] = pivot;
    return end;
}

uint64_t rank_select(uint64_t *ranks, size_t n, size_t k) {
    size_t low = 0, high = n;
    for (;;) {
        size_t place = partition(ranks, low, high);
        if (place == k - 1) return ranks[place];
        if (place > k - 1)
            high = place;
        else
            low = place + 1;
    }
}

uint64_t rank_select_weight(uint64_t *ranks, size_t n, double least, rank_weight *weight,
                            const void *argument) {
    size_t low = 0, high = n;
    double above = 0; /* weight of ranks[0 ... low) */
    uint64_t smallest = 0;
    while (low < high) {
        size_t place = partition(ranks, low, high);
        double before = above + weight(argument, ranks + low, place - low);
        if (before >= least && place > low) {
            high = place;
            continue;
        }
        double with_pivot = before + weight(argument, ranks + place, 1);
        if (with_pivot >= least) return ranks[place];
        smallest = ranks[place];
        above = with_pivot;
        low = place + 1;
    }
    return smallest;
}
