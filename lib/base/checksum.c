#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct checksum_stream {
    XXH3_state_t state; /* aligned as memory's blocks are */
};
_Static_assert(_Alignof(struct checksum_stream) <= MEMORY_ALIGNMENT, "a block's alignment");

static struct checksum from_hash(XXH128_hash_t hash) {
    return (struct checksum){hash.low64, hash.high64};
}

struct checksum checksum_of(const void *bytes, size_t n, uint64_t seed) {
    return from_hash(XXH3_128bits_withSeed(bytes, n, seed));
}

struct checksum checksum_add(struct checksum before, const void *bytes, size_t n) {
    struct checksum both[2] = {before, checksum_of(bytes, n, 0)};
    return checksum_of(both, sizeof both, 0);
}

status checksum_stream_create(struct memory *memory, struct checksum_stream **stream) {
    return MEMORY_TAKE_ONE(memory, "a checksum", stream);
}

void checksum_stream_begin(struct checksum_stream *stream) {
    (void)XXH3_128bits_reset(&stream->state);
}

void checksum_stream_add(struct checksum_stream *stream, const void *bytes, size_t n) {
    (void)XXH3_128bits_update(&stream->state, bytes, n);
}

struct checksum checksum_stream_end(const struct checksum_stream *stream) {
    return from_hash(XXH3_128bits_digest(&stream->state));
}
