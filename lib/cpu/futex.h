/* A 32-bit word that threads wait on until it changes: they spin, then sleep. They don't yield in
 * between: Linux takes a yield for the wish to be last, and a neighbour then gets a whole slice. */
#ifndef CPU_FUTEX_H
#define CPU_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#define CACHE_LINE 64

struct futex {
    _Alignas(CACHE_LINE) _Atomic uint32_t value;
    _Atomic uint32_t n_sleeping; /* spares the system call of a wake when nobody sleeps */
};

/* How long one waiter stays awake. Spinning pays where the others run, and is the neighbour's time
 * where they don't: waits that spun in vain cost trust, those that didn't win it back, and without
 * trust a waiter sleeps at once, but for a trial now and then. */
struct patience {
    int n_spins; /* of the processor's pause; 0: sleep at once */
    int trust;
    unsigned n_waits;
};

/* Spins that take about so long on this processor. */
int futex_spins(int nanoseconds);

void futex_init(struct futex *futex, uint32_t value);
/* Everything written before is seen by who sees the value. Wakes all that sleep. */
void futex_set(struct futex *futex, uint32_t value);
/* Returns the new value as soon as it isn't `old`. */
uint32_t futex_wait(struct futex *futex, uint32_t old, struct patience *patience);

#endif
