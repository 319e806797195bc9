/* How weights of a packing lie, for struct linear_kernel: group_bytes_T, pack_T and unpack_row_T of
 * groups of GROUP rows. */
#ifndef CPU_KERNELS_VECTOR_PACKED_H
#define CPU_KERNELS_VECTOR_PACKED_H

#include "cpu/kernels/packing.h"

#define PACKED_FUNCTIONS(T, PACKING, GROUP)                                                \
    static size_t group_bytes_##T(size_t n_cols) {                                         \
        return packing_group_bytes(PACKING, GROUP, n_cols);                                \
    }                                                                                      \
    static void pack_##T(const void *rows, size_t row_bytes, size_t n_rows, size_t n_cols, \
                         void *group) {                                                    \
        packing_pack(PACKING, GROUP, rows, row_bytes, n_rows, n_cols, group);              \
    }                                                                                      \
    static void unpack_row_##T(const void *group, size_t row, size_t n_cols, float *to) {  \
        packing_unpack_row(PACKING, GROUP, group, row, n_cols, to);                        \
    }
/* T may be a macro. */
#define PACKED(T, PACKING, GROUP) PACKED_FUNCTIONS(T, PACKING, GROUP)

#endif
