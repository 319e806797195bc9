/* 128 bits that tell whether bytes are what they were (XXH3). No signature: who can write bytes can
 * write their checksum too. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/memory.h"

struct checksum {
    uint64_t low, high;
};

struct checksum checksum_of(const void *bytes, size_t n, uint64_t seed);
/* Of two in this order: chains what has no one place in memory. */
struct checksum checksum_add(struct checksum before, const void *bytes, size_t n);

static inline bool checksum_same(struct checksum a, struct checksum b) {
    return a.low == b.low && a.high == b.high;
}

/* Of bytes that come in pieces; where they are cut makes no difference. */
struct checksum_stream;
status checksum_stream_create(struct memory *memory, struct checksum_stream **stream);
void checksum_stream_begin(struct checksum_stream *stream);
void checksum_stream_add(struct checksum_stream *stream, const void *bytes, size_t n);
struct checksum checksum_stream_end(const struct checksum_stream *stream);

#endif
