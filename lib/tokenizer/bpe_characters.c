#include "tokenizer/bpe_characters.h"

#include "tokenizer/utf8.h"

static const char mark[3] = {'\xe2', '\x96', '\x81'}; /* U+2581 */

static bool is_mark(const uint8_t *text, size_t length) {
    return length >= sizeof mark && memcmp(text, mark, sizeof mark) == 0;
}

/* Which bytes stand before a mark within a token. */
static void find_before_mark(struct bpe_characters *model) {
    const struct vocab *vocab = model->bpe.vocab;
    for (uint32_t id = 0; id < vocab->n; id++) {
        struct text text = vocab_text(vocab, id);
        const uint8_t *data = (const uint8_t *)text.data;
        for (size_t i = 1; i + sizeof mark <= text.length; i++)
            if (is_mark(data + i, text.length - i)) model->before_mark[data[i - 1]] = true;
    }
    /* the last byte of a mark is that of other characters too, which costs a few cuts; '>' ends a
     * token of a byte, and what that stands for isn't looked at */
    model->cut_at_marks = vocab_find(vocab, mark, sizeof mark) >= 0 && !model->before_mark['>'] &&
                          !model->bpe.whole_words && !model->prefix.length && !model->suffix.length;
}

void bpe_characters_prepare(struct bpe_characters *model) {
    const struct vocab *vocab = model->bpe.vocab;
    static const char digits[] = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; byte++) {
        const char text[6] = {'<', '0', 'x', digits[byte / 16], digits[byte % 16], '>'};
        model->fallback[byte] = vocab_find(vocab, text, sizeof text);
    }
    for (int c = 0; c < 128; c++) {
        const char text[1] = {(char)c};
        model->ascii[c] = vocab_find(vocab, text, 1);
    }
    find_before_mark(model);
}

/* The token of a character with what stands around it; *whole its text. */
static int32_t find(const struct bpe_characters *model, const uint8_t *c, size_t n, bool first,
                    bool last, char *buffer, struct text *whole) {
    size_t length = 0;
    if ((first || !model->prefix.length) && (!last || !model->suffix.length)) {
        *whole = (struct text){(const char *)c, n};
        return n == 1 ? model->ascii[*c] : vocab_find(model->bpe.vocab, c, n);
    }
    if (!first && model->prefix.length) {
        memcpy(buffer, model->prefix.data, model->prefix.length);
        length = model->prefix.length;
    }
    memcpy(buffer + length, c, n);
    length += n;
    if (last && model->suffix.length) {
        memcpy(buffer + length, model->suffix.data, model->suffix.length);
        length += model->suffix.length;
    }
    *whole = (struct text){buffer, length};
    return vocab_find(model->bpe.vocab, buffer, length);
}

static bool has_bytes(const struct bpe_characters *model, struct text text) {
    for (size_t i = 0; i < text.length; i++)
        if (model->fallback[(uint8_t)text.data[i]] < 0) return false;
    return true;
}

/* The word's characters as tokens in the encoder's values; *n of them. An unknown one is written
 * when the next known one comes, tokens of bytes in between stand before it: so does the original.
 */
static status write_characters(const struct bpe_characters *model, struct encoder *encoder,
                               const uint8_t *word, size_t length, size_t *count) {
    size_t around = model->prefix.length + model->suffix.length;
    TRY(encoder_values(encoder, length * (1 + around) + 1));
    char *buffer = encoder->bytes;
    uint32_t *values = encoder->values;
    size_t n = 0;
    bool unknown = false;
    for (size_t at = 0; at < length;) {
        unsigned bytes = utf8_length(word[at]);
        struct text whole;
        int32_t id = find(model, word + at, bytes, at == 0, at + bytes == length, buffer, &whole);
        at += bytes;
        if (id >= 0) {
            if (unknown) values[n++] = (uint32_t)model->unknown;
            unknown = false;
            values[n++] = (uint32_t)id;
        } else if (model->byte_fallback && has_bytes(model, whole)) {
            for (size_t i = 0; i < whole.length; i++)
                values[n++] = (uint32_t)model->fallback[(uint8_t)whole.data[i]];
        } else if (model->unknown_missing) {
            return fail(FORMAT, "a character has no token, and the unknown token isn't in the "
                                "vocabulary");
        } else if (model->unknown >= 0) {
            if (unknown && !model->fuse_unknown) values[n++] = (uint32_t)model->unknown;
            unknown = true;
        }
    }
    if (unknown) values[n++] = (uint32_t)model->unknown;
    values[n] = 0;
    *count = n;
    return OK;
}

static status encode(const struct bpe_characters *model, struct encoder *encoder,
                     const uint8_t *word, size_t length) {
    size_t n = 0;
    TRY(encoder_bytes(encoder, model->prefix.length + model->suffix.length + 8));
    TRY(write_characters(model, encoder, word, length, &n));
    return bpe_join(&model->bpe, encoder, n);
}

status bpe_characters_encode(const struct bpe_characters *model, struct encoder *encoder,
                             const uint8_t *word, size_t length) {
    if (model->bpe.whole_words) {
        int32_t id = vocab_find(model->bpe.vocab, word, length);
        if (id >= 0) {
            encoder_push(encoder, id);
            return OK;
        }
    }
    if (!model->cut_at_marks) return encode(model, encoder, word, length);
    size_t done = 0;
    for (size_t at = 1; at < length; at++) {
        if (word[at] != (uint8_t)mark[0] || model->before_mark[word[at - 1]] ||
            !is_mark(word + at, length - at))
            continue;
        TRY(encode(model, encoder, word + done, at - done));
        done = at;
    }
    return encode(model, encoder, word + done, length - done);
}
