/* What reading does at most: the ceiling that speeds are told in percent of. */
#ifndef GPU_READ_RATE_H
#define GPU_READ_RATE_H

#include "timing.h"

/* Bytes a second of reading n_bytes once with all multiprocessors; 0: it can't be measured. The
 * probes' kernels are loaded. */
double read_rate(struct timing *timing, size_t n_bytes);

#endif
