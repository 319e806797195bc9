/* What compiling a grammar may take: memory that ends with it, and steps, so that no grammar,
 * however hostile, costs more than this. */
#ifndef GRAMMAR_COMPILE_H
#define GRAMMAR_COMPILE_H

#include "base/arena.h"

#define COMPILE_MOST_BYTES ((size_t)256 << 20)
#define COMPILE_MOST_WORK ((uint64_t)400 * 1000 * 1000)
enum { COMPILE_MOST_DEPTH = 200 }; /* of parentheses, of schemas within schemas */

struct compile {
    struct arena arena;
    size_t bytes;
    uint64_t work;
};

/* Zeroed. */
status compile_take(struct compile *compile, size_t count, size_t size, void **bytes);
/* n more steps were done. LIMIT: they are too many. */
status compile_work(struct compile *compile, uint64_t n);
void compile_end(struct compile *compile);

#define COMPILE_TAKE(compile, count, pointer)                                     \
    do {                                                                          \
        void *taken_;                                                             \
        TRY(compile_take(compile, (size_t)(count), sizeof **(pointer), &taken_)); \
        *(pointer) = taken_;                                                      \
    } while (0)

/* An array that grows: room for one more at array[n]. */
#define COMPILE_GROW(compile, array, n, capacity)                        \
    do {                                                                 \
        if ((n) == (capacity)) {                                         \
            size_t more_ = (capacity) ? 2 * (size_t)(capacity) : 16;     \
            void *taken_;                                                \
            TRY(compile_take(compile, more_, sizeof *(array), &taken_)); \
            if (n) memcpy(taken_, array, (size_t)(n) * sizeof *(array)); \
            (array) = taken_;                                            \
            (capacity) = (uint32_t)more_;                                \
        }                                                                \
    } while (0)

#endif
