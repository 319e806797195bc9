/* Version, status and devices. */
#include "api/options.h"
#include "base/text_format.h"
#include "engine/devices.h"

uint32_t transformer_version(void) {
    return (uint32_t)TRANSFORMER_VERSION_MAJOR << 24 | (uint32_t)TRANSFORMER_VERSION_MINOR << 16 |
           (uint32_t)TRANSFORMER_VERSION_PATCH << 8;
}

const char *transformer_version_string(void) {
    return TRANSFORMER_VERSION_TEXT;
}

const char *transformer_status_name(transformer_status code) {
    static const char *const names[] = {"OK",        "INVALID_ARGUMENT", "OUT_OF_MEMORY",
                                        "IO",        "FORMAT",           "UNSUPPORTED",
                                        "LIMIT",     "CANCELLED",        "DEVICE",
                                        "NOT_FOUND", "BUFFER_TOO_SMALL", "STATE",
                                        "BUSY",      "INTERNAL"};
    return code >= 0 && (size_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}

const char *transformer_last_error(void) {
    return status_text();
}

#if defined(BACKEND_CUDA)
static const char *const left_out = "";
#else
static const char *const left_out = "cuda: not built in\n";
#endif

const char *transformer_build_info(void) {
    static _Thread_local char text[1024];
    size_t n = text_format(text, sizeof text, "version: %s\ncompiler: %s\n",
                           TRANSFORMER_VERSION_TEXT, __VERSION__);
    n += devices_describe(text + n, sizeof text - n);
    text_format(text + n, sizeof text - n, "%snumbers law: %d\n", left_out, NUMBERS_LAW);
    return text;
}

int32_t transformer_device_count(void) {
    return devices_count();
}

transformer_status transformer_device_info(int32_t number, transformer_device_details *details) {
    const struct backend *backend;
    struct backend_device info;
    int device;
    TRY(OPTIONS_CHECK_OUTPUT(device_details, details));
    TRY(devices_find(number, &backend, &device));
    TRY(backend->device_info(device, &info));
    transformer_device_details ours = {
        .kind = info.kind,
        .name = info.name,
        .path = info.path,
        .memory_bytes = info.memory_bytes,
        .n_processors = info.n_processors,
    };
    options_write(details, &ours, sizeof ours);
    return OK;
}
