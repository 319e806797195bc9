/* Where keys and values lie: streams of equal shape and window form a group, which has pages and
 * page tables of its own. A page of a group holds KV_PAGE_TOKENS positions of every stream in it:
 * [stream][head][k, v], keys as [dim][position] where attention's lanes are keys, and values as
 * [position][dim]; scales follow a head's elements in the same order. */
#ifndef PROGRAM_KV_LAYOUT_H
#define PROGRAM_KV_LAYOUT_H

#include "arch/spec.h"

#define KV_PAGE_TOKENS 64
#define KV_SCALE_DIMS 32 /* of a head that share a scale */

/* How a position's dims lie in a page. */
struct kv_format {
    size_t element_bytes, scale_bytes; /* scale_bytes 0: no scales */
    bool keys_by_dim;                  /* keys as [dim][position], else as [position][dim] */
};

struct kv_group {
    int64_t window; /* positions that are still needed; 0: all */
    enum kv_kind kind;
    size_t page_bytes;
    size_t position_bytes; /* of one position in every stream of the group */
};

struct kv_place { /* of a stream */
    int group;
    size_t k_offset, v_offset; /* of head 0 in a page */
    size_t head_bytes;         /* from head to head */
    int64_t n_heads, key_dim, value_dim;
};

struct kv_layout {
    struct kv_group *groups;
    int n_groups;
    struct kv_place *places; /* [n_places], as the spec's streams */
    int n_places;
    struct kv_format format;
};

status kv_layout_make(struct memory *memory, const struct spec *spec,
                      const struct kv_format *format, struct kv_layout *layout);
void kv_layout_free(struct memory *memory, struct kv_layout *layout);

#endif
