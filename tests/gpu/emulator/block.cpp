/* Kernels by name, the threads of a block, and their waiting for each other. */
#include <fenv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"
#include "hopper.h"

struct emulated_launch emulated;
struct emulated_thread *emulated_self;

/* ---- kernels by name ---- */

static struct emulated_kernel *kernels;

emulated_kernel::emulated_kernel(const char *its_name, uint32_t n_threads, size_t bytes,
                                 void (*body)(const void *))
    : name(its_name), max_threads(n_threads), args_bytes(bytes), run(body), next(kernels) {
    if (emulated_kernel_find(its_name)) {
        fprintf(stderr, "emulator: two kernels are called %s\n", its_name);
        abort();
    }
    kernels = this;
}

struct emulated_kernel *emulated_kernel_find(const char *name) {
    struct emulated_kernel *kernel = kernels;
    while (kernel && strcmp(kernel->name, name) != 0) kernel = kernel->next;
    return kernel;
}

/* ---- who runs ---- */

/* A cluster and its threads. A launch has one at a time; a cooperative one has all of its blocks,
 * each a cluster of its own, of which one runs at a time. */
struct team {
    struct emulated_block blocks[MAX_CLUSTER];
    struct barrier barrier; /* of the cluster */
    struct emulated_thread threads[MAX_CLUSTER * MAX_THREADS];
    struct emulated_warp warps[MAX_WARPS];
    /* Those that can go on, in turn: a ring, each at most once. */
    struct emulated_thread *ready[MAX_CLUSTER * MAX_THREADS];
    uint32_t ready_first, n_ready;
};
static struct team *teams[MAX_TOGETHER]; /* the first is that of every launch; others as needed */
static struct team *team;                /* that runs */
static void *launcher;                   /* the stack that emulated_run was called on */

static void ready_push(struct emulated_thread *thread) {
    const uint32_t size = MAX_CLUSTER * MAX_THREADS;
    team->ready[(team->ready_first + team->n_ready++) % size] = thread;
}
static struct emulated_thread *ready_take() {
    struct emulated_thread *next = team->ready[team->ready_first];
    team->ready_first = (team->ready_first + 1) % (MAX_CLUSTER * MAX_THREADS);
    team->n_ready--;
    return next;
}

/* Blocks of a cooperative launch take turns in the midst of what they do, too. */
enum { OTHERS_TURN = 509 };

/* Goes to the next thread that can go on, or back to the launcher if there is none. */
static void give_way() {
    struct emulated_thread *self = emulated_self;
    static uint32_t turn;
    const bool others = emulated.cooperative && ++turn % OTHERS_TURN == 0;
    if (!team->n_ready || others) {
        fiber_switch(&self->stack_pointer, launcher);
        return;
    }
    struct emulated_thread *next = ready_take();
    if (next == self) return;
    emulated_self = next;
    fiber_switch(&self->stack_pointer, next->stack_pointer);
}

static void block_until_woken() {
    emulated_self->blocked = true;
    give_way();
}

void emulated_wake(struct emulated_thread *thread) {
    if (!thread->blocked) return;
    thread->blocked = false;
    thread->call = NULL;
    ready_push(thread);
}

/* ---- what is said when something is wrong ---- */

static void describe(char *to, size_t size, struct site site, const char *what) {
    const struct emulated_thread *self = emulated_self;
    snprintf(to, size, "kernel %s, block %u, thread %u (warp %u, lane %u), %s:%d: %s",
             emulated.kernel->name, self->block->index, self->index, self->index / 32, self->lane,
             site.file, site.line, what);
}

void emulated_fail(struct site site, const char *format, ...) {
    char what[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    describe(emulated.error, sizeof emulated.error, site, what);
    emulated.failed = true;
    void *never;
    fiber_switch(&never, launcher);
    abort();
}

static const char *const op_names[] = {
    "nothing",           "warp_sync",   "block_sync",  "group_sync",    "cluster_sync",
    "shuffle",           "shuffle_xor", "warp_ballot", "load_matrix4",  "load_matrix4_transposed",
    "load_matrix2",      "mma_bf16",    "mma_f16",     "store_matrix4", "a change of registers",
    "warp_index_of_all", "wgmma",       "wgmma_fence", "wgmma_commit",  "wgmma_wait",
};

/* Appends where a thread is, unless the one before it in its block is at the same place. */
static bool same_place(const struct emulated_thread *a, const struct emulated_thread *b) {
    if (a->ended != b->ended || a->polling.file != b->polling.file ||
        a->polling.line != b->polling.line || a->polled_mbarrier != b->polled_mbarrier ||
        !a->call != !b->call)
        return false;
    return !a->call || (a->call->op == b->call->op && a->call->site.line == b->call->site.line &&
                        a->call->a == b->call->a);
}

static size_t tell_place(char *to, size_t size, const struct emulated_thread *thread,
                         uint32_t first, uint32_t last) {
    size_t at = 0;
    char detail[160] = "";
    if (thread->polled_mbarrier)
        emulated_mbarrier_tell(thread->polled_mbarrier, detail, sizeof detail);
#define TELL(...) at += (size_t)snprintf(to + at, at < size ? size - at : 0, __VA_ARGS__)
    TELL("%s%u", first == last ? "; thread " : "; threads ", first);
    if (first != last) TELL("-%u", last);
    if (emulated.cluster > 1) TELL(" of block %u", thread->block->index);
    if (thread->ended)
        TELL(" %s ended", first == last ? "has" : "have");
    else if (thread->call && thread->call->op == OP_GROUP_SYNC)
        TELL(" at group_sync %u of %u threads (%s:%d)", thread->call->a, thread->call->b,
             thread->call->site.file, thread->call->site.line);
    else if (thread->call)
        TELL(" at %s (%s:%d)", op_names[thread->call->op], thread->call->site.file,
             thread->call->site.line);
    else if (thread->polling.file)
        TELL(" waiting for %s%s (%s:%d)", thread->polls, detail, thread->polling.file,
             thread->polling.line);
    else
        TELL(" on the way");
#undef TELL
    return at < size ? at : size;
}

static void tell_places(char *to, size_t size) {
    size_t at = 0;
    *to = 0;
    for (uint32_t rank = 0; rank < emulated.cluster; rank++) {
        const struct emulated_thread *of = emulated.blocks[rank].threads;
        for (uint32_t first = 0, i = 1; i <= emulated.threads; i++) {
            if (i < emulated.threads && same_place(&of[first], &of[i])) continue;
            if (at < size) at += tell_place(to + at, size - at, &of[first], first, i - 1);
            first = i;
        }
    }
}

static void deadlock() {
    char places[700];
    tell_places(places, sizeof places);
    snprintf(emulated.error, sizeof emulated.error, "kernel %s, block %u: deadlock%s",
             emulated.kernel->name, emulated.blocks[0].index, places);
    emulated.failed = true;
}

/* ---- barriers ---- */

void emulated_tick(struct emulated_warp *warp) {
    if (++warp->clock[warp->id] >= (1u << 20) - 1) {
        fprintf(stderr, "emulator: a warp's clock has run out\n");
        abort();
    }
}

/* Everyone there knows what everyone there has done. */
static void merge_clocks(struct emulated_warp *of, uint64_t mask) {
    uint32_t latest[MAX_WARPS] = {0};
    for (uint64_t left = mask; left; left &= left - 1) {
        const struct emulated_warp *warp = &of[__builtin_ctzll(left)];
        for (uint32_t i = 0; i < MAX_WARPS; i++)
            if (latest[i] < warp->clock[i]) latest[i] = warp->clock[i];
    }
    for (uint64_t left = mask; left; left &= left - 1) {
        struct emulated_warp *warp = &of[__builtin_ctzll(left)];
        memcpy(warp->clock, latest, sizeof latest);
        emulated_tick(warp);
    }
}

static void barrier_end(struct barrier *barrier, struct emulated_warp *of) {
    const uint64_t mask = barrier->warps;
    barrier->arrived = 0;
    barrier->expected = 0;
    barrier->warps = 0;
    emulated.progress++;
    merge_clocks(of, mask);
    for (uint64_t left = mask; left; left &= left - 1) {
        struct emulated_warp *warp = &of[__builtin_ctzll(left)];
        for (uint32_t lane = 0; lane < 32; lane++)
            if (warp->lanes[lane]) emulated_wake(warp->lanes[lane]);
    }
}

/* All lanes of the warp that live have called, and the last of them is running. */
static void barrier_arrive(struct barrier *barrier, struct emulated_warp *of, uint32_t number,
                           const struct emulated_warp *warp) {
    barrier->warps |= UINT64_C(1) << number;
    barrier->arrived += (uint32_t)__builtin_popcount(warp->n_lanes & ~warp->ended);
    if (barrier->arrived >= barrier->expected) barrier_end(barrier, of);
}

static void group_arrive(struct emulated_block *block, struct emulated_warp *warp,
                         const struct warp_call *call) {
    if (call->a < 1 || call->a > 15)
        emulated_fail(call->site, "group_sync: barrier %u is not one of 1 ... 15", call->a);
    if (call->b == 0 || call->b % 32 || call->b > emulated.threads)
        emulated_fail(call->site, "group_sync: %u threads are no whole warps of the block",
                      call->b);
    struct barrier *barrier = &block->barriers[call->a];
    if (barrier->arrived && barrier->expected != call->b)
        emulated_fail(call->site, "group_sync %u: %u threads here, %u where others wait", call->a,
                      call->b, barrier->expected);
    barrier->expected = call->b;
    if (barrier->arrived + 32 > barrier->expected)
        emulated_fail(call->site, "group_sync %u: more than %u threads", call->a, call->b);
    barrier_arrive(barrier, block->warps, (uint32_t)(warp - block->warps), warp);
}

static uint32_t live_in_cluster() {
    uint32_t n = 0;
    for (uint32_t rank = 0; rank < emulated.cluster; rank++) n += emulated.blocks[rank].n_live;
    return n;
}

/* ---- what a warp does together ---- */

static void shuffle_all(struct emulated_warp *warp) {
    for (uint32_t lane = 0; lane < 32; lane++) {
        struct warp_call *call = warp->lanes[lane]->call;
        const uint32_t from = call->op == OP_SHUFFLE ? call->a % 32 : (lane ^ call->a) % 32;
        call->result = warp->lanes[from]->call->value;
    }
}

static void ballot_all(struct emulated_warp *warp) {
    uint64_t mask = 0;
    for (uint32_t lane = 0; lane < 32; lane++) mask |= (warp->lanes[lane]->call->value & 1) << lane;
    for (uint32_t lane = 0; lane < 32; lane++) warp->lanes[lane]->call->result = mask;
}

/* The last lane has come: it does what is to be done. Returns whether they may go on. */
static bool warp_act(struct emulated_warp *warp, const struct warp_call *call) {
    struct emulated_block *block = emulated_self->block;
    switch (call->op) {
    case OP_WARP_SYNC:
        emulated_tick(warp);
        return true;
    case OP_BLOCK_SYNC:
        block->barriers[0].expected = block->n_live;
        barrier_arrive(&block->barriers[0], block->warps, (uint32_t)(warp - block->warps), warp);
        return false;
    case OP_GROUP_SYNC:
        group_arrive(block, warp, call);
        return false;
    case OP_CLUSTER_SYNC:
        team->barrier.expected = live_in_cluster();
        barrier_arrive(&team->barrier, team->warps, (uint32_t)(warp - team->warps), warp);
        return false;
    case OP_SHUFFLE:
    case OP_SHUFFLE_XOR:
        shuffle_all(warp);
        return true;
    case OP_BALLOT:
        ballot_all(warp);
        return true;
    case OP_LOAD_MATRIX4:
        emulated_load_matrix(warp, 4, false);
        return true;
    case OP_LOAD_MATRIX4_TRANSPOSED:
        emulated_load_matrix(warp, 4, true);
        return true;
    case OP_LOAD_MATRIX2:
        emulated_load_matrix(warp, 2, false);
        return true;
    case OP_MMA_BF16:
    case OP_MMA_F16:
    case OP_MMA_E4M3:
        emulated_mma(warp, call->op == OP_MMA_BF16  ? ELEMENT_BF16
                           : call->op == OP_MMA_F16 ? ELEMENT_F16
                                                    : ELEMENT_E4M3);
        return true;
    case OP_STORE_MATRIX4:
        emulated_store_matrix(warp);
        return true;
    case OP_WGMMA:
        emulated_wgmma_issue(warp);
        return true;
    case OP_WGMMA_FENCE:
        emulated_wgmma_fence(warp);
        return true;
    case OP_WGMMA_COMMIT:
        emulated_wgmma_commit(warp, call->site);
        return true;
    case OP_WGMMA_WAIT:
        emulated_wgmma_wait(warp, call->a);
        return true;
    default:
        return true;
    }
}

static bool may_lack_lanes(enum warp_op op) {
    return op == OP_BLOCK_SYNC || op == OP_CLUSTER_SYNC;
}

static void diverged(const struct warp_call *call, const struct emulated_thread *other) {
    if (other && other->call)
        emulated_fail(call->site, "divergence: %s, while lane %u is at %s (%s:%d)",
                      op_names[call->op], other->lane, op_names[other->call->op],
                      other->call->site.file, other->call->site.line);
    if (other)
        emulated_fail(call->site, "divergence: %s, but lane %u has ended", op_names[call->op],
                      other->lane);
    emulated_fail(call->site, "divergence: %s, but the warp has not 32 lanes", op_names[call->op]);
}

static void check_divergence(const struct emulated_warp *warp, const struct warp_call *call) {
    if (!may_lack_lanes(call->op)) {
        if (warp->n_lanes != 0xffffffff) diverged(call, NULL);
        if (warp->ended) diverged(call, warp->lanes[__builtin_ctz(warp->ended)]);
    }
    if (!warp->arrived) return;
    const struct emulated_thread *other = warp->lanes[__builtin_ctz(warp->arrived)];
    if (other->call->op != call->op || other->call->site.line != call->site.line)
        diverged(call, other);
    if ((call->op == OP_GROUP_SYNC) && (other->call->a != call->a || other->call->b != call->b))
        diverged(call, other);
}

void emulated_warp_call(struct warp_call *call) {
    struct emulated_thread *self = emulated_self;
    struct emulated_warp *warp = self->warp;
    check_divergence(warp, call);
    self->call = call;
    warp->arrived |= 1u << self->lane;
    if (warp->arrived != (warp->n_lanes & ~warp->ended)) {
        block_until_woken();
        return;
    }
    warp->arrived = 0;
    emulated.progress++;
    self->blocked = true;
    if (warp_act(warp, call)) {
        for (uint32_t lane = 0; lane < 32; lane++)
            if (warp->lanes[lane] != self) emulated_wake(warp->lanes[lane]);
        self->blocked = false;
        self->call = NULL;
        return;
    }
    give_way();
}

/* Do all that could go on only ask, and has nothing happened since each of them asked? */
static bool only_polling() {
    for (uint32_t i = 0; i < team->n_ready; i++) {
        const struct emulated_thread *thread =
            team->ready[(team->ready_first + i) % (MAX_CLUSTER * MAX_THREADS)];
        if (!thread->polling.file || thread->polled_at != emulated.progress) return false;
    }
    return true;
}

void emulated_poll(const char *what, struct site site) {
    struct emulated_thread *self = emulated_self;
    self->polls = what;
    self->polling = site;
    self->polled_at = emulated.progress;
    ready_push(self);
    if (only_polling() && !emulated_engine_step()) {
        if (!emulated.cooperative) deadlock(); /* else it may be another block's to go on */
        fiber_switch(&self->stack_pointer, launcher);
    } else {
        give_way();
    }
    self->polling.file = NULL;
    self->polled_mbarrier = NULL;
}

void emulated_let_others_run() {
    if (!emulated.cooperative) return;
    ready_push(emulated_self);
    fiber_switch(&emulated_self->stack_pointer, launcher);
}

/* ---- a block ---- */

/* Barriers that the thread's end completes: the others don't wait for it. */
static void end_thread(struct emulated_thread *self) {
    struct emulated_warp *warp = self->warp;
    struct emulated_block *block = self->block;
    static const struct site nowhere = {"the kernel's end", 0};
    self->ended = true;
    block->n_live--;
    emulated.progress++;
    warp->ended |= 1u << self->lane;
    if (warp->arrived) {
        const struct warp_call *call = warp->lanes[__builtin_ctz(warp->arrived)]->call;
        if (!may_lack_lanes(call->op))
            emulated_fail(nowhere, "divergence: the thread ends, while lane %u is at %s (%s:%d)",
                          (uint32_t)__builtin_ctz(warp->arrived), op_names[call->op],
                          call->site.file, call->site.line);
        if (warp->arrived == (warp->n_lanes & ~warp->ended)) {
            warp->arrived = 0;
            warp_act(warp, call);
        }
    }
    struct barrier *barrier = &block->barriers[0];
    if (barrier->arrived && barrier->arrived >= block->n_live) barrier_end(barrier, block->warps);
    barrier = &team->barrier;
    if (barrier->arrived && barrier->arrived >= live_in_cluster())
        barrier_end(barrier, team->warps);
}

void emulated_end_thread() {
    end_thread(emulated_self);
    give_way();
    abort();
}

static void thread_main() {
    emulated.kernel->run(emulated.args);
    emulated_end_thread();
}

static bool reset_thread(struct emulated_thread *thread, struct emulated_block *block,
                         uint32_t index) {
    void *stack = thread->stack ? thread->stack : fiber_stack();
    struct copy_in_flight *copies = thread->copies;
    const uint32_t max_copies = thread->max_copies;
    if (!stack) return false;
    *thread = {};
    thread->stack = stack;
    thread->copies = copies;
    thread->max_copies = max_copies;
    thread->stack_pointer = fiber_start(stack, thread_main);
    thread->block = block;
    thread->index = index;
    thread->lane = index % 32;
    thread->id = block->rank * MAX_THREADS + index;
    thread->warp = &block->warps[index / 32];
    thread->warp->id = thread->id / 32;
    thread->warp->lanes[thread->lane] = thread;
    thread->warp->n_lanes |= 1u << thread->lane;
    thread->waited_for_previous = !emulated.programmatic;
    return true;
}

static bool reset_block(struct emulated_block *block, uint32_t index, uint32_t rank) {
    block->index = index;
    block->rank = rank;
    block->n_live = emulated.threads;
    block->did_atomic = false;
    block->threads = team->threads + rank * MAX_THREADS;
    block->warps = team->warps + rank * (MAX_THREADS / 32);
    memset(block->barriers, 0, sizeof block->barriers);
    emulated_mbarriers_reset(block);
    emulated_shared_reset(block, emulated.shared_bytes);
    for (uint32_t i = 0; i < MAX_THREADS / 32; i++) block->warps[i] = {};
    for (uint32_t i = 0; i < emulated.threads; i++)
        if (!reset_thread(&block->threads[i], block, i)) return false;
    for (uint32_t i = 0; i < (emulated.threads + 31) / 32; i++)
        block->warps[i].clock[block->warps[i].id] = 1;
    return true;
}

/* The i-th of n to run: each once, whatever the order. */
static uint32_t in_order(uint32_t i, uint32_t n) {
    if (emulated.order == 0) return i;
    if (emulated.order == 1) return n - 1 - i;
    /* Multiplication by what has no factor in common with n. */
    uint64_t factor = emulated.order % n + 1;
    for (uint64_t a = factor, b = n; b;) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
        if (!b && a != 1) {
            a = ++factor;
            b = n;
        }
    }
    return (uint32_t)((factor * i + emulated.order) % n);
}

/* Nothing may be left under way where a block ends. */
static void check_end() {
    const char *left = emulated_engine_end();
    for (uint32_t i = 0; i < MAX_WARPS; i++) {
        const char *product = emulated_wgmma_end(&team->warps[i]);
        if (product) left = product;
    }
    if (!left || emulated.failed) return;
    snprintf(emulated.error, sizeof emulated.error, "kernel %s, block %u ends, and %s",
             emulated.kernel->name, emulated.blocks[0].index, left);
    emulated.failed = true;
}

/* Makes a team the one that runs. */
static bool enter_team(uint32_t number) {
    if (!teams[number]) teams[number] = (struct team *)calloc(1, sizeof *team);
    if (!teams[number]) return false;
    team = teams[number];
    emulated.blocks = team->blocks;
    return true;
}

static bool begin_cluster(uint32_t number, uint32_t first) {
    if (!enter_team(number)) return false;
    team->ready_first = team->n_ready = 0;
    team->barrier = {};
    for (uint32_t rank = 0; rank < emulated.cluster; rank++) {
        if (!reset_block(&team->blocks[rank], first + rank, rank)) return false;
        for (uint32_t i = 0; i < emulated.threads; i++)
            ready_push(&team->blocks[rank].threads[in_order(i, emulated.threads)]);
    }
    return true;
}

static void no_memory() {
    snprintf(emulated.error, sizeof emulated.error, "no memory for the threads' stacks");
    emulated.failed = true;
}

/* Until the team's threads give way to the launcher. */
static void run_team() {
    if (!team->n_ready) {
        deadlock();
        return;
    }
    emulated_self = ready_take();
    fiber_switch(&launcher, emulated_self->stack_pointer);
}

static void run_cluster(uint32_t first) {
    if (!begin_cluster(0, first)) {
        no_memory();
        return;
    }
    while (!emulated.failed && live_in_cluster()) run_team();
    check_end();
}

/* All blocks, in turn. Where none gets any further, what they wait for never comes: waits that have
 * an end are told so, and if that doesn't help it is a deadlock. */
static void run_together() {
    const uint32_t n = emulated.grid;
    uint32_t n_live = n, n_idle = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!begin_cluster(i, i)) {
            no_memory();
            return;
        }
    for (uint32_t turn = 0; n_live && !emulated.failed; turn++) {
        const uint64_t before = emulated.progress;
        enter_team(in_order(turn % n, n));
        if (!live_in_cluster()) continue;
        run_team();
        if (emulated.failed) break;
        if (!live_in_cluster()) {
            check_end();
            n_live--;
        }
        n_idle = emulated.progress == before ? n_idle + 1 : 0;
        emulated.stuck = n_idle > 2 * n;
        if (n_idle > 8 * n) deadlock();
    }
}

bool emulated_run(const struct emulated_kernel *kernel, const struct launch_form *form,
                  const void *args) {
    static char copied[MAX_ARGS] __attribute__((aligned(128)));
    fenv_t environment;
    emulated.kernel = kernel;
    emulated.grid = form->grid;
    emulated.threads = form->threads;
    emulated.cluster = form->cluster;
    emulated.shared_bytes = form->shared_bytes;
    emulated.programmatic = form->programmatic;
    emulated.cooperative = form->cooperative;
    emulated.stuck = false;
    emulated.args = copied;
    emulated.n_waited = 0;
    emulated.number++;
    emulated.failed = false;
    emulated.error[0] = 0;
    memcpy(copied, args, kernel->args_bytes);
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    if (form->cooperative)
        run_together();
    else
        for (uint32_t first = 0; first < form->grid && !emulated.failed; first += form->cluster)
            run_cluster(first);
    fesetenv(&environment);
    if (!emulated.failed && form->programmatic && !emulated.n_waited) {
        snprintf(emulated.error, sizeof emulated.error,
                 "kernel %s: no thread called wait_for_previous_kernel, so its end does not mean "
                 "that the kernel before has ended",
                 kernel->name);
        emulated.failed = true;
    }
    return !emulated.failed;
}
