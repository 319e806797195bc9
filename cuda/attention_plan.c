#include "cuda/attention_plan.h"

/* Queries that are computed together: consecutive rows of one sequence, and the splits they see. */
struct tile {
    int32_t sequence;
    int64_t first_row, n_rows;
    int64_t first_split, end_split;
};

/* Walks the tiles of a step. */
struct walk {
    const struct attention_geometry *geometry;
    const struct step *step;
    int64_t rows_per_item, sequence, row; /* the next tile begins there */
};

/* That a query at `position` sees. */
static int64_t last_key(const struct attention_geometry *geometry,
                        const struct step_sequence *sequence, int64_t position) {
    int64_t last = sequence->position + sequence->n_rows - 1, window = geometry->window;
    if (!geometry->bidirectional) return position;
    return window && position + window - 1 < last ? position + window - 1 : last;
}

static bool walk_next(struct walk *walk, struct tile *tile) {
    if (walk->sequence == walk->step->n_sequences) return false;
    const struct step_sequence *sequence = &walk->step->sequences[walk->sequence];
    int64_t n_rows = sequence->n_rows - walk->row, window = walk->geometry->window;
    if (n_rows > walk->rows_per_item) n_rows = walk->rows_per_item;
    int64_t position = sequence->position + walk->row;
    int64_t first_key = window && position + 1 > window ? position + 1 - window : 0;
    *tile = (struct tile){
        .sequence = (int32_t)walk->sequence,
        .first_row = sequence->first_row + walk->row,
        .n_rows = n_rows,
        .first_split = first_key / ATTENTION_SPLIT_KEYS,
        .end_split =
            last_key(walk->geometry, sequence, position + n_rows - 1) / ATTENTION_SPLIT_KEYS + 1,
    };
    walk->row += n_rows;
    if (walk->row == sequence->n_rows) {
        walk->row = 0;
        walk->sequence++;
    }
    return true;
}

static struct walk walk_begin(const struct attention_geometry *geometry,
                              const struct attention_limits *limits, const struct step *step) {
    return (struct walk){
        .geometry = geometry, .step = step, .rows_per_item = limits->rows_per_item};
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Queries of a KV head in so many rows. */
static int64_t queries_of(const struct attention_geometry *geometry, int64_t n_rows) {
    return n_rows * (geometry->n_heads / geometry->n_kv_heads);
}

/* Blocks that share the queries of a KV head: one row's may be more than a block computes at once,
 * and one after the other they would take as many times as long. */
static int64_t shares_of(const struct attention_geometry *geometry,
                         const struct attention_limits *limits, int64_t n_rows) {
    return ceil_div(queries_of(geometry, n_rows), limits->tile_queries);
}

int64_t attention_plan_least_items(const struct attention_geometry *geometry,
                                   const struct attention_limits *limits, int64_t n_rows,
                                   int64_t n_sequences) {
    int64_t tiles = n_rows / limits->rows_per_item + (n_sequences < n_rows ? n_sequences : n_rows);
    return tiles * geometry->n_kv_heads * shares_of(geometry, limits, limits->rows_per_item);
}

/* Pieces into which a tile is cut: of about `length` splits, one where lists or workspace are
 * full. */
static int64_t pieces_of(const struct attention_geometry *geometry,
                         const struct attention_limits *limits, const struct attention_plan *plan,
                         const struct tile *tile, int64_t length, int64_t uncut_items) {
    int64_t n_splits = tile->end_split - tile->first_split, heads = geometry->n_kv_heads;
    int64_t pieces = ceil_div(n_splits, length);
    int64_t items = pieces * heads * shares_of(geometry, limits, tile->n_rows);
    int64_t merges = heads * ceil_div(queries_of(geometry, tile->n_rows), ATTENTION_MERGE_QUERIES);
    int64_t slots = n_splits * tile->n_rows * geometry->n_heads;
    bool fits = plan->n_items + items + uncut_items <= limits->max_items &&
                plan->n_merges + merges <= limits->max_merges &&
                plan->n_slots + slots <= limits->max_slots;
    return fits ? pieces : 1;
}

/* The item's queries, shared out. */
static void add_items(const struct attention_limits *limits, struct attention_item item,
                      int64_t n_queries, struct attention_plan *plan) {
    for (int64_t first = 0; first < n_queries; first += limits->tile_queries) {
        int64_t rest = n_queries - first;
        item.first_query = (int32_t)first;
        item.n_queries = (int32_t)(rest < limits->tile_queries ? rest : limits->tile_queries);
        plan->items[plan->n_items++] = item;
    }
}

static void add_merges(struct attention_merge_item merge, int64_t n_queries,
                       struct attention_plan *plan) {
    for (int64_t first = 0; first < n_queries; first += ATTENTION_MERGE_QUERIES) {
        int64_t rest = n_queries - first;
        merge.first_query = (int32_t)first;
        merge.n_queries =
            (int32_t)(rest < ATTENTION_MERGE_QUERIES ? rest : ATTENTION_MERGE_QUERIES);
        plan->merges[plan->n_merges++] = merge;
    }
}

static void add_tile(const struct attention_geometry *geometry,
                     const struct attention_limits *limits, const struct tile *tile, int64_t pieces,
                     struct attention_plan *plan) {
    int64_t n_splits = tile->end_split - tile->first_split;
    int64_t n_queries = queries_of(geometry, tile->n_rows);
    for (int64_t head = 0; head < geometry->n_kv_heads; head++) {
        int64_t part = plan->n_slots;
        for (int64_t i = 0; i < pieces; i++) {
            int64_t before = n_splits * i / pieces, end = n_splits * (i + 1) / pieces;
            struct attention_item item = {
                .sequence = tile->sequence,
                .first_row = (int32_t)tile->first_row,
                .n_rows = (int32_t)tile->n_rows,
                .kv_head = (int32_t)head,
                .first_split = (int32_t)(tile->first_split + before),
                .end_split = (int32_t)(tile->first_split + end),
                .part = pieces == 1 ? -1 : (int32_t)(part + before * n_queries),
            };
            add_items(limits, item, n_queries, plan);
        }
        if (pieces == 1) continue;
        plan->n_slots += n_splits * n_queries;
        struct attention_merge_item merge = {
            .first_row = (int32_t)tile->first_row,
            .n_rows = (int32_t)tile->n_rows,
            .kv_head = (int32_t)head,
            .part = (int32_t)part,
            .n_splits = (int32_t)n_splits,
        };
        add_merges(merge, n_queries, plan);
    }
}

void attention_plan_make(const struct attention_geometry *geometry,
                         const struct attention_limits *limits, const struct step *step,
                         struct attention_plan *plan) {
    struct tile tile;
    int64_t uncut = 0, n_splits = 0; /* items and splits to be done by one block each */
    for (struct walk walk = walk_begin(geometry, limits, step); walk_next(&walk, &tile);) {
        int64_t items = geometry->n_kv_heads * shares_of(geometry, limits, tile.n_rows);
        uncut += items;
        n_splits += (tile.end_split - tile.first_split) * items;
    }
    int64_t length = n_splits / limits->n_blocks;
    if (length < 1) length = 1;
    plan->n_items = plan->n_merges = plan->n_slots = 0;
    for (struct walk walk = walk_begin(geometry, limits, step); walk_next(&walk, &tile);) {
        uncut -= geometry->n_kv_heads * shares_of(geometry, limits, tile.n_rows);
        add_tile(geometry, limits, &tile, pieces_of(geometry, limits, plan, &tile, length, uncut),
                 plan);
    }
}
