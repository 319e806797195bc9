#include "tokenizer/export.h"

#include <stdio.h>
#include <string.h>

#include "format/metadata_table.h"
#include "tokenizer/sentencepiece.h"

#define EMBEDDED_MAX_BYTES ((uint64_t)256 << 20)
static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */
enum { MOST_RULES = 96, MOST_WORD_CHARACTERS = 100 };

/* One of GGUF's kinds of tokenizers that may give the same tokens. */
struct choice {
    const char *model, *pre;         /* pre NULL: of the kind itself */
    bool space_prefix, merge_spaces; /* of the kinds that read them */
};

struct maker {
    struct memory *memory;
    const struct tokenizer *tokenizer;
    const struct pipeline *pipeline;
    uint32_t n_vocab;
    struct arena arena; /* of the keys that are tried */
    struct metadata_table table;
};

static bool is(const char *text, const char *other) {
    return strcmp(text, other) == 0;
}

static struct metadata_maker metadata_of(struct maker *maker) {
    return (struct metadata_maker){&maker->table, &maker->arena};
}

/* ---- tokens ---- */

static const struct added_token *added_of(const struct maker *maker, uint32_t id) {
    return id < maker->pipeline->vocab.n ? maker->pipeline->added_of[id] : NULL;
}

static bool is_token(const struct maker *maker, uint32_t id) {
    const struct vocab *vocab = &maker->pipeline->vocab;
    return id < vocab->n && (added_of(maker, id) || vocab->kinds[id] != TOKEN_UNUSED);
}

static int32_t unknown_of(const struct pipeline *pipeline) {
    switch (pipeline->model) {
    case PIPELINE_BPE:
    case PIPELINE_BPE_BYTES:
        return pipeline->bpe.unknown;
    case PIPELINE_WORDPIECE:
        return pipeline->pieces.unknown;
    default:
        return pipeline->unknown;
    }
}

static bool has_bytes(const struct pipeline *pipeline) {
    return pipeline->bpe.byte_fallback && pipeline->model != PIPELINE_BPE_BYTES;
}

static enum token_kind kind_of(const struct maker *maker, uint32_t id) {
    const struct added_token *added = added_of(maker, id);
    const struct pipeline *pipeline = maker->pipeline;
    if (!is_token(maker, id)) return TOKEN_UNUSED;
    if ((int32_t)id == unknown_of(pipeline) && pipeline->model != PIPELINE_WORDPIECE)
        return TOKEN_UNKNOWN;
    if (added) return added->flags & ADDED_SPECIAL ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    if (has_bytes(pipeline) && sentencepiece_byte(vocab_text(&pipeline->vocab, id)) >= 0)
        return TOKEN_BYTE;
    return TOKEN_NORMAL;
}

/* A token's text as GGUF has it; buffer [32] where none is there. A place without a token gets a
 * name, for the format wants one for each row of the embedding. WordPiece: pieces that start a word
 * have U+2581 before them, others no ##; *mark: the former. */
static struct text text_of(const struct maker *maker, uint32_t id, char *buffer, bool *mark) {
    const struct pipeline *pipeline = maker->pipeline;
    struct text prefix = pipeline->bpe.prefix;
    *mark = false;
    if (!is_token(maker, id)) {
        int n = snprintf(buffer, 32, "[PAD%" PRIu32 "]", id);
        return (struct text){buffer, (size_t)n};
    }
    struct text text = vocab_text(&pipeline->vocab, id);
    if (pipeline->model != PIPELINE_WORDPIECE || kind_of(maker, id) == TOKEN_CONTROL) return text;
    bool goes_on = prefix.length <= text.length && prefix.length > 0 &&
                   memcmp(text.data, prefix.data, prefix.length) == 0;
    *mark = !goes_on;
    return goes_on ? (struct text){text.data + prefix.length, text.length - prefix.length} : text;
}

static status put_texts(struct maker *maker) {
    const struct metadata_maker metadata = metadata_of(maker);
    const size_t mark_bytes = sizeof space_mark - 1;
    size_t size = 0, at = 0;
    char buffer[32], *bytes;
    bool mark;
    for (uint32_t id = 0; id < maker->n_vocab; id++)
        size += sizeof(uint64_t) + text_of(maker, id, buffer, &mark).length + mark_bytes;
    TRY(MEMORY_TAKE(maker->memory, size, "a vocabulary", &bytes));
    for (uint32_t id = 0; id < maker->n_vocab; id++) {
        struct text text = text_of(maker, id, buffer, &mark);
        uint64_t length = text.length + (mark ? mark_bytes : 0);
        memcpy(bytes + at, &length, sizeof length);
        at += sizeof length;
        if (mark) memcpy(bytes + at, space_mark, mark_bytes);
        if (text.length) memcpy(bytes + at + (mark ? mark_bytes : 0), text.data, text.length);
        at += (size_t)length;
    }
    status result = metadata_put_array(&metadata, "tokenizer.ggml.tokens", METADATA_STRING,
                                       maker->n_vocab, bytes, at);
    memory_give(maker->memory, bytes);
    return result;
}

static status put_kinds(struct maker *maker) {
    const struct metadata_maker metadata = metadata_of(maker);
    int32_t *kinds;
    TRY(MEMORY_TAKE_ARRAY(maker->memory, maker->n_vocab, "a vocabulary", &kinds));
    for (uint32_t id = 0; id < maker->n_vocab; id++) kinds[id] = (int32_t)kind_of(maker, id);
    status result = metadata_put_array(&metadata, "tokenizer.ggml.token_type", METADATA_I32,
                                       maker->n_vocab, kinds, maker->n_vocab * sizeof *kinds);
    memory_give(maker->memory, kinds);
    return result;
}

/* ---- merges and scores ---- */

/* Merges by their ranks; *n of them. */
static status sort_merges(const struct maker *maker, const struct bpe_merge ***merges, size_t *n) {
    const struct bpe *bpe = &maker->pipeline->bpe.bpe;
    uint32_t most = 0;
    size_t kept = 0;
    for (size_t i = 0; i <= bpe->mask; i++)
        if (bpe->slots[i].id && bpe->slots[i].rank >= most) most = bpe->slots[i].rank + 1;
    TRY(MEMORY_TAKE_ARRAY(maker->memory, (size_t)most + 1, "the merges", merges));
    memset(*merges, 0, ((size_t)most + 1) * sizeof **merges);
    for (size_t i = 0; i <= bpe->mask; i++)
        if (bpe->slots[i].id) (*merges)[bpe->slots[i].rank] = &bpe->slots[i];
    for (uint32_t i = 0; i < most; i++)
        if ((*merges)[i]) (*merges)[kept++] = (*merges)[i];
    *n = kept;
    return OK;
}

/* "left right". *can: no text has a space. */
static status write_merges(struct maker *maker, const struct bpe_merge *const *merges, size_t n,
                           bool *can) {
    const struct metadata_maker metadata = metadata_of(maker);
    const struct vocab *vocab = &maker->pipeline->vocab;
    size_t size = 0, at = 0;
    char *bytes;
    *can = true;
    for (size_t i = 0; i < n; i++)
        size += sizeof(uint64_t) + vocab_text(vocab, merges[i]->left).length +
                vocab_text(vocab, merges[i]->right).length + 1;
    TRY(MEMORY_TAKE(maker->memory, size + 1, "the merges", &bytes));
    for (size_t i = 0; i < n && *can; i++) {
        struct text parts[] = {vocab_text(vocab, merges[i]->left),
                               vocab_text(vocab, merges[i]->right)};
        uint64_t length = parts[0].length + parts[1].length + 1;
        memcpy(bytes + at, &length, sizeof length);
        at += sizeof length;
        for (int k = 0; k < 2; k++) {
            *can = *can && parts[k].length && !memchr(parts[k].data, ' ', parts[k].length);
            memcpy(bytes + at, parts[k].data, parts[k].length);
            at += parts[k].length;
            if (k == 0) bytes[at++] = ' ';
        }
    }
    status result = OK;
    if (*can)
        result =
            metadata_put_array(&metadata, "tokenizer.ggml.merges", METADATA_STRING, n, bytes, at);
    memory_give(maker->memory, bytes);
    return result;
}

/* SentencePiece joins the pair whose piece has the highest score: less than 0 by the rank of the
 * first merge that makes it. */
static status write_ranks(struct maker *maker, const struct bpe_merge *const *merges, size_t n) {
    const struct metadata_maker metadata = metadata_of(maker);
    float *scores;
    TRY(MEMORY_TAKE_ARRAY(maker->memory, maker->n_vocab, "scores", &scores));
    for (uint32_t id = 0; id < maker->n_vocab; id++) scores[id] = -1e9f;
    for (size_t i = n; i-- > 0;)
        if (merges[i]->id <= maker->n_vocab) scores[merges[i]->id - 1] = -(float)i;
    status result = metadata_put_array(&metadata, "tokenizer.ggml.scores", METADATA_F32,
                                       maker->n_vocab, scores, maker->n_vocab * sizeof *scores);
    memory_give(maker->memory, scores);
    return result;
}

static status put_bpe(struct maker *maker, bool scores, bool *can) {
    const struct bpe_merge **merges;
    size_t n;
    TRY(sort_merges(maker, &merges, &n));
    status result = scores ? write_ranks(maker, merges, n) : write_merges(maker, merges, n, can);
    memory_give(maker->memory, merges);
    return result;
}

/* Of Unigram, in f32. */
static status put_scores(struct maker *maker) {
    const struct metadata_maker metadata = metadata_of(maker);
    const struct pipeline *pipeline = maker->pipeline;
    float *scores;
    TRY(MEMORY_TAKE_ARRAY(maker->memory, maker->n_vocab, "scores", &scores));
    for (uint32_t id = 0; id < maker->n_vocab; id++)
        scores[id] = id < pipeline->n_model ? (float)pipeline->unigram.scores[id].score : 0;
    status result = metadata_put_array(&metadata, "tokenizer.ggml.scores", METADATA_F32,
                                       maker->n_vocab, scores, maker->n_vocab * sizeof *scores);
    memory_give(maker->memory, scores);
    return result;
}

static const struct normalize_step *find_normalizer(const struct pipeline *pipeline,
                                                    enum normalize_kind kind) {
    for (size_t i = 0; i < pipeline->n_normalizers; i++)
        if (pipeline->normalizers[i].kind == kind) return &pipeline->normalizers[i];
    return NULL;
}

/* SentencePiece's map: u32 bytes of its units, the units, the texts. */
static status put_charsmap(struct maker *maker) {
    const struct metadata_maker metadata = metadata_of(maker);
    const struct normalize_step *step = find_normalizer(maker->pipeline, NORMALIZE_PRECOMPILED);
    if (!step || step->precompiled.n_units == 0) return OK;
    const struct precompiled *map = &step->precompiled;
    /* they lie one behind the other, as they were read */
    const uint8_t *first = map->units - sizeof(uint32_t);
    size_t size = sizeof(uint32_t) + (size_t)map->n_units * sizeof(uint32_t) + map->n_texts;
    return metadata_put_array(&metadata, "tokenizer.ggml.precompiled_charsmap", METADATA_U8, size,
                              first, size);
}

/* ---- special tokens ---- */

/* The one token on a side of a text, -1: none. False: there are more, or other parts. */
static bool tokens_around(const struct pipeline *pipeline, int32_t around[2]) {
    int side = 0;
    around[0] = around[1] = -1;
    for (size_t i = 0; i < pipeline->single.n; i++) {
        const struct template_part *part = &pipeline->single.parts[i];
        if (part->what != TEMPLATE_TOKENS) {
            if (side++ || part->what != TEMPLATE_FIRST) return false;
        } else if (part->n > 1 || around[side] >= 0) {
            return false;
        } else if (part->n == 1) {
            around[side] = part->ids[0];
        }
    }
    return side == 1;
}

/* *can: the tokens around a text are those that GGUF has names for. */
static status put_special(struct maker *maker, bool *can) {
    static const char *const keys[] = {
        [TRANSFORMER_TOKEN_BEGIN] = "tokenizer.ggml.bos_token_id",
        [TRANSFORMER_TOKEN_END] = "tokenizer.ggml.eos_token_id",
        [TRANSFORMER_TOKEN_END_OF_TURN] = "tokenizer.ggml.eot_token_id",
        [TRANSFORMER_TOKEN_UNKNOWN] = "tokenizer.ggml.unknown_token_id",
        [TRANSFORMER_TOKEN_SEPARATOR] = "tokenizer.ggml.seperator_token_id", /* GGUF spells it so */
        [TRANSFORMER_TOKEN_PADDING] = "tokenizer.ggml.padding_token_id",
        [TRANSFORMER_TOKEN_CLASSIFY] = "tokenizer.ggml.cls_token_id",
        [TRANSFORMER_TOKEN_MASK] = "tokenizer.ggml.mask_token_id",
    };
    enum { N_KEYS = sizeof keys / sizeof *keys };
    const struct metadata_maker metadata = metadata_of(maker);
    bool words = maker->pipeline->model == PIPELINE_WORDPIECE;
    int32_t ids[N_KEYS], around[2];
    size_t n_ends;
    const int32_t *ends = tokenizer_end_tokens(maker->tokenizer, &n_ends);
    for (int kind = 1; kind < N_KEYS; kind++) ids[kind] = tokenizer_special(maker->tokenizer, kind);
    *can = tokens_around(maker->pipeline, around) && (!words || (around[0] >= 0 && around[1] >= 0));
    if (!*can) return OK;
    if (unknown_of(maker->pipeline) >= 0)
        ids[TRANSFORMER_TOKEN_UNKNOWN] = unknown_of(maker->pipeline);
    int32_t *begin = &ids[TRANSFORMER_TOKEN_BEGIN], *end = &ids[TRANSFORMER_TOKEN_END];
    if (words) {
        ids[TRANSFORMER_TOKEN_CLASSIFY] = *begin = around[0];
        ids[TRANSFORMER_TOKEN_SEPARATOR] = around[1];
    } else if (around[1] >= 0 && *end < 0) {
        *end = around[1];
    }
    if (around[0] >= 0 && *begin < 0) *begin = around[0];
    if (*end < 0 && n_ends > 0) *end = ends[0];
    *can = (around[0] < 0 || around[0] == *begin) &&
           (around[1] < 0 || around[1] == (words ? ids[TRANSFORMER_TOKEN_SEPARATOR] : *end));
    /* readers that know two ends know most models' */
    for (size_t i = 0; i < n_ends && ids[TRANSFORMER_TOKEN_END_OF_TURN] < 0; i++)
        if (ends[i] != *end) ids[TRANSFORMER_TOKEN_END_OF_TURN] = ends[i];
    for (int kind = 1; kind < N_KEYS; kind++)
        if (ids[kind] >= 0 && (uint32_t)ids[kind] < maker->n_vocab)
            TRY(metadata_put_i64(&metadata, keys[kind], ids[kind]));
    TRY(metadata_put_bool(&metadata, "tokenizer.ggml.add_bos_token", around[0] >= 0));
    return metadata_put_bool(&metadata, "tokenizer.ggml.add_eos_token", around[1] >= 0);
}

/* ---- one choice ---- */

static status put_rules(struct maker *maker, const struct choice *choice, bool *can) {
    const struct metadata_maker metadata = metadata_of(maker);
    const struct pipeline *pipeline = maker->pipeline;
    if (is(choice->model, "bert")) {
        bool marks = find_normalizer(pipeline, NORMALIZE_STRIP_NONSPACING) ||
                     find_normalizer(pipeline, NORMALIZE_STRIP_MARKS);
        bool chinese = find_normalizer(pipeline, NORMALIZE_SPACE_CHINESE);
        TRY(metadata_put_bool(&metadata, "tokenizer.ggml.normalizer.lowercase",
                              find_normalizer(pipeline, NORMALIZE_LOWERCASE)));
        TRY(metadata_put_bool(&metadata, "tokenizer.ggml.normalizer.strip_accents", marks));
        /* these two are no keys: other readers always do so */
        *can = *can && chinese && pipeline->pieces.most_characters == MOST_WORD_CHARACTERS;
        return OK;
    }
    if (choice->pre) {
        TRY(metadata_put_text(&metadata, "tokenizer.ggml.pre",
                              (struct text){choice->pre, strlen(choice->pre)}));
        if (find_normalizer(pipeline, NORMALIZE_NFC))
            TRY(metadata_put_bool(&metadata, "tokenizer.bpe.compose", true));
        return put_bpe(maker, false, can);
    }
    if (is(choice->model, "gemma4")) return put_bpe(maker, false, can);
    TRY(metadata_put_bool(&metadata, "tokenizer.ggml.add_space_prefix", choice->space_prefix));
    if (is(choice->model, "llama")) return put_bpe(maker, true, can);
    TRY(metadata_put_bool(&metadata, "tokenizer.ggml.remove_extra_whitespaces",
                          choice->merge_spaces));
    TRY(put_charsmap(maker));
    return put_scores(maker);
}

static void drop(struct maker *maker) {
    memory_give(maker->memory, maker->table.items);
    maker->table = (struct metadata_table){0};
    arena_free(&maker->arena);
}

static status put_choice(struct maker *maker, const struct choice *choice, bool *can) {
    const struct metadata_maker metadata = metadata_of(maker);
    struct text model = {choice->model, strlen(choice->model)};
    *can = true;
    TRY(metadata_put_text(&metadata, "tokenizer.ggml.model", model));
    TRY(put_special(maker, can));
    if (*can) TRY(put_texts(maker));
    if (*can) TRY(put_kinds(maker));
    return *can ? put_rules(maker, choice, can) : OK;
}

/* Whether what was put is a tokenizer that gives the same tokens. */
static status compare(struct maker *maker, bool *same, bool *special) {
    struct metadata_table table = {.count = maker->table.count, .capacity = maker->table.count};
    struct checkpoint *keys = NULL;
    struct tokenizer *other = NULL;
    *same = *special = false;
    TRY(MEMORY_TAKE_ARRAY(maker->memory, table.count, "the metadata's table", &table.items));
    memcpy(table.items, maker->table.items, table.count * sizeof *table.items);
    status result = checkpoint_of_metadata(maker->memory, "the tokenizer", &table, &keys);
    memory_give(maker->memory, table.items);
    if (result == OK) result = tokenizer_open(maker->memory, keys, maker->n_vocab, &other);
    if (result == OK && other)
        result = probe_same(maker->memory, maker->tokenizer, other, false, same);
    if (result == OK && *same)
        result = probe_same(maker->memory, maker->tokenizer, other, true, special);
    tokenizer_close(other);
    checkpoint_close(keys);
    return result;
}

/* *can: the table has the keys of this choice, and they are right. */
static status try_choice(struct maker *maker, const struct choice *choice, bool *can,
                         bool *special) {
    char before[STATUS_TEXT_BYTES];
    status_save(before);
    status result = put_choice(maker, choice, can);
    if (result == OK && *can) result = compare(maker, can, special);
    if (result != OK && result != OUT_OF_MEMORY) {
        status_restore(before); /* it is none of this kind */
        *can = false;
        result = OK;
    }
    if (result != OK || !*can) drop(maker);
    return result;
}

/* ---- which choices there are ---- */

static size_t list_choices(const struct pipeline *pipeline, struct choice *choices) {
    static const struct choice pieces[] = {{"llama", NULL, true, false},
                                           {"llama", NULL, false, false},
                                           {"gemma4", NULL, false, false}};
    static const struct choice unigram[] = {{"t5", NULL, true, true},
                                            {"t5", NULL, true, false},
                                            {"t5", NULL, false, true},
                                            {"t5", NULL, false, false}};
    static const struct choice words[] = {{"bert", NULL, false, false}};
    const struct choice *from = NULL;
    size_t n = 0;
    if (pipeline->model == PIPELINE_BPE && pipeline->bpe.byte_fallback) {
        from = pieces;
        n = sizeof pieces / sizeof *pieces;
    } else if (pipeline->model == PIPELINE_UNIGRAM) {
        from = unigram;
        n = sizeof unigram / sizeof *unigram;
    } else if (pipeline->model == PIPELINE_WORDPIECE) {
        from = words;
        n = 1;
    }
    if (n) memcpy(choices, from, n * sizeof *choices);
    return n;
}

static status list(struct maker *maker, struct choice *choices, size_t *n) {
    const struct pipeline *pipeline = maker->pipeline;
    const struct pretokenizer *rules[MOST_RULES];
    char before[STATUS_TEXT_BYTES];
    *n = list_choices(pipeline, choices);
    bool composes = pipeline->n_normalizers == 1 && find_normalizer(pipeline, NORMALIZE_NFC);
    if (pipeline->model != PIPELINE_BPE_BYTES || (pipeline->n_normalizers > 0 && !composes))
        return OK;
    status_save(before);
    status result = probe_pretokenizers(maker->memory, pipeline, rules, MOST_RULES, n);
    if (result != OK && result != OUT_OF_MEMORY) { /* a regex beyond its limits */
        status_restore(before);
        *n = 0;
        return OK;
    }
    for (size_t i = 0; result == OK && i < *n; i++)
        choices[i] = (struct choice){.model = "gpt2", .pre = rules[i]->name};
    return result;
}

static status choose(struct maker *maker, const struct log *log) {
    struct choice choices[MOST_RULES];
    size_t n;
    bool can = false, special = false;
    TRY(list(maker, choices, &n));
    for (size_t i = 0; i < n && !can; i++) TRY(try_choice(maker, &choices[i], &can, &special));
    if (!can)
        log_line(log, TRANSFORMER_LOG_WARNING,
                 "no tokenizer of GGUF gives the tokens of tokenizer.json: other readers of the "
                 "file than this library have token ids only");
    else if (!special)
        log_line(log, TRANSFORMER_LOG_WARNING,
                 "around tokens that stand written out in a text, other readers of the file than "
                 "this library may give other tokens than tokenizer.json");
    return OK;
}

/* ---- all of it ---- */

/* The files as they are; one that isn't there is an empty object, so that a reader knows. */
static status embed(struct memory *memory, struct checkpoint *checkpoint,
                    const struct metadata_maker *metadata, bool *found) {
    char before[STATUS_TEXT_BYTES];
    *found = false;
    for (size_t i = 0; i < checkpoint_n_embedded; i++) {
        struct text text = {"{}", 2};
        void *bytes = NULL;
        size_t size;
        status_save(before);
        status result = checkpoint_read_file(checkpoint, checkpoint_embedded[i].file,
                                             EMBEDDED_MAX_BYTES, memory, &bytes, &size);
        if (result == NOT_FOUND) {
            status_restore(before);
            if (i == 0) return OK;
        } else {
            TRY(result);
            text = (struct text){bytes, size};
        }
        *found = true;
        result = metadata_put_text(metadata, checkpoint_embedded[i].key, text);
        memory_give(memory, bytes);
        TRY(result);
    }
    return OK;
}

static status add_keys(const struct metadata_maker *metadata, const struct maker *maker) {
    for (size_t i = 0; i < maker->table.count; i++)
        TRY(metadata_add(metadata, &maker->table.items[i]));
    return OK;
}

static status make(struct maker *maker, const struct log *log, struct checkpoint *checkpoint,
                   int64_t n_vocab, struct tokenizer_export *export) {
    struct metadata_table table = {0};
    const struct metadata_maker metadata = {&table, &export->arena};
    bool found;
    status result = embed(maker->memory, checkpoint, &metadata, &found);
    if (result == OK && found && maker->pipeline) result = choose(maker, log);
    if (result == OK) result = add_keys(&metadata, maker);
    if (result == OK && !found)
        result = export_padded(maker->memory, checkpoint, n_vocab, &metadata);
    if (result == OK && table.count > 0)
        result = checkpoint_of_metadata(maker->memory, "the tokenizer", &table, &export->keys);
    memory_give(maker->memory, table.items);
    return result;
}

status tokenizer_export(struct memory *memory, const struct log *log, struct checkpoint *checkpoint,
                        const struct tokenizer *tokenizer, int64_t n_vocab,
                        struct tokenizer_export *export) {
    struct maker maker = {.memory = memory, .tokenizer = tokenizer, .arena = {.memory = memory}};
    *export = (struct tokenizer_export){.arena = {.memory = memory}};
    if (checkpoint_metadata(checkpoint, checkpoint_embedded[0].key)) return OK; /* it is there */
    maker.pipeline = tokenizer ? tokenizer_pipeline(tokenizer) : NULL;
    maker.n_vocab = n_vocab < INT32_MAX ? (uint32_t)n_vocab : 0;
    status result = make(&maker, log, checkpoint, n_vocab, export);
    drop(&maker);
    return result;
}

void tokenizer_export_close(struct tokenizer_export *export) {
    checkpoint_close(export->keys);
    arena_free(&export->arena);
}
