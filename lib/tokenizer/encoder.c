#include "tokenizer/encoder.h"

/* Grown by at least a half, so that many growing words cost no more than the largest. */
static status grow(struct memory *memory, size_t n, size_t size, size_t *capacity, void **block) {
    if (n <= *capacity) return OK;
    if (n < 1024) n = 1024;
    if (n < *capacity + *capacity / 2) n = *capacity + *capacity / 2;
    memory_give(memory, *block);
    *block = NULL;
    *capacity = 0;
    TRY(memory_take(memory, n * size, "work space of the tokenizer", block));
    *capacity = n;
    return OK;
}

status encoder_values(struct encoder *encoder, size_t n) {
    void *block = encoder->values;
    status result = grow(encoder->memory, n, sizeof *encoder->values, &encoder->n_values, &block);
    encoder->values = block;
    return result;
}

status encoder_bytes(struct encoder *encoder, size_t n) {
    void *block = encoder->bytes;
    status result = grow(encoder->memory, n, 1, &encoder->n_bytes, &block);
    encoder->bytes = block;
    return result;
}

void encoder_close(struct encoder *encoder) {
    memory_give(encoder->memory, encoder->values);
    memory_give(encoder->memory, encoder->bytes);
}
