/* The thread's floating-point environment: results must not depend on the rounding mode, flushing
 * of denormals or unmasked exceptions that a host has set. */
#ifndef BASE_FLOAT_ENVIRONMENT_H
#define BASE_FLOAT_ENVIRONMENT_H

#include <fenv.h>

/* Sets the default: round to nearest, denormals kept, exceptions masked. */
void float_environment_enter(fenv_t *saved);
/* Puts back what the thread had, exception flags included. */
void float_environment_leave(const fenv_t *saved);

#endif
