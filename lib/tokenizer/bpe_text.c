#include "tokenizer/bpe_text.h"

#include <utf8proc.h>

#include "tokenizer/character.h"
#include "tokenizer/normalize.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/utf8.h"

static const char space_mark[3] = {'\xe2', '\x96', '\x81'}; /* U+2581 */
/* Behind the texts of DNA's tokens, so that they are not those of other ones. */
static const char base_mark[3] = {'\xee', '\x80', '\x80'}; /* U+E000 */
enum { N_BASES = 6 };

/* ---- opening ---- */

static status read_rules(const struct checkpoint *checkpoint, struct bpe_text *model) {
    struct text name = {"default", 7};
    bool found;
    TRY(checkpoint_read_text(checkpoint, "tokenizer.ggml.model", &found, &name));
    bool gemma4 = found && name.length == 6 && memcmp(name.data, "gemma4", 6) == 0;
    if (!gemma4) {
        name = (struct text){"default", 7};
        TRY(checkpoint_read_text(checkpoint, "tokenizer.ggml.pre", &found, &name));
    }
    model->rules = pretokenize_find(name);
    if (model->rules) return OK;
    return fail(UNSUPPORTED, "%s: pre-tokenizer '%.*s' is not one this library has",
                checkpoint_name(checkpoint), (int)(name.length < 64 ? name.length : 64), name.data);
}

static status read_flag(const struct checkpoint *checkpoint, const char *key, bool *flag) {
    return checkpoint_read_bool(checkpoint, key, &(bool){0}, flag);
}

static int32_t token_of(const struct vocab *vocab, const char *text) {
    return vocab_find(vocab, text, strlen(text));
}

status bpe_text_open(struct memory *memory, const struct checkpoint *checkpoint,
                     const struct vocab *vocab, bool dna, struct bpe_text *model) {
    *model = (struct bpe_text){.vocab = vocab};
    model->dna.begin = -1;
    TRY(read_rules(checkpoint, model));
    bool ranks = false;
    TRY(read_flag(checkpoint, "tokenizer.bpe.ranks", &ranks));
    TRY(read_flag(checkpoint, "tokenizer.bpe.compose", &model->compose));
    TRY(read_flag(checkpoint, "tokenizer.bpe.space_prefix", &model->space_prefix));
    TRY(read_flag(checkpoint, "tokenizer.ggml.normalizer.lowercase", &model->lowercase));
    if (dna) {
        model->dna.begin = token_of(vocab, "<dna>");
        model->dna.end = token_of(vocab, "</dna>");
        model->dna.unknown = token_of(vocab, "<oov>");
        if (model->dna.end < 0 || model->dna.unknown < 0) model->dna.begin = -1;
    }
    struct bpe_characters *characters = &model->characters;
    TRY(bpe_open(memory, checkpoint, vocab, &characters->bpe));
    characters->bpe.whole_words = model->rules->whole_words || ranks;
    characters->unknown = -1;
    characters->byte_fallback = true;
    if (model->rules->raw) bpe_characters_prepare(characters);
    return OK;
}

void bpe_text_close(struct bpe_text *model) {
    if (model->vocab) bpe_close(&model->characters.bpe);
    *model = (struct bpe_text){0};
}

/* ---- words ---- */

struct words {
    const struct bpe_text *model;
    struct encoder *encoder;
    const uint8_t *text;
};

static bool is_newlines(const uint8_t *word, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (word[i] != '\n') return false;
    return true;
}

static status encode_raw_word(const struct bpe_text *model, struct encoder *encoder,
                              const uint8_t *word, size_t length) {
    if (model->rules->newlines && is_newlines(word, length)) {
        int32_t id = vocab_find(model->vocab, word, length);
        if (id >= 0) {
            encoder_push(encoder, id);
            return OK;
        }
    }
    return bpe_characters_encode(&model->characters, encoder, word, length);
}

static status encode_word(void *user, size_t begin, size_t end) {
    const struct words *words = user;
    const struct bpe_text *model = words->model;
    const uint8_t *word = words->text + begin;
    return model->rules->raw
               ? encode_raw_word(model, words->encoder, word, end - begin)
               : bpe_encode_word(&model->characters.bpe, words->encoder, word, end - begin);
}

static status encode_words(const struct bpe_text *model, struct encoder *encoder,
                           struct text text) {
    struct words words = {model, encoder, (const uint8_t *)text.data};
    return pretokenize_split(model->rules, words.text, text.length, encode_word, &words);
}

/* ---- texts that are changed before ---- */

/* Spaces as U+2581, in a copy. */
static status encode_marked(const struct bpe_text *model, struct encoder *encoder,
                            struct text text) {
    char *copy;
    size_t n = 0;
    TRY(MEMORY_TAKE(encoder->memory, text.length * sizeof space_mark, "a text with its spaces",
                    &copy));
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ' ') {
            memcpy(copy + n, space_mark, sizeof space_mark);
            n += sizeof space_mark;
        } else {
            copy[n++] = text.data[i];
        }
    }
    status result = encode_words(model, encoder, (struct text){copy, n});
    memory_give(encoder->memory, copy);
    return result;
}

/* Words between white space, which goes; each starts anew. */
static status encode_between_spaces(const struct bpe_text *model, struct encoder *encoder,
                                    struct text text) {
    const uint8_t *data = (const uint8_t *)text.data;
    char *copy;
    size_t n = 0;
    /* a lower case letter may take a byte more than the one it is of */
    TRY(MEMORY_TAKE(encoder->memory, text.length * 2 + 4, "words of a text", &copy));
    status result = OK;
    for (size_t at = 0; at <= text.length && result == OK;) {
        unsigned bytes = 1;
        uint32_t c = at < text.length ? utf8_decode(data + at, &bytes) : ' ';
        at += bytes;
        if (!(character_class(c) & SPACE)) {
            if (model->lowercase) c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
            n += utf8_encode(c, copy + n);
        } else if (n > 0) {
            result = encode_words(model, encoder, (struct text){copy, n});
            n = 0;
        }
    }
    memory_give(encoder->memory, copy);
    return result;
}

static status encode_after_space(const struct bpe_text *model, struct encoder *encoder,
                                 struct text text) {
    char *copy;
    TRY(MEMORY_TAKE(encoder->memory, text.length + 1, "a text with a space", &copy));
    copy[0] = ' ';
    memcpy(copy + 1, text.data, text.length);
    status result = encode_words(model, encoder, (struct text){copy, text.length + 1});
    memory_give(encoder->memory, copy);
    return result;
}

static status encode_composed(const struct bpe_text *model, struct encoder *encoder,
                              struct text text) {
    static const struct normalize_step steps[] = {{.kind = NORMALIZE_NFC}};
    struct normalizer normalizer = {.memory = encoder->memory, .steps = steps, .n_steps = 1};
    status result = normalize_run(&normalizer, &text);
    if (result == OK) result = encode_words(model, encoder, text);
    normalize_close(&normalizer);
    return result;
}

static status encode(const struct bpe_text *model, struct encoder *encoder, struct text text) {
    if (text.length == 0) return OK;
    if (model->rules->between_spaces) return encode_between_spaces(model, encoder, text);
    if (model->rules->marks) return encode_marked(model, encoder, text);
    if (model->compose) return encode_composed(model, encoder, text);
    if (model->space_prefix && text.data[0] != ' ') return encode_after_space(model, encoder, text);
    return encode_words(model, encoder, text);
}

/* ---- DNA ---- */

static void push_bases(const struct bpe_text *model, struct encoder *encoder, struct text text) {
    for (size_t at = 0; at < text.length; at += N_BASES) {
        char token[N_BASES + sizeof base_mark];
        for (size_t i = 0; i < N_BASES; i++) {
            char c = at + i < text.length ? text.data[at + i] : 'A';
            token[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        memcpy(token + N_BASES, base_mark, sizeof base_mark);
        int32_t id = vocab_find(model->vocab, token, sizeof token);
        encoder_push(encoder, id >= 0 ? id : model->dna.unknown);
    }
}

/* Start of a tag at or behind `at`; the length: there is none. */
static size_t find_tag(struct text text, size_t at, const char *tag) {
    size_t n = strlen(tag);
    while (at + n <= text.length) {
        const char *found = memchr(text.data + at, '<', text.length - at);
        if (!found) break;
        at = (size_t)(found - text.data);
        if (at + n <= text.length && memcmp(found, tag, n) == 0) return at;
        at++;
    }
    return text.length;
}

static status encode_dna(const struct bpe_text *model, struct encoder *encoder, struct text text) {
    static const char open[] = "<dna>", close[] = "</dna>";
    for (size_t at = 0; at < text.length;) {
        size_t start = find_tag(text, at, open);
        TRY(encode(model, encoder, (struct text){text.data + at, start - at}));
        if (start == text.length) break;
        encoder_push(encoder, model->dna.begin);
        at = start + sizeof open - 1;
        size_t end = find_tag(text, at, close);
        push_bases(model, encoder, (struct text){text.data + at, end - at});
        if (end == text.length) break;
        encoder_push(encoder, model->dna.end);
        at = end + sizeof close - 1;
    }
    return OK;
}

status bpe_text_encode(const struct bpe_text *model, struct encoder *encoder, const uint8_t *text,
                       size_t length) {
    struct text all = {(const char *)text, length};
    return model->dna.begin >= 0 ? encode_dna(model, encoder, all) : encode(model, encoder, all);
}

size_t bpe_text_decode(const struct bpe_text *model, struct text text, char *out) {
    if (model->dna.begin >= 0 && text.length > sizeof base_mark &&
        memcmp(text.data + text.length - sizeof base_mark, base_mark, sizeof base_mark) == 0)
        text.length -= sizeof base_mark;
    if (!model->rules->raw) return bpe_decode(text, out);
    if (model->rules->marks) return sentencepiece_decode(text, out);
    if (out) memcpy(out, text.data, text.length);
    return text.length;
}
