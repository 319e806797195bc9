#include "tokenizer/pieces.h"

#include "tokenizer/utf8.h"

status pieces_prepare(struct pieces *pieces, struct text prefix) {
    if (pieces->trie.longest > PIECES_MOST_BYTES)
        return fail(UNSUPPORTED, "a token of %zu bytes; up to %d are possible",
                    pieces->trie.longest, PIECES_MOST_BYTES);
    pieces->inside = TRIE_ROOT;
    pieces->has_inside = true;
    for (size_t i = 0; i < prefix.length && pieces->has_inside; i++)
        pieces->has_inside = trie_step(&pieces->trie, &pieces->inside, (uint8_t)prefix.data[i]);
    return OK;
}

/* End of the longest piece from a place; `at` for none. */
static size_t longest(const struct pieces *pieces, const uint8_t *word, size_t at, size_t length,
                      int32_t *id) {
    uint32_t node = at > 0 ? pieces->inside : TRIE_ROOT;
    size_t end = at;
    if (at > 0 && !pieces->has_inside) return at;
    for (size_t i = at; i < length && trie_step(&pieces->trie, &node, word[i]); i++) {
        int64_t value = trie_value(&pieces->trie, node);
        if (value < 0) continue;
        *id = (int32_t)value;
        end = i + 1;
    }
    return end;
}

static bool is_too_long(const struct pieces *pieces, const uint8_t *word, size_t length) {
    size_t n = 0;
    if (length <= pieces->most_characters) return false;
    for (size_t i = 0; i < length && n <= pieces->most_characters; i++)
        n += (word[i] & 0xc0) != 0x80;
    return n > pieces->most_characters;
}

status pieces_encode(const struct pieces *pieces, struct encoder *encoder, const uint8_t *word,
                     size_t length) {
    size_t before = encoder->count;
    bool known = !is_too_long(pieces, word, length);
    for (size_t at = 0; known && at < length;) {
        int32_t id = -1;
        size_t end = longest(pieces, word, at, length, &id);
        known = end > at;
        at = end;
        if (known) encoder_push(encoder, id);
    }
    if (known) return OK;
    if (pieces->unknown < 0)
        return fail(FORMAT, "a word has no tokens, and the unknown token isn't in the vocabulary");
    encoder->count = before;
    encoder_push(encoder, pieces->unknown);
    return OK;
}
