#include "tokenizer/decode.h"

#include <string.h>

#include "base/checked.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/utf8.h"

/* ---- one token through the steps ---- */

struct work {
    struct memory *memory;
    struct regex_state regex;
    char *bytes[2];
    size_t capacity[2];
    int which; /* is written */
    size_t n;  /* bytes written */
    bool spaced;
};

static status put(struct work *work, const char *data, size_t length) {
    size_t needed = work->n + length;
    int which = work->which;
    if (needed > UINT32_MAX / 2) return fail(UNSUPPORTED, "a token of over 2 GiB when decoded");
    if (needed > work->capacity[which]) {
        char *bytes;
        size_t capacity = needed + needed / 2 + 64;
        TRY(MEMORY_TAKE(work->memory, capacity, "the texts of tokens", &bytes));
        if (work->n) memcpy(bytes, work->bytes[which], work->n);
        memory_give(work->memory, work->bytes[which]);
        work->bytes[which] = bytes;
        work->capacity[which] = capacity;
    }
    if (length) memcpy(work->bytes[which] + work->n, data, length);
    work->n = needed;
    return OK;
}

/* What was written is the text. */
static void turn(struct work *work, struct text *text) {
    *text = (struct text){work->bytes[work->which], work->n};
    work->which ^= 1;
    work->n = 0;
}

/* All of the characters stand for bytes, or the text stays. */
static status to_bytes(struct work *work, struct text *text) {
    const uint8_t *data = (const uint8_t *)text->data;
    work->n = 0;
    for (size_t at = 0; at < text->length;) {
        unsigned n;
        int byte = byte_level_byte(utf8_decode(data + at, &n));
        if (byte < 0) {
            work->n = 0;
            return OK;
        }
        char c = (char)byte;
        TRY(put(work, &c, 1));
        at += n;
    }
    turn(work, text);
    return OK;
}

/* Each literal text by another. */
static status replace_text(struct work *work, struct text *text, const char *what, const char *by) {
    size_t n = strlen(what), done = 0;
    for (size_t at = 0; at + n <= text->length;) {
        if (memcmp(text->data + at, what, n) != 0) {
            at++;
            continue;
        }
        TRY(put(work, text->data + done, at - done));
        TRY(put(work, by, strlen(by)));
        done = at += n;
    }
    if (done == 0) return OK;
    TRY(put(work, text->data + done, text->length - done));
    turn(work, text);
    return OK;
}

/* What Hugging Face tokenizers' WordPiece decoder tidies up, in its order. */
static status clean_up(struct work *work, struct text *text) {
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        TRY(replace_text(work, text, pairs[i][0], pairs[i][1]));
    return OK;
}

static bool starts_with(struct text text, struct text start) {
    return text.length >= start.length && memcmp(text.data, start.data, start.length) == 0;
}

static status wordpiece(struct work *work, const struct decode_step *step, bool first,
                        struct text *text) {
    if (!first && starts_with(*text, step->text)) {
        text->data += step->text.length;
        text->length -= step->text.length;
    } else if (!first) {
        TRY(put(work, " ", 1));
        TRY(put(work, text->data, text->length));
        turn(work, text);
    }
    return step->cleanup ? clean_up(work, text) : OK;
}

static status metaspace(struct work *work, const struct decode_step *step, bool first,
                        struct text *text) {
    char mark[4];
    size_t n = utf8_encode(step->character, mark), done = 0, at = 0;
    bool goes = first && !step->keep_first;
    while (at + n <= text->length) {
        if (memcmp(text->data + at, mark, n) != 0) {
            at++;
            continue;
        }
        TRY(put(work, text->data + done, at - done));
        if (!goes) TRY(put(work, " ", 1));
        done = at += n;
    }
    if (done == 0) return OK;
    TRY(put(work, text->data + done, text->length - done));
    turn(work, text);
    return OK;
}

static status replace(struct work *work, const struct decode_step *step, struct text *text) {
    const struct piece piece = {(const uint8_t *)text->data, 0, text->length};
    struct regex_walk walk;
    size_t done = 0, begin, end;
    bool found, any = false;
    if (text->length == 0) return OK;
    TRY(regex_start(&walk, step->regex, &work->regex, &piece));
    for (;; any = true) {
        TRY(regex_next(&walk, &found, &begin, &end));
        if (!found) break;
        TRY(put(work, text->data + done, begin - done));
        TRY(put(work, step->content.data, step->content.length));
        done = end;
    }
    if (!any) return OK;
    TRY(put(work, text->data + done, text->length - done));
    turn(work, text);
    return OK;
}

static void strip(const struct decode_step *step, struct text *text) {
    char mark[4];
    size_t n = utf8_encode(step->character, mark);
    for (size_t i = 0; i < step->start && text->length >= n; i++) {
        if (memcmp(text->data, mark, n) != 0) break;
        text->data += n;
        text->length -= n;
    }
    for (size_t i = 0; i < step->stop && text->length >= n; i++) {
        if (memcmp(text->data + text->length - n, mark, n) != 0) break;
        text->length -= n;
    }
}

/* The suffix becomes a space; where it ends the token, that comes with the next one. */
static status suffix(struct work *work, const struct decode_step *step, struct text *text) {
    size_t n = step->text.length, done = 0;
    if (n == 0) return OK;
    for (size_t at = 0; at + n <= text->length;) {
        if (memcmp(text->data + at, step->text.data, n) != 0) {
            at++;
            continue;
        }
        TRY(put(work, text->data + done, at - done));
        done = at += n;
        if (at == text->length)
            work->spaced = true;
        else
            TRY(put(work, " ", 1));
    }
    if (done == 0) return OK;
    TRY(put(work, text->data + done, text->length - done));
    turn(work, text);
    return OK;
}

static status run_step(struct work *work, const struct decode_step *step, bool first,
                       struct text *text) {
    char byte;
    switch (step->kind) {
    case DECODE_BYTES:
        return to_bytes(work, text);
    case DECODE_WORDPIECE:
        return wordpiece(work, step, first, text);
    case DECODE_METASPACE:
        return metaspace(work, step, first, text);
    case DECODE_FALLBACK:
        if (sentencepiece_byte(*text) < 0) return OK;
        byte = (char)sentencepiece_byte(*text);
        TRY(put(work, &byte, 1));
        turn(work, text);
        return OK;
    case DECODE_STRIP:
        strip(step, text);
        return OK;
    case DECODE_REPLACE:
        return replace(work, step, text);
    case DECODE_SUFFIX:
        return suffix(work, step, text);
    case DECODE_JOIN:
        if (first) return OK;
        TRY(put(work, " ", 1));
        TRY(put(work, text->data, text->length));
        turn(work, text);
        return OK;
    default:
        return OK;
    }
}

static bool fuses(enum decode_kind kind) {
    return kind == DECODE_FUSE || kind == DECODE_BYTES;
}

static status run(struct work *work, const struct decode *decode, bool first, struct text *text) {
    bool fused = false;
    work->spaced = false;
    for (size_t i = 0; i < decode->n_steps; i++) {
        const struct decode_step *step = &decode->steps[i];
        /* the start of one text is decode_token's business */
        if (fused && step->kind == DECODE_STRIP) continue;
        TRY(run_step(work, step, first || fused, text));
        fused = fused || fuses(step->kind);
    }
    return OK;
}

/* ---- all tokens ---- */

static status check(struct decode *decode) {
    bool fused = false;
    for (size_t i = 0; i < decode->n_steps; i++) {
        const struct decode_step *step = &decode->steps[i];
        if (fused && step->kind == DECODE_STRIP) {
            if (step->stop > 0 || decode->strip > 0)
                return fail(UNSUPPORTED, "decoder 'Strip' of the end of a text that is one piece");
            decode->strip = step->start;
            decode->strip_length = utf8_encode(step->character, decode->strip_text);
        } else if (fused && step->kind == DECODE_REPLACE && step->wide) {
            return fail(UNSUPPORTED, "decoder 'Replace' of more than a character after one that "
                                     "makes one piece of the text");
        } else if (fused && (step->kind == DECODE_WORDPIECE || step->kind == DECODE_SUFFIX)) {
            return fail(UNSUPPORTED, "decoder 'WordPiece' or 'BPEDecoder' after one that makes one "
                                     "piece of the text");
        }
        fused = fused || fuses(step->kind);
    }
    return OK;
}

static status take_bytes(struct decode *decode, size_t *capacity, size_t needed) {
    if (needed > UINT32_MAX) return fail(UNSUPPORTED, "the texts of tokens are over 4 GiB");
    if (needed <= *capacity) return OK;
    uint8_t *bytes;
    size_t more = needed + needed / 2;
    TRY(MEMORY_TAKE(decode->memory, more, "the texts of tokens", &bytes));
    if (*capacity) memcpy(bytes, decode->bytes, *capacity);
    memory_give(decode->memory, decode->bytes);
    decode->bytes = bytes;
    *capacity = more;
    return OK;
}

static status fill(struct decode *decode, struct work *work,
                   struct text (*text_of)(const void *owner, uint32_t), const void *owner) {
    size_t capacity = 0, used = 0;
    TRY(MEMORY_TAKE_ARRAY(decode->memory, 2 * ((size_t)decode->n + 1), "the texts of tokens",
                          &decode->offsets));
    TRY(MEMORY_TAKE_ARRAY(decode->memory, decode->n, "the texts of tokens", &decode->spaced));
    for (int first = 1; first >= 0; first--) {
        uint32_t *offsets = decode->offsets + (first ? 0 : (size_t)decode->n + 1);
        for (uint32_t id = 0; id < decode->n; id++) {
            struct text text = text_of(owner, id);
            offsets[id] = (uint32_t)used;
            if (!text.data) continue;
            TRY(run(work, decode, first != 0, &text));
            TRY(take_bytes(decode, &capacity, used + text.length));
            if (text.length) memcpy(decode->bytes + used, text.data, text.length);
            used += text.length;
            decode->spaced[id] = work->spaced;
            if (text.length > decode->longest) decode->longest = text.length;
        }
        offsets[decode->n] = (uint32_t)used;
    }
    decode->longest++; /* the space of the one before */
    return OK;
}

status decode_open(struct decode *decode, uint32_t n,
                   struct text (*text)(const void *owner, uint32_t), const void *owner) {
    struct work work = {.memory = decode->memory, .regex = {.memory = decode->memory}};
    decode->n = n;
    status result = check(decode);
    if (result == OK) result = fill(decode, &work, text, owner);
    regex_state_close(&work.regex);
    memory_give(decode->memory, work.bytes[0]);
    memory_give(decode->memory, work.bytes[1]);
    return result;
}

void decode_close(struct decode *decode) {
    if (!decode->memory) return;
    memory_give(decode->memory, decode->offsets);
    memory_give(decode->memory, decode->spaced);
    memory_give(decode->memory, decode->bytes);
}

size_t decode_token(const struct decode *decode, struct detokenize_state *state, uint32_t id,
                    char *buffer, size_t capacity) {
    const uint32_t *offsets = decode->offsets + (state->started ? (size_t)decode->n + 1 : 0);
    const char *text = (const char *)decode->bytes + offsets[id];
    size_t length = offsets[id + 1] - offsets[id], space = state->spaced ? 1 : 0;
    if (!state->started) state->stripping = true;
    while (state->stripping && state->stripped < decode->strip && length >= decode->strip_length &&
           memcmp(text, decode->strip_text, decode->strip_length) == 0) {
        text += decode->strip_length;
        length -= decode->strip_length;
        state->stripped++;
    }
    if (length > 0) state->stripping = false;
    state->started = true;
    state->spaced = decode->spaced[id];
    if (space + length > capacity || !buffer) return space + length;
    if (space) *buffer = ' ';
    if (length) memcpy(buffer + space, text, length);
    return space + length;
}
