/* Walks the program and launches it: a kernel or a few for each op, in order on one stream. */
#include "cuda/launcher.h"

#include <inttypes.h>
#include <string.h>

#include "cuda/kernels/attention/attention_hopper_args.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/weight_layout.h"

status launcher_launch(struct launcher *launcher, const struct launch_shape *shape,
                       const void *args) {
    struct backend_context *context = launcher->context;
    struct device_kernel kernel;
    if (launcher->recorder) return persistent_record(launcher->recorder, shape, args);
    if (launcher->only_loads) return device_kernel(context->device, shape->kernel, &kernel);
    TRY(device_launch(context->device, context->stream, shape, args, launcher->follows));
    launcher->follows = !launcher->apart;
    return OK;
}

float *launcher_reg(const struct backend_context *context, reg index) {
    return context->buffers + context->program->regs[index].offset * context->limits.max_rows;
}

struct step_rows launcher_rows(const struct backend_context *context) {
    const uint8_t *block = context->block;
    return (struct step_rows){
        .token = (const int32_t *)(const void *)(block + context->data.token),
        .position = (const int64_t *)(const void *)(block + context->data.position),
        .sequence = (const int32_t *)(const void *)(block + context->data.sequence),
    };
}

static uint32_t width_of(const struct backend_context *context, reg index) {
    return (uint32_t)context->program->regs[index].width;
}

static status launch_embed(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    const struct spec *spec = context->program->spec;
    const struct cuda_weight *table = cuda_weights_matrix(context->model, op->embed.table);
    const struct cuda_weight *positions =
        op->embed.positions ? cuda_weights_matrix(context->model, op->embed.positions) : NULL;
    const struct cuda_weight *types =
        op->embed.token_types ? cuda_weights_matrix(context->model, op->embed.token_types) : NULL;
    struct embed_args args = {
        .rows = launcher_rows(context),
        .tiles = table->tiles,
        .out = launcher_reg(context, op->out[0]),
        .n_rows = (uint32_t)launcher->n_rows,
        .n_cols = (uint32_t)table->n_cols,
        .n_padded = (uint32_t)table->padded_cols,
        .out_stride = width_of(context, op->out[0]),
        .type = table->layout,
        .scale = op->embed.scale,
        .position_tiles = positions ? positions->tiles : NULL,
        .position_type = positions ? positions->layout : 0,
        .position_offset = (uint32_t)op->embed.position_offset,
        .token_type = context->block + context->data.token_type,
        .token_type_tiles = types ? types->tiles : NULL,
        .token_type_type = types ? types->layout : 0,
    };
    struct launch_shape shape = {
        .kernel = "embed", .grid = (uint32_t)launcher->n_rows, .threads = EMBED_THREADS};
    TRY(launcher_launch(launcher, &shape, &args));
    for (int i = 0; op->embed.turns && i < spec->n_ropes; i++) {
        struct rope_table_args rope = {
            .rows = launcher_rows(context),
            .frequencies = context->frequencies[i],
            .table = context->rope_tables[i],
            .n_rows = (uint32_t)launcher->n_rows,
            .n = (uint32_t)(spec->ropes[i].n_dims / 2),
            .scale = spec->ropes[i].attention_factor,
        };
        shape = (struct launch_shape){.kernel = "rope_table",
                                      .grid = (uint32_t)launcher->n_rows,
                                      .threads = ROPE_TABLE_THREADS};
        TRY(launcher_launch(launcher, &shape, &rope));
    }
    return OK;
}

int64_t launcher_rows_of(const struct launcher *launcher, const struct op *op) {
    return op->kind == OP_HEAD ? launcher->n_logit_rows
           : op->pooled        ? launcher->n_pooled
                               : launcher->n_rows;
}

static status launch_norm(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    int64_t n_rows = launcher_rows_of(launcher, op);
    if (n_rows == 0) return OK;
    struct norm_args args = {
        .in = launcher_reg(context, op->in),
        .normed = launcher_reg(context, op->out[0]),
        .in_stride = width_of(context, op->in),
        .normed_stride = width_of(context, op->out[0]),
        .norm = launcher_norm(context->model, op->norm),
        .n_rows = (uint32_t)(n_rows * op->parts.n),
        .n_cols = (uint32_t)op->parts.width,
        .n_padded = (uint32_t)op->parts.width,
    };
    if (op->add != REG_NONE) {
        args.add = launcher_reg(context, op->add);
        args.add_stride = width_of(context, op->add);
        args.add_norm = launcher_norm(context->model, op->add_norm);
        args.add_scale = op->add_scale;
        if (op->sum_scale) args.sum_scale = cuda_weights_vector(context->model, op->sum_scale);
    }
    args.parts = (uint32_t)op->parts.n;
    struct launch_shape shape = {.kernel = "norm_prepare",
                                 .grid = args.n_rows,
                                 .threads = NORM_THREADS,
                                 .shared_bytes = NORM_SHARED};
    return launcher_launch(launcher, &shape, &args);
}

static status launch_gate(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    struct gate_args args = {.gate = launcher_reg(context, op->in),
                             .up = launcher_reg(context, op->gate.by) + op->gate.first,
                             .out = launcher_reg(context, op->out[0]),
                             .gate_stride = width_of(context, op->in),
                             .up_stride = width_of(context, op->gate.by),
                             .out_stride = width_of(context, op->out[0]),
                             .n_rows = (uint32_t)launcher->n_rows,
                             .n_cols = (uint32_t)op->gate.width,
                             .activation = (uint32_t)op->gate.activation};
    struct launch_shape shape = {.kernel = "gate",
                                 .grid =
                                     4 * (uint32_t)context->device->properties.n_multiprocessors,
                                 .threads = GATE_THREADS};
    return launcher_launch(launcher, &shape, &args);
}

static struct kv_stream_args stream_of(const struct backend_context *context,
                                       const struct attention_spec *a) {
    const struct kv_layout *kv = &context->program->kv;
    const struct kv_stream_spec *stream = &context->program->spec->kv_streams[a->kv_stream];
    const struct kv_place *place = &kv->places[a->kv_stream];
    const uint8_t *block = context->block;
    const uint32_t *pages_at = (const uint32_t *)(const void *)(block + context->data.pages_at);
    return (struct kv_stream_args){
        .pool = context->pools[place->group],
        .page_bytes = kv->groups[place->group].page_bytes,
        .k_offset = place->k_offset,
        .v_offset = place->v_offset,
        .head_bytes = place->head_bytes,
        .type = context->kv_type,
        .key_dim = (uint32_t)stream->key_dim,
        .value_dim = (uint32_t)attention_value_dim(a),
        .n_kv_heads = (uint32_t)stream->n_heads,
        .pages = (const int32_t *)(const void *)(block + context->data.pages),
        .pages_at = pages_at + place->group * context->data.max_sequences,
    };
}

static status launch_rope_store(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    const struct attention_spec *a = op->attention;
    const struct rope_spec *rope = a->rope < 0 ? NULL : &context->program->spec->ropes[a->rope];
    const struct backend_model *model = context->model;
    const struct norm_spec none = {.kind = NORM_NONE};
    const bool whole = a->norms == NORM_OF_ALL_HEADS;
    const struct norm_spec *q_norm = whole ? &none : &a->q_norm;
    const struct norm_spec *k_norm = whole ? &none : &a->k_norm;
    const reg k = op->out[0], v = op->out[1], q_rest = op->out[2];
    struct rope_store_args args = {
        .rows = launcher_rows(context),
        .kv = stream_of(context, a),
        .q = op->in == REG_NONE ? NULL : launcher_reg(context, op->in),
        .k = k == REG_NONE ? NULL : launcher_reg(context, k),
        .v = v == REG_NONE ? NULL : launcher_reg(context, v),
        .q_stride = op->in == REG_NONE ? 0 : width_of(context, op->in),
        .k_stride = k == REG_NONE ? 0 : width_of(context, k),
        .v_stride = v == REG_NONE ? 0 : width_of(context, v),
        .n_rows = (uint32_t)launcher->n_rows,
        .n_heads = op->in == REG_NONE ? 0 : (uint32_t)a->n_heads,
        .head_dim = (uint32_t)a->head_dim,
        .q_norm = cuda_weights_vector(model, &q_norm->weight),
        .k_norm = cuda_weights_vector(model, &k_norm->weight),
        .q_norm_bias = cuda_weights_vector(model, &q_norm->bias),
        .k_norm_bias = cuda_weights_vector(model, &k_norm->bias),
        .q_norm_kind = (uint32_t)q_norm->kind,
        .k_norm_kind = (uint32_t)k_norm->kind,
        .v_norm_kind = (uint32_t)a->v_norm.kind,
        .norm_of_each = a->norms == NORM_OF_EACH,
        .norm_turned = a->norms_turned,
        .q_eps = q_norm->eps,
        .k_eps = k_norm->eps,
        .v_eps = a->v_norm.eps,
        .rope_dims = rope ? (uint32_t)rope->n_dims : 0,
        .rope_halves = rope && rope->pairing == ROPE_HALVES,
        .rope_table = rope ? context->rope_tables[a->rope] : NULL,
        .clamp = a->clamp,
        .rope_first = (uint32_t)a->rope_first,
        .q_rest = q_rest == REG_NONE ? NULL : launcher_reg(context, q_rest),
        .q_rest_stride = q_rest == REG_NONE ? 0 : width_of(context, q_rest),
        .q_rest_dim = (uint32_t)a->latent.q_head_dim,
    };
    struct launch_shape shape = {
        .kernel = "rope_store",
        .grid = (uint32_t)launcher->n_rows,
        .threads = ROPE_STORE_THREADS,
        .shared_bytes = (uint32_t)ROPE_STORE_SHARED_BYTES(args.head_dim, args.kv.value_dim)};
    return launcher_launch(launcher, &shape, &args);
}

/* The copy engine is told where keys and values lie, if it has to put them in order. */
static status launch_warpgroups(struct launcher *launcher, const struct op *op,
                                const struct launch_shape *shape,
                                const struct attention_args *args) {
    const struct backend_context *context = launcher->context;
    const int group = context->program->kv.places[op->attention->kv_stream].group;
    struct attention_hopper_args hopper = {.attention = *args};
    struct driver_tensor_map map;
    const uint64_t row_bytes = 2 * (uint64_t)args->kv.key_dim;
    const uint64_t pool_bytes = (uint64_t)context->limits.n_pages[group] * args->kv.page_bytes;
    const uint64_t dims[2] = {args->kv.key_dim, pool_bytes / row_bytes}, strides[1] = {row_bytes};
    const uint32_t box[2] = {64, ATTENTION_PAGE}, steps[2] = {1, 1};
    if (ATTENTION_CONVERTS(args->kv.type)) return launcher_launch(launcher, shape, &hopper);
    if (dims[1] > INT32_MAX)
        return fail(LIMIT, "%" PRIu64 " keys and values of %" PRIu32 " dims: %d is the most",
                    dims[1], args->kv.key_dim, INT32_MAX);
    DEVICE_TRY(context->device, tensor_map_encode, &map, DRIVER_TENSOR_BFLOAT16, 2, args->kv.pool,
               dims, strides, box, steps, DRIVER_TENSOR_INTERLEAVE_NONE, DRIVER_TENSOR_SWIZZLE_128B,
               DRIVER_TENSOR_L2_PROMOTION_128B, DRIVER_TENSOR_FILL_NONE);
    memcpy(&hopper.kv_map, &map, sizeof hopper.kv_map);
    return launcher_launch(launcher, shape, &hopper);
}

static status launch_attention(struct launcher *launcher, const struct op *op) {
    const struct backend_context *context = launcher->context;
    const struct attention_spec *a = op->attention;
    int index = context->attention_of[op - context->program->ops];
    const struct attention_choice *choice = &context->attention[index];
    const struct step_attention *work = &context->data.attentions[index];
    const uint8_t *block = context->block;
    const uint32_t *counts = (const uint32_t *)(const void *)(block + work->counts);
    struct attention_args args = {
        .rows = launcher_rows(context),
        .kv = stream_of(context, a),
        .q = launcher_reg(context, op->in),
        .out = launcher_reg(context, op->out[0]),
        .q_stride = width_of(context, op->in),
        .out_stride = width_of(context, op->out[0]),
        .n_heads = (uint32_t)a->n_heads,
        .unmasked = a->bidirectional || a->cross,
        .window = a->window,
        .scale = a->scale,
        .softcap = a->softcap,
        .sinks = cuda_weights_vector(context->model, &a->sinks),
        .alibi_slopes = a->max_bias != 0.0f ? context->slopes : NULL,
        .alibi_scale = a->bias_rounded ? a->scale : 0.0f,
        .stages = launcher->recorder ? persistent_stages(choice->launch.kernel) : choice->stages,
        .key_counts = (const int64_t *)(const void *)(block + context->data.key_counts) +
                      (a->cross ? context->data.max_sequences : 0),
        .items = (const struct attention_item *)(const void *)(block + work->items),
        .n_items = counts,
        .merges = (const struct attention_merge_item *)(const void *)(block + work->merges),
        .n_merges = counts + 1,
        .parts = context->attention_parts,
    };
    if (a->relative_bias) {
        const struct relative_bias_spec *bias =
            &context->program->spec->relative_biases[a->relative_bias - 1];
        args.relative_bias = cuda_weights_vector(context->model, &bias->table);
        args.relative_buckets = (uint32_t)bias->n_buckets;
        args.relative_max_distance = (uint32_t)bias->max_distance;
        args.relative_bidirectional = bias->bidirectional;
    }
    TRY(choice->warpgroups ? launch_warpgroups(launcher, op, &choice->launch, &args)
                           : launcher_launch(launcher, &choice->launch, &args));
    return work->limits.max_merges ? launcher_launch(launcher, &choice->merge, &args) : OK;
}

static status launch_pool(struct launcher *launcher, const struct op *op) {
    static const uint32_t kinds[] = {[POOLING_MEAN] = KIND_POOLING_MEAN,
                                     [POOLING_FIRST] = KIND_POOLING_FIRST,
                                     [POOLING_LAST] = KIND_POOLING_LAST};
    const struct backend_context *context = launcher->context;
    const uint8_t *block = context->block;
    if (launcher->n_pooled == 0) return OK;
    struct pool_args args = {
        .in = launcher_reg(context, op->in),
        .sequences = (const struct pool_sequence *)(const void *)(block + context->data.pooled),
        .sum = launcher_reg(context, op->out[0]),
        .out = launcher_reg(context, op->out[0]),
        .n_sequences = (uint32_t)launcher->n_pooled,
        .n_cols = (uint32_t)context->program->spec->n_embd,
        .in_stride = width_of(context, op->in),
        .out_stride = width_of(context, op->out[0]),
        .kind = kinds[op->pooling.kind],
        .normalize = op->pooling.normalize,
    };
    struct launch_shape shape = {.kernel = "pool",
                                 .grid = args.n_sequences,
                                 .threads = POOL_THREADS,
                                 .shared_bytes = POOL_SHARED};
    return launcher_launch(launcher, &shape, &args);
}

static status launch_op(struct launcher *launcher, const struct op *op) {
    switch (op->kind) {
    case OP_EMBED:
        return launch_embed(launcher, op);
    case OP_LINEAR:
    case OP_EXPERTS:
    case OP_HEAD:
        return linear_launch(launcher, op);
    case OP_HEADS:
        return heads_launch(launcher, op);
    case OP_NORM:
        return launch_norm(launcher, op);
    case OP_GATE:
        return launch_gate(launcher, op);
    case OP_ROPE_STORE:
        return launch_rope_store(launcher, op);
    case OP_POOL:
        return launch_pool(launcher, op);
    case OP_ATTENTION:
        return launch_attention(launcher, op);
    case OP_ROUTE:
        return experts_launch_route(launcher, op);
    case OP_WEIGH:
        return experts_launch_weigh(launcher, op);
    }
    return fail(INTERNAL, "op %d is not known", (int)op->kind);
}

/* Keeps the host at most LAYERS_AHEAD boundaries ahead of the device. */
static status keep_pace(struct backend_context *context, int boundary) {
    int slot = boundary % LAYERS_AHEAD;
    if (context->recorded[slot]) TRY(device_event_wait(context->device, context->events[slot]));
    context->recorded[slot] = true;
    return device_event_record(context->device, context->stream, context->events[slot]);
}

/* Op after op, until `cancel` (NULL: never) is set before one with `boundary`: then *stopped. */
static status launch_ops(struct launcher *launcher, atomic_int *cancel, bool *stopped) {
    const struct program *program = launcher->context->program;
    int boundary = 0;
    int first = launcher->source ? 0 : program->n_source_ops;
    int end = launcher->source ? program->n_source_ops : program->n_ops;
    for (int i = first; i < end; i++) {
        const struct op *op = &program->ops[i];
        if (op->boundary && cancel) {
            TRY(keep_pace(launcher->context, boundary++));
            *stopped = atomic_load_explicit(cancel, memory_order_relaxed) != 0;
            if (*stopped) return OK;
            launcher->follows = false; /* the event is ahead */
        }
        TRY(launch_op(launcher, op));
    }
    return OK;
}

status launcher_run(struct backend_context *context, const struct step *step, bool *stopped) {
    struct launcher launcher = {.context = context,
                                .source = step->source,
                                .adapts = step_data_adapts(step),
                                .n_rows = step->n_rows,
                                .n_logit_rows = step->n_logit_rows,
                                .n_pooled = step->n_pooled};
    for (int i = 0; i < LAYERS_AHEAD; i++) context->recorded[i] = false;
    return launch_ops(&launcher, step->cancel, stopped);
}

status launcher_record(struct backend_context *context, int64_t n_rows,
                       struct persistent_recorder *recorder) {
    struct launcher launcher = {
        .context = context, .n_rows = n_rows, .n_logit_rows = n_rows, .recorder = recorder};
    return launch_ops(&launcher, NULL, NULL);
}

/* Drivers know dependent launches in graphs from CUDA 12.3 on. */
enum { DEPENDENT_GRAPHS_VERSION = 12030 };

status launcher_capture(struct backend_context *context, int64_t n_rows, bool adapts,
                        driver_graph_exec *exec) {
    struct device *device = context->device;
    driver_graph graph = NULL;
    struct launcher launcher = {.context = context,
                                .n_rows = n_rows,
                                .n_logit_rows = n_rows,
                                .adapts = adapts,
                                .apart = device->driver.version < DEPENDENT_GRAPHS_VERSION,
                                .only_loads = true};
    /* The driver loads a kernel when it is first asked for, which a capture forbids. */
    TRY(launch_ops(&launcher, NULL, NULL));
    launcher.only_loads = false;
    DEVICE_TRY(device, stream_begin_capture, context->stream, DRIVER_CAPTURE_THREAD_LOCAL);
    status launched = launch_ops(&launcher, NULL, NULL);
    /* The capture ends whatever went wrong in it; the first reason is the one to tell. */
    driver_result ended = device->driver.stream_end_capture(context->stream, &graph);
    status result = launched != OK ? launched : device_check(device, ended, "stream_end_capture");
    if (result == OK)
        result = device_check(device, device->driver.graph_instantiate(exec, graph, 0),
                              "graph_instantiate");
    if (graph) device->driver.graph_destroy(graph);
    return result;
}
