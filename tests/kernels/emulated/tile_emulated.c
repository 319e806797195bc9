/* Tiles by AVX-512, for one thread each. The product is the pseudo-code of TDPBF16PS in Intel's
 * Software Developer's Manual, volume 2: fused multiply-adds in f32 with DAZ and FTZ, rounding to
 * nearest even, even and odd columns apart. What the processor would refuse goes to tile_fault. */
#include <immintrin.h>
#include <string.h>

#include "cpu/kernels/tile_amx.h"

#define TILES 8
/* DAZ, FTZ, every exception masked, round to nearest even. */
#define FLUSHING 0x9fc0u

static _Thread_local struct {
    bool configured;
    struct tile_config config;
    _Alignas(64) uint8_t rows[TILES][TILE_ROWS][TILE_ROW_BYTES];
} state;

static bool config_is_right(const struct tile_config *config) {
    bool right = config->palette == 1 && config->start_row == 0;
    for (size_t i = 0; i < sizeof config->reserved; i++) right &= config->reserved[i] == 0;
    for (int i = 0; i < 16; i++) {
        right &= config->rows[i] <= TILE_ROWS && config->row_bytes[i] <= TILE_ROW_BYTES;
        right &= (config->rows[i] == 0) == (config->row_bytes[i] == 0);
        right &= i < TILES || config->rows[i] == 0;
    }
    return right;
}

void tile_configure(const struct tile_config *config) {
    if (!config_is_right(config)) tile_fault("ldtilecfg: not a configuration");
    state.configured = true;
    state.config = *config;
    memset(state.rows, 0, sizeof state.rows);
}

void tile_release(void) {
    memset(&state, 0, sizeof state);
}

bool tile_is_configured(void) {
    return state.configured;
}

static bool is_usable(int tile) {
    bool usable = tile >= 0 && tile < TILES && state.configured && state.config.rows[tile] > 0;
    if (!usable) tile_fault("a tile is used that has no shape");
    return usable;
}

void tile_zero(int tile) {
    if (is_usable(tile)) memset(state.rows[tile], 0, sizeof state.rows[tile]);
}

void tile_load(int tile, const void *from, size_t stride) {
    if (!is_usable(tile)) return;
    memset(state.rows[tile], 0, sizeof state.rows[tile]);
    for (size_t i = 0; i < state.config.rows[tile]; i++)
        memcpy(state.rows[tile][i], (const uint8_t *)from + i * stride,
               state.config.row_bytes[tile]);
}

void tile_store(int tile, void *to, size_t stride) {
    if (!is_usable(tile)) return;
    for (size_t i = 0; i < state.config.rows[tile]; i++)
        memcpy((uint8_t *)to + i * stride, state.rows[tile][i], state.config.row_bytes[tile]);
}

static __m512 even_of(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

static __m512 odd_of(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}

/* One row of the sums, with n_pairs of a's row by as many rows of b. */
static __attribute__((noinline)) void add_row(size_t n_pairs, const uint8_t *a,
                                              uint8_t (*b)[TILE_ROW_BYTES], uint8_t *sum) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (size_t k = 0; k < n_pairs; k++) {
        int32_t pair;
        memcpy(&pair, a + k * sizeof pair, sizeof pair);
        __m512i x = _mm512_set1_epi32(pair), w = _mm512_loadu_si512(b[k]);
        even = _mm512_fmadd_ps(even_of(x), even_of(w), even);
        odd = _mm512_fmadd_ps(odd_of(x), odd_of(w), odd);
    }
    _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), _mm512_add_ps(even, odd)));
}

void tile_dot_bf16(int sum, int a, int b) {
    if (!is_usable(sum) || !is_usable(a) || !is_usable(b)) return;
    const uint8_t *rows = state.config.rows;
    const uint16_t *bytes = state.config.row_bytes;
    if (rows[sum] != rows[a] || bytes[sum] != bytes[b] || bytes[a] != 4 * rows[b] || sum == a ||
        sum == b || a == b)
        tile_fault("tdpbf16ps: the shapes don't fit");
    unsigned host = _mm_getcsr();
    _mm_setcsr(FLUSHING);
    for (size_t i = 0; i < rows[sum]; i++)
        add_row(bytes[a] / 4u, state.rows[a][i], state.rows[b], state.rows[sum][i]);
    _mm_setcsr(host);
}
