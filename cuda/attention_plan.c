#include "cuda/attention_plan.h"

/* Queries that are computed together: consecutive rows of one sequence, and the splits they see. */
struct tile {
    int32_t sequence;
    int64_t first_row, n_rows;
    int64_t first_split, end_split;
};

/* Walks the tiles of a step: of every sequence the last first, since that sees most. */
struct walk {
    const struct attention_geometry *geometry;
    const struct step *step;
    int64_t rows_per_item, sequence, n_done; /* so many of its tiles have been */
};

/* That a query at `position` sees. */
static int64_t last_key(const struct attention_geometry *geometry,
                        const struct step_sequence *sequence, int64_t position) {
    int64_t last = sequence->position + sequence->n_rows - 1, window = geometry->window;
    if (geometry->cross) return sequence->n_source - 1;
    if (!geometry->bidirectional) return position;
    return window && position + window - 1 < last ? position + window - 1 : last;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Of the sequence at hand. */
static void walk_tile(const struct walk *walk, int64_t index, struct tile *tile) {
    const struct step_sequence *sequence = &walk->step->sequences[walk->sequence];
    int64_t row = index * walk->rows_per_item, n_rows = sequence->n_rows - row;
    if (n_rows > walk->rows_per_item) n_rows = walk->rows_per_item;
    int64_t position = sequence->position + row, window = walk->geometry->window;
    int64_t first_key = window && position + 1 > window ? position + 1 - window : 0;
    *tile = (struct tile){
        .sequence = (int32_t)walk->sequence,
        .first_row = sequence->first_row + row,
        .n_rows = n_rows,
        .first_split = first_key / ATTENTION_SPLIT_KEYS,
        .end_split =
            last_key(walk->geometry, sequence, position + n_rows - 1) / ATTENTION_SPLIT_KEYS + 1,
    };
}

static bool walk_next(struct walk *walk, struct tile *tile) {
    for (; walk->sequence < walk->step->n_sequences; walk->sequence++, walk->n_done = 0) {
        int64_t n_rows = walk->step->sequences[walk->sequence].n_rows;
        int64_t n_tiles = ceil_div(n_rows, walk->rows_per_item);
        if (walk->n_done == n_tiles) continue;
        walk_tile(walk, n_tiles - 1 - walk->n_done++, tile);
        return true;
    }
    return false;
}

static struct walk walk_begin(const struct attention_geometry *geometry,
                              const struct attention_limits *limits, const struct step *step) {
    bool ours = geometry->of_source == step->source;
    return (struct walk){.geometry = geometry,
                         .step = step,
                         .rows_per_item = limits->rows_per_item,
                         .sequence = ours ? 0 : step->n_sequences};
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

static int64_t splits_of(const struct tile *tile) {
    return tile->end_split - tile->first_split;
}

/* Blocks take items in turn, so the long ones come first: those with least ... 2 least - 1 splits
 * after those with more. Tiles that are cut have more than any of the others. */
static void add_tiles(const struct attention_geometry *geometry,
                      const struct attention_limits *limits, const struct step *step, int64_t least,
                      int64_t length, int64_t *uncut, struct attention_plan *plan) {
    struct tile tile;
    for (struct walk walk = walk_begin(geometry, limits, step); walk_next(&walk, &tile);) {
        if (splits_of(&tile) / least != 1) continue;
        *uncut -= geometry->n_kv_heads * shares_of(geometry, limits, tile.n_rows);
        add_tile(geometry, limits, &tile, pieces_of(geometry, limits, plan, &tile, length, *uncut),
                 plan);
    }
}

void attention_plan_make(const struct attention_geometry *geometry,
                         const struct attention_limits *limits, const struct step *step,
                         struct attention_plan *plan) {
    struct tile tile;
    int64_t uncut = 0, n_splits = 0; /* items and splits to be done by one block each */
    int64_t most = 1;
    for (struct walk walk = walk_begin(geometry, limits, step); walk_next(&walk, &tile);) {
        int64_t items = geometry->n_kv_heads * shares_of(geometry, limits, tile.n_rows);
        uncut += items;
        n_splits += splits_of(&tile) * items;
        if (splits_of(&tile) > most) most = splits_of(&tile);
    }
    int64_t length = n_splits / limits->n_blocks, least = 1;
    if (length < 1) length = 1;
    while (2 * least <= most) least *= 2;
    plan->n_items = plan->n_merges = plan->n_slots = 0;
    for (; least; least /= 2) add_tiles(geometry, limits, step, least, length, &uncut, plan);
}
