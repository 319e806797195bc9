/* Memory of a CUDA context. All of it is taken when the context is made: a step takes none. */
#include <string.h>

#include "base/checked.h"
#include "base/environment.h"
#include "cuda/device_list.h"
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/launcher.h"
#include "cuda/weight_layout.h"

enum { ARENA_ALIGNMENT = 256 };
/* What cut attention may take for its parts, if no single sequence needs more. */
#define ATTENTION_PARTS_BYTES (UINT64_C(32) << 20)

/* Offsets in the arena, and sizes. */
struct sizes {
    uint64_t block, buffers, slopes, frequencies, rope_tables, prepared[CUDA_ACTIVATIONS],
        prepared_scale, prepared_block_scale, block_stride;
    uint64_t expert, expert_weight, expert_place, expert_row, expert_groups, n_expert_groups;
    uint64_t apart, gemm_parts, gemm_counters, attention_parts, failures, hidden, logits;
    uint64_t instructions, instruction_counters; /* of the persistent kernel */
    uint32_t most_instructions;                  /* of a program; 0: there are none */
    uint64_t arena;                              /* bytes in all */
    uint64_t hidden_stride, logits_stride;
    uint32_t n_counters;
};

static uint64_t padded(int64_t n) {
    return (uint64_t)(n + REG_ALIGNMENT - 1) / REG_ALIGNMENT * REG_ALIGNMENT;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Takes n units from the arena's end; saturates, so that what is too large is refused. */
static uint64_t place(struct sizes *sizes, uint64_t n, uint64_t unit) {
    uint64_t at = sizes->arena, bytes = mul_saturating(n, unit);
    uint64_t end = add_saturating(at, bytes);
    sizes->arena = end > UINT64_MAX - ARENA_ALIGNMENT
                       ? UINT64_MAX
                       : (end + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    return at;
}

/* ---- attention ---- */

static enum cuda_kv_type kv_type_of(uint32_t kv_type) {
    return kv_type == TRANSFORMER_KV_F32    ? CUDA_KV_F32
           : kv_type == TRANSFORMER_KV_BF16 ? CUDA_KV_BF16
           : kv_type == TRANSFORMER_KV_Q8_0 ? CUDA_KV_Q8_0
                                            : CUDA_KV_F16;
}

static bool same_geometry(const struct attention_geometry *a, const struct attention_geometry *b) {
    return a->window == b->window && a->bidirectional == b->bidirectional && a->cross == b->cross &&
           a->of_source == b->of_source && a->n_heads == b->n_heads &&
           a->n_kv_heads == b->n_kv_heads && a->key_dim == b->key_dim &&
           a->value_dim == b->value_dim && a->values_in_keys == b->values_in_keys;
}

static int64_t slots_wanted(const struct attention_geometry *geometry,
                            const struct backend_limits *limits) {
    int64_t seen = geometry->window && !geometry->bidirectional
                       ? smaller(geometry->window, limits->max_sequence_tokens)
                       : limits->max_sequence_tokens;
    if (geometry->cross || geometry->of_source) seen = limits->max_source_tokens;
    int64_t of_one = (seen / ATTENTION_SPLIT_KEYS + 2) * geometry->n_heads;
    int64_t part_bytes = CUDA_ATTENTION_PART_FLOATS(geometry->value_dim) * (int64_t)sizeof(float);
    return larger(of_one, smaller(of_one * limits->max_sequences,
                                  (int64_t)ATTENTION_PARTS_BYTES / part_bytes));
}

/* Lists of attention work, one for each geometry among the layers. */
struct attentions {
    struct step_attention *of; /* [n_attentions], the first n used */
    struct attention_choice *choice;
    int *of_op; /* [n_ops] of those with attention */
    int n;
};

static status add_geometry(const struct cuda_properties *device,
                           const struct backend_limits *limits,
                           const struct attention_geometry *geometry,
                           struct attentions *attentions) {
    struct attention_problem problem = {.kv_type = kv_type_of(limits->kv_type),
                                        .key_dim = (uint32_t)geometry->key_dim,
                                        .value_dim = (uint32_t)geometry->value_dim,
                                        .n_heads = (uint32_t)geometry->n_heads,
                                        .n_kv_heads = (uint32_t)geometry->n_kv_heads,
                                        .values_in_keys = geometry->values_in_keys};
    struct attention_choice choice = select_attention(device, &problem);
    if (!choice.launch.kernel)
        return fail(UNSUPPORTED,
                    "no attention kernel has heads of %" PRId64 " dims with values of %" PRId64,
                    geometry->key_dim, geometry->value_dim);
    struct step_attention *attention = &attentions->of[attentions->n];
    attention->geometry = *geometry;
    attention->limits = (struct attention_limits){
        .rows_per_item = choice.rows_per_item,
        .tile_queries = choice.tile_queries,
        .n_blocks = choice.launch.grid,
        /* As many cut tiles as there are blocks. */
        .max_merges = (int64_t)choice.launch.grid *
                      ((larger(choice.tile_queries, geometry->n_heads / geometry->n_kv_heads) - 1) /
                           ATTENTION_MERGE_QUERIES +
                       1),
        .max_slots = slots_wanted(geometry, limits)};
    int64_t least = attention_plan_least_items(geometry, &attention->limits, limits->max_rows,
                                               limits->max_sequences);
    attention->limits.max_items = 2 * least + choice.launch.grid;
    attentions->choice[attentions->n++] = choice;
    return OK;
}

/* At most so many geometries. */
static size_t n_attentions(const struct spec *spec) {
    return (size_t)spec->n_layers * (spec->source.n_layers ? 2 : 1) + (size_t)spec->source.n_layers;
}

static status find_attentions(const struct cuda_properties *device, const struct program *program,
                              const struct backend_limits *limits, struct attentions *attentions) {
    for (int op = 0; op < program->n_ops; op++) {
        const struct attention_spec *a = program->ops[op].attention;
        if (program->ops[op].kind != OP_ATTENTION) continue;
        /* Rows of floats that a kernel reads in fours begin at heads. */
        if (a->latent.q_head_dim % 4)
            return fail(UNSUPPORTED,
                        "no kernel has latent attention with queries of %" PRId64
                        " dims: no multiple of 4",
                        a->latent.q_head_dim);
        if (a->latent.rank && a->relative_bias)
            return fail(UNSUPPORTED, "no kernel has latent attention with biases by distance");
        struct attention_geometry geometry = {.window = a->window,
                                              .bidirectional = a->bidirectional,
                                              .cross = a->cross,
                                              .of_source = op < program->n_source_ops,
                                              .n_heads = a->n_heads,
                                              .n_kv_heads = a->n_kv_heads,
                                              .key_dim = a->head_dim,
                                              .value_dim = attention_value_dim(a),
                                              .values_in_keys = a->latent.rank != 0};
        int i = 0;
        while (i < attentions->n && !same_geometry(&attentions->of[i].geometry, &geometry)) i++;
        if (i == attentions->n) TRY(add_geometry(device, limits, &geometry, attentions));
        attentions->of_op[op] = i;
    }
    return OK;
}

static status take_attentions(struct memory *memory, const struct program *program,
                              struct attentions *attentions) {
    size_t n = n_attentions(program->spec);
    TRY(MEMORY_TAKE_ARRAY(memory, n, "attention's work", &attentions->of));
    TRY(MEMORY_TAKE_ARRAY(memory, n, "attention's work", &attentions->choice));
    return MEMORY_TAKE_ARRAY(memory, (size_t)program->n_ops, "attention's work",
                             &attentions->of_op);
}

static void give_attentions(struct memory *memory, struct attentions *attentions) {
    memory_give(memory, attentions->of);
    memory_give(memory, attentions->choice);
    memory_give(memory, attentions->of_op);
}

/* ---- sizes ---- */

/* Most rows that an op prepares. */
static uint64_t prepared_rows(const struct op *op, const struct backend_limits *limits) {
    if (op->kind == OP_HEAD) return (uint64_t)limits->max_logit_rows;
    uint64_t of_row = 1;
    if (op->kind == OP_EXPERTS) of_row = (uint64_t)op->experts->n_used;
    if (op->kind == OP_HEADS) of_row = (uint64_t)op->heads.weight->weight.tensor->dims[2];
    return mul_saturating((uint64_t)limits->max_rows, of_row);
}

static size_t prepared_cols(const struct op *op) {
    const struct linear_spec *weight =
        op->kind == OP_HEADS ? op->heads.weight : op->linear.weights[0];
    return weight_layout_padded_cols((size_t)weight->weight.tensor->dims[0]);
}

static bool is_linear(const struct op *op) {
    if (op->kind == OP_HEAD) return op->linear.n_weights > 0; /* else it norms alone */
    return op->kind == OP_LINEAR || op->kind == OP_EXPERTS;
}

static void place_linear(const struct cuda_properties *device, const struct program *program,
                         const struct backend_limits *limits, struct sizes *sizes) {
    struct linear_needs needs = {0};
    uint64_t most_rows = 0, most_cols = 0, elements = 0; /* of prepared rows */
    for (int i = 0; i < program->n_ops; i++) {
        const struct op *op = &program->ops[i];
        if (!is_linear(op) && op->kind != OP_HEADS) continue;
        int64_t most = op->kind == OP_HEAD ? limits->max_logit_rows : limits->max_rows;
        for (int64_t n = 1; is_linear(op) && n <= smaller(most, SELECT_APART_MAX_ROWS); n++)
            linear_measure(device, op, n, false, &needs);
        for (int64_t n = 1;
             is_linear(op) && sizes->most_instructions && n <= smaller(most, PERSISTENT_MAX_ROWS);
             n++)
            linear_measure(device, op, n, true, &needs);
        if (op->kind == OP_HEADS) heads_measure(device, op, &needs);
        uint64_t rows = prepared_rows(op, limits);
        uint64_t n = mul_saturating(rows, prepared_cols(op));
        if (rows > most_rows) most_rows = rows;
        if (n > elements) elements = n;
        if (prepared_cols(op) > most_cols) most_cols = prepared_cols(op);
    }
    for (int f = 0; f < CUDA_ACTIVATIONS; f++)
        sizes->prepared[f] = place(sizes, needs.used[f] ? elements : 0,
                                   f == CUDA_ACTIVATION_SPLIT  ? 4
                                   : f == CUDA_ACTIVATION_E4M3 ? 1
                                                               : 2);
    sizes->prepared_scale = place(sizes, most_rows, sizeof(float));
    const bool blocks = needs.used[CUDA_ACTIVATION_E4M3];
    sizes->block_stride = blocks ? padded((int64_t)most_rows) : 0;
    sizes->prepared_block_scale =
        place(sizes, mul_saturating(sizes->block_stride, most_cols / LAYOUT_BLOCK_COLS + 1),
              sizeof(float));
    sizes->apart =
        place(sizes, mul_saturating((uint64_t)limits->max_rows, needs.apart), sizeof(float));
    sizes->gemm_parts = place(sizes, needs.parts_bytes, 1);
    sizes->gemm_counters = place(sizes, needs.n_counters, sizeof(uint32_t));
    sizes->n_counters = needs.n_counters;
    uint64_t slots = mul_saturating((uint64_t)limits->max_rows, (uint64_t)program->max_used);
    sizes->expert = place(sizes, slots, sizeof(int32_t));
    sizes->expert_weight = place(sizes, slots, sizeof(float));
    sizes->expert_place = place(sizes, slots, sizeof(int32_t));
    sizes->expert_row = place(sizes, slots, sizeof(int32_t));
    sizes->expert_groups = place(sizes, slots / gemm_tile_n(0) + (uint64_t)program->max_experts,
                                 sizeof(struct gemm_group));
    sizes->n_expert_groups = place(sizes, slots ? 1 : 0, sizeof(uint32_t));
}

static void measure(const struct cuda_properties *device, const struct program *program,
                    const struct backend_limits *limits, const struct attentions *attentions,
                    struct step_data *data, struct sizes *sizes) {
    const struct spec *spec = program->spec;
    uint64_t rows = (uint64_t)limits->max_rows, logit_rows = (uint64_t)limits->max_logit_rows;
    *sizes = (struct sizes){.hidden_stride = padded(spec->n_embd),
                            .logits_stride = padded(program->n_logits)};
    *data = (struct step_data){
        .attentions = attentions->of, .n_attentions = attentions->n, .groups = program->kv.groups};
    step_data_measure(data, limits, program->kv.n_groups);
    sizes->block = place(sizes, data->bytes, 1);
    sizes->buffers =
        place(sizes, mul_saturating(rows, (uint64_t)program->row_floats), sizeof(float));
    sizes->slopes = place(sizes, (uint64_t)program->n_slopes, sizeof(float));
    uint64_t rope_dims = 0;
    for (int i = 0; i < spec->n_ropes; i++) rope_dims += padded(spec->ropes[i].n_dims);
    sizes->frequencies = place(sizes, rope_dims, sizeof(float));
    sizes->rope_tables = place(sizes, mul_saturating(rows, rope_dims), sizeof(float));
    sizes->most_instructions = persistent_wanted(device, program) ? persistent_most(program) : 0;
    uint64_t most = PERSISTENT_PROGRAMS * (uint64_t)sizes->most_instructions;
    sizes->instructions = place(sizes, most, sizeof(struct persistent_instruction));
    sizes->instruction_counters = place(sizes, most, sizeof(uint32_t));
    place_linear(device, program, limits, sizes);
    uint64_t part_bytes = 0;
    for (int i = 0; i < attentions->n; i++) {
        const struct step_attention *attention = &attentions->of[i];
        uint64_t floats = (uint64_t)CUDA_ATTENTION_PART_FLOATS(attention->geometry.value_dim);
        uint64_t bytes =
            mul_saturating((uint64_t)attention->limits.max_slots, floats * sizeof(float));
        if (bytes > part_bytes) part_bytes = bytes;
    }
    sizes->attention_parts = place(sizes, part_bytes, 1);
    /* One after the other, so that both come down at once. */
    sizes->failures =
        place(sizes, (uint64_t)limits->max_logit_rows + FAILURE_WORDS, sizeof(int32_t));
    sizes->hidden = place(sizes, logit_rows, sizes->hidden_stride * sizeof(float));
    sizes->logits = place(sizes, logit_rows, sizes->logits_stride * sizeof(float));
}

static uint64_t host_bytes(const struct program *program, const struct backend_limits *limits) {
    size_t layers = n_attentions(program->spec), ropes = (size_t)program->spec->n_ropes;
    return memory_cost(sizeof(struct backend_context)) +
           memory_cost(layers * sizeof(struct step_attention)) +
           memory_cost(layers * sizeof(struct attention_choice)) +
           memory_cost((size_t)program->n_ops * sizeof(int)) +
           2 * memory_cost(ropes * sizeof(float *)) +
           memory_cost((size_t)program->kv.n_groups * sizeof(uint8_t *)) +
           memory_cost(STEP_MAX_RANGES(layers) * sizeof(struct step_range)) +
           memory_cost((size_t)limits->max_sequences * sizeof(struct step_adapter)) +
           memory_cost((size_t)limits->max_logit_rows);
}

/* What no kernel does. */
static status check_program(const struct program *program) {
    if (program->spec->embedding_in.weight.tensor)
        return fail(UNSUPPORTED, "a GPU has no kernel for embeddings that are projected");
    if (program->spec->layer_inputs.width % 4)
        return fail(UNSUPPORTED,
                    "a GPU has no kernel for inputs of layers of %" PRId64
                    " columns: no multiple of 4",
                    program->spec->layer_inputs.width);
    for (int64_t i = 0; i < program->spec->n_layers; i++)
        if (program->spec->layers[i].attention.v_norm.weight.tensor)
            return fail(UNSUPPORTED, "a GPU has no kernel for norms of values with weights");
    return OK;
}

status cuda_context_bytes(const struct program *program, const struct backend_choice *choice,
                          const struct backend_limits *limits, struct backend_bytes *bytes) {
    struct cuda_properties properties;
    struct attentions attentions = {0};
    struct step_data data;
    struct sizes sizes;
    int ordinal;
    status result;
    TRY(check_program(program));
    TRY(device_list_find(choice->device, &ordinal, &properties));
    TRY_OR_EXIT(take_attentions(program->memory, program, &attentions));
    TRY_OR_EXIT(find_attentions(&properties, program, limits, &attentions));
    measure(&properties, program, limits, &attentions, &data, &sizes);
    *bytes = (struct backend_bytes){.host = host_bytes(program, limits)};
    for (int g = 0; g < program->kv.n_groups; g++) {
        uint64_t pool =
            mul_saturating((uint64_t)limits->n_pages[g], program->kv.groups[g].page_bytes);
        bytes->kv = add_saturating(bytes->kv, device_cost(pool));
    }
    bytes->device = add_saturating(bytes->kv, device_cost(sizes.arena));
exit:
    give_attentions(program->memory, &attentions);
    return result;
}

/* ---- taking it ---- */

static float *floats_at(const struct backend_context *context, uint64_t offset) {
    return (float *)(void *)(context->arena + offset);
}

static void point(struct backend_context *context, const struct sizes *sizes) {
    const struct spec *spec = context->program->spec;
    uint64_t dims = 0;
    context->block = context->arena + sizes->block;
    context->buffers = floats_at(context, sizes->buffers);
    context->slopes = floats_at(context, sizes->slopes);
    for (int f = 0; f < CUDA_ACTIVATIONS; f++)
        context->prepared[f] = context->arena + sizes->prepared[f];
    context->prepared_scale = floats_at(context, sizes->prepared_scale);
    context->prepared_block_scale = floats_at(context, sizes->prepared_block_scale);
    context->block_stride = (uint32_t)sizes->block_stride;
    context->apart = floats_at(context, sizes->apart);
    context->routes = (struct routes){
        .expert = (int32_t *)(void *)(context->arena + sizes->expert),
        .weight = floats_at(context, sizes->expert_weight),
        .place = (int32_t *)(void *)(context->arena + sizes->expert_place),
        .row = (int32_t *)(void *)(context->arena + sizes->expert_row),
        .groups = (struct gemm_group *)(void *)(context->arena + sizes->expert_groups),
        .n_groups = (uint32_t *)(void *)(context->arena + sizes->n_expert_groups),
    };
    context->gemm_parts = floats_at(context, sizes->gemm_parts);
    context->gemm_counters = (uint32_t *)(void *)(context->arena + sizes->gemm_counters);
    context->attention_parts = floats_at(context, sizes->attention_parts);
    context->failures = (uint32_t *)(void *)(context->arena + sizes->failures);
    context->sampled = (int32_t *)(void *)(context->failures + FAILURE_WORDS);
    context->persistent = (struct persistent_memory){
        .instructions =
            (struct persistent_instruction *)(void *)(context->arena + sizes->instructions),
        .counters = (uint32_t *)(void *)(context->arena + sizes->instruction_counters),
        .most = sizes->most_instructions,
    };
    context->hidden = floats_at(context, sizes->hidden);
    context->logits = floats_at(context, sizes->logits);
    context->hidden_stride = sizes->hidden_stride;
    context->logits_stride = sizes->logits_stride;
    for (int i = 0; i < spec->n_ropes; i++) {
        context->frequencies[i] = floats_at(context, sizes->frequencies) + dims;
        context->rope_tables[i] =
            floats_at(context, sizes->rope_tables) + dims * (uint64_t)context->limits.max_rows;
        dims += padded(spec->ropes[i].n_dims);
    }
}

static status take_host(struct backend_context *context) {
    struct memory *memory = context->memory;
    const struct spec *spec = context->program->spec;
    size_t n_ropes = (size_t)spec->n_ropes, n_groups = (size_t)context->program->kv.n_groups;
    TRY(MEMORY_TAKE_ARRAY(memory, n_ropes, "rope tables", &context->frequencies));
    TRY(MEMORY_TAKE_ARRAY(memory, n_ropes, "rope tables", &context->rope_tables));
    TRY(MEMORY_TAKE_ARRAY(memory, n_groups, "the table of KV pools", &context->pools));
    TRY(MEMORY_TAKE_ARRAY(memory, STEP_MAX_RANGES(n_attentions(spec)), "a step's copies",
                          &context->ranges));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)context->limits.max_sequences, "a step's adapters",
                          &context->step_adapters));
    return MEMORY_TAKE_ARRAY(memory, (size_t)context->limits.max_logit_rows, "logits",
                             &context->fetched);
}

static status take_pools(struct backend_context *context) {
    const struct kv_layout *kv = &context->program->kv;
    for (int g = 0; g < kv->n_groups; g++) {
        uint64_t bytes =
            mul_saturating((uint64_t)context->limits.n_pages[g], kv->groups[g].page_bytes);
        TRY(DEVICE_TAKE(context->device, bytes, "the KV cache", &context->pools[g]));
        TRY(device_clear(context->device, context->stream, context->pools[g], bytes));
    }
    return OK;
}

static status take_pooled(struct backend_context *context, reg index, float **host) {
    if (index == REG_NONE) return OK;
    size_t floats = (size_t)(context->limits.max_sequences * context->program->regs[index].width);
    return DEVICE_TAKE_PINNED(context->device, floats * sizeof(float), "pooled vectors", host);
}

static status take_device(struct backend_context *context, const struct sizes *sizes) {
    struct device *device = context->device;
    const struct spec *spec = context->program->spec;
    size_t logit_rows = (size_t)context->limits.max_logit_rows;
    TRY(device_stream_create(device, &context->stream));
    for (int i = 0; i < LAYERS_AHEAD; i++) TRY(device_event_create(device, &context->events[i]));
    TRY(DEVICE_TAKE(device, sizes->arena, "a context's buffers", &context->arena));
    TRY(DEVICE_TAKE_PINNED(device, context->data.bytes, "a step's data", &context->host_block));
    TRY(DEVICE_TAKE_PINNED(device, logit_rows * sizes->hidden_stride * sizeof(float),
                           "hidden states", &context->host_hidden));
    TRY(DEVICE_TAKE_PINNED(device, logit_rows * sizes->logits_stride * sizeof(float), "logits",
                           &context->host_logits));
    TRY(DEVICE_TAKE_PINNED(device, (FAILURE_WORDS + logit_rows) * sizeof(int32_t), "sampled tokens",
                           &context->host_failures));
    context->host_sampled = (int32_t *)(void *)(context->host_failures + FAILURE_WORDS);
    TRY(take_pooled(context, context->program->pooled, &context->host_pooled));
    TRY(take_pooled(context, context->program->score, &context->host_score));
    TRY(take_pools(context));
    point(context, sizes);
    TRY(device_clear(device, context->stream, context->gemm_counters,
                     sizes->n_counters * sizeof(uint32_t)));
    TRY(device_clear(device, context->stream, context->persistent.counters,
                     PERSISTENT_PROGRAMS * sizes->most_instructions * sizeof(uint32_t)));
    TRY(device_clear(device, context->stream, context->failures, FAILURE_WORDS * sizeof(uint32_t)));
    if (context->program->slopes)
        TRY(device_upload(device, context->stream, context->slopes, context->program->slopes,
                          (size_t)context->program->n_slopes * sizeof(float)));
    for (int i = 0; i < spec->n_ropes; i++)
        TRY(device_upload(device, context->stream, context->frequencies[i],
                          context->program->frequencies[i],
                          (size_t)spec->ropes[i].n_dims / 2 * sizeof(float)));
    return device_stream_wait(device, context->stream);
}

/* Steps of single rows: the fewest by the persistent kernel, where it is wanted and has a form for
 * every kernel of the program, others as graphs. */
static status take_graphs(struct backend_context *context) {
    const struct backend_limits *limits = &context->limits;
    const char *wanted = environment_read("CUDA_GRAPHS");
    if (wanted && !strcmp(wanted, "off")) return OK;
    if (context->program->pooled != REG_NONE) return OK; /* what is pooled differs between steps */
    int64_t most = smaller(smaller(limits->max_sequences, limits->max_rows),
                           smaller(limits->max_logit_rows, GRAPH_MAX_ROWS));
    TRY(persistent_take(context));
    int64_t first = 1;
    if (context->n_programs) first = 2 * context->programs[context->n_programs - 1].n_rows;
    for (int64_t n = first; n < 2 * most && n <= GRAPH_MAX_ROWS; n *= 2) {
        struct step_graph *graph = &context->graphs[context->n_graphs];
        graph->n_rows = smaller(n, most);
        TRY(launcher_capture(context, graph->n_rows, false, &graph->exec));
        context->n_graphs++;
    }
    return OK;
}

static status fill(struct backend_context *context) {
    struct device_caller caller;
    struct attentions attentions = {0};
    struct sizes sizes;
    TRY(take_host(context));
    status result = take_attentions(context->memory, context->program, &attentions);
    context->data.attentions = attentions.of;
    context->attention = attentions.choice;
    context->attention_of = attentions.of_op;
    TRY(result);
    const struct cuda_properties *properties = &context->device->properties;
    TRY(find_attentions(properties, context->program, &context->limits, &attentions));
    measure(properties, context->program, &context->limits, &attentions, &context->data, &sizes);
    context->data.adapters = context->step_adapters;
    TRY(device_enter(context->device, &caller));
    result = take_device(context, &sizes);
    if (result == OK) result = take_graphs(context);
    device_leave(context->device, &caller);
    return result;
}

static void give_device(struct backend_context *context) {
    struct device *device = context->device;
    if (context->stream) device->driver.stream_synchronize(context->stream);
    for (int i = 0; i < MAX_GRAPHS; i++)
        if (context->graphs[i].exec) device->driver.graph_exec_destroy(context->graphs[i].exec);
    adapters_give(context);
    for (int i = 0; i < LAYERS_AHEAD; i++) device_event_destroy(device, context->events[i]);
    device_stream_destroy(device, context->stream);
    for (int g = 0; context->pools && g < context->program->kv.n_groups; g++)
        device_give(device, context->pools[g]);
    device_give(device, context->arena);
    device_give_pinned(device, context->host_block);
    device_give_pinned(device, context->host_hidden);
    device_give_pinned(device, context->host_logits);
    device_give_pinned(device, context->host_failures);
    device_give_pinned(device, context->host_pooled);
    device_give_pinned(device, context->host_score);
}

void cuda_context_destroy(struct backend_context *context) {
    struct device_caller caller;
    if (!context) return;
    struct memory *memory = context->memory;
    bool entered = device_enter_anyway(context->device, &caller);
    give_device(context);
    if (entered) device_leave(context->device, &caller);
    memory_give(memory, context->frequencies);
    memory_give(memory, context->rope_tables);
    memory_give(memory, context->pools);
    memory_give(memory, context->ranges);
    memory_give(memory, context->fetched);
    memory_give(memory, context->step_adapters);
    memory_give(memory, context->adapters.of_op);
    memory_give(memory, context->data.attentions);
    memory_give(memory, context->attention);
    memory_give(memory, context->attention_of);
    memory_give(memory, context);
}

status cuda_context_create(struct memory *memory, const struct backend_model *model,
                           const struct program *program, const struct backend_limits *limits,
                           struct backend_context **context) {
    struct backend_context *fresh;
    TRY(check_program(program));
    TRY(MEMORY_TAKE_ONE(memory, "the context's buffers", &fresh));
    fresh->memory = memory;
    fresh->model = model;
    fresh->device = model->device;
    fresh->program = program;
    fresh->limits = *limits;
    fresh->kv_type = kv_type_of(limits->kv_type);
    status result = fill(fresh);
    if (result != OK) {
        cuda_context_destroy(fresh);
        return result;
    }
    *context = fresh;
    return OK;
}
