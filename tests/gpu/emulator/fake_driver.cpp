/* libcuda.so.1 of the emulator: the device, its memory, libraries and kernels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_driver.h"

struct fake_device fake;

static struct CUctx_st { int unused; } the_context;
static thread_local std::vector<driver_context> contexts;

/* ---- options and faults ---- */

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 0) : otherwise;
}

static void read_faults(const char *text) {
    fake.faults.clear();
    while (text && *text) {
        char kind[32];
        long at;
        unsigned result;
        int length = 0;
        if (sscanf(text, "%31[a-z_]:%ld:%u%n", kind, &at, &result, &length) < 3) {
            fprintf(stderr, "emulator: EMULATED_FAIL is not understood at '%s'\n", text);
            abort();
        }
        text += length;
        const bool ever = strncmp(text, ":ever", 5) == 0;
        if (ever) text += 5;
        if (*text == ',') text++;
        fake.faults.push_back({kind, at, result, ever, 0});
    }
}

void fake_configure() {
    const char *capability = getenv("EMULATED_CAPABILITY");
    fake.options.major = 8;
    fake.options.minor = 0;
    if (capability) sscanf(capability, "%d.%d", &fake.options.major, &fake.options.minor);
    fake.options.version = (int)number_of("EMULATED_DRIVER", 13000);
    fake.options.devices = (int)number_of("EMULATED_DEVICES", 1);
    fake.options.init = (unsigned)number_of("EMULATED_INIT", 0);
    fake.options.memory = (size_t)number_of("EMULATED_MEMORY", 1l << 32);
    fake.options.lazy = number_of("EMULATED_LAZY", 0);
    fake.options.quiet = number_of("EMULATED_QUIET", 0);
    fake.options.multiprocessors =
        (int)number_of("EMULATED_MULTIPROCESSORS", fake.options.major >= 9 ? 132 : 108);
    emulated.lose_signal = number_of("EMULATED_LOSE_SIGNAL", 0);
    emulated.n_signals = 0;
    emulated.order = (uint32_t)number_of("EMULATED_ORDER", 0);
    read_faults(getenv("EMULATED_FAIL"));
    fake.lost_after = number_of("EMULATED_LOST", -1);
    fake.n_calls = 0;
    fake.lost = DRIVER_SUCCESS;
}

driver_result fake_enter(const char *kind) {
    if (!fake.initialised) return DRIVER_NOT_INITIALIZED;
    if (contexts.empty()) return DRIVER_INVALID_CONTEXT;
    fake.n_calls++;
    if (fake.lost_after >= 0 && fake.n_calls > fake.lost_after) fake.lost = DRIVER_ILLEGAL_ADDRESS;
    if (fake.lost) return fake.lost;
    for (struct fault &fault : fake.faults)
        if (fault.kind == kind) {
            fault.n++;
            if (fault.n == fault.at || (fault.ever && fault.n > fault.at)) return fault.result;
        }
    return DRIVER_SUCCESS;
}

/* A kernel that failed, or a lost device, is forgotten: tests go on. */
EXPORT void emulated_forgive() {
    LOCKED;
    fake.lost = DRIVER_SUCCESS;
    fake.lost_after = -1;
    fake.error[0] = 0;
}
/* Live allocations of the device, of pinned memory, and other handles. */
EXPORT void emulated_live(size_t *n, size_t *bytes, size_t *n_host, size_t *n_handles) {
    LOCKED;
    *n = emulated_memory_live(bytes);
    *n_host = (size_t)fake.n_host;
    *n_handles =
        (size_t)(fake.n_streams + fake.n_events + fake.n_graphs + fake.n_execs + fake.n_libraries);
}

__attribute__((destructor)) static void tell_leaks() {
    size_t bytes;
    if (!number_of("EMULATED_LEAKS", 0)) return;
    emulated_memory_list();
    const size_t n = emulated_memory_live(&bytes);
    fprintf(stderr,
            "emulator: left: %zu allocations of %zu bytes, %ld of pinned memory, %ld streams, %ld "
            "events, %ld graphs, %ld executable graphs, %ld libraries, %d retained contexts\n",
            n, bytes, fake.n_host, fake.n_streams, fake.n_events, fake.n_graphs, fake.n_execs,
            fake.n_libraries, fake.n_retained);
}

/* ---- the driver and its device ---- */

EXPORT driver_result cuInit(unsigned flags) {
    LOCKED;
    fake_configure();
    if (flags) return DRIVER_INVALID_VALUE;
    if (fake.options.init) return fake.options.init;
    if (!fake.options.devices) return DRIVER_NO_DEVICE;
    fake.initialised = true;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuDriverGetVersion(int *version) {
    *version = (int)number_of("EMULATED_DRIVER", 13000);
    return DRIVER_SUCCESS;
}

static const struct {
    driver_result result;
    const char *name, *text;
} results[] = {
    {DRIVER_SUCCESS, "CUDA_SUCCESS", "no error"},
    {DRIVER_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {DRIVER_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {DRIVER_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {DRIVER_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {DRIVER_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {DRIVER_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {DRIVER_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {DRIVER_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {DRIVER_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {DRIVER_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {DRIVER_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {DRIVER_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS",
     "an illegal memory access was encountered"},
    {DRIVER_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {DRIVER_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {DRIVER_COOPERATIVE_LAUNCH_TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
     "too many blocks in cooperative launch"},
    {DRIVER_SYSTEM_DRIVER_MISMATCH, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
     "system has unsupported display driver / cuda driver combination"},
    {DRIVER_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {DRIVER_STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
     "the capture was not started in this stream"},
};

EXPORT driver_result cuGetErrorName(driver_result result, const char **name) {
    for (const auto &known : results)
        if (known.result == result) {
            *name = known.name;
            return DRIVER_SUCCESS;
        }
    *name = NULL;
    return DRIVER_INVALID_VALUE;
}

EXPORT driver_result cuGetErrorString(driver_result result, const char **text) {
    if (result == DRIVER_LAUNCH_FAILED && fake.error[0]) {
        *text = fake.error;
        return DRIVER_SUCCESS;
    }
    for (const auto &known : results)
        if (known.result == result) {
            *text = known.text;
            return DRIVER_SUCCESS;
        }
    *text = NULL;
    return DRIVER_INVALID_VALUE;
}

EXPORT driver_result cuDeviceGetCount(int *n) {
    LOCKED;
    if (!fake.initialised) return DRIVER_NOT_INITIALIZED;
    *n = fake.options.devices;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuDeviceGet(driver_device *device, int index) {
    LOCKED;
    if (!fake.initialised) return DRIVER_NOT_INITIALIZED;
    if (index < 0 || index >= fake.options.devices) return DRIVER_INVALID_DEVICE;
    *device = index;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuDeviceGetName(char *name, int size, driver_device) {
    snprintf(name, (size_t)size, "emulated");
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuDeviceTotalMem_v2(size_t *bytes, driver_device) {
    *bytes = fake.options.memory;
    return DRIVER_SUCCESS;
}

static int shared_per_multiprocessor() {
    const int capability = fake.options.major * 10 + fake.options.minor;
    return (capability == 86 || capability == 89 ? 100 : capability < 90 ? 164 : 228) * 1024;
}

EXPORT driver_result cuDeviceGetAttribute(int *value, unsigned attribute, driver_device) {
    const bool hopper = fake.options.major >= 9;
    switch (attribute) {
    case 10: /* warp size */
        *value = 32;
        return DRIVER_SUCCESS;
    case 8: /* shared memory of a block that does not ask for more */
        *value = 48 * 1024;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_CLOCK_RATE:
        *value = hopper ? 1980000 : 1410000;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MULTIPROCESSOR_COUNT:
        *value = fake.options.multiprocessors;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MEMORY_CLOCK_RATE:
        *value = hopper ? 2619000 : 1215000;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_GLOBAL_MEMORY_BUS_WIDTH:
        *value = 5120;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_L2_CACHE_SIZE:
        *value = (hopper ? 50 : 40) << 20;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MAX_THREADS_PER_MULTIPROCESSOR:
        *value = 2048;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_COMPUTE_CAPABILITY_MAJOR:
        *value = fake.options.major;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_COMPUTE_CAPABILITY_MINOR:
        *value = fake.options.minor;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
        *value = shared_per_multiprocessor();
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MAX_REGISTERS_PER_MULTIPROCESSOR:
        *value = 65536;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = shared_per_multiprocessor() - 1024;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_MAX_BLOCKS_PER_MULTIPROCESSOR:
        *value = 32;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_RESERVED_SHARED_MEMORY_PER_BLOCK:
        *value = 1024;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_COOPERATIVE_LAUNCH:
        *value = 1;
        return DRIVER_SUCCESS;
    case DRIVER_DEVICE_CLUSTER_LAUNCH:
        *value = hopper;
        return DRIVER_SUCCESS;
    default:
        *value = 0;
        return DRIVER_SUCCESS;
    }
}

/* ---- contexts ---- */

EXPORT driver_result cuDevicePrimaryCtxRetain(driver_context *context, driver_device device) {
    LOCKED;
    if (!fake.initialised) return DRIVER_NOT_INITIALIZED;
    if (device < 0 || device >= fake.options.devices) return DRIVER_INVALID_DEVICE;
    fake.n_retained++;
    *context = &the_context;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuDevicePrimaryCtxRelease_v2(driver_device) {
    LOCKED;
    if (!fake.n_retained) return DRIVER_INVALID_CONTEXT;
    if (--fake.n_retained == 0) fake.lost = DRIVER_SUCCESS;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuCtxPushCurrent_v2(driver_context context) {
    LOCKED;
    if (context != &the_context || !fake.n_retained) return DRIVER_INVALID_CONTEXT;
    contexts.push_back(context);
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuCtxPopCurrent_v2(driver_context *context) {
    if (contexts.empty()) return DRIVER_INVALID_CONTEXT;
    if (context) *context = contexts.back();
    contexts.pop_back();
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuCtxGetCurrent(driver_context *context) {
    *context = contexts.empty() ? NULL : contexts.back();
    return DRIVER_SUCCESS;
}

/* ---- memory ---- */

EXPORT driver_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    ENTER("info");
    size_t live;
    emulated_memory_live(&live);
    *total = fake.options.memory;
    *free_bytes = live < *total ? *total - live : 0;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuMemAlloc_v2(driver_address *address, size_t bytes) {
    ENTER("alloc");
    size_t live;
    emulated_memory_live(&live);
    if (fake_forbids()) return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    if (!bytes) return DRIVER_INVALID_VALUE;
    if (bytes > fake.options.memory || live > fake.options.memory - bytes)
        return DRIVER_OUT_OF_MEMORY;
    const struct allocation *made = emulated_memory_take(bytes);
    if (!made) return DRIVER_OUT_OF_MEMORY;
    *address = (uintptr_t)made->base;
    return DRIVER_SUCCESS;
}

/* Also of a lost device, so that what is left can be counted. */
EXPORT driver_result cuMemFree_v2(driver_address address) {
    LOCKED;
    const driver_result entered = fake_enter("free");
    if (fake_forbids()) return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    if (!address) return entered;
    if (!emulated_memory_find((void *)address, 1)) return DRIVER_INVALID_VALUE;
    if (!emulated_memory_give((void *)address)) {
        fprintf(stderr, "emulator: freed at %llx: not its start, or written outside\n", address);
        return DRIVER_INVALID_VALUE;
    }
    return entered;
}

EXPORT driver_result cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
    ENTER("host_alloc");
    if (fake_forbids()) return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    if (!bytes) return DRIVER_INVALID_VALUE;
    char *made = (char *)aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!made) return DRIVER_OUT_OF_MEMORY;
    memset(made, 0xfe, bytes);
    fake.host.push_back({made, bytes});
    fake.n_host++;
    *memory = made;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuMemFreeHost(void *memory) {
    LOCKED;
    const driver_result entered = fake_enter("free");
    for (size_t i = 0; i < fake.host.size(); i++)
        if (fake.host[i].first == memory) {
            fake.host.erase(fake.host.begin() + (long)i);
            fake.n_host--;
            free(memory);
            return entered;
        }
    return DRIVER_INVALID_VALUE;
}

/* ---- libraries and kernels ---- */

EXPORT driver_result cuLibraryLoadData(driver_library *library, const void *code, unsigned *,
                                       void **, unsigned, unsigned *, void **, unsigned) {
    ENTER("load");
    if (!code) return DRIVER_INVALID_VALUE;
    *library = new CUlib_st();
    fake.n_libraries++;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuLibraryUnload(driver_library library) {
    LOCKED;
    const driver_result entered = fake_enter("unload");
    delete library;
    fake.n_libraries--;
    return entered;
}

EXPORT driver_result cuLibraryGetKernel(driver_kernel *kernel, driver_library library,
                                        const char *name) {
    ENTER("kernel");
    const struct emulated_kernel *found = emulated_kernel_find(name);
    if (!found) return DRIVER_NOT_FOUND;
    for (const auto &known : library->kernels)
        if (known->kernel == found) {
            *kernel = known.get();
            return DRIVER_SUCCESS;
        }
    library->kernels.emplace_back(new CUkern_st{found, 48 * 1024});
    *kernel = library->kernels.back().get();
    return DRIVER_SUCCESS;
}

/* Kernels are used as functions. */
EXPORT driver_result cuKernelGetFunction(driver_function *function, driver_kernel kernel) {
    ENTER("kernel");
    *function = (driver_function)kernel;
    return DRIVER_SUCCESS;
}

/* What the product's code is compiled for: sm_80, sm_90, and PTX of compute_80 for what comes
 * later, which has no wait for the kernel before. */
static int compiled_for() {
    return fake.options.major == 9 ? 90 : 80;
}

EXPORT driver_result cuKernelGetAttribute(int *value, unsigned attribute, driver_kernel kernel,
                                          driver_device) {
    LOCKED;
    *value = 0;
    if (attribute == DRIVER_KERNEL_MAX_THREADS_PER_BLOCK)
        *value = (int)kernel->kernel->max_threads;
    else if (attribute == DRIVER_KERNEL_NUM_REGS)
        *value = 128;
    else if (attribute == DRIVER_KERNEL_PTX_VERSION)
        *value = compiled_for();
    else if (attribute == DRIVER_KERNEL_BINARY_VERSION)
        *value = fake.options.major > 9 ? fake.options.major * 10 : compiled_for();
    else if (attribute == DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        *value = kernel->max_dynamic_shared;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuKernelSetAttribute(unsigned attribute, int value, driver_kernel kernel,
                                          driver_device) {
    ENTER("attribute");
    if (attribute == DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        if (value < 0 || value > shared_per_multiprocessor() - 1024) return DRIVER_INVALID_VALUE;
        kernel->max_dynamic_shared = value;
    }
    return DRIVER_SUCCESS;
}

/* Every kernel has 128 registers here. */
static int resident_blocks(int n_threads, size_t shared_bytes) {
    const int by_registers = 65536 / 128 / n_threads;
    const int by_shared = (int)((size_t)shared_per_multiprocessor() / (shared_bytes + 1024));
    return by_registers < by_shared ? by_registers : by_shared;
}

EXPORT driver_result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n_blocks, driver_function,
                                                                 int n_threads,
                                                                 size_t shared_bytes) {
    ENTER("occupancy");
    *n_blocks = resident_blocks(n_threads, shared_bytes);
    /* No more than a cooperative launch can have here. */
    if (*n_blocks * fake.options.multiprocessors > MAX_TOGETHER)
        *n_blocks = MAX_TOGETHER / fake.options.multiprocessors;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuLaunchKernelEx(const struct driver_launch *launch, driver_function function,
                                      void **parameters, void **) {
    ENTER("launch");
    const struct CUkern_st *kernel = (const struct CUkern_st *)function;
    struct op op = {};
    op.kind = LAUNCH;
    op.kernel = kernel->kernel;
    struct launch_form &form = op.form;
    form.grid = launch->grid_x;
    form.threads = launch->block_x;
    form.cluster = 1;
    form.shared_bytes = launch->shared_bytes;
    for (unsigned i = 0; i < launch->n_attributes; i++) {
        const struct driver_launch_attribute *attribute = &launch->attributes[i];
        if (attribute->id == DRIVER_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION)
            form.programmatic = attribute->value.programmatic_stream_serialization != 0;
        if (attribute->id == DRIVER_LAUNCH_CLUSTER_DIMENSION)
            form.cluster = attribute->value.cluster.x;
        if (attribute->id == DRIVER_LAUNCH_COOPERATIVE)
            form.cooperative = attribute->value.cooperative != 0;
    }
    if (launch->grid_x == 0 || launch->grid_y != 1 || launch->grid_z != 1 || launch->block_x == 0 ||
        launch->block_y != 1 || launch->block_z != 1 || launch->grid_x > 0x7fffffff)
        return DRIVER_INVALID_VALUE;
    if (launch->block_x > op.kernel->max_threads) return DRIVER_LAUNCH_OUT_OF_RESOURCES;
    if (launch->shared_bytes > (unsigned)kernel->max_dynamic_shared) return DRIVER_INVALID_VALUE;
    if (form.cluster < 1 || form.cluster > MAX_CLUSTER || launch->grid_x % form.cluster)
        return DRIVER_INVALID_VALUE;
    if (form.cluster > 1 && fake.options.major < 9) return DRIVER_INVALID_VALUE;
    if (fake.options.major < 9 && form.programmatic) return DRIVER_INVALID_VALUE;
    /* A device would let it run too early; refused, so that it is seen. */
    if (compiled_for() < 90 && form.programmatic) return DRIVER_INVALID_VALUE;
    if (fake.options.version < 12030 && form.programmatic && fake_stream(launch->stream)->capture)
        return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    if (form.cooperative) {
        const int n = resident_blocks((int)form.threads, form.shared_bytes);
        if (form.cluster > 1 || form.programmatic) return DRIVER_INVALID_VALUE;
        if (form.grid > (uint32_t)(n * fake.options.multiprocessors) || form.grid > MAX_TOGETHER)
            return DRIVER_COOPERATIVE_LAUNCH_TOO_LARGE;
    }
    op.bytes.resize(op.kernel->args_bytes);
    memcpy(op.bytes.data(), parameters[0], op.bytes.size());
    return fake_submit(launch->stream, std::move(op));
}

/* These bytes count as never written again. */
EXPORT void emulated_forget(void *address, size_t bytes) {
    LOCKED;
    struct allocation *in = emulated_memory_find(address, bytes);
    const size_t first = in ? (size_t)((unsigned char *)address - in->base) : 0;
    for (size_t at = first; in && at < first + bytes; at++)
        in->written[at / 64] &= ~(UINT64_C(1) << at % 64);
}
