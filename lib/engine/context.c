#include "engine/context.h"

#include <string.h>

#include "base/checked.h"
#include "engine/sequence.h"

enum {
    DEFAULT_SEQUENCES = 8,
    DEFAULT_STEP_TOKENS = 512,
    DEFAULT_CONTEXT = 4096,
    MAX_THREADS = 1024
};
/* So that every product of two limits fits. */
#define MAX_LIMIT (INT64_C(1) << 30)
/* Positions up to which kernels promise exact angles (cpu/kernels.h, rope_table). */
#define MAX_POSITIONS (INT64_C(1) << 22)

static status read_limit(const char *name, int64_t given, int64_t fallback, int64_t most,
                         int64_t *limit) {
    if (given < 0) return fail(INVALID_ARGUMENT, "%s is negative", name);
    *limit = given ? given : fallback;
    if (*limit <= most) return OK;
    return fail(LIMIT, "%s is %" PRId64 ", at most %" PRId64 " is possible", name, *limit, most);
}

/* The model's own pooling, or the host's. */
static status read_pooling(const struct spec *spec, const transformer_context_options *options,
                           struct pooling_spec *pooling) {
    static const enum pooling_kind kinds[] = {[TRANSFORMER_POOLING_NONE] = POOLING_NONE,
                                              [TRANSFORMER_POOLING_MEAN] = POOLING_MEAN,
                                              [TRANSFORMER_POOLING_FIRST] = POOLING_FIRST,
                                              [TRANSFORMER_POOLING_LAST] = POOLING_LAST};
    if (options->pooling > TRANSFORMER_POOLING_LAST)
        return fail(UNSUPPORTED, "pooling %" PRIu32 " is not known", options->pooling);
    *pooling = spec->pooling;
    if (options->pooling) pooling->kind = kinds[options->pooling];
    if (options->pooling_normalize)
        pooling->normalize = options->pooling_normalize == TRANSFORMER_ON;
    if (!spec->score.n_labels || (pooling->kind == spec->pooling.kind && !pooling->normalize))
        return OK;
    return fail(UNSUPPORTED, "another pooling than that of a model with a score head");
}

/* Of the pages that the fullest step takes where no sequence keeps its pages longer: each may have
 * a last one that is not full. */
static int64_t whole_step_positions(const struct context_limits *limits) {
    int64_t rows = limits->max_step_tokens, n = limits->max_sequences;
    return rows + (n < rows ? n : rows) * (KV_PAGE_TOKENS - 1);
}

/* A source is encoded in one step. */
static status read_source_limit(const struct spec *spec, const transformer_context_options *options,
                                struct context_limits *limits) {
    int64_t most = spec->source.context_length, step = limits->max_step_tokens;
    limits->max_source_tokens = 0;
    if (!spec->source.n_layers) return OK;
    TRY(read_limit("max_source_tokens", options->max_source_tokens, most < step ? most : step, most,
                   &limits->max_source_tokens));
    if (limits->max_source_tokens <= step) return OK;
    return fail(LIMIT,
                "max_source_tokens is %" PRId64 ", but one step takes a source whole and has "
                "max_step_tokens %" PRId64,
                limits->max_source_tokens, step);
}

/* Room for an entry for every page; and for the sources that those may depend on. */
static status read_serving(const transformer_context_options *options, bool whole,
                           struct context_limits *limits) {
    int64_t of_sources = (limits->max_source_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    limits->preemption = options->preemption == TRANSFORMER_ON;
    limits->prefix_entries = 0;
    if (options->prefix_cache == TRANSFORMER_OFF || whole) return OK;
    limits->prefix_entries = limits->kv_pages + 2 * limits->max_sequences * of_sources;
    if (limits->prefix_entries <= MAX_LIMIT) return OK;
    return fail(LIMIT,
                "max_sequences %" PRId64 " and max_source_tokens %" PRId64
                " are more than the prefix index can have, prefix_cache OFF does without",
                limits->max_sequences, limits->max_source_tokens);
}

status context_limits_read(const transformer_model *model,
                           const transformer_context_options *options,
                           struct context_limits *limits) {
    const struct spec *spec = model->spec;
    int64_t most = spec->context_length < MAX_POSITIONS ? spec->context_length : MAX_POSITIONS;
    TRY(read_pooling(spec, options, &limits->pooling));
    bool whole = program_is_whole(spec, &limits->pooling);
    int64_t tokens = 0, step_tokens = DEFAULT_STEP_TOKENS;
    TRY(read_limit("max_sequence_tokens", options->max_sequence_tokens,
                   most < DEFAULT_CONTEXT ? most : DEFAULT_CONTEXT, most,
                   &limits->max_sequence_tokens));
    TRY(read_limit("max_sequences", options->max_sequences, DEFAULT_SEQUENCES, 1 << 20,
                   &limits->max_sequences));
    if (whole && limits->max_sequence_tokens > step_tokens &&
        limits->max_sequence_tokens <= 1 << 20)
        step_tokens = limits->max_sequence_tokens;
    TRY(read_limit("max_step_tokens", options->max_step_tokens, step_tokens, 1 << 20,
                   &limits->max_step_tokens));
    TRY(read_limit("kv_tokens", options->kv_tokens,
                   whole ? whole_step_positions(limits) : limits->max_sequence_tokens, MAX_LIMIT,
                   &tokens));
    limits->kv_pages = (tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    TRY(read_source_limit(spec, options, limits));
    TRY(read_limit("max_logit_rows", options->max_logit_rows, limits->max_sequences, 1 << 20,
                   &limits->max_logit_rows));
    if (limits->max_logit_rows > limits->max_step_tokens)
        limits->max_logit_rows = limits->max_step_tokens; /* a step can't keep more than it runs */
    if (options->kv_type > TRANSFORMER_KV_Q8_0)
        return fail(UNSUPPORTED, "kv_type %" PRIu32 " is not known", options->kv_type);
    limits->kv_type = options->kv_type ? options->kv_type : TRANSFORMER_KV_F16;
    if (options->n_threads < 0) return fail(INVALID_ARGUMENT, "n_threads is negative");
    if (options->n_threads > MAX_THREADS)
        return fail(LIMIT, "n_threads is %" PRId32 ", at most %d are possible", options->n_threads,
                    MAX_THREADS);
    limits->n_threads = options->n_threads;
    limits->executor = options->executor;
    if (options->executor && (!options->executor->run || options->executor->n_concurrent < 1))
        return fail(INVALID_ARGUMENT, "executor: run is NULL or n_concurrent below 1");
    if (options->executor && options->executor->reserved)
        return fail(UNSUPPORTED, "executor: the reserved member is set");
    TRY(read_serving(options, whole, limits));
    return OK;
}

/* Pages that a group needs at most: a window's dead pages are given back. */
static int64_t pages_of_group(const struct kv_group *group, const struct context_limits *limits) {
    int64_t source = (limits->max_source_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    if (group->kind == KV_PASSING) return whole_step_positions(limits) / KV_PAGE_TOKENS;
    if (group->kind == KV_FIXED && source > limits->kv_pages) return source;
    if (!group->window) return limits->kv_pages;
    int64_t each = group->window / KV_PAGE_TOKENS + 3;
    int64_t step = limits->max_step_tokens / KV_PAGE_TOKENS + 1;
    int64_t most = limits->max_sequences * each + step;
    return most < limits->kv_pages ? most : limits->kv_pages;
}

static struct backend_limits backend_limits_of(const struct context_limits *limits,
                                               const int64_t *n_pages) {
    return (struct backend_limits){.max_rows = limits->max_step_tokens,
                                   .max_sequences = limits->max_sequences,
                                   .max_logit_rows = limits->max_logit_rows,
                                   .max_sequence_tokens = limits->max_sequence_tokens,
                                   .max_source_tokens = limits->max_source_tokens,
                                   .n_pages = n_pages,
                                   .kv_type = limits->kv_type,
                                   .n_threads = limits->n_threads,
                                   .executor = limits->executor};
}

static status build_program(struct memory *memory, const transformer_model *model,
                            const struct context_limits *limits, struct program **program,
                            int64_t **n_pages) {
    struct kv_format format;
    TRY(model->backend->kv_format(limits->kv_type, &format));
    TRY(program_build(memory, model->spec, model->rope_factors, limits->max_sequence_tokens,
                      &format, &limits->pooling, program));
    const struct kv_layout *kv = &(*program)->kv;
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)kv->n_groups, "KV page counts", n_pages));
    for (int g = 0; g < kv->n_groups; g++) (*n_pages)[g] = pages_of_group(&kv->groups[g], limits);
    return OK;
}

static status take_step_buffers(transformer_context *context) {
    const struct context_limits *limits = &context->limits;
    struct memory *memory = &context->memory;
    size_t sequences = (size_t)limits->max_sequences, logits = (size_t)limits->max_logit_rows;
    const char *purpose = "a step's plan";
    TRY(MEMORY_TAKE_ARRAY(memory, sequences, "sequences", &context->sequences));
    TRY(MEMORY_TAKE_ARRAY(memory, sequences, "sequences", &context->order));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)limits->max_step_tokens, purpose, &context->tokens));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)limits->max_step_tokens, purpose, &context->token_types));
    TRY(MEMORY_TAKE_ARRAY(memory, sequences, purpose, &context->planned));
    TRY(MEMORY_TAKE_ARRAY(memory, sequences, purpose, &context->planned_sequences));
    /* Page tables of the step's sequences by group, as the backend reads them. */
    size_t n_groups = (size_t)context->program->kv.n_groups;
    const int32_t **tables;
    TRY(MEMORY_TAKE_ARRAY(memory, sequences * n_groups, purpose, &tables));
    for (size_t i = 0; i < sequences; i++) context->planned[i].pages = tables + i * n_groups;
    if (limits->max_source_tokens) {
        TRY(MEMORY_TAKE_ARRAY(memory, sequences, purpose, &context->planned_sources));
        TRY(MEMORY_TAKE_ARRAY(memory, sequences, purpose, &context->sources));
        TRY(MEMORY_TAKE_ARRAY(memory, sequences * n_groups, purpose, &tables));
        for (size_t i = 0; i < sequences; i++)
            context->planned_sources[i].pages = tables + i * n_groups;
    }
    TRY(MEMORY_TAKE_ARRAY(memory, logits, purpose, &context->samples));
    TRY(MEMORY_TAKE_ARRAY(memory, sequences, purpose, &context->pooled));
    TRY(MEMORY_TAKE_ARRAY(memory, logits, purpose, &context->logit_rows));
    return MEMORY_TAKE_ARRAY(memory, logits, purpose, &context->logit_positions);
}

static int64_t most_pages(const struct program *program, const int64_t *n_pages) {
    int64_t most = 1;
    for (int g = 0; g < program->kv.n_groups; g++)
        if (n_pages[g] > most) most = n_pages[g];
    return most;
}

/* The prefix index, and what preemption counts with. */
static status take_serving(transformer_context *context) {
    const struct context_limits *limits = &context->limits;
    const struct kv_layout *kv = &context->program->kv;
    struct memory *memory = &context->memory;
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)kv->n_groups, "KV pools", &context->n_needed));
    if (limits->preemption) {
        size_t most = (size_t)most_pages(context->program, context->n_pages);
        TRY(MEMORY_TAKE_ARRAY(memory, most, "KV page counts", &context->page_marks));
    }
    if (!limits->prefix_entries) return OK;
    TRY(prefix_index_init(memory, kv, context->cache.pools, limits->prefix_entries,
                          &context->index));
    context->cache.index = &context->index;
    return OK;
}

static uint64_t serving_bytes(const struct context_limits *limits, const struct program *program,
                              const int64_t *n_pages) {
    uint64_t bytes = memory_cost((size_t)program->kv.n_groups * sizeof(int64_t));
    if (limits->preemption)
        bytes += memory_cost((size_t)most_pages(program, n_pages) * sizeof(int32_t));
    if (limits->prefix_entries)
        bytes += prefix_index_bytes(limits->prefix_entries, program->kv.n_groups);
    return bytes;
}

static status copy_page(void *user, int group, int32_t from, int32_t to) {
    transformer_context *context = user;
    return context->model->backend->copy_page(context->backend, group, from, to);
}

static status fill(transformer_context *context) {
    const transformer_model *model = context->model;
    TRY(build_program(&context->memory, model, &context->limits, &context->program,
                      &context->n_pages));
    const struct kv_layout *kv = &context->program->kv;
    context->cache = (struct kv_cache){.layout = kv, .copy = copy_page, .copy_user = context};
    TRY(MEMORY_TAKE_ARRAY(&context->memory, (size_t)kv->n_groups, "KV pools",
                          &context->cache.pools));
    for (int g = 0; g < kv->n_groups; g++)
        TRY(page_pool_init(&context->memory, context->n_pages[g], &context->cache.pools[g]));
    TRY(take_serving(context));
    TRY(take_step_buffers(context));
    struct backend_limits limits = backend_limits_of(&context->limits, context->n_pages);
    return model->backend->context_create(&context->memory, model->weights, context->program,
                                          &limits, &context->backend);
}

/* Everything but the struct, which sequences may still point to. */
static void tear_down(transformer_context *context) {
    struct memory *memory = &context->memory;
    context->model->backend->context_destroy(context->backend);
    for (int g = 0; context->cache.pools && g < context->program->kv.n_groups; g++)
        page_pool_free(memory, &context->cache.pools[g]);
    memory_give(memory, context->cache.pools);
    memory_give(memory, context->n_pages);
    if (context->planned) memory_give(memory, (void *)(uintptr_t)context->planned[0].pages);
    memory_give(memory, context->planned);
    if (context->planned_sources)
        memory_give(memory, (void *)(uintptr_t)context->planned_sources[0].pages);
    memory_give(memory, context->planned_sources);
    memory_give(memory, context->sources);
    memory_give(memory, context->planned_sequences);
    memory_give(memory, context->samples);
    memory_give(memory, context->pooled);
    prefix_index_free(memory, &context->index);
    memory_give(memory, context->page_marks);
    memory_give(memory, context->n_needed);
    memory_give(memory, context->sequences);
    memory_give(memory, context->order);
    memory_give(memory, context->tokens);
    memory_give(memory, context->token_types);
    memory_give(memory, context->logit_rows);
    memory_give(memory, context->logit_positions);
    memory_give(memory, context->masked);
    program_free(context->program);
    context->destroyed = true;
}

static void free_struct(transformer_context *context) {
    struct memory memory = context->memory;
    model_release(context->model);
    memory_give(&memory, context);
}

status context_create(transformer_model *model, const transformer_context_options *options,
                      transformer_context **created) {
    struct context_limits limits;
    struct memory memory;
    transformer_context *fresh;
    TRY(context_limits_read(model, options, &limits));
    memory_init(&memory, options->allocator ? options->allocator : &model->memory.host);
    TRY(MEMORY_TAKE_ONE(&memory, "a context", &fresh));
    fresh->memory = memory;
    fresh->model = model;
    fresh->limits = limits;
    fresh->log = (struct log){options->log, options->log_user};
    if (limits.executor) {
        fresh->executor = *limits.executor;
        fresh->limits.executor = &fresh->executor;
    }
    fresh->steps = 1; /* so that a new sequence's 0 is no step */
    atomic_init(&fresh->owners, 1);
    atomic_flag_clear(&fresh->busy);
    model_retain(model);
    status result = fill(fresh);
    if (result != OK) {
        tear_down(fresh);
        free_struct(fresh);
        return result;
    }
    log_line(&fresh->log, TRANSFORMER_LOG_INFO,
             "context: %d threads, %" PRIu64 " bytes, sequences of up to %" PRId64 " tokens",
             model->backend->n_threads(fresh->backend), atomic_load(&fresh->memory.bytes),
             limits.max_sequence_tokens);
    *created = fresh;
    return OK;
}

status context_measure(const transformer_model *model, const transformer_context_options *options,
                       transformer_memory_estimate *estimate) {
    struct context_limits limits;
    struct memory memory;
    struct program *program = NULL;
    int64_t *n_pages = NULL;
    struct backend_bytes backend;
    status result;
    memory_init(&memory, options->allocator ? options->allocator : &model->memory.host);
    TRY(context_limits_read(model, options, &limits));
    TRY_OR_EXIT(build_program(&memory, model, &limits, &program, &n_pages));
    struct backend_limits backend_limits = backend_limits_of(&limits, n_pages);
    TRY_OR_EXIT(model->backend->context_bytes(program, &model->choice, &backend_limits, &backend));
    size_t sequences = (size_t)limits.max_sequences, logits = (size_t)limits.max_logit_rows;
    size_t n_groups = (size_t)program->kv.n_groups;
    /* Next to the backend's part this is bounded by MAX_LIMIT. */
    uint64_t bytes = memory_cost(sizeof(transformer_context)) + atomic_load(&memory.bytes) +
                     memory_cost(n_groups * sizeof(struct page_pool)) +
                     3 * memory_cost(sequences * sizeof(void *)) +
                     memory_cost((size_t)limits.max_step_tokens * sizeof(int32_t)) +
                     memory_cost((size_t)limits.max_step_tokens) +
                     memory_cost(sequences * sizeof(struct step_sequence)) +
                     memory_cost(logits * sizeof(struct step_sample)) +
                     memory_cost(sequences * n_groups * sizeof(void *)) +
                     memory_cost(sequences * sizeof(int32_t)) +
                     memory_cost(logits * sizeof(int32_t)) + memory_cost(logits * sizeof(int64_t));
    if (limits.max_source_tokens)
        bytes += memory_cost(sequences * sizeof(struct step_sequence)) +
                 memory_cost(sequences * sizeof(void *)) +
                 memory_cost(sequences * n_groups * sizeof(void *));
    for (size_t g = 0; g < n_groups; g++) bytes += page_pool_bytes(n_pages[g]);
    bytes += serving_bytes(&limits, program, n_pages);
    bytes = add_saturating(bytes, backend.host);
    uint64_t on_device = add_saturating(estimate->device_bytes, backend.device);
    if (bytes == UINT64_MAX || on_device == UINT64_MAX) /* what context_create would say too */
        TRY_OR_EXIT(
            fail(OUT_OF_MEMORY, "no memory for a context of more bytes than can be counted"));
    estimate->context_host_bytes = bytes;
    estimate->context_kv_bytes = backend.kv;
    estimate->device_bytes = on_device;
    estimate->sequence_host_bytes = sequence_bytes(&limits, program->kv.n_groups);
    if (limits.max_source_tokens)
        estimate->source_host_bytes = source_bytes(limits.max_source_tokens, program->kv.n_groups);
exit:
    memory_give(&memory, n_pages);
    program_free(program);
    return result;
}

/* ---- who is inside ---- */

void context_retain(transformer_context *context) {
    atomic_fetch_add_explicit(&context->owners, 1, memory_order_relaxed);
}

void context_release(transformer_context *context) {
    if (atomic_fetch_sub_explicit(&context->owners, 1, memory_order_acq_rel) == 1)
        free_struct(context);
}

static bool try_enter(transformer_context *context) {
    return !atomic_flag_test_and_set(&context->busy);
}

/* Inside: does what was asked for meanwhile. */
static void clear_away(transformer_context *context) {
    transformer_sequence *doomed = atomic_exchange(&context->doomed, NULL);
    while (doomed) {
        transformer_sequence *next = doomed->next_doomed;
        sequence_free(doomed);
        doomed = next;
    }
    if (atomic_load(&context->destroy_wanted) && !context->destroyed) tear_down(context);
}

/* Lets go of the context; what was asked for after clear_away looked is not left lying. The caller
 * has a claim. */
static void leave(transformer_context *context) {
    for (;;) {
        clear_away(context);
        bool waiting = atomic_load(&context->doomed) != NULL;
        if (!waiting) {
            bool destroyed = context->destroyed;
            atomic_flag_clear(&context->busy);
            bool wanted = atomic_load(&context->doomed) ||
                          (atomic_load(&context->destroy_wanted) && !destroyed);
            if (!wanted || !try_enter(context)) return;
        }
    }
}

status context_enter(transformer_context *context) {
    context_retain(context); /* first: a destroy may come as soon as somebody is inside */
    if (!try_enter(context)) {
        context_release(context);
        return fail(BUSY, "another call is running on this context");
    }
    if (context->destroyed || atomic_load(&context->destroy_wanted)) {
        context_leave(context);
        return fail(STATE, "the context was destroyed");
    }
    return OK;
}

void context_leave(transformer_context *context) {
    leave(context);
    context_release(context);
}

/* After a wish was recorded: does it now unless somebody is inside, who will. */
static void settle(transformer_context *context) {
    if (try_enter(context)) leave(context);
}

void context_doom(transformer_context *context, transformer_sequence *sequence) {
    context_retain(context);
    sequence->next_doomed = atomic_load(&context->doomed);
    while (!atomic_compare_exchange_weak(&context->doomed, &sequence->next_doomed, sequence)) {
    }
    settle(context);
    context_release(context);
}

void context_destroy(transformer_context *context) {
    if (!context) return;
    atomic_store(&context->destroy_wanted, true);
    settle(context);
    context_release(context); /* the handle's own claim */
}

void context_cancel(transformer_context *context) {
    atomic_store_explicit(&context->cancel, 1, memory_order_relaxed);
}

void context_statistics(const transformer_context *context,
                        transformer_context_statistics *statistics) {
    transformer_context_statistics s = {
        .host_bytes = atomic_load(&context->memory.bytes),
        .kv_page_tokens = KV_PAGE_TOKENS,
        .n_sequences = context->n_sequences,
        .steps = context->steps_done,
        .rows = context->rows,
        .n_threads = context->model->backend->n_threads(context->backend),
        .max_sequence_tokens = context->limits.max_sequence_tokens,
        .max_step_tokens = context->limits.max_step_tokens,
        .max_logit_rows = context->limits.max_logit_rows,
        .max_source_tokens = context->limits.max_source_tokens,
        .prefix_lookups = context->prefix_lookups,
        .prefix_hit_tokens = context->prefix_hit_tokens,
        .prefix_evicted_pages = context->index.n_evicted,
        .n_preempted = context->n_preempted,
        .step_nanoseconds = context->times.sum,
        .step_nanoseconds_median = step_times_percentile(&context->times, 50),
        .step_nanoseconds_p99 = step_times_percentile(&context->times, 99),
        .n_proposed = context->n_proposed,
        .n_accepted = context->n_accepted,
    };
    for (int g = 0; g < context->program->kv.n_groups; g++) {
        const struct page_pool *pool = &context->cache.pools[g];
        s.kv_pages += pool->n_pages;
        s.kv_pages_free += pool->n_free + pool->n_cached;
        s.kv_pages_cached += pool->n_cached;
        s.kv_bytes += (uint64_t)pool->n_pages * context->program->kv.groups[g].page_bytes;
    }
    for (int64_t i = 0; i < context->limits.max_sequences; i++) {
        const transformer_sequence *sequence = context->sequences[i];
        if (sequence) s.pending_tokens += sequence->n_tokens - sequence->n_computed;
    }
    *statistics = s;
}
