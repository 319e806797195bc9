#include "format/protobuf.h"

#include <string.h>

static status fail_field(const struct protobuf *protobuf, const char *what) {
    return fail(FORMAT, "%s: %s (at byte %zu of a message of %zu bytes)", protobuf->file, what,
                protobuf->at, protobuf->size);
}

/* At most 10 bytes of 7 bits, the lowest first. */
static status read_varint(struct protobuf *protobuf, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (protobuf->at == protobuf->size) return fail_field(protobuf, "a number is cut off");
        uint8_t byte = protobuf->bytes[protobuf->at++];
        if (shift == 63 && byte > 1) return fail_field(protobuf, "a number is over 64 bits");
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return OK;
    }
    return fail_field(protobuf, "a number is over 10 bytes");
}

static status read_fixed(struct protobuf *protobuf, size_t n, uint64_t *value) {
    if (n > protobuf->size - protobuf->at) return fail_field(protobuf, "a number is cut off");
    *value = 0;
    for (size_t i = 0; i < n; i++) *value |= (uint64_t)protobuf->bytes[protobuf->at + i] << (8 * i);
    protobuf->at += n;
    return OK;
}

status protobuf_next(struct protobuf *protobuf, bool *more, struct protobuf_field *field) {
    uint64_t tag;
    *more = protobuf->at < protobuf->size;
    if (!*more) return OK;
    TRY(read_varint(protobuf, &tag));
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return fail_field(protobuf, "a field's number is out of range");
    *field = (struct protobuf_field){.number = (uint32_t)(tag >> 3)};
    field->wire = (enum protobuf_wire)(tag & 7);
    switch (tag & 7) {
    case PROTOBUF_VARINT:
        return read_varint(protobuf, &field->value);
    case PROTOBUF_64:
        return read_fixed(protobuf, 8, &field->value);
    case PROTOBUF_32:
        return read_fixed(protobuf, 4, &field->value);
    case PROTOBUF_BYTES: {
        uint64_t length;
        TRY(read_varint(protobuf, &length));
        if (length > protobuf->size - protobuf->at)
            return fail_field(protobuf, "a field is longer than its message");
        field->bytes = (struct text){(const char *)protobuf->bytes + protobuf->at, (size_t)length};
        protobuf->at += (size_t)length;
        return OK;
    }
    default:
        return fail_field(protobuf, "a field is of no kind that there is");
    }
}

static status expect(const struct protobuf *protobuf, const struct protobuf_field *field,
                     enum protobuf_wire wire) {
    if (field->wire == wire) return OK;
    return fail(FORMAT, "%s: field %" PRIu32 " has wire type %d, not %d", protobuf->file,
                field->number, (int)field->wire, (int)wire);
}

status protobuf_message(const struct protobuf *protobuf, const struct protobuf_field *field,
                        struct protobuf *message) {
    TRY(expect(protobuf, field, PROTOBUF_BYTES));
    *message = (struct protobuf){
        .file = protobuf->file,
        .bytes = (const uint8_t *)field->bytes.data,
        .size = field->bytes.length,
    };
    return OK;
}

status protobuf_text(const struct protobuf *protobuf, const struct protobuf_field *field,
                     struct text *text) {
    TRY(expect(protobuf, field, PROTOBUF_BYTES));
    *text = field->bytes;
    return OK;
}

status protobuf_bool(const struct protobuf *protobuf, const struct protobuf_field *field,
                     bool *value) {
    TRY(expect(protobuf, field, PROTOBUF_VARINT));
    *value = field->value != 0;
    return OK;
}

status protobuf_int32(const struct protobuf *protobuf, const struct protobuf_field *field,
                      int32_t *value) {
    TRY(expect(protobuf, field, PROTOBUF_VARINT));
    uint32_t bits = (uint32_t)field->value; /* negative ones are written in 64 bits */
    memcpy(value, &bits, sizeof *value);
    return OK;
}

status protobuf_float(const struct protobuf *protobuf, const struct protobuf_field *field,
                      float *value) {
    TRY(expect(protobuf, field, PROTOBUF_32));
    uint32_t bits = (uint32_t)field->value;
    memcpy(value, &bits, sizeof *value);
    return OK;
}
