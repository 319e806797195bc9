/* GGUF, versions 2 and 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include "format/metadata_table.h"
#include "format/part.h"

/* Growing tables; a checkpoint keeps the first part's metadata and the tensors of all parts. */
struct tensor_table {
    struct tensor *items;
    size_t count, capacity;
};

#define GGUF_MAGIC "GGUF"

/* Parses and validates the head of one part: adds its metadata and tensors to the tables, sets the
 * part's head_bytes and data_offset. What it added is valid as long as the part is open. */
status gguf_read_head(struct part *part, int part_index, struct memory *memory,
                      struct metadata_table *metadata, struct tensor_table *tensors,
                      uint32_t *version);
/* gguf_layout.c: tensors [first, count) are those of one part, their offsets relative to its data.
 * Checks that they lie in the file, aligned and apart from each other, and makes the offsets
 * absolute. */
status gguf_layout_check(const struct part *part, struct memory *memory,
                         const struct tensor_table *tensors, size_t first, uint64_t alignment);
/* order [n] are indices of tensors: sorts them by their tensors' offsets. */
void gguf_layout_sort(const struct tensor_table *tensors, uint32_t *order, size_t n);

/* gguf_split.c: what a part of a split file says of itself. count 1: it isn't split. */
struct gguf_split {
    int64_t index, count, n_tensors; /* n_tensors -1: not told */
};
/* keys  of that part alone. INVALID_ARGUMENT  not part `expected`, counted from 0. */
status gguf_split_read(const struct part *part, const struct metadata_table *keys, int64_t expected,
                       struct gguf_split *split);
/* Writes the name of part `index` over that of the first, "...-00001-of-00003.gguf". */
status gguf_split_name(char *name, int64_t index, int64_t count);

#endif
