#include "cuda/device_list.h"

#include "base/text_format.h"
#include "cuda/device.h"
#include "cuda/image.h"

enum { COMPUTE_MODE_PROHIBITED = 2 };

/* Kernels are there for it, and whoever administrates it lets processes in. */
static bool usable(const struct driver *driver, driver_device handle,
                   struct cuda_properties *properties) {
    int mode = 0;
    return device_properties(driver, handle, properties) == OK &&
           properties->major >= DEVICE_LEAST_MAJOR &&
           driver->device_get_attribute(&mode, DRIVER_DEVICE_COMPUTE_MODE, handle) ==
               DRIVER_SUCCESS &&
           mode != COMPUTE_MODE_PROHIBITED;
}

struct found {
    int ordinal;
    driver_device handle;
    struct cuda_properties properties;
};

/* How many usable GPUs there are, and number `device` of them. */
static status walk(const struct driver *driver, int device, int *n_usable, struct found *found) {
    int n = 0;
    *n_usable = 0;
    DRIVER_TRY(driver, device_get_count, &n);
    for (int ordinal = 0; ordinal < n; ordinal++) {
        struct found one = {.ordinal = ordinal};
        DRIVER_TRY(driver, device_get, &one.handle, ordinal);
        if (!usable(driver, one.handle, &one.properties)) continue;
        if (*n_usable == device) *found = one;
        ++*n_usable;
    }
    if (*n_usable) return OK;
    return fail(NOT_FOUND,
                n ? "none of %d GPUs is of compute capability %d.0 and free to use"
                  : "the CUDA driver finds no device it can use",
                n, DEVICE_LEAST_MAJOR);
}

/* Opens the driver for number `device`, or leaves it closed. */
static status look_up(struct driver *driver, int device, struct found *found) {
    int n = 0;
    TRY(device_open_driver(driver));
    status result = walk(driver, device, &n, found);
    if (result == OK && (device < 0 || device >= n))
        result = fail(NOT_FOUND, "there is no GPU %d, the last is %d", device, n - 1);
    if (result != OK) driver_close(driver);
    return result;
}

int device_list_count(char *why, size_t size) {
    char before[STATUS_TEXT_BYTES];
    struct driver driver;
    struct found found;
    int n = 0;
    status_save(before);
    status result = device_open_driver(&driver);
    if (result == OK) {
        result = walk(&driver, -1, &n, &found);
        driver_close(&driver);
    }
    text_format(why, size, "%s", result == OK ? "" : status_text());
    status_restore(before);
    return n;
}

status device_list_find(int device, int *ordinal, struct cuda_properties *properties) {
    struct driver driver;
    struct found found;
    TRY(look_up(&driver, device, &found));
    driver_close(&driver);
    *ordinal = found.ordinal;
    *properties = found.properties;
    return OK;
}

status device_list_info(int device, struct backend_device *info) {
    static _Thread_local char name[128], path[16];
    struct driver driver;
    struct found found;
    size_t bytes = 0;
    TRY(look_up(&driver, device, &found));
    status result = driver_check(
        &driver, driver.device_get_name(name, (int)sizeof name, found.handle), "device_get_name");
    if (result == OK)
        result = driver_check(&driver, driver.device_total_mem(&bytes, found.handle),
                              "device_total_mem");
    driver_close(&driver);
    TRY(result);
    text_format(path, sizeof path, "sm_%d%d", found.properties.major, found.properties.minor);
    *info = (struct backend_device){.kind = "cuda",
                                    .name = name,
                                    .path = path,
                                    .memory_bytes = bytes,
                                    .n_processors = (uint64_t)found.properties.n_multiprocessors};
    return OK;
}

size_t device_list_describe(char *text, size_t size) {
    char why[512];
    const char *file = device_image_file();
    if (!image_n_parts && !file)
        return text_format(text, size, "cuda: built without kernels (no nvcc)\n");
    size_t used =
        file ? text_format(text, size, "cuda: kernels of a file; ")
             : text_format(text, size, "cuda: %s by CUDA %d.%d, driver of CUDA %d.0 needed; ",
                           image_archs, (int)image_toolkit / 1000, (int)image_toolkit % 1000 / 10,
                           image_least_driver() / 1000);
    int n = device_list_count(why, sizeof why);
    if (n)
        return used + text_format(text + used, size - used, "%d device%s\n", n, n > 1 ? "s" : "");
    return used + text_format(text + used, size - used, "no device: %s\n", why);
}
