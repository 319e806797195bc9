/* Decode steps of a few rows as one launch: what would be launches, written down as instructions of
 * the persistent kernel (kernels/persistent/persistent_args.h) when the context is made. */
#ifndef CUDA_PERSISTENT_H
#define CUDA_PERSISTENT_H

#include "cuda/device.h"
#include "cuda/kernels/persistent/persistent_args.h"
#include "program/op.h"

/* Programs of 1, 2, 4 and 8 rows. */
enum { PERSISTENT_PROGRAMS = 4, FAILURE_WORDS = 4 };

struct persistent_program {
    int64_t n_rows; /* and logit rows */
    struct launch_shape launch;
    struct persistent_args args; /* args.launch: of the last one */
};

/* On the device, for all programs of a context. */
struct persistent_memory {
    struct persistent_instruction *instructions; /* [n_programs][most] */
    uint32_t *counters;                          /* likewise */
    uint32_t most;
};

/* Whether a context of this program is to have such programs where it can: a debugging variable
 * says so, the device can run all blocks of a launch at once, and the rows' products are
 * mma.sync's. */
bool persistent_wanted(const struct cuda_properties *device, const struct program *program);
/* Instructions of a program, at most. */
uint32_t persistent_most(const struct program *program);

struct persistent_recorder {
    struct persistent_instruction *instructions; /* [most] */
    uint32_t n, most;
    uint32_t shared_bytes;   /* that a task uses, at most */
    uint32_t n_tasks;        /* of an instruction whose tasks are counted, at most */
    const char *has_no_form; /* a kernel that is no task; NULL: all are */
};

/* Writes a launch down. INTERNAL: more than `most`. */
status persistent_record(struct persistent_recorder *recorder, const struct launch_shape *shape,
                         const void *args);
/* attention_args.stages of the task that does what a kernel of this name does; 0: there is none. */
uint32_t persistent_stages(const char *kernel);

struct backend_context;
/* Fills context->programs, none if one of the kernels has no form as a task. Its memory is there.
 */
status persistent_take(struct backend_context *context);
/* A program that serves n_rows rows, or NULL. */
struct persistent_program *persistent_find(struct backend_context *context, int64_t n_rows);
status persistent_launch(struct backend_context *context, struct persistent_program *program);
/* What context->host_failures, as the launch left it, says. DEVICE: a wait in it was in vain. */
status persistent_check(struct backend_context *context);

#endif
