/* The tokenizer of a Hugging Face folder that has a tokenizer.json, or of a GGUF file with one in
 * its metadata, with what the files beside it say of its special tokens. */
#ifndef TOKENIZER_FOLDER_H
#define TOKENIZER_FOLDER_H

#include "tokenizer/pipeline.h"

enum { FOLDER_KINDS = TRANSFORMER_TOKEN_MASK + 1 };

struct folder {
    struct pipeline *pipeline;         /* NULL: there is no tokenizer.json */
    int32_t special_ids[FOLDER_KINDS]; /* by TRANSFORMER_TOKEN_..., -1: none */
};

/* UNSUPPORTED  a part of tokenizer.json can't be done, by name. Nothing is left to close on
 * failure. */
status folder_open(struct memory *memory, struct checkpoint *checkpoint, int64_t n_vocab,
                   struct folder *folder);

#endif
