#include <string.h>

#include "base/environment.h"
#include "cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0: which register states the operating system saves. */
static uint32_t saved_states(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

uint32_t isa_detect(void) {
    const uint32_t states_ymm = 1u << 1 | 1u << 2;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (!(c & bit_OSXSAVE) || (saved_states() & states_ymm) != states_ymm) return 0;
    bool fma_f16c = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    return fma_f16c && (b & bit_AVX2) ? ISA_AVX2 : 0;
}

void kernels_init(struct kernels *kernels, uint32_t isa) {
    kernels_reference(kernels);
    if (!(isa & ISA_AVX2)) return;
    kernels_avx2(kernels);
}
#else
uint32_t isa_detect(void) {
    return 0;
}

void kernels_init(struct kernels *kernels, uint32_t isa) {
    (void)isa;
    kernels_reference(kernels);
}
#endif

static const struct {
    const char *name;
    uint32_t isa; /* what it needs */
} paths[] = {{"reference", 0}, {"avx2", ISA_AVX2}};

status kernels_choose(struct kernels *kernels) {
    uint32_t isa = isa_detect();
    const char *wanted = environment_read("CPU");
    if (!wanted || !*wanted) {
        kernels_init(kernels, isa);
        return OK;
    }
    char runnable[64] = "";
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if ((paths[i].isa & isa) != paths[i].isa) continue;
        if (strcmp(paths[i].name, wanted) == 0) {
            kernels_init(kernels, paths[i].isa);
            return OK;
        }
        if (*runnable) strcat(runnable, ", ");
        strcat(runnable, paths[i].name);
    }
    return fail(UNSUPPORTED, "TRANSFORMER_CPU=%s: no such kernels for this machine, it runs: %s",
                wanted, runnable);
}

const char *kernels_names(void) {
#if defined(__x86_64__)
    return "reference, avx2";
#else
    return "reference";
#endif
}
