#include "cuda/persistent.h"

#include <string.h>

#include "base/environment.h"
#include "base/text_format.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/launcher.h"

/* Looks at a counter, each a trip to L2 and back: many seconds of them. Not a time, since a device
 * that is taken away for a while comes back with its clocks gone on. */
enum { MOST_POLLS = 1 << 24 };

bool persistent_wanted(const struct cuda_properties *device, const struct program *program) {
    const char *wanted = environment_read("CUDA_PERSISTENT");
    return wanted && !strcmp(wanted, "1") && device->cooperative && !device->warpgroups &&
           program->pooled == REG_NONE; /* what is pooled differs between steps */
}

uint32_t persistent_most(const struct program *program) {
    uint32_t n = 0;
    for (int i = program->n_source_ops; i < program->n_ops; i++) {
        const struct op *op = &program->ops[i];
        switch (op->kind) {
        case OP_EMBED:
            n += 1 + (uint32_t)program->spec->n_ropes;
            break;
        case OP_LINEAR:
        case OP_HEAD: /* norm, products, gate or scale */
            n += 2 + (uint32_t)op->linear.n_weights;
            break;
        case OP_EXPERTS: /* groups, which may be made anew for the second product */
            n += 4 + (uint32_t)op->linear.n_weights;
            break;
        default:
            n += 2;
        }
    }
    return n;
}

/* ---- which launches are tasks ---- */

struct form {
    const char *kernel;
    uint32_t args_bytes;
    bool any_grid; /* blocks take what there is in turn */
};

/* As many halves of pages under way as a task's share of shared memory has room for. */
static uint32_t stages_of(int type, int dim) {
    int stages = ATTENTION_MAX_STAGES;
    while (stages > 1 && ATTENTION_RESIDENT_BYTES(type, dim, stages) > GEMM_SHARED_RESIDENT)
        stages--;
    return (uint32_t)stages;
}
static uint32_t bytes_of(int type, int dim) {
    return (uint32_t)ATTENTION_RESIDENT_BYTES(type, dim, (int)stages_of(type, dim));
}

static const struct form forms[PERSISTENT_KINDS] = {
    [PERSISTENT_EMBED] = {"embed", sizeof(struct embed_args), false},
    [PERSISTENT_ROPE_TABLE] = {"rope_table", sizeof(struct rope_table_args), false},
    [PERSISTENT_NORM] = {"norm_prepare", sizeof(struct norm_args), false},
    [PERSISTENT_GATE] = {"gate", sizeof(struct gate_args), true},
    [PERSISTENT_SOFTCAP] = {"softcap", sizeof(struct softcap_args), true},
    [PERSISTENT_ROPE_STORE] = {"rope_store", sizeof(struct rope_store_args), false},
    [PERSISTENT_MERGE] = {"attention_merge", sizeof(struct attention_args), true},
    [PERSISTENT_ROUTE] = {"route", sizeof(struct route_args), false},
    [PERSISTENT_GROUPS] = {"gemm_groups", sizeof(struct gemm_groups_args), false},
    [PERSISTENT_COMBINE] = {"expert_combine", sizeof(struct expert_combine_args), true},
#define FORM(name, type)                                                               \
    [PERSISTENT_GEMM_##name] = {"gemm_" #name "_n8", sizeof(struct gemm_args), false}, \
    [PERSISTENT_GEMM_##name##_gate] = {"gemm_" #name "_n8_gate", sizeof(struct gemm_args), false},
    PERSISTENT_TYPES(FORM)
#undef FORM
#define FORM(kv_name, kv_type, bucket, dim) \
    [PERSISTENT_ATTENTION_##kv_name##_##    \
        bucket] = {"attention_" #kv_name "_" #bucket, sizeof(struct attention_args), true},
        PERSISTENT_ATTENTIONS(FORM)
#undef FORM
};

static int find_form(const char *kernel) {
    int kind = 0;
    while (kind < PERSISTENT_KINDS && strcmp(forms[kind].kernel, kernel) != 0) kind++;
    return kind;
}

uint32_t persistent_stages(const char *kernel) {
#define STAGES(kv_name, kv_type, bucket, dim) \
    if (!strcmp(kernel, "attention_" #kv_name "_" #bucket)) return stages_of(kv_type, dim);
    PERSISTENT_ATTENTIONS(STAGES)
#undef STAGES
    return 0;
}

static uint32_t shared_bytes_of(const struct launch_shape *shape) {
#define BYTES(kv_name, kv_type, bucket, dim) \
    if (!strcmp(shape->kernel, "attention_" #kv_name "_" #bucket)) return bytes_of(kv_type, dim);
    PERSISTENT_ATTENTIONS(BYTES)
#undef BYTES
    return shape->shared_bytes;
}

status persistent_record(struct persistent_recorder *recorder, const struct launch_shape *shape,
                         const void *args) {
    const int kind = shape->kernel ? find_form(shape->kernel) : PERSISTENT_KINDS;
    if (kind == PERSISTENT_KINDS) {
        recorder->has_no_form = shape->kernel ? shape->kernel : "a product";
        return OK;
    }
    if (shape->grid == 0) return OK;
    if (recorder->n == recorder->most)
        return fail(INTERNAL, "a step has more than %u instructions", recorder->most);
    const uint32_t bytes = shared_bytes_of(shape), n_tasks = forms[kind].any_grid ? 0 : shape->grid;
    struct persistent_instruction *to = &recorder->instructions[recorder->n++];
    *to = (struct persistent_instruction){.kind = (uint32_t)kind, .n_tasks = n_tasks};
    memcpy(to->args, args, forms[kind].args_bytes);
    if (bytes > recorder->shared_bytes) recorder->shared_bytes = bytes;
    if (n_tasks > recorder->n_tasks) recorder->n_tasks = n_tasks;
    return OK;
}

/* ---- programs ---- */

/* The launch, and what the instructions could not know before it. */
static status finish(struct backend_context *context, struct persistent_recorder *recorder,
                     struct persistent_program *program) {
    const uint32_t control_at = (recorder->shared_bytes + 15) / 16 * 16;
    uint32_t most = 0;
    program->launch = (struct launch_shape){.kernel = "persistent",
                                            .threads = PERSISTENT_THREADS,
                                            .shared_bytes = control_at + PERSISTENT_CONTROL};
    if (program->launch.shared_bytes > context->device->properties.shared_per_block) return OK;
    TRY(device_resident_blocks(context->device, program->launch.kernel, PERSISTENT_THREADS,
                               program->launch.shared_bytes, &most));
    program->launch.grid = most < recorder->n_tasks ? most : recorder->n_tasks;
    for (uint32_t i = 0; i < recorder->n; i++) {
        struct persistent_instruction *instruction = &recorder->instructions[i];
        if (!instruction->n_tasks) instruction->n_tasks = program->launch.grid;
        instruction->n_before = i ? instruction[-1].n_tasks : 0;
        instruction->number = i;
    }
    program->args.n_instructions = recorder->n;
    program->args.control_at = control_at;
    program->args.most_polls = MOST_POLLS;
    return OK;
}

/* *made: it has a launch. */
static status make(struct backend_context *context, struct persistent_recorder *recorder,
                   struct persistent_program *program, bool *made) {
    const struct persistent_memory *memory = &context->persistent;
    const size_t first = (size_t)context->n_programs * memory->most;
    *made = false;
    TRY(launcher_record(context, program->n_rows, recorder));
    if (recorder->has_no_form || !recorder->n) return OK;
    TRY(finish(context, recorder, program));
    if (!program->launch.grid) return OK;
    program->args.instructions = memory->instructions + first;
    program->args.counters = memory->counters + first;
    program->args.failures = context->failures;
    TRY(device_upload(context->device, context->stream, memory->instructions + first,
                      recorder->instructions, recorder->n * sizeof *recorder->instructions));
    /* What is uploaded lies in memory that goes again. */
    TRY(device_stream_wait(context->device, context->stream));
    *made = true;
    return OK;
}

status persistent_take(struct backend_context *context) {
    const struct persistent_memory *memory = &context->persistent;
    const struct backend_limits *limits = &context->limits;
    struct persistent_recorder recorder = {.most = memory->most};
    int64_t most = PERSISTENT_MAX_ROWS;
    bool made = true;
    if (!memory->most) return OK;
    if (limits->max_sequences < most) most = limits->max_sequences;
    if (limits->max_rows < most) most = limits->max_rows;
    if (limits->max_logit_rows < most) most = limits->max_logit_rows;
    TRY(MEMORY_TAKE_ARRAY(context->memory, memory->most, "a step's instructions",
                          &recorder.instructions));
    status result = OK;
    for (int64_t n = 1; result == OK && made && n < 2 * most; n *= 2) {
        struct persistent_program *program = &context->programs[context->n_programs];
        *program = (struct persistent_program){.n_rows = n < most ? n : most};
        recorder.n = recorder.shared_bytes = recorder.n_tasks = 0;
        result = make(context, &recorder, program, &made);
        context->n_programs += result == OK && made;
    }
    memory_give(context->memory, recorder.instructions);
    return result;
}

struct persistent_program *persistent_find(struct backend_context *context, int64_t n_rows) {
    for (int i = 0; i < context->n_programs; i++)
        if (context->programs[i].n_rows >= n_rows) return &context->programs[i];
    return NULL;
}

status persistent_launch(struct backend_context *context, struct persistent_program *program) {
    struct persistent_args args = program->args;
    args.launch++;
    TRY(device_launch_together(context->device, context->stream, &program->launch, &args));
    program->args.launch = args.launch; /* counters grow with it */
    return OK;
}

status persistent_check(struct backend_context *context) {
    char reason[DEVICE_REASON_BYTES];
    if (!context->host_failures[0]) return OK;
    text_format(
        reason, sizeof reason,
        "%u blocks of a persistent decode step waited in vain, one of them at instruction %u",
        context->host_failures[0], context->host_failures[1]);
    return device_give_up(context->device, reason);
}
