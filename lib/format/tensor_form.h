/* Elements of tensors that are stored otherwise than their readers see them. */
#ifndef FORMAT_TENSOR_FORM_H
#define FORMAT_TENSOR_FORM_H

#include "format/part.h"

/* Bytes of a stored element; 0: as is, or no number of bytes. */
size_t tensor_form_bytes(enum tensor_form form);
/* F32 elements [first, first + n) of a tensor of the file whose form has bytes of an element. */
status tensor_form_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                        size_t n, float *values);
/* Rows first ... first + n - 1 of a tensor of any form but AS_IS, as blocks of its type. The work
 * is divided among threads. */
status tensor_form_rows(const struct part *parts, struct memory *memory,
                        const struct tensor *tensor, int64_t first, int64_t n, void *to);
/* The same tensor as one of `type`, to which its values are quantized when they are asked for;
 * dims[0] is a multiple of the type's block. */
struct tensor tensor_form_quantized(const struct tensor *tensor, enum weight_type type);

#endif
