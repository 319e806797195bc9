/* Kinds of arch/spec.h that kernels are told by number, for code that can't include it: the numbers
 * are the same. */
#ifndef CUDA_KERNELS_KINDS_H
#define CUDA_KERNELS_KINDS_H

enum kind_of_norm { KIND_NORM_NONE, KIND_NORM_RMS, KIND_NORM_LAYER };
enum kind_of_activation {
    KIND_ACTIVATION_NONE,
    KIND_ACTIVATION_SILU,
    KIND_ACTIVATION_GELU_TANH,
    KIND_ACTIVATION_GELU,
    KIND_ACTIVATION_RELU,
    KIND_ACTIVATION_TANH,
    KIND_ACTIVATION_RELU_SQUARED,
    KIND_ACTIVATION_SWIGLU_CLAMPED
};

#endif
