#include "program/kv_form.h"

#include <string.h>

/* [rows][n_cols] of a matrix whose rows are from_stride elements apart to [n_cols][rows] likewise.
 * memcpy: either side may lie anywhere. Destinations run along, so that the compiler gathers. */
#define TRANSPOSE(type)                                                                          \
    static void transpose_##type(const uint8_t *from, size_t from_stride, size_t n_rows,         \
                                 size_t n_cols, uint8_t *to, size_t to_stride) {                 \
        for (size_t col = 0; col < n_cols; col++)                                                \
            for (size_t row = 0; row < n_rows; row++) {                                          \
                type element;                                                                    \
                memcpy(&element, from + (row * from_stride + col) * sizeof element,              \
                       sizeof element);                                                          \
                memcpy(to + (col * to_stride + row) * sizeof element, &element, sizeof element); \
            }                                                                                    \
    }
TRANSPOSE(uint8_t)
TRANSPOSE(uint16_t)
TRANSPOSE(uint32_t)

static void transpose(size_t element_bytes, const uint8_t *from, size_t from_stride, size_t n_rows,
                      size_t n_cols, uint8_t *to, size_t to_stride) {
    if (element_bytes == 1)
        transpose_uint8_t(from, from_stride, n_rows, n_cols, to, to_stride);
    else if (element_bytes == 2)
        transpose_uint16_t(from, from_stride, n_rows, n_cols, to, to_stride);
    else
        transpose_uint32_t(from, from_stride, n_rows, n_cols, to, to_stride);
}

/* Elements, or scales, of one head: [KV_PAGE_TOKENS][dim] or [dim][KV_PAGE_TOKENS] in the page,
 * [n][dim] in the form. */
struct part {
    size_t dim, element_bytes;
    bool by_dim;
};

static void pack(const struct part *part, const uint8_t *page, size_t n, uint8_t *form) {
    if (part->by_dim)
        transpose(part->element_bytes, page, KV_PAGE_TOKENS, part->dim, n, form, part->dim);
    else
        memcpy(form, page, n * part->dim * part->element_bytes);
}

static void unpack(const struct part *part, const uint8_t *form, size_t n, uint8_t *page) {
    size_t row_bytes = part->dim * part->element_bytes;
    if (n < KV_PAGE_TOKENS) memset(page, 0, KV_PAGE_TOKENS * row_bytes);
    if (part->by_dim)
        transpose(part->element_bytes, form, part->dim, n, part->dim, page, KV_PAGE_TOKENS);
    else
        memcpy(page, form, n * row_bytes);
}

/* The parts of a head in the order in which both have them: keys, their scales, values, theirs. */
static void parts_of(const struct kv_format *format, const struct kv_place *place,
                     struct part parts[4]) {
    size_t dims[2] = {(size_t)place->key_dim, (size_t)place->value_dim};
    for (int i = 0; i < 2; i++) {
        bool by_dim = i == 0 && format->keys_by_dim;
        size_t n_scales = (dims[i] + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
        if (!format->scale_bytes) n_scales = 0;
        parts[2 * i] = (struct part){dims[i], format->element_bytes, by_dim};
        parts[2 * i + 1] = (struct part){n_scales, format->scale_bytes, by_dim};
    }
}

void kv_form_pack(const struct kv_layout *layout, int group, const void *page, size_t n,
                  void *form) {
    uint8_t *to = form;
    for (int i = 0; i < layout->n_places; i++) {
        const struct kv_place *place = &layout->places[i];
        if (place->group != group) continue;
        const uint8_t *from = (const uint8_t *)page + place->k_offset;
        struct part parts[4];
        parts_of(&layout->format, place, parts);
        for (int64_t head = 0; head < place->n_heads; head++)
            for (int p = 0; p < 4; p++) {
                size_t row_bytes = parts[p].dim * parts[p].element_bytes;
                if (row_bytes) pack(&parts[p], from, n, to);
                from += KV_PAGE_TOKENS * row_bytes;
                to += n * row_bytes;
            }
    }
}

void kv_form_unpack(const struct kv_layout *layout, int group, const void *form, size_t n,
                    void *page) {
    const uint8_t *from = form;
    for (int i = 0; i < layout->n_places; i++) {
        const struct kv_place *place = &layout->places[i];
        if (place->group != group) continue;
        uint8_t *to = (uint8_t *)page + place->k_offset;
        struct part parts[4];
        parts_of(&layout->format, place, parts);
        for (int64_t head = 0; head < place->n_heads; head++)
            for (int p = 0; p < 4; p++) {
                size_t row_bytes = parts[p].dim * parts[p].element_bytes;
                if (row_bytes) unpack(&parts[p], from, n, to);
                from += n * row_bytes;
                to += KV_PAGE_TOKENS * row_bytes;
            }
    }
}
