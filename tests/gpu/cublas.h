/* cuBLAS, where the machine has it: opened at run time, as a test's oracle. Nothing of ours needs
 * it. */
#ifndef GPU_CUBLAS_H
#define GPU_CUBLAS_H

#include "gpu_test.h"

struct cublas {
    void *library, *handle;
    int (*set_stream)(void *handle, driver_stream stream);
    int (*destroy)(void *handle);
    int (*gemm)(void *handle, int a_transposed, int b_transposed, int m, int n, int k,
                const void *alpha, const void *a, int a_type, int lda, const void *b, int b_type,
                int ldb, const void *beta, void *c, int c_type, int ldc, int compute_type,
                int algorithm);
};

/* false: `why` says what is missing. The device's context is current. */
bool cublas_open(struct cublas *cublas, driver_stream stream, char *why, size_t size);
void cublas_close(struct cublas *cublas);
/* y[n_x][n_rows] f32 = x[n_x][n_cols] bf16 times w[n_rows][n_cols] bf16, sums in f32. 0: done. */
int cublas_linear(struct cublas *cublas, const void *w, const void *x, void *y, int n_rows,
                  int n_cols, int n_x);

#endif
