#define _GNU_SOURCE
#include "cpu/futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
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

/* A spin that finds nothing halves the next ones. Every now and then a wait spins for as long as
 * may be: if that is enough, the spins are again what it took. */
#define FEWEST_SPINS 16
#define WAITS_A_TRIAL 16

uint32_t futex_wait(struct futex *futex, uint32_t old, struct patience *patience) {
    uint32_t value;
    bool trial = ++patience->n_waits % WAITS_A_TRIAL == 0;
    int n_spins = trial ? patience->most : patience->n_spins;
    for (int i = 0; i < n_spins; i++) {
        if ((value = atomic_load_explicit(&futex->value, memory_order_acquire)) != old) {
            if (patience->n_spins < 2 * i) patience->n_spins = 2 * i;
            return value;
        }
        pause_spin();
    }
    if (patience->n_spins > FEWEST_SPINS) patience->n_spins /= 2;
    return sleep_until_changed(futex, old);
}
