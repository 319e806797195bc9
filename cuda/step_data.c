#include "cuda/step_data.h"

#include <string.h>

#include "base/checked.h"

enum { ALIGNMENT = 256 };

/* Takes n elements of a size from the block's end; saturates, so that what is too large is refused
 * where it is allocated. */
static size_t place(size_t *end, int64_t n, size_t size) {
    size_t at = *end;
    uint64_t bytes = mul_saturating((uint64_t)n, size);
    *end = add_saturating(at, add_saturating(bytes, ALIGNMENT - 1)) / ALIGNMENT * ALIGNMENT;
    return at;
}

/* Of n rows at most: one for each of the sequences, and one for so many rows. */
static int64_t most_items(const struct backend_limits *limits, int64_t n) {
    return limits->max_sequences + n / ADAPTER_ITEM_ROWS;
}

void step_data_measure(struct step_data *data, const struct backend_limits *limits, int n_groups) {
    size_t end = 0;
    int64_t sequences =
        limits->max_sequences < limits->max_rows ? limits->max_sequences : limits->max_rows;
    data->max_rows = limits->max_rows;
    data->max_sequences = limits->max_sequences;
    data->max_logit_rows = limits->max_logit_rows;
    data->n_groups = n_groups;
    data->token = place(&end, limits->max_rows, sizeof(int32_t));
    data->token_type = place(&end, limits->max_rows, sizeof(uint8_t));
    data->position = place(&end, limits->max_rows, sizeof(int64_t));
    data->sequence = place(&end, limits->max_rows, sizeof(int32_t));
    data->logit_row = place(&end, limits->max_logit_rows, sizeof(int32_t));
    data->key_counts = place(&end, 2 * limits->max_sequences, sizeof(int64_t));
    data->pages_at = place(&end, n_groups * limits->max_sequences, sizeof(uint32_t));
    for (int i = 0; i < data->n_attentions; i++)
        data->attentions[i].counts = place(&end, 2, sizeof(uint32_t));
    data->adapter_counts = place(&end, 2, sizeof(uint32_t));
    data->fixed_bytes = end;
    data->samples = place(&end, limits->max_logit_rows, sizeof(struct sample_row));
    data->pooled = place(&end, limits->max_sequences, sizeof(struct pool_sequence));
    data->adapter_items =
        place(&end, most_items(limits, limits->max_rows), sizeof(struct adapter_item));
    data->adapter_logit_items =
        place(&end, most_items(limits, limits->max_logit_rows), sizeof(struct adapter_item));
    for (int i = 0; i < data->n_attentions; i++) {
        struct step_attention *attention = &data->attentions[i];
        attention->items = place(&end, attention->limits.max_items, sizeof(struct attention_item));
        attention->merges =
            place(&end, attention->limits.max_merges, sizeof(struct attention_merge_item));
    }
    int64_t most = limits->max_sequence_tokens, pages;
    if (limits->max_source_tokens > most) most = limits->max_source_tokens;
    pages = most / KV_PAGE_TOKENS + 1;
    data->pages =
        place(&end, (int64_t)mul_saturating((uint64_t)(n_groups * sequences), (uint64_t)pages),
              sizeof(int32_t));
    data->bytes = end;
}

static void write_rows(const struct step_data *data, const struct step *step, int64_t n_rows,
                       int64_t n_logit_rows, uint8_t *block) {
    int32_t *token = (int32_t *)(void *)(block + data->token);
    uint8_t *token_type = block + data->token_type;
    int64_t *position = (int64_t *)(void *)(block + data->position);
    int64_t *key_counts = (int64_t *)(void *)(block + data->key_counts);
    int32_t *sequence = (int32_t *)(void *)(block + data->sequence);
    int32_t *logit_row = (int32_t *)(void *)(block + data->logit_row);
    memcpy(token, step->tokens, (size_t)step->n_rows * sizeof *token);
    if (step->token_types)
        memcpy(token_type, step->token_types, (size_t)step->n_rows);
    else
        memset(token_type, 0, (size_t)step->n_rows);
    for (int64_t s = 0; s < step->n_sequences; s++) {
        const struct step_sequence *of = &step->sequences[s];
        key_counts[s] = of->position + of->n_rows;
        key_counts[data->max_sequences + s] = of->n_source;
        for (int64_t i = 0; i < of->n_rows; i++) {
            position[of->first_row + i] = of->position + i;
            sequence[of->first_row + i] = (int32_t)s;
        }
    }
    for (int64_t row = step->n_rows; row < n_rows; row++) {
        token[row] = 0;
        token_type[row] = 0;
        position[row] = 0;
        sequence[row] = -1;
    }
    memcpy(logit_row, step->logit_rows, (size_t)step->n_logit_rows * sizeof *logit_row);
    for (int64_t row = step->n_logit_rows; row < n_logit_rows; row++) logit_row[row] = 0;
}

/* Of a group, that a sequence has in this step. */
static size_t pages_of(const struct step_data *data, const struct step *step, int group,
                       const struct step_sequence *sequence) {
    enum kv_kind kind = data->groups ? data->groups[group].kind : KV_GROWING;
    bool here = kind == KV_FIXED || (kind == KV_PASSING) == step->source;
    int64_t n = kind == KV_GROWING ? sequence->position + sequence->n_rows : sequence->n_source;
    return here ? (size_t)((n + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS) : 0;
}

/* Returns the pages in all. */
static size_t write_pages(const struct step_data *data, const struct step *step, uint8_t *block) {
    int32_t *pages = (int32_t *)(void *)(block + data->pages);
    uint32_t *pages_at = (uint32_t *)(void *)(block + data->pages_at);
    size_t n_pages = 0;
    for (int g = 0; g < data->n_groups; g++)
        for (int64_t s = 0; s < step->n_sequences; s++) {
            const struct step_sequence *sequence = &step->sequences[s];
            size_t n = pages_of(data, step, g, sequence);
            pages_at[g * data->max_sequences + s] = (uint32_t)n_pages;
            if (n) memcpy(pages + n_pages, sequence->pages[g], n * sizeof *pages);
            n_pages += n;
        }
    return n_pages;
}

static void write_samples(const struct step_data *data, const struct step *step, uint8_t *block) {
    struct sample_row *rows = (struct sample_row *)(void *)(block + data->samples);
    for (int64_t i = 0; i < step->n_samples; i++) {
        const struct step_sample *sample = &step->samples[i];
        rows[i] = (struct sample_row){.seed = sample->seed,
                                      .stream = sample->stream,
                                      .position = sample->position,
                                      .temperature = sample->temperature,
                                      .top_k = sample->top_k,
                                      .top_p = sample->top_p,
                                      .min_p = sample->min_p,
                                      .logits_row = (int32_t)sample->logit_row};
    }
}

static void write_pooled(const struct step_data *data, const struct step *step, uint8_t *block) {
    struct pool_sequence *pooled = (struct pool_sequence *)(void *)(block + data->pooled);
    for (int64_t i = 0; i < step->n_pooled; i++) {
        const struct step_sequence *sequence = &step->sequences[step->pooled[i]];
        pooled[i] = (struct pool_sequence){.first_row = (int32_t)sequence->first_row,
                                           .n_rows = (int32_t)sequence->n_rows,
                                           .begins = 1,
                                           .n_total = (int32_t)sequence->n_rows};
    }
}

bool step_data_adapts(const struct step *step) {
    if (step->source) return false;
    for (int64_t s = 0; s < step->n_sequences; s++)
        if (step->sequences[s].adapter) return true;
    return false;
}

/* A list of items being made. */
struct adapter_list {
    struct adapter_item *items;
    uint32_t n_items;
    struct step_adapter *adapters; /* those that there are so far */
    int64_t n_adapters;
};

static uint32_t add_item(struct adapter_list *list, const struct step_sequence *sequence) {
    const struct cuda_adapter *resident = sequence->adapter ? sequence->adapter->resident : NULL;
    list->items[list->n_items] =
        (struct adapter_item){.weights = resident ? resident->weights : NULL,
                              .scale = sequence->adapter ? sequence->adapter_scale : 0.0f};
    return list->n_items++;
}

/* Those of the sequence's adapter at its scale. */
static struct step_adapter *find_adapter(struct adapter_list *list,
                                         const struct step_sequence *sequence) {
    float scale = sequence->adapter ? sequence->adapter_scale : 0.0f;
    for (int64_t i = 0; i < list->n_adapters; i++) {
        struct step_adapter *adapter = &list->adapters[i];
        if (adapter->adapter == sequence->adapter && adapter->scale == scale) return adapter;
    }
    list->adapters[list->n_adapters] = (struct step_adapter){
        .adapter = sequence->adapter, .scale = scale, .item = add_item(list, sequence)};
    return &list->adapters[list->n_adapters++];
}

/* The rows [n] of the step, rows NULL: all, sorted by adapter, under their numbers among these n.
 * Returns how many items there are. */
static uint32_t write_items(const struct step_data *data, const struct step *step,
                            const int32_t *rows, int64_t n, uint8_t *block,
                            struct adapter_item *items) {
    const int32_t *sequence_of = (const int32_t *)(const void *)(block + data->sequence);
    struct adapter_list list = {.items = items, .adapters = data->adapters};
    struct step_adapter *adapter = NULL;
    int32_t last = -1;
    for (int64_t i = 0; i < n; i++) {
        int32_t s = sequence_of[rows ? rows[i] : i];
        const struct step_sequence *sequence = &step->sequences[s];
        if (s != last) adapter = find_adapter(&list, sequence);
        last = s;
        if (items[adapter->item].n_rows == ADAPTER_ITEM_ROWS)
            adapter->item = add_item(&list, sequence);
        struct adapter_item *item = &items[adapter->item];
        item->row[item->n_rows++] = (int32_t)i;
    }
    return list.n_items;
}

/* Sorted by adapter; counts [2]. */
static void write_adapters(const struct step_data *data, const struct step *step, uint8_t *block,
                           uint32_t *counts) {
    counts[0] = counts[1] = 0;
    if (!step_data_adapts(step)) return;
    counts[0] = write_items(data, step, NULL, step->n_rows, block,
                            (struct adapter_item *)(void *)(block + data->adapter_items));
    counts[1] = write_items(data, step, step->logit_rows, step->n_logit_rows, block,
                            (struct adapter_item *)(void *)(block + data->adapter_logit_items));
}

/* One copy with the range before, where that ends here. */
static void add_range(size_t offset, size_t bytes, struct step_range *ranges, int *n) {
    struct step_range *last = *n ? &ranges[*n - 1] : NULL;
    if (last && last->offset + last->bytes == offset)
        last->bytes += bytes;
    else if (bytes)
        ranges[(*n)++] = (struct step_range){.offset = offset, .bytes = bytes};
}

int step_data_write(struct step_data *data, const struct step *step, int64_t n_rows,
                    int64_t n_logit_rows, uint8_t *block, struct step_range *ranges) {
    int n = 0;
    uint32_t *n_items = (uint32_t *)(void *)(block + data->adapter_counts);
    write_rows(data, step, n_rows, n_logit_rows, block);
    write_adapters(data, step, block, n_items);
    add_range(0, data->fixed_bytes, ranges, &n);
    write_samples(data, step, block);
    add_range(data->samples, (size_t)step->n_samples * sizeof(struct sample_row), ranges, &n);
    write_pooled(data, step, block);
    add_range(data->pooled, (size_t)step->n_pooled * sizeof(struct pool_sequence), ranges, &n);
    add_range(data->adapter_items, n_items[0] * sizeof(struct adapter_item), ranges, &n);
    add_range(data->adapter_logit_items, n_items[1] * sizeof(struct adapter_item), ranges, &n);
    add_range(data->pages, write_pages(data, step, block) * sizeof(int32_t), ranges, &n);
    for (int i = 0; i < data->n_attentions; i++) {
        struct step_attention *attention = &data->attentions[i];
        struct attention_plan *plan = &attention->plan;
        uint32_t *counts = (uint32_t *)(void *)(block + attention->counts);
        plan->items = (struct attention_item *)(void *)(block + attention->items);
        plan->merges = (struct attention_merge_item *)(void *)(block + attention->merges);
        attention_plan_make(&attention->geometry, &attention->limits, step, plan);
        counts[0] = (uint32_t)plan->n_items;
        counts[1] = (uint32_t)plan->n_merges;
        add_range(attention->items, (size_t)plan->n_items * sizeof *plan->items, ranges, &n);
        add_range(attention->merges, (size_t)plan->n_merges * sizeof *plan->merges, ranges, &n);
    }
    return n;
}
