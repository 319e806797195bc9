/* A 32-bit word that threads wait on until it changes: they spin, then yield, then sleep. */
#ifndef CPU_FUTEX_H
#define CPU_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#define CACHE_LINE 64

struct futex {
    _Alignas(CACHE_LINE) _Atomic uint32_t value;
    _Atomic uint32_t n_sleeping; /* spares the system call of a wake when nobody sleeps */
};

/* How long a waiter stays awake. */
struct patience {
    int n_spins;  /* with the processor's pause */
    int n_yields; /* of the processor to another thread */
};

void futex_init(struct futex *futex, uint32_t value);
/* Everything written before is seen by who sees the value. Wakes all that sleep. */
void futex_set(struct futex *futex, uint32_t value);
/* Returns the new value as soon as it isn't `old`. */
uint32_t futex_wait(struct futex *futex, uint32_t old, struct patience patience);

#endif
