#include "cublas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { OPERATION_N = 0, OPERATION_T = 1 };         /* cublasOperation_t */
enum { TYPE_F32 = 0, TYPE_BF16 = 14 };             /* cudaDataType */
enum { COMPUTE_F32 = 68, ALGORITHM_DEFAULT = -1 }; /* cublasComputeType_t, cublasGemmAlgo_t */
static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};

/* A function's address as what it is: C has no cast for that. */
static bool look_up(void *library, const char *symbol, void *function, char *why, size_t size) {
    void *found = dlsym(library, symbol);
    memcpy(function, &found, sizeof found);
    if (!found) snprintf(why, size, "cuBLAS has no %s", symbol);
    return found;
}

bool cublas_open(struct cublas *cublas, driver_stream stream, char *why, size_t size) {
    int (*create)(void **handle);
    *cublas = (struct cublas){0};
    for (size_t i = 0; !cublas->library && i < sizeof names / sizeof *names; i++)
        cublas->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!cublas->library) {
        snprintf(why, size, "no cuBLAS: %s", dlerror());
        return false;
    }
    void *library = cublas->library;
    if (look_up(library, "cublasCreate_v2", &create, why, size) &&
        look_up(library, "cublasDestroy_v2", &cublas->destroy, why, size) &&
        look_up(library, "cublasSetStream_v2", &cublas->set_stream, why, size) &&
        look_up(library, "cublasGemmEx", &cublas->gemm, why, size)) {
        const int result = create(&cublas->handle);
        if (result == 0 && cublas->set_stream(cublas->handle, stream) == 0) return true;
        snprintf(why, size, "cublasCreate or cublasSetStream failed, %d", result);
    }
    cublas_close(cublas);
    return false;
}

void cublas_close(struct cublas *cublas) {
    if (cublas->handle) cublas->destroy(cublas->handle);
    if (cublas->library) dlclose(cublas->library);
    *cublas = (struct cublas){0};
}

int cublas_linear(struct cublas *cublas, const void *w, const void *x, void *y, int n_rows,
                  int n_cols, int n_x) {
    const float one = 1, zero = 0;
    /* Column major: y' [n_rows][n_x] = w'^T x', rows being columns there. */
    return cublas->gemm(cublas->handle, OPERATION_T, OPERATION_N, n_rows, n_x, n_cols, &one, w,
                        TYPE_BF16, n_cols, x, TYPE_BF16, n_cols, &zero, y, TYPE_F32, n_rows,
                        COMPUTE_F32, ALGORITHM_DEFAULT);
}
