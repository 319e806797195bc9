#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

/* Before each block: its size, so that release can be told. */
struct header {
    uint64_t size; /* the whole allocation */
    char pad[MEMORY_ALIGNMENT - sizeof(uint64_t)];
};
_Static_assert(sizeof(struct header) == MEMORY_ALIGNMENT, "a block starts at the alignment");

/* Weights and KV pools are read end to end: on huge pages the processor translates 512 times fewer
 * addresses, and the kernel hands out as many times fewer pages. Only a wish, so failures are
 * nothing. */
#define HUGE_PAGE ((uint64_t)2 << 20)

static void *default_allocate(void *user, uint64_t size, uint64_t alignment) {
    (void)user;
    if (size < 2 * HUGE_PAGE) return aligned_alloc(alignment, size);
    uint64_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; /* as aligned_alloc asks for */
    void *block = aligned_alloc(HUGE_PAGE, whole);
    if (block) madvise(block, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return block;
}

static void default_release(void *user, void *pointer, uint64_t size) {
    (void)user;
    (void)size;
    free(pointer);
}

void memory_init(struct memory *memory, const transformer_allocator *host) {
    memory->host =
        host ? *host
             : (transformer_allocator){.allocate = default_allocate, .release = default_release};
    atomic_init(&memory->bytes, 0);
}

static void *refuse(const char *purpose, size_t size) {
    fail(OUT_OF_MEMORY, "no memory for %s: %zu bytes asked for", purpose, size);
    return NULL;
}

void *memory_block(struct memory *memory, size_t size, const char *purpose) {
    size_t whole = memory_cost(size);
    if (whole == SIZE_MAX) return refuse(purpose, size);
    struct header *header = memory->host.allocate(memory->host.user, whole, MEMORY_ALIGNMENT);
    if (!header) return refuse(purpose, size);
    header->size = whole;
    atomic_fetch_add_explicit(&memory->bytes, whole, memory_order_relaxed);
    return header + 1;
}

void *memory_block_array(struct memory *memory, size_t n, size_t size, const char *purpose) {
    size_t bytes;
    if (mul_overflows(n, size, &bytes)) {
        fail(OUT_OF_MEMORY, "no memory for %s: %zu times %zu bytes asked for", purpose, n, size);
        return NULL;
    }
    void *block = memory_block(memory, bytes, purpose);
    if (block) memset(block, 0, bytes);
    return block;
}

static status give_out(void *taken, void **block) {
    if (!taken) return OUT_OF_MEMORY;
    *block = taken;
    return OK;
}

status memory_take(struct memory *memory, size_t size, const char *purpose, void **block) {
    return give_out(memory_block(memory, size, purpose), block);
}

status memory_take_zeroed(struct memory *memory, size_t size, const char *purpose, void **block) {
    return give_out(memory_block_array(memory, 1, size, purpose), block);
}

status memory_take_array(struct memory *memory, size_t n, size_t size, const char *purpose,
                         void **block) {
    return give_out(memory_block_array(memory, n, size, purpose), block);
}

void memory_give(struct memory *memory, void *block) {
    if (!block) return;
    struct header *header = (struct header *)block - 1;
    atomic_fetch_sub_explicit(&memory->bytes, header->size, memory_order_relaxed);
    memory->host.release(memory->host.user, header, header->size);
}

size_t memory_cost(size_t size) {
    if (size > SIZE_MAX / 2) return SIZE_MAX;
    return (size + sizeof(struct header) + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT *
           MEMORY_ALIGNMENT;
}
