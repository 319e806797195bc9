/* Splitting a text into the words that byte-level BPE works on, by the rules that
 * tokenizer.ggml.pre names. Time is linear in the text. */
#ifndef TOKENIZER_PRETOKENIZE_H
#define TOKENIZER_PRETOKENIZE_H

#include "base/status.h"
#include "format/checkpoint.h"

struct pretokenize_step;

struct pretokenizer {
    const char *name;
    const struct pretokenize_step *steps; /* each splits the pieces of the one before */
    bool whole_words; /* a word that is in the vocabulary is that token, whatever the merges say */
    bool raw;   /* tokens' texts are characters, not bytes in GPT-2's writing; these are <0xXX> */
    bool marks; /* with spaces as U+2581 */
    bool newlines;       /* a run of newlines that is a token is that token */
    bool between_spaces; /* white space goes, words between it are split */
    bool begin;          /* the begin token is added unless the file says otherwise */
};

/* NULL: no such name, or its rules are not known. */
const struct pretokenizer *pretokenize_find(struct text name);
/* All of them; NULL past the end. */
const struct pretokenizer *pretokenize_at(size_t index);

/* Gets bytes [begin, end) of the text. */
typedef status (*pretokenize_word)(void *user, size_t begin, size_t end);

/* Every byte of the text, which is valid UTF-8, is in one word, in order. */
status pretokenize_split(const struct pretokenizer *pretokenizer, const uint8_t *text,
                         size_t length, pretokenize_word word, void *user);

#endif
