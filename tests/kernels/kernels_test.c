#define _GNU_SOURCE
#include "kernels_test.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/amx.h"

#define GUARD 256
#define POISON 0xa5

static unsigned n_checks, n_failures;
static uint64_t random_state;

void check(bool ok, const char *format, ...) {
    n_checks++;
    if (ok) return;
    if (n_failures++ >= 40) return;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED: ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

uint64_t random_bits(void) { /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t random_below(size_t n) {
    return (size_t)(random_bits() % n);
}

float random_normal(void) {
    double sum = -6.0;
    for (int i = 0; i < 12; i++) sum += (double)(random_bits() >> 11) * 0x1p-53;
    return (float)sum;
}

void random_fill(float *x, size_t n, float deviation) {
    for (size_t i = 0; i < n; i++) x[i] = random_normal() * deviation;
}

void *guarded_new(size_t size) {
    uint8_t *block = aligned_alloc(64, (size + 2 * GUARD + 63) / 64 * 64);
    if (!block) exit(2);
    memset(block, POISON, size + 2 * GUARD);
    return block + GUARD;
}

bool guarded_intact(const void *block, size_t size) {
    const uint8_t *bytes = block;
    for (size_t i = 0; i < GUARD; i++)
        if (bytes[size + i] != POISON || *(bytes - 1 - i) != POISON) return false;
    return true;
}

void guarded_free(void *block, size_t size, const char *what) {
    check(guarded_intact(block, size), "%s: wrote outside its output", what);
    free((uint8_t *)block - GUARD);
}

/* Where a type's block has its f16 scales; -1 ends. */
static const int scale_offsets[WEIGHT_TYPES][3] = {
    [WEIGHT_Q4_0] = {0, -1},    [WEIGHT_Q4_1] = {0, 2, -1}, [WEIGHT_Q5_0] = {0, -1},
    [WEIGHT_Q5_1] = {0, 2, -1}, [WEIGHT_Q8_0] = {0, -1},    [WEIGHT_Q2_K] = {80, 82, -1},
    [WEIGHT_Q3_K] = {108, -1},  [WEIGHT_Q4_K] = {0, 2, -1}, [WEIGHT_Q5_K] = {0, 2, -1},
    [WEIGHT_Q6_K] = {208, -1},  [WEIGHT_Q8_K] = {-1},       [WEIGHT_F32] = {-1},
    [WEIGHT_F16] = {-1},        [WEIGHT_BF16] = {-1},       [WEIGHT_IQ4_NL] = {0, -1},
    [WEIGHT_IQ4_XS] = {0, -1},  [WEIGHT_MXFP4] = {-1},      [WEIGHT_NVFP4] = {-1},
    [WEIGHT_TQ1_0] = {52, -1},  [WEIGHT_TQ2_0] = {64, -1},  [WEIGHT_IQ1_S] = {0, -1},
    [WEIGHT_IQ1_M] = {-1},      [WEIGHT_IQ2_XXS] = {0, -1}, [WEIGHT_IQ2_XS] = {0, -1},
    [WEIGHT_IQ2_S] = {0, -1},   [WEIGHT_IQ3_XXS] = {0, -1}, [WEIGHT_IQ3_S] = {0, -1},
};

/* Scales of another kind than a half. */
static void set_other_scale(enum weight_type type, uint8_t *block) {
    float scale = random_normal() * 0.02f;
    uint16_t half = half_from_float(scale);
    if (type == WEIGHT_Q8_K) memcpy(block, &scale, sizeof scale);
    if (type == WEIGHT_MXFP4) block[0] = (uint8_t)(118 + random_below(6));
    for (int i = 0; i < 4 && type == WEIGHT_NVFP4; i++) block[i] = (uint8_t)(8 + random_below(40));
    for (int i = 0; i < 4 && type == WEIGHT_IQ1_M; i++) /* a nibble of each word */
        block[49 + 2 * i] = (uint8_t)((block[49 + 2 * i] & 15) | (half >> 4 * i & 15) << 4);
}

void weights_fill(enum weight_type type, enum weight_pattern pattern, size_t n, void *to) {
    const struct weight_type_traits *traits = &weight_type_traits[type];
    bool is_float = traits->block == 1;
    if (traits->quantize &&
        (pattern == PATTERN_NORMAL || (is_float && pattern != PATTERN_HOSTILE))) {
        float *values = malloc(n * sizeof(float));
        if (!values) exit(2);
        random_fill(values, n, pattern == PATTERN_NORMAL ? 0.05f : 5.0f);
        traits->quantize(values, to, n);
        free(values);
        return;
    }
    size_t bytes = weight_type_row_bytes(type, n);
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)to)[i] = (uint8_t)random_bits();
    if (pattern == PATTERN_HOSTILE) return;
    for (size_t b = 0; b < n / traits->block; b++) {
        uint8_t *block = (uint8_t *)to + b * traits->block_bytes;
        /* the largest quants and scales of either sign: whole blocks of one byte */
        static const uint8_t extremes[] = {0xff, 0x80, 0x7f, 0x00};
        if (pattern == PATTERN_EXTREME) memset(block, extremes[b % 4], traits->block_bytes);
        for (const int *at = scale_offsets[type]; *at >= 0; at++) {
            uint16_t scale = half_from_float(random_normal() * 0.02f);
            memcpy(block + *at, &scale, sizeof scale);
        }
        set_other_scale(type, block);
    }
}

/* Every path of this architecture by the name that TRANSFORMER_CPU gives it, what it needs, and
 * whether its linear layers have the bits of the path before it. */
static const struct {
    const char *name;
    uint32_t isa;
    bool same_bits;
} all_paths[] = {
    {"reference", 0, false},
#if defined(__x86_64__)
    {"avx2", ISA_AVX2, false},
    {"avx_vnni", ISA_AVX2 | ISA_AVX_VNNI, false},
    {"avx512", ISA_AVX2 | ISA_AVX512, false},
    {"avx512_vnni", ISA_AVX2 | ISA_AVX512 | ISA_AVX512_VNNI, false},
    {"avx512_bf16", ISA_AVX2 | ISA_AVX512 | ISA_AVX512_VNNI | ISA_AVX512_BF16, false},
    {"avx512_amx", ISA_AVX2 | ISA_AVX512 | ISA_AVX512_VNNI | ISA_AVX512_BF16 | ISA_AMX_BF16, false},
#elif defined(__aarch64__)
    {"neon", ISA_NEON, false},
    {"neon_dotprod", ISA_NEON | ISA_NEON_DOTPROD, true},
    {"neon_i8mm", ISA_NEON | ISA_NEON_DOTPROD | ISA_NEON_I8MM, true},
#endif
};
#define N_PATHS (sizeof all_paths / sizeof *all_paths)

static void test_dispatch(uint32_t isa) {
    struct kernels kernels;
    setenv("TRANSFORMER_CPU", "abacus", 1);
    check(kernels_choose(false, &kernels) == UNSUPPORTED && strstr(status_text(), "abacus") &&
              strstr(status_text(), "reference"),
          "TRANSFORMER_CPU=abacus is refused by name with what there is");
    for (size_t i = 0; i < N_PATHS; i++) {
        const char *name = all_paths[i].name;
        setenv("TRANSFORMER_CPU", name, 1);
        status code = kernels_choose(false, &kernels);
        if ((all_paths[i].isa & isa) == all_paths[i].isa)
            check(code == OK && strcmp(kernels.name, name) == 0, "TRANSFORMER_CPU=%s gives %s",
                  name, code == OK ? kernels.name : status_text());
        else
            check(code == UNSUPPORTED, "TRANSFORMER_CPU=%s is refused on this machine", name);
    }
    unsetenv("TRANSFORMER_CPU");
    check(kernels_choose(false, &kernels) == OK, "without TRANSFORMER_CPU: %s", status_text());
}

/* The paths that this machine can run. */
static size_t find_paths(uint32_t isa, struct path *paths) {
    size_t n = 0;
    for (size_t i = 0; i < N_PATHS; i++) {
        bool runs = (all_paths[i].isa & isa) == all_paths[i].isa;
        if (runs) {
            paths[n] = (struct path){.isa = all_paths[i].isa,
                                     .twin = all_paths[i].same_bits ? &paths[n - 1] : NULL};
            kernels_init(&paths[n].kernels, all_paths[i].isa);
            runs = !paths[n].kernels.needs_amx || amx_permit() == OK;
        }
        if (runs)
            n++;
        else
            printf("skipped: %s, this machine can't run it\n", all_paths[i].name);
    }
    return n;
}

int main(int argc, char **argv) {
    bool run_bench = false;
    const char *only = NULL;
    random_state = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            run_bench = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            random_state = strtoull(argv[++i], NULL, 0);
        else if (run_bench && !only)
            only = argv[i];
        else {
            fprintf(stderr, "usage: %s [--seed N] [--bench [WHAT]]\n", argv[0]);
            return 2;
        }
    }
    uint32_t isa = isa_detect();
    struct path paths[N_PATHS + 1] = {0};
    size_t n_paths = find_paths(isa, paths);
    if (run_bench) {
        bench(paths, n_paths, only);
        return 0;
    }
    printf("seed %llu\n", (unsigned long long)random_state);
    test_dispatch(isa);
    test_tiles(isa, paths[n_paths - 1].kernels.needs_amx ? &paths[n_paths - 1] : NULL);
    if (tiles_path(isa, &paths[n_paths])) n_paths++;
    for (size_t i = 0; i < n_paths; i++) {
        test_linear(&paths[i]);
        test_elementwise(&paths[i]);
        test_attention(&paths[i]);
        printf("%s: %u checks, %u failed so far\n", paths[i].kernels.name, n_checks, n_failures);
    }
    return n_failures > 0;
}
