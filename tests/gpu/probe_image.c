#include "probe_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long n = 0;
    if (!file) return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (n = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)n);
    if (bytes && fread(bytes, 1, (size_t)n, file) != (size_t)n) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

bool probe_image_load(struct gpu *gpu, const char *program) {
    char path[4096], reason[1200];
    if (gpu->emulated) return true;
    const char *slash = strrchr(program, '/');
    const int folder = slash ? (int)(slash - program) + 1 : 0;
    snprintf(path, sizeof path, "%.*sprobe.fatbin", folder, program);
    char *image = read_file(path);
    if (!image) {
        printf("skipped: %s is not there\n", path);
        return false;
    }
    driver_library library;
    const driver_result result =
        gpu->driver.library_load_data(&library, image, NULL, NULL, 0, NULL, NULL, 0);
    free(image);
    if (result != DRIVER_SUCCESS) {
        gpu_fail(gpu, "%s: %s", path, driver_describe(&gpu->driver, result, reason, sizeof reason));
        return false;
    }
    driver_library *libraries = realloc(gpu->libraries, (gpu->n_libraries + 1) * sizeof *libraries);
    if (!libraries) exit(1);
    gpu->libraries = libraries;
    gpu->libraries[gpu->n_libraries++] = library;
    return true;
}
