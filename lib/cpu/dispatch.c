#include <string.h>

#include "base/environment.h"
#include "cpu/amx.h"
#include "cpu/kernels.h"
#include "cpu/kernels/vector.h"

/* For each architecture: what the machine has, the ladder, and the paths by name. */
struct path {
    const char *name;
    uint32_t isa; /* what it needs */
};

#if defined(__x86_64__)
#include <cpuid.h>

#include "cpu/xcr0.h"

uint32_t isa_detect(void) {
    const uint32_t states_ymm = 1u << 1 | 1u << 2, states_zmm = states_ymm | 7u << 5;
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    unsigned a, b, c, d, a1;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    uint32_t saved = xcr0_read(), isa = 0;
    bool fma_f16c = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if ((saved & states_ymm) != states_ymm || !fma_f16c || !(b & bit_AVX2)) return 0;
    isa |= ISA_AVX2;
    bool zmm = (saved & states_zmm) == states_zmm && (b & avx512) == avx512;
    if (zmm) isa |= ISA_AVX512;
    if (zmm && (c & bit_AVX512VNNI)) isa |= ISA_AVX512_VNNI;
    if (a < 1 || !__get_cpuid_count(7, 1, &a1, &b, &c, &d)) return isa;
    if (a1 & bit_AVXVNNI) isa |= ISA_AVX_VNNI;
    if ((isa & ISA_AVX512_VNNI) && (a1 & bit_AVX512BF16)) isa |= ISA_AVX512_BF16;
    if ((isa & ISA_AVX512_BF16) && !amx_missing()) isa |= ISA_AMX_BF16;
    return isa;
}

/* Later ones win: wider vectors, then products of four bytes. Each is a path of its own, with its
 * own bits. */
void kernels_init(struct kernels *kernels, uint32_t isa) {
    kernels_reference(kernels);
    if (isa & ISA_AVX2) {
        vector_activation(kernels);
        kernels_avx2(kernels);
    }
    if (isa & ISA_AVX_VNNI) kernels_avx_vnni(kernels);
    if (isa & ISA_AVX512) kernels_avx512(kernels);
    if (isa & ISA_AVX512_VNNI) kernels_avx512_vnni(kernels);
    if (isa & ISA_AVX512_BF16) {
        vector_linear_bf16_avx512_bf16(kernels);
        kernels->name = "avx512_bf16";
    }
    if (isa & ISA_AMX_BF16) { /* only where the host has said so: kernels_choose */
        vector_linear_amx_avx512_amx(kernels);
        kernels->name = "avx512_amx";
        kernels->needs_amx = true;
    }
}

static const struct path paths[] = {
    {"reference", 0},
    {"avx2", ISA_AVX2},
    {"avx_vnni", ISA_AVX2 | ISA_AVX_VNNI},
    {"avx512", ISA_AVX2 | ISA_AVX512},
    {"avx512_vnni", ISA_AVX2 | ISA_AVX512 | ISA_AVX512_VNNI},
    {"avx512_bf16", ISA_AVX2 | ISA_AVX512 | ISA_AVX512_VNNI | ISA_AVX512_BF16},
    {"avx512_amx", ISA_AVX2 | ISA_AVX512 | ISA_AVX512_VNNI | ISA_AVX512_BF16 | ISA_AMX_BF16},
};
static const char names[] =
    "reference, avx2, avx_vnni, avx512, avx512_vnni, avx512_bf16, avx512_amx";

#elif defined(__aarch64__)
#include <sys/auxv.h>

uint32_t isa_detect(void) {
    unsigned long has = getauxval(AT_HWCAP);
    if (!(has & HWCAP_ASIMD)) return 0;
    uint32_t isa = ISA_NEON;
    if (has & HWCAP_ASIMDDP) isa |= ISA_NEON_DOTPROD;
    if ((isa & ISA_NEON_DOTPROD) && (getauxval(AT_HWCAP2) & HWCAP2_I8MM)) isa |= ISA_NEON_I8MM;
    return isa;
}

void kernels_init(struct kernels *kernels, uint32_t isa) {
    kernels_reference(kernels);
    if (isa & ISA_NEON) {
        vector_activation(kernels);
        kernels_neon(kernels);
    }
    if (isa & ISA_NEON_DOTPROD) kernels_neon_dotprod(kernels);
    if (isa & ISA_NEON_I8MM) {
        vector_linear_quant_neon_i8mm(kernels);
        kernels->name = "neon_i8mm";
    }
}

static const struct path paths[] = {
    {"reference", 0},
    {"neon", ISA_NEON},
    {"neon_dotprod", ISA_NEON | ISA_NEON_DOTPROD},
    {"neon_i8mm", ISA_NEON | ISA_NEON_DOTPROD | ISA_NEON_I8MM},
};
static const char names[] = "reference, neon, neon_dotprod, neon_i8mm";

#else
uint32_t isa_detect(void) {
    return 0;
}

void kernels_init(struct kernels *kernels, uint32_t isa) {
    (void)isa;
    kernels_reference(kernels);
}

static const struct path paths[] = {{"reference", 0}};
static const char names[] = "reference";
#endif

static const char *missing_for_amx(void) {
    const char *missing = amx_missing();
    return missing ? missing : "the processor has no AVX-512 with BF16";
}

status kernels_choose(bool amx, struct kernels *kernels) {
    uint32_t isa = isa_detect();
    const char *wanted = environment_read("CPU");
    if (!wanted || !*wanted) {
        if (amx && !(isa & ISA_AMX_BF16))
            return fail(UNSUPPORTED, "cpu_amx is ON: %s", missing_for_amx());
        kernels_init(kernels, amx ? isa : isa & ~(uint32_t)ISA_AMX_BF16);
        return OK;
    }
    char runnable[128] = "";
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
    return names;
}
