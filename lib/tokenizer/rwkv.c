#include "tokenizer/rwkv.h"

/* The bytes of all tokens, while the trie is made of them. */
struct keys {
    const struct vocab *vocab;
    char *bytes;
    size_t *ends; /* [n] */
};

static struct text key(const void *owner, uint32_t id) {
    const struct keys *keys = owner;
    size_t begin = id ? keys->ends[id - 1] : 0;
    return (struct text){keys->bytes + begin, keys->ends[id] - begin};
}

static bool is_matched(const struct vocab *vocab, uint32_t id) {
    return vocab->kinds[id] != TOKEN_CONTROL && vocab->kinds[id] != TOKEN_UNKNOWN;
}

status rwkv_open(struct memory *memory, const struct vocab *vocab, int32_t unknown,
                 struct rwkv *rwkv) {
    *rwkv = (struct rwkv){.unknown = unknown};
    struct keys keys = {.vocab = vocab};
    size_t n = 0;
    for (uint32_t id = 0; id < vocab->n; id++) n += vocab_text(vocab, id).length;
    status result = MEMORY_TAKE(memory, n, "the tokens' bytes", &keys.bytes);
    if (result == OK) result = MEMORY_TAKE_ARRAY(memory, vocab->n, "the tokens' bytes", &keys.ends);
    n = 0;
    for (uint32_t id = 0; result == OK && id < vocab->n; id++) {
        if (is_matched(vocab, id)) n += rwkv_decode(vocab_text(vocab, id), keys.bytes + n);
        keys.ends[id] = n;
    }
    if (result == OK) result = trie_open(memory, &keys, key, vocab->n, &rwkv->trie);
    if (result == OK && rwkv->trie.longest > 1024) {
        result =
            fail(UNSUPPORTED, "a token of %zu bytes, up to 1024 are supported", rwkv->trie.longest);
        rwkv_close(rwkv);
    }
    memory_give(memory, keys.bytes);
    memory_give(memory, keys.ends);
    return result;
}

void rwkv_close(struct rwkv *rwkv) {
    trie_close(&rwkv->trie);
}

void rwkv_encode(const struct rwkv *rwkv, struct encoder *encoder, const uint8_t *text,
                 size_t length) {
    for (size_t at = 0; at < length;) {
        int64_t id = rwkv->unknown;
        size_t n = trie_longest(&rwkv->trie, text + at, length - at, &id);
        if (id >= 0) encoder_push(encoder, (int32_t)id);
        at += n ? n : 1;
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that an escape stands for; *n: characters of it, its backslash included. */
static char escaped(const char *text, size_t length, size_t *n) {
    *n = 2;
    switch (text[1]) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 'x':
        if (length >= 4 && hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0) {
            *n = 4;
            return (char)(hex_digit(text[2]) * 16 + hex_digit(text[3]));
        }
        return 'x';
    default:
        return text[1];
    }
}

size_t rwkv_decode(struct text text, char *out) {
    size_t length = 0;
    for (size_t at = 0; at < text.length; length++) {
        size_t n = 1;
        char byte = text.data[at];
        if (byte == '\\' && at + 1 < text.length)
            byte = escaped(text.data + at, text.length - at, &n);
        if (out) out[length] = byte;
        at += n;
    }
    return length;
}
