/* Inside the emulator: a block's threads as fibers, who waits for whom, and what every byte of
 * memory knows of its accesses.
 *
 * One launch runs at a time, blocks one after the other (the blocks of a cluster together; those of
 * a cooperative launch all together, in turn). The first thing wrong ends the launch; its text
 * names kernel, block, thread and source line.
 *
 * Order of accesses: each warp has a vector clock. Its own entry counts what orders it (barriers,
 * warp_sync, arrivals); a barrier makes all participants know each other's accesses so far. Two
 * accesses of different threads to one byte of shared memory, one of them a write, must be ordered
 * by that, or it is a race, whatever order the fibers happened to run in. Shuffles and matrix
 * instructions don't order memory accesses; on the device neither do they. */
#ifndef GPU_EMULATOR_H
#define GPU_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

enum {
    MAX_THREADS = 1024,
    MAX_CLUSTER = 2,
    MAX_TOGETHER = 128, /* blocks of a cooperative launch */
    MAX_WARPS = MAX_CLUSTER * MAX_THREADS / 32,
    MAX_SHARED = 227 * 1024,
    MAX_ARGS = 4096
};

/* Where in the kernel's source. */
struct site {
    const char *file;
    int line;
};

/* ---- kernels by name ---- */

struct emulated_kernel {
    const char *name;
    uint32_t max_threads;
    size_t args_bytes;
    void (*run)(const void *args);
    struct emulated_kernel *next;
    emulated_kernel(const char *its_name, uint32_t n_threads, size_t bytes,
                    void (*body)(const void *));
};
struct emulated_kernel *emulated_kernel_find(const char *name);

/* ---- threads ---- */

enum warp_op {
    OP_NONE,
    OP_WARP_SYNC,
    OP_BLOCK_SYNC,
    OP_GROUP_SYNC,
    OP_CLUSTER_SYNC,
    OP_SHUFFLE,
    OP_SHUFFLE_XOR,
    OP_BALLOT,
    OP_LOAD_MATRIX4,
    OP_LOAD_MATRIX4_TRANSPOSED,
    OP_LOAD_MATRIX2,
    OP_MMA_BF16,
    OP_MMA_F16,
    OP_MMA_E4M3,
    OP_STORE_MATRIX4,
    OP_REGISTERS,
    OP_WARP_INDEX,
    OP_WGMMA,
    OP_WGMMA_FENCE,
    OP_WGMMA_COMMIT,
    OP_WGMMA_WAIT
};

enum element { ELEMENT_BF16, ELEMENT_F16, ELEMENT_E4M3 }; /* of matrices that are multiplied */

/* What a thread brings to something that its warp does together. */
struct warp_call {
    enum warp_op op;
    struct site site;
    uint32_t a, b;          /* lane, mask, barrier and its count, shared address … */
    uint64_t value, result; /* of shuffles and ballots */
    void *to;               /* registers */
    const void *from[2];
    const struct wgmma_call *wgmma;
};

struct copy_in_flight { /* 16 bytes */
    uint32_t to;
    const void *from; /* NULL: zeros */
    uint32_t group;
};

struct emulated_block;
struct emulated_thread {
    void *stack_pointer;
    void *stack;
    struct emulated_block *block;
    struct emulated_warp *warp;
    uint32_t index, lane; /* in its block, in its warp */
    uint32_t id;          /* in its cluster: rank * MAX_THREADS + index */
    bool ended, blocked;
    bool waited_for_previous; /* kernel, or need not */
    struct site polling;      /* where it asks again and again; file NULL: nowhere */
    const char *polls;        /* what for */
    const struct mbarrier *polled_mbarrier;
    uint64_t polled_at;        /* progress when it last asked */
    struct warp_call *call;    /* where its warp waits for the other lanes, or for a barrier */
    uint32_t n_groups, n_done; /* copy_async groups committed, complete */
    struct copy_in_flight *copies;
    uint32_t n_copies, max_copies;
    uint16_t n_fences; /* fence_proxy_async so far */
};

struct emulated_warp {
    uint32_t id; /* in the cluster */
    struct emulated_thread *lanes[32];
    uint32_t n_lanes, arrived, ended; /* masks */
    uint32_t clock[MAX_WARPS];
};

struct barrier {
    uint32_t expected, arrived; /* threads */
    uint64_t warps;             /* that have arrived, by their number in the block */
};

/* Who wrote and read last, as record(): of a word, or of each byte of it. Additions that are one
 * step don't race with each other. */
struct access {
    uint32_t write, read[2];
};
#define ACCESS_ATOMIC 0x80000000u /* in `write` */
#define ASYNC_PROXY 0x8000u
#define ACCESS_SPLIT 0xffffffffu     /* see the bytes */
#define ACCESS_IN_FLIGHT 0xfffffffeu /* an asynchronous copy is writing it */

struct mbarrier { /* ptx_hopper.cuh */
    uint32_t at;  /* shared address */
    uint32_t count, pending;
    int64_t transactions;
    uint32_t phase;                 /* completed phases */
    uint32_t made;                  /* record() of who initialised it */
    bool fenced;                    /* mbarrier_fence_init */
    uint32_t clock[MAX_WARPS];      /* of those who arrived in this phase */
    uint32_t done_clock[MAX_WARPS]; /* of the last completed one */
    struct mbarrier *next;
};

struct emulated_block {
    uint32_t index, rank; /* in the grid, in its cluster */
    uint32_t n_live;      /* threads */
    bool did_atomic;      /* on global memory */
    struct emulated_thread *threads;
    struct emulated_warp *warps;
    unsigned char *arena; /* shared memory */
    struct access *words, *bytes;
    uint16_t *copier; /* of words in flight: thread */
    uint16_t *proxy;  /* of words: fences of the writer before it wrote, or ASYNC_PROXY */
    struct barrier barriers[16];
    struct mbarrier *mbarriers;
};

struct emulated_launch {
    const struct emulated_kernel *kernel;
    uint32_t grid, threads, cluster, shared_bytes;
    bool programmatic, cooperative;
    bool stuck; /* of a cooperative launch: no block gets any further */
    long lose_signal,
        n_signals; /* the first add_release that never comes, from 1; how many there were */
    const void *args;
    struct emulated_block *blocks; /* of the cluster that runs */
    uint32_t n_waited;             /* threads that called wait_for_previous_kernel */
    uint64_t progress;
    uint32_t number; /* launches so far */
    uint32_t order;  /* of blocks and threads: 0 ascending, 1 descending, else a seed */
    bool failed;
    char error[1024];
};
extern struct emulated_launch emulated;
extern struct emulated_thread *emulated_self;

static inline uint32_t own_clock(const struct emulated_warp *warp) {
    return warp->clock[warp->id];
}
static inline uint32_t record(const struct emulated_thread *self) {
    return own_clock(self->warp) << 11 | self->id;
}
/* Is what thread `id` did at its warp's time before what self does now? */
static inline bool ordered(uint32_t access, const struct emulated_thread *self) {
    const uint32_t id = access & 2047, time = (access & ~ACCESS_ATOMIC) >> 11, warp = id / 32;
    if (id == self->id) return true;
    if (warp == self->warp->id) return time < own_clock(self->warp);
    return time <= self->warp->clock[warp];
}

/* Ends the launch. */
[[noreturn]] void emulated_fail(struct site site, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));
/* Waits for the other lanes, the last of which does it for all. */
void emulated_warp_call(struct warp_call *call);
/* What a condition that others make true is asked for: lets them run; that nobody makes any
 * progress is a deadlock. */
void emulated_poll(const char *what, struct site site);
void emulated_wake(struct emulated_thread *thread);
/* A warp orders what it does from now on after what it did. */
void emulated_tick(struct emulated_warp *warp);

/* The thread ends here. */
void emulated_end_thread();
/* Lets the other blocks of a cooperative launch run. */
void emulated_let_others_run();

struct launch_form {
    uint32_t grid, threads, cluster, shared_bytes;
    bool programmatic, cooperative;
};
/* Runs a grid; false: emulated.error says what was wrong. */
bool emulated_run(const struct emulated_kernel *kernel, const struct launch_form *form,
                  const void *args);

/* ---- memory ---- */

void emulated_shared_read(uint32_t at, void *to, uint32_t bytes, struct site site);
void emulated_shared_write(uint32_t at, const void *from, uint32_t bytes, struct site site);
uint32_t emulated_shared_add(uint32_t at, uint32_t value, struct site site);
/* Checks, and marks as being written by a copy; emulated_shared_land ends it. */
void emulated_shared_launch(struct emulated_block *block, uint32_t at, uint32_t bytes,
                            struct site site);
void emulated_shared_land(struct emulated_block *block, uint32_t at, const void *from,
                          uint32_t bytes, uint32_t by, uint32_t proxy);
/* 16 bytes by the asynchronous proxy. */
void emulated_shared_read_async(uint32_t at, void *to, struct site site);
void emulated_shared_reset(struct emulated_block *block, uint32_t bytes);

/* Checks an access of the running kernel; `align` 0: none asked. */
void emulated_global_read(const void *from, size_t bytes, size_t align, struct site site);
void emulated_global_write(void *to, size_t bytes, size_t align, struct site site);
uint32_t emulated_global_add(uint32_t *at, uint32_t value, struct site site);
void emulated_fence_device();
void emulated_add_release(uint32_t *at, uint32_t value, struct site site);
bool emulated_wait_for_count(const uint32_t *count, uint32_t wanted, const uint32_t *failed,
                             struct site site);
void emulated_copy_async16(uint32_t to, const void *from, bool valid, struct site site);
void emulated_copy_async_wait(uint32_t n);

/* The launch and 1 + the block of the last write and read of a word; the thread that wrote, and how
 * many fences it had made before. */
struct block_access {
    uint64_t write, read;
    uint32_t thread, fences;
    uint32_t wrote_at, read_at; /* of a cooperative launch: the block's own time */
};
struct allocation {
    unsigned char *base;
    size_t bytes;
    uint64_t *written; /* a bit for each byte */
    bool written_by_kernel;
    unsigned char *block;       /* what malloc gave */
    struct block_access *words; /* of kernels; NULL: none yet */
    uint64_t number;
};
struct allocation *emulated_memory_take(size_t bytes);
/* false: it is none, or what lies around it was overwritten. */
bool emulated_memory_give(void *address);
/* The one that holds all of these bytes, or NULL. */
struct allocation *emulated_memory_find(const void *address, size_t bytes);
void emulated_memory_mark(struct allocation *allocation, const void *address, size_t bytes);
size_t emulated_memory_live(size_t *bytes);
void emulated_memory_list(void);

/* ---- what warps do together ---- */

void emulated_load_matrix(struct emulated_warp *warp, uint32_t n, bool transposed);
void emulated_store_matrix(struct emulated_warp *warp);
void emulated_mma(struct emulated_warp *warp, enum element element);
/* The element of 16 bits, or the two e4m3 in them, the lower one first; how many they are. */
uint32_t emulated_unpack(uint32_t bits, enum element element, double *to);
float emulated_f16_to_f32(uint16_t x);
uint16_t emulated_f32_to_f16(float x);
uint16_t emulated_f32_to_bf16(float x);

#endif
