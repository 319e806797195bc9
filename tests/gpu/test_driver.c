/* cuda/driver.c against the emulator's driver: versions, faults, memory, copies, graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "tests/gpu/emulator/demonstration.h"

static int n_failed;

static void check(bool right, const char *what) {
    if (right) return;
    printf("FAILED: %s (%s)\n", what, status_text());
    n_failed++;
}

/* driver_open with one variable set returns `code` with a text that holds all of `words`. */
static void open_with(const char *name, const char *value, status code, const char *words[]) {
    struct driver driver;
    setenv(name, value, 1);
    const status result = driver_open(&driver);
    if (result == OK) driver_close(&driver);
    unsetenv(name);
    check(result == code, value);
    for (int i = 0; words[i]; i++) check(strstr(status_text(), words[i]) != NULL, words[i]);
    if (code != OK) check(driver.library == NULL, "closed after a failure");
}

static void test_open(void) {
    open_with("EMULATED_DRIVER", "11080", UNSUPPORTED,
              (const char *[]){"CUDA 11.8", "CUDA 12.0 or later", NULL});
    open_with("EMULATED_DRIVER", "12000", OK, (const char *[]){NULL});
    open_with("EMULATED_DEVICES", "0", NOT_FOUND, (const char *[]){"no device", NULL});
    open_with("EMULATED_INIT", "803", UNSUPPORTED,
              (const char *[]){"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", NULL});
    open_with("EMULATED_INIT", "34", NOT_FOUND, (const char *[]){"stub", NULL});
    open_with("EMULATED_INIT", "999", DEVICE, (const char *[]){"CUDA error 999", NULL});
}

/* ---- a device in hand ---- */

struct device {
    struct driver driver;
    driver_context context;
    driver_stream stream;
    driver_library library;
};

static status device_open(struct device *device) {
    driver_device first;
    TRY(driver_open(&device->driver));
    DRIVER_TRY(&device->driver, device_get, &first, 0);
    DRIVER_TRY(&device->driver, primary_context_retain, &device->context, first);
    DRIVER_TRY(&device->driver, context_push, device->context);
    DRIVER_TRY(&device->driver, stream_create, &device->stream, DRIVER_STREAM_NON_BLOCKING);
    DRIVER_TRY(&device->driver, library_load_data, &device->library, "", NULL, NULL, 0, NULL, NULL,
               0);
    return OK;
}

static void device_close(struct device *device) {
    driver_context context;
    device->driver.library_unload(device->library);
    device->driver.stream_destroy(device->stream);
    device->driver.context_pop(&context);
    device->driver.primary_context_release(0);
    driver_close(&device->driver);
}

static status launch_kernel(const struct device *device, const char *name, driver_address x,
                            driver_address y, uint32_t n, bool programmatic) {
    driver_kernel kernel;
    struct scale_args args = {(const float *)(uintptr_t)x, (float *)(uintptr_t)y, n, 0};
    void *parameters[] = {&args};
    struct driver_launch_attribute attribute = {.id =
                                                    DRIVER_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION,
                                                .value.programmatic_stream_serialization = 1};
    const struct driver_launch launch = {.grid_x = (n + 255) / 256,
                                         .grid_y = 1,
                                         .grid_z = 1,
                                         .block_x = 256,
                                         .block_y = 1,
                                         .block_z = 1,
                                         .stream = device->stream,
                                         .attributes = &attribute,
                                         .n_attributes = programmatic};
    DRIVER_TRY(&device->driver, library_get_kernel, &kernel, device->library, name);
    DRIVER_TRY(&device->driver, launch, &launch, (driver_function)kernel, parameters, NULL);
    return OK;
}

static status launch_scale(const struct device *device, driver_address x, driver_address y,
                           uint32_t n) {
    return launch_kernel(device, "emulator_scale", x, y, n, false);
}

/* x → 2x → 4x by a captured graph, run twice with other inputs. */
static status run_graph(const struct device *device, float *got) {
    const struct driver *driver = &device->driver;
    driver_address x, y;
    driver_graph graph;
    driver_graph_exec exec;
    float *pinned;
    void *memory;
    enum { N = 300, BYTES = N * 4 };
    DRIVER_TRY(driver, mem_alloc, &x, BYTES);
    DRIVER_TRY(driver, mem_alloc, &y, BYTES);
    DRIVER_TRY(driver, host_alloc, &memory, BYTES, 0);
    pinned = memory;
    DRIVER_TRY(driver, stream_begin_capture, device->stream, DRIVER_CAPTURE_THREAD_LOCAL);
    DRIVER_TRY(driver, copy_to_device, x, pinned, BYTES, device->stream);
    TRY(launch_scale(device, x, y, N));
    TRY(launch_scale(device, y, x, N));
    DRIVER_TRY(driver, copy_to_host, pinned, x, BYTES, device->stream);
    driver_address refused;
    check(driver->mem_alloc(&refused, 16) == DRIVER_STREAM_CAPTURE_UNSUPPORTED,
          "no allocation while capturing");
    DRIVER_TRY(driver, stream_end_capture, device->stream, &graph);
    DRIVER_TRY(driver, graph_instantiate, &exec, graph, 0);
    DRIVER_TRY(driver, graph_destroy, graph);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) pinned[i] = (float)(i + round);
        DRIVER_TRY(driver, graph_launch, exec, device->stream);
        DRIVER_TRY(driver, stream_synchronize, device->stream);
        got[round] = pinned[N - 1];
    }
    DRIVER_TRY(driver, graph_exec_destroy, exec);
    DRIVER_TRY(driver, host_free, memory);
    DRIVER_TRY(driver, mem_free, x);
    DRIVER_TRY(driver, mem_free, y);
    return OK;
}

static void test_graph(bool lazy) {
    struct device device;
    float got[2] = {0, 0};
    if (lazy) setenv("EMULATED_LAZY", "1", 1);
    check(device_open(&device) == OK, "open");
    check(run_graph(&device, got) == OK, "a graph");
    check(got[0] == 4 * 299 && got[1] == 4 * 300, "what a graph computes");
    device_close(&device);
    unsetenv("EMULATED_LAZY");
}

/* The n-th call fails: the error has its code and name; the next one works. */
static void test_faults(void) {
    struct device device;
    driver_address address;
    setenv("EMULATED_FAIL", "alloc:2:2,launch:1:719", 1);
    check(device_open(&device) == OK, "open");
    const struct driver *driver = &device.driver;
    check(driver->mem_alloc(&address, 64) == DRIVER_SUCCESS, "the first allocation");
    driver_address second = 0;
    check(driver_check(driver, driver->mem_alloc(&second, 64), "mem_alloc") == OUT_OF_MEMORY,
          "the second");
    check(strstr(status_text(), "CUDA_ERROR_OUT_OF_MEMORY") != NULL, "its text");
    check(launch_scale(&device, address, address, 16) == DEVICE, "the first launch");
    driver->set_u8(address, 0, 64, device.stream);
    check(launch_scale(&device, address, address, 16) == OK, "the second launch");
    check(driver->stream_synchronize(device.stream) == DRIVER_SUCCESS, "its end");
    driver->mem_free(address);
    device_close(&device);
    unsetenv("EMULATED_FAIL");

    setenv("EMULATED_LOST", "4", 1);
    check(device_open(&device) == OK, "open");
    check(driver->mem_alloc(&address, 64) == DRIVER_SUCCESS, "before the loss");
    check(driver->stream_synchronize(device.stream) == DRIVER_SUCCESS, "before the loss");
    check(driver->stream_synchronize(device.stream) == DRIVER_ILLEGAL_ADDRESS, "the loss");
    check(driver->mem_free(address) == DRIVER_ILLEGAL_ADDRESS, "after the loss");
    device_close(&device);
    unsetenv("EMULATED_LOST");

    setenv("EMULATED_MEMORY", "1000000", 1);
    size_t available, total;
    check(device_open(&device) == OK, "open");
    check(driver->mem_alloc(&address, 600000) == DRIVER_SUCCESS, "what there is");
    check(driver->mem_alloc(&second, 600000) == DRIVER_OUT_OF_MEMORY, "more than there is");
    check(driver->mem_get_info(&available, &total) == DRIVER_SUCCESS && total == 1000000 &&
              available == 400000,
          "what is left");
    driver->mem_free(address);
    device_close(&device);
    unsetenv("EMULATED_MEMORY");
}

/* Calls need a current context, and a kernel's own failure stays until the context ends. */
static void test_context(void) {
    struct device device;
    driver_context context;
    driver_address address;
    check(device_open(&device) == OK, "open");
    const struct driver *driver = &device.driver;
    driver->context_pop(&context);
    check(driver->mem_alloc(&address, 64) == DRIVER_INVALID_CONTEXT, "no context");
    driver->context_push(context);
    check(driver->mem_alloc(&address, 64) == DRIVER_SUCCESS, "a context");
    setenv("EMULATED_QUIET", "1", 1);
    check(launch_scale(&device, address, address, 17) == OK, "a launch out of bounds");
    char text[1200];
    const driver_result result = driver->stream_synchronize(device.stream);
    driver_describe(driver, result, text, sizeof text);
    check(result == DRIVER_LAUNCH_FAILED, "its end");
    check(strstr(text, "emulator_scale") && strstr(text, "nothing has written"), text);
    check(driver->mem_get_info(&(size_t){0}, &(size_t){0}) == DRIVER_LAUNCH_FAILED, "it stays");
    driver->mem_free(address);
    device_close(&device);
}

/* Of a programmatic launch: what the kernel does before it waits for the one before. */
static void test_programmatic(void) {
    static const struct {
        const char *kernel, *text; /* NULL: nothing wrong */
    } cases[] = {{"emulator_waits", NULL},
                 {"emulator_scale", "before it waited"},
                 {"emulator_reads_early", "before it waited"},
                 {"emulator_nothing", "no thread called wait_for_previous_kernel"}};
    setenv("EMULATED_CAPABILITY", "9.0", 1);
    for (int i = 0; i < 4; i++) {
        struct device device;
        driver_address x, y;
        char text[1200];
        check(device_open(&device) == OK, "open");
        const struct driver *driver = &device.driver;
        driver->mem_alloc(&x, 1024);
        driver->mem_alloc(&y, 1024);
        driver->set_u8(x, 0, 1024, device.stream);
        check(launch_kernel(&device, "emulator_waits", x, y, 256, true) == OK, "a launch");
        check(launch_kernel(&device, cases[i].kernel, y, x, 256, true) == OK, "a launch");
        const driver_result result = driver->stream_synchronize(device.stream);
        driver_describe(driver, result, text, sizeof text);
        check((result == DRIVER_SUCCESS) == !cases[i].text, cases[i].kernel);
        check(!cases[i].text || strstr(text, cases[i].text), text);
        driver->mem_free(x);
        driver->mem_free(y);
        device_close(&device);
    }
    unsetenv("EMULATED_CAPABILITY");
}

int main(void) {
    struct driver driver;
    int n_devices = 0;
    char name[64] = "";
    setenv("EMULATED_QUIET", "1", 1);
    if (driver_open(&driver) != OK) {
        printf("skipped: %s\n", status_text());
        return GPU_SKIP;
    }
    if (driver.device_get_count(&n_devices) == DRIVER_SUCCESS && n_devices)
        driver.device_get_name(name, sizeof name, 0);
    driver_close(&driver);
    if (strcmp(name, "emulated") != 0) {
        printf("skipped: the device is not emulated\n");
        return GPU_SKIP;
    }
    test_open();
    test_graph(false);
    test_graph(true);
    test_faults();
    test_context();
    test_programmatic();
    return n_failed ? 1 : 0;
}
