/* Protocol buffers' wire format, read front to back out of bytes that stay where they are. A field
 * that isn't known is passed over; one that doesn't end in the message is FORMAT. */
#ifndef FORMAT_PROTOBUF_H
#define FORMAT_PROTOBUF_H

#include "format/checkpoint.h"

struct protobuf {
    const char *file; /* for messages */
    const uint8_t *bytes;
    size_t size, at;
};

enum protobuf_wire {
    PROTOBUF_VARINT = 0,
    PROTOBUF_64 = 1,
    PROTOBUF_BYTES = 2, /* a string or a message */
    PROTOBUF_32 = 5
}; /* the format's own numbers */

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire;
    uint64_t value;    /* of all but bytes */
    struct text bytes; /* a view */
};

/* *more: there was another field. */
status protobuf_next(struct protobuf *protobuf, bool *more, struct protobuf_field *field);
/* A reader of a field's message. FORMAT  the field is of another kind. */
status protobuf_message(const struct protobuf *protobuf, const struct protobuf_field *field,
                        struct protobuf *message);
status protobuf_text(const struct protobuf *protobuf, const struct protobuf_field *field,
                     struct text *text);
status protobuf_bool(const struct protobuf *protobuf, const struct protobuf_field *field,
                     bool *value);
status protobuf_int32(const struct protobuf *protobuf, const struct protobuf_field *field,
                      int32_t *value);
status protobuf_float(const struct protobuf *protobuf, const struct protobuf_field *field,
                      float *value);

#endif
