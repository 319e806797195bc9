#include "engine/devices.h"

#include <string.h>

static const struct backend *const backends[] = {
    &cpu_backend,
#if defined(BACKEND_CUDA)
    &cuda_backend,
#endif
};
enum { N_BACKENDS = sizeof backends / sizeof *backends };

int32_t devices_count(void) {
    char why[1];
    int32_t n = 0;
    for (size_t i = 0; i < N_BACKENDS; i++) n += backends[i]->n_devices(why, sizeof why);
    return n;
}

status devices_find(int32_t number, const struct backend **backend, int *device) {
    char why[512] = "";
    int32_t n_before = 0;
    for (size_t i = 0; number >= 0 && i < N_BACKENDS; i++) {
        int n = backends[i]->n_devices(why, sizeof why);
        if (number - n_before < n) {
            *backend = backends[i];
            *device = (int)(number - n_before);
            return OK;
        }
        n_before += n;
    }
    if (n_before > 1)
        return fail(NOT_FOUND, "device %" PRId32 ": the last one is %" PRId32, number,
                    n_before - 1);
    return fail(NOT_FOUND, "device %" PRId32 ": only device 0, the CPU, is there%s%s", number,
                *why ? "; " : "", why);
}

size_t devices_describe(char *text, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < N_BACKENDS; i++) n += backends[i]->describe(text + n, size - n);
    return n;
}
