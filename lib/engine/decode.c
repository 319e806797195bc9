#include "engine/decode.h"

#include <sched.h>
#include <string.h>

struct plan {
    int64_t n_rows, max_rows, n_sequences, n_logit_rows, max_logit_rows, n_samples, n_pooled;
    int64_t n_sources, n_source_rows;
    int64_t n_without_source; /* sequences that lack the one they need */
    int64_t n_unencoded;      /* those whose source found no room in this step */
    bool no_sources;          /* tokens have waited for sources and come first now */
};

/* A sampler of the sequence's own needs the last position, also when what asked for logits was
 * truncated away or came before a fork. */
static bool keeps_logits(const transformer_sequence *sequence, int64_t position) {
    return sequence->keep[position] || (sequence->sampler && position == sequence->n_tokens - 1);
}

/* The first rows of a sequence's pending tokens whose kept logits fit what is left for this step.
 */
static int64_t fit_logit_rows(const transformer_sequence *sequence, int64_t n_rows, int64_t left) {
    for (int64_t i = 0; i < n_rows; i++)
        if (keeps_logits(sequence, sequence->n_computed + i) && left-- == 0) return i;
    return n_rows;
}

/* Whether the sequence's own sampler is to choose a token once all that is pending is computed. */
static bool samples_after(const transformer_context *context,
                          const transformer_sequence *sequence) {
    return sequence->sampler && sequence->n_tokens < context->limits.max_sequence_tokens;
}

/* The sequence's last row, whose logits are the last ones kept so far: where the backend can, it
 * chooses the next token in the same step. */
static void add_sample(transformer_context *context, struct plan *plan,
                       const transformer_sequence *sequence) {
    struct sampling_filters filters;
    const transformer_model *model = context->model;
    if (model->spec->n_vocab > model->backend->max_sampled_vocab || sequence->constraint ||
        !sampling_has_filters_only(sequence->sampler->chain, &filters))
        return;
    context->samples[plan->n_samples++] =
        (struct step_sample){.logit_row = plan->n_logit_rows - 1,
                             .seed = filters.seed,
                             .stream = sequence->stream,
                             .position = (uint64_t)sequence->n_tokens,
                             .temperature = filters.temperature,
                             .top_k = filters.top_k,
                             .top_p = filters.top_p,
                             .min_p = filters.min_p};
}

static void add_rows(transformer_context *context, struct plan *plan,
                     transformer_sequence *sequence, int64_t n_rows) {
    struct step_sequence *planned = &context->planned[plan->n_sequences];
    const int32_t **pages = (const int32_t **)(uintptr_t)planned->pages;
    const struct kv_layout *kv = &context->program->kv;
    for (int g = 0; g < kv->n_groups; g++)
        pages[g] = kv->groups[g].kind == KV_GROWING ? sequence->tables[g].pages
                                                    : sequence->source->tables[g].pages;
    planned->n_source = sequence->source ? sequence->source->n_tokens : 0;
    planned->position = sequence->n_computed;
    planned->first_row = plan->n_rows;
    planned->n_rows = n_rows;
    planned->adapter = sequence->adapter ? &sequence->adapter->backend : NULL;
    planned->adapter_scale = sequence->adapter_scale;
    memcpy(context->tokens + plan->n_rows, sequence->tokens + sequence->n_computed,
           (size_t)n_rows * sizeof *context->tokens);
    memcpy(context->token_types + plan->n_rows, sequence->types + sequence->n_computed,
           (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) {
        if (!keeps_logits(sequence, sequence->n_computed + i)) continue;
        context->logit_rows[plan->n_logit_rows] = (int32_t)(plan->n_rows + i);
        context->logit_positions[plan->n_logit_rows++] = sequence->n_computed + i;
    }
    bool ends = sequence->n_computed + n_rows == sequence->n_tokens;
    if (ends && samples_after(context, sequence)) add_sample(context, plan, sequence);
    if (ends && context->program->pooled != REG_NONE)
        context->pooled[plan->n_pooled++] = (int32_t)plan->n_sequences;
    context->planned_sequences[plan->n_sequences++] = sequence;
    plan->n_rows += n_rows;
}

/* ---- sources ---- */

/* A source that is not computed goes into the step whole, if rows and pages have room. */
static void plan_source(transformer_context *context, struct plan *plan, struct source *source) {
    if (source->computed || source->planned) return;
    if (source->n_tokens > plan->max_rows - plan->n_rows) return;
    if (!page_table_take_fixed(&context->cache, source->tables, source->n_tokens)) return;
    struct step_sequence *planned = &context->planned_sources[plan->n_sources];
    const int32_t **pages = (const int32_t **)(uintptr_t)planned->pages;
    for (int g = 0; g < context->program->kv.n_groups; g++) pages[g] = source->tables[g].pages;
    planned->position = 0;
    planned->first_row = plan->n_source_rows;
    planned->n_rows = planned->n_source = source->n_tokens;
    source->planned = true;
    context->sources[plan->n_sources++] = source;
    plan->n_source_rows += source->n_tokens;
    plan->max_rows -= source->n_tokens; /* what is left for tokens */
}

/* Whether tokens could be computed without any source. */
static bool has_tokens(const transformer_context *context) {
    for (int64_t i = 0; i < context->limits.max_sequences; i++) {
        const transformer_sequence *sequence = context->sequences[i];
        if (sequence && sequence->source && sequence->source->computed &&
            sequence->n_computed < sequence->n_tokens)
            return true;
    }
    return false;
}

/* Of all sequences with something pending; who found no room first comes first the next time. After
 * a step of sources alone, tokens have one to themselves. */
static void plan_sources(transformer_context *context, struct plan *plan) {
    int64_t n = context->limits.max_sequences, first = context->next_source, left_out = -1;
    if (!context->limits.max_source_tokens) return;
    plan->no_sources = context->tokens_wait && has_tokens(context);
    if (plan->no_sources) return;
    for (int64_t i = 0; i < n; i++) {
        int64_t index = (first + i) % n;
        const transformer_sequence *sequence = context->sequences[index];
        if (!sequence || !sequence->source || sequence->n_computed == sequence->n_tokens) continue;
        plan_source(context, plan, sequence->source);
        if (left_out < 0 && !sequence->source->computed && !sequence->source->planned)
            left_out = index;
    }
    if (left_out >= 0) context->next_source = left_out;
}

/* Their tokens follow those of the step's sequences. */
static status run_sources(transformer_context *context, const struct plan *plan) {
    int32_t *tokens = context->tokens + plan->n_rows;
    for (int64_t i = 0; i < plan->n_sources; i++) {
        const struct source *source = context->sources[i];
        memcpy(tokens + context->planned_sources[i].first_row, source->tokens,
               (size_t)source->n_tokens * sizeof *tokens);
    }
    struct step step = {.source = true,
                        .n_rows = plan->n_source_rows,
                        .n_sequences = plan->n_sources,
                        .tokens = tokens,
                        .sequences = context->planned_sources,
                        .cancel = &context->cancel};
    return context->model->backend->run(context->backend, &step);
}

/* Of the plan: they are computed now, or pending again. */
static void end_sources(transformer_context *context, const struct plan *plan, bool computed) {
    for (int64_t i = 0; i < plan->n_sources; i++) {
        struct source *source = context->sources[i];
        page_table_give_fixed(&context->cache, source->tables, KV_PASSING);
        if (!computed) page_table_give_fixed(&context->cache, source->tables, KV_FIXED);
        source->computed = computed;
        source->planned = false;
    }
}

/* Whether the sequence's source is there by the time its tokens are computed. */
static bool has_source(const transformer_context *context, struct plan *plan,
                       const transformer_sequence *sequence, transformer_decode_result *result) {
    const struct source *source = sequence->source;
    if (!context->limits.max_source_tokens || (source && (source->computed || source->planned)))
        return true;
    if (!source)
        plan->n_without_source++;
    else if (plan->no_sources || source->n_tokens > plan->max_rows)
        plan->n_unencoded++;
    else
        result->n_refused++;
    return false;
}

/* ---- tokens ---- */

/* Rows of one sequence, if the step, the logits and the pages have room. */
static status plan_sequence(transformer_context *context, struct plan *plan,
                            transformer_sequence *sequence, transformer_decode_result *result) {
    if (!has_source(context, plan, sequence, result)) return OK;
    int64_t pending = sequence->n_tokens - sequence->n_computed;
    int64_t n = pending < plan->max_rows - plan->n_rows ? pending : plan->max_rows - plan->n_rows;
    n = fit_logit_rows(sequence, n, plan->max_logit_rows - plan->n_logit_rows);
    bool whole = context->program->whole;
    if (n == 0 || (whole && n < pending)) return OK;
    TRY(page_table_reserve(&context->cache, sequence->tables, sequence->n_computed, n, &n));
    if (whole && n < pending) {
        page_table_trim(&context->cache, sequence->tables, sequence->n_computed);
        n = 0;
    }
    if (n == 0)
        result->n_refused++;
    else
        add_rows(context, plan, sequence, n);
    return OK;
}

static int64_t pending_tokens(const transformer_sequence *sequence) {
    return sequence ? sequence->n_tokens - sequence->n_computed : 0;
}

/* Sequences that are computed whole take turns among themselves, however short. */
static bool is_prompt(const transformer_context *context, int64_t pending) {
    return pending > 1 || (pending == 1 && context->program->whole);
}

/* Sequences that wait for one token (or that have a prompt to go through), as far as there is room.
 * Who went first goes last the next time. */
static status plan_kind(transformer_context *context, struct plan *plan, bool prompts,
                        transformer_decode_result *result) {
    int64_t n = context->limits.max_sequences, next = context->next[prompts];
    int64_t n_before = plan->n_sequences;
    for (int64_t i = 0; i < n; i++) {
        transformer_sequence *sequence = context->sequences[(next + i) % n];
        int64_t pending = pending_tokens(sequence);
        if (pending > 0 && is_prompt(context, pending) == prompts)
            TRY(plan_sequence(context, plan, sequence, result));
    }
    if (plan->n_sequences > n_before)
        context->next[prompts] = context->planned_sequences[n_before]->index + 1;
    return OK;
}

/* What single tokens leave to prompts, so that these get on in the fullest step: one row, or every
 * other step. */
static int64_t kept_back(const transformer_context *context, int64_t most) {
    return most > 1 ? 1 : (int64_t)(context->steps_done & 1);
}

static status plan_tokens(transformer_context *context, struct plan *plan,
                          transformer_decode_result *result) {
    int64_t max_rows = plan->max_rows, max_logit_rows = plan->max_logit_rows;
    bool prompts = false;
    for (int64_t i = 0; i < context->limits.max_sequences; i++)
        prompts = prompts || is_prompt(context, pending_tokens(context->sequences[i]));
    if (prompts && max_rows > 0) {
        plan->max_rows -= kept_back(context, max_rows);
        plan->max_logit_rows -= kept_back(context, max_logit_rows);
    }
    bool all_kept_back = plan->max_rows == 0 || plan->max_logit_rows == 0;
    TRY(plan_kind(context, plan, false, result));
    plan->max_rows = max_rows;
    plan->max_logit_rows = max_logit_rows;
    TRY(plan_kind(context, plan, true, result));
    if (all_kept_back && plan->n_rows == 0) TRY(plan_kind(context, plan, false, result));
    return OK;
}

static status plan_step(transformer_context *context, struct plan *plan,
                        transformer_decode_result *result) {
    plan_sources(context, plan);
    return plan_tokens(context, plan, result);
}

static void undo_pages(transformer_context *context, const struct plan *plan) {
    for (int64_t i = 0; i < plan->n_sequences; i++) {
        transformer_sequence *sequence = context->planned_sequences[i];
        page_table_trim(&context->cache, sequence->tables, sequence->n_computed);
    }
}

/* The step's tokens are pending again. Returns why. */
static status give_up(transformer_context *context, const struct plan *plan,
                      transformer_decode_result *result, status why) {
    atomic_store(&context->cancel, 0);
    undo_pages(context, plan);
    end_sources(context, plan, false);
    *result = (transformer_decode_result){.struct_size = result->struct_size};
    return why;
}

/* What the step computed belongs to the sequences now. */
static void take_over(transformer_context *context, const struct plan *plan,
                      transformer_decode_result *result) {
    int64_t logit_row = 0, pooled = 0;
    for (int64_t i = 0; i < plan->n_sequences; i++) {
        transformer_sequence *sequence = context->planned_sequences[i];
        const struct step_sequence *planned = &context->planned[i];
        sequence->n_computed += planned->n_rows;
        if (context->program->whole) /* no later step reads their keys and values */
            page_table_trim(&context->cache, sequence->tables, 0);
        else
            page_table_slide(&context->cache, sequence->tables, sequence->n_computed);
        sequence->logits_step = context->steps;
        sequence->first_row = logit_row;
        while (logit_row < plan->n_logit_rows &&
               context->logit_rows[logit_row] < planned->first_row + planned->n_rows)
            logit_row++;
        sequence->end_row = logit_row;
        bool pools = pooled < plan->n_pooled && context->pooled[pooled] == i;
        sequence->pooled = pools ? pooled++ : -1;
        if (sequence->n_computed == sequence->n_tokens) result->n_ready++;
    }
    context->steps_done++;
    context->rows += (uint64_t)(plan->n_rows + plan->n_source_rows);
    result->n_rows = plan->n_rows + plan->n_source_rows;
}

static status sample_here(transformer_sequence *sequence, int32_t *token) {
    /* Another thread may be in a call of this sampler, for one token's time at most. */
    while (atomic_flag_test_and_set_explicit(&sequence->sampler->busy, memory_order_acquire))
        sched_yield();
    status sampled = sequence_sample(sequence, sequence->sampler, token);
    sampler_leave(sequence->sampler);
    return sampled;
}

/* Sequences with a sampler of their own that are done: their next token is queued. Fails where the
 * logits can't be had from a device; what the step computed stays computed. */
static status sample_own(transformer_context *context, const struct plan *plan,
                         transformer_decode_result *result) {
    const struct step_sample *sample = context->samples, *end = sample + plan->n_samples;
    for (int64_t i = 0; i < plan->n_sequences; i++) {
        transformer_sequence *sequence = context->planned_sequences[i];
        int32_t token;
        if (sequence->n_computed != sequence->n_tokens || !samples_after(context, sequence))
            continue;
        if (sample < end && sample->logit_row == sequence->end_row - 1) {
            token = sample++->token; /* by the backend */
        } else {
            status sampled = sample_here(sequence, &token);
            if (sampled == DEVICE) return sampled;
            if (sampled != OK) continue;
        }
        sequence->tokens[sequence->n_tokens] = token;
        sequence->keep[sequence->n_tokens++] = 1; /* as append does by default */
        result->n_sampled++;
    }
    return OK;
}

static void count_pending(const transformer_context *context, transformer_decode_result *result) {
    for (int64_t i = 0; i < context->limits.max_sequences; i++) {
        const transformer_sequence *sequence = context->sequences[i];
        if (sequence && sequence->n_computed < sequence->n_tokens) result->n_pending++;
    }
}

status decode_step(transformer_context *context, int64_t max_rows,
                   transformer_decode_result *result) {
    if (atomic_exchange(&context->cancel, 0)) return fail(CANCELLED, "the decode was cancelled");
    struct plan plan = {.max_rows = context->limits.max_step_tokens,
                        .max_logit_rows = context->limits.max_logit_rows};
    if (max_rows && max_rows < plan.max_rows) plan.max_rows = max_rows;
    status planned = plan_step(context, &plan, result);
    if (planned != OK) return give_up(context, &plan, result, planned);
    count_pending(context, result);
    if (plan.n_rows == 0 && plan.n_sources == 0) {
        context->tokens_wait = false;
        if (!result->n_refused && result->n_pending && context->program->whole)
            return fail(LIMIT, "max_tokens %" PRId64 ": no sequence of this model fits that step",
                        plan.max_rows);
        if (!result->n_refused && plan.n_unencoded)
            return fail(LIMIT, "max_tokens %" PRId64 ": a source must fit one step, none does",
                        plan.max_rows);
        if (!result->n_refused && plan.n_without_source)
            return fail(STATE,
                        "%" PRId64 " sequences have no source, which this model decodes from",
                        plan.n_without_source);
        if (!result->n_refused) return OK;
        return fail(LIMIT, "no KV page is free: %" PRId64 " sequences can't go on",
                    result->n_refused);
    }
    struct step step = {.n_rows = plan.n_rows,
                        .n_sequences = plan.n_sequences,
                        .n_logit_rows = plan.n_logit_rows,
                        .n_samples = plan.n_samples,
                        .samples = context->samples,
                        .n_pooled = plan.n_pooled,
                        .pooled = context->pooled,
                        .tokens = context->tokens,
                        .token_types = context->token_types,
                        .sequences = context->planned,
                        .logit_rows = context->logit_rows,
                        .cancel = &context->cancel};
    context->steps++; /* rows of earlier steps are gone from here on */
    status ran = plan.n_sources ? run_sources(context, &plan) : OK;
    if (ran != OK) return give_up(context, &plan, result, ran);
    end_sources(context, &plan, true);
    plan.n_sources = 0; /* what comes now can't undo them */
    context->tokens_wait = plan.n_rows == 0;
    if (plan.n_rows) ran = context->model->backend->run(context->backend, &step);
    if (ran != OK) return give_up(context, &plan, result, ran);
    result->n_pending = 0;
    take_over(context, &plan, result);
    count_pending(context, result);
    return sample_own(context, &plan, result);
}
