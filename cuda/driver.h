/* The CUDA driver, opened at run time. The declarations are our own, so that the library is built
 * without cuda.h; a test compares them with it where it is found. */
#ifndef CUDA_DRIVER_H
#define CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* CUresult and what else is an enum there: unsigned int, as every C compiler here lays them out. */
typedef unsigned int driver_result;
typedef int driver_device;
typedef unsigned long long driver_address; /* of device memory */
typedef struct CUctx_st *driver_context;
typedef struct CUstream_st *driver_stream;
typedef struct CUevent_st *driver_event;
typedef struct CUlib_st *driver_library;
typedef struct CUkern_st *driver_kernel;
typedef struct CUfunc_st *driver_function; /* a driver_kernel may be cast to it */
typedef struct CUgraph_st *driver_graph;
typedef struct CUgraphExec_st *driver_graph_exec;

enum { /* driver_result */
       DRIVER_SUCCESS = 0,
       DRIVER_INVALID_VALUE = 1,
       DRIVER_OUT_OF_MEMORY = 2,
       DRIVER_NOT_INITIALIZED = 3,
       DRIVER_DEINITIALIZED = 4,
       DRIVER_STUB_LIBRARY = 34,
       DRIVER_CALL_REQUIRES_NEWER = 36,
       DRIVER_NO_DEVICE = 100,
       DRIVER_INVALID_DEVICE = 101,
       DRIVER_INVALID_IMAGE = 200,
       DRIVER_INVALID_CONTEXT = 201,
       DRIVER_NO_BINARY_FOR_GPU = 209,
       DRIVER_INVALID_PTX = 218,
       DRIVER_JIT_COMPILER_NOT_FOUND = 221,
       DRIVER_UNSUPPORTED_PTX_VERSION = 222,
       DRIVER_INVALID_HANDLE = 400,
       DRIVER_NOT_FOUND = 500,
       DRIVER_NOT_READY = 600,
       DRIVER_ILLEGAL_ADDRESS = 700,
       DRIVER_LAUNCH_OUT_OF_RESOURCES = 701,
       DRIVER_LAUNCH_FAILED = 719,
       DRIVER_COOPERATIVE_LAUNCH_TOO_LARGE = 720,
       DRIVER_SYSTEM_NOT_READY = 802,
       DRIVER_SYSTEM_DRIVER_MISMATCH = 803,
       DRIVER_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804,
       DRIVER_STREAM_CAPTURE_UNSUPPORTED = 900,
       DRIVER_STREAM_CAPTURE_INVALIDATED = 901,
       DRIVER_STREAM_CAPTURE_UNMATCHED = 903
};

enum {                                /* attributes of a device */
       DRIVER_DEVICE_CLOCK_RATE = 13, /* kHz */
       DRIVER_DEVICE_MULTIPROCESSOR_COUNT = 16,
       DRIVER_DEVICE_INTEGRATED = 18,
       DRIVER_DEVICE_COMPUTE_MODE = 20,
       DRIVER_DEVICE_MEMORY_CLOCK_RATE = 36,       /* kHz */
       DRIVER_DEVICE_GLOBAL_MEMORY_BUS_WIDTH = 37, /* bits */
       DRIVER_DEVICE_L2_CACHE_SIZE = 38,           /* bytes */
       DRIVER_DEVICE_MAX_THREADS_PER_MULTIPROCESSOR = 39,
       DRIVER_DEVICE_COMPUTE_CAPABILITY_MAJOR = 75,
       DRIVER_DEVICE_COMPUTE_CAPABILITY_MINOR = 76,
       DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR = 81,
       DRIVER_DEVICE_MAX_REGISTERS_PER_MULTIPROCESSOR = 82,
       DRIVER_DEVICE_COOPERATIVE_LAUNCH = 95,
       DRIVER_DEVICE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
       DRIVER_DEVICE_MAX_BLOCKS_PER_MULTIPROCESSOR = 106,
       DRIVER_DEVICE_RESERVED_SHARED_MEMORY_PER_BLOCK = 111,
       DRIVER_DEVICE_CLUSTER_LAUNCH = 120
};

enum { /* attributes of a kernel */
       DRIVER_KERNEL_MAX_THREADS_PER_BLOCK = 0,
       DRIVER_KERNEL_SHARED_SIZE_BYTES = 1,
       DRIVER_KERNEL_LOCAL_SIZE_BYTES = 3,
       DRIVER_KERNEL_NUM_REGS = 4,
       DRIVER_KERNEL_PTX_VERSION = 5,
       DRIVER_KERNEL_BINARY_VERSION = 6,
       DRIVER_KERNEL_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
       DRIVER_KERNEL_PREFERRED_SHARED_MEMORY_CARVEOUT = 9,
       DRIVER_KERNEL_NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14
};

enum { /* flags */
       DRIVER_STREAM_NON_BLOCKING = 1,
       DRIVER_EVENT_DISABLE_TIMING = 2,
       DRIVER_HOST_ALLOC_PORTABLE = 1,
       DRIVER_CAPTURE_GLOBAL =
           0, /* while capturing, no thread may make calls that a capture forbids */
       DRIVER_CAPTURE_THREAD_LOCAL = 1,
       DRIVER_CAPTURE_RELAXED = 2
};

enum { /* attributes of a launch */
       DRIVER_LAUNCH_IGNORE = 0,
       DRIVER_LAUNCH_COOPERATIVE = 2,
       DRIVER_LAUNCH_CLUSTER_DIMENSION = 4,
       DRIVER_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION = 6
};

union driver_launch_value {
    char pad[64];
    int cooperative;
    struct {
        unsigned int x, y, z;
    } cluster;                             /* in blocks */
    int programmatic_stream_serialization; /* 1: it may begin before the launch ahead has ended */
    uint64_t alignment;
};
struct driver_launch_attribute {
    unsigned int id;
    char pad[4];
    union driver_launch_value value;
};
struct driver_launch { /* CUlaunchConfig */
    unsigned int grid_x, grid_y, grid_z;
    unsigned int block_x, block_y, block_z;
    unsigned int shared_bytes;
    driver_stream stream;
    struct driver_launch_attribute *attributes;
    unsigned int n_attributes;
};

struct driver_tensor_map { /* CUtensorMap; toolkits before 13 ask for 64 */
    uint64_t opaque[16] __attribute__((aligned(128)));
};
enum { /* of tensor maps */
       DRIVER_TENSOR_UINT8 = 0,
       DRIVER_TENSOR_FLOAT16 = 6,
       DRIVER_TENSOR_FLOAT32 = 7,
       DRIVER_TENSOR_BFLOAT16 = 9,
       DRIVER_TENSOR_INTERLEAVE_NONE = 0,
       DRIVER_TENSOR_SWIZZLE_NONE = 0,
       DRIVER_TENSOR_SWIZZLE_128B = 3,
       DRIVER_TENSOR_L2_PROMOTION_NONE = 0,
       DRIVER_TENSOR_L2_PROMOTION_128B = 2,
       DRIVER_TENSOR_L2_PROMOTION_256B = 3,
       DRIVER_TENSOR_FILL_NONE = 0
};

/* Every call: member of struct driver, name in the library, parameters. The newest of them,
 * cuLibrary* and cuKernel*, came with CUDA 12.0. */
#define DRIVER_CALLS(CALL)                                                                         \
    CALL(init, cuInit, (unsigned int flags))                                                       \
    CALL(get_version, cuDriverGetVersion, (int *version))                                          \
    CALL(get_error_name, cuGetErrorName, (driver_result result, const char **name))                \
    CALL(get_error_string, cuGetErrorString, (driver_result result, const char **text))            \
    CALL(device_get_count, cuDeviceGetCount, (int *n))                                             \
    CALL(device_get, cuDeviceGet, (driver_device * device, int index))                             \
    CALL(device_get_name, cuDeviceGetName, (char *name, int size, driver_device device))           \
    CALL(device_get_attribute, cuDeviceGetAttribute,                                               \
         (int *value, unsigned int attribute, driver_device device))                               \
    CALL(device_total_mem, cuDeviceTotalMem_v2, (size_t * bytes, driver_device device))            \
    CALL(primary_context_retain, cuDevicePrimaryCtxRetain,                                         \
         (driver_context * context, driver_device device))                                         \
    CALL(primary_context_release, cuDevicePrimaryCtxRelease_v2, (driver_device device))            \
    CALL(context_push, cuCtxPushCurrent_v2, (driver_context context))                              \
    CALL(context_pop, cuCtxPopCurrent_v2, (driver_context * context))                              \
    CALL(context_get_current, cuCtxGetCurrent, (driver_context * context))                         \
    CALL(mem_get_info, cuMemGetInfo_v2, (size_t * free, size_t * total))                           \
    CALL(mem_alloc, cuMemAlloc_v2, (driver_address * address, size_t bytes))                       \
    CALL(mem_free, cuMemFree_v2, (driver_address address))                                         \
    CALL(host_alloc, cuMemHostAlloc, (void **memory, size_t bytes, unsigned int flags))            \
    CALL(host_free, cuMemFreeHost, (void *memory))                                                 \
    CALL(copy_to_device, cuMemcpyHtoDAsync_v2,                                                     \
         (driver_address to, const void *from, size_t bytes, driver_stream stream))                \
    CALL(copy_to_host, cuMemcpyDtoHAsync_v2,                                                       \
         (void *to, driver_address from, size_t bytes, driver_stream stream))                      \
    CALL(copy_on_device, cuMemcpyDtoDAsync_v2,                                                     \
         (driver_address to, driver_address from, size_t bytes, driver_stream stream))             \
    CALL(set_u8, cuMemsetD8Async,                                                                  \
         (driver_address to, unsigned char value, size_t n, driver_stream stream))                 \
    CALL(set_u32, cuMemsetD32Async,                                                                \
         (driver_address to, unsigned int value, size_t n, driver_stream stream))                  \
    CALL(stream_create, cuStreamCreate, (driver_stream * stream, unsigned int flags))              \
    CALL(stream_destroy, cuStreamDestroy_v2, (driver_stream stream))                               \
    CALL(stream_synchronize, cuStreamSynchronize, (driver_stream stream))                          \
    CALL(stream_query, cuStreamQuery, (driver_stream stream))                                      \
    CALL(stream_wait_event, cuStreamWaitEvent,                                                     \
         (driver_stream stream, driver_event event, unsigned int flags))                           \
    CALL(stream_begin_capture, cuStreamBeginCapture_v2, (driver_stream stream, unsigned int mode)) \
    CALL(stream_end_capture, cuStreamEndCapture, (driver_stream stream, driver_graph * graph))     \
    CALL(exchange_capture_mode, cuThreadExchangeStreamCaptureMode, (unsigned int *mode))           \
    CALL(event_create, cuEventCreate, (driver_event * event, unsigned int flags))                  \
    CALL(event_destroy, cuEventDestroy_v2, (driver_event event))                                   \
    CALL(event_record, cuEventRecord, (driver_event event, driver_stream stream))                  \
    CALL(event_synchronize, cuEventSynchronize, (driver_event event))                              \
    CALL(event_query, cuEventQuery, (driver_event event))                                          \
    CALL(event_elapsed_time, cuEventElapsedTime,                                                   \
         (float *milliseconds, driver_event start, driver_event end))                              \
    CALL(library_load_data, cuLibraryLoadData,                                                     \
         (driver_library * library, const void *code, unsigned int *jit_options,                   \
          void **jit_values, unsigned int n_jit_options, unsigned int *library_options,            \
          void **library_values, unsigned int n_library_options))                                  \
    CALL(library_unload, cuLibraryUnload, (driver_library library))                                \
    CALL(library_get_kernel, cuLibraryGetKernel,                                                   \
         (driver_kernel * kernel, driver_library library, const char *name))                       \
    CALL(kernel_get_function, cuKernelGetFunction,                                                 \
         (driver_function * function, driver_kernel kernel))                                       \
    CALL(kernel_get_attribute, cuKernelGetAttribute,                                               \
         (int *value, unsigned int attribute, driver_kernel kernel, driver_device device))         \
    CALL(kernel_set_attribute, cuKernelSetAttribute,                                               \
         (unsigned int attribute, int value, driver_kernel kernel, driver_device device))          \
    CALL(launch, cuLaunchKernelEx,                                                                 \
         (const struct driver_launch *launch, driver_function function, void **parameters,         \
          void **extra))                                                                           \
    CALL(blocks_per_multiprocessor, cuOccupancyMaxActiveBlocksPerMultiprocessor,                   \
         (int *n_blocks, driver_function function, int n_threads, size_t shared_bytes))            \
    CALL(graph_instantiate, cuGraphInstantiateWithFlags,                                           \
         (driver_graph_exec * exec, driver_graph graph, unsigned long long flags))                 \
    CALL(graph_launch, cuGraphLaunch, (driver_graph_exec exec, driver_stream stream))              \
    CALL(graph_exec_destroy, cuGraphExecDestroy, (driver_graph_exec exec))                         \
    CALL(graph_destroy, cuGraphDestroy, (driver_graph graph))                                      \
    CALL(tensor_map_encode, cuTensorMapEncodeTiled,                                                \
         (struct driver_tensor_map * map, unsigned int data_type, uint32_t rank, void *address,    \
          const uint64_t *dims, const uint64_t *strides, const uint32_t *box,                      \
          const uint32_t *element_strides, unsigned int interleave, unsigned int swizzle,          \
          unsigned int l2_promotion, unsigned int fill))

#define DRIVER_MEMBER(name, symbol, parameters) driver_result(*name) parameters;
struct driver {
    void *library;
    int version; /* 1000 * major + 10 * minor of the newest CUDA that it knows */
    DRIVER_CALLS(DRIVER_MEMBER)
};
#undef DRIVER_MEMBER

#define DRIVER_LEAST_VERSION 12000

/* Opens libcuda.so.1, looks the calls up and initialises it.
 *
 * NOT_FOUND    there is no driver, or none of its devices can be used; the message says which
 * UNSUPPORTED  the driver is too old: the version found and the one needed
 * DEVICE       it could not be initialised for another reason */
status driver_open(struct driver *driver);
/* The library stays mapped, since the driver has threads of its own; *driver is zeroed. */
void driver_close(struct driver *driver);

/* Writes "CUDA_ERROR_ILLEGAL_ADDRESS, an illegal memory access was encountered", cut to fit, and
 * returns text. */
const char *driver_describe(const struct driver *driver, driver_result result, char *text,
                            size_t size);
/* OK for 0; else a failure with `call` and what driver_describe says: OUT_OF_MEMORY for refused
 * memory, DEVICE for the rest. */
status driver_check(const struct driver *driver, driver_result result, const char *call);

/* DRIVER_TRY(driver, mem_free, address) */
#define DRIVER_TRY(driver, call, ...) \
    TRY(driver_check((driver), (driver)->call(__VA_ARGS__), #call))

#endif
