/* A sequence as bytes, and back: docs/snapshots.md. */
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include "engine/sequence.h"
#include "kv/snapshot_stream.h"

/* All inside the context. */

/* Its bytes, neither buffer nor callback: only these. BUFFER_TOO_SMALL: they are written to *size
 * too. */
status snapshot_save(transformer_sequence *sequence, const transformer_save_options *options,
                     uint64_t *size);
/* Into a sequence that has nothing yet but what its options gave it. When it fails the sequence is
 * of no use but to be freed. */
status snapshot_restore(transformer_sequence *sequence, const transformer_restore_options *options);

/* What both agree on. */

/* The context's part of a header: with whom a snapshot is shared. */
void snapshot_bind(const transformer_context *context, struct snapshot_header *header);
/* Positions that the pages of a group hold, where the sequence has them. */
int64_t snapshot_positions(const transformer_context *context, const struct snapshot_header *header,
                           int group);
int64_t snapshot_pages(int64_t positions); /* that hold so many */
/* Of page `index` of a group, up to KV_PAGE_TOKENS. */
int64_t snapshot_page_positions(int64_t positions, int64_t index);
size_t snapshot_token_bytes(const struct snapshot_header *header);
/* The section that takes most bytes, of those that a header and this context ask for. */
size_t snapshot_largest_section(const transformer_context *context,
                                const struct snapshot_header *header);
/* All of it. UINT64_MAX: more than 64 bits can count. */
uint64_t snapshot_total(const transformer_context *context, const struct snapshot_header *header,
                        const struct snapshot_group *groups);

#endif
