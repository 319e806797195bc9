/* Pages of one KV group: who holds how many claims on each. Pages are numbers; the backend has
 * their bytes. */
#ifndef KV_PAGE_POOL_H
#define KV_PAGE_POOL_H

#include "base/memory.h"

#define PAGE_NONE (-1)

struct page_pool {
    int32_t *claims; /* [n_pages] */
    int32_t *free;   /* [n_free] a stack */
    int64_t n_pages, n_free;
    /* One of a page's claims may be that of an entry of the prefix index. Where it is the only one
     * the page is cached: kept while nobody needs it. Cached pages form a list, the one that was
     * let go of last being the newest. */
    int32_t *entries; /* [n_pages]; PAGE_NONE: no entry's */
    int32_t *older;   /* [n_pages] PAGE_NONE at the end, as in newer */
    int32_t *newer;   /* [n_pages] */
    int32_t oldest, newest;
    int64_t n_cached;
};

size_t page_pool_bytes(int64_t n_pages);
status page_pool_init(struct memory *memory, int64_t n_pages, struct page_pool *pool);
void page_pool_free(struct memory *memory, struct page_pool *pool);

/* A page with one claim, or PAGE_NONE. */
int32_t page_pool_take(struct page_pool *pool);
/* One claim more. */
void page_pool_share(struct page_pool *pool, int32_t page);
/* One claim less; the last one frees the page. */
void page_pool_drop(struct page_pool *pool, int32_t page);
bool page_pool_is_shared(const struct page_pool *pool, int32_t page);

/* A claim of the entry's on a page that is claimed and no entry's. */
void page_pool_enter(struct page_pool *pool, int32_t page, int32_t entry);
/* That claim is dropped. */
void page_pool_leave(struct page_pool *pool, int32_t page);

#endif
