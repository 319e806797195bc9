/* Weight slots bound to named tensors, their shapes checked. */
#ifndef ARCH_BIND_H
#define ARCH_BIND_H

#include "arch/spec.h"

enum bind_need { BIND_REQUIRED, BIND_OPTIONAL };

struct binder {
    const struct checkpoint *file;
    struct spec *spec;
    bool *bound;    /* [checkpoint_tensor_count] */
    bool of_source; /* what is bound is used for sources alone */
};

status bind_begin(struct memory *memory, const struct checkpoint *file, struct spec *spec,
                  struct binder *binder);
/* Every tensor of the file must be bound by now, else the family's reader would leave out something
 * that the model computes: UNSUPPORTED, naming it. */
status bind_check_all(const struct binder *binder);
void bind_end(struct binder *binder);

/* name: a printf pattern with one %d for the layer, or none. Matrix [rows][cols]; rows 0: any
 * number. */
status bind_matrix(struct binder *binder, enum bind_need need, const char *name, int64_t layer,
                   int64_t rows, int64_t cols, struct weight_ref *ref);
/* Vector [n] of F32, F16 or BF16. */
status bind_vector(struct binder *binder, enum bind_need need, const char *name, int64_t layer,
                   int64_t n, struct weight_ref *ref);
/* Matrix [rows][cols] of such a type, as a vector of its rows one after the other. */
status bind_table(struct binder *binder, enum bind_need need, const char *name, int64_t layer,
                  int64_t rows, int64_t cols, struct weight_ref *ref);
/* "stem.weight" [rows][cols] and, if it is there, "stem.bias" [rows]. */
status bind_linear(struct binder *binder, enum bind_need need, const char *stem, int64_t layer,
                   int64_t rows, int64_t cols, struct linear_spec *linear);
/* The same of experts: [n_experts][rows][cols], and [n_experts][rows] if it is there. */
status bind_experts(struct binder *binder, enum bind_need need, const char *stem, int64_t layer,
                    int64_t n_experts, int64_t rows, int64_t cols, struct linear_spec *linear);
/* "stem.weight" [n] of an RMS norm. */
status bind_norm_rms(struct binder *binder, const char *stem, int64_t layer, int64_t n, float eps,
                     struct norm_spec *norm);
/* "stem.weight" [n] and, if it is there, "stem.bias" [n] of a layer norm. */
status bind_norm_layer(struct binder *binder, const char *stem, int64_t layer, int64_t n, float eps,
                       struct norm_spec *norm);
/* The same of each of n_heads heads: "stem.weight" [n] for all of them, or [n_heads][n], and then
 * *of_each. */
status bind_norm_of_heads(struct binder *binder, const char *stem, int64_t layer, int64_t n_heads,
                          int64_t n, float eps, struct norm_spec *norm, bool *of_each);
/* Whether the file has "stem.weight". */
bool bind_has(const struct binder *binder, const char *stem, int64_t layer);
/* Up to BIND_MOST_PARTS weights that lie in one tensor: rows[i] rows of "stem.weight" [sum][cols]
 * one after the other, and of "stem.bias" [sum] if it is there. */
enum { BIND_MOST_PARTS = 3 };
status bind_linear_parts(struct binder *binder, const char *stem, int64_t layer, int n_parts,
                         const int64_t *rows, int64_t cols, struct linear_spec *const *linears);
/* Two stacks of n_blocks matrices from "stem.weight" [n_blocks * (n_columns + n_rows)][cols]: of
 * each block the first n_columns rows transposed, [cols][n_columns], and the n_rows after these. */
status bind_blocks(struct binder *binder, const char *stem, int64_t layer, int64_t n_blocks,
                   int64_t n_columns, int64_t n_rows, int64_t cols, struct linear_spec *transposed,
                   struct linear_spec *rows);
/* The same of experts: "stem.weight" [n_experts][sum][cols], "stem.bias" [n_experts][sum]. */
status bind_experts_parts(struct binder *binder, const char *stem, int64_t layer, int64_t n_experts,
                          int n_parts, const int64_t *rows, int64_t cols,
                          struct linear_spec *const *linears);
/* Columns of "stem.weight"; 0: there is none. */
int64_t bind_cols(const struct binder *binder, const char *stem, int64_t layer);
/* Whether any layer has "blk.N" with this end. */
bool bind_has_layer(const struct binder *binder, const char *end);
/* All tensors of a layer. */
void bind_ignore_layer(struct binder *binder, int64_t layer);
/* A tensor that may be in a file and means nothing to us. */
void bind_ignore(struct binder *binder, const char *name, int64_t layer);

#endif
