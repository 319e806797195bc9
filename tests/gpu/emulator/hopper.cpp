/* mbarriers and the copy engine. */
#include "hopper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

/* ---- mbarriers ---- */

static struct mbarrier *find(struct emulated_block *block, uint32_t at) {
    struct mbarrier *barrier = block->mbarriers;
    while (barrier && barrier->at != at) barrier = barrier->next;
    return barrier;
}

static void check_place(uint32_t at, struct site site) {
    if (at % 8 || at + 8 > emulated.shared_bytes)
        emulated_fail(site,
                      "an mbarrier at %u: misaligned, or outside of the %u bytes of the launch", at,
                      emulated.shared_bytes);
}

static struct mbarrier *use(struct emulated_block *block, uint32_t at, struct site site) {
    check_place(at, site);
    struct mbarrier *barrier = find(block, at);
    if (!barrier) emulated_fail(site, "the mbarrier at %u was not initialised", at);
    if (!ordered(barrier->made, emulated_self))
        emulated_fail(site, "race: the mbarrier at %u was initialised with no barrier in between",
                      at);
    return barrier;
}

void emulated_mbarrier_init(uint32_t at, uint32_t n, struct site site) {
    struct emulated_block *block = emulated_self->block;
    check_place(at, site);
    if (n == 0 || n >= 1u << 20) emulated_fail(site, "an mbarrier of %u arrivals", n);
    struct mbarrier *barrier = find(block, at);
    if (!barrier) {
        barrier = (struct mbarrier *)malloc(sizeof *barrier);
        if (!barrier) abort();
        barrier->next = block->mbarriers;
        block->mbarriers = barrier;
    } else {
        barrier = use(block, at, site);
    }
    struct mbarrier *next = barrier->next;
    *barrier = {};
    barrier->next = next;
    barrier->at = at;
    barrier->count = barrier->pending = n;
    barrier->made = record(emulated_self);
}

void emulated_mbarrier_fence_init() {
    for (struct mbarrier *barrier = emulated_self->block->mbarriers; barrier;
         barrier = barrier->next)
        if ((barrier->made & 2047) == emulated_self->id) barrier->fenced = true;
}

static void learn(uint32_t *clock, const uint32_t *from) {
    for (uint32_t i = 0; i < MAX_WARPS; i++)
        if (clock[i] < from[i]) clock[i] = from[i];
}

static void end_phase(struct mbarrier *barrier) {
    if (barrier->pending || barrier->transactions) return;
    barrier->phase++;
    barrier->pending = barrier->count;
    learn(barrier->done_clock, barrier->clock);
    memset(barrier->clock, 0, sizeof barrier->clock);
    emulated.progress++;
}

void emulated_mbarrier_arrive(uint32_t rank, uint32_t at, uint32_t bytes, struct site site) {
    if (rank >= emulated.cluster)
        emulated_fail(site, "block %u of a cluster of %u", rank, emulated.cluster);
    struct emulated_block *block = &emulated.blocks[rank];
    struct emulated_warp *warp = emulated_self->warp;
    if (!block->n_live) emulated_fail(site, "an arrival at a block that has ended");
    struct mbarrier *barrier = use(block, at, site);
    if (!barrier->pending)
        emulated_fail(site, "the mbarrier at %u has had its %u arrivals in this phase", at,
                      barrier->count);
    barrier->pending--;
    barrier->transactions += bytes;
    learn(barrier->clock, warp->clock);
    emulated_tick(warp);
    emulated.progress++;
    end_phase(barrier);
}

bool emulated_mbarrier_try_wait(uint32_t at, uint32_t parity, struct site site) {
    struct emulated_thread *self = emulated_self;
    struct mbarrier *barrier = use(self->block, at, site);
    if (parity > 1) emulated_fail(site, "parity %u of an mbarrier", parity);
    if ((barrier->phase & 1) == parity) {
        self->polled_mbarrier = barrier;
        emulated_poll("an mbarrier", site);
    }
    if ((barrier->phase & 1) == parity) return false;
    /* What was released up to the end of the last phase, this thread's warp now knows. */
    const uint32_t own = own_clock(self->warp);
    learn(self->warp->clock, barrier->done_clock);
    self->warp->clock[self->warp->id] = own;
    return true;
}

void emulated_mbarrier_tell(const struct mbarrier *barrier, char *to, size_t size) {
    snprintf(to, size, " at %u, phase %u: %u of %u arrivals and %lld bytes are missing",
             barrier->at, barrier->phase, barrier->pending, barrier->count,
             (long long)barrier->transactions);
}

void emulated_mbarriers_reset(struct emulated_block *block) {
    while (block->mbarriers) {
        struct mbarrier *next = block->mbarriers->next;
        free(block->mbarriers);
        block->mbarriers = next;
    }
}

/* ---- the engine ---- */

struct engine_copy {
    uint32_t to, bytes, barrier, rank;
    struct emulated_thread *by;
    struct site site;
    const void *from; /* NULL: a box */
    uint64_t map[6];
    int32_t column, row;
};
static std::vector<struct engine_copy> under_way;

/* An error of a copy is told as its thread's, where it asked for it. */
static void blame(const struct engine_copy &copy) {
    emulated_self = copy.by;
}

static uint32_t element_bytes(uint64_t data_type) {
    static const uint32_t bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
    return data_type < 10 ? bytes[data_type] : 4;
}

/* The box into the block's arena, row after row; swizzled by the address. */
static void land_box(struct emulated_block *block, const struct engine_copy &copy, uint32_t by) {
    const uint32_t size = element_bytes(copy.map[5] >> 32), swizzle = (uint32_t)copy.map[5];
    const uint32_t box_columns = (uint32_t)copy.map[4], box_rows = (uint32_t)(copy.map[4] >> 32);
    const uint32_t row_bytes = box_columns * size;
    for (uint32_t row = 0; row < box_rows; row++) {
        unsigned char line[4096] = {0};
        const int64_t from_row = (int64_t)copy.row + row;
        const int64_t first = copy.column < 0 ? 0 : copy.column;
        int64_t end = (int64_t)copy.column + box_columns;
        if (end > (int64_t)copy.map[1]) end = (int64_t)copy.map[1];
        if (from_row >= 0 && from_row < (int64_t)copy.map[2] && first < end)
            memcpy(line + (uint64_t)(first - copy.column) * size,
                   (const unsigned char *)copy.map[0] + (uint64_t)from_row * copy.map[3] +
                       (uint64_t)first * size,
                   (size_t)(end - first) * size);
        for (uint32_t chunk = 0; chunk < row_bytes; chunk += 16) {
            uint32_t at = copy.to + row * row_bytes + chunk;
            if (swizzle == 3) at ^= (at >> 7 & 7) << 4;
            emulated_shared_land(block, at, line + chunk, 16, by, ASYNC_PROXY);
        }
    }
}

/* Bytes may come before they are expected, but only if they are expected at last. */
static bool expected(const struct engine_copy &copy) {
    const struct mbarrier *barrier = find(&emulated.blocks[copy.rank], copy.barrier);
    return barrier && barrier->transactions >= (int64_t)copy.bytes;
}

bool emulated_engine_step() {
    size_t next = 0;
    if (under_way.empty()) return false;
    while (next < under_way.size() && !expected(under_way[next])) next++;
    const bool too_much = next == under_way.size();
    if (too_much) next = 0;
    const struct engine_copy copy = under_way[next];
    under_way.erase(under_way.begin() + (long)next);
    struct emulated_thread *self = emulated_self;
    blame(copy);
    struct emulated_block *block = &emulated.blocks[copy.rank];
    struct emulated_warp *warp = copy.by->warp;
    if (!block->n_live) emulated_fail(copy.site, "a copy to a block that has ended");
    struct mbarrier *barrier = find(block, copy.barrier);
    if (too_much)
        emulated_fail(copy.site,
                      "a copy brings %u bytes to the mbarrier at %u, which expects %lld more in "
                      "phase %u",
                      copy.bytes, copy.barrier, (long long)barrier->transactions, barrier->phase);
    emulated_tick(warp);
    const uint32_t by = own_clock(warp) << 11 | copy.by->id;
    if (copy.from)
        emulated_shared_land(block, copy.to, copy.from, copy.bytes, by, ASYNC_PROXY);
    else
        land_box(block, copy, by);
    if (barrier->clock[warp->id] < own_clock(warp)) barrier->clock[warp->id] = own_clock(warp);
    emulated_tick(warp);
    barrier->transactions -= copy.bytes;
    emulated.progress++;
    end_phase(barrier);
    emulated_self = self;
    return true;
}

const char *emulated_engine_end() {
    static char text[200];
    if (under_way.empty()) return NULL;
    snprintf(text, sizeof text,
             "a copy of %u bytes to shared memory at %u (%s:%d) is still under way",
             under_way[0].bytes, under_way[0].to, under_way[0].site.file, under_way[0].site.line);
    under_way.clear();
    return text;
}

static void begin(const struct engine_copy &asked, uint32_t mask, struct site site) {
    if (!mask || mask >> emulated.cluster)
        emulated_fail(site, "a copy to blocks 0x%x of a cluster of %u", mask, emulated.cluster);
    for (uint32_t rank = 0; rank < emulated.cluster; rank++) {
        if (!(mask >> rank & 1)) continue;
        struct engine_copy copy = asked;
        copy.rank = rank;
        const struct mbarrier *barrier = use(&emulated.blocks[rank], asked.barrier, site);
        if (!barrier->fenced)
            emulated_fail(site, "no mbarrier_fence_init after the mbarrier at %u was initialised",
                          asked.barrier);
        emulated_shared_launch(&emulated.blocks[rank], asked.to, asked.bytes, site);
        under_way.push_back(copy);
    }
}

void emulated_bulk_copy(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier,
                        uint32_t mask, struct site site) {
    struct engine_copy copy = {};
    if (!bytes || bytes % 16)
        emulated_fail(site, "bulk_copy: %u bytes, which is not a multiple of 16", bytes);
    emulated_global_read(from, bytes, 16, site);
    copy.to = to;
    copy.bytes = bytes;
    copy.barrier = barrier;
    copy.by = emulated_self;
    copy.site = site;
    copy.from = from;
    begin(copy, mask, site);
}

void emulated_tensor_copy(uint32_t to, const uint64_t *map, int32_t column, int32_t row,
                          uint32_t barrier, uint32_t mask, struct site site) {
    struct engine_copy copy = {};
    const uint32_t size = element_bytes(map[5] >> 32), swizzle = (uint32_t)map[5];
    const uint32_t box_columns = (uint32_t)map[4], box_rows = (uint32_t)(map[4] >> 32);
    if (!map[0] || (uintptr_t)map % 64)
        emulated_fail(site,
                      "tensor_copy: not a tensor map, or one that is not aligned to 64 bytes");
    if (to % (swizzle ? 1024 : 128))
        emulated_fail(site, "tensor_copy: to shared memory at %u, which is misaligned", to);
    for (int64_t i = row < 0 ? 0 : row; i < (int64_t)row + box_rows && i < (int64_t)map[2]; i++) {
        const int64_t first = column < 0 ? 0 : column;
        int64_t end = (int64_t)column + box_columns;
        if (end > (int64_t)map[1]) end = (int64_t)map[1];
        if (first < end)
            emulated_global_read((const unsigned char *)map[0] + (uint64_t)i * map[3] +
                                     (uint64_t)first * size,
                                 (size_t)(end - first) * size, 0, site);
    }
    copy.to = to;
    copy.bytes = box_columns * box_rows * size;
    copy.barrier = barrier;
    copy.by = emulated_self;
    copy.site = site;
    copy.column = column;
    copy.row = row;
    memcpy(copy.map, map, sizeof copy.map);
    begin(copy, mask, site);
}
