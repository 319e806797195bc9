#include "base/arena.h"

#include "base/checked.h"

struct arena_block {
    struct arena_block *older;
    _Alignas(8) uint8_t bytes[];
};

enum { BLOCK_BYTES = 4096 };

status arena_take(struct arena *arena, size_t n, const char *purpose, void **bytes) {
    size_t rounded, size;
    if (add_overflows(n, (size_t)7, &rounded)) rounded = SIZE_MAX;
    rounded &= ~(size_t)7;
    if (!arena->blocks || rounded > arena->size - arena->used) {
        struct arena_block *block;
        size = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        if (size > SIZE_MAX - sizeof *block)
            return fail(OUT_OF_MEMORY, "%zu bytes for %s can't be had", n, purpose);
        TRY(MEMORY_TAKE(arena->memory, sizeof *block + size, purpose, &block));
        block->older = arena->blocks;
        arena->blocks = block;
        arena->size = size;
        arena->used = 0;
    }
    *bytes = arena->blocks->bytes + arena->used;
    arena->used += rounded;
    return OK;
}

void arena_free(struct arena *arena) {
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        memory_give(arena->memory, block);
    }
    arena->used = arena->size = 0;
}
