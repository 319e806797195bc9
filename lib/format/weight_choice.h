/* Which of a model's tensors are quantized, and to what, where one weight type is asked for. */
#ifndef FORMAT_WEIGHT_CHOICE_H
#define FORMAT_WEIGHT_CHOICE_H

#include "format/checkpoint.h"

/* The type that a tensor is to have where the model's matrices are to be `wanted`; its own where it
 * stays. tied: the model's head is its embedding. */
enum weight_type weight_choice(const struct tensor *tensor, enum weight_type wanted, bool tied);

#endif
