#include "cpu/processor.h"

#include <string.h>
#include <unistd.h>

#include "base/processors.h"
#include "base/text_format.h"
#include "cpu/kernels.h"
#include "cpu/team.h"

int processor_count_devices(char *why, size_t size) {
    if (size) why[0] = 0;
    return 1;
}

/* The path that a model opened now would get, cpu_amx OFF; its message where TRANSFORMER_CPU names
 * none. */
static const char *path_name(void) {
    struct kernels kernels;
    return kernels_choose(false, &kernels) == OK
               ? kernels.name
               : "none (TRANSFORMER_CPU names no path that runs here)";
}

size_t processor_describe(char *text, size_t size) {
    return text_format(text, size, "cpu paths: %s\ncpu path chosen: %s\nthreads: %s\n",
                       kernels_names(), path_name(), team_kind());
}

#if defined(__x86_64__)
#include <cpuid.h>

/* The brand string, leaves 0x80000002 … 4. */
static void read_name(char name[49]) {
    unsigned words[12] = {0};
    for (unsigned leaf = 0; leaf < 3; leaf++) {
        unsigned *w = words + 4 * leaf;
        if (!__get_cpuid(0x80000002u + leaf, &w[0], &w[1], &w[2], &w[3])) break;
    }
    memcpy(name, words, 48);
    name[48] = 0;
}
#else
static void read_name(char name[49]) {
    name[0] = 0;
}
#endif

status processor_info(int device, struct backend_device *info) {
    static _Thread_local char name[49];
    if (device != 0) return fail(NOT_FOUND, "there is one CPU");
    read_name(name);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    *info = (struct backend_device){
        .kind = "cpu",
        .name = name,
        .path = path_name(),
        .memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0,
        .n_processors = (uint64_t)processors_count(),
    };
    return OK;
}
