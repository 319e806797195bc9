#define _GNU_SOURCE /* scandir */
#include "gpu_test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef GPU_TEST_KERNELS
#define GPU_TEST_KERNELS "" /* folder of *.fatbin */
#endif

static void check(const struct gpu *gpu, driver_result result, const char *what) {
    char text[1200];
    if (result == DRIVER_SUCCESS) return;
    fprintf(stderr, "%s: %s\n", what, driver_describe(&gpu->driver, result, text, sizeof text));
    exit(1);
}

static int attribute(const struct gpu *gpu, unsigned which) {
    int value = 0;
    check(gpu, gpu->driver.device_get_attribute(&value, which, gpu->device), "an attribute");
    return value;
}

/* ---- the kernels: what the emulator has, or the files that the build made ---- */

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

static bool load(struct gpu *gpu, const void *image, const char *what) {
    char reason[1200];
    driver_library library;
    const driver_result result =
        gpu->driver.library_load_data(&library, image, NULL, NULL, 0, NULL, NULL, 0);
    if (result != DRIVER_SUCCESS) {
        gpu_fail(gpu, "%s: %s", what, driver_describe(&gpu->driver, result, reason, sizeof reason));
        return false;
    }
    driver_library *libraries = realloc(gpu->libraries, (gpu->n_libraries + 1) * sizeof *libraries);
    if (!libraries) exit(1);
    gpu->libraries = libraries;
    gpu->libraries[gpu->n_libraries++] = library;
    return true;
}

static int is_image(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && !strcmp(dot, ".fatbin");
}

static int count_images(const char *folder) {
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, is_image, alphasort);
    for (int i = 0; i < n; i++) free(entries[i]);
    free(entries);
    return n > 0 ? n : 0;
}

static void load_images(struct gpu *gpu, const char *folder) {
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, is_image, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        char *image = read_file(path);
        if (!image || !load(gpu, image, path)) {
            fprintf(stderr, "%s can't be loaded\n", path);
            exit(1);
        }
        free(image);
        free(entries[i]);
    }
    free(entries);
}

bool gpu_open(struct gpu *gpu, int argc, char **argv) {
    static const char no_image[] = "emulated";
    *gpu = (struct gpu){.seed = 1};
    for (int i = 1; i < argc; i++) {
        char *end;
        const uint64_t seed = strtoull(argv[i], &end, 10);
        if (*argv[i] && !*end) gpu->seed = seed;
    }
    gpu->random = gpu->seed;
    int n_devices = 0;
    if (driver_open(&gpu->driver) != OK) {
        printf("skipped: %s\n", status_text());
        return false;
    }
    check(gpu, gpu->driver.device_get_count(&n_devices), "the count of devices");
    if (!n_devices) {
        printf("skipped: there is no device\n");
        return false;
    }
    check(gpu, gpu->driver.device_get(&gpu->device, 0), "the device");
    check(gpu, gpu->driver.device_get_name(gpu->name, sizeof gpu->name, gpu->device), "its name");
    gpu->emulated = strcmp(gpu->name, "emulated") == 0;
    gpu->major = attribute(gpu, DRIVER_DEVICE_COMPUTE_CAPABILITY_MAJOR);
    gpu->minor = attribute(gpu, DRIVER_DEVICE_COMPUTE_CAPABILITY_MINOR);
    const char *kernels = getenv("GPU_TEST_KERNELS");
    if (!kernels) kernels = GPU_TEST_KERNELS;
    if (!gpu->emulated && !count_images(kernels)) {
        printf("skipped: no kernels are in '%s'\n", kernels);
        return false;
    }
    check(gpu, gpu->driver.primary_context_retain(&gpu->context, gpu->device), "the context");
    check(gpu, gpu->driver.context_push(gpu->context), "the context");
    check(gpu, gpu->driver.stream_create(&gpu->stream, DRIVER_STREAM_NON_BLOCKING), "a stream");
    if (gpu->emulated)
        load(gpu, no_image, "the emulator's kernels");
    else
        load_images(gpu, kernels);
    printf("device: %s, %d.%d; seed: %llu\n", gpu->name, gpu->major, gpu->minor,
           (unsigned long long)gpu->seed);
    return true;
}

int gpu_close(struct gpu *gpu) {
    driver_context context;
    if (gpu->n_allocated) gpu_fail(gpu, "%zu allocations are left", gpu->n_allocated);
    for (uint32_t i = 0; i < gpu->n_libraries; i++)
        check(gpu, gpu->driver.library_unload(gpu->libraries[i]), "unloading");
    free(gpu->libraries);
    check(gpu, gpu->driver.stream_destroy(gpu->stream), "the stream's end");
    check(gpu, gpu->driver.context_pop(&context), "the context");
    check(gpu, gpu->driver.primary_context_release(gpu->device), "the context's end");
    driver_close(&gpu->driver);
    if (gpu->n_failed)
        printf("%d failures, seed %llu\n", gpu->n_failed, (unsigned long long)gpu->seed);
    return gpu->n_failed ? 1 : 0;
}

bool gpu_load(struct gpu *gpu, const char *program, const char *file) {
    char path[4096];
    if (gpu->emulated) return true;
    const char *slash = strrchr(program, '/');
    const int folder = slash ? (int)(slash - program) + 1 : 0;
    snprintf(path, sizeof path, "%.*s%s", folder, program, file);
    char *image = read_file(path);
    if (!image) {
        printf("skipped: %s is not there\n", path);
        return false;
    }
    const bool loaded = load(gpu, image, path);
    free(image);
    return loaded;
}

/* ---- memory ---- */

static driver_address address_of(const void *memory) {
    return (driver_address)(uintptr_t)memory;
}

static void wait_for(struct gpu *gpu, const char *what) {
    check(gpu, gpu->driver.stream_synchronize(gpu->stream), what);
}

void *gpu_alloc(struct gpu *gpu, size_t bytes) {
    driver_address address = 0;
    check(gpu, gpu->driver.mem_alloc(&address, bytes ? bytes : 1), "memory");
    gpu->n_allocated++;
    /* The emulator poisons it itself, and knows that nothing has written it. */
    if (!gpu->emulated) gpu_poison(gpu, (void *)(uintptr_t)address, bytes);
    return (void *)(uintptr_t)address;
}

void *gpu_upload(struct gpu *gpu, const void *from, size_t bytes) {
    void *memory = gpu_alloc(gpu, bytes);
    gpu_write(gpu, memory, from, bytes);
    return memory;
}

void gpu_write(struct gpu *gpu, void *to, const void *from, size_t bytes) {
    check(gpu, gpu->driver.copy_to_device(address_of(to), from, bytes, gpu->stream), "a copy");
    wait_for(gpu, "a copy to the device");
}

void gpu_download(struct gpu *gpu, void *to, const void *from, size_t bytes) {
    check(gpu, gpu->driver.copy_to_host(to, address_of(from), bytes, gpu->stream), "a copy");
    wait_for(gpu, "a copy from the device");
}

void gpu_poison(struct gpu *gpu, void *to, size_t bytes) {
    void (*forget)(void *, size_t) = NULL;
    check(gpu, gpu->driver.set_u8(address_of(to), 0xff, bytes, gpu->stream), "poison");
    wait_for(gpu, "poison");
    void *found = gpu->emulated ? dlsym(gpu->driver.library, "emulated_forget") : NULL;
    memcpy(&forget, &found, sizeof found);
    if (forget) forget(to, bytes);
}

void gpu_free(struct gpu *gpu, void *memory) {
    if (!memory) return;
    check(gpu, gpu->driver.mem_free(address_of(memory)), "freeing");
    gpu->n_allocated--;
}

/* ---- launches ---- */

static void forgive(struct gpu *gpu) {
    void (*emulated_forgive)(void) = NULL;
    void *found = gpu->emulated ? dlsym(gpu->driver.library, "emulated_forgive") : NULL;
    memcpy(&emulated_forgive, &found, sizeof found);
    if (emulated_forgive) emulated_forgive();
}

/* attribute NULL: a launch as any. */
static const char *launch_with(struct gpu *gpu, struct driver_launch_attribute *attribute,
                               const char *kernel, unsigned grid, unsigned threads,
                               unsigned shared_bytes, const void *args, size_t args_bytes) {
    static char text[1400];
    const struct driver *driver = &gpu->driver;
    char reason[1200];
    char copy[4096] __attribute__((aligned(128)));
    driver_kernel found;
    const struct driver_launch launch = {.grid_x = grid,
                                         .grid_y = 1,
                                         .grid_z = 1,
                                         .block_x = threads,
                                         .block_y = 1,
                                         .block_z = 1,
                                         .shared_bytes = shared_bytes,
                                         .stream = gpu->stream,
                                         .attributes = attribute,
                                         .n_attributes = attribute != NULL};
    if (args_bytes > sizeof copy) return "the arguments are too large";
    memcpy(copy, args, args_bytes);
    void *parameters[] = {copy};
    driver_result result = DRIVER_NOT_FOUND;
    for (uint32_t i = 0; result == DRIVER_NOT_FOUND && i < gpu->n_libraries; i++)
        result = driver->library_get_kernel(&found, gpu->libraries[i], kernel);
    if (result == DRIVER_SUCCESS && shared_bytes > 48 * 1024)
        result = driver->kernel_set_attribute(DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                              (int)shared_bytes, found, gpu->device);
    if (result == DRIVER_SUCCESS)
        result = driver->launch(&launch, (driver_function)found, parameters, NULL);
    if (result == DRIVER_SUCCESS) result = driver->stream_synchronize(gpu->stream);
    if (result == DRIVER_SUCCESS) return NULL;
    snprintf(text, sizeof text, "%s: %s", kernel,
             driver_describe(driver, result, reason, sizeof reason));
    forgive(gpu);
    return text;
}

const char *gpu_launch_clusters(struct gpu *gpu, const char *kernel, unsigned cluster,
                                unsigned grid, unsigned threads, unsigned shared_bytes,
                                const void *args, size_t args_bytes) {
    struct driver_launch_attribute attribute = {.id = DRIVER_LAUNCH_CLUSTER_DIMENSION,
                                                .value.cluster = {cluster, 1, 1}};
    return launch_with(gpu, cluster > 1 ? &attribute : NULL, kernel, grid, threads, shared_bytes,
                       args, args_bytes);
}

const char *gpu_launch_together(struct gpu *gpu, const char *kernel, unsigned grid,
                                unsigned threads, unsigned shared_bytes, const void *args,
                                size_t args_bytes) {
    struct driver_launch_attribute attribute = {.id = DRIVER_LAUNCH_COOPERATIVE,
                                                .value.cooperative = 1};
    return launch_with(gpu, &attribute, kernel, grid, threads, shared_bytes, args, args_bytes);
}

const char *gpu_launch(struct gpu *gpu, const char *kernel, unsigned grid, unsigned threads,
                       unsigned shared_bytes, const void *args, size_t args_bytes) {
    return launch_with(gpu, NULL, kernel, grid, threads, shared_bytes, args, args_bytes);
}

bool gpu_run(struct gpu *gpu, const char *kernel, unsigned grid, unsigned threads,
             unsigned shared_bytes, const void *args, size_t args_bytes) {
    const char *wrong = gpu_launch(gpu, kernel, grid, threads, shared_bytes, args, args_bytes);
    if (wrong) gpu_fail(gpu, "%s", wrong);
    return !wrong;
}

/* ---- random numbers, failures ---- */

uint32_t gpu_random(struct gpu *gpu) { /* splitmix64 */
    uint64_t x = gpu->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((x ^ x >> 31) >> 32);
}

float gpu_random_float(struct gpu *gpu, float low, float high) {
    return low + (high - low) * ((float)(gpu_random(gpu) >> 8) * 0x1p-24f);
}

void gpu_fail(struct gpu *gpu, const char *format, ...) {
    va_list arguments;
    if (gpu->n_failed++ >= 20) return;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
}
