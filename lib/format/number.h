/* Scalars of metadata, little-endian and unaligned, as C numbers. */
#ifndef FORMAT_NUMBER_H
#define FORMAT_NUMBER_H

#include "format/checkpoint.h"

/* Bytes of a scalar in a file; 0 for strings and arrays. */
size_t number_bytes(enum metadata_kind kind);
/* False where the kind is no number or the type doesn't hold it exactly; a bool is 0 or 1. */
bool number_to_i64(enum metadata_kind kind, const uint8_t *from, int64_t *value);
/* Likewise; a float of 64 bits is rounded, but may not be beyond the range. Infinities and NaN
 * pass.
 */
bool number_to_f32(enum metadata_kind kind, const uint8_t *from, float *value);

#endif
