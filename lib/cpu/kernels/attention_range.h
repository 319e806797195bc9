/* Which keys a query sees: the same answer on every path. */
#ifndef CPU_KERNELS_ATTENTION_RANGE_H
#define CPU_KERNELS_ATTENTION_RANGE_H

#include "cpu/kernels.h"

struct key_range {
    int64_t begin, end; /* empty if begin >= end */
};

/* The keys of [first, first + count) that row sees, relative to first. */
static inline struct key_range attention_range(const struct attention_task *task, size_t row,
                                               int64_t first, int64_t count) {
    int64_t position = task->position + (int64_t)row;
    int64_t begin = task->window > 0 ? position - task->window + 1 - first : -first;
    int64_t end = position + 1;
    if (task->n_keys > 0)
        end = task->window > 0 && position + task->window < task->n_keys ? position + task->window
                                                                         : task->n_keys;
    end -= first;
    return (struct key_range){begin > 0 ? begin : 0, end < count ? end : count};
}

#endif
