/* The emulator's half for sm_90a: barriers that count bytes, the copy engine, wgmma. */
#ifndef GPU_HOPPER_H
#define GPU_HOPPER_H

#include "emulator.h"

void emulated_mbarrier_init(uint32_t at, uint32_t n, struct site site);
void emulated_mbarrier_fence_init();
void emulated_mbarrier_arrive(uint32_t rank, uint32_t at, uint32_t bytes, struct site site);
bool emulated_mbarrier_try_wait(uint32_t at, uint32_t parity, struct site site);
/* "0 of 1 arrivals and 2048 bytes are missing" */
void emulated_mbarrier_tell(const struct mbarrier *barrier, char *to, size_t size);
void emulated_mbarriers_reset(struct emulated_block *block);

/* mask: blocks of the cluster. */
void emulated_bulk_copy(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier,
                        uint32_t mask, struct site site);
void emulated_tensor_copy(uint32_t to, const uint64_t *map, int32_t column, int32_t row,
                          uint32_t barrier, uint32_t mask, struct site site);
/* Lets the copy that waits longest arrive; false: none is under way. */
bool emulated_engine_step();
/* Nothing is under way any more; returns what was, or NULL. */
const char *emulated_engine_end();

struct wgmma_call {
    uint32_t n;
    enum element element;
    bool add;
    const uint32_t *a_registers; /* NULL: a */
    uint64_t a, b;               /* matrices in shared memory */
    bool b_rows;                 /* b: its rows lie as rows */
};
/* All lanes of the warp have called. */
void emulated_wgmma_issue(struct emulated_warp *warp);
void emulated_wgmma_fence(struct emulated_warp *warp);
void emulated_wgmma_commit(struct emulated_warp *warp, struct site site);
void emulated_wgmma_wait(struct emulated_warp *warp, uint32_t n);
/* What a warp left under way; NULL: nothing. Forgets it. */
const char *emulated_wgmma_end(struct emulated_warp *warp);

#endif
