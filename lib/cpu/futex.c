#define _GNU_SOURCE
#include "cpu/futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline void pause_spin(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` takes no time on most cores */
#endif
}

void futex_init(struct futex *futex, uint32_t value) {
    atomic_init(&futex->value, value);
    atomic_init(&futex->n_sleeping, 0);
}

/* The setter stores value, then looks for sleepers; a sleeper announces itself, then looks at value
 * (again inside the system call). All four are sequentially consistent, so one sees the other. */
void futex_set(struct futex *futex, uint32_t value) {
    atomic_store(&futex->value, value);
    if (atomic_load(&futex->n_sleeping) > 0)
        syscall(SYS_futex, &futex->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static uint32_t sleep_until_changed(struct futex *futex, uint32_t old) {
    uint32_t value;
    atomic_fetch_add(&futex->n_sleeping, 1);
    while ((value = atomic_load(&futex->value)) == old)
        syscall(SYS_futex, &futex->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&futex->n_sleeping, 1);
    return value;
}

/* The least of a few tries: others may have the processor meanwhile. In integers: it runs in the
 * host's floating-point environment, whose flags are the host's. */
int futex_spins(int nanoseconds) {
    enum { TRIES = 8, PAUSES = 100 };
    int64_t best = INT64_MAX;
    for (int try = 0; try < TRIES; try++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < PAUSES; i++) pause_spin();
        clock_gettime(CLOCK_MONOTONIC, &end);
        int64_t took = (end.tv_sec - begin.tv_sec) * 1000000000 + (end.tv_nsec - begin.tv_nsec);
        if (took < best) best = took;
    }
    int64_t spins = (int64_t)nanoseconds * PAUSES / (best > 0 ? best : 1);
    return spins < INT_MAX / 8 ? (int)spins : INT_MAX / 8;
}

/* A vain spin costs as much as MISS spins that weren't; below 0 there is no trust. */
enum { MOST_TRUST = 32, LEAST_TRUST = -8, MISS = 8, WAITS_A_TRIAL = 16 };

uint32_t futex_wait(struct futex *futex, uint32_t old, struct patience *patience) {
    uint32_t value;
    if (patience->trust >= 0 || ++patience->n_waits % WAITS_A_TRIAL == 0) {
        for (int i = 0; i < patience->n_spins; i++) {
            if ((value = atomic_load_explicit(&futex->value, memory_order_acquire)) != old) {
                if (patience->trust < MOST_TRUST) patience->trust++;
                return value;
            }
            pause_spin();
        }
        if (patience->n_spins > 0) patience->trust -= MISS;
        if (patience->trust < LEAST_TRUST) patience->trust = LEAST_TRUST;
    }
    return sleep_until_changed(futex, old);
}
