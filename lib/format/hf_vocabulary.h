/* The vocabulary of a Hugging Face folder on its way from the folder's files to metadata of the
 * names that GGUF has for it. */
#ifndef FORMAT_HF_VOCABULARY_H
#define FORMAT_HF_VOCABULARY_H

#include "base/arena.h"
#include "format/checkpoint.h"

struct hf;

enum { /* tokenizer.ggml.token_type's own numbers */
       HF_TOKEN_NORMAL = 1,
       HF_TOKEN_UNKNOWN = 2,
       HF_TOKEN_CONTROL = 3,
       HF_TOKEN_DEFINED = 4,
       HF_TOKEN_UNUSED = 5,
       HF_TOKEN_BYTE = 6
};

struct hf_token {
    struct text text; /* NULL: none has this number */
    float score;
    uint8_t kind;
};

struct hf_vocabulary {
    struct memory *memory;
    struct hf_token *items;
    size_t n, capacity;
};

/* A token of a number, in place of what had it before. LIMIT  far beyond the others. */
status hf_vocabulary_put(struct hf_vocabulary *vocabulary, int64_t id, struct hf_token token);
/* A token behind all others. */
status hf_vocabulary_add(struct hf_vocabulary *vocabulary, struct hf_token token);
/* The first of this text; -1: none. Looks at all of them. */
int32_t hf_vocabulary_find(const struct hf_vocabulary *vocabulary, struct text text);
/* Writes SECTION.tokens, .token_type and, if wanted, .scores. */
status hf_vocabulary_write(struct hf *hf, const struct hf_vocabulary *vocabulary,
                           const char *section, bool scores);
void hf_vocabulary_free(struct hf_vocabulary *vocabulary);

#endif
