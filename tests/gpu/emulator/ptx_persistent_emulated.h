/* ptx_persistent.cuh for the host's compiler. */
#ifndef GPU_PTX_PERSISTENT_EMULATED_H
#define GPU_PTX_PERSISTENT_EMULATED_H

#include "ptx_emulated.h"

DEVICE void add_release(uint32_t *at, uint32_t value, SITE) {
    emulated_add_release(at, value, HERE);
}
/* Time has no measure here: a wait is in vain when no block gets any further. */
DEVICE bool wait_for_count(const uint32_t *count, uint32_t wanted, const uint32_t *failed, uint32_t,
                           SITE) {
    return emulated_wait_for_count(count, wanted, failed, HERE);
}
DEVICE void end_thread() {
    emulated_end_thread();
}
template <typename T> DEVICE const T &shared_struct(shared at, SITE) {
    const unsigned char *arena = emulated_self->block->arena;
    uint32_t first;
    emulated_shared_read(at.at, &first, sizeof first, HERE);
    return *reinterpret_cast<const T *>(arena + at.at);
}

#endif
