/* Products of warpgroups. Each warp does its 16 rows. A product is carried out when it is waited
 * for: until then its accumulators hold NaN, and a change of them, or of the shared memory that it
 * reads, is an error. */
#include <stdio.h>
#include <string.h>

#include <vector>

#include "hopper.h"

struct product {
    uint32_t n;
    enum element element;
    bool add;
    uint64_t a, b;
    bool from_registers, b_rows;
    uint32_t fragments[32][4];
    float *d[32];
    std::vector<float>
        before; /* [32][n / 2]; empty: a product before it on the same accumulators */
    uint32_t group;
    struct site site;
};

static struct {
    std::vector<struct product> products;
    uint32_t n_groups;
    bool fenced;
} states[MAX_WARPS];

static const uint32_t UNDER_WAY = 0x7fc0dead; /* a NaN */

static void poison(const struct product &product) {
    for (uint32_t lane = 0; lane < 32; lane++)
        for (uint32_t i = 0; i < product.n / 2; i++) memcpy(&product.d[lane][i], &UNDER_WAY, 4);
}

static void check_poison(const struct product &product) {
    for (uint32_t lane = 0; lane < 32; lane++)
        if (memcmp(&product.d[lane][0], &UNDER_WAY, 4) != 0 ||
            memcmp(&product.d[lane][product.n / 2 - 1], &UNDER_WAY, 4) != 0)
            emulated_fail(product.site,
                          "lane %u changed the accumulators of a product that was under way", lane);
}

/* ---- operands ---- */

static uint32_t start_of(uint64_t matrix) {
    return (uint32_t)(matrix & 0x3fff) << 4;
}

static void check_matrix(uint64_t matrix, struct site site) {
    if (matrix >> 62 != 1 || (matrix >> 49 & 7) != 0)
        emulated_fail(site, "wgmma: a matrix without a swizzle of 128 bytes is not emulated");
    if (start_of(matrix) % 1024 >= 128 || start_of(matrix) % 32)
        emulated_fail(site,
                      "wgmma: a matrix at %u, which is not a multiple of 1,024, plus 32 for "
                      "each 16 of k",
                      start_of(matrix));
}

/* 32 bytes of k of rows first ... first + n - 1. */
static void read_rows(uint64_t matrix, uint32_t first, uint32_t n, enum element element,
                      double (*to)[32], struct site site) {
    const uint32_t stride = (uint32_t)(matrix >> 32 & 0x3fff) << 4;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t row = first + i;
        uint16_t values[16];
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t at = start_of(matrix) + row / 8 * stride + row % 8 * 128 + half * 16;
            at ^= (at >> 7 & 7) << 4;
            emulated_shared_read_async(at, values + 8 * half, site);
        }
        for (uint32_t k = 0, at = 0; k < 16; k++)
            at += emulated_unpack(values[k], element, &to[i][at]);
    }
}

/* 16 of k of columns 0 ... n - 1, where the rows of k lie in memory. */
static void read_columns(uint64_t matrix, uint32_t n, enum element element, double (*to)[32],
                         struct site site) {
    const uint32_t stride = (uint32_t)(matrix >> 32 & 0x3fff) << 4;
    const uint32_t columns = (uint32_t)(matrix >> 16 & 0x3fff) << 4;
    for (uint32_t k = 0; k < 16; k++)
        for (uint32_t first = 0; first < n; first += 8) {
            uint16_t values[8];
            uint32_t at = start_of(matrix) + first / 64 * columns + k / 8 * stride + k % 8 * 128 +
                          first % 64 * 2;
            at ^= (at >> 7 & 7) << 4;
            emulated_shared_read_async(at, values, site);
            for (uint32_t i = 0; i < 8; i++) emulated_unpack(values[i], element, &to[first + i][k]);
        }
}

static void read_operands(const struct product &product, uint32_t row, double (*a)[32],
                          double (*b)[32]) {
    const uint32_t of_half = product.element == ELEMENT_E4M3 ? 2 : 1;
    if (product.from_registers)
        for (uint32_t lane = 0; lane < 32; lane++)
            for (uint32_t i = 0; i < 4; i++) {
                double *to = &a[lane / 4 + i % 2 * 8][of_half * (lane % 4 * 2 + i / 2 * 8)];
                emulated_unpack(product.fragments[lane][i] & 0xffff, product.element, to);
                emulated_unpack(product.fragments[lane][i] >> 16, product.element, to + of_half);
            }
    else
        read_rows(product.a, row, 16, product.element, a, product.site);
    if (product.b_rows)
        read_columns(product.b, product.n, product.element, b, product.site);
    else
        read_rows(product.b, 0, product.n, product.element, b, product.site);
}

/* ---- from issue to end ---- */

static void carry_out(const struct product &product, uint32_t row) {
    const uint32_t depth = product.element == ELEMENT_E4M3 ? 32 : 16;
    static double columns[32][256];
    double a[16][32], b[256][32];
    read_operands(product, row, a, b);
    for (uint32_t n = 0; n < product.n; n++)
        for (uint32_t k = 0; k < depth; k++) columns[k][n] = b[n][k];
    /* Row by row, so that the host adds several columns at once. */
    for (uint32_t m = 0; m < 16; m++) {
        const uint32_t half = product.n / 2, i_of_row = m / 8 * 2;
        double sums[256];
        for (uint32_t n = 0; n < product.n; n++) {
            const uint32_t lane = m % 8 * 4 + n % 8 / 2, i = n / 8 * 4 + i_of_row + n % 2;
            sums[n] = product.add ? (double)product.before[lane * half + i] : 0;
        }
        for (uint32_t first = 0; first < depth; first += 8) {
            for (uint32_t k = first; k < first + 8; k++)
                for (uint32_t n = 0; n < product.n; n++) sums[n] += a[m][k] * columns[k][n];
            for (uint32_t n = 0; n < product.n; n++) sums[n] = (double)(float)sums[n];
        }
        for (uint32_t n = 0; n < product.n; n++) {
            const uint32_t lane = m % 8 * 4 + n % 8 / 2, i = n / 8 * 4 + i_of_row + n % 2;
            product.d[lane][i] = (float)sums[n];
        }
    }
}

static void take_accumulators(struct product *product) {
    product->before.resize(16 * product->n);
    for (uint32_t lane = 0; lane < 32; lane++)
        memcpy(&product->before[lane * (product->n / 2)], product->d[lane], product->n / 2 * 4);
}

static void check_uniform(const struct emulated_warp *warp, const struct warp_call *call) {
    for (uint32_t lane = 0; lane < 32; lane++) {
        const struct wgmma_call *other = warp->lanes[lane]->call->wgmma;
        if (other->a != call->wgmma->a || other->b != call->wgmma->b ||
            other->add != call->wgmma->add || other->n != call->wgmma->n)
            emulated_fail(call->site, "wgmma: the lanes of the warp don't agree on the matrices");
    }
}

static uint32_t first_row(const struct emulated_warp *warp) {
    return warp->id % 4 * 16;
}

void emulated_wgmma_issue(struct emulated_warp *warp) {
    const struct warp_call *call = warp->lanes[0]->call;
    auto &state = states[warp->id];
    check_uniform(warp, call);
    if (!state.fenced)
        emulated_fail(call->site, "wgmma: no wgmma_fence since the registers were last touched");
    if (emulated.threads % 128)
        emulated_fail(call->site, "wgmma: the block has no whole warpgroups");
    check_matrix(call->wgmma->b, call->site);
    struct product product = {};
    product.n = call->wgmma->n;
    product.element = call->wgmma->element;
    product.add = call->wgmma->add;
    product.a = call->wgmma->a;
    product.b = call->wgmma->b;
    product.b_rows = call->wgmma->b_rows;
    product.from_registers = call->wgmma->a_registers != NULL;
    product.group = state.n_groups;
    product.site = call->site;
    if (!product.from_registers) check_matrix(product.a, call->site);
    for (uint32_t lane = 0; lane < 32; lane++) {
        const struct warp_call *its = warp->lanes[lane]->call;
        product.d[lane] = (float *)its->to;
        if (product.from_registers) memcpy(product.fragments[lane], its->wgmma->a_registers, 16);
    }
    double a[16][32], b[256][32];
    read_operands(product, first_row(warp), a, b); /* they must be there already */
    bool chained = false;
    for (const struct product &other : state.products)
        chained = chained || other.d[0] == product.d[0];
    if (!chained) take_accumulators(&product);
    poison(product);
    state.products.push_back(product);
}

void emulated_wgmma_fence(struct emulated_warp *warp) {
    states[warp->id].fenced = true;
}

void emulated_wgmma_commit(struct emulated_warp *warp, struct site) {
    states[warp->id].n_groups++;
}

void emulated_wgmma_wait(struct emulated_warp *warp, uint32_t n) {
    auto &state = states[warp->id];
    size_t done = 0;
    /* What is read from now on is read after whatever an arrival before this wait let happen. */
    emulated_tick(warp);
    while (done < state.products.size() && state.products[done].group + n < state.n_groups) {
        const struct product &product = state.products[done++];
        check_poison(product);
        carry_out(product, first_row(warp));
        for (size_t i = done; i < state.products.size(); i++)
            if (state.products[i].d[0] == product.d[0]) {
                take_accumulators(&state.products[i]);
                poison(state.products[i]);
                break;
            }
    }
    state.products.erase(state.products.begin(), state.products.begin() + (long)done);
    emulated_tick(warp);
    state.fenced = false;
}

const char *emulated_wgmma_end(struct emulated_warp *warp) {
    static char text[200];
    auto &state = states[warp->id];
    const bool left = !state.products.empty();
    if (left)
        snprintf(text, sizeof text, "a product of warp %u (%s:%d) is still under way",
                 warp->id % (MAX_THREADS / 32), state.products[0].site.file,
                 state.products[0].site.line);
    state.products.clear();
    state.n_groups = 0;
    state.fenced = false;
    return left ? text : NULL;
}
