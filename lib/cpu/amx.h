/* AMX: whether this machine has it for bf16, and Linux's permission to use it. */
#ifndef CPU_AMX_H
#define CPU_AMX_H

#include "base/status.h"

/* What this machine lacks, for a message; NULL: nothing. Linux isn't asked yet. */
const char *amx_missing(void);
/* Of a machine with this EDX of CPUID leaf 7 and this XCR0. */
const char *amx_missing_of(uint32_t features, uint32_t saved);

/* Asks Linux for the permission to use tiles: every thread of the process has it from here on, for
 * good. UNSUPPORTED: it is refused. */
status amx_permit(void);

#endif
