/* libcuda.so.1 of the emulator: streams, events, graphs. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fake_driver.h"

static double seconds() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

driver_stream fake_stream(driver_stream stream) {
    return stream ? stream : &fake.null_stream;
}

/* ---- what is done ---- */

static driver_result launch(const struct op &op) {
    if (emulated_run(op.kernel, &op.form, op.bytes.data())) return DRIVER_SUCCESS;
    snprintf(fake.error, sizeof fake.error, "%s", emulated.error);
    if (!fake.options.quiet) fprintf(stderr, "emulator: %s\n", fake.error);
    return fake.lost = DRIVER_LAUNCH_FAILED;
}

static driver_result copy_to_device(const struct op &op) {
    struct allocation *to = emulated_memory_find(op.to, op.n);
    if (!to) return fake.lost = DRIVER_ILLEGAL_ADDRESS;
    memcpy(op.to, op.from ? op.from : op.bytes.data(), op.n);
    emulated_memory_mark(to, op.to, op.n);
    return DRIVER_SUCCESS;
}

static driver_result copy_on_device(const struct op &op) {
    struct allocation *to = emulated_memory_find(op.to, op.n);
    const struct allocation *from = emulated_memory_find(op.from, op.n);
    if (!to || !from) return fake.lost = DRIVER_ILLEGAL_ADDRESS;
    const size_t at = (size_t)((const unsigned char *)op.from - from->base);
    const size_t to_at = (size_t)((unsigned char *)op.to - to->base);
    std::vector<bool> written(op.n);
    for (size_t i = 0; i < op.n; i++)
        written[i] = from->written[(at + i) / 64] >> (at + i) % 64 & 1;
    for (size_t i = 0; i < op.n; i++) {
        const uint64_t bit = UINT64_C(1) << (to_at + i) % 64;
        uint64_t *word = &to->written[(to_at + i) / 64];
        *word = written[i] ? *word | bit : *word & ~bit;
    }
    memmove(op.to, op.from, op.n);
    return DRIVER_SUCCESS;
}

static driver_result set_memory(const struct op &op) {
    const size_t bytes = op.kind == SET_U32 ? op.n * 4 : op.n;
    struct allocation *to = emulated_memory_find(op.to, bytes);
    if (!to) return fake.lost = DRIVER_ILLEGAL_ADDRESS;
    if (op.kind == SET_U8)
        memset(op.to, (int)op.value, bytes);
    else
        for (size_t i = 0; i < op.n; i++) ((uint32_t *)op.to)[i] = op.value;
    emulated_memory_mark(to, op.to, bytes);
    return DRIVER_SUCCESS;
}

driver_result fake_execute(const struct op &op) {
    if (fake.lost) return fake.lost;
    switch (op.kind) {
    case LAUNCH:
        return launch(op);
    case TO_DEVICE:
        return copy_to_device(op);
    case TO_HOST:
        if (!emulated_memory_find(op.from, op.n)) return fake.lost = DRIVER_ILLEGAL_ADDRESS;
        memcpy(op.to, op.from, op.n);
        return DRIVER_SUCCESS;
    case ON_DEVICE:
        return copy_on_device(op);
    case SET_U8:
    case SET_U32:
        return set_memory(op);
    case RECORD:
        op.event->recorded = true;
        op.event->pending = NULL;
        op.event->at = seconds();
        return DRIVER_SUCCESS;
    case WAIT:
        if (op.event->pending) return fake_flush(op.event->pending);
        return DRIVER_SUCCESS;
    }
    return DRIVER_INVALID_VALUE;
}

driver_result fake_flush(driver_stream stream) {
    driver_result result = DRIVER_SUCCESS;
    std::vector<struct op> queue;
    queue.swap(stream->queue);
    for (const struct op &op : queue)
        if (result == DRIVER_SUCCESS) result = fake_execute(op);
    return result;
}

/* Errors of the work itself come later, as they do from a device. */
driver_result fake_submit(driver_stream stream, struct op &&op) {
    stream = fake_stream(stream);
    if (stream->capture) {
        stream->capture->ops.push_back(std::move(op));
        return DRIVER_SUCCESS;
    }
    if (fake.options.lazy) {
        stream->queue.push_back(std::move(op));
        return DRIVER_SUCCESS;
    }
    fake_execute(op);
    return DRIVER_SUCCESS;
}

/* ---- copies ---- */

static bool pinned(const void *at, size_t bytes) {
    for (const auto &host : fake.host)
        if ((const char *)at >= host.first && (const char *)at + bytes <= host.first + host.second)
            return true;
    return false;
}

EXPORT driver_result cuMemcpyHtoDAsync_v2(driver_address to, const void *from, size_t bytes,
                                          driver_stream stream) {
    ENTER("copy");
    struct op op = {};
    op.kind = TO_DEVICE;
    op.to = (void *)to;
    op.n = bytes;
    if (!bytes) return DRIVER_SUCCESS;
    if (!emulated_memory_find(op.to, bytes)) return DRIVER_INVALID_VALUE;
    if (pinned(from, bytes) || fake_stream(stream)->capture)
        op.from = from;
    else /* pageable memory is read before the call returns */
        op.bytes.assign((const char *)from, (const char *)from + bytes);
    return fake_submit(stream, std::move(op));
}

EXPORT driver_result cuMemcpyDtoHAsync_v2(void *to, driver_address from, size_t bytes,
                                          driver_stream stream) {
    ENTER("copy");
    struct op op = {};
    op.kind = TO_HOST;
    op.to = to;
    op.from = (const void *)from;
    op.n = bytes;
    if (!bytes) return DRIVER_SUCCESS;
    if (!emulated_memory_find(op.from, bytes)) return DRIVER_INVALID_VALUE;
    return fake_submit(stream, std::move(op));
}

EXPORT driver_result cuMemcpyDtoDAsync_v2(driver_address to, driver_address from, size_t bytes,
                                          driver_stream stream) {
    ENTER("copy");
    struct op op = {};
    op.kind = ON_DEVICE;
    op.to = (void *)to;
    op.from = (const void *)from;
    op.n = bytes;
    if (!bytes) return DRIVER_SUCCESS;
    return fake_submit(stream, std::move(op));
}

static driver_result set(enum op_kind kind, driver_address to, uint32_t value, size_t n,
                         driver_stream stream) {
    struct op op = {};
    op.kind = kind;
    op.to = (void *)to;
    op.value = value;
    op.n = n;
    if (!n) return DRIVER_SUCCESS;
    return fake_submit(stream, std::move(op));
}

EXPORT driver_result cuMemsetD8Async(driver_address to, unsigned char value, size_t n,
                                     driver_stream stream) {
    ENTER("set");
    return set(SET_U8, to, value, n, stream);
}

EXPORT driver_result cuMemsetD32Async(driver_address to, unsigned value, size_t n,
                                      driver_stream stream) {
    ENTER("set");
    if (to % 4) return DRIVER_INVALID_VALUE;
    return set(SET_U32, to, value, n, stream);
}

/* ---- streams ---- */

EXPORT driver_result cuStreamCreate(driver_stream *stream, unsigned) {
    ENTER("stream");
    *stream = new CUstream_st();
    fake.streams.push_back(*stream);
    fake.n_streams++;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuStreamDestroy_v2(driver_stream stream) {
    LOCKED;
    const driver_result entered = fake_enter("destroy");
    if (entered == DRIVER_SUCCESS) fake_flush(stream);
    for (size_t i = 0; i < fake.streams.size(); i++)
        if (fake.streams[i] == stream) fake.streams.erase(fake.streams.begin() + (long)i--);
    delete stream;
    fake.n_streams--;
    return entered;
}

EXPORT driver_result cuStreamSynchronize(driver_stream stream) {
    ENTER("sync");
    stream = fake_stream(stream);
    if (stream->capture) return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    const driver_result result = fake_flush(stream);
    return result ? result : fake.lost;
}

EXPORT driver_result cuStreamQuery(driver_stream stream) {
    return cuStreamSynchronize(stream);
}

EXPORT driver_result cuStreamWaitEvent(driver_stream stream, driver_event event, unsigned) {
    ENTER("wait");
    stream = fake_stream(stream);
    if (event->capture && !stream->capture) {
        stream->capture = event->capture;
        stream->joined = true;
        stream->capture_mode = event->capture_mode;
    }
    struct op op = {};
    op.kind = WAIT;
    op.event = event;
    if (event->capture) return DRIVER_SUCCESS;
    return fake_submit(stream, std::move(op));
}

/* ---- events ---- */

EXPORT driver_result cuEventCreate(driver_event *event, unsigned) {
    ENTER("event");
    *event = new CUevent_st();
    fake.n_events++;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuEventDestroy_v2(driver_event event) {
    LOCKED;
    const driver_result entered = fake_enter("destroy");
    if (event->pending && entered == DRIVER_SUCCESS) fake_flush(event->pending);
    delete event;
    fake.n_events--;
    return entered;
}

EXPORT driver_result cuEventRecord(driver_event event, driver_stream stream) {
    ENTER("record");
    stream = fake_stream(stream);
    event->capture = stream->capture;
    event->capture_mode = stream->capture_mode;
    if (stream->capture) return DRIVER_SUCCESS;
    event->pending = stream;
    struct op op = {};
    op.kind = RECORD;
    op.event = event;
    return fake_submit(stream, std::move(op));
}

EXPORT driver_result cuEventSynchronize(driver_event event) {
    ENTER("sync");
    if (event->capture) return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    if (event->pending) fake_flush(event->pending);
    return fake.lost;
}

EXPORT driver_result cuEventQuery(driver_event event) {
    return cuEventSynchronize(event);
}

EXPORT driver_result cuEventElapsedTime(float *milliseconds, driver_event start, driver_event end) {
    ENTER("elapsed");
    if (!start->recorded || !end->recorded) return DRIVER_NOT_READY;
    *milliseconds = (float)(1e3 * (end->at - start->at));
    return DRIVER_SUCCESS;
}

/* ---- graphs ---- */

static thread_local unsigned thread_mode = DRIVER_CAPTURE_GLOBAL;
static thread_local int n_own_captures; /* but the relaxed ones */

bool fake_forbids() {
    if (thread_mode == DRIVER_CAPTURE_RELAXED) return false;
    return n_own_captures || (thread_mode == DRIVER_CAPTURE_GLOBAL && fake.n_global_captures);
}

EXPORT driver_result cuThreadExchangeStreamCaptureMode(unsigned *mode) {
    ENTER("mode");
    std::swap(*mode, thread_mode);
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuStreamBeginCapture_v2(driver_stream stream, unsigned mode) {
    ENTER("capture");
    if (!stream || stream->capture) return DRIVER_STREAM_CAPTURE_UNSUPPORTED;
    stream->capture = new CUgraph_st();
    stream->capture_mode = mode;
    n_own_captures += mode != DRIVER_CAPTURE_RELAXED;
    fake.n_global_captures += mode == DRIVER_CAPTURE_GLOBAL;
    fake.n_graphs++;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuStreamEndCapture(driver_stream stream, driver_graph *graph) {
    LOCKED;
    const driver_result entered = fake_enter("end");
    *graph = NULL;
    if (!stream->capture || stream->joined) return DRIVER_STREAM_CAPTURE_UNMATCHED;
    n_own_captures -= stream->capture_mode != DRIVER_CAPTURE_RELAXED;
    fake.n_global_captures -= stream->capture_mode == DRIVER_CAPTURE_GLOBAL;
    for (driver_stream other : fake.streams)
        if (other->joined && other->capture == stream->capture) {
            other->capture = NULL;
            other->joined = false;
        }
    if (entered == DRIVER_SUCCESS) {
        *graph = stream->capture;
    } else {
        delete stream->capture;
        fake.n_graphs--;
    }
    stream->capture = NULL;
    return entered;
}

EXPORT driver_result cuGraphInstantiateWithFlags(driver_graph_exec *exec, driver_graph graph,
                                                 unsigned long long) {
    ENTER("instantiate");
    *exec = new CUgraphExec_st{graph->ops};
    fake.n_execs++;
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuGraphLaunch(driver_graph_exec exec, driver_stream stream) {
    ENTER("launch");
    for (const struct op &op : exec->ops) {
        struct op copy = op;
        fake_submit(stream, std::move(copy));
    }
    return DRIVER_SUCCESS;
}

EXPORT driver_result cuGraphExecDestroy(driver_graph_exec exec) {
    LOCKED;
    const driver_result entered = fake_enter("destroy");
    delete exec;
    fake.n_execs--;
    return entered;
}

EXPORT driver_result cuGraphDestroy(driver_graph graph) {
    LOCKED;
    const driver_result entered = fake_enter("destroy");
    delete graph;
    fake.n_graphs--;
    return entered;
}

/* ---- tensor maps ---- */

EXPORT driver_result cuTensorMapEncodeTiled(struct driver_tensor_map *map, unsigned data_type,
                                            uint32_t rank, void *address, const uint64_t *dims,
                                            const uint64_t *strides, const uint32_t *box,
                                            const uint32_t *element_strides, unsigned interleave,
                                            unsigned swizzle, unsigned, unsigned fill) {
    if (rank != 2 || interleave || fill || element_strides[0] != 1 || element_strides[1] != 1)
        return DRIVER_INVALID_VALUE;
    if ((uintptr_t)address % 16 || strides[0] % 16 || !box[0] || !box[1] || box[0] > 256 ||
        box[1] > 256)
        return DRIVER_INVALID_VALUE;
    *map = {};
    map->opaque[0] = (uintptr_t)address;
    map->opaque[1] = dims[0];
    map->opaque[2] = dims[1];
    map->opaque[3] = strides[0];
    map->opaque[4] = box[0] | (uint64_t)box[1] << 32;
    map->opaque[5] = swizzle | (uint64_t)data_type << 32;
    return DRIVER_SUCCESS;
}
