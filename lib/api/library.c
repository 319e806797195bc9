/* Version, status and devices. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/options.h"
#include "base/text_format.h"
#include "cpu/kernels.h"
#include "cpu/processors.h"
#include "cpu/team.h"

/* Of the order in which numbers are added; it changes when the same tokens would give other bits.
 */
enum { NUMBERS_LAW = 1 };

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

/* The path that a model opened now would get, cpu_amx OFF; its message where TRANSFORMER_CPU names
 * none. */
static const char *path_name(void) {
    struct kernels kernels;
    return kernels_choose(false, &kernels) == OK
               ? kernels.name
               : "none (TRANSFORMER_CPU names no path that runs here)";
}

const char *transformer_build_info(void) {
    static _Thread_local char text[512];
    text_format(text, sizeof text,
                "version: %s\ncompiler: %s\ncpu paths: %s\ncpu path chosen: %s\nthreads: %s\n"
                "cuda: not built in\nnumbers law: %d\n",
                TRANSFORMER_VERSION_TEXT, __VERSION__, kernels_names(), path_name(), team_kind(),
                NUMBERS_LAW);
    return text;
}

int32_t transformer_device_count(void) {
    return 1;
}

#if defined(__x86_64__)
#include <cpuid.h>

/* The brand string, leaves 0x80000002 … 4. */
static void read_processor_name(char name[49]) {
    unsigned words[12] = {0};
    for (unsigned leaf = 0; leaf < 3; leaf++) {
        unsigned *w = words + 4 * leaf;
        if (!__get_cpuid(0x80000002u + leaf, &w[0], &w[1], &w[2], &w[3])) break;
    }
    memcpy(name, words, 48);
    name[48] = 0;
}
#else
static void read_processor_name(char name[49]) {
    name[0] = 0;
}
#endif

transformer_status transformer_device_info(int32_t device, transformer_device_details *details) {
    static _Thread_local char name[49];
    TRY(OPTIONS_CHECK_OUTPUT(device_details, details));
    if (device != 0) return fail(NOT_FOUND, "device %" PRId32 " of 1", device);
    read_processor_name(name);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    transformer_device_details ours = {
        .kind = "cpu",
        .name = name,
        .path = path_name(),
        .memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0,
        .n_processors = (uint64_t)processors_count(),
    };
    options_write(details, &ours, sizeof ours);
    return OK;
}
