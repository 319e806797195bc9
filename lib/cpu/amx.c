#define _GNU_SOURCE
#include "cpu/amx.h"

const char *amx_missing_of(uint32_t features, uint32_t saved) {
    const uint32_t bf16 = 1u << 22, tile = 1u << 24, tile_states = 3u << 17;
    if (!(features & tile)) return "the processor has no AMX (CPUID has no AMX-TILE)";
    if (!(features & bf16)) return "the processor's AMX has no bf16 (CPUID has no AMX-BF16)";
    if ((saved & tile_states) != tile_states)
        return "the operating system doesn't save the state of AMX (XCR0)";
    return NULL;
}

#if defined(__x86_64__) && defined(__linux__)
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/xcr0.h"

const char *amx_missing(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) d = 0;
    return amx_missing_of(d, xcr0_read());
}

/* Of <asm/prctl.h>, since Linux 5.16. */
enum { REQUEST_STATE_PERMISSION = 0x1023, STATE_TILE_DATA = 18 };

status amx_permit(void) {
    char buffer[64];
    if (syscall(SYS_arch_prctl, REQUEST_STATE_PERMISSION, STATE_TILE_DATA) == 0) return OK;
    return fail(UNSUPPORTED,
                "AMX: the kernel refuses the permission (arch_prctl, ARCH_REQ_XCOMP_PERM): %s",
                strerror_r(errno, buffer, sizeof buffer));
}
#else
const char *amx_missing(void) {
    return "this system has no AMX";
}

status amx_permit(void) {
    return fail(UNSUPPORTED, "this system has no AMX");
}
#endif
