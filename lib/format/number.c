#include "format/number.h"

#include <float.h>
#include <math.h>
#include <string.h>

size_t number_bytes(enum metadata_kind kind) {
    static const uint8_t bytes[] = {
        [METADATA_U8] = 1,  [METADATA_I8] = 1,  [METADATA_U16] = 2, [METADATA_I16] = 2,
        [METADATA_U32] = 4, [METADATA_I32] = 4, [METADATA_F32] = 4, [METADATA_BOOL] = 1,
        [METADATA_U64] = 8, [METADATA_I64] = 8, [METADATA_F64] = 8,
    };
    return bytes[kind];
}

static bool double_to_i64(double from, int64_t *value) {
    if (!(from >= -0x1p63 && from < 0x1p63) || from != trunc(from)) return false;
    *value = (int64_t)from;
    return true;
}

bool number_to_i64(enum metadata_kind kind, const uint8_t *from, int64_t *value) {
    uint64_t bits = 0;
    size_t n = number_bytes(kind);
    if (n == 0) return false;
    memcpy(&bits, from, n);
    switch (kind) {
    case METADATA_I8:
        *value = (int8_t)bits;
        return true;
    case METADATA_I16:
        *value = (int16_t)bits;
        return true;
    case METADATA_I32:
        *value = (int32_t)bits;
        return true;
    case METADATA_I64:
        *value = (int64_t)bits;
        return true;
    case METADATA_F32: {
        float number;
        memcpy(&number, from, sizeof number);
        return double_to_i64((double)number, value);
    }
    case METADATA_F64: {
        double number;
        memcpy(&number, from, sizeof number);
        return double_to_i64(number, value);
    }
    default:
        if (bits > INT64_MAX) return false;
        *value = (int64_t)bits;
        return true;
    }
}

bool number_to_f32(enum metadata_kind kind, const uint8_t *from, float *value) {
    if (kind == METADATA_F32) {
        memcpy(value, from, sizeof *value);
        return true;
    }
    if (kind == METADATA_F64) {
        double number;
        memcpy(&number, from, sizeof number);
        if (isfinite(number) && fabs(number) > (double)FLT_MAX) return false;
        *value = (float)number;
        return true;
    }
    int64_t integer;
    if (kind == METADATA_BOOL || !number_to_i64(kind, from, &integer)) return false;
    *value = (float)integer;
    return (double)*value == (double)integer && fabs((double)integer) <= 0x1p53;
}
