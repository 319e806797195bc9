/* Buffers planned by lifetime: widest first, each at the lowest offset where nothing that is alive
 * with it lies. */
#include "program/op.h"

static bool alive_together(const struct reg_plan *a, const struct reg_plan *b) {
    return a->first <= b->last && b->first <= a->last;
}

static int64_t lowest_offset(const struct reg_plan *regs, int n_regs, const struct reg_plan *plan) {
    int64_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n_regs; i++) {
            const struct reg_plan *other = &regs[i];
            if (other->offset < 0 || !alive_together(plan, other)) continue;
            if (offset < other->offset + other->width && other->offset < offset + plan->width) {
                offset = other->offset + other->width;
                moved = true;
            }
        }
    }
    return offset;
}

int64_t buffers_plan(struct reg_plan *regs, int n_regs) {
    int64_t total = 0;
    for (int i = 0; i < n_regs; i++) regs[i].offset = -1;
    for (int placed = 0; placed < n_regs; placed++) {
        struct reg_plan *widest = NULL;
        for (int i = 0; i < n_regs; i++)
            if (regs[i].offset < 0 && (!widest || regs[i].width > widest->width)) widest = &regs[i];
        widest->offset = lowest_offset(regs, n_regs, widest);
        if (widest->offset + widest->width > total) total = widest->offset + widest->width;
    }
    return total;
}
