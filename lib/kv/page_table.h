/* The pages of one sequence, a table for each KV group. Tables are arrays of the most a sequence
 * can have, taken once. */
#ifndef KV_PAGE_TABLE_H
#define KV_PAGE_TABLE_H

#include "kv/prefix_index.h"
#include "program/kv_layout.h"

struct page_table {
    int32_t *pages;    /* [most]; PAGE_NONE where the window has passed */
    int64_t n_pages;   /* entries in use */
    int64_t n_dropped; /* leading entries that the window has passed */
};

/* A page's bytes to another page of the same group. */
typedef status (*page_copier)(void *user, int group, int32_t from, int32_t to);

struct kv_cache { /* of a context */
    const struct kv_layout *layout;
    struct page_pool *pools;    /* [n_groups] */
    struct prefix_index *index; /* what takes pages back from it when none is free; NULL: none */
    page_copier copy;
    void *copy_user;
};

/* ---- of a sequence's own tokens: the groups that grow ---- */

/* First page that a query at position looks into; window 0: none. */
int64_t page_table_first(int64_t window, int64_t position);
/* Pages that the row at `position` takes of each group, [n_groups]: one where it begins a page, or
 * where others hold the page it is written to; else 0. */
void page_table_needs(const struct kv_cache *cache, const struct page_table *tables,
                      int64_t position, int64_t *n_needed);
/* How many rows from `position` on, at most n_rows, the tables can take with the pages that are
 * free or cached, and takes pages for them; a last page that others hold too is copied first. 0:
 * none. Fails as the copy does; then nothing is taken. */
status page_table_reserve(const struct kv_cache *cache, struct page_table *tables, int64_t position,
                          int64_t n_rows, int64_t *n_reserved);
/* Keeps what the first `position` positions need, gives back the rest. */
void page_table_trim(const struct kv_cache *cache, struct page_table *tables, int64_t position);
/* Gives back the pages that no query at `position` or later will look at. */
void page_table_slide(const struct kv_cache *cache, struct page_table *tables, int64_t position);
/* Whether a query at `position` finds every key it may look at. */
bool page_table_covers(const struct kv_cache *cache, const struct page_table *tables,
                       int64_t position);
/* to, which is empty, shares the pages of from. */
void page_table_fork(const struct kv_cache *cache, const struct page_table *from,
                     struct page_table *to);

/* ---- of a source: the others ---- */

/* Takes the pages of n positions in every group that doesn't grow. false: there are not enough, and
 * none was taken. */
bool page_table_take_fixed(const struct kv_cache *cache, struct page_table *tables, int64_t n);
/* Gives back those of a kind. */
void page_table_give_fixed(const struct kv_cache *cache, struct page_table *tables,
                           enum kv_kind kind);

#endif
