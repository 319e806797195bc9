#include "engine/lookup.h"

#include <string.h>

void lookup_rate_begin(struct lookup_rate *rate) { /* as if three of four had been right */
    *rate = (struct lookup_rate){.right = 3 << 8, .wrong = 1 << 8};
}

/* The j-th proposal is right with the j-th power of the rate, and a row in vain costs a part of a
 * step's time. A rate too low to be worth one is tried again now and then. */
int64_t lookup_rate_worth(struct lookup_rate *rate, int64_t most) {
    enum { LEAST = (1 << 16) / 4, PATIENCE = 16, TRIAL = 2 };
    uint64_t each = ((uint64_t)rate->right << 16) / (rate->right + rate->wrong), chance = each;
    int64_t n = 0;
    for (; n < most && chance >= LEAST; n++) chance = chance * each >> 16;
    if (n == 0 && ++rate->passed >= PATIENCE) n = most < TRIAL ? most : TRIAL;
    return n;
}

void lookup_rate_learn(struct lookup_rate *rate, int64_t n_checked, int64_t n_right) {
    rate->right = (uint32_t)(((uint64_t)rate->right * 7 + 7) / 8 + (uint64_t)n_right * 256);
    rate->wrong = (uint32_t)(((uint64_t)rate->wrong * 7 + 7) / 8 + (n_right < n_checked) * 256u);
    rate->passed = 0;
}

status lookup_create(struct memory *memory, int64_t max_tokens, uint32_t most,
                     struct lookup **created) {
    struct lookup *fresh;
    TRY(MEMORY_TAKE_ONE(memory, "prompt lookup", &fresh));
    fresh->most = most;
    while (INT64_C(1) << fresh->n_bits < max_tokens) fresh->n_bits++;
    for (int i = 0; i < LOOKUP_N_GRAMS; i++) lookup_rate_begin(&fresh->rates[i]);
    status result = MEMORY_TAKE_ARRAY(memory, (size_t)LOOKUP_N_GRAMS << fresh->n_bits,
                                      "prompt lookup", &fresh->ends);
    if (result == OK)
        *created = fresh;
    else
        lookup_free(memory, fresh);
    return result;
}

void lookup_free(struct memory *memory, struct lookup *lookup) {
    if (!lookup) return;
    memory_give(memory, lookup->ends);
    memory_give(memory, lookup);
}

void lookup_copy(struct lookup *lookup, const struct lookup *from) {
    int32_t *ends = lookup->ends;
    memcpy(ends, from->ends, ((size_t)LOOKUP_N_GRAMS << from->n_bits) * sizeof *ends);
    *lookup = *from;
    lookup->ends = ends;
}

/* What is in of tokens that are gone compares as different from what is sought. */
void lookup_truncate(struct lookup *lookup, int64_t n) {
    if (lookup->n_indexed > n) lookup->n_indexed = n;
}

/* Of the n-gram before `end`, gram 0 having LOOKUP_SHORTEST tokens. */
static int32_t *slot(struct lookup *lookup, const int32_t *end, int gram) {
    uint64_t hash = (uint64_t)gram;
    for (int i = -(gram + LOOKUP_SHORTEST); i < 0; i++)
        hash = (hash ^ (uint64_t)(uint32_t)end[i]) * 0x9E3779B97F4A7C15u;
    size_t at = lookup->n_bits ? (size_t)(hash >> (64 - lookup->n_bits)) : 0;
    return lookup->ends + ((size_t)gram << lookup->n_bits) + at;
}

/* The n-grams that end with each token before the n-th: what follows them is known. */
static void take_in(struct lookup *lookup, const int32_t *tokens, int64_t n) {
    for (int64_t end = lookup->n_indexed + 1; end < n; end++)
        for (int gram = 0; gram < LOOKUP_N_GRAMS && gram + LOOKUP_SHORTEST <= end; gram++)
            *slot(lookup, tokens + end, gram) = (int32_t)end;
    if (n - 1 > lookup->n_indexed) lookup->n_indexed = n - 1;
}

int64_t lookup_find(struct lookup *lookup, const int32_t *tokens, int64_t n, int64_t room,
                    int32_t *proposals) {
    int64_t most = room < lookup->most ? room : lookup->most;
    take_in(lookup, tokens, n);
    if (most <= 0) return 0;
    for (int gram = LOOKUP_N_GRAMS - 1; gram >= 0; gram--) {
        int64_t length = gram + LOOKUP_SHORTEST;
        if (length >= n) continue;
        int64_t end = *slot(lookup, tokens + n, gram);
        if (end < length || end >= n ||
            memcmp(tokens + end - length, tokens + n - length, (size_t)length * sizeof *tokens) !=
                0)
            continue;
        int64_t count = lookup_rate_worth(&lookup->rates[gram], most);
        lookup->last = gram;
        /* Where it reaches the end, what repeats goes on repeating. */
        for (int64_t i = 0; i < count; i++)
            proposals[i] = end + i < n ? tokens[end + i] : proposals[end + i - n];
        return count;
    }
    return 0;
}

void lookup_learn(struct lookup *lookup, int64_t n_checked, int64_t n_right) {
    if (n_checked > 0) lookup_rate_learn(&lookup->rates[lookup->last], n_checked, n_right);
}
