/* RWKV's tokens: byte strings, the longest that a text starts with is taken. GGUF writes them as
 * Python writes bytes: \n, \x00, \\. */
#ifndef TOKENIZER_RWKV_H
#define TOKENIZER_RWKV_H

#include "tokenizer/encoder.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocab.h"

struct rwkv {
    struct trie trie;
    int32_t unknown; /* for a byte that starts no token; -1: it is left out */
};

status rwkv_open(struct memory *memory, const struct vocab *vocab, int32_t unknown,
                 struct rwkv *rwkv);
void rwkv_close(struct rwkv *rwkv);
void rwkv_encode(const struct rwkv *rwkv, struct encoder *encoder, const uint8_t *text,
                 size_t length);
/* Writes the bytes that a token's text stands for, at most as many, unless out is NULL; returns how
 * many. */
size_t rwkv_decode(struct text text, char *out);

#endif
