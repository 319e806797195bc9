/* libFuzzer: bytes as a GGUF file, opened from memory and through a reader; two tokens decoded;
 * text tokenized. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transformer.h"

struct bytes {
    const uint8_t *data;
    size_t size;
};

static int64_t bytes_size(void *user, const char *name) {
    (void)name;
    return (int64_t)((struct bytes *)user)->size;
}

static int64_t bytes_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    const struct bytes *bytes = user;
    (void)name;
    if (offset > bytes->size || n > bytes->size - offset) return -1;
    memcpy(buffer, bytes->data + offset, n);
    return (int64_t)n;
}

/* A hostile file may ask for a lot of memory; a host that cares gives an allocator with a limit. */
static void *allocate(void *user, uint64_t size, uint64_t alignment) {
    (void)user;
    return size > (64u << 20) ? NULL : aligned_alloc(alignment, size);
}

static void release(void *user, void *pointer, uint64_t size) {
    (void)user;
    (void)size;
    free(pointer);
}

static void use(transformer_model *model) {
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = 8,
                                           .max_step_tokens = 4,
                                           .max_sequences = 2,
                                           .n_threads = 1};
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    const int32_t tokens[2] = {0, 1};
    int32_t ids[64];
    int64_t count;
    transformer_tokenize(model, "Hello w\xc3\xb6rld <s> 12", 17, NULL, ids, 64, &count);
    if (transformer_context_create(model, &options, &context) != TRANSFORMER_OK) {
        options.max_sequence_tokens = 1; /* a model of a context that short */
        if (transformer_context_create(model, &options, &context) != TRANSFORMER_OK) return;
    }
    if (transformer_sequence_create(context, NULL, &sequence) == TRANSFORMER_OK &&
        transformer_sequence_append(sequence, tokens, 2, NULL) == TRANSFORMER_OK)
        (void)transformer_decode(context, NULL, NULL);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const transformer_allocator allocator = {allocate, release, NULL};
    struct bytes bytes = {data, size};
    transformer_reader reader = {bytes_size, bytes_read, &bytes};
    for (int through_reader = 0; through_reader < 2; through_reader++) {
        transformer_model_options options = {.struct_size = sizeof options,
                                             .allocator = &allocator};
        transformer_model *model = NULL;
        if (through_reader) {
            options.path = "fuzz";
            options.reader = &reader;
        } else {
            options.data = data;
            options.data_size = size;
        }
        if (transformer_model_open(&options, &model) != TRANSFORMER_OK) continue;
        use(model);
        transformer_model_close(model);
    }
    return 0;
}
