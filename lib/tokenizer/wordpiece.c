#include "tokenizer/wordpiece.h"

#include <utf8proc.h>

#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

/* A word of more characters is unknown as a whole: the limit of the published tokenizers
 * ("max_input_chars_per_word"). It also bounds the time that a word can take. */
enum { MOST_CHARACTERS = 100 };

static const char space_mark[3] = {'\xe2', '\x96', '\x81'}; /* U+2581 */

struct word {
    char text[sizeof space_mark + 4 * MOST_CHARACTERS];
    size_t length; /* with the U+2581 before it */
    size_t n_characters;
};

status wordpiece_open(const struct checkpoint *checkpoint, const struct vocab *vocab,
                      int32_t unknown, struct wordpiece *wordpiece) {
    *wordpiece =
        (struct wordpiece){.vocab = vocab, .unknown = unknown, .lowercase = true, .chinese = true};
    if (unknown < 0)
        return fail(FORMAT, "%s: no 'tokenizer.ggml.unknown_token_id'",
                    checkpoint_name(checkpoint));
    TRY(checkpoint_read_bool(checkpoint, "tokenizer.ggml.normalizer.lowercase", &(bool){0},
                             &wordpiece->lowercase));
    wordpiece->strip_accents = wordpiece->lowercase;
    TRY(checkpoint_read_bool(checkpoint, "tokenizer.ggml.normalizer.chinese_characters", &(bool){0},
                             &wordpiece->chinese));
    TRY(checkpoint_read_bool(checkpoint, "tokenizer.wordpiece.number_signs", &(bool){0},
                             &wordpiece->number_signs));
    return checkpoint_read_bool(checkpoint, "tokenizer.ggml.normalizer.strip_accents", &(bool){0},
                                &wordpiece->strip_accents);
}

static void word_start(struct word *word) {
    memcpy(word->text, space_mark, sizeof space_mark);
    word->length = sizeof space_mark;
    word->n_characters = 0;
}

static void word_add(struct word *word, uint32_t c) {
    if (word->n_characters++ < MOST_CHARACTERS)
        word->length += utf8_encode(c, word->text + word->length);
}

/* Longest piece from a place in the word; *end of it. */
static int32_t longest_piece(const struct vocab *vocab, const struct word *word, size_t at,
                             size_t *end) {
    size_t most = word->length - at;
    /* a U+2581 of the text itself: pieces that start with one are those that start words */
    if (at > 0 && most >= sizeof space_mark &&
        memcmp(word->text + at, space_mark, sizeof space_mark) == 0)
        return -1;
    if (most > vocab->longest) most = vocab->longest;
    for (size_t n = most; n > 0; n--) {
        if (at + n < word->length && ((uint8_t)word->text[at + n] & 0xc0) == 0x80) continue;
        int32_t id = vocab_find_plain(vocab, word->text + at, n);
        if (id >= 0) {
            *end = at + n;
            return id;
        }
    }
    return -1;
}

/* The same of pieces with ##: the bytes before the place are those for the time of the search. */
static int32_t longest_signed_piece(const struct vocab *vocab, struct word *word, size_t at,
                                    size_t *end) {
    static const char signs[2] = {'#', '#'};
    if (at == 0) at = sizeof space_mark;
    bool first = at == sizeof space_mark;
    size_t begin = first ? at : at - sizeof signs;
    char kept[sizeof signs];
    memcpy(kept, word->text + begin, sizeof kept);
    if (!first) memcpy(word->text + begin, signs, sizeof signs);
    int32_t id = -1;
    for (size_t stop = word->length; id < 0 && stop > at; stop--) {
        if (stop < word->length && ((uint8_t)word->text[stop] & 0xc0) == 0x80) continue;
        id = vocab_find_plain(vocab, word->text + begin, stop - begin);
        if (id >= 0) *end = stop;
    }
    if (!first) memcpy(word->text + begin, kept, sizeof kept);
    return id;
}

static void word_finish(const struct wordpiece *wordpiece, struct encoder *encoder,
                        struct word *word) {
    size_t before = encoder->count;
    if (word->n_characters == 0) return;
    bool known = word->n_characters <= MOST_CHARACTERS;
    for (size_t at = 0; known && at < word->length;) {
        int32_t id = wordpiece->number_signs ? longest_signed_piece(wordpiece->vocab, word, at, &at)
                                             : longest_piece(wordpiece->vocab, word, at, &at);
        /* U+2581 alone would be a piece without a character of the word */
        known = id >= 0 && at > sizeof space_mark;
        if (known) encoder_push(encoder, id);
    }
    if (!known) {
        encoder->count = before;
        encoder_push(encoder, wordpiece->unknown);
    }
    word_start(word);
}

/* The blocks that BERT's own tokenizer sets apart character by character. */
static bool is_chinese(uint32_t c) {
    static const struct character_range ranges[] = {
        {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
        {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f},
    };
    return character_in(c, ranges, sizeof ranges / sizeof *ranges);
}

/* Control, format and private-use characters, U+0000 and U+FFFD are taken out. */
static bool is_dropped(uint32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') return false;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return true;
    default:
        return c == 0xfffd;
    }
}

/* One character of normalized text: a part of the word, or what ends it. */
static void add(const struct wordpiece *wordpiece, struct encoder *encoder, struct word *word,
                uint32_t c) {
    unsigned class = character_class(c);
    if (class & SPACE) {
        word_finish(wordpiece, encoder, word);
    } else if (class & PUNCT || (c < 0x80 && class & SYMBOL)) {
        word_finish(wordpiece, encoder, word);
        word_add(word, c);
        word_finish(wordpiece, encoder, word);
    } else {
        word_add(word, c);
    }
}

static void add_lowercase(const struct wordpiece *wordpiece, struct encoder *encoder,
                          struct word *word, uint32_t c) {
    if (!wordpiece->lowercase) {
        add(wordpiece, encoder, word, c);
    } else if (c == 0x130) { /* the one letter whose lower case is two characters */
        add(wordpiece, encoder, word, 'i');
        add(wordpiece, encoder, word, 0x307);
    } else {
        add(wordpiece, encoder, word, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
    }
}

static void add_normalized(const struct wordpiece *wordpiece, struct encoder *encoder,
                           struct word *word, uint32_t c) {
    if (!wordpiece->strip_accents || c < 0x80) {
        add_lowercase(wordpiece, encoder, word, c);
        return;
    }
    utf8proc_int32_t parts[16]; /* no canonical decomposition has more than 4 */
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, parts, 16, UTF8PROC_DECOMPOSE, NULL);
    for (utf8proc_ssize_t i = 0; i < n && i < 16; i++)
        if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
            add_lowercase(wordpiece, encoder, word, (uint32_t)parts[i]);
}

void wordpiece_encode(const struct wordpiece *wordpiece, struct encoder *encoder,
                      const uint8_t *text, size_t length) {
    struct word word;
    word_start(&word);
    for (size_t at = 0; at < length;) {
        unsigned n;
        uint32_t c = utf8_decode(text + at, &n);
        at += n;
        if (is_dropped(c)) continue;
        bool apart = wordpiece->chinese && is_chinese(c);
        if (apart) word_finish(wordpiece, encoder, &word);
        add_normalized(wordpiece, encoder, &word, c);
        if (apart) word_finish(wordpiece, encoder, &word);
    }
    word_finish(wordpiece, encoder, &word);
}

size_t wordpiece_decode(const struct wordpiece *wordpiece, struct text text, bool first,
                        char *out) {
    bool starts_word;
    if (wordpiece->number_signs) {
        starts_word = text.length < 2 || memcmp(text.data, "##", 2) != 0;
        if (!starts_word) text = (struct text){text.data + 2, text.length - 2};
    } else {
        starts_word = text.length >= sizeof space_mark &&
                      memcmp(text.data, space_mark, sizeof space_mark) == 0;
        if (starts_word)
            text = (struct text){text.data + sizeof space_mark, text.length - sizeof space_mark};
    }
    size_t n = 0;
    if (starts_word && !first) {
        if (out) out[n] = ' ';
        n++;
    }
    if (out && text.length) memcpy(out + n, text.data, text.length);
    return n + text.length;
}
