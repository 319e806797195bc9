/* One call of tokenizer_encode: where its tokens go and the memory that it works in. */
#ifndef TOKENIZER_ENCODER_H
#define TOKENIZER_ENCODER_H

#include "base/memory.h"

struct encoder {
    struct memory *memory;
    int32_t *ids;
    size_t capacity;
    size_t count; /* also of those past the capacity */
    size_t
        unknown_end;  /* count behind an unknown token that takes in unknown characters after it */
    uint32_t *values; /* work space of the merges */
    size_t n_values;
    char *bytes; /* work space for text */
    size_t n_bytes;
};

static inline void encoder_push(struct encoder *encoder, int32_t id) {
    if (encoder->count < encoder->capacity) encoder->ids[encoder->count] = id;
    encoder->count++;
}

/* At least n elements of work space; what they held is lost. */
status encoder_values(struct encoder *encoder, size_t n);
status encoder_bytes(struct encoder *encoder, size_t n);
void encoder_close(struct encoder *encoder);

#endif
