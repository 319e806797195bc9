/* Joining neighbours of a sequence, the pair of the lowest rank first and of equal ranks the
 * leftmost: the one algorithm under both kinds of byte-pair encoding. */
#ifndef TOKENIZER_MERGE_H
#define TOKENIZER_MERGE_H

#include "base/memory.h"

#define MERGE_NEVER UINT32_MAX

/* What a symbol's value means is the rules' business. */
struct merge_rules {
    /* Rank of joining two neighbours, or MERGE_NEVER. after: the value that follows right, of the
     * end at last. */
    uint32_t (*rank)(const void *rules, uint32_t left, uint32_t right, uint32_t after);
    /* Value of the two as one. */
    uint32_t (*join)(const void *rules, uint32_t left, uint32_t right);
    const void *rules;
};

/* values [n + 1], the last that of the end; joined in place, *n of them left and the end again
 * behind them. O(n log n) time, 22 n bytes of memory for long sequences. */
status merge_run(const struct merge_rules *rules, struct memory *memory, uint32_t *values,
                 size_t *n);

#endif
