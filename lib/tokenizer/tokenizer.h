/* Text to token ids and back, as the model file describes it. Immutable once open: any number of
 * threads. */
#ifndef TOKENIZER_TOKENIZER_H
#define TOKENIZER_TOKENIZER_H

#include "base/memory.h"
#include "format/checkpoint.h"
#include "tokenizer/decode.h"

struct tokenizer;

/* *tokenizer is NULL with OK when the file has none. Token texts are views into the checkpoint's
 * metadata, which must outlive it. n_vocab: rows of the embedding; a vocabulary of another size
 * than this is FORMAT, except that the embedding may be padded. UNSUPPORTED  a tokenizer model or
 * pre-tokenizer this library does not have; the message names it. */
status tokenizer_open(struct memory *memory, struct checkpoint *checkpoint, int64_t n_vocab,
                      struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer *tokenizer); /* NULL does nothing */

struct tokenize_flags {
    bool add_special;   /* begin and end tokens as the model wants them */
    bool parse_special; /* control tokens written out in the text become those tokens */
};

/* Invalid UTF-8 becomes U+FFFD, one a maximal subpart. LIMIT: over 1 GiB of text.
 * ids [capacity], or NULL to count; *count is the number of tokens even when that is over capacity
 * (then BUFFER_TOO_SMALL). Temporary memory comes from `memory`. Time is linear in length up to a
 * logarithm, whatever the text. */
status tokenizer_encode(const struct tokenizer *tokenizer, struct memory *memory, struct text text,
                        struct tokenize_flags flags, int32_t *ids, size_t capacity, size_t *count);
/* The same of two texts, as a cross-encoder is given them; second NULL: of one. types: NULL, or
 * [capacity] for each token's type. */
status tokenizer_encode_pair(const struct tokenizer *tokenizer, struct memory *memory,
                             struct text first, const struct text *second,
                             struct tokenize_flags flags, int32_t *ids, int32_t *types,
                             size_t capacity, size_t *count);

/* Writes the bytes of one token to buffer [capacity] and returns how many they are, at most
 * tokenizer_max_token_bytes; nothing is written if they don't fit. Control tokens give nothing
 * unless special, nor do ids past the vocabulary (rows that pad the embedding). */
size_t tokenizer_token_bytes(const struct tokenizer *tokenizer, struct detokenize_state *state,
                             int32_t id, bool special, char *buffer, size_t capacity);
size_t tokenizer_max_token_bytes(const struct tokenizer *tokenizer);

int64_t tokenizer_vocab_size(const struct tokenizer *tokenizer);
/* Of the tokens that texts become. They are others than those that become text in an
 * encoder-decoder whose sources have a vocabulary of their own. */
int64_t tokenizer_source_size(const struct tokenizer *tokenizer);
bool tokenizer_has_sources(const struct tokenizer *tokenizer);
/* kind: TRANSFORMER_TOKEN_...; -1: none. */
int32_t tokenizer_special(const struct tokenizer *tokenizer, int32_t kind);
/* What a tokenizer.json became; NULL: the file has none. */
struct pipeline;
const struct pipeline *tokenizer_pipeline(const struct tokenizer *tokenizer);
/* End-of-generation tokens, ascending. */
const int32_t *tokenizer_end_tokens(const struct tokenizer *tokenizer, size_t *count);

#endif
