#include "engine/source.h"

#include <string.h>

static size_t table_pages(int64_t n) {
    return (size_t)((n + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
}

uint64_t source_bytes(int64_t n, int n_groups) {
    return memory_cost(sizeof(struct source)) + memory_cost((size_t)n * sizeof(int32_t)) +
           memory_cost((size_t)n_groups * sizeof(struct page_table)) +
           memory_cost((size_t)n_groups * table_pages(n) * sizeof(int32_t));
}

static void give_memory(struct memory *memory, struct source *source) {
    memory_give(memory, source->tokens);
    /* One block holds the tables of all groups; the first begins it. */
    if (source->tables) memory_give(memory, source->tables[0].pages);
    memory_give(memory, source->tables);
    memory_give(memory, source);
}

status source_create(transformer_context *context, const int32_t *tokens, int64_t n,
                     struct source **created) {
    struct memory *memory = &context->memory;
    size_t n_groups = (size_t)context->program->kv.n_groups, pages = table_pages(n);
    struct source *fresh;
    int32_t *tables;
    status result;
    TRY(MEMORY_TAKE_ONE(memory, "a source", &fresh));
    fresh->owners = 1;
    fresh->n_tokens = n;
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, (size_t)n, "a source's tokens", &fresh->tokens));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_groups, "a source's pages", &fresh->tables));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_groups * pages, "a source's pages", &tables));
    for (size_t g = 0; g < n_groups; g++) fresh->tables[g].pages = tables + g * pages;
    memcpy(fresh->tokens, tokens, (size_t)n * sizeof *tokens);
    *created = fresh;
exit:
    if (result != OK) give_memory(memory, fresh);
    return result;
}

void source_release(transformer_context *context, struct source *source) {
    if (!source || --source->owners) return;
    if (!context->destroyed) page_table_give_fixed(&context->cache, source->tables, KV_FIXED);
    give_memory(&context->memory, source);
}
