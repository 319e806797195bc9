#include "format/hf_vocabulary.h"

#include <stdio.h>
#include <string.h>

#include "format/hf.h"

/* Numbers that are left out are tokens without a text: so many at most. */
enum { MOST_TOKENS = 1 << 24, MOST_GAP = 1 << 16 };

status hf_vocabulary_put(struct hf_vocabulary *vocabulary, int64_t id, struct hf_token token) {
    if (id < 0 || id >= MOST_TOKENS || id > (int64_t)vocabulary->n + MOST_GAP)
        return fail(LIMIT, "a token has number %" PRId64 " in a vocabulary of %zu", id,
                    vocabulary->n);
    if ((size_t)id >= vocabulary->capacity) {
        size_t capacity = 2 * vocabulary->capacity + 256;
        if (capacity <= (size_t)id) capacity = (size_t)id + 1;
        struct hf_token *items;
        TRY(MEMORY_TAKE_ARRAY(vocabulary->memory, capacity, "a vocabulary", &items));
        if (vocabulary->n) memcpy(items, vocabulary->items, vocabulary->n * sizeof *items);
        memory_give(vocabulary->memory, vocabulary->items);
        vocabulary->items = items;
        vocabulary->capacity = capacity;
    }
    if ((size_t)id >= vocabulary->n) vocabulary->n = (size_t)id + 1;
    vocabulary->items[id] = token;
    return OK;
}

status hf_vocabulary_add(struct hf_vocabulary *vocabulary, struct hf_token token) {
    return hf_vocabulary_put(vocabulary, (int64_t)vocabulary->n, token);
}

int32_t hf_vocabulary_find(const struct hf_vocabulary *vocabulary, struct text text) {
    for (size_t id = 0; id < vocabulary->n; id++)
        if (vocabulary->items[id].text.length == text.length && vocabulary->items[id].text.data &&
            memcmp(vocabulary->items[id].text.data, text.data, text.length) == 0)
            return (int32_t)id;
    return -1;
}

static status write_texts(struct hf *hf, const struct hf_vocabulary *vocabulary, const char *key) {
    size_t size = 0;
    uint8_t *bytes;
    for (size_t id = 0; id < vocabulary->n; id++)
        size += sizeof(uint64_t) + vocabulary->items[id].text.length;
    TRY(MEMORY_TAKE(hf->memory, size, "a vocabulary", &bytes));
    size_t at = 0;
    for (size_t id = 0; id < vocabulary->n; id++) {
        struct text text = vocabulary->items[id].text;
        uint64_t length = text.length;
        memcpy(bytes + at, &length, sizeof length);
        at += sizeof length;
        if (length) memcpy(bytes + at, text.data, text.length);
        at += text.length;
    }
    status result = hf_metadata_array(hf, key, METADATA_STRING, vocabulary->n, bytes, size);
    memory_give(hf->memory, bytes);
    return result;
}

static status write_numbers(struct hf *hf, const struct hf_vocabulary *vocabulary, const char *key,
                            bool scores) {
    uint32_t *values;
    TRY(MEMORY_TAKE_ARRAY(hf->memory, vocabulary->n, "a vocabulary", &values));
    for (size_t id = 0; id < vocabulary->n; id++) {
        const struct hf_token *token = &vocabulary->items[id];
        if (scores)
            memcpy(&values[id], &token->score, sizeof token->score);
        else
            values[id] = token->text.data ? token->kind : HF_TOKEN_UNUSED;
    }
    status result = hf_metadata_array(hf, key, scores ? METADATA_F32 : METADATA_I32, vocabulary->n,
                                      values, vocabulary->n * sizeof *values);
    memory_give(hf->memory, values);
    return result;
}

status hf_vocabulary_write(struct hf *hf, const struct hf_vocabulary *vocabulary,
                           const char *section, bool scores) {
    char key[96];
    snprintf(key, sizeof key, "%s.tokens", section);
    TRY(write_texts(hf, vocabulary, key));
    snprintf(key, sizeof key, "%s.token_type", section);
    TRY(write_numbers(hf, vocabulary, key, false));
    if (!scores) return OK;
    snprintf(key, sizeof key, "%s.scores", section);
    return write_numbers(hf, vocabulary, key, true);
}

void hf_vocabulary_free(struct hf_vocabulary *vocabulary) {
    if (vocabulary->memory) memory_give(vocabulary->memory, vocabulary->items);
    *vocabulary = (struct hf_vocabulary){0};
}
