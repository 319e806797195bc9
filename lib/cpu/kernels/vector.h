/* The vector kernels: one set of sources (simd.h), compiled once for each path with its name as
 * VECTOR_PATH, so that every function seen outside its file carries it. */
#ifndef CPU_KERNELS_VECTOR_H
#define CPU_KERNELS_VECTOR_H

#include "cpu/kernels.h"

#define VECTOR_JOINED(name, path) name##_##path
#define VECTOR_NAMED(name, path) VECTOR_JOINED(name, path)
#define VECTOR_NAME(name) VECTOR_NAMED(name, VECTOR_PATH)
#define VECTOR_TEXT_OF(path) #path
#define VECTOR_TEXT(path) VECTOR_TEXT_OF(path)

/* Each overrides its entries of the table. */
#define vector_attention VECTOR_NAME(vector_attention)
#define vector_elementwise VECTOR_NAME(vector_elementwise)
#define vector_kv VECTOR_NAME(vector_kv)
#define vector_linear_float VECTOR_NAME(vector_linear_float)
#define vector_linear_quant VECTOR_NAME(vector_linear_quant)
void vector_attention(struct kernels *kernels);
void vector_elementwise(struct kernels *kernels);
void vector_kv(struct kernels *kernels);
void vector_linear_float(struct kernels *kernels);
void vector_linear_quant(struct kernels *kernels);

#define vector_linear_bf16 VECTOR_NAME(vector_linear_bf16)
void vector_linear_bf16(struct kernels *kernels);

#define vector_linear_amx VECTOR_NAME(vector_linear_amx)
void vector_linear_amx(struct kernels *kernels);

/* The same for all paths of an architecture, compiled for its least. */
void vector_activation(struct kernels *kernels);

#endif
