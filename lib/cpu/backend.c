/* The CPU backend: memory of a context, and the backend table. */
#include "backend.h"

#include <string.h>

#include "base/checked.h"
#include "cpu/execution.h"
#include "cpu/processor.h"
#include "program/kv_form.h"

/* A size that saturates instead of wrapping: one that can't be is refused by the allocator. */
static size_t times(size_t a, size_t b) {
    size_t product;
    return mul_overflows(a, b, &product) ? SIZE_MAX / 4 : product;
}

static size_t padded(size_t n) {
    return (n + REG_ALIGNMENT - 1) / REG_ALIGNMENT * REG_ALIGNMENT;
}

/* Bytes of the parts of a context that grow with its limits. */
struct sizes {
    size_t slots; /* choices of experts */
    size_t buffers, hidden, logits, outputs, attention, part, row, shared_part;
    size_t prepared[ACTIVATION_FORMATS], prepared_row[ACTIVATION_FORMATS];
    size_t hidden_stride, logits_stride, attention_queries;
};

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void measure_attention(const struct kernels *kernels, const struct program *program,
                              struct sizes *sizes) {
    sizes->attention_queries = ATTENTION_TILE_QUERIES;
    for (int i = 0; i < program->n_ops; i++) {
        const struct attention_spec *a = program->ops[i].attention;
        if (program->ops[i].kind != OP_ATTENTION) continue;
        sizes->attention_queries =
            larger(sizes->attention_queries, (size_t)(a->n_heads / a->n_kv_heads));
    }
    for (int i = 0; i < program->n_ops; i++) {
        const struct attention_spec *a = program->ops[i].attention;
        if (program->ops[i].kind != OP_ATTENTION) continue;
        size_t dim = (size_t)attention_value_dim(a), queries = sizes->attention_queries;
        sizes->attention = larger(
            sizes->attention, kernels->attention_scratch_bytes(queries, (size_t)a->head_dim, dim));
        sizes->part = larger(sizes->part, queries * ATTENTION_PART_FLOATS(dim) * sizeof(float));
        sizes->shared_part =
            larger(sizes->shared_part, (size_t)(a->n_heads / a->n_kv_heads) *
                                           ATTENTION_PART_FLOATS(dim) * sizeof(float));
    }
}

/* Of one bias by distance. */
static size_t relative_bytes(const struct relative_bias_spec *bias) {
    return times((size_t)bias->n_heads, attend_relative_stride(bias) * sizeof(float));
}

static void measure(const struct kernels *kernels, const struct program *program,
                    const struct backend_limits *limits, struct sizes *sizes) {
    const struct spec *spec = program->spec;
    size_t rows = (size_t)limits->max_rows, logit_rows = (size_t)limits->max_logit_rows;
    *sizes = (struct sizes){.hidden_stride = padded((size_t)program->n_hidden),
                            .logits_stride = padded((size_t)program->n_logits)};
    sizes->buffers = times(times(rows, (size_t)program->row_floats), sizeof(float));
    sizes->hidden = times(times(logit_rows, sizes->hidden_stride), sizeof(float));
    sizes->logits = times(times(logit_rows, sizes->logits_stride), sizeof(float));
    sizes->row = padded((size_t)program->max_in) * sizeof(float);
    sizes->outputs = LINEAR_SCRATCH_FLOATS * sizeof(float);
    sizes->slots = times(rows, (size_t)program->max_used);
    bool used[ACTIVATION_FORMATS] = {false};
    for (int i = 0; i < spec->n_weights; i++)
        if (!spec->weights[i].vector)
            used[kernels->linear[spec->weights[i].tensor->type].format] = true;
    size_t most_rows = rows > logit_rows ? rows : logit_rows;
    for (int f = 0; f < ACTIVATION_FORMATS; f++) {
        sizes->prepared_row[f] =
            used[f] ? kernels->activation[f].row_bytes((size_t)program->max_in) : 0;
        sizes->prepared[f] = times(most_rows, sizes->prepared_row[f]);
        for (int i = 0; i < program->n_ops && used[f]; i++) {
            const struct op *op = &program->ops[i];
            if (op->kind != OP_EXPERTS) continue;
            size_t width = (size_t)op->linear.weights[0]->weight.tensor->dims[0];
            size_t places = times(rows, (size_t)op->experts->n_used);
            sizes->prepared[f] =
                larger(sizes->prepared[f], times(places, kernels->activation[f].row_bytes(width)));
        }
    }
    measure_attention(kernels, program, sizes);
}

static size_t thread_bytes(const struct sizes *sizes) {
    size_t bytes = 2 * memory_cost(sizes->row) + memory_cost(sizes->outputs) +
                   memory_cost(sizes->attention) + 2 * memory_cost(sizes->part);
    for (int f = 0; f < ACTIVATION_FORMATS; f++)
        bytes += memory_cost(PRIVATE_ROWS * sizes->prepared_row[f]);
    return bytes;
}

static status cpu_kv_format(uint32_t kv_type, struct kv_format *format) {
    switch (kv_type) {
    case TRANSFORMER_KV_F32:
        *format = (struct kv_format){.element_bytes = 4, .keys_by_dim = true};
        return OK;
    case TRANSFORMER_KV_Q8_0:
        *format = (struct kv_format){.element_bytes = 1, .scale_bytes = 2, .keys_by_dim = true};
        return OK;
    default:
        *format = (struct kv_format){.element_bytes = 2, .keys_by_dim = true};
        return OK;
    }
}

static status cpu_context_bytes(const struct program *program, const struct backend_choice *choice,
                                const struct backend_limits *limits, struct backend_bytes *bytes) {
    struct kernels kernels;
    struct sizes sizes;
    struct team_options team = {.n_threads = limits->n_threads, .executor = limits->executor};
    int n_threads = 0;
    TRY(team_count_threads(&team, &n_threads));
    TRY(kernels_choose(choice->cpu_amx, &kernels));
    measure(&kernels, program, limits, &sizes);
    uint64_t kv = 0;
    for (int g = 0; g < program->kv.n_groups; g++) {
        size_t pool = mul_saturating((size_t)limits->n_pages[g], program->kv.groups[g].page_bytes);
        kv = add_saturating(kv, memory_cost(pool));
    }
    /* What the widths and limits of today allow can't wrap here, 2^60 at the very most. */
    uint64_t others = memory_cost(sizeof(struct backend_context)) + memory_cost(sizes.buffers) +
                      memory_cost(sizes.hidden) + memory_cost(sizes.logits) +
                      memory_cost(times(SHARED_PARTS, sizes.shared_part)) +
                      (uint64_t)n_threads * thread_bytes(&sizes) +
                      memory_cost((size_t)limits->max_rows * sizeof(int64_t)) +
                      memory_cost((size_t)limits->max_rows * sizeof(int32_t));
    for (int f = 0; f < ACTIVATION_FORMATS; f++) others += memory_cost(sizes.prepared[f]);
    others += 4 * memory_cost(times(sizes.slots, sizeof(int32_t))) +
              memory_cost((size_t)(program->max_experts + 1) * sizeof(int32_t));
    for (int i = 0; i < program->spec->n_ropes; i++)
        others += memory_cost(times((size_t)limits->max_rows * sizeof(float),
                                    (size_t)program->spec->ropes[i].n_dims));
    if (program->spec->n_relative_biases)
        others += memory_cost((size_t)program->spec->n_relative_biases * sizeof(float *));
    for (int i = 0; i < program->spec->n_relative_biases; i++)
        others += memory_cost(relative_bytes(&program->spec->relative_biases[i]));
    *bytes = (struct backend_bytes){.host = add_saturating(kv, others), .kv = kv};
    return OK;
}

static status take_thread(struct backend_context *context, const struct sizes *sizes,
                          struct thread_scratch *scratch) {
    struct memory *memory = context->memory;
    const char *purpose = "a thread's scratch";
    for (int f = 0; f < ACTIVATION_FORMATS; f++)
        TRY(MEMORY_TAKE(memory, PRIVATE_ROWS * sizes->prepared_row[f], purpose,
                        &scratch->prepared[f]));
    TRY(MEMORY_TAKE(memory, sizes->row, purpose, &scratch->row));
    TRY(MEMORY_TAKE(memory, sizes->row, purpose, &scratch->sum));
    TRY(MEMORY_TAKE(memory, sizes->outputs, purpose, &scratch->outputs));
    TRY(MEMORY_TAKE(memory, sizes->attention, purpose, &scratch->attention));
    TRY(MEMORY_TAKE(memory, sizes->part, purpose, &scratch->part));
    return MEMORY_TAKE(memory, sizes->part, purpose, &scratch->total);
}

static status take_pools(struct backend_context *context) {
    const struct kv_layout *kv = &context->program->kv;
    TRY(MEMORY_TAKE_ARRAY(context->memory, (size_t)kv->n_groups, "the table of KV pools",
                          &context->pools));
    for (int g = 0; g < kv->n_groups; g++)
        TRY(MEMORY_TAKE(context->memory,
                        times((size_t)context->limits.n_pages[g], kv->groups[g].page_bytes),
                        "the KV cache", &context->pools[g]));
    return OK;
}

static status take_routes(struct backend_context *context, size_t slots) {
    struct memory *memory = context->memory;
    struct routes *routes = &context->routes;
    TRY(MEMORY_TAKE(memory, times(slots, sizeof(int32_t)), "chosen experts", &routes->expert));
    TRY(MEMORY_TAKE(memory, times(slots, sizeof(float)), "chosen experts", &routes->weight));
    TRY(MEMORY_TAKE(memory, times(slots, sizeof(int32_t)), "chosen experts", &routes->place));
    TRY(MEMORY_TAKE(memory, times(slots, sizeof(int32_t)), "chosen experts", &routes->slot));
    return MEMORY_TAKE_ARRAY(memory, (size_t)context->program->max_experts + 1, "chosen experts",
                             &routes->first);
}

static status take_buffers(struct backend_context *context, const struct sizes *sizes) {
    struct memory *memory = context->memory;
    const struct spec *spec = context->program->spec;
    size_t rows = (size_t)context->limits.max_rows;
    TRY(MEMORY_TAKE(memory, sizes->buffers, "activations", &context->buffers));
    TRY(MEMORY_TAKE(memory, sizes->hidden, "hidden states", &context->hidden));
    TRY(MEMORY_TAKE(memory, sizes->logits, "logits", &context->logits));
    TRY(MEMORY_TAKE(memory, times(SHARED_PARTS, sizes->shared_part), "parts of attention",
                    &context->shared_parts));
    TRY(MEMORY_TAKE_ARRAY(memory, rows, "positions", &context->position));
    TRY(MEMORY_TAKE_ARRAY(memory, rows, "positions", &context->sequence));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)spec->n_ropes, "rope tables", &context->rope_tables));
    for (int i = 0; i < spec->n_ropes; i++)
        TRY(MEMORY_TAKE(memory, times(rows * sizeof(float), (size_t)spec->ropes[i].n_dims),
                        "rope tables", &context->rope_tables[i]));
    for (int f = 0; f < ACTIVATION_FORMATS; f++)
        TRY(MEMORY_TAKE(memory, sizes->prepared[f], "activations", &context->prepared[f]));
    TRY(take_routes(context, sizes->slots));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)context->n_threads, "threads' scratch",
                          &context->threads));
    for (int i = 0; i < context->n_threads; i++)
        TRY(take_thread(context, sizes, &context->threads[i]));
    return OK;
}

static status take_relative(struct backend_context *context) {
    const struct spec *spec = context->program->spec;
    if (!spec->n_relative_biases) return OK;
    TRY(MEMORY_TAKE_ARRAY(context->memory, (size_t)spec->n_relative_biases, "biases by distance",
                          &context->relative));
    for (int i = 0; i < spec->n_relative_biases; i++) {
        const struct relative_bias_spec *bias = &spec->relative_biases[i];
        TRY(MEMORY_TAKE(context->memory, relative_bytes(bias), "biases by distance",
                        &context->relative[i]));
        attend_relative_fill(bias, weights_vector(context->model, &bias->table),
                             context->relative[i]);
    }
    return OK;
}

static void cpu_context_destroy(struct backend_context *context) {
    if (!context) return;
    struct memory *memory = context->memory;
    team_destroy(context->team);
    for (int g = 0; context->pools && g < context->program->kv.n_groups; g++)
        memory_give(memory, context->pools[g]);
    for (int i = 0; context->rope_tables && i < context->program->spec->n_ropes; i++)
        memory_give(memory, context->rope_tables[i]);
    for (int i = 0; context->threads && i < context->n_threads; i++) {
        struct thread_scratch *scratch = &context->threads[i];
        for (int f = 0; f < ACTIVATION_FORMATS; f++) memory_give(memory, scratch->prepared[f]);
        memory_give(memory, scratch->row);
        memory_give(memory, scratch->sum);
        memory_give(memory, scratch->outputs);
        memory_give(memory, scratch->attention);
        memory_give(memory, scratch->part);
        memory_give(memory, scratch->total);
    }
    for (int f = 0; f < ACTIVATION_FORMATS; f++) memory_give(memory, context->prepared[f]);
    for (int i = 0; context->relative && i < context->program->spec->n_relative_biases; i++)
        memory_give(memory, context->relative[i]);
    memory_give(memory, context->relative);
    memory_give(memory, context->routes.expert);
    memory_give(memory, context->routes.weight);
    memory_give(memory, context->routes.place);
    memory_give(memory, context->routes.slot);
    memory_give(memory, context->routes.first);
    memory_give(memory, context->pools);
    memory_give(memory, context->buffers);
    memory_give(memory, context->rope_tables);
    memory_give(memory, context->position);
    memory_give(memory, context->sequence);
    memory_give(memory, context->hidden);
    memory_give(memory, context->shared_parts);
    memory_give(memory, context->logits);
    memory_give(memory, context->adapted);
    memory_give(memory, context->threads);
    memory_give(memory, context);
}

static status fill(struct backend_context *context) {
    const struct backend_limits *limits = &context->limits;
    struct sizes sizes;
    struct team_options options = {.n_threads = limits->n_threads, .executor = limits->executor};
    TRY(team_create(context->memory, &options, &context->team));
    context->n_threads = team_size(context->team);
    context->kv_type = limits->kv_type == TRANSFORMER_KV_F32    ? KV_F32
                       : limits->kv_type == TRANSFORMER_KV_BF16 ? KV_BF16
                       : limits->kv_type == TRANSFORMER_KV_Q8_0 ? KV_Q8_0
                                                                : KV_F16;
    measure(&context->model->kernels, context->program, limits, &sizes);
    context->hidden_stride = sizes.hidden_stride;
    context->logits_stride = sizes.logits_stride;
    context->shared_part_floats = sizes.shared_part / sizeof(float);
    memcpy(context->prepared_bytes, sizes.prepared_row, sizeof context->prepared_bytes);
    TRY(take_pools(context));
    TRY(take_relative(context));
    return take_buffers(context, &sizes);
}

static status cpu_context_create(struct memory *memory, const struct backend_model *model,
                                 const struct program *program, const struct backend_limits *limits,
                                 struct backend_context **context) {
    struct backend_context *fresh;
    TRY(MEMORY_TAKE_ONE(memory, "the context's buffers", &fresh));
    fresh->memory = memory;
    fresh->model = model;
    fresh->program = program;
    fresh->limits = *limits;
    status result = fill(fresh);
    if (result != OK) {
        cpu_context_destroy(fresh);
        return result;
    }
    *context = fresh;
    return OK;
}

/* The rows of a step, and of the head as many as are kept. */
static status cpu_reserve_adapters(struct backend_context *context,
                                   const struct backend_adapter *adapter) {
    int64_t max_rank = adapter->max_rank;
    int64_t rows = context->limits.max_rows > context->limits.max_logit_rows
                       ? context->limits.max_rows
                       : context->limits.max_logit_rows;
    float *room;
    if (max_rank <= context->adapter_rank) return OK;
    TRY(MEMORY_TAKE_ARRAY(context->memory, (size_t)(rows * OP_MAX_WEIGHTS * max_rank),
                          "adapted activations", &room));
    memory_give(context->memory, context->adapted);
    context->adapted = room;
    context->adapter_rank = max_rank;
    return OK;
}

static int cpu_n_threads(const struct backend_context *context) {
    return context->n_threads;
}

static status cpu_copy_page(struct backend_context *context, int group, int32_t from, int32_t to) {
    size_t bytes = context->program->kv.groups[group].page_bytes;
    uint8_t *pool = context->pools[group];
    memcpy(pool + (size_t)to * bytes, pool + (size_t)from * bytes, bytes);
    return OK;
}

static uint8_t *page_of(const struct backend_context *context, int group, int32_t page) {
    size_t bytes = context->program->kv.groups[group].page_bytes;
    return (uint8_t *)context->pools[group] + (size_t)page * bytes;
}

static status cpu_read_page(struct backend_context *context, int group, int32_t page, int64_t n,
                            void *room, void *to) {
    (void)room;
    kv_form_pack(&context->program->kv, group, page_of(context, group, page), (size_t)n, to);
    return OK;
}

static status cpu_write_page(struct backend_context *context, int group, int32_t page, int64_t n,
                             const void *from, void *room) {
    (void)room;
    kv_form_unpack(&context->program->kv, group, from, (size_t)n, page_of(context, group, page));
    return OK;
}

static status cpu_run(struct backend_context *context, const struct step *step) {
    context->step_adapts = false;
    for (int64_t s = 0; s < step->n_sequences; s++) {
        const struct step_sequence *sequence = &step->sequences[s];
        if (sequence->adapter) context->step_adapts = true;
        for (int64_t i = 0; i < sequence->n_rows; i++) {
            context->position[sequence->first_row + i] = sequence->position + i;
            context->sequence[sequence->first_row + i] = (int32_t)s;
        }
    }
    context->step = step;
    context->stopped = false;
    status result = team_run(context->team, execution_run, context);
    context->step = NULL;
    if (result != OK) return result;
    return context->stopped ? fail(CANCELLED, "the decode was cancelled") : OK;
}

static status cpu_logits(struct backend_context *context, int64_t row, const float **view) {
    *view = context->logits + (size_t)row * context->logits_stride;
    return OK;
}

static status cpu_hidden(struct backend_context *context, int64_t row, const float **view) {
    *view = context->hidden + (size_t)row * context->hidden_stride;
    return OK;
}

static status view_of(const struct backend_context *context, reg index, int64_t row,
                      const float **view) {
    *view = execution_reg(context, index) + row * context->program->regs[index].width;
    return OK;
}

static status cpu_pooled(struct backend_context *context, int64_t i, const float **view) {
    return view_of(context, context->program->pooled, i, view);
}

static status cpu_score(struct backend_context *context, int64_t i, const float **view) {
    return view_of(context, context->program->score, i, view);
}

const struct backend cpu_backend = {
    .name = "cpu",
    .n_devices = processor_count_devices,
    .device_info = processor_info,
    .describe = processor_describe,
    .model_bytes = weights_bytes,
    .model_create = weights_load,
    .model_destroy = weights_free,
    .model_vector = weights_vector,
    .kv_format = cpu_kv_format,
    .context_bytes = cpu_context_bytes,
    .context_create = cpu_context_create,
    .context_destroy = cpu_context_destroy,
    .n_threads = cpu_n_threads,
    .reserve_adapters = cpu_reserve_adapters,
    .copy_page = cpu_copy_page,
    .read_page = cpu_read_page,
    .write_page = cpu_write_page,
    .run = cpu_run,
    .logits = cpu_logits,
    .hidden = cpu_hidden,
    .pooled = cpu_pooled,
    .score = cpu_score,
};
