#include "tokenizer/vocab.h"

#include <math.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct vocab_keys {
    char tokens[64], types[64], scores[64];
};

static status read_offsets(const struct checkpoint *checkpoint, const char *tokens_key,
                           const struct metadata *tokens, struct vocab *vocab) {
    const uint8_t *cursor = tokens->values;
    for (uint32_t id = 0; id < vocab->n; id++) {
        struct text text = checkpoint_next_string(&cursor);
        ptrdiff_t offset = (const uint8_t *)text.data - tokens->values;
        if ((uint64_t)offset > UINT32_MAX || text.length > UINT32_MAX)
            return fail(UNSUPPORTED, "%s: the texts of '%s' are over 4 GiB",
                        checkpoint_name(checkpoint), tokens_key);
        vocab->offsets[id] = (uint32_t)offset;
        if (text.length > vocab->longest) vocab->longest = (uint32_t)text.length;
    }
    return OK;
}

static status read_kinds(const struct checkpoint *checkpoint, const char *types_key,
                         struct vocab *vocab) {
    const struct metadata *types = checkpoint_metadata(checkpoint, types_key);
    if (!types) {
        memset(vocab->kinds, TOKEN_NORMAL, vocab->n);
        return OK;
    }
    if (types->kind != METADATA_ARRAY || types->count != vocab->n)
        return fail(FORMAT, "%s: '%s' must be an array of %" PRIu32 " numbers, one a token",
                    checkpoint_name(checkpoint), types_key, vocab->n);
    for (uint32_t id = 0; id < vocab->n; id++) {
        int64_t kind;
        TRY(checkpoint_array_i64(checkpoint, types, id, &kind));
        if (kind < TOKEN_UNDEFINED || kind > TOKEN_BYTE)
            return fail(FORMAT, "%s: '%s' of token %" PRIu32 " is %" PRId64 ", which is no type",
                        checkpoint_name(checkpoint), types_key, id, kind);
        vocab->kinds[id] = (uint8_t)kind;
    }
    return OK;
}

static status read_scores(const struct checkpoint *checkpoint, const char *scores_key,
                          struct vocab *vocab) {
    const struct metadata *scores = checkpoint_metadata(checkpoint, scores_key);
    if (!scores) return OK;
    if (scores->kind != METADATA_ARRAY || scores->element != METADATA_F32 ||
        scores->count != vocab->n)
        return fail(FORMAT, "%s: '%s' must be an array of %" PRIu32 " f32, one a token",
                    checkpoint_name(checkpoint), scores_key, vocab->n);
    vocab->scores = scores->values;
    for (uint32_t id = 0; id < vocab->n; id++)
        if (isnan(vocab_score(vocab, id)))
            return fail(FORMAT, "%s: '%s' of token %" PRIu32 " is not a number",
                        checkpoint_name(checkpoint), scores_key, id);
    return OK;
}

static bool text_is(const struct vocab *vocab, uint32_t id, const void *data, size_t length) {
    struct text text = vocab_text(vocab, id);
    return text.length == length && memcmp(text.data, data, length) == 0;
}

void vocab_add(struct vocab *vocab, uint32_t id) {
    struct text text = vocab_text(vocab, id);
    if (text.length == 0) return; /* stands for nothing, so no text becomes it */
    uint64_t hash = XXH3_64bits(text.data, text.length);
    uint32_t tag = (uint32_t)(hash >> 32), at = (uint32_t)hash & vocab->mask;
    for (; vocab->slots[at].id != 0; at = (at + 1) & vocab->mask)
        if (vocab->slots[at].tag == tag &&
            text_is(vocab, vocab->slots[at].id - 1, text.data, text.length))
            return;
    vocab->slots[at] = (struct vocab_slot){tag, id + 1};
}

static status take_slots(struct vocab *vocab) {
    uint64_t n_slots = 16;
    while (n_slots * 3 < (uint64_t)vocab->n * 4) n_slots *= 2; /* at most three quarters full */
    vocab->mask = (uint32_t)(n_slots - 1);
    return MEMORY_TAKE_ARRAY(vocab->memory, n_slots, "the vocabulary", &vocab->slots);
}

static status read(const struct checkpoint *checkpoint, const struct vocab_keys *keys,
                   struct vocab *vocab) {
    const char *tokens_key = keys->tokens;
    const struct metadata *tokens = checkpoint_metadata(checkpoint, tokens_key);
    if (!tokens) return fail(FORMAT, "%s: no '%s'", checkpoint_name(checkpoint), tokens_key);
    if (tokens->kind != METADATA_ARRAY || tokens->element != METADATA_STRING)
        return fail(FORMAT, "%s: '%s' is not an array of strings", checkpoint_name(checkpoint),
                    tokens_key);
    if (tokens->count == 0 || tokens->count > INT32_MAX / 2)
        return fail(FORMAT, "%s: '%s' has %" PRIu64 " tokens, from 1 to %d are possible",
                    checkpoint_name(checkpoint), tokens_key, tokens->count, INT32_MAX / 2);
    vocab->n = (uint32_t)tokens->count;
    vocab->strings = tokens->values;
    TRY(MEMORY_TAKE(vocab->memory, vocab->n * sizeof *vocab->offsets, "the vocabulary",
                    &vocab->offsets));
    TRY(MEMORY_TAKE(vocab->memory, vocab->n, "the vocabulary", &vocab->kinds));
    TRY(read_offsets(checkpoint, tokens_key, tokens, vocab));
    TRY(read_kinds(checkpoint, keys->types, vocab));
    TRY(read_scores(checkpoint, keys->scores, vocab));
    TRY(take_slots(vocab));
    for (uint32_t id = 0; id < vocab->n; id++) vocab_add(vocab, id);
    return OK;
}

status vocab_open_section(struct memory *memory, const struct checkpoint *checkpoint,
                          const char *section, struct vocab *vocab) {
    struct vocab_keys keys;
    snprintf(keys.tokens, sizeof keys.tokens, "%s.tokens", section);
    snprintf(keys.types, sizeof keys.types, "%s.token_type", section);
    snprintf(keys.scores, sizeof keys.scores, "%s.scores", section);
    *vocab = (struct vocab){.memory = memory};
    status result = read(checkpoint, &keys, vocab);
    if (result != OK) vocab_close(vocab);
    return result;
}

status vocab_open(struct memory *memory, const struct checkpoint *checkpoint, struct vocab *vocab) {
    return vocab_open_section(memory, checkpoint, "tokenizer.ggml", vocab);
}

/* own: of the packed texts' bytes. */
static status pack(struct vocab *vocab, const struct text *texts, size_t bytes) {
    TRY(MEMORY_TAKE(vocab->memory, bytes, "the vocabulary", &vocab->own));
    TRY(MEMORY_TAKE(vocab->memory, vocab->n * sizeof *vocab->offsets, "the vocabulary",
                    &vocab->offsets));
    TRY(MEMORY_TAKE(vocab->memory, vocab->n, "the vocabulary", &vocab->kinds));
    vocab->strings = vocab->own;
    uint32_t at = 0;
    for (uint32_t id = 0; id < vocab->n; id++) {
        uint64_t length = texts[id].length;
        memcpy(vocab->own + at, &length, sizeof length);
        at += (uint32_t)sizeof length;
        if (length) memcpy(vocab->own + at, texts[id].data, (size_t)length);
        vocab->offsets[id] = at;
        vocab->kinds[id] = texts[id].data ? TOKEN_NORMAL : TOKEN_UNUSED;
        at += (uint32_t)length;
        if (length > vocab->longest) vocab->longest = (uint32_t)length;
    }
    return take_slots(vocab);
}

status vocab_make(struct memory *memory, const struct text *texts, uint32_t n,
                  struct vocab *vocab) {
    *vocab = (struct vocab){.memory = memory, .n = n};
    uint64_t bytes = 0;
    for (uint32_t id = 0; id < n; id++) {
        bytes += sizeof(uint64_t) + texts[id].length;
        if (bytes > UINT32_MAX) return fail(UNSUPPORTED, "the texts of tokens are over 4 GiB");
    }
    status result = pack(vocab, texts, (size_t)bytes);
    if (result != OK) vocab_close(vocab);
    return result;
}

void vocab_close(struct vocab *vocab) {
    memory_give(vocab->memory, vocab->own);
    memory_give(vocab->memory, vocab->slots);
    memory_give(vocab->memory, vocab->kinds);
    memory_give(vocab->memory, vocab->offsets);
    *vocab = (struct vocab){.memory = vocab->memory};
}

int32_t vocab_find(const struct vocab *vocab, const void *data, size_t length) {
    if (length > vocab->longest) return -1;
    uint64_t hash = XXH3_64bits(data, length);
    uint32_t tag = (uint32_t)(hash >> 32), at = (uint32_t)hash & vocab->mask;
    for (; vocab->slots[at].id != 0; at = (at + 1) & vocab->mask)
        if (vocab->slots[at].tag == tag && text_is(vocab, vocab->slots[at].id - 1, data, length))
            return (int32_t)(vocab->slots[at].id - 1);
    return -1;
}

int32_t vocab_find_plain(const struct vocab *vocab, const void *data, size_t length) {
    int32_t id = vocab_find(vocab, data, length);
    if (id < 0) return id;
    switch (vocab->kinds[id]) {
    case TOKEN_CONTROL:
    case TOKEN_UNKNOWN:
    case TOKEN_BYTE:
        return -1;
    default:
        return id;
    }
}
