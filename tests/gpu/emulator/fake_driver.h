/* Inside the emulator's libcuda.so.1: what the handles are. */
#ifndef GPU_FAKE_DRIVER_H
#define GPU_FAKE_DRIVER_H

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "emulator.h"

enum op_kind { LAUNCH, TO_DEVICE, TO_HOST, ON_DEVICE, SET_U8, SET_U32, RECORD, WAIT };

struct op {
    enum op_kind kind;
    const struct emulated_kernel *kernel;
    struct launch_form form;
    std::vector<char> bytes; /* arguments of a kernel, what was copied from pageable memory */
    void *to;
    const void *from;
    size_t n;
    uint32_t value;
    driver_event event;
};

struct CUgraph_st {
    std::vector<struct op> ops;
};
struct CUgraphExec_st {
    std::vector<struct op> ops;
};
struct CUstream_st {
    std::vector<struct op> queue; /* of a lazy stream */
    driver_graph capture;
    bool joined; /* it captures because it waited for an event of another stream's capture */
    unsigned capture_mode;
};
struct CUevent_st {
    bool recorded;
    double at;             /* seconds */
    driver_stream pending; /* lazy: where it will be recorded */
    driver_graph capture;
    unsigned capture_mode;
};
struct CUkern_st {
    const struct emulated_kernel *kernel;
    int max_dynamic_shared;
};
struct CUlib_st {
    std::vector<std::unique_ptr<CUkern_st>> kernels;
};

/* Read from the environment by cuInit:
 *   EMULATED_CAPABILITY  9.0        (8.0)   compute capability
 *   EMULATED_DRIVER      12080      (13000) what cuDriverGetVersion tells
 *   EMULATED_MEMORY      bytes      (2^32)  of the device
 *   EMULATED_DEVICES     0          (1)
 *   EMULATED_INIT        100        (0)     result of cuInit
 *   EMULATED_LAZY        1          (0)     work is done when it is waited for, not at once
 *   EMULATED_FAIL        KIND:N:RESULT[:ever],…  the N-th (from 1) alloc, host_alloc, launch, copy,
 *                        load or sync returns RESULT, once or from then on
 *   EMULATED_LOST        N          every call after the N-th returns CUDA_ERROR_ILLEGAL_ADDRESS
 *   EMULATED_MULTIPROCESSORS 2   (108, 132)  of the device
 *   EMULATED_LOSE_SIGNAL N              the N-th add_release of all is lost, and those after it
 *   EMULATED_ORDER       1          (0)     blocks and threads of a launch run in descending order;
 * any other number: in an order of its own EMULATED_LEAKS       1          tells at the process's
 * end what is still there, and the counts EMULATED_QUIET       1          does not print what
 * kernels do wrong */
struct fake_options {
    int major, minor, version, devices, multiprocessors;
    unsigned init;
    size_t memory;
    bool lazy, quiet;
};

struct fault {
    std::string kind;
    long at;
    driver_result result;
    bool ever;
    long n; /* calls so far */
};

struct fake_device {
    std::recursive_mutex lock;
    bool initialised;
    struct fake_options options;
    std::vector<struct fault> faults;
    long lost_after, n_calls;
    driver_result lost; /* what every call returns from now on; 0: the device works */
    int n_retained;
    long n_streams, n_events, n_graphs, n_execs, n_libraries, n_host;
    std::vector<std::pair<char *, size_t>> host; /* pinned memory */
    int n_global_captures;                       /* that forbid every thread's unsafe calls */
    std::vector<driver_stream> streams;
    struct CUstream_st null_stream;
    char error[1024]; /* of the kernel that failed */
};
extern struct fake_device fake;

void fake_configure();
/* What a call of this kind has to return before it does anything. */
driver_result fake_enter(const char *kind);
/* Does it now, later, or records it. */
driver_result fake_submit(driver_stream stream, struct op &&op);
driver_result fake_execute(const struct op &op);
driver_result fake_flush(driver_stream stream);
driver_stream fake_stream(driver_stream stream);
/* Whether a capture forbids this thread what can't be captured: its own, or a global one of any,
 * unless the thread's mode lets it. */
bool fake_forbids();

#define EXPORT extern "C" __attribute__((visibility("default")))
#define LOCKED std::lock_guard<std::recursive_mutex> locked(fake.lock)
#define ENTER(kind)                                      \
    LOCKED;                                              \
    do {                                                 \
        const driver_result entered_ = fake_enter(kind); \
        if (entered_ != DRIVER_SUCCESS) return entered_; \
    } while (0)

#endif
