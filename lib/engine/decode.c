#include "engine/decode.h"

#include <sched.h>
#include <string.h>

#include "engine/reuse.h"
#include "engine/schedule.h"
#include "engine/speculate.h"

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

/* The sequence's last row and those of its proposals, whose logits are the last ones kept so far:
 * where the backend can, it chooses the tokens behind them in the same step. */
static void add_samples(transformer_context *context, struct plan *plan,
                        const transformer_sequence *sequence) {
    struct sampling_filters filters;
    const transformer_model *model = context->model;
    if (model->spec->n_vocab > model->backend->max_sampled_vocab || sequence->constraint ||
        !sampling_has_filters_only(sequence->sampler->chain, &filters))
        return;
    int64_t row = plan->n_logit_rows - 1 - sequence->n_checked;
    for (int64_t i = 0; i <= sequence->n_checked; i++)
        context->samples[plan->n_samples++] =
            (struct step_sample){.logit_row = row + i,
                                 .seed = filters.seed,
                                 .stream = sequence->stream,
                                 .position = (uint64_t)(sequence->n_tokens + i),
                                 .temperature = filters.temperature,
                                 .top_k = filters.top_k,
                                 .top_p = filters.top_p,
                                 .min_p = filters.min_p};
}

/* n_rows of its pending tokens; behind the last one its proposals. */
static void add_rows(transformer_context *context, struct plan *plan,
                     transformer_sequence *sequence, int64_t n_rows) {
    bool ends = sequence->n_computed + n_rows == sequence->n_tokens;
    if (ends) n_rows += sequence->n_checked;
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
    if (ends && samples_after(context, sequence)) add_samples(context, plan, sequence);
    if (ends && context->program->pooled != REG_NONE)
        context->pooled[plan->n_pooled++] = (int32_t)plan->n_sequences;
    sequence->plan = context->n_plans;
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

/* It wanted rows and got none for want of pages, unless it is planned yet. */
static void refuse(transformer_sequence *sequence) {
    sequence->refused = sequence->context->n_plans;
}

/* Whether the sequence's source is there by the time its tokens are computed. */
static bool has_source(const transformer_context *context, struct plan *plan,
                       transformer_sequence *sequence) {
    const struct source *source = sequence->source;
    if (!context->limits.max_source_tokens || (source && (source->computed || source->planned)))
        return true;
    if (!source)
        plan->n_without_source++;
    else if (plan->no_sources || source->n_tokens > plan->max_rows)
        plan->n_unencoded++;
    else
        refuse(sequence);
    return false;
}

/* ---- tokens ---- */

/* Rows of one sequence, if the step, the logits and the pages have room. */
static status plan_sequence(transformer_context *context, struct plan *plan,
                            transformer_sequence *sequence, transformer_decode_result *result) {
    if (!has_source(context, plan, sequence)) return OK;
    if (plan->n_rows >= plan->max_rows) return OK;
    int64_t n_reused = reuse_pages(sequence);
    if (sequence->waits && !schedule_readmit(sequence, result)) {
        sequence_rewind(sequence, 0);
        context->prefix_hit_tokens -= (uint64_t)n_reused;
        refuse(sequence);
        return OK;
    }
    int64_t pending = sequence->n_tokens - sequence->n_computed;
    int64_t n = pending < plan->max_rows - plan->n_rows ? pending : plan->max_rows - plan->n_rows;
    n = fit_logit_rows(sequence, n, plan->max_logit_rows - plan->n_logit_rows);
    bool whole = context->program->whole;
    if (n == 0 || (whole && n < pending)) return OK;
    if (!whole) { /* one that is computed whole has pages in its step alone */
        page_table_needs(&context->cache, sequence->tables, sequence->n_computed,
                         context->n_needed);
        schedule_preempt(sequence, context->n_needed, result);
    }
    TRY(page_table_reserve(&context->cache, sequence->tables, sequence->n_computed, n, &n));
    if (whole && n < pending) {
        page_table_trim(&context->cache, sequence->tables, sequence->n_computed);
        n = 0;
    }
    if (n == 0)
        refuse(sequence);
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

/* Of those in order [first, end): sequences that wait for one token (or that have a prompt to go
 * through), as far as there is room. Who went first goes last the next time. */
static status plan_kind(transformer_context *context, struct plan *plan, int64_t first, int64_t end,
                        bool prompts, transformer_decode_result *result) {
    int64_t turn = schedule_turn(context, first, end, prompts), n_before = plan->n_sequences;
    for (int64_t i = first; i < end; i++) {
        int64_t at = turn + (i - first);
        transformer_sequence *sequence = context->order[at < end ? at : at - (end - first)];
        int64_t pending = pending_tokens(sequence);
        if (pending > 0 && sequence->plan != context->n_plans &&
            is_prompt(context, pending) == prompts)
            TRY(plan_sequence(context, plan, sequence, result));
    }
    if (plan->n_sequences > n_before)
        schedule_went_first(context->planned_sequences[n_before], prompts);
    return OK;
}

/* What single tokens leave to prompts, so that these get on in the fullest step: one row, or every
 * other step. */
static int64_t kept_back(const transformer_context *context, int64_t most) {
    return most > 1 ? 1 : (int64_t)(context->steps_done & 1);
}

/* The sequences of one priority, order [first, end). */
static status plan_class(transformer_context *context, struct plan *plan, int64_t first,
                         int64_t end, transformer_decode_result *result) {
    int64_t max_rows = plan->max_rows, max_logit_rows = plan->max_logit_rows;
    int64_t rows = max_rows - plan->n_rows, logit_rows = max_logit_rows - plan->n_logit_rows;
    int64_t n_before = plan->n_sequences;
    bool prompts = false;
    for (int64_t i = first; i < end; i++)
        prompts = prompts || is_prompt(context, pending_tokens(context->order[i]));
    if (prompts && rows > 0) plan->max_rows -= kept_back(context, rows);
    if (prompts && logit_rows > 0) plan->max_logit_rows -= kept_back(context, logit_rows);
    bool all_kept_back =
        plan->max_rows == plan->n_rows || plan->max_logit_rows == plan->n_logit_rows;
    TRY(plan_kind(context, plan, first, end, false, result));
    plan->max_rows = max_rows;
    plan->max_logit_rows = max_logit_rows;
    TRY(plan_kind(context, plan, first, end, true, result));
    if (all_kept_back && plan->n_sequences == n_before)
        TRY(plan_kind(context, plan, first, end, false, result));
    return OK;
}

/* A priority that fills the step leaves nothing to those below it. */
static status plan_tokens(transformer_context *context, struct plan *plan,
                          transformer_decode_result *result) {
    context->n_plans++;
    for (int64_t first = 0, end; first < context->n_sequences; first = end) {
        end = schedule_class_end(context, first);
        TRY(plan_class(context, plan, first, end, result));
    }
    for (int64_t i = 0; i < context->n_sequences; i++) {
        const transformer_sequence *sequence = context->order[i];
        bool refused = sequence->refused == context->n_plans;
        result->n_refused += refused && sequence->plan != context->n_plans;
    }
    return OK;
}

/* ---- proposals ---- */

static bool may_speculate(const transformer_context *context, int64_t i) {
    const transformer_sequence *sequence = context->planned_sequences[i];
    return (sequence->lookup || sequence->n_proposals) && samples_after(context, sequence) &&
           sequence->n_computed + context->planned[i].n_rows == sequence->n_tokens;
}

/* Rows for what may come behind the planned sequences' tokens, out of what all that is pending left
 * over; each may have its share, and what others before it did not take. */
static status take_proposals(transformer_context *context, const struct plan *plan,
                             int64_t *n_proposals) {
    int64_t left = plan->max_rows - plan->n_rows, n_waiting = 0;
    if (plan->max_logit_rows - plan->n_logit_rows < left)
        left = plan->max_logit_rows - plan->n_logit_rows;
    for (int64_t i = 0; i < plan->n_sequences; i++) n_waiting += may_speculate(context, i);
    for (int64_t i = 0; i < plan->n_sequences && left > 0; i++) {
        transformer_sequence *sequence = context->planned_sequences[i];
        if (!may_speculate(context, i)) continue;
        int64_t n = speculate_offer(sequence, (left + n_waiting - 1) / n_waiting);
        n_waiting--;
        if (n == 0) continue;
        TRY(page_table_reserve(&context->cache, sequence->tables, sequence->n_tokens, n, &n));
        sequence->n_checked = n;
        left -= n;
        *n_proposals += n;
    }
    return OK;
}

/* The plan once more, with the proposals behind their sequences' rows. */
static status plan_proposals(transformer_context *context, struct plan *plan) {
    int64_t n_proposals = 0, n = plan->n_sequences;
    if (context->program->whole || context->program->pooled != REG_NONE) return OK;
    TRY(take_proposals(context, plan, &n_proposals));
    if (!n_proposals) return OK;
    plan->n_rows = plan->n_sequences = plan->n_logit_rows = plan->n_samples = 0;
    for (int64_t i = 0; i < n; i++)
        add_rows(context, plan, context->planned_sequences[i], context->planned[i].n_rows);
    return OK;
}

static status plan_step(transformer_context *context, struct plan *plan,
                        transformer_decode_result *result) {
    plan_sources(context, plan);
    TRY(plan_tokens(context, plan, result));
    return plan_proposals(context, plan);
}

static void undo_pages(transformer_context *context, const struct plan *plan) {
    for (int64_t i = 0; i < plan->n_sequences; i++) {
        transformer_sequence *sequence = context->planned_sequences[i];
        page_table_trim(&context->cache, sequence->tables, sequence->n_computed);
        sequence->n_checked = 0;
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
        sequence->n_computed += planned->n_rows - sequence->n_checked;
        reuse_enter(sequence);
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

static bool is_done(const transformer_sequence *sequence) {
    return sequence->n_computed == sequence->n_tokens && samples_after(sequence->context, sequence);
}

/* The token behind all that is computed, from `sampled` where the backend chose, and as long as it
 * is what was proposed there, *n_right times, the next. */
static status queue_tokens(transformer_sequence *sequence, const struct step_sample *sampled,
                           int64_t *n_right) {
    for (*n_right = 0;; ++*n_right) {
        int32_t token;
        if (sampled)
            token = sampled[*n_right].token;
        else
            TRY(sample_here(sequence, &token));
        bool right = *n_right < sequence->n_checked && speculate_is_right(sequence, token);
        sequence->tokens[sequence->n_tokens] = token;
        sequence->keep[sequence->n_tokens++] = 1; /* as append does by default */
        if (!right) return OK;
        sequence->n_computed++;
    }
}

/* What was computed for proposals that were not chosen is no longer there. */
static void drop_wrong(transformer_sequence *sequence) {
    const transformer_context *context = sequence->context;
    while (sequence->end_row > sequence->first_row &&
           context->logit_positions[sequence->end_row - 1] >= sequence->n_computed)
        sequence->end_row--;
    page_table_trim(&context->cache, sequence->tables, sequence->n_computed);
    sequence->n_checked = 0;
}

/* Sequences with a sampler of their own that are done: their next tokens are queued. Fails where
 * the logits can't be had from a device; what the step computed stays computed. */
static status sample_own(transformer_context *context, const struct plan *plan,
                         transformer_decode_result *result) {
    const struct step_sample *sample = context->samples, *end = sample + plan->n_samples;
    status failed = OK;
    for (int64_t i = 0; i < plan->n_sequences; i++) {
        transformer_sequence *sequence = context->planned_sequences[i];
        if (!is_done(sequence)) continue;
        int64_t n_right = 0, n_checked = sequence->n_checked;
        bool sampled = sample < end && sample->logit_row == sequence->end_row - 1 - n_checked;
        status queued = failed ? failed : queue_tokens(sequence, sampled ? sample : NULL, &n_right);
        if (queued == DEVICE) failed = queued;
        if (sampled) sample += n_checked + 1;
        if (queued == OK) result->n_sampled++;
        result->n_proposed += n_checked;
        result->n_accepted += n_right;
        speculate_learn(sequence, n_checked, n_right);
        if (n_checked) drop_wrong(sequence);
    }
    return failed;
}

static void count_pending(const transformer_context *context, transformer_decode_result *result) {
    for (int64_t i = 0; i < context->limits.max_sequences; i++) {
        const transformer_sequence *sequence = context->sequences[i];
        if (sequence && sequence->n_computed < sequence->n_tokens) result->n_pending++;
    }
}

status decode_step(transformer_context *context, int64_t max_rows,
                   transformer_decode_result *result) {
    uint64_t start = step_times_now();
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
    status sampled = sample_own(context, &plan, result);
    step_times_add(&context->times, step_times_now() - start);
    return sampled;
}
