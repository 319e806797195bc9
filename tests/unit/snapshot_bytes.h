/* A snapshot taken apart: where its sections lie, and their checksums made right again after a
 * change, so that what is behind the checksums is tested too. docs/snapshots.md. */
#ifndef TESTS_SNAPSHOT_BYTES_H
#define TESTS_SNAPSHOT_BYTES_H

#define XXH_INLINE_ALL
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

enum { /* of the header */
       AT_VERSION = 8,
       AT_LAW = 12,
       AT_MODEL = 16,
       AT_ADAPTER = 32,
       AT_KV_TYPE = 48,
       AT_SCALE = 52,
       AT_FLAGS = 56,
       AT_N_GROUPS = 60,
       AT_ROPE_LENGTH = 64,
       AT_N_TOKENS = 72,
       AT_N_COMPUTED = 80,
       AT_N_SOURCE = 88,
       AT_STREAM = 96,
       AT_PAGE_TOKENS = 104,
       AT_TOTAL = 112,
       SNAPSHOT_HEAD = 120,
       SNAPSHOT_SUM = 16,
       SNAPSHOT_GROUP = 40
};

static inline uint64_t snapshot_u64(const uint8_t *bytes, size_t at) {
    uint64_t value;
    memcpy(&value, bytes + at, sizeof value);
    return value;
}

static inline uint32_t snapshot_u32(const uint8_t *bytes, size_t at) {
    uint32_t value;
    memcpy(&value, bytes + at, sizeof value);
    return value;
}

struct snapshot_walk {
    uint8_t *bytes;
    size_t size, at;
    uint64_t seed;
};

/* The section of n bytes at the walk's place gets its checksum. 0: there is none so long. */
static inline int snapshot_seal(struct snapshot_walk *walk, uint64_t n) {
    if (walk->size - walk->at < SNAPSHOT_SUM || n > walk->size - walk->at - SNAPSHOT_SUM) return 0;
    XXH128_hash_t hash = XXH3_128bits_withSeed(walk->bytes + walk->at, (size_t)n, walk->seed);
    memcpy(walk->bytes + walk->at + n, &hash.low64, 8);
    memcpy(walk->bytes + walk->at + n + 8, &hash.high64, 8);
    walk->at += (size_t)n + SNAPSHOT_SUM;
    walk->seed = hash.low64;
    return 1;
}

/* Every checksum, as far as the bytes go. */
static inline void snapshot_reseal(uint8_t *bytes, size_t size) {
    struct snapshot_walk walk = {bytes, size, 0, 0};
    if (size < SNAPSHOT_HEAD || !snapshot_seal(&walk, SNAPSHOT_HEAD)) return;
    uint64_t n_source = snapshot_u64(bytes, AT_N_SOURCE);
    uint64_t n_groups = snapshot_u32(bytes, AT_N_GROUPS);
    uint32_t flags = snapshot_u32(bytes, AT_FLAGS);
    if (!snapshot_seal(&walk, 6 * snapshot_u64(bytes, AT_N_TOKENS))) return;
    if (flags & 2 && !snapshot_seal(&walk, 4 * n_source)) return;
    size_t groups = walk.at;
    if (!snapshot_seal(&walk, n_groups * SNAPSHOT_GROUP)) return;
    for (uint64_t g = 0; g < n_groups; g++) {
        size_t group = groups + (size_t)g * SNAPSHOT_GROUP;
        uint64_t positions = snapshot_u64(bytes, AT_N_COMPUTED);
        uint64_t position_bytes = snapshot_u64(bytes, group + 16);
        uint64_t n_pages = snapshot_u64(bytes, group + 24), i = snapshot_u64(bytes, group + 32);
        if (snapshot_u32(bytes, group) == 1) positions = n_source; /* cross attention's */
        for (; i < n_pages && 64 * i < positions; i++) {
            uint64_t n = positions - 64 * i < 64 ? positions - 64 * i : 64;
            if (position_bytes > size || !snapshot_seal(&walk, n * position_bytes)) return;
        }
    }
}

#endif
