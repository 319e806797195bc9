/* Elements of tensors that are stored otherwise than their readers see them. */
#ifndef FORMAT_TENSOR_FORM_H
#define FORMAT_TENSOR_FORM_H

#include "base/file.h"
#include "format/checkpoint.h"

/* Bytes of a stored element; 0: as is. */
size_t tensor_form_bytes(enum tensor_form form);
/* F32 elements [first, first + n) of a tensor of the file, converted. */
status tensor_form_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                        size_t n, float *values);

/* tensor_blocks.c: rows [first, first + n) of a tensor with blocks, counted through its stack. */
status tensor_blocks_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                          uint64_t n, void *rows);

#endif
