#include "kv/snapshot_stream.h"

#include <string.h>

#include "base/checked.h"

_Static_assert(sizeof(struct snapshot_header) == 120, "no padding");
_Static_assert(sizeof(struct snapshot_group) == 40, "no padding");
_Static_assert(sizeof(struct checksum) == 16, "no padding");

uint64_t snapshot_section_bytes(uint64_t n) {
    return add_saturating(n, sizeof(struct checksum));
}

/* ---- writing ---- */

void *snapshot_write_begin(const struct snapshot_writer *writer) {
    return writer->write ? writer->to : writer->to + writer->written;
}

status snapshot_write_end(struct snapshot_writer *writer, size_t n) {
    uint8_t *section = snapshot_write_begin(writer);
    struct checksum sum = checksum_of(section, n, writer->seed);
    memcpy(section + n, &sum, sizeof sum);
    n += sizeof sum;
    if (writer->write && writer->write(writer->user, section, n) != 0)
        return fail(CANCELLED, "saving was stopped by the write callback at byte %" PRIu64,
                    writer->written);
    writer->written += n;
    writer->seed = sum.low;
    return OK;
}

/* ---- reading ---- */

static status fail_end(const struct snapshot_reader *reader, uint64_t at) {
    return fail(FORMAT,
                "the snapshot ends at byte %" PRIu64 ", within the section at byte %" PRIu64, at,
                reader->consumed);
}

/* n bytes by the callback, which may give fewer at a time. */
static status fetch(const struct snapshot_reader *reader, size_t n) {
    for (size_t done = 0; done < n;) {
        int64_t got = reader->read(reader->user, reader->room + done, n - done);
        if (got < 0 || (uint64_t)got > n - done)
            return fail(IO, "the read callback gave %" PRId64 " of %zu bytes at byte %" PRIu64, got,
                        n - done, reader->consumed + done);
        if (got == 0) return fail_end(reader, reader->consumed + done);
        done += (size_t)got;
    }
    return OK;
}

status snapshot_read(struct snapshot_reader *reader, size_t n, const void **bytes) {
    size_t whole = (size_t)snapshot_section_bytes(n);
    const uint8_t *section = reader->room;
    struct checksum written, sum;
    if (reader->data) {
        if (whole > reader->size - reader->consumed) return fail_end(reader, reader->size);
        section = reader->data + reader->consumed;
    } else {
        TRY(fetch(reader, whole));
    }
    memcpy(&written, section + n, sizeof written);
    sum = checksum_of(section, n, reader->seed);
    if (!checksum_same(sum, written))
        return fail(FORMAT,
                    "the snapshot is damaged: bytes %" PRIu64 " to %" PRIu64
                    " are not what was written",
                    reader->consumed, reader->consumed + whole);
    reader->consumed += whole;
    reader->seed = sum.low;
    *bytes = section;
    return OK;
}
