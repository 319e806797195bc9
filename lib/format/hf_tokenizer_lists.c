#include <stdio.h>
#include <string.h>

#include "format/hf_tokenizer.h"

enum { MOST_TOKEN_BYTES = 4096, MOST_LINES = 1 << 24 };

static status keep(struct hf_tokenizer *tokenizer, const char *before, struct text text,
                   struct text *kept) {
    size_t n = strlen(before);
    void *block;
    TRY(arena_take(&tokenizer->arena, n + text.length, "a vocabulary's texts", &block));
    memcpy(block, before, n);
    if (text.length) memcpy((char *)block + n, text.data, text.length);
    *kept = (struct text){block, n + text.length};
    return OK;
}

/* The next line of a text file, without its end. False: there is none. */
static bool next_line(const char *bytes, size_t size, size_t *at, struct text *line) {
    if (*at >= size) return false;
    const char *end = memchr(bytes + *at, '\n', size - *at);
    size_t length = end ? (size_t)(end - bytes) - *at : size - *at;
    *line = (struct text){bytes + *at, length};
    *at += length + 1;
    if (length && line->data[length - 1] == '\r') line->length--;
    return true;
}

static bool starts_with(struct text text, const char *begin) {
    size_t n = strlen(begin);
    return text.length >= n && memcmp(text.data, begin, n) == 0;
}

/* ---- vocab.txt: a token a line ---- */

/* As GGUF writes WordPiece: ## goes, and pieces that start a word have U+2581 before them; what
 * stands in brackets is no piece of a word. */
static status add_wordpiece(struct hf_tokenizer *tokenizer, struct text line, bool signs) {
    struct hf_token token = {line, 0, HF_TOKEN_NORMAL};
    if (signs && line.length > 0) return hf_vocabulary_add(&tokenizer->vocabulary, token);
    if (starts_with(line, "##"))
        token.text = (struct text){line.data + 2, line.length - 2};
    else if (line.length == 0)
        token.kind = HF_TOKEN_UNUSED;
    else if (line.data[0] != '[' || line.data[line.length - 1] != ']' || line.length < 3)
        TRY(keep(tokenizer, "\xe2\x96\x81", line, &token.text));
    return hf_vocabulary_add(&tokenizer->vocabulary, token);
}

/* Whether a piece starts with U+2581 itself: GGUF's writing couldn't tell it from others. */
static bool has_space_mark(const char *bytes, size_t size) {
    size_t at = 0;
    struct text line;
    while (next_line(bytes, size, &at, &line))
        if (starts_with(line, "\xe2\x96\x81") || starts_with(line, "##\xe2\x96\x81")) return true;
    return false;
}

/* Special tokens that aren't in brackets, as <s>: they have no U+2581. */
static void write_out_special(struct hf_tokenizer *tokenizer) {
    const struct hf_class *class = tokenizer->class;
    const char *const names[] = {class->bos,     class->eos,      class->unknown, class->separator,
                                 class->padding, class->classify, class->mask};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[64];
        if (!names[i]) continue;
        int n = snprintf(text, sizeof text, "\xe2\x96\x81%s", names[i]);
        int32_t id = hf_vocabulary_find(&tokenizer->vocabulary, (struct text){text, (size_t)n});
        if (id < 0) continue;
        tokenizer->vocabulary.items[id].text = (struct text){names[i], strlen(names[i])};
        tokenizer->vocabulary.items[id].kind = HF_TOKEN_CONTROL;
    }
}

static status write_wordpiece(struct hf_tokenizer *tokenizer) {
    struct hf *hf = tokenizer->hf;
    const struct hf_tokenizer_config *config = &tokenizer->config;
    if (config->flags.basic == 0)
        return fail(UNSUPPORTED, "%s: 'do_basic_tokenize' is false, which is not supported",
                    config->file);
    bool lowercase = config->flags.lowercase != 0;
    bool strip = config->flags.strip_accents >= 0 ? config->flags.strip_accents == 1 : lowercase;
    TRY(hf_metadata_string(hf, "tokenizer.ggml.model", (struct text){"bert", 4}));
    TRY(hf_metadata_put_bool(hf, "tokenizer.ggml.normalizer.lowercase", lowercase));
    TRY(hf_metadata_put_bool(hf, "tokenizer.ggml.normalizer.strip_accents", strip));
    if (config->flags.chinese != 0) return OK;
    return hf_metadata_put_bool(hf, "tokenizer.ggml.normalizer.chinese_characters", false);
}

status hf_tokenizer_wordpiece(struct hf_tokenizer *tokenizer, bool *found) {
    size_t size, at = 0;
    struct text line;
    TRY(hf_find_file(tokenizer->hf, "vocab.txt", HF_VOCABULARY_MAX_BYTES, found, &tokenizer->file,
                     &size));
    if (!*found) return OK;
    if (tokenizer->class->layout != HF_WORDPIECE && tokenizer->class->layout != HF_REFUSED) {
        struct text named = tokenizer->config.texts.class;
        if (tokenizer->class->name[0] || named.length)
            return fail(UNSUPPORTED, "%s: vocab.txt with tokenizer_class %.*s", tokenizer->hf->path,
                        named.length ? (int)(named.length < 64 ? named.length : 64) : 64,
                        named.length ? named.data : tokenizer->class->name);
        tokenizer->class = hf_tokenizer_class((struct text){"BertTokenizer", 13});
    }
    bool signs = has_space_mark(tokenizer->file, size);
    if (signs) TRY(hf_metadata_put_bool(tokenizer->hf, "tokenizer.wordpiece.number_signs", true));
    while (next_line(tokenizer->file, size, &at, &line)) {
        if (line.length > MOST_TOKEN_BYTES)
            return fail(LIMIT, "vocab.txt: a token of %zu bytes", line.length);
        TRY(add_wordpiece(tokenizer, line, signs));
    }
    if (tokenizer->vocabulary.n == 0) return fail(FORMAT, "vocab.txt: has no tokens");
    write_out_special(tokenizer);
    return write_wordpiece(tokenizer);
}

/* ---- vocab.json and merges.txt: byte-level BPE ---- */

status hf_tokenizer_read_vocab_json(struct hf_tokenizer *tokenizer, const char *file,
                                    const void *bytes, size_t size,
                                    struct hf_vocabulary *vocabulary) {
    struct json json = {.file = file, .bytes = bytes, .size = size};
    struct json_value value, key;
    bool first = true, more;
    TRY(json_read(&json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", file);
    for (;;) {
        char buffer[MOST_TOKEN_BYTES];
        struct hf_token token = {.kind = HF_TOKEN_NORMAL};
        size_t n;
        int64_t id;
        TRY(json_member(&json, &first, &more, &key));
        if (!more) break;
        TRY(json_read(&json, &value));
        if (!json_to_i64(&value, &id) || id < 0)
            return fail(FORMAT, "%s: a token's number is none (before offset %zu)", file, json.at);
        TRY(json_unescape(&json, &key, buffer, sizeof buffer, &n));
        TRY(keep(tokenizer, "", (struct text){buffer, n}, &token.text));
        TRY(hf_vocabulary_put(vocabulary, id, token));
    }
    TRY(json_end(&json));
    return vocabulary->n ? OK : fail(FORMAT, "%s: has no tokens", file);
}

/* The lines of merges.txt as an array of texts. */
static status write_merges(struct hf *hf, const char *bytes, size_t size) {
    size_t at = 0, n = 0, used = 0, capacity = 0;
    struct text line;
    uint8_t *texts;
    while (next_line(bytes, size, &at, &line)) capacity += sizeof(uint64_t) + line.length;
    TRY(MEMORY_TAKE(hf->memory, capacity, "merges", &texts));
    at = 0;
    while (next_line(bytes, size, &at, &line)) {
        uint64_t length = line.length;
        if (length == 0 || (n == 0 && starts_with(line, "#version"))) continue;
        memcpy(texts + used, &length, sizeof length);
        memcpy(texts + used + sizeof length, line.data, line.length);
        used += sizeof length + line.length;
        n++;
    }
    status result = hf_metadata_array(hf, "tokenizer.ggml.merges", METADATA_STRING, n, texts, used);
    memory_give(hf->memory, texts);
    return result;
}

static status write_bpe(struct hf_tokenizer *tokenizer) {
    struct hf *hf = tokenizer->hf;
    const struct hf_class *class = tokenizer->class;
    struct text named = tokenizer->config.texts.class;
    if (!class->pre && class->layout != HF_REFUSED)
        return fail(UNSUPPORTED, "%s: a byte-level BPE vocabulary with tokenizer_class '%.*s'",
                    hf->path, (int)(named.length < 64 ? named.length : 64),
                    named.length ? named.data : "");
    TRY(hf_metadata_string(hf, "tokenizer.ggml.model", (struct text){"gpt2", 4}));
    if (class->pre)
        TRY(hf_metadata_string(hf, "tokenizer.ggml.pre",
                               (struct text){class->pre, strlen(class->pre)}));
    if (class->compose) TRY(hf_metadata_put_bool(hf, "tokenizer.bpe.compose", true));
    if (tokenizer->config.flags.prefix_space != 1) return OK;
    return hf_metadata_put_bool(hf, "tokenizer.bpe.space_prefix", true);
}

status hf_tokenizer_byte_bpe(struct hf_tokenizer *tokenizer, bool *found) {
    struct hf *hf = tokenizer->hf;
    void *merges = NULL, *vocab = NULL;
    size_t n_merges, n_vocab;
    bool has;
    TRY(hf_find_file(hf, "merges.txt", HF_VOCABULARY_MAX_BYTES, found, &merges, &n_merges));
    if (!*found) return OK;
    status result = hf_find_file(hf, "vocab.json", HF_VOCABULARY_MAX_BYTES, &has, &vocab, &n_vocab);
    if (result == OK && !has)
        result = fail(NOT_FOUND, "%s: has merges.txt and no vocab.json", hf->path);
    if (result == OK)
        result = hf_tokenizer_read_vocab_json(tokenizer, "vocab.json", vocab, n_vocab,
                                              &tokenizer->vocabulary);
    if (result == OK) result = write_merges(hf, merges, n_merges);
    if (result == OK) result = write_bpe(tokenizer);
    memory_give(hf->memory, vocab);
    memory_give(hf->memory, merges);
    return result;
}

/* ---- tiktoken: lines of a token in base64 and its rank, which is its number ---- */

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes that base64 digits stand for; false: they are none. */
static bool base64_decode(struct text text, uint8_t *out, size_t capacity, size_t *n) {
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t length = text.length;
    *n = 0;
    if (length == 0 || length % 4 != 0) return false;
    while (length > 0 && text.data[length - 1] == '=' && text.length - length < 2) length--;
    for (size_t i = 0; i < length; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        if (*n == capacity) return false;
        out[(*n)++] = (uint8_t)(bits >> n_bits);
        bits &= (1u << n_bits) - 1;
    }
    return true;
}

static bool read_rank(struct text line, uint8_t *token, size_t capacity, size_t *n, int64_t *rank) {
    const char *space = memchr(line.data, ' ', line.length);
    if (!space) return false;
    size_t n_text = (size_t)(space - line.data);
    struct json_value number = {.kind = JSON_NUMBER, .text = {space + 1, line.length - n_text - 1}};
    return base64_decode((struct text){line.data, n_text}, token, capacity, n) && *n > 0 &&
           json_to_i64(&number, rank) && *rank >= 0;
}

bool hf_tokenizer_is_tiktoken(const void *bytes, size_t size) {
    uint8_t token[MOST_TOKEN_BYTES];
    size_t at = 0, n;
    struct text line;
    int64_t rank;
    if (size > 3 * MOST_TOKEN_BYTES && !memchr(bytes, '\n', 2 * MOST_TOKEN_BYTES)) return false;
    return next_line(bytes, size, &at, &line) && read_rank(line, token, sizeof token, &n, &rank);
}

/* Bytes in byte-level BPE's writing: printable ones of Latin-1 as they are, the others from U+0100
 * on, in order. */
static status byte_level(struct hf_tokenizer *tokenizer, const uint8_t *bytes, size_t n,
                         struct text *text) {
    char buffer[2 * MOST_TOKEN_BYTES];
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = bytes[i];
        if (c <= 32)
            c += 256;
        else if (c >= 127 && c <= 160)
            c += 256 + 33 - 127;
        else if (c == 173)
            c = 256 + 33 + 34;
        if (c < 0x80) {
            buffer[length++] = (char)c;
        } else {
            buffer[length++] = (char)(0xc0 | c >> 6);
            buffer[length++] = (char)(0x80 | (c & 0x3f));
        }
    }
    return keep(tokenizer, "", (struct text){buffer, length}, text);
}

/* The special tokens that Llama 3 and Qwen have behind their ranks, where no file lists them. */
static status add_published_special(struct hf_tokenizer *tokenizer, int64_t n_ranks) {
    static const char *const qwen[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    if (tokenizer->config.n_added > 0) return OK;
    if (strcmp(tokenizer->class->name, "QWenTokenizer") != 0)
        return fail(UNSUPPORTED,
                    "%s: ranks of tiktoken without the special tokens: 'added_tokens_decoder' of "
                    "tokenizer_config.json lists them",
                    tokenizer->hf->path);
    for (int i = 0; i < 3; i++) {
        struct hf_token token = {{qwen[i], strlen(qwen[i])}, 0, HF_TOKEN_CONTROL};
        TRY(hf_vocabulary_put(&tokenizer->vocabulary, n_ranks + i, token));
    }
    for (int i = 0; i < 205; i++) {
        char text[32];
        struct hf_token token = {.kind = HF_TOKEN_CONTROL};
        int n = snprintf(text, sizeof text, "<|extra_%d|>", i);
        TRY(keep(tokenizer, "", (struct text){text, (size_t)n}, &token.text));
        TRY(hf_vocabulary_put(&tokenizer->vocabulary, n_ranks + 3 + i, token));
    }
    return OK;
}

status hf_tokenizer_tiktoken_read(struct hf_tokenizer *tokenizer, const char *file,
                                  const void *bytes, size_t size) {
    struct text line;
    size_t at = 0;
    while (next_line(bytes, size, &at, &line)) {
        uint8_t raw[MOST_TOKEN_BYTES];
        struct hf_token token = {.kind = HF_TOKEN_NORMAL};
        size_t n;
        int64_t rank;
        if (line.length == 0) continue;
        if (!read_rank(line, raw, sizeof raw, &n, &rank))
            return fail(FORMAT, "%s: no token and rank in the line before byte %zu", file, at);
        TRY(byte_level(tokenizer, raw, n, &token.text));
        TRY(hf_vocabulary_put(&tokenizer->vocabulary, rank, token));
    }
    TRY(add_published_special(tokenizer, (int64_t)tokenizer->vocabulary.n));
    TRY(hf_metadata_put_bool(tokenizer->hf, "tokenizer.bpe.ranks", true));
    return write_bpe(tokenizer);
}

status hf_tokenizer_tiktoken(struct hf_tokenizer *tokenizer, bool *found) {
    static const char *const names[] = {"qwen.tiktoken", "tiktoken.model", "vocab.tiktoken",
                                        "tokenizer.tiktoken"};
    struct hf *hf = tokenizer->hf;
    *found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *bytes = NULL;
        size_t size;
        TRY(hf_find_file(hf, names[i], HF_VOCABULARY_MAX_BYTES, found, &bytes, &size));
        if (!*found) continue;
        status result = hf_tokenizer_tiktoken_read(tokenizer, names[i], bytes, size);
        memory_give(hf->memory, bytes);
        return result;
    }
    return OK;
}
