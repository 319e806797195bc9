/* Which register states the operating system saves (x86-64). */
#ifndef CPU_XCR0_H
#define CPU_XCR0_H

#include <cpuid.h>
#include <stdint.h>

/* XCR0, 0 where it can't be read. */
static inline uint32_t xcr0_read(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

#endif
