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

#endif
