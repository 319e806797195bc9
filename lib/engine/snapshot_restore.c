#include <string.h>

#include "engine/snapshot.h"

struct restoring {
    transformer_sequence *sequence;
    struct snapshot_header header;
    struct snapshot_group *groups; /* [n_groups] */
    struct snapshot_reader reader;
    void *room; /* for pages on their way */
};

/* ---- the header ---- */

static status read_header(struct restoring *restoring) {
    struct snapshot_reader *reader = &restoring->reader;
    uint8_t head[sizeof restoring->header + sizeof(struct checksum)] = {0};
    const void *bytes;
    reader->room = head;
    if (reader->data) memcpy(head, reader->data, reader->size < 8 ? (size_t)reader->size : 8);
    status result = snapshot_read(reader, sizeof restoring->header, &bytes);
    if (result == FORMAT && memcmp(head, SNAPSHOT_MAGIC, 8) != 0)
        return fail(FORMAT, "this is no snapshot: it does not begin as one");
    TRY(result);
    memcpy(&restoring->header, bytes, sizeof restoring->header);
    if (memcmp(restoring->header.magic, SNAPSHOT_MAGIC, 8) != 0)
        return fail(FORMAT, "this is no snapshot: it does not begin as one");
    return OK;
}

/* What other releases may do otherwise. */
static status check_release(const struct snapshot_header *header) {
    if (header->version != SNAPSHOT_VERSION)
        return fail(UNSUPPORTED, "the snapshot is of version %" PRIu32 ", this library reads %d",
                    header->version, SNAPSHOT_VERSION);
    if (header->numbers_law != NUMBERS_LAW)
        return fail(UNSUPPORTED,
                    "the snapshot is of numbers law %" PRIu32 ", this library computes by %d",
                    header->numbers_law, NUMBERS_LAW);
    if (header->flags & ~(uint32_t)SNAPSHOT_FLAGS)
        return fail(UNSUPPORTED, "the snapshot has flags %#" PRIx32, header->flags);
    if (header->page_tokens != KV_PAGE_TOKENS)
        return fail(UNSUPPORTED, "the snapshot has pages of %" PRIu64 " positions, not %d",
                    header->page_tokens, KV_PAGE_TOKENS);
    return OK;
}

static status check_adapter(const struct restoring *restoring) {
    const transformer_sequence *sequence = restoring->sequence;
    const struct snapshot_header *header = &restoring->header;
    bool adapted = header->flags & SNAPSHOT_ADAPTER;
    float scale;
    memcpy(&scale, &header->adapter_scale, sizeof scale);
    if (adapted && !sequence->adapter)
        return fail(INVALID_ARGUMENT, "the snapshot was computed with an adapter, none is given");
    if (!adapted && sequence->adapter)
        return fail(INVALID_ARGUMENT, "the snapshot was computed without the adapter");
    if (!adapted) return OK;
    if (!checksum_same(header->adapter, sequence->adapter->identity))
        return fail(INVALID_ARGUMENT, "the snapshot was computed with another adapter");
    if (!(scale == sequence->adapter_scale))
        return fail(INVALID_ARGUMENT,
                    "the snapshot was computed with adapter_scale %g, the one given is %g",
                    (double)scale, (double)sequence->adapter_scale);
    return OK;
}

/* Whether the context computes the same. */
static status check_context(const struct restoring *restoring) {
    static const char *const types[] = {[TRANSFORMER_KV_F16] = "F16",
                                        [TRANSFORMER_KV_F32] = "F32",
                                        [TRANSFORMER_KV_BF16] = "BF16",
                                        [TRANSFORMER_KV_Q8_0] = "Q8_0"};
    const struct snapshot_header *header = &restoring->header;
    struct snapshot_header ours = {.version = 0};
    snapshot_bind(restoring->sequence->context, &ours);
    if (!checksum_same(header->model, ours.model))
        return fail(INVALID_ARGUMENT, "the snapshot is another model's");
    if (header->kv_type != ours.kv_type)
        return fail(INVALID_ARGUMENT, "the snapshot has keys and values of %s, the context of %s",
                    header->kv_type && header->kv_type < sizeof types / sizeof *types
                        ? types[header->kv_type]
                        : "another type",
                    types[ours.kv_type]);
    if ((header->flags ^ ours.flags) & SNAPSHOT_WHOLE)
        return fail(INVALID_ARGUMENT, "the snapshot is of a context that pools otherwise");
    if (header->rope_length != ours.rope_length)
        return fail(INVALID_ARGUMENT,
                    "the snapshot is of a context of another max_sequence_tokens, for which this "
                    "model turns its positions otherwise");
    if (header->n_groups != ours.n_groups)
        return fail(FORMAT, "the snapshot has %" PRIu32 " KV groups, the model %" PRIu32,
                    header->n_groups, ours.n_groups);
    return check_adapter(restoring);
}

static status check_sizes(const struct restoring *restoring) {
    const struct snapshot_header *header = &restoring->header;
    const transformer_context *context = restoring->sequence->context;
    const struct context_limits *limits = &context->limits;
    bool source = header->flags & SNAPSHOT_SOURCE;
    bool computed = header->flags & SNAPSHOT_SOURCE_COMPUTED;
    if (header->n_tokens > (uint64_t)limits->max_sequence_tokens)
        return fail(LIMIT,
                    "the snapshot has %" PRIu64 " tokens, max_sequence_tokens allows %" PRId64,
                    header->n_tokens, limits->max_sequence_tokens);
    bool sourced = context->model->spec->source.n_layers > 0;
    if (source != (header->n_source_tokens > 0) || (source && !sourced) || (computed && !source) ||
        (sourced && header->n_computed && !computed))
        return fail(FORMAT, "the snapshot contradicts itself about its source");
    if (header->n_source_tokens > (uint64_t)limits->max_source_tokens)
        return fail(LIMIT,
                    "the snapshot's source has %" PRIu64 " tokens, max_source_tokens allows "
                    "%" PRId64,
                    header->n_source_tokens, limits->max_source_tokens);
    if (header->n_computed > header->n_tokens)
        return fail(FORMAT, "the snapshot has %" PRIu64 " of %" PRIu64 " tokens computed",
                    header->n_computed, header->n_tokens);
    if (!restoring->reader.data || restoring->reader.size == header->total) return OK;
    return fail(FORMAT, "the snapshot has %" PRIu64 " bytes, %" PRIu64 " are given", header->total,
                restoring->reader.size);
}

/* ---- tokens ---- */

static status check_id(int32_t id, int64_t n_vocab, const char *what, int64_t index) {
    if (id >= 0 && id < n_vocab) return OK;
    return fail(FORMAT, "the snapshot's %s %" PRId64 " is %" PRId32 ", the vocabulary has %" PRId64,
                what, index, id, n_vocab);
}

static status read_tokens(struct restoring *restoring) {
    transformer_sequence *sequence = restoring->sequence;
    const struct spec *spec = sequence->context->model->spec;
    const transformer_append_options nothing = {.logits = TRANSFORMER_LOGITS_NONE};
    int64_t n_types = spec->token_types.tensor ? spec->token_types.tensor->dims[1] : 1;
    int64_t n = (int64_t)restoring->header.n_tokens;
    size_t id_bytes = (size_t)n * sizeof *sequence->tokens;
    const void *section;
    TRY(snapshot_read(&restoring->reader, snapshot_token_bytes(&restoring->header), &section));
    const uint8_t *types = (const uint8_t *)section + id_bytes, *keep = types + n;
    memcpy(sequence->tokens, section, id_bytes);
    memcpy(sequence->types, types, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        TRY(check_id(sequence->tokens[i], spec->n_vocab, "token", i));
        if (sequence->types[i] >= n_types)
            return fail(FORMAT, "the snapshot's token %" PRId64 " is of type %d", i,
                        sequence->types[i]);
        sequence->keep[i] = keep[i] != 0;
    }
    sequence->n_tokens = n;
    if (!sequence->stream) sequence->stream = restoring->header.stream;
    return sequence->context->program->whole ? sequence_check_step(sequence, 0, &nothing) : OK;
}

static status read_source(struct restoring *restoring) {
    transformer_context *context = restoring->sequence->context;
    int64_t n = (int64_t)restoring->header.n_source_tokens;
    int64_t n_vocab = context->model->spec->source.n_vocab;
    const void *section;
    int32_t *tokens;
    status result;
    if (!(restoring->header.flags & SNAPSHOT_SOURCE)) return OK;
    TRY(snapshot_read(&restoring->reader, (size_t)n * sizeof *tokens, &section));
    TRY(MEMORY_TAKE_ARRAY(&context->memory, (size_t)n, "a source's tokens", &tokens));
    memcpy(tokens, section, (size_t)n * sizeof *tokens);
    for (int64_t i = 0; i < n; i++) TRY_OR_EXIT(check_id(tokens[i], n_vocab, "source token", i));
    TRY_OR_EXIT(source_create(context, tokens, n, &restoring->sequence->source));
exit:
    memory_give(&context->memory, tokens);
    return result;
}

/* ---- pages ---- */

static status check_group(const struct restoring *restoring, int index) {
    const transformer_context *context = restoring->sequence->context;
    const struct kv_group *ours = &context->program->kv.groups[index];
    const struct snapshot_group *group = &restoring->groups[index];
    int64_t positions = snapshot_positions(context, &restoring->header, index);
    uint64_t n_pages = (uint64_t)snapshot_pages(positions);
    if (group->kind != (uint32_t)ours->kind || group->reserved ||
        group->window != (uint64_t)ours->window || group->position_bytes != ours->position_bytes)
        return fail(FORMAT, "the snapshot's KV group %d is another than the model's", index);
    if (group->n_pages != n_pages ||
        group->n_dropped > (uint64_t)page_table_first(ours->window, positions))
        return fail(FORMAT,
                    "the snapshot's KV group %d has %" PRIu64 " pages without %" PRIu64
                    " of them for %" PRId64 " positions",
                    index, group->n_pages, group->n_dropped, positions);
    return OK;
}

static status read_groups(struct restoring *restoring) {
    const transformer_context *context = restoring->sequence->context;
    int n_groups = context->program->kv.n_groups;
    size_t bytes = (size_t)n_groups * sizeof *restoring->groups;
    const void *section;
    TRY(snapshot_read(&restoring->reader, bytes, &section));
    memcpy(restoring->groups, section, bytes);
    for (int g = 0; g < n_groups; g++) TRY(check_group(restoring, g));
    uint64_t total = snapshot_total(context, &restoring->header, restoring->groups);
    if (total == restoring->header.total) return OK;
    return fail(FORMAT, "the snapshot says it has %" PRIu64 " bytes, what it describes %" PRIu64,
                restoring->header.total, total);
}

static status take_pages(const struct restoring *restoring) {
    transformer_sequence *sequence = restoring->sequence;
    const struct kv_cache *cache = &sequence->context->cache;
    struct source *source = sequence->source;
    if (restoring->header.flags & SNAPSHOT_SOURCE_COMPUTED) {
        if (!page_table_take_fixed(cache, source->tables, source->n_tokens))
            return fail(LIMIT, "no KV pages are free for the snapshot's source");
        page_table_give_fixed(cache, source->tables, KV_PASSING);
        source->computed = true;
    }
    for (int g = 0; g < cache->layout->n_groups; g++) {
        const struct snapshot_group *group = &restoring->groups[g];
        if (cache->layout->groups[g].kind != KV_GROWING) continue;
        if (!page_table_take_growing(cache, g, &sequence->tables[g], (int64_t)group->n_pages,
                                     (int64_t)group->n_dropped))
            return fail(LIMIT,
                        "the snapshot needs %" PRIu64 " KV pages of group %d, %" PRId64 " are free",
                        group->n_pages - group->n_dropped, g,
                        cache->pools[g].n_free + cache->pools[g].n_cached);
    }
    return OK;
}

static status read_pages(struct restoring *restoring, int group) {
    transformer_context *context = restoring->sequence->context;
    const struct backend *backend = context->model->backend;
    const struct snapshot_group *of = &restoring->groups[group];
    bool grows = context->program->kv.groups[group].kind == KV_GROWING;
    int64_t positions = snapshot_positions(context, &restoring->header, group);
    if (!of->n_pages) return OK;
    const struct page_table *table =
        grows ? &restoring->sequence->tables[group] : &restoring->sequence->source->tables[group];
    for (int64_t i = (int64_t)of->n_dropped; i < (int64_t)of->n_pages; i++) {
        int64_t n = snapshot_page_positions(positions, i);
        const void *section;
        TRY(snapshot_read(&restoring->reader, (size_t)n * of->position_bytes, &section));
        TRY(backend->write_page(context->backend, group, table->pages[i], n, section,
                                restoring->room));
    }
    return OK;
}

/* ---- all of it ---- */

static status take_room(struct restoring *restoring, void **staging) {
    const transformer_context *context = restoring->sequence->context;
    const struct kv_layout *kv = &context->program->kv;
    struct memory *memory = &restoring->sequence->context->memory;
    size_t page = 0;
    for (int g = 0; g < kv->n_groups; g++)
        if (kv->groups[g].page_bytes > page) page = kv->groups[g].page_bytes;
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)kv->n_groups, "a snapshot's groups", &restoring->groups));
    TRY(MEMORY_TAKE(memory, page, "a page on its way", &restoring->room));
    if (restoring->reader.data) return OK;
    size_t most = snapshot_largest_section(context, &restoring->header);
    TRY(memory_take(memory, (size_t)snapshot_section_bytes(most), "reading a snapshot", staging));
    restoring->reader.room = *staging;
    return OK;
}

static status read_all(struct restoring *restoring) {
    TRY(read_tokens(restoring));
    TRY(read_source(restoring));
    TRY(read_groups(restoring));
    TRY(take_pages(restoring));
    for (int g = 0; g < (int)restoring->header.n_groups; g++) TRY(read_pages(restoring, g));
    restoring->sequence->n_computed = (int64_t)restoring->header.n_computed;
    restoring->sequence->apart =
        restoring->header.n_computed || restoring->header.flags & SNAPSHOT_SOURCE_COMPUTED;
    return OK;
}

status snapshot_restore(transformer_sequence *sequence,
                        const transformer_restore_options *options) {
    struct memory *memory = &sequence->context->memory;
    struct restoring restoring = {.sequence = sequence,
                                  .reader = {.data = options->data,
                                             .size = options->data_size,
                                             .read = options->read,
                                             .user = options->read_user}};
    void *staging = NULL;
    TRY(read_header(&restoring));
    TRY(check_release(&restoring.header));
    TRY(check_context(&restoring));
    TRY(check_sizes(&restoring));
    status result = take_room(&restoring, &staging);
    if (result == OK) result = read_all(&restoring);
    memory_give(memory, staging);
    memory_give(memory, restoring.room);
    memory_give(memory, restoring.groups);
    return result;
}
