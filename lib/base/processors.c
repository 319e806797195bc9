#define _GNU_SOURCE
#include "base/processors.h"

#include <sched.h>

int processors_count(void) {
    /* 65,536 processors, eight times what a Linux kernel can be built for: the size that
     * sched_getaffinity wants can't be asked for. */
    unsigned long mask[65536 / (8 * sizeof(unsigned long))] = {0};
    cpu_set_t *set = (cpu_set_t *)mask;
    if (sched_getaffinity(0, sizeof mask, set) != 0) return 1;
    int n = CPU_COUNT_S(sizeof mask, set);
    return n > 0 ? n : 1;
}
