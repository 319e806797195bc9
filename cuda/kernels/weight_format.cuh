/* A packed weight's format (cuda/weight_layout.h) as constants, all of them made where the compiler
 * makes constants: for products, which unpack whole units, and for what takes single values. */
#ifndef CUDA_KERNELS_WEIGHT_FORMAT_CUH
#define CUDA_KERNELS_WEIGHT_FORMAT_CUH

#include "cuda/weight_layout.h"

template <int type> struct packed_format {
    static constexpr weight_format format = weight_layout_format(type);
    static constexpr uint32_t low_bits = format.low_bits, high_bits = format.high_bits;
    static constexpr uint32_t code_offset = format.code_offset, sub_offset = format.sub_offset;
    static constexpr int scales = format.scales;
    static constexpr uint32_t header_bytes = format.header_bytes;
    /* Places in a unit. */
    static constexpr uint32_t high_at = weight_layout_low_bytes(format);
    static constexpr uint32_t scales_at = high_at + weight_layout_high_bytes(format);
    static constexpr uint32_t unit_bytes = weight_layout_unit_bytes(format);
    /* A header and the units that follow it. */
    static constexpr uint32_t header_units = LAYOUT_HEADER_COLS / LAYOUT_COLS;
    static constexpr uint32_t run_bytes = header_bytes + header_units * unit_bytes;
};

#endif
