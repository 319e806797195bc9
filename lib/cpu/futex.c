#define _GNU_SOURCE
#include "cpu/futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
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

uint32_t futex_wait(struct futex *futex, uint32_t old, struct patience patience) {
    uint32_t value;
    for (int i = 0; i < patience.n_spins; i++) {
        if ((value = atomic_load_explicit(&futex->value, memory_order_acquire)) != old)
            return value;
        pause_spin();
    }
    for (int i = 0; i < patience.n_yields; i++) {
        if ((value = atomic_load_explicit(&futex->value, memory_order_acquire)) != old)
            return value;
        sched_yield();
    }
    return sleep_until_changed(futex, old);
}
