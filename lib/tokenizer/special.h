/* Finding tokens that stand written out in a text: control tokens and those the model's makers
 * defined. The longest one at the leftmost place. */
#ifndef TOKENIZER_SPECIAL_H
#define TOKENIZER_SPECIAL_H

#include "tokenizer/vocab.h"

struct special {
    const struct vocab *vocab;
    struct memory *memory;
    uint32_t *ids;       /* ascending by text */
    uint32_t first[257]; /* ids[first[b]] ... ids[first[b + 1] - 1] start with byte b */
    bool defined[256];   /* a user-defined one starts with this byte */
};

/* control_only: the user-defined ones are found elsewhere. */
status special_open(struct memory *memory, const struct vocab *vocab, bool control_only,
                    struct special *special);
void special_close(struct special *special);

/* First token at or behind `at`: *id, and *end of it. Returns its start, or length for none.
 * control: look for control tokens too. */
size_t special_find(const struct special *special, const uint8_t *text, size_t at, size_t length,
                    bool control, size_t *end, int32_t *id);

#endif
