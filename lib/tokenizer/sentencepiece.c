#include "tokenizer/sentencepiece.h"

#include "tokenizer/merge.h"
#include "tokenizer/utf8.h"

static const char space_mark[3] = {'\xe2', '\x96', '\x81'}; /* U+2581 */

static bool is_space_mark(const uint8_t *p, size_t n) {
    return n >= sizeof space_mark && memcmp(p, space_mark, sizeof space_mark) == 0;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sentencepiece_byte(struct text text) {
    if (text.length != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool sentencepiece_bytes(const struct vocab *vocab, int32_t bytes[256]) {
    bool all = true;
    for (int byte = 0; byte < 256; byte++) {
        static const char digits[] = "0123456789ABCDEF";
        const char text[6] = {'<', '0', 'x', digits[byte / 16], digits[byte % 16], '>'};
        bytes[byte] = vocab_find(vocab, text, sizeof text);
        if (bytes[byte] < 0) all = false;
    }
    return all;
}

static void find_before_space(struct sentencepiece *sentencepiece) {
    const struct vocab *vocab = sentencepiece->vocab;
    for (uint32_t id = 0; id < vocab->n; id++) {
        struct text text = vocab_text(vocab, id);
        const uint8_t *data = (const uint8_t *)text.data;
        for (size_t i = 1; i + sizeof space_mark <= text.length; i++) {
            const uint8_t *mark = memchr(data + i, 0xe2, text.length - i);
            if (!mark) break;
            i = (size_t)(mark - data);
            bool after_mark = i >= sizeof space_mark && is_space_mark(mark - sizeof space_mark, 3);
            if (is_space_mark(mark, text.length - i) && !after_mark)
                sentencepiece->before_space[mark[-1]] = true;
        }
    }
}

status sentencepiece_open(const struct checkpoint *checkpoint, const struct vocab *vocab,
                          int32_t unknown, struct sentencepiece *sentencepiece) {
    *sentencepiece = (struct sentencepiece){.vocab = vocab, .unknown = unknown};
    if (!vocab->scores)
        return fail(FORMAT, "%s: no 'tokenizer.ggml.scores'", checkpoint_name(checkpoint));
    bool all = sentencepiece_bytes(vocab, sentencepiece->bytes);
    if (!all && unknown < 0)
        return fail(FORMAT,
                    "%s: 'tokenizer.ggml.tokens' has neither a token for every byte nor an "
                    "unknown token",
                    checkpoint_name(checkpoint));
    find_before_space(sentencepiece);
    return OK;
}

/* ---- merges: a symbol's value is the offset of its text ---- */

struct rules {
    const struct vocab *vocab;
    const char *text;
};

/* Scores in falling order as rising numbers. */
static uint32_t rank_of_score(float score) {
    uint32_t bits;
    score += 0.0f; /* no negative zero */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : 0x7fffffffu - bits;
}

static uint32_t rank(const void *context, uint32_t left, uint32_t right, uint32_t after) {
    (void)right;
    const struct rules *rules = context;
    int32_t id = vocab_find_plain(rules->vocab, rules->text + left, after - left);
    return id < 0 ? MERGE_NEVER : rank_of_score(vocab_score(rules->vocab, (uint32_t)id));
}

static uint32_t join(const void *context, uint32_t left, uint32_t right) {
    (void)context;
    (void)right;
    return left;
}

void sentencepiece_push(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                        int32_t piece) {
    int32_t id = sentencepiece->ids ? sentencepiece->ids[piece] : piece;
    if (id >= 0) encoder_push(encoder, id);
}

static bool lacks_bytes(const struct sentencepiece *sentencepiece, const char *text,
                        size_t length) {
    for (size_t i = 0; i < length; i++)
        if (sentencepiece->bytes[(uint8_t)text[i]] < 0) return true;
    return false;
}

/* Characters in no piece, as the tokens of their bytes; false: there are none. */
static bool push_bytes(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                       const char *text, size_t length) {
    if (lacks_bytes(sentencepiece, text, length)) return false;
    for (size_t i = 0; i < length; i++)
        sentencepiece_push(sentencepiece, encoder, sentencepiece->bytes[(uint8_t)text[i]]);
    return true;
}

/* A run of characters in no piece: one token, also where it goes on from the stretch before. */
static void push_unknown(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                         const char *text, size_t length) {
    int32_t id = sentencepiece->names ? vocab_find_plain(sentencepiece->names, text, length) : -1;
    if (id >= 0) {
        encoder_push(encoder, id);
    } else if (encoder->count == 0 || encoder->unknown_end != encoder->count) {
        encoder_push(encoder, sentencepiece->unknown);
        encoder->unknown_end = encoder->count;
    }
}

/* text: with U+2581 for spaces. */
static status encode_piece(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                           const char *text, size_t length) {
    TRY(encoder_values(encoder, length + 1));
    uint32_t *values = encoder->values;
    size_t n = 0;
    for (size_t i = 0; i < length; i += utf8_length((uint8_t)text[i])) values[n++] = (uint32_t)i;
    values[n] = (uint32_t)length;
    const struct rules context = {sentencepiece->vocab, text};
    const struct merge_rules rules = {rank, join, &context};
    TRY(merge_run(&rules, encoder->memory, values, &n));
    const char *unknown = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *piece = text + values[i];
        size_t bytes = values[i + 1] - values[i];
        int32_t id = vocab_find_plain(sentencepiece->vocab, piece, bytes);
        bool known = id >= 0;
        if (unknown && (known || !lacks_bytes(sentencepiece, piece, bytes))) {
            push_unknown(sentencepiece, encoder, unknown, (size_t)(piece - unknown));
            unknown = NULL;
        }
        if (known)
            sentencepiece_push(sentencepiece, encoder, id);
        else if (!unknown && !push_bytes(sentencepiece, encoder, piece, bytes))
            unknown = piece;
    }
    if (unknown) push_unknown(sentencepiece, encoder, unknown, (size_t)(text + length - unknown));
    return OK;
}

static bool is_space(const uint8_t *text, size_t at, size_t length) {
    return text[at] == ' ' || is_space_mark(text + at, length - at);
}

/* End of the stretch that starts here and has no sure cut in it. */
static size_t stretch_end(const struct sentencepiece *sentencepiece, const uint8_t *text, size_t at,
                          size_t length, bool after_space) {
    for (; at < length; at += utf8_length(text[at])) {
        bool space = is_space(text, at, length);
        if (space && !after_space && !sentencepiece->before_space[text[at - 1]]) return at;
        after_space = space;
    }
    return length;
}

status sentencepiece_encode(const struct sentencepiece *sentencepiece, struct encoder *encoder,
                            const uint8_t *text, size_t length, bool space_prefix) {
    for (size_t at = 0; at < length;) {
        size_t n = 0, end;
        if (at == 0 && space_prefix)
            end = stretch_end(sentencepiece, text, 0, length, true);
        else
            end = stretch_end(sentencepiece, text, at + utf8_length(text[at]), length,
                              is_space(text, at, length));
        TRY(encoder_bytes(encoder, (end - at + 1) * sizeof space_mark));
        char *out = encoder->bytes;
        if (at == 0 && space_prefix) {
            memcpy(out, space_mark, sizeof space_mark);
            n = sizeof space_mark;
        }
        for (; at < end; at++) {
            if (text[at] == ' ') {
                memcpy(out + n, space_mark, sizeof space_mark);
                n += sizeof space_mark;
            } else {
                out[n++] = (char)text[at];
            }
        }
        TRY(encode_piece(sentencepiece, encoder, out, n));
    }
    return OK;
}

size_t sentencepiece_decode(struct text text, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < text.length; n++) {
        bool mark = is_space_mark((const uint8_t *)text.data + i, text.length - i);
        if (out) out[n] = mark ? ' ' : text.data[i];
        i += mark ? sizeof space_mark : 1;
    }
    return n;
}

struct text sentencepiece_without_space(struct text text) {
    if (!is_space_mark((const uint8_t *)text.data, text.length)) return text;
    return (struct text){text.data + sizeof space_mark, text.length - sizeof space_mark};
}
