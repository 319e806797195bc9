#include "engine/snapshot.h"

#include <string.h>

#include "base/checked.h"

/* ---- what saving and restoring agree on ---- */

void snapshot_bind(const transformer_context *context, struct snapshot_header *header) {
    const struct kv_layout *kv = &context->program->kv;
    memcpy(header->magic, SNAPSHOT_MAGIC, sizeof header->magic);
    header->version = SNAPSHOT_VERSION;
    header->numbers_law = NUMBERS_LAW;
    header->model = context->model->identity;
    header->kv_type = context->limits.kv_type;
    header->flags = context->program->whole ? SNAPSHOT_WHOLE : 0;
    header->n_groups = (uint32_t)kv->n_groups;
    header->page_tokens = KV_PAGE_TOKENS;
    header->rope_length = rope_length(context->model->spec, context->limits.max_sequence_tokens);
}

int64_t snapshot_positions(const transformer_context *context, const struct snapshot_header *header,
                           int group) {
    switch (context->program->kv.groups[group].kind) {
    case KV_GROWING:
        return header->flags & SNAPSHOT_WHOLE ? 0 : (int64_t)header->n_computed;
    case KV_FIXED:
        return header->flags & SNAPSHOT_SOURCE_COMPUTED ? (int64_t)header->n_source_tokens : 0;
    default:
        return 0; /* nothing of it outlives a step */
    }
}

int64_t snapshot_pages(int64_t positions) {
    return (positions + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
}

int64_t snapshot_page_positions(int64_t positions, int64_t index) {
    int64_t left = positions - index * KV_PAGE_TOKENS;
    return left < KV_PAGE_TOKENS ? left : KV_PAGE_TOKENS;
}

size_t snapshot_token_bytes(const struct snapshot_header *header) {
    return (size_t)header->n_tokens * (sizeof(int32_t) + 2);
}

size_t snapshot_largest_section(const transformer_context *context,
                                const struct snapshot_header *header) {
    const struct kv_layout *kv = &context->program->kv;
    size_t most = snapshot_token_bytes(header);
    size_t source = (size_t)header->n_source_tokens * sizeof(int32_t);
    size_t groups = (size_t)kv->n_groups * sizeof(struct snapshot_group);
    if (source > most) most = source;
    if (groups > most) most = groups;
    if (sizeof *header > most) most = sizeof *header;
    for (int g = 0; g < kv->n_groups; g++)
        if (snapshot_positions(context, header, g) > 0 &&
            KV_PAGE_TOKENS * kv->groups[g].position_bytes > most)
            most = KV_PAGE_TOKENS * kv->groups[g].position_bytes;
    return most;
}

uint64_t snapshot_total(const transformer_context *context, const struct snapshot_header *header,
                        const struct snapshot_group *groups) {
    uint64_t total = snapshot_section_bytes(sizeof *header);
    total = add_saturating(total, snapshot_section_bytes(snapshot_token_bytes(header)));
    if (header->flags & SNAPSHOT_SOURCE)
        total = add_saturating(total,
                               snapshot_section_bytes(header->n_source_tokens * sizeof(int32_t)));
    total = add_saturating(total, snapshot_section_bytes(header->n_groups * sizeof *groups));
    for (uint32_t g = 0; g < header->n_groups; g++) {
        uint64_t n_pages = groups[g].n_pages - groups[g].n_dropped;
        uint64_t first = groups[g].n_dropped * KV_PAGE_TOKENS;
        uint64_t positions = (uint64_t)snapshot_positions(context, header, (int)g);
        if (!n_pages) continue;
        total = add_saturating(total, mul_saturating(positions - first, groups[g].position_bytes));
        total = add_saturating(total, mul_saturating(n_pages, snapshot_section_bytes(0)));
    }
    return total;
}

/* ---- saving ---- */

struct saving {
    const transformer_sequence *sequence;
    struct snapshot_header header;
    struct snapshot_group *groups; /* [n_groups] */
    struct snapshot_writer writer;
    void *room; /* for pages on their way */
};

/* The pages of a group that are there. */
static const struct page_table *table_of(const transformer_sequence *sequence, int group) {
    const struct source *source = sequence->source;
    bool grows = sequence->context->program->kv.groups[group].kind == KV_GROWING;
    return grows || !source ? &sequence->tables[group] : &source->tables[group];
}

static void describe(struct saving *saving) {
    const transformer_sequence *sequence = saving->sequence;
    const transformer_context *context = sequence->context;
    const struct kv_layout *kv = &context->program->kv;
    struct snapshot_header *header = &saving->header;
    snapshot_bind(context, header);
    header->n_tokens = (uint64_t)sequence->n_tokens;
    header->n_computed = (uint64_t)sequence->n_computed;
    header->stream = sequence->stream;
    if (sequence->adapter) {
        header->flags |= SNAPSHOT_ADAPTER;
        header->adapter = sequence->adapter->identity;
        memcpy(&header->adapter_scale, &sequence->adapter_scale, sizeof header->adapter_scale);
    }
    if (sequence->source) {
        header->flags |= SNAPSHOT_SOURCE;
        if (sequence->source->computed) header->flags |= SNAPSHOT_SOURCE_COMPUTED;
        header->n_source_tokens = (uint64_t)sequence->source->n_tokens;
    }
    for (int g = 0; g < kv->n_groups; g++) {
        int64_t positions = snapshot_positions(context, header, g);
        const struct page_table *table = table_of(sequence, g);
        saving->groups[g] =
            (struct snapshot_group){.kind = (uint32_t)kv->groups[g].kind,
                                    .window = (uint64_t)kv->groups[g].window,
                                    .position_bytes = kv->groups[g].position_bytes,
                                    .n_pages = (uint64_t)snapshot_pages(positions),
                                    .n_dropped = positions ? (uint64_t)table->n_dropped : 0};
    }
    header->total = snapshot_total(context, header, saving->groups);
}

static status write_section(struct saving *saving, const void *bytes, size_t n) {
    if (n) memcpy(snapshot_write_begin(&saving->writer), bytes, n);
    return snapshot_write_end(&saving->writer, n);
}

static status write_tokens(struct saving *saving) {
    const transformer_sequence *sequence = saving->sequence;
    size_t n = (size_t)sequence->n_tokens, id_bytes = n * sizeof *sequence->tokens;
    uint8_t *to = snapshot_write_begin(&saving->writer);
    memcpy(to, sequence->tokens, id_bytes);
    memcpy(to + id_bytes, sequence->types, n);
    for (size_t i = 0; i < n; i++) to[id_bytes + n + i] = sequence->keep[i] != 0;
    return snapshot_write_end(&saving->writer, id_bytes + 2 * n);
}

static status write_pages(struct saving *saving, int group) {
    const transformer_context *context = saving->sequence->context;
    const struct backend *backend = context->model->backend;
    const struct page_table *table = table_of(saving->sequence, group);
    const struct snapshot_group *of = &saving->groups[group];
    int64_t positions = snapshot_positions(context, &saving->header, group);
    if (table->n_pages < (int64_t)of->n_pages)
        return fail(INTERNAL, "%" PRId64 " positions of KV group %d have %" PRId64 " pages",
                    positions, group, table->n_pages);
    for (int64_t i = (int64_t)of->n_dropped; i < (int64_t)of->n_pages; i++) {
        int64_t n = snapshot_page_positions(positions, i);
        void *to = snapshot_write_begin(&saving->writer);
        TRY(backend->read_page(context->backend, group, table->pages[i], n, saving->room, to));
        TRY(snapshot_write_end(&saving->writer, (size_t)n * of->position_bytes));
    }
    return OK;
}

static status write_all(struct saving *saving) {
    const struct source *source = saving->sequence->source;
    int n_groups = (int)saving->header.n_groups;
    TRY(write_section(saving, &saving->header, sizeof saving->header));
    TRY(write_tokens(saving));
    if (source)
        TRY(write_section(saving, source->tokens,
                          (size_t)source->n_tokens * sizeof *source->tokens));
    TRY(write_section(saving, saving->groups, (size_t)n_groups * sizeof *saving->groups));
    for (int g = 0; g < n_groups; g++) TRY(write_pages(saving, g));
    if (saving->writer.written == saving->header.total) return OK;
    return fail(INTERNAL, "a snapshot of %" PRIu64 " bytes has become one of %" PRIu64,
                saving->header.total, saving->writer.written);
}

static size_t largest_page(const struct kv_layout *kv) {
    size_t most = 0;
    for (int g = 0; g < kv->n_groups; g++)
        if (kv->groups[g].page_bytes > most) most = kv->groups[g].page_bytes;
    return most;
}

static status save(struct saving *saving, const transformer_save_options *options, uint64_t *size) {
    transformer_context *context = saving->sequence->context;
    struct memory *memory = &context->memory;
    void *staging = NULL;
    status result;
    TRY(MEMORY_TAKE(memory, largest_page(&context->program->kv), "a page on its way",
                    &saving->room));
    saving->writer = (struct snapshot_writer){
        .write = options->write, .user = options->write_user, .to = options->buffer};
    if (options->write) {
        size_t most = snapshot_largest_section(context, &saving->header);
        TRY_OR_EXIT(memory_take(memory, (size_t)snapshot_section_bytes(most), "writing a snapshot",
                                &staging));
        saving->writer.to = staging;
    }
    TRY_OR_EXIT(write_all(saving));
    *size = saving->header.total;
exit:
    memory_give(memory, staging);
    memory_give(memory, saving->room);
    return result;
}

static status save_or_measure(struct saving *saving, const transformer_save_options *options,
                              uint64_t *size) {
    describe(saving);
    uint64_t total = saving->header.total;
    if (total == UINT64_MAX) return fail(LIMIT, "a snapshot of more bytes than can be counted");
    if (options->write) return save(saving, options, size);
    if (!options->buffer || options->capacity < total) *size = total;
    if (!options->buffer) return OK;
    if (options->capacity < total)
        return fail(BUFFER_TOO_SMALL, "the snapshot has %" PRIu64 " bytes, the buffer %" PRIu64,
                    total, options->capacity);
    return save(saving, options, size);
}

status snapshot_save(transformer_sequence *sequence, const transformer_save_options *options,
                     uint64_t *size) {
    struct memory *memory = &sequence->context->memory;
    struct saving saving = {.sequence = sequence};
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)sequence->context->program->kv.n_groups,
                          "a snapshot's groups", &saving.groups));
    status result = save_or_measure(&saving, options, size);
    memory_give(memory, saving.groups);
    return result;
}
