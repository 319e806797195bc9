/* Philox4x32-10, the counter-based random number generator of Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC'11. */
#ifndef SAMPLING_PHILOX_H
#define SAMPLING_PHILOX_H

#include <stdint.h>

void philox_4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t random[4]);

#endif
