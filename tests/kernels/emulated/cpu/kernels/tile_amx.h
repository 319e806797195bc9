/* The library's header of this name with bodies that need no AMX, for kernels that are compiled to
 * be tested: tile_emulated.c. */
#ifndef CPU_KERNELS_TILE_AMX_H
#define CPU_KERNELS_TILE_AMX_H

#include <stdbool.h>
#include <stddef.h>

#include "cpu/kernels/tile_config.h"

void tile_configure(const struct tile_config *config);
void tile_release(void);
void tile_zero(int tile);
void tile_load(int tile, const void *from, size_t stride);
void tile_store(int tile, void *to, size_t stride);
void tile_dot_bf16(int sum, int a, int b);

/* Whether this thread has tiles. */
bool tile_is_configured(void);
/* The program's: told of what the processor would raise an exception for. */
void tile_fault(const char *what);

#endif
