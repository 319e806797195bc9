/* The table of CPU kernels: reference C fills it first, then each ISA the machine has overrides
 * entries (dispatch.c).
 *
 * The law every entry keeps: what it computes for one row (or one query, one element) is the same
 * bits whatever other rows are in the call, and a vector's tail computes what its body does. No
 * fast-math, no contraction; FMA only by intrinsic or fmaf. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "program/op.h"
#include "quant/weight_type.h"

/* ---- linear: y = W x ---- */

/* How a kernel wants its activations: it depends on the weight type and the path, never on the
 * number of rows. */
enum activation_format {
    ACTIVATION_F32,
    ACTIVATION_BF16,       /* kernels/activation_bf16.h */
    ACTIVATION_Q8_INTEGER, /* kernels/activation_q8.h */
    ACTIVATION_Q8_FLOAT,
    ACTIVATION_FORMATS
};

struct activation_kernel {
    /* Bytes of one prepared row of n elements, a multiple of 64. */
    size_t (*row_bytes)(size_t n);
    /* row is 64-byte aligned. F32: a copy, the padding zeroed. */
    void (*prepare)(const float *x, size_t n, void *row);
};

/* One weight type. A weight [n_rows][n_cols] is packed once at load into ceil(n_rows / group)
 * groups of `group` rows; absent rows of the last group are zero weights. A lane owns an output row
 * and walks the blocks of k in order. */
struct linear_kernel {
    enum activation_format format;
    size_t group;                         /* rows, a divisor of KERNEL_MAX_GROUP */
    size_t (*group_bytes)(size_t n_cols); /* a multiple of 64 */
    /* n_rows (1 ... group) rows of file bytes, row_bytes apart, any alignment → one group, 64-byte
     * aligned. */
    void (*pack)(const void *rows, size_t row_bytes, size_t n_rows, size_t n_cols, void *group);
    /* One row back to f32, the value of each weight exactly as weight_type_traits.dequantize gives
     * it. */
    void (*unpack_row)(const void *group, size_t row, size_t n_cols, float *to);
    /* y[i * y_stride + r] = W[r] · x_i for n_groups * group rows r of consecutive groups and n_x
     * prepared activation rows, x_stride bytes apart. Every y row has room for n_groups * group
     * floats. n_x = 1 and n_x = 512 give row i the same bits. */
    void (*multiply)(const void *groups, size_t n_groups, size_t n_cols, const void *x,
                     size_t x_stride, size_t n_x, float *y, size_t y_stride);
};
#define KERNEL_MAX_GROUP 32
_Static_assert(REG_ALIGNMENT % KERNEL_MAX_GROUP == 0, "a row has room for its last group");

/* ---- attention ---- */

enum kv_type { KV_F32, KV_F16, KV_BF16, KV_Q8_0, KV_TYPES };
#define KV_PAGE 64 /* positions in a page */
#define ATTENTION_SPLIT \
    256 /* keys after which the online softmax starts anew; parts are merged in order */

/* Queries of consecutive positions of one sequence that share one KV head. */
struct attention_task {
    const float *q;                   /* row i, head h at q + i * q_stride + h * head_dim */
    size_t q_stride;                  /* floats */
    size_t n_rows, n_heads, head_dim; /* n_heads: query heads of this KV head */
    size_t value_dim;
    bool values_in_keys; /* the values are the first value_dim dims of the keys; no v_offset */
    int64_t
        position; /* of row 0; row i sees keys max(0, position + i - window + 1) ... position + i */
    int64_t n_keys; /* 0, or: row i sees keys behind it too, up to position + i + window - 1, at
                       most n_keys - 1 */
    int64_t window; /* 0: no window */
    float scale,
        softcap; /* score = softcap ? softcap * tanh(s / softcap) : s, s = scale * (q · k) */
    const float *slopes; /* [n_heads]: slope * (key - query) is added to the score; NULL: none */
    /* 0, or: what is added is slope_scale * (r(slope * r(key)) - r(slope * r(query))) of BF16
     * slopes, r rounding to BF16. */
    float slope_scale;
    /* NULL, or [n_heads][relative_stride]: a bias by distance is added to the score, that of key -
     * query = d at relative_reach + d; d of a page's first key is cut to -relative_reach ...
     * relative_reach - KV_PAGE, beyond which all are equal, and the page's others follow. */
    const float *relative;
    size_t relative_stride;
    int64_t relative_reach;
    enum kv_type type;
    const uint8_t
        *pool; /* page p begins at pool + pages[p] * page_bytes; pages[position / KV_PAGE] */
    const int32_t *pages;                  /* those wholly out of the window may be -1 */
    size_t page_bytes, k_offset, v_offset; /* of this head's keys and values: see kv_store */
    void *scratch; /* attention_scratch_bytes(n_rows * n_heads, head_dim, value_dim), 64-byte
                      aligned */
};

/* Floats of the state of one query: maximum at 0, sum at 1, weighted values not yet divided from 16
 * on. */
#define ATTENTION_PART_FLOATS(value_dim) (16 + ((value_dim) + 15) / 16 * 16)

struct kernels {
    const char *name; /* "reference", "avx2", … */
    bool needs_amx;   /* amx_permit comes before the first multiplication */
    struct activation_kernel activation[ACTIVATION_FORMATS];
    struct linear_kernel linear[WEIGHT_TYPES];

    /* y[n] = x / sqrt(mean(x²) + eps) * weight;  weight may be NULL. y may be x. */
    void (*norm_rms)(const float *x, const float *weight, float eps, size_t n, float *y);
    /* y[n] = (x - mean) / sqrt(var + eps) * weight + bias; weight, bias may be NULL. */
    void (*norm_layer)(const float *x, const float *weight, const float *bias, float eps, size_t n,
                       float *y);
    /* Rotates pairs of x[n_dims] in place; table [n_dims / 2][2]: cos, sin. */
    void (*rope)(float *x, const float *table, size_t n_dims, enum rope_pairing pairing);
    /* table [n][2] = scale * cos, scale * sin of (float)position * frequencies[i], the product
     * rounded to f32. |angle| < 2^22. */
    void (*rope_table)(int64_t position, const float *frequencies, size_t n, float scale,
                       float *table);
    /* One position of a head [n], rounded into the head's place in a page: a value as a row of
     * [KV_PAGE][n], a key as a column of [n][KV_PAGE], so that a lane of attention is a key. Q8_0:
     * after the quants the scales as f16, [KV_PAGE][blocks] of values, [blocks][KV_PAGE] of keys,
     * a block being KV_SCALE_DIMS dims, the last one maybe fewer. */
    void (*kv_store)(enum kv_type type, const float *x, size_t n, size_t position, void *head);
    void (*kv_store_key)(enum kv_type type, const float *x, size_t n, size_t position, void *head);
    /* y[n] = act(gate) * up; up NULL: y = act(gate). y may be gate or up. SWIGLU_CLAMPED has an up.
     */
    void (*gate)(enum activation activation, const float *gate, const float *up, size_t n,
                 float *y);
    void (*add)(const float *x, size_t n, float *y);                      /* y += x */
    void (*add_scaled)(float factor, const float *x, size_t n, float *y); /* y = factor * x + y */
    /* scores[n] of a router's logits: their softmax, or the sigmoid of each. */
    void (*route_scores)(enum routing routing, const float *logits, size_t n, float *scores);
    void (*scale)(float factor, size_t n, float *y); /* y *= factor */
    void (*softcap)(float cap, size_t n, float *y);  /* y = cap * tanh(y / cap) */

    size_t (*attention_scratch_bytes)(size_t n_queries, size_t head_dim, size_t value_dim);
    /* Keys [split * ATTENTION_SPLIT, +ATTENTION_SPLIT) of every query:
     * part[query][ATTENTION_PART_FLOATS], query = row * n_heads + head. Blocks of KV_PAGE keys in
     * order, a fresh online softmax. A query that sees none of them gets m = -inf, l = 0, o = 0. */
    void (*attention_split)(const struct attention_task *task, int64_t split, float *part);
    /* total ⊕= part for n queries; a total with l = 0 becomes part exactly, a part with l = 0
     * changes nothing. */
    void (*attention_merge)(size_t n_queries, size_t value_dim, const float *part, float *total);
    /* out[value_dim] = o / l of one query. */
    void (*attention_finish)(const float *total, size_t value_dim, float *out);
};

/* ---- dispatch.c ---- */

enum isa {
    ISA_AVX2 = 1 << 0,        /* AVX2, FMA, F16C and an OS that saves ymm */
    ISA_AVX_VNNI = 1 << 1,    /* vpdpbusd on ymm, VEX encoded */
    ISA_AVX512 = 1 << 2,      /* AVX-512 F, BW, DQ, VL and an OS that saves zmm */
    ISA_AVX512_VNNI = 1 << 3, /* vpdpbusd on zmm */
    ISA_AVX512_BF16 = 1 << 4, /* vdpbf16ps */
    ISA_AMX_BF16 = 1 << 5,    /* tdpbf16ps, and an OS that saves tiles */

    ISA_NEON = 1 << 6,         /* Advanced SIMD of ARMv8-A */
    ISA_NEON_DOTPROD = 1 << 7, /* sdot */
    ISA_NEON_I8MM = 1 << 8,    /* smmla */
};

uint32_t isa_detect(void);
/* Every entry up to what isa allows. */
void kernels_init(struct kernels *kernels, uint32_t isa);
/* The best path of this machine, the one with AMX only if `amx`, which is UNSUPPORTED where there
 * is none. Or the one that TRANSFORMER_CPU names; UNSUPPORTED if it can't run here or isn't known.
 */
status kernels_choose(bool amx, struct kernels *kernels);

/* The paths that are built in, as one line. Static. */
const char *kernels_names(void);

void kernels_reference(struct kernels *kernels);
/* One set of sources, compiled for each (kernels/vector.c). */
void kernels_avx2(struct kernels *kernels);
void kernels_avx_vnni(struct kernels *kernels);
void kernels_avx512(struct kernels *kernels);
void kernels_avx512_vnni(struct kernels *kernels);
void vector_linear_bf16_avx512_bf16(struct kernels *kernels); /* bf16 weights alone */
void vector_linear_amx_avx512_amx(struct kernels *kernels);   /* bf16 and quantized weights alone */
void kernels_neon(struct kernels *kernels);
void kernels_neon_dotprod(struct kernels *kernels);
void vector_linear_quant_neon_i8mm(struct kernels *kernels); /* quantized weights alone */

#endif
