#include "cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char library_name[] = "libcuda.so.1";

#define DRIVER_NAME(name, symbol, parameters) {#symbol, offsetof(struct driver, name)},
static const struct {
    const char *symbol;
    size_t offset; /* of the call's pointer in struct driver */
} calls[] = {DRIVER_CALLS(DRIVER_NAME)};
#undef DRIVER_NAME

static int major_of(int version) {
    return version / 1000;
}
static int minor_of(int version) {
    return version % 1000 / 10;
}

static status too_old(int version, const char *missing) {
    const int least = DRIVER_LEAST_VERSION;
    return fail(
        UNSUPPORTED,
        "the CUDA driver is too old: %s is of CUDA %d.%d%s%s, CUDA %d.%d or later is needed",
        library_name, major_of(version), minor_of(version), missing ? " without " : "",
        missing ? missing : "", major_of(least), minor_of(least));
}

/* Where a symbol is missing its name, else NULL. dlsym's pointer to data becomes one to a function
 * by its bytes: C has no cast for that. */
static const char *look_up(struct driver *driver) {
    const char *missing = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *found = dlsym(driver->library, calls[i].symbol);
        memcpy((char *)driver + calls[i].offset, &found, sizeof found);
        if (!found && !missing) missing = calls[i].symbol;
    }
    return missing;
}

static status initialise(struct driver *driver) {
    char text[160];
    const driver_result result = driver->init(0);
    switch (result) {
    case DRIVER_SUCCESS:
        return OK;
    case DRIVER_NO_DEVICE:
    case DRIVER_INVALID_DEVICE:
        return fail(NOT_FOUND, "the CUDA driver finds no device it can use");
    case DRIVER_STUB_LIBRARY:
        return fail(NOT_FOUND, "%s is the stub that programs are linked with, not a driver",
                    library_name);
    case DRIVER_SYSTEM_DRIVER_MISMATCH:
    case DRIVER_COMPAT_NOT_SUPPORTED_ON_DEVICE:
    case DRIVER_CALL_REQUIRES_NEWER:
        return fail(UNSUPPORTED, "%s (CUDA %d.%d) does not suit the kernel's driver: %s",
                    library_name, major_of(driver->version), minor_of(driver->version),
                    driver_describe(driver, result, text, sizeof text));
    default:
        return fail(DEVICE, "cuInit: %s", driver_describe(driver, result, text, sizeof text));
    }
}

status driver_open(struct driver *driver) {
    status result = OK;
    *driver = (struct driver){0};
    driver->library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!driver->library) {
        const char *reason = dlerror();
        return fail(NOT_FOUND, "no CUDA driver: %s", reason ? reason : library_name);
    }
    const char *missing = look_up(driver);
    if (!driver->get_version || driver->get_version(&driver->version) != DRIVER_SUCCESS)
        result =
            fail(NOT_FOUND, "%s is no CUDA driver: it does not tell its version", library_name);
    else if (driver->version < DRIVER_LEAST_VERSION || missing)
        result = too_old(driver->version, missing);
    else
        result = initialise(driver);
    if (result != OK) driver_close(driver);
    return result;
}

void driver_close(struct driver *driver) {
    if (driver->library) dlclose(driver->library);
    *driver = (struct driver){0};
}

const char *driver_describe(const struct driver *driver, driver_result result, char *text,
                            size_t size) {
    const char *name = NULL, *meaning = NULL;
    if (driver->get_error_name) driver->get_error_name(result, &name);
    if (driver->get_error_string) driver->get_error_string(result, &meaning);
    if (name && meaning)
        snprintf(text, size, "%s, %s", name, meaning);
    else
        snprintf(text, size, "CUDA error %u", result);
    return text;
}

status driver_check(const struct driver *driver, driver_result result, const char *call) {
    char text[1200];
    if (result == DRIVER_SUCCESS) return OK;
    return fail(result == DRIVER_OUT_OF_MEMORY ? OUT_OF_MEMORY : DEVICE, "CUDA %s: %s", call,
                driver_describe(driver, result, text, sizeof text));
}
