/* A snapshot as sections, each followed by its checksum, whose seed is the checksum before: a byte
 * that was changed, left out or put elsewhere is found before it is used. docs/snapshots.md. */
#ifndef KV_SNAPSHOT_STREAM_H
#define KV_SNAPSHOT_STREAM_H

#include "base/checksum.h"

#define SNAPSHOT_MAGIC "KVSNAP\r\n"
enum { SNAPSHOT_VERSION = 1 };

enum { /* snapshot_header.flags */
       SNAPSHOT_ADAPTER = 1,
       SNAPSHOT_SOURCE = 2,
       SNAPSHOT_SOURCE_COMPUTED = 4,
       SNAPSHOT_WHOLE = 8, /* computed in one step: no pages are kept */
       SNAPSHOT_FLAGS = 15
};

struct snapshot_header { /* little-endian, as it lies in a file; the first section */
    char magic[8];
    uint32_t version, numbers_law;
    struct checksum model;
    struct checksum adapter;
    uint32_t kv_type, adapter_scale; /* a float's bits */
    uint32_t flags, n_groups;
    uint64_t rope_length;
    uint64_t n_tokens, n_computed, n_source_tokens, stream;
    uint64_t page_tokens;
    uint64_t total; /* bytes of the snapshot */
};

struct snapshot_group { /* all groups are one section */
    uint32_t kind, reserved;
    uint64_t window, position_bytes;
    uint64_t n_pages;   /* of the table; of fixed groups those of the source */
    uint64_t n_dropped; /* leading ones that the window has passed: they are not there */
};

/* Bytes of a section of n, with its checksum. UINT64_MAX: more than 64 bits can count. */
uint64_t snapshot_section_bytes(uint64_t n);

struct snapshot_writer {
    int32_t (*write)(void *user, const void *bytes, uint64_t n);
    void *user;
    uint8_t *to; /* all of it, or with `write` room for the largest section and its checksum */
    uint64_t written, seed;
};
/* Where the next section's bytes go. */
void *snapshot_write_begin(const struct snapshot_writer *writer);
/* They are there. CANCELLED  the callback said so. */
status snapshot_write_end(struct snapshot_writer *writer, size_t n);

struct snapshot_reader {
    const uint8_t *data; /* [size], or NULL: */
    uint64_t size;
    int64_t (*read)(void *user, void *buffer, uint64_t n);
    void *user;
    uint8_t *room; /* with `read`: for the largest section and its checksum */
    uint64_t consumed, seed;
};
/* The next section, n bytes that are what was written, valid until the next call. FORMAT, IO. */
status snapshot_read(struct snapshot_reader *reader, size_t n, const void **bytes);

#endif
