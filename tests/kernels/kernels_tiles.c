/* AMX: what a machine may lack, the emulated tiles themselves, the path that is made of them, and
 * their bits against the processor's where it has AMX. */
#include <stdlib.h>
#include <string.h>

#include "cpu/amx.h"
#include "kernels_test.h"

/* Each reason by itself. */
static void test_missing(void) {
    const uint32_t bf16 = 1u << 22, tile = 1u << 24, saved = 3u << 17;
    const char *whole = amx_missing_of(tile | bf16, saved), *cpuid = amx_missing_of(bf16, saved);
    check(!whole, "AMX is missing where it is there: %s", whole);
    check(cpuid && strstr(cpuid, "AMX-TILE"), "AMX without tiles");
    cpuid = amx_missing_of(tile, saved);
    check(cpuid && strstr(cpuid, "AMX-BF16"), "AMX without bf16");
    for (uint32_t one = 0; one < 3; one++) {
        const char *states = amx_missing_of(tile | bf16, one << 17);
        check(states && strstr(states, "XCR0"), "AMX whose states aren't saved");
    }
}

static void test_choice(uint32_t isa) {
    struct kernels kernels;
    check(kernels_choose(false, &kernels) == OK && !kernels.needs_amx, "AMX that nobody asked for");
    status code = kernels_choose(true, &kernels);
    if (isa & ISA_AMX_BF16)
        check(code == OK && strcmp(kernels.name, "avx512_amx") == 0 && kernels.needs_amx,
              "AMX gives %s", code == OK ? kernels.name : status_text());
    else
        check(code == UNSUPPORTED && strstr(status_text(), amx_missing()), "AMX is refused: %s",
              status_text());
    if (!amx_missing()) return;
    code = amx_permit();
    check(code == UNSUPPORTED && strstr(status_text(), "AMX"), "the permission for tiles: %s",
          status_text());
}

#if defined(TILES_EMULATED)
#include "emulated/cpu/kernels/tile_amx.h"

void vector_linear_amx_avx512_amx_emulated(struct kernels *kernels);

static unsigned n_expected_faults;

void tile_fault(const char *what) {
    if (n_expected_faults > 0)
        n_expected_faults--;
    else
        check(false, "%s", what);
}

bool tiles_path(uint32_t isa, struct path *path) {
    if (!(isa & ISA_AVX512_BF16)) return false;
    path->isa = isa & ~(uint32_t)ISA_AMX_BF16;
    kernels_init(&path->kernels, path->isa);
    vector_linear_amx_avx512_amx_emulated(&path->kernels);
    path->kernels.name = "avx512_amx (emulated)";
    path->tiles_left = tile_is_configured;
    return true;
}

/* Columns of a's row and b's only column, and what the product adds to 1. */
static void check_product(const float *a, const float *b, float right, const char *what) {
    const struct tile_config config = {.palette = 1, .row_bytes = {4, 16, 4}, .rows = {1, 1, 4}};
    uint16_t pairs[2][8];
    float sum = 1.0f;
    for (int i = 0; i < 8; i++) {
        pairs[0][i] = bfloat16_from_float(a[i]);
        pairs[1][i] = bfloat16_from_float(b[i]);
    }
    tile_configure(&config);
    tile_load(0, &sum, 4);
    tile_load(1, pairs[0], 16);
    tile_load(2, pairs[1], 4);
    tile_dot_bf16(0, 1, 2);
    tile_store(0, &sum, 4);
    tile_release();
    check(sum == right, "a product of tiles, %s: %a instead of %a", what, (double)sum,
          (double)right);
}

static void test_product(void) {
    const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    check_product((float[8]){1, 2, 3, 4, 5, 6, 7, 8}, ones, 37.0f, "all columns");
    /* The 1s beside 2^24 are lost, the 2s of the odd columns are 8 when they come to it. */
    check_product((float[8]){0x1p24f, 2, 1, 2, 1, 2, 1, 2}, ones, 0x1p24f + 8, "order");
    check_product((float[8]){0x1p-130f, 0, 0, 0}, (float[8]){0x1p127f}, 1.0f, "a denormal");
    /* Alone each would be lost in 1 + 2^-24, and rounds to even. */
    check_product((float[8]){0x1p-24f, 0x1p-24f}, ones, 1.0f + 0x1p-23f, "the sum before the rest");
}

static void test_faults(void) {
    const struct tile_config odd = {.palette = 1, .row_bytes = {64, 64, 64}, .rows = {1, 2, 16}};
    const struct tile_config wrong = {.palette = 1, .row_bytes = {65}, .rows = {1}};
    n_expected_faults = 4;
    tile_zero(0); /* before any configuration */
    tile_configure(&wrong);
    tile_configure(&odd);
    tile_zero(3);           /* has no shape */
    tile_dot_bf16(0, 1, 2); /* other rows than the sum */
    check(n_expected_faults == 0, "%u faults of tiles weren't seen", n_expected_faults);
    check(tile_is_configured(), "tiles are gone without a release");
    tile_release();
    check(!tile_is_configured(), "tiles stay after the release");
}

/* y of the path for some weights and activations that depend on the seed alone. */
static float *multiply_some(const struct path *path, enum weight_type type, size_t n_x,
                            size_t n_rows, size_t n_cols, const uint8_t *file, const float *x) {
    const struct linear_kernel *kernel = &path->kernels.linear[type];
    const struct activation_kernel *activation = &path->kernels.activation[kernel->format];
    size_t row_bytes = weight_type_row_bytes(type, n_cols), n = n_rows / kernel->group;
    size_t bytes = kernel->group_bytes(n_cols), x_bytes = activation->row_bytes(n_cols);
    uint8_t *groups = guarded_new(n * bytes), *prepared = guarded_new(n_x * x_bytes);
    float *y = malloc(n_x * n_rows * sizeof *y);
    if (!y) exit(2);
    for (size_t g = 0; g < n; g++)
        kernel->pack(file + g * kernel->group * row_bytes, row_bytes, kernel->group, n_cols,
                     groups + g * bytes);
    for (size_t i = 0; i < n_x; i++)
        activation->prepare(x + i * n_cols, n_cols, prepared + i * x_bytes);
    kernel->multiply(groups, n, n_cols, prepared, x_bytes, n_x, y, n_rows);
    guarded_free(groups, n * bytes, "weights");
    guarded_free(prepared, n_x * x_bytes, "activations");
    return y;
}

/* That the instruction adds in the order that its manual says. */
static void test_against_processor(const struct path *processor, const struct path *emulated) {
    enum { ROWS = 48, COLS = 1280, X = 53 };
    float *x = malloc(X * COLS * sizeof *x);
    uint8_t *file = malloc(ROWS * COLS * sizeof(float));
    if (!x || !file) exit(2);
    random_fill(x, X * COLS, 1.0f);
    for (int type = 0; type < WEIGHT_TYPES; type++) {
        weights_fill((enum weight_type)type, PATTERN_NORMAL, ROWS * COLS, file);
        float *right = multiply_some(processor, (enum weight_type)type, X, ROWS, COLS, file, x);
        float *y = multiply_some(emulated, (enum weight_type)type, X, ROWS, COLS, file, x);
        check(memcmp(right, y, X * ROWS * sizeof *y) == 0,
              "%s: the emulated tiles give other bits than the processor's",
              weight_type_traits[type].name);
        free(right);
        free(y);
    }
    free(x);
    free(file);
}

void test_tiles(uint32_t isa, const struct path *processor) {
    struct path emulated = {0};
    test_missing();
    test_choice(isa);
    if (!tiles_path(isa, &emulated)) return;
    test_product();
    test_faults();
    if (processor)
        test_against_processor(processor, &emulated);
    else
        puts("skipped: the emulated tiles against the processor's, which has none");
}
#else
bool tiles_path(uint32_t isa, struct path *path) {
    (void)isa, (void)path;
    return false;
}

void test_tiles(uint32_t isa, const struct path *processor) {
    (void)processor;
    test_missing();
    test_choice(isa);
}
#endif
