#include "api/options.h"

#include <string.h>

static status read_size(const char *name, size_t first_size, const void *given, uint64_t *size) {
    memcpy(size, given, sizeof *size);
    if (*size >= first_size && *size <= OPTIONS_MOST_BYTES) return OK;
    return fail(INVALID_ARGUMENT, "%s: struct_size is %" PRIu64 ", must be %zu to %d", name, *size,
                first_size, OPTIONS_MOST_BYTES);
}

status options_read(const char *name, size_t first_size, const void *given, size_t our_size,
                    void *ours) {
    memset(ours, 0, our_size);
    uint64_t own = our_size, size;
    if (given) {
        TRY(read_size(name, first_size, given, &size));
        const unsigned char *bytes = given;
        for (size_t i = our_size; i < size; i++)
            if (bytes[i])
                return fail(UNSUPPORTED,
                            "%s: byte %zu is set, this library knows %zu bytes of the struct", name,
                            i, our_size);
        memcpy(ours, given, size < our_size ? (size_t)size : our_size);
    }
    memcpy(ours, &own, sizeof own);
    return OK;
}

status options_check_output(const char *name, size_t first_size, const void *given) {
    uint64_t size;
    TRY(options_require(name, given));
    return read_size(name, first_size, given, &size);
}

void options_write(void *given, const void *ours, size_t our_size) {
    uint64_t size;
    memcpy(&size, given, sizeof size);
    size_t known = size < our_size ? (size_t)size : our_size;
    memcpy((char *)given + sizeof size, (const char *)ours + sizeof size, known - sizeof size);
    memset((char *)given + known, 0, (size_t)size - known);
}

status options_check_mode(const char *name, uint32_t mode) {
    if (mode <= TRANSFORMER_ON) return OK;
    return fail(INVALID_ARGUMENT, "%s is %" PRIu32 ", must be DEFAULT, OFF or ON", name, mode);
}

status options_check_reserved(const char *name, uint32_t reserved) {
    if (!reserved) return OK;
    return fail(UNSUPPORTED, "%s: the reserved member is set", name);
}

status options_require(const char *name, const void *pointer) {
    return pointer ? OK : fail(INVALID_ARGUMENT, "%s is NULL", name);
}
