/* Elements of tensors that are stored otherwise than their readers see them. */
#ifndef FORMAT_TENSOR_FORM_H
#define FORMAT_TENSOR_FORM_H

#include "base/file.h"
#include "format/checkpoint.h"

/* Whether its bytes are those of the file, one after the other. */
bool tensor_form_is_plain(const struct tensor *tensor);
/* Bytes of a stored element; 0: as is. */
size_t tensor_form_bytes(enum tensor_form form);
/* Elements [first, first + n) of a tensor of the file that isn't plain, as its type says. */
status tensor_form_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                        size_t n, void *values);
/* The range of the file that these elements lie in, for a tensor whose rows lie one after the
 * other; of another, all of it once its last element is among them, else nothing. */
void tensor_form_range(const struct tensor *tensor, uint64_t first, uint64_t n, uint64_t *offset,
                       uint64_t *bytes);
/* A view of n rows from `first` on, of a matrix or vector of any form. */
void tensor_form_view(const struct tensor *tensor, int64_t first, int64_t n, struct tensor *view);

/* tensor_blocks.c: rows [first, first + n) of a tensor with blocks, counted through its stack. */
status tensor_blocks_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                          uint64_t n, void *rows);

#endif
