/* The source of a sequence: its tokens, and the pages that the encoder's output leaves for cross
 * attention. Forks share it. */
#ifndef ENGINE_SOURCE_H
#define ENGINE_SOURCE_H

#include "engine/context.h"

struct source {
    int64_t owners; /* sequences */
    int64_t n_tokens;
    int32_t *tokens; /* [n_tokens] */
    bool computed, planned;
    struct page_table *tables; /* [n_groups]; those of growing groups are empty */
};

/* tokens are copied. */
status source_create(transformer_context *context, const int32_t *tokens, int64_t n,
                     struct source **created);
/* One owner less; the last one gives back pages and memory. NULL does nothing. */
void source_release(transformer_context *context, struct source *source);
/* Bytes of a source of n tokens. */
uint64_t source_bytes(int64_t n, int n_groups);

#endif
