/* Which whole pages of computed tokens there are, so that a sequence that begins with the same
 * tokens shares them instead of computing them again.
 *
 * Entries form trees: the children of an entry continue it by one page of tokens. What the keys and
 * values of a page depend on besides the tokens up to it is its domain, which the roots have. An
 * encoder-decoder's roots are pages of the source's tokens, which have no KV pages of their own.
 * Entries are found by a hash chained from the root and compared whole, so that a collision can't
 * show anybody another's pages: an entry's parent being the right one, the tokens before it are.
 *
 * Each entry has a claim on one page of every growing KV group, in a windowed one perhaps not any
 * more. An entry stays while it has children or a sequence follows it, which holds on to its last
 * one; else its pages go, the longest unused first, when a pool has none free. Since whoever shares
 * a page shares all before it and gives them back from the end, the oldest is a leaf. */
#ifndef KV_PREFIX_INDEX_H
#define KV_PREFIX_INDEX_H

#include "kv/page_pool.h"
#include "program/kv_layout.h"

#define PREFIX_NONE (-1)

struct page_table;

struct prefix_domain { /* what sequences must have in common; compared and hashed bytewise */
    uint64_t cache_domain;
    uint64_t adapter; /* its number, 0: none */
    uint32_t adapter_scale;
    uint32_t zero; /* where the compiler might else have padding */
};

struct prefix_tokens {     /* of one page */
    const int32_t *tokens; /* [KV_PAGE_TOKENS] */
    const uint8_t *types;  /* [KV_PAGE_TOKENS] */
};

struct prefix_entry {
    struct prefix_domain domain; /* of a root */
    uint64_t hash;
    int32_t parent, next; /* next of the same bucket, or free */
    int32_t n_holders;    /* children, and sequences that follow it */
    bool of_source;
    int32_t tokens[KV_PAGE_TOKENS];
    uint8_t types[KV_PAGE_TOKENS];
};

struct prefix_index {
    const struct kv_layout *layout;
    struct page_pool *pools;      /* [n_groups] the context's */
    struct prefix_entry *entries; /* [capacity] */
    int32_t *pages;               /* [capacity][n_groups] */
    int32_t *buckets;             /* [n_buckets], a power of two */
    int64_t capacity, n_buckets;
    int64_t n_begun; /* entries that were in use at any time; the memory of others is untouched */
    int64_t *in_window; /* [n_groups] while looking up */
    int32_t free;       /* of those begun, the first that is not in use; PREFIX_NONE: all are */
    uint64_t n_evicted; /* pages */
    uint64_t (*hash)(const void *bytes, size_t n); /* tests put a bad one here */
};

/* Of one sequence: how far it follows the index. All zero and PREFIX_NONE at first. */
struct prefix_follower {
    int64_t n_pages; /* of its own tokens that are entered */
    int32_t last;    /* the entry of the last of them, or of its source's; held */
};

size_t prefix_index_bytes(int64_t capacity, int n_groups);
status prefix_index_init(struct memory *memory, const struct kv_layout *layout,
                         struct page_pool *pools, int64_t capacity, struct prefix_index *index);
void prefix_index_free(struct memory *memory, struct prefix_index *index);

/* ---- one follower ---- */

/* At its beginning: the root that its first page continues. source  [n_source] or NULL. Fails where
 * create is false and there is none, or no entry is free. */
bool prefix_index_begin(struct prefix_index *index, const struct prefix_domain *domain,
                        const int32_t *source, int64_t n_source, bool create,
                        struct prefix_follower *follower);
/* Goes back to at most n pages. At 0 it lets go of the source's entries too. */
void prefix_index_back(struct prefix_index *index, struct prefix_follower *follower, int64_t n);
/* Both follow the same entry from here on. */
void prefix_index_fork(struct prefix_index *index, const struct prefix_follower *from,
                       struct prefix_follower *to);
/* Enters the follower's next page, which is whole and computed, with the pages that its tables
 * have; where an entry has one already the table shares that. false: there is no entry free. */
bool prefix_index_enter(struct prefix_index *index, const struct prefix_domain *domain,
                        struct prefix_tokens next, struct page_table *tables,
                        struct prefix_follower *follower);
/* Goes on along entries as far as n pages of tokens from the follower's next one on say, and all
 * that a query behind them looks at is there; its tables, which end where the follower is, share
 * those pages. Returns how many. */
int64_t prefix_index_reuse(struct prefix_index *index, const struct prefix_domain *domain,
                           struct prefix_tokens next, int64_t n, struct page_table *tables,
                           struct prefix_follower *follower);

/* ---- pages that are needed ---- */

/* Frees a page of the group. false: all are claimed by others. */
bool prefix_index_evict(struct prefix_index *index, int group);
/* Of a page with one claim besides the index's: lets go of it. false: what continues it holds it.
 */
bool prefix_index_release(struct prefix_index *index, int group, int32_t page);

#endif
