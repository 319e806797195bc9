#include "cuda/device.h"

#include <string.h>

#include "base/environment.h"
#include "base/file.h"
#include "base/text_format.h"
#include "cuda/image.h"

enum { NOT_LOST, BEING_LOST, LOST }; /* BEING_LOST: the reason is being written */

/* Results after which the context answers nothing but the same again. */
static bool is_final(driver_result result) {
    switch (result) {
    case DRIVER_NOT_INITIALIZED: /* a forked child */
    case DRIVER_DEINITIALIZED:
    case 46: /* CUDA_ERROR_DEVICE_UNAVAILABLE */
    case DRIVER_INVALID_CONTEXT:
    case 214: /* ECC_UNCORRECTABLE */
    case 220: /* NVLINK_UNCORRECTABLE */
    case 226: /* CONTAINED */
    case DRIVER_ILLEGAL_ADDRESS:
    case 702: /* LAUNCH_TIMEOUT */
    case 709: /* CONTEXT_IS_DESTROYED */
    case 710: /* ASSERT */
    case 714: /* HARDWARE_STACK_ERROR */
    case 715: /* ILLEGAL_INSTRUCTION */
    case 716: /* MISALIGNED_ADDRESS */
    case 717: /* INVALID_ADDRESS_SPACE */
    case 718: /* INVALID_PC */
    case DRIVER_LAUNCH_FAILED:
    case 999: /* UNKNOWN */
        return true;
    default:
        return false;
    }
}

static void lose(struct device *device, driver_result result, const char *call) {
    char text[160];
    int state = NOT_LOST;
    if (!atomic_compare_exchange_strong(&device->lost, &state, BEING_LOST)) return;
    text_format(device->lost_reason, sizeof device->lost_reason, "CUDA %s: %s", call,
                driver_describe(&device->driver, result, text, sizeof text));
    atomic_store_explicit(&device->lost, LOST, memory_order_release);
}

static status fail_lost(const struct device *device);

status device_give_up(struct device *device, const char *reason) {
    int state = NOT_LOST;
    if (atomic_compare_exchange_strong(&device->lost, &state, BEING_LOST)) {
        text_format(device->lost_reason, sizeof device->lost_reason, "%s", reason);
        atomic_store_explicit(&device->lost, LOST, memory_order_release);
    }
    return fail_lost(device);
}

static status fail_lost(const struct device *device) {
    bool told = atomic_load_explicit(&device->lost, memory_order_acquire) == LOST;
    return fail(DEVICE, "GPU %d was lost: %s", device->ordinal,
                told ? device->lost_reason : "it failed just now");
}

static bool is_lost(const struct device *device) {
    return atomic_load_explicit(&device->lost, memory_order_relaxed) != NOT_LOST;
}

status device_check(struct device *device, driver_result result, const char *call) {
    if (result == DRIVER_SUCCESS) return OK;
    if (is_final(result)) {
        lose(device, result, call);
        return fail_lost(device);
    }
    return driver_check(&device->driver, result, call);
}

/* ---- opening ---- */

const char *device_image_file(void) {
    return environment_read("CUDA_IMAGE");
}

static bool has_hopper_kernels(void) {
    return image_n_hopper || device_image_file();
}

status device_properties(const struct driver *driver, driver_device handle,
                         struct cuda_properties *properties) {
    static const unsigned int attributes[] = {
        DRIVER_DEVICE_COMPUTE_CAPABILITY_MAJOR,
        DRIVER_DEVICE_COMPUTE_CAPABILITY_MINOR,
        DRIVER_DEVICE_MULTIPROCESSOR_COUNT,
        DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
        DRIVER_DEVICE_L2_CACHE_SIZE,
        DRIVER_DEVICE_COOPERATIVE_LAUNCH,
    };
    int values[sizeof attributes / sizeof *attributes] = {0};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        DRIVER_TRY(driver, device_get_attribute, &values[i], attributes[i], handle);
    const char *wanted = environment_read("CUDA_WARPGROUPS"), *fp8 = environment_read("CUDA_FP8");
    const bool fp8_activations = fp8 && strcmp(fp8, "activations") == 0;
    const bool hopper = values[0] == 9 && values[1] == 0;
    *properties = (struct cuda_properties){
        .major = values[0],
        .minor = values[1],
        .n_multiprocessors = values[2],
        .shared_per_block = (size_t)values[3],
        .shared_per_multiprocessor = (size_t)values[4],
        .l2_bytes = (size_t)values[5],
        .cooperative = values[6] != 0,
        .warpgroups = hopper && has_hopper_kernels() && wanted && strcmp(wanted, "1") == 0,
        .fp8_weights = fp8_activations || (fp8 && strcmp(fp8, "weights") == 0),
        .fp8_activations = fp8_activations};
    return OK;
}

status device_open_driver(struct driver *driver) {
    if (!image_n_parts && !device_image_file())
        return fail(NOT_FOUND, "the library was built without kernels for GPUs");
    TRY(driver_open(driver));
    if (driver->version >= image_least_driver()) return OK;
    status result =
        fail(UNSUPPORTED, "the CUDA driver is too old: of CUDA %d.%d, %d.0 or later is needed",
             driver->version / 1000, driver->version % 1000 / 10, image_least_driver() / 1000);
    driver_close(driver);
    return result;
}

/* What must be so before anything is taken of the device. */
static status look_at(struct device *device) {
    const struct driver *driver = &device->driver;
    int n = 0;
    DRIVER_TRY(driver, device_get_count, &n);
    if (device->ordinal < 0 || device->ordinal >= n)
        return fail(NOT_FOUND, "there is no GPU %d, the driver has %d", device->ordinal, n);
    DRIVER_TRY(driver, device_get, &device->handle, device->ordinal);
    TRY(device_properties(driver, device->handle, &device->properties));
    if (device->properties.major < DEVICE_LEAST_MAJOR)
        return fail(UNSUPPORTED, "GPU %d is of compute capability %d.%d, %d.0 is needed",
                    device->ordinal, device->properties.major, device->properties.minor,
                    DEVICE_LEAST_MAJOR);
    return OK;
}

static status load_part(struct device *device, const void *code) {
    driver_library library;
    driver_result result =
        device->driver.library_load_data(&library, code, NULL, NULL, 0, NULL, NULL, 0);
    if (result == DRIVER_NO_BINARY_FOR_GPU || result == DRIVER_UNSUPPORTED_PTX_VERSION ||
        result == DRIVER_JIT_COMPILER_NOT_FOUND)
        return fail(UNSUPPORTED, "GPU %d (sm_%d%d): the library's kernels are for %s",
                    device->ordinal, device->properties.major, device->properties.minor,
                    image_archs);
    TRY(device_check(device, result, "library_load_data"));
    device->libraries[device->n_libraries++] = library;
    return OK;
}

/* A file instead of the image, for those who change kernels. */
static status load_file(struct device *device, const char *name) {
    struct file file;
    uint8_t *code;
    TRY(file_open(&file, name, false));
    size_t size = (size_t)file.size;
    status result = MEMORY_TAKE(device->memory, size + 1, "kernels from a file", &code);
    if (result == OK) result = file_read(&file, 0, size, code);
    if (result == OK) {
        code[size] = 0; /* PTX is text */
        result = load_part(device, code);
    }
    memory_give(device->memory, code);
    file_close(&file);
    return result;
}

/* Each part of the image is a library of its own. */
static status load_image(struct device *device) {
    const char *file = device_image_file();
    TRY(MEMORY_TAKE_ARRAY(device->memory, image_n_parts + 1, "the kernels' libraries",
                          &device->libraries));
    if (file) return load_file(device, file);
    const uint32_t n = image_n_parts - (device->properties.warpgroups ? 0 : image_n_hopper);
    for (uint32_t i = 0; i < n; i++) TRY(load_part(device, image_parts[i].begin));
    return OK;
}

static status open_context(struct device *device) {
    struct device_caller caller;
    TRY(device_open_driver(&device->driver));
    TRY(look_at(device));
    driver_result result = device->driver.primary_context_retain(&device->context, device->handle);
    if (result != DRIVER_SUCCESS) device->context = NULL;
    TRY(device_check(device, result, "primary_context_retain"));
    TRY(device_enter(device, &caller));
    status loaded = load_image(device);
    device_leave(device, &caller);
    return loaded;
}

status device_open(struct memory *memory, int ordinal, struct device **device) {
    struct device *fresh;
    TRY(MEMORY_TAKE_ONE(memory, "a device", &fresh));
    fresh->memory = memory;
    fresh->ordinal = ordinal;
    atomic_init(&fresh->lost, NOT_LOST);
    pthread_mutex_init(&fresh->lock, NULL); /* of the default kind, so it can't fail */
    status result =
        MEMORY_TAKE_ARRAY(memory, DEVICE_MAX_KERNELS, "the table of kernels", &fresh->kernels);
    if (result == OK) result = open_context(fresh);
    if (result != OK) {
        device_close(fresh);
        return result;
    }
    *device = fresh;
    return OK;
}

uint64_t device_host_bytes(void) {
    return memory_cost(sizeof(struct device)) +
           memory_cost(DEVICE_MAX_KERNELS * sizeof(struct device_kernel)) +
           memory_cost((image_n_parts + 1) * sizeof(driver_library));
}

void device_close(struct device *device) {
    struct device_caller caller;
    if (!device) return;
    struct memory *memory = device->memory;
    if (device->context) {
        bool entered = device_enter_anyway(device, &caller);
        for (uint32_t i = 0; i < device->n_libraries; i++)
            device->driver.library_unload(device->libraries[i]);
        if (entered) device_leave(device, &caller);
        device->driver.primary_context_release(device->handle);
    }
    driver_close(&device->driver);
    pthread_mutex_destroy(&device->lock);
    memory_give(memory, device->libraries);
    memory_give(memory, device->kernels);
    memory_give(memory, device);
}

/* ---- the current context ---- */

status device_enter(struct device *device, struct device_caller *caller) {
    *caller = (struct device_caller){.capture_mode = DRIVER_CAPTURE_RELAXED};
    if (is_lost(device)) return fail_lost(device);
    DEVICE_TRY(device, context_push, device->context);
    driver_result result = device->driver.exchange_capture_mode(&caller->capture_mode);
    caller->has_mode = result == DRIVER_SUCCESS;
    if (!caller->has_mode) device_leave(device, caller);
    return device_check(device, result, "exchange_capture_mode");
}

void device_leave(struct device *device, const struct device_caller *caller) {
    driver_context own;
    unsigned int mode = caller->capture_mode;
    if (caller->has_mode) device->driver.exchange_capture_mode(&mode);
    device->driver.context_pop(&own);
}

bool device_enter_anyway(struct device *device, struct device_caller *caller) {
    *caller = (struct device_caller){.capture_mode = DRIVER_CAPTURE_RELAXED};
    if (device->driver.context_push(device->context) != DRIVER_SUCCESS) return false;
    caller->has_mode =
        device->driver.exchange_capture_mode(&caller->capture_mode) == DRIVER_SUCCESS;
    return true;
}

/* ---- memory ---- */

/* Anything but a refusal would not come from a device that is well. */
static void refuse(struct device *device, driver_result result, size_t bytes, const char *purpose,
                   const char *call) {
    size_t free_bytes = 0, total = 0;
    if (result != DRIVER_OUT_OF_MEMORY) {
        lose(device, result, call);
        fail_lost(device);
        return;
    }
    device->driver.mem_get_info(&free_bytes, &total);
    fail(OUT_OF_MEMORY, "no memory on GPU %d for %s: asked for %zu bytes, %zu of %zu are free",
         device->ordinal, purpose, bytes, free_bytes, total);
}

void *device_block(struct device *device, size_t bytes, const char *purpose) {
    driver_address address = 0;
    if (is_lost(device)) {
        fail_lost(device);
        return NULL;
    }
    driver_result result = device->driver.mem_alloc(&address, bytes ? bytes : 1);
    if (result == DRIVER_SUCCESS) return (void *)(uintptr_t)address;
    refuse(device, result, bytes, purpose, "mem_alloc");
    return NULL;
}

void *device_pinned_block(struct device *device, size_t bytes, const char *purpose) {
    void *block = NULL;
    if (is_lost(device)) {
        fail_lost(device);
        return NULL;
    }
    driver_result result = device->driver.host_alloc(&block, bytes ? bytes : 1, 0);
    if (result == DRIVER_SUCCESS) return block;
    if (result == DRIVER_OUT_OF_MEMORY)
        fail(OUT_OF_MEMORY, "no pinned host memory for %s: asked for %zu bytes", purpose, bytes);
    else
        refuse(device, result, bytes, purpose, "host_alloc");
    return NULL;
}

status device_refusal(const struct device *device) {
    return is_lost(device) ? DEVICE : OUT_OF_MEMORY;
}

void device_give(struct device *device, void *block) {
    if (block) device->driver.mem_free(device_address(block));
}

void device_give_pinned(struct device *device, void *block) {
    if (block) device->driver.host_free(block);
}

/* The driver hands out large blocks by 2 MiB; small ones share such a block. */
uint64_t device_cost(uint64_t bytes) {
    const uint64_t large = UINT64_C(2) << 20, small = 512;
    uint64_t unit = bytes < large / 2 ? small : large;
    return bytes > UINT64_MAX - unit ? UINT64_MAX : (bytes + unit - 1) / unit * unit;
}

/* ---- copies, streams, events ---- */

status device_upload(struct device *device, driver_stream stream, void *to, const void *from,
                     size_t bytes) {
    if (!bytes) return OK;
    DEVICE_TRY(device, copy_to_device, device_address(to), from, bytes, stream);
    return OK;
}

status device_download(struct device *device, driver_stream stream, void *to, const void *from,
                       size_t bytes) {
    if (!bytes) return OK;
    DEVICE_TRY(device, copy_to_host, to, device_address(from), bytes, stream);
    return OK;
}

status device_copy(struct device *device, driver_stream stream, void *to, const void *from,
                   size_t bytes) {
    if (!bytes) return OK;
    DEVICE_TRY(device, copy_on_device, device_address(to), device_address(from), bytes, stream);
    return OK;
}

status device_clear(struct device *device, driver_stream stream, void *to, size_t bytes) {
    if (!bytes) return OK;
    DEVICE_TRY(device, set_u8, device_address(to), 0, bytes, stream);
    return OK;
}

status device_stream_create(struct device *device, driver_stream *stream) {
    DEVICE_TRY(device, stream_create, stream, DRIVER_STREAM_NON_BLOCKING);
    return OK;
}

void device_stream_destroy(struct device *device, driver_stream stream) {
    if (stream) device->driver.stream_destroy(stream);
}

status device_stream_wait(struct device *device, driver_stream stream) {
    DEVICE_TRY(device, stream_synchronize, stream);
    return OK;
}

status device_event_create(struct device *device, driver_event *event) {
    DEVICE_TRY(device, event_create, event, DRIVER_EVENT_DISABLE_TIMING);
    return OK;
}

void device_event_destroy(struct device *device, driver_event event) {
    if (event) device->driver.event_destroy(event);
}

status device_event_record(struct device *device, driver_stream stream, driver_event event) {
    DEVICE_TRY(device, event_record, event, stream);
    return OK;
}

status device_event_wait(struct device *device, driver_event event) {
    DEVICE_TRY(device, event_synchronize, event);
    return OK;
}

/* ---- kernels ---- */

static uint32_t hash_name(const char *name) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

/* Found in whichever library has it, and loaded now: the first launch may be inside a capture,
 * where loading is forbidden. */
static status load_kernel(struct device *device, const char *name, struct device_kernel *loaded) {
    driver_result result = DRIVER_NOT_FOUND;
    driver_kernel kernel;
    driver_function function;
    int fixed = 0, compiled_for = 0;
    for (uint32_t i = 0; i < device->n_libraries && result == DRIVER_NOT_FOUND; i++)
        result = device->driver.library_get_kernel(&kernel, device->libraries[i], name);
    if (result == DRIVER_NOT_FOUND) return fail(INTERNAL, "there is no kernel %s", name);
    TRY(device_check(device, result, "library_get_kernel"));
    DEVICE_TRY(device, kernel_get_function, &function, kernel);
    DEVICE_TRY(device, kernel_get_attribute, &fixed, DRIVER_KERNEL_SHARED_SIZE_BYTES, kernel,
               device->handle);
    DEVICE_TRY(device, kernel_get_attribute, &compiled_for, DRIVER_KERNEL_PTX_VERSION, kernel,
               device->handle);
    int most = (int)device->properties.shared_per_block - fixed;
    DEVICE_TRY(device, kernel_set_attribute, DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES, most,
               kernel, device->handle);
    /* One division of L1 and shared memory for all of them: a multiprocessor changes it when
     * nothing runs there, so launches that want different ones do not overlap. */
    DEVICE_TRY(device, kernel_set_attribute, DRIVER_KERNEL_PREFERRED_SHARED_MEMORY_CARVEOUT, 100,
               kernel, device->handle);
    /* A card after Hopper has its code from the PTX of compute_80, which cannot wait. */
    *loaded = (struct device_kernel){.name = name, .kernel = kernel, .waits = compiled_for >= 90};
    return OK;
}

static status find_kernel(struct device *device, const char *name, struct device_kernel *kernel) {
    uint32_t at = hash_name(name) % DEVICE_MAX_KERNELS;
    for (; device->kernels[at].name; at = (at + 1) % DEVICE_MAX_KERNELS) {
        if (device->kernels[at].name != name && strcmp(device->kernels[at].name, name) != 0)
            continue;
        *kernel = device->kernels[at];
        return OK;
    }
    if (device->n_kernels == DEVICE_MAX_KERNELS / 2)
        return fail(INTERNAL, "more than %d kernels", device->n_kernels);
    TRY(load_kernel(device, name, kernel));
    device->kernels[at] = *kernel;
    device->n_kernels++;
    return OK;
}

status device_kernel(struct device *device, const char *name, struct device_kernel *kernel) {
    pthread_mutex_lock(&device->lock);
    status result = find_kernel(device, name, kernel);
    pthread_mutex_unlock(&device->lock);
    return result;
}

static struct driver_launch launch_of(const struct launch_shape *shape, driver_stream stream) {
    return (struct driver_launch){.grid_x = shape->grid,
                                  .grid_y = 1,
                                  .grid_z = 1,
                                  .block_x = shape->threads,
                                  .block_y = 1,
                                  .block_z = 1,
                                  .shared_bytes = shape->shared_bytes,
                                  .stream = stream};
}

static status launch(struct device *device, const struct driver_launch *launch,
                     const struct device_kernel *kernel, const char *name, const void *args) {
    void *parameters[] = {(void *)(uintptr_t)args};
    driver_function function = (driver_function)kernel->kernel;
    return device_check(device, device->driver.launch(launch, function, parameters, NULL), name);
}

status device_launch(struct device *device, driver_stream stream, const struct launch_shape *shape,
                     const void *args, bool dependent) {
    struct device_kernel kernel;
    struct driver_launch_attribute attributes[2];
    struct driver_launch described = launch_of(shape, stream);
    if (!shape->grid) return OK;
    TRY(device_kernel(device, shape->kernel, &kernel));
    described.attributes = attributes;
    if (dependent && kernel.waits)
        attributes[described.n_attributes++] =
            (struct driver_launch_attribute){.id = DRIVER_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION,
                                             .value = {.programmatic_stream_serialization = 1}};
    if (shape->cluster > 1)
        attributes[described.n_attributes++] = (struct driver_launch_attribute){
            .id = DRIVER_LAUNCH_CLUSTER_DIMENSION, .value = {.cluster = {shape->cluster, 1, 1}}};
    return launch(device, &described, &kernel, shape->kernel, args);
}

status device_launch_together(struct device *device, driver_stream stream,
                              const struct launch_shape *shape, const void *args) {
    struct device_kernel kernel;
    struct driver_launch_attribute together = {.id = DRIVER_LAUNCH_COOPERATIVE,
                                               .value = {.cooperative = 1}};
    struct driver_launch described = launch_of(shape, stream);
    described.attributes = &together;
    described.n_attributes = 1;
    TRY(device_kernel(device, shape->kernel, &kernel));
    return launch(device, &described, &kernel, shape->kernel, args);
}

status device_resident_blocks(struct device *device, const char *name, uint32_t threads,
                              uint32_t shared_bytes, uint32_t *n_blocks) {
    struct device_kernel kernel;
    int n = 0;
    TRY(device_kernel(device, name, &kernel));
    DEVICE_TRY(device, blocks_per_multiprocessor, &n, (driver_function)kernel.kernel, (int)threads,
               shared_bytes);
    *n_blocks = n > 0 ? (uint32_t)n * (uint32_t)device->properties.n_multiprocessors : 0;
    return OK;
}
