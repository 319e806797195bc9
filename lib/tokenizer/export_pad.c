/* A vocabulary that is smaller than the embedding: other readers of GGUF want a token for each row.
 */
#include <stdio.h>
#include <string.h>

#include "format/metadata_table.h"
#include "tokenizer/export.h"

enum { MOST_NAME = 32 };

/* The array with more elements behind its own; bytes [size] are those. */
static status put_longer(struct memory *memory, const struct metadata_maker *maker,
                         const struct metadata *array, const char *key, uint64_t more,
                         const void *bytes, size_t size) {
    size_t old = metadata_size(array);
    char *all;
    TRY(MEMORY_TAKE(memory, old + size + 1, "a vocabulary", &all));
    memcpy(all, array->values, old);
    memcpy(all + old, bytes, size);
    status result =
        metadata_put_array(maker, key, array->element, array->count + more, all, old + size);
    memory_give(memory, all);
    return result;
}

static status put_names(struct memory *memory, const struct metadata_maker *maker,
                        const struct metadata *tokens, uint64_t n_rows) {
    uint64_t more = n_rows - tokens->count;
    size_t size = 0;
    void *block;
    TRY(memory_take_array(memory, (size_t)more, sizeof(uint64_t) + MOST_NAME, "a vocabulary",
                          &block));
    char *bytes = block;
    for (uint64_t id = tokens->count; id < n_rows; id++) {
        int n = snprintf(bytes + size + sizeof(uint64_t), MOST_NAME, "[PAD%" PRIu64 "]", id);
        uint64_t length = (uint64_t)n;
        memcpy(bytes + size, &length, sizeof length);
        size += sizeof length + (size_t)length;
    }
    status result = put_longer(memory, maker, tokens, "tokenizer.ggml.tokens", more, bytes, size);
    memory_give(memory, bytes);
    return result;
}

/* Numbers of 32 bits, all alike. */
static status put_numbers(struct memory *memory, const struct checkpoint *checkpoint,
                          const struct metadata_maker *maker, const char *key, uint32_t value,
                          uint64_t n_rows) {
    const struct metadata *array = checkpoint_metadata(checkpoint, key);
    if (!array || array->kind != METADATA_ARRAY || array->count > n_rows) return OK;
    uint64_t more = n_rows - array->count;
    uint32_t *values;
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)more + 1, "a vocabulary", &values));
    for (uint64_t i = 0; i < more; i++) values[i] = value;
    status result =
        put_longer(memory, maker, array, key, more, values, (size_t)more * sizeof *values);
    memory_give(memory, values);
    return result;
}

status export_padded(struct memory *memory, const struct checkpoint *checkpoint, int64_t n_vocab,
                     const struct metadata_maker *maker) {
    const struct metadata *tokens = checkpoint_metadata(checkpoint, "tokenizer.ggml.tokens");
    uint64_t n_rows = (uint64_t)n_vocab;
    if (!tokens || tokens->kind != METADATA_ARRAY || tokens->element != METADATA_STRING ||
        tokens->count >= n_rows)
        return OK;
    TRY(put_names(memory, maker, tokens, n_rows));
    TRY(put_numbers(memory, checkpoint, maker, "tokenizer.ggml.token_type", TOKEN_UNUSED, n_rows));
    return put_numbers(memory, checkpoint, maker, "tokenizer.ggml.scores", 0, n_rows);
}
