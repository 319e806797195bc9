/* The allocator of an instance: counts what it gave, fails with a status, never aborts. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdatomic.h>

#include "base/status.h"

#define MEMORY_ALIGNMENT 64 /* of every block: a cache line, and the widest vector */

/* Thread-safe as long as the host's functions are, which its contract asks for. */
struct memory {
    transformer_allocator host;
    _Atomic uint64_t bytes; /* taken now, bookkeeping included */
};

/* host NULL: aligned_alloc and free. */
void memory_init(struct memory *memory, const transformer_allocator *host);

/* size bytes at MEMORY_ALIGNMENT, not cleared; NULL and OUT_OF_MEMORY, which tells what they were
 * for. size 0 gives a block of its own too. */
void *memory_block(struct memory *memory, size_t size, const char *purpose);
/* count * size with an overflow check, zeroed. */
void *memory_block_array(struct memory *memory, size_t count, size_t size, const char *purpose);

static inline status memory_status(const void *block) {
    return block ? OK : OUT_OF_MEMORY;
}

/* A block for *pointer, whatever it points to, and a status; NULL on failure. Assigned, not written
 * through another type of pointer. MEMORY_TAKE: size bytes, not cleared; _ONE: what it points to,
 * zeroed; _ARRAY: count of them, zeroed. */
#define MEMORY_TAKE(memory, size, purpose, pointer) \
    memory_status(*(pointer) = memory_block(memory, size, purpose))
#define MEMORY_TAKE_ONE(memory, purpose, pointer) MEMORY_TAKE_ARRAY(memory, 1, purpose, pointer)
#define MEMORY_TAKE_ARRAY(memory, count, purpose, pointer) \
    memory_status(*(pointer) = memory_block_array(memory, count, sizeof **(pointer), purpose))

/* The same for a pointer that is a void *; on failure *block is untouched. */
status memory_take(struct memory *memory, size_t size, const char *purpose, void **block);
status memory_take_zeroed(struct memory *memory, size_t size, const char *purpose, void **block);
status memory_take_array(struct memory *memory, size_t count, size_t size, const char *purpose,
                         void **block);

/* NULL does nothing. */
void memory_give(struct memory *memory, void *block);
/* Bytes that memory_take(size) adds to memory.bytes: what estimates add up. SIZE_MAX: it can't be
 * had from anybody. */
size_t memory_cost(size_t size);

#endif
