/* GGUF files of small vocabularies, one for each kind of tokenizer. */
#ifndef TESTS_SMALL_VOCABULARY_H
#define TESTS_SMALL_VOCABULARY_H

#include "gguf_bytes.h"

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, BYTE = 6 };

struct small_token {
    const char *text;
    int kind;
    float score;
};

/* Every byte in GPT-2's writing, as ids 0 to 255; out [256][4]. */
static inline void byte_tokens(char out[256][4]) {
    unsigned other = 256;
    for (unsigned byte = 0; byte < 256; byte++) {
        int printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) ||
                        (byte >= 0xae && byte <= 0xff);
        unsigned c = printable ? byte : other++;
        int n = 0;
        if (c >= 0x80) out[byte][n++] = (char)(0xc0 | c >> 6);
        out[byte][n++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
        out[byte][n] = 0;
    }
}

/* tokens, token_type and, if wanted, scores: 256 tokens of bytes, then the others. */
static inline void put_tokens(struct bytes *b, const char bytes[256][8], int byte_kind,
                              const struct small_token *more, uint64_t n, int scores) {
    uint64_t n_bytes = bytes ? 256 : 0;
    put_array(b, "tokenizer.ggml.tokens", METADATA_STRING, n_bytes + n);
    for (uint64_t i = 0; i < n_bytes; i++) put_string(b, bytes[i]);
    for (uint64_t i = 0; i < n; i++) put_string(b, more[i].text);
    put_array(b, "tokenizer.ggml.token_type", METADATA_I32, n_bytes + n);
    for (uint64_t i = 0; i < n_bytes; i++) put_u32(b, (uint32_t)byte_kind);
    for (uint64_t i = 0; i < n; i++) put_u32(b, (uint32_t)more[i].kind);
    if (!scores) return;
    put_array(b, "tokenizer.ggml.scores", METADATA_F32, n_bytes + n);
    for (uint64_t i = 0; i < n_bytes; i++) put_f32(b, 0);
    for (uint64_t i = 0; i < n; i++) put_f32(b, more[i].score);
}

enum { /* of small_bpe */
       BPE_HE = 256,
       BPE_LL,
       BPE_HELL,
       BPE_HELLO,
       BPE_AA,
       BPE_AAAA,
       BPE_SPACE_A,
       BPE_BEGIN,
       BPE_IM_END,
       BPE_USER,
       BPE_USER_LONGER
};

static inline void small_bpe(struct bytes *b, const char *pre) {
    static const struct small_token more[] = {
        {"he", NORMAL, 0},      {"ll", NORMAL, 0},         {"hell", NORMAL, 0},
        {"hello", NORMAL, 0},   {"aa", NORMAL, 0},         {"aaaa", NORMAL, 0},
        {"\u0120a", NORMAL, 0}, {"<|begin|>", CONTROL, 0}, {"<|im_end|>", CONTROL, 0},
        {"<user>", USER, 0},    {"<user>er", USER, 0},
    };
    static const char *const merges[] = {"h e", "l l",   "he ll",   "hell o",
                                         "a a", "aa aa", "\u0120 a"};
    char short_bytes[256][4], bytes[256][8];
    byte_tokens(short_bytes);
    for (int i = 0; i < 256; i++) memcpy(bytes[i], short_bytes[i], 4);
    put_head(b, 3, 0, 7);
    put_key_string(b, "tokenizer.ggml.model", "gpt2");
    put_key_string(b, "tokenizer.ggml.pre", pre);
    put_tokens(b, bytes, NORMAL, more, sizeof more / sizeof *more, 0);
    put_array(b, "tokenizer.ggml.merges", METADATA_STRING, sizeof merges / sizeof *merges);
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) put_string(b, merges[i]);
    put_key_u32(b, "tokenizer.ggml.bos_token_id", BPE_BEGIN);
    put_key(b, "tokenizer.ggml.add_bos_token", METADATA_BOOL), put_u8(b, 1);
}

enum { /* of small_sentencepiece; byte tokens are 0 to 255 */
       SP_UNKNOWN = 256,
       SP_BEGIN,
       SP_END,
       SP_SPACE,
       SP_A,
       SP_B,
       SP_AB,
       SP_SPACE_A,
       SP_SPACE_AB,
       SP_AA,
       SP_GREATER,
       SP_GREATER_SPACE,
       SP_GREATER_SPACE_A,
       SP_USER
};

static inline void small_sentencepiece(struct bytes *b, int space_prefix) {
    static const struct small_token more[] = {
        {"<unk>", UNKNOWN, 0},        {"<s>", CONTROL, 0},     {"</s>", CONTROL, 0},
        {"\u2581", NORMAL, -20},      {"a", NORMAL, -21},      {"b", NORMAL, -22},
        {"ab", NORMAL, -1},           {"\u2581a", NORMAL, -2}, {"\u2581ab", NORMAL, -3},
        {"aa", NORMAL, -4},           {">", NORMAL, -23},      {">\u2581", NORMAL, -0.5f},
        {">\u2581a", NORMAL, -0.25f}, {"<user>", USER, 0},
    };
    char bytes[256][8];
    for (int i = 0; i < 256; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char text[8] = {'<', '0', 'x', digits[i / 16], digits[i % 16], '>', 0, 0};
        memcpy(bytes[i], text, 8);
    }
    put_head(b, 3, 0, 8);
    put_key_string(b, "tokenizer.ggml.model", "llama");
    put_tokens(b, bytes, BYTE, more, sizeof more / sizeof *more, 1);
    put_key(b, "tokenizer.ggml.add_space_prefix", METADATA_BOOL);
    put_u8(b, (uint8_t)space_prefix);
    put_key_u32(b, "tokenizer.ggml.bos_token_id", SP_BEGIN);
    put_key_u32(b, "tokenizer.ggml.eos_token_id", SP_END);
    put_key_u32(b, "tokenizer.ggml.unknown_token_id", SP_UNKNOWN);
}

enum { /* of small_wordpiece */
       WP_PAD,
       WP_UNKNOWN,
       WP_CLASSIFY,
       WP_SEPARATOR,
       WP_UN,
       WP_AFF,
       WP_ABLE,
       WP_HELLO,
       WP_COMMA,
       WP_CHINESE,
       WP_A,
       WP_MORE_A
};

static inline void small_wordpiece(struct bytes *b) {
    static const struct small_token more[] = {
        {"[PAD]", CONTROL, 0},       {"[UNK]", CONTROL, 0},      {"[CLS]", CONTROL, 0},
        {"[SEP]", CONTROL, 0},       {"\u2581un", NORMAL, 0},    {"aff", NORMAL, 0},
        {"able", NORMAL, 0},         {"\u2581hello", NORMAL, 0}, {"\u2581,", NORMAL, 0},
        {"\u2581\u4e2d", NORMAL, 0}, {"\u2581a", NORMAL, 0},     {"a", NORMAL, 0},
    };
    put_head(b, 3, 0, 6);
    put_key_string(b, "tokenizer.ggml.model", "bert");
    put_tokens(b, NULL, 0, more, sizeof more / sizeof *more, 0);
    put_key_u32(b, "tokenizer.ggml.unknown_token_id", WP_UNKNOWN);
    put_key_u32(b, "tokenizer.ggml.cls_token_id", WP_CLASSIFY);
    put_key_u32(b, "tokenizer.ggml.seperator_token_id", WP_SEPARATOR);
}

#endif
