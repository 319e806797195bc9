/* A GPU in use: the driver, its primary context, the kernels loaded into it; and checked calls.
 *
 * A failed call becomes a status: OUT_OF_MEMORY where memory was refused, DEVICE for the rest. An
 * error after which the driver answers nothing else (an illegal address, a failed launch, a fault
 * of the hardware) makes the device *lost*: every later call on it is DEVICE at once, with the
 * first reason. The process goes on; what the driver holds is given back as far as it lets us.
 *
 * The primary context is the process's: it is retained, never reset or configured, and current only
 * between device_enter and device_leave. All calls below but device_open and device_close want to
 * be between these two. Any number of threads may use a device, each with streams of its own. */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "cuda/driver.h"
#include "cuda/select.h"

enum { DEVICE_MAX_KERNELS = 1024, DEVICE_REASON_BYTES = 256 };

struct device_kernel {
    const char *name; /* as the first launch named it, which stays */
    driver_kernel kernel;
    bool waits; /* its code has the wait for the kernel before: it is compiled for sm_90 or later */
};

struct device {
    struct memory *memory;
    struct driver driver;
    int ordinal; /* the driver's number */
    driver_device handle;
    struct cuda_properties properties;
    driver_context context;
    driver_library *libraries; /* [n_libraries] */
    uint32_t n_libraries;
    pthread_mutex_t lock;          /* of the kernels */
    struct device_kernel *kernels; /* [DEVICE_MAX_KERNELS], a hash table by name */
    int n_kernels;
    atomic_int lost; /* enum in device.c */
    char lost_reason[DEVICE_REASON_BYTES];
};

#define DEVICE_LEAST_MAJOR 8 /* compute capability */

/* A debugging variable: a fatbin, cubin or PTX to load instead of the image. NULL: none. */
const char *device_image_file(void);
/* The driver, if it can run the kernels that were built. NOT_FOUND, UNSUPPORTED, DEVICE. */
status device_open_driver(struct driver *driver);
/* What a driver says of a device; no context is needed. */
status device_properties(const struct driver *driver, driver_device handle,
                         struct cuda_properties *properties);

/* NOT_FOUND, UNSUPPORTED, DEVICE: no driver, no such device, too old, no kernels for it.
 * OUT_OF_MEMORY. memory must outlive the device. */
status device_open(struct memory *memory, int ordinal, struct device **device);
uint64_t device_host_bytes(void); /* that device_open takes of memory */
/* Nothing runs on it any more. NULL does nothing. */
void device_close(struct device *device);

/* What of the thread's is the caller's, from device_enter to device_leave. */
struct device_caller {
    unsigned int capture_mode;
    bool has_mode;
};
/* Makes the device's context the thread's current one, over the caller's, and lets the thread do
 * what a capture elsewhere in the process would forbid it: memory that is taken here is no part of
 * what the host captures. DEVICE: it is lost. */
status device_enter(struct device *device, struct device_caller *caller);
/* All is the caller's again. */
void device_leave(struct device *device, const struct device_caller *caller);
/* To clear away: enters a lost device too. Whether to leave it again. */
bool device_enter_anyway(struct device *device, struct device_caller *caller);

/* What every call's result goes through: OK or a failure that names the call. */
status device_check(struct device *device, driver_result result, const char *call);
/* DEVICE_TRY(device, mem_free, address) */
#define DEVICE_TRY(device, call, ...) \
    TRY(device_check((device), (device)->driver.call(__VA_ARGS__), #call))

/* Memory of the device, 256-byte aligned, not cleared: addresses for kernels and copies alone.
 * NULL where it is refused: the message has the bytes asked for, what for, and those that are free.
 * bytes 0 gives a block of its own too. Waits for what runs on the device. */
void *device_block(struct device *device, size_t bytes, const char *purpose);
/* Memory of the host that copies reach without a detour. */
void *device_pinned_block(struct device *device, size_t bytes, const char *purpose);
status device_refusal(const struct device *device); /* why the last block is NULL */
/* A block for *pointer, whatever it points to, and a status; NULL on failure. */
#define DEVICE_TAKE(device, bytes, purpose, pointer) \
    ((*(pointer) = device_block(device, bytes, purpose)) ? OK : device_refusal(device))
#define DEVICE_TAKE_PINNED(device, bytes, purpose, pointer) \
    ((*(pointer) = device_pinned_block(device, bytes, purpose)) ? OK : device_refusal(device))
/* NULL does nothing. */
void device_give(struct device *device, void *block);
void device_give_pinned(struct device *device, void *block);
/* An address as the driver's calls want it. */
static inline driver_address device_address(const void *block) {
    return (driver_address)(uintptr_t)block;
}
/* Bytes of the device that a block takes. */
uint64_t device_cost(uint64_t bytes);

/* In order on a stream. Host memory that isn't pinned makes a copy wait. */
status device_upload(struct device *device, driver_stream stream, void *to, const void *from,
                     size_t bytes);
status device_download(struct device *device, driver_stream stream, void *to, const void *from,
                       size_t bytes);
status device_copy(struct device *device, driver_stream stream, void *to, const void *from,
                   size_t bytes);
status device_clear(struct device *device, driver_stream stream, void *to, size_t bytes);

/* Streams wait for no other stream, the default one neither. */
status device_stream_create(struct device *device, driver_stream *stream);
void device_stream_destroy(struct device *device, driver_stream stream); /* NULL does nothing */
/* Until all that was put on the stream is done. */
status device_stream_wait(struct device *device, driver_stream stream);
status device_event_create(struct device *device, driver_event *event);
void device_event_destroy(struct device *device, driver_event event); /* NULL does nothing */
/* The event comes when all that is on the stream now is done. */
status device_event_record(struct device *device, driver_stream stream, driver_event event);
status device_event_wait(struct device *device, driver_event event); /* in the calling thread */

/* A kernel by name, loaded, allowed all the shared memory that a block may have. Looked up once;
 * name must outlive the device. INTERNAL: there is none of that name. */
status device_kernel(struct device *device, const char *name, struct device_kernel *kernel);
/* Blocks of a cooperative launch of so many threads and bytes of shared memory, at most. */
status device_resident_blocks(struct device *device, const char *kernel, uint32_t threads,
                              uint32_t shared_bytes, uint32_t *n_blocks);
/* All blocks run at once, at most as many as that. */
status device_launch_together(struct device *device, driver_stream stream,
                              const struct launch_shape *shape, const void *args);
/* For what a kernel says of itself: the device counts as lost. Returns DEVICE. */
status device_give_up(struct device *device, const char *reason);
/* args: the kernel's one struct, copied. dependent: the launch may begin while the one before it on
 * the stream still runs, where the kernel waits for what it needs itself. An empty grid is no
 * launch. */
status device_launch(struct device *device, driver_stream stream, const struct launch_shape *shape,
                     const void *args, bool dependent);

#endif
