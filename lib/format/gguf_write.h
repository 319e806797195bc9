/* A checkpoint of any format as a GGUF file, version 3, front to back. */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "format/checkpoint.h"

struct gguf_sink {
    /* Nonzero stops: CANCELLED. */
    int32_t (*write)(void *user, const void *bytes, uint64_t n);
    void *write_user;
    transformer_progress_function progress; /* NULL: none */
    void *progress_user;
};

/* Vectors become F32, as other readers of the format want them; integers of 64 bits become 32 where
 * they fit. more: NULL, or metadata that follows, and takes the place of entries of the same keys.
 * quantized what checkpoint_quantize was called with, WEIGHT_TYPES: it wasn't. */
status gguf_write(struct checkpoint *checkpoint, const struct checkpoint *more,
                  struct memory *memory, enum weight_type quantized, const struct gguf_sink *sink);

#endif
