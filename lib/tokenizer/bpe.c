#include "tokenizer/bpe.h"

#include "tokenizer/byte_level.h"
#include "tokenizer/merge.h"
#include "tokenizer/utf8.h"

/* Of a token whose splits are tried: quadratic in it. */
enum { MOST_RANK_BYTES = 4096 };

static const char merges_key[] = "tokenizer.ggml.merges";

static uint32_t hash_pair(uint32_t left, uint32_t right) {
    uint64_t key = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(key >> 32);
}

static const struct bpe_merge *find_merge(const struct bpe *bpe, uint32_t left, uint32_t right) {
    uint32_t at = hash_pair(left, right) & bpe->mask;
    for (; bpe->slots[at].id != 0; at = (at + 1) & bpe->mask)
        if (bpe->slots[at].left == left && bpe->slots[at].right == right) break;
    return &bpe->slots[at];
}

void bpe_put(struct bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t joined,
             bool later) {
    const struct bpe_merge *slot = find_merge(bpe, left, right);
    if (slot->id == 0 || later)
        bpe->slots[slot - bpe->slots] = (struct bpe_merge){left, right, rank, joined + 1};
}

static status take_slots(struct bpe *bpe, uint64_t n_merges) {
    uint64_t n_slots = 16;
    while (n_slots * 3 < n_merges * 4) n_slots *= 2;
    bpe->mask = (uint32_t)(n_slots - 1);
    return MEMORY_TAKE_ARRAY(bpe->memory, n_slots, "the merges", &bpe->slots);
}

static status bad_merge(const struct checkpoint *checkpoint, uint64_t index, const char *what) {
    return fail(FORMAT, "%s: '%s' %" PRIu64 " %s", checkpoint_name(checkpoint), merges_key, index,
                what);
}

/* joined [2 * longest]. The merge's text is "LEFT RIGHT". */
static status read_merge(const struct checkpoint *checkpoint, struct bpe *bpe, uint64_t index,
                         struct text text, char *joined) {
    const struct vocab *vocab = bpe->vocab;
    const char *space = text.length > 1 ? memchr(text.data + 1, ' ', text.length - 1) : NULL;
    if (!space) return bad_merge(checkpoint, index, "is not two pieces");
    size_t n_left = (size_t)(space - text.data), n_right = text.length - n_left - 1;
    int32_t left = vocab_find(vocab, text.data, n_left);
    int32_t right = vocab_find(vocab, space + 1, n_right);
    if (left < 0 || right < 0)
        return bad_merge(checkpoint, index, "names a piece that is no token");
    memcpy(joined, text.data, n_left);
    memcpy(joined + n_left, space + 1, n_right);
    int32_t id = vocab_find(vocab, joined, n_left + n_right);
    if (id < 0) return bad_merge(checkpoint, index, "makes a piece that is no token");
    bpe_put(bpe, (uint32_t)left, (uint32_t)right, (uint32_t)index, (uint32_t)id, false);
    return OK;
}

static status read_merges(const struct checkpoint *checkpoint, struct bpe *bpe) {
    const struct metadata *merges = checkpoint_metadata(checkpoint, merges_key);
    if (!merges) return fail(FORMAT, "%s: no '%s'", checkpoint_name(checkpoint), merges_key);
    if (merges->kind != METADATA_ARRAY || merges->element != METADATA_STRING ||
        merges->count > INT32_MAX / 2)
        return fail(FORMAT, "%s: '%s' is not an array of at most %d strings",
                    checkpoint_name(checkpoint), merges_key, INT32_MAX / 2);
    TRY(take_slots(bpe, merges->count));
    char *joined;
    TRY(MEMORY_TAKE(bpe->memory, 2 * (size_t)bpe->vocab->longest, "the merges", &joined));
    status result = OK;
    const uint8_t *cursor = merges->values;
    for (uint64_t i = 0; i < merges->count && result == OK; i++)
        result = read_merge(checkpoint, bpe, i, checkpoint_next_string(&cursor), joined);
    memory_give(bpe->memory, joined);
    return result;
}

/* All ways to cut a token's text into two tokens: joined in the order of the tokens' numbers. */
static void add_splits(struct bpe *bpe, uint32_t id, bool count, uint64_t *n) {
    const struct vocab *vocab = bpe->vocab;
    struct text text = vocab_text(vocab, id);
    if (vocab_find_plain(vocab, text.data, text.length) != (int32_t)id) return;
    for (size_t at = 1; at < text.length; at++) {
        if (((uint8_t)text.data[at] & 0xc0) == 0x80) continue;
        int32_t left = vocab_find_plain(vocab, text.data, at);
        if (left < 0) continue;
        int32_t right = vocab_find_plain(vocab, text.data + at, text.length - at);
        if (right < 0) continue;
        ++*n;
        if (count) continue;
        const struct bpe_merge *slot = find_merge(bpe, (uint32_t)left, (uint32_t)right);
        bpe->slots[slot - bpe->slots] =
            (struct bpe_merge){(uint32_t)left, (uint32_t)right, id, id + 1};
    }
}

/* Ranks of tiktoken: of all neighbours that are a token together the one of the lowest number is
 * joined. */
static status make_merges(const struct checkpoint *checkpoint, struct bpe *bpe) {
    uint64_t n = 0;
    if (bpe->vocab->longest > MOST_RANK_BYTES)
        return fail(UNSUPPORTED, "%s: a token of %" PRIu32 " bytes, up to %d are supported",
                    checkpoint_name(checkpoint), bpe->vocab->longest, MOST_RANK_BYTES);
    for (uint32_t id = 0; id < bpe->vocab->n; id++) add_splits(bpe, id, true, &n);
    TRY(take_slots(bpe, n));
    for (uint32_t id = 0; id < bpe->vocab->n; id++) add_splits(bpe, id, false, &n);
    return OK;
}

static void start(struct memory *memory, const struct vocab *vocab, struct bpe *bpe) {
    *bpe = (struct bpe){.vocab = vocab, .memory = memory};
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[4];
        unsigned n = utf8_encode(byte_level_character(byte), text);
        bpe->bytes[byte] = vocab_find_plain(vocab, text, n);
    }
}

status bpe_start(struct memory *memory, const struct vocab *vocab, uint64_t n_merges,
                 struct bpe *bpe) {
    start(memory, vocab, bpe);
    if (n_merges > INT32_MAX / 2)
        return fail(UNSUPPORTED, "%" PRIu64 " merges; up to %d are possible", n_merges,
                    INT32_MAX / 2);
    return take_slots(bpe, n_merges);
}

status bpe_open(struct memory *memory, const struct checkpoint *checkpoint,
                const struct vocab *vocab, struct bpe *bpe) {
    start(memory, vocab, bpe);
    bool ranks = false;
    status result = checkpoint_read_bool(checkpoint, "tokenizer.bpe.ranks", &(bool){0}, &ranks);
    if (result == OK) result = ranks ? make_merges(checkpoint, bpe) : read_merges(checkpoint, bpe);
    if (result != OK) bpe_close(bpe);
    return result;
}

void bpe_close(struct bpe *bpe) {
    memory_give(bpe->memory, bpe->slots);
    bpe->slots = NULL;
}

static uint32_t rank(const void *rules, uint32_t left, uint32_t right, uint32_t after) {
    (void)after;
    const struct bpe_merge *merge = find_merge(rules, left, right);
    return merge->id != 0 ? merge->rank : MERGE_NEVER;
}

static uint32_t join(const void *rules, uint32_t left, uint32_t right) {
    return find_merge(rules, left, right)->id - 1;
}

status bpe_join(const struct bpe *bpe, struct encoder *encoder, size_t n) {
    const struct merge_rules rules = {rank, join, bpe};
    TRY(merge_run(&rules, encoder->memory, encoder->values, &n));
    for (size_t i = 0; i < n; i++) encoder_push(encoder, (int32_t)encoder->values[i]);
    return OK;
}

/* *id: the token that is the whole word; -1: none. */
static status whole_word(const struct bpe *bpe, struct encoder *encoder, const uint8_t *word,
                         size_t length, int32_t *id) {
    *id = -1;
    if (length > bpe->vocab->longest) return OK;
    TRY(encoder_bytes(encoder, 2 * length));
    *id = vocab_find_plain(bpe->vocab, encoder->bytes,
                           byte_level_write(word, length, encoder->bytes));
    return OK;
}

status bpe_encode_word(const struct bpe *bpe, struct encoder *encoder, const uint8_t *word,
                       size_t length) {
    if (bpe->whole_words) {
        int32_t id;
        TRY(whole_word(bpe, encoder, word, length, &id));
        if (id >= 0) {
            encoder_push(encoder, id);
            return OK;
        }
    }
    TRY(encoder_values(encoder, length + 1));
    uint32_t *values = encoder->values;
    size_t n = 0;
    for (size_t i = 0; i < length; i++)
        if (bpe->bytes[word[i]] >= 0) values[n++] = (uint32_t)bpe->bytes[word[i]];
    values[n] = 0;
    return bpe_join(bpe, encoder, n);
}

size_t bpe_decode(struct text text, char *out) {
    const uint8_t *data = (const uint8_t *)text.data;
    size_t length = 0;
    for (size_t at = 0; at < text.length;) {
        bool whole, more;
        unsigned n = utf8_take(data + at, text.length - at, &whole, &more), m;
        int byte = whole ? byte_level_byte(utf8_decode(data + at, &m)) : -1;
        if (byte >= 0) {
            if (out) out[length] = (char)byte;
            length++;
        } else { /* a text that is not in byte-level writing stands for itself */
            if (out) memcpy(out + length, data + at, n);
            length += n;
        }
        at += n;
    }
    return length;
}
