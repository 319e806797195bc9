/* The test of the CPU kernels and their benchmark in one program: every kernel of every path this
 * machine can run, odd shapes, poisoned guards around every output, one seed that is printed. */
#ifndef KERNELS_TEST_H
#define KERNELS_TEST_H

#include <stdio.h>

#include "cpu/kernels.h"

struct path {
    struct kernels kernels;
    uint32_t isa;
    const struct path *twin;  /* whose packed weights and products have the same bits, or NULL */
    bool (*tiles_left)(void); /* whether a call left tiles configured; NULL: it can't be told */
};

/* Prints the message and counts a failure unless ok. */
void check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t random_bits(void);
size_t random_below(size_t n);
float random_normal(void);
void random_fill(float *x, size_t n, float deviation);

/* size bytes, 64-byte aligned, poisoned, with poisoned guards before and after. */
void *guarded_new(size_t size);
bool guarded_intact(const void *block, size_t size);
/* Checks the guards, naming the test, and frees. */
void guarded_free(void *block, size_t size, const char *what);

/* Weights in the file's format, [n_rows][row_bytes]. */
enum weight_pattern { PATTERN_NORMAL, PATTERN_RANDOM_BITS, PATTERN_EXTREME, PATTERN_HOSTILE };
void weights_fill(enum weight_type type, enum weight_pattern pattern, size_t n, void *to);

/* The path of emulated AMX, if this machine can run that. */
bool tiles_path(uint32_t isa, struct path *path);
/* processor: the path of AMX, or NULL. */
void test_tiles(uint32_t isa, const struct path *processor);

void test_linear(const struct path *path);
void test_elementwise(const struct path *path);
void test_attention(const struct path *path);
void bench(const struct path *paths, size_t n_paths, const char *only);

#endif
