#include "grammar/compile.h"

#include <string.h>

#include "base/checked.h"

status compile_take(struct compile *compile, size_t count, size_t size, void **bytes) {
    size_t n;
    if (mul_overflows(count, size, &n) || n > COMPILE_MOST_BYTES - compile->bytes)
        return fail(LIMIT, "the grammar is too large: compiling it takes more than %zu MiB",
                    COMPILE_MOST_BYTES >> 20);
    TRY(arena_take(&compile->arena, n ? n : 1, "compiling a grammar", bytes));
    memset(*bytes, 0, n);
    compile->bytes += n;
    return OK;
}

status compile_work(struct compile *compile, uint64_t n) {
    compile->work += n;
    if (compile->work <= COMPILE_MOST_WORK) return OK;
    return fail(LIMIT, "the grammar is too large: compiling it takes too many steps");
}

void compile_end(struct compile *compile) {
    arena_free(&compile->arena);
    compile->bytes = 0;
}
