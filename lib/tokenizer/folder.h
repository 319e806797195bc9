/* The tokenizer of a Hugging Face folder that has a tokenizer.json, with what the files beside it
 * say of its special tokens. */
#ifndef TOKENIZER_FOLDER_H
#define TOKENIZER_FOLDER_H

#include "tokenizer/pipeline.h"

enum { FOLDER_KINDS = TRANSFORMER_TOKEN_MASK + 1, FOLDER_MOST_ENDS = 32 };

struct folder {
    struct pipeline *pipeline;            /* NULL: there is no tokenizer.json */
    int32_t special_ids[FOLDER_KINDS];    /* by TRANSFORMER_TOKEN_..., -1: none */
    int32_t end_tokens[FOLDER_MOST_ENDS]; /* generation_config.json's and config.json's */
    size_t n_end_tokens;
};

/* UNSUPPORTED  a part of tokenizer.json can't be done, by name. Nothing is left to close on
 * failure. */
status folder_open(struct memory *memory, struct checkpoint *checkpoint, int64_t n_vocab,
                   struct folder *folder);

#endif
