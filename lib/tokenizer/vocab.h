/* The pieces of text that tokens stand for: views into the model file's metadata, and a hash table
 * from text to id. */
#ifndef TOKENIZER_VOCAB_H
#define TOKENIZER_VOCAB_H

#include <string.h>

#include "base/memory.h"
#include "format/checkpoint.h"

enum token_kind { /* tokenizer.ggml.token_type's own numbers */
                  TOKEN_UNDEFINED = 0,
                  TOKEN_NORMAL = 1,
                  TOKEN_UNKNOWN = 2,
                  TOKEN_CONTROL = 3,
                  TOKEN_USER_DEFINED = 4,
                  TOKEN_UNUSED = 5,
                  TOKEN_BYTE = 6
};

struct vocab_slot {
    uint32_t tag; /* upper half of the text's hash */
    uint32_t id;  /* + 1; 0: free */
};

struct vocab {
    struct memory *memory;
    uint32_t n;
    uint32_t longest;       /* bytes of the longest text */
    const uint8_t *strings; /* as in a GGUF file: u64 length + bytes, packed */
    uint8_t *own;           /* strings, where they aren't the file's */
    uint32_t *offsets;      /* [n] of a text's first byte in strings */
    uint8_t *kinds;         /* [n] enum token_kind */
    const uint8_t *scores;  /* [n] little-endian f32, or NULL */
    struct vocab_slot *slots;
    uint32_t mask; /* slots - 1 */
};

/* FORMAT  the arrays of the file don't fit together; nothing is left to close. */
status vocab_open(struct memory *memory, const struct checkpoint *checkpoint, struct vocab *vocab);
/* The same of the keys SECTION.tokens, .token_type and .scores. */
status vocab_open_section(struct memory *memory, const struct checkpoint *checkpoint,
                          const char *section, struct vocab *vocab);
/* From texts [n], which are copied; a NULL one is no token. All are normal ones, and none is found
 * by its text before vocab_add. */
status vocab_make(struct memory *memory, const struct text *texts, uint32_t n, struct vocab *vocab);
/* The token is found by its text from now on, unless another one with this text is. */
void vocab_add(struct vocab *vocab, uint32_t id);
void vocab_close(struct vocab *vocab);

static inline struct text vocab_text(const struct vocab *vocab, uint32_t id) {
    const uint8_t *data = vocab->strings + vocab->offsets[id];
    uint64_t length;
    memcpy(&length, data - sizeof length, sizeof length);
    return (struct text){(const char *)data, (size_t)length};
}

static inline float vocab_score(const struct vocab *vocab, uint32_t id) {
    float score = 0;
    if (vocab->scores) memcpy(&score, vocab->scores + 4 * (size_t)id, sizeof score);
    return score;
}

/* The token whose text this is, the first where several have it; -1: none. */
int32_t vocab_find(const struct vocab *vocab, const void *data, size_t length);
/* The same among those that text may become by itself: neither control, unknown nor byte tokens. */
int32_t vocab_find_plain(const struct vocab *vocab, const void *data, size_t length);

#endif
