/* A step on the device: its data goes up, its launches run, what is asked for of it comes down. */
#include <stddef.h>

#include "cuda/launcher.h"
#include "program/kv_form.h"

enum { FETCHED_LOGITS = 1, FETCHED_HIDDEN = 2 };

/* Every row is a sequence's next token, and its logits are kept. */
static bool has_single_rows(const struct step *step) {
    return step->n_rows == step->n_sequences && step->n_rows == step->n_logit_rows;
}

/* The graph that serves a step; exec NULL: none does. */
static struct step_graph graph_for(const struct backend_context *context, const struct step *step) {
    if (!has_single_rows(step)) return (struct step_graph){0};
    for (int i = 0; i < context->n_graphs; i++) {
        struct step_graph graph = context->graphs[i];
        if (graph.n_rows < step->n_rows) continue;
        if (step_data_adapts(step)) graph.exec = context->adapted_graphs[i];
        return graph;
    }
    return (struct step_graph){0};
}

static status send_step(struct backend_context *context, const struct step *step, int64_t n_rows,
                        int64_t n_logit_rows) {
    int n = step_data_write(&context->data, step, n_rows, n_logit_rows, context->host_block,
                            context->ranges);
    for (int i = 0; i < n; i++) {
        size_t offset = context->ranges[i].offset;
        TRY(device_upload(context->device, context->stream, context->block + offset,
                          context->host_block + offset, context->ranges[i].bytes));
    }
    return OK;
}

/* The tokens that the step chooses itself, from logits that stay where they are. */
static status launch_samples(struct backend_context *context, const struct step *step) {
    const uint8_t *rows = context->block + context->data.samples;
    struct sample_args args = {.logits = context->logits,
                               .sample = (const struct sample_row *)(const void *)rows,
                               .token = context->sampled,
                               .n_rows = (uint32_t)step->n_samples,
                               .n_vocab = (uint32_t)context->program->n_logits,
                               .logits_stride = (uint32_t)context->logits_stride};
    struct launch_shape shape = {.kernel = "sample",
                                 .grid = args.n_rows,
                                 .threads = SAMPLE_THREADS,
                                 .shared_bytes = SAMPLE_SHARED};
    return device_launch(context->device, context->stream, &shape, &args, false);
}

/* The sampled tokens, and before them what the persistent kernel says of itself. */
static status fetch_samples(struct backend_context *context, const struct step *step,
                            bool persistent) {
    const size_t n = (size_t)step->n_samples;
    if (!persistent)
        return device_download(context->device, context->stream, context->host_sampled,
                               context->sampled, n * sizeof(int32_t));
    return device_download(context->device, context->stream, context->host_failures,
                           context->failures, (FAILURE_WORDS + n) * sizeof(int32_t));
}

/* A few floats, wanted whenever there are any. */
static status fetch_pooled(struct backend_context *context, const struct step *step, reg index,
                           float *to) {
    if (!step->n_pooled || index == REG_NONE) return OK;
    size_t floats = (size_t)(step->n_pooled * context->program->regs[index].width);
    return device_download(context->device, context->stream, to, launcher_reg(context, index),
                           floats * sizeof(float));
}

static status run_on_device(struct backend_context *context, const struct step *step,
                            bool *stopped) {
    struct persistent_program *persistent = has_single_rows(step) && !step_data_adapts(step)
                                                ? persistent_find(context, step->n_rows)
                                                : NULL;
    const struct step_graph graph = graph_for(context, step);
    *stopped = false;
    context->host_failures[0] = 0;
    if (persistent) {
        TRY(send_step(context, step, persistent->n_rows, persistent->n_rows));
        TRY(persistent_launch(context, persistent));
    } else if (graph.exec) {
        TRY(send_step(context, step, graph.n_rows, graph.n_rows));
        DEVICE_TRY(context->device, graph_launch, graph.exec, context->stream);
    } else {
        TRY(send_step(context, step, step->n_rows, step->n_logit_rows));
        TRY(launcher_run(context, step, stopped));
    }
    if (*stopped) return OK;
    TRY(fetch_pooled(context, step, context->program->pooled, context->host_pooled));
    TRY(fetch_pooled(context, step, context->program->score, context->host_score));
    if (step->n_samples) TRY(launch_samples(context, step));
    return fetch_samples(context, step, persistent != NULL);
}

status cuda_run(struct backend_context *context, const struct step *step) {
    struct device_caller caller;
    bool stopped;
    TRY(device_enter(context->device, &caller));
    status result = run_on_device(context, step, &stopped);
    /* Whatever was put on the stream reads the step's data: it ends before the next step begins. */
    status waited = device_stream_wait(context->device, context->stream);
    device_leave(context->device, &caller);
    if (result == OK && waited == OK) waited = persistent_check(context);
    for (int64_t i = 0; i < context->limits.max_logit_rows; i++) context->fetched[i] = 0;
    TRY(result);
    TRY(waited);
    for (int64_t i = 0; i < step->n_samples; i++) step->samples[i].token = context->host_sampled[i];
    return stopped ? fail(CANCELLED, "the decode was cancelled") : OK;
}

status cuda_copy_page(struct backend_context *context, int group, int32_t from, int32_t to) {
    struct device_caller caller;
    size_t bytes = context->program->kv.groups[group].page_bytes;
    uint8_t *pool = context->pools[group];
    TRY(device_enter(context->device, &caller));
    status result = device_copy(context->device, context->stream, pool + (size_t)to * bytes,
                                pool + (size_t)from * bytes, bytes);
    device_leave(context->device, &caller);
    return result;
}

static uint8_t *page_of(const struct backend_context *context, int group, int32_t page) {
    size_t bytes = context->program->kv.groups[group].page_bytes;
    return context->pools[group] + (size_t)page * bytes;
}

status cuda_read_page(struct backend_context *context, int group, int32_t page, int64_t n,
                      void *room, void *to) {
    struct device_caller caller;
    const struct kv_layout *kv = &context->program->kv;
    TRY(device_enter(context->device, &caller));
    status result = device_download(context->device, context->stream, room,
                                    page_of(context, group, page), kv->groups[group].page_bytes);
    if (result == OK) result = device_stream_wait(context->device, context->stream);
    device_leave(context->device, &caller);
    if (result == OK) kv_form_pack(kv, group, room, (size_t)n, to);
    return result;
}

status cuda_write_page(struct backend_context *context, int group, int32_t page, int64_t n,
                       const void *from, void *room) {
    struct device_caller caller;
    const struct kv_layout *kv = &context->program->kv;
    kv_form_unpack(kv, group, from, (size_t)n, room);
    TRY(device_enter(context->device, &caller));
    status result = device_upload(context->device, context->stream, page_of(context, group, page),
                                  room, kv->groups[group].page_bytes);
    status waited = device_stream_wait(context->device, context->stream); /* room is used anew */
    device_leave(context->device, &caller);
    return result == OK ? waited : result;
}

static status download(struct backend_context *context, const float *from, size_t n, float *to) {
    struct device_caller caller;
    TRY(device_enter(context->device, &caller));
    status result = device_download(context->device, context->stream, to, from, n * sizeof(float));
    if (result == OK) result = device_stream_wait(context->device, context->stream);
    device_leave(context->device, &caller);
    return result;
}

/* A row as the last run left it, once it is down. */
static status fetch(struct backend_context *context, int64_t row, uint8_t what, const float *from,
                    size_t stride, size_t n, float *to, const float **view) {
    size_t at = (size_t)row * stride;
    if (!(context->fetched[row] & what)) TRY(download(context, from + at, n, to + at));
    context->fetched[row] |= what;
    *view = to + at;
    return OK;
}

status cuda_logits(struct backend_context *context, int64_t row, const float **view) {
    return fetch(context, row, FETCHED_LOGITS, context->logits, context->logits_stride,
                 (size_t)context->program->n_logits, context->host_logits, view);
}

status cuda_hidden(struct backend_context *context, int64_t row, const float **view) {
    return fetch(context, row, FETCHED_HIDDEN, context->hidden, context->hidden_stride,
                 (size_t)context->program->spec->n_embd, context->host_hidden, view);
}

status cuda_pooled(struct backend_context *context, int64_t i, const float **view) {
    *view = context->host_pooled + i * context->program->regs[context->program->pooled].width;
    return OK;
}

status cuda_score(struct backend_context *context, int64_t i, const float **view) {
    *view = context->host_score + i * context->program->regs[context->program->score].width;
    return OK;
}
