#include "tokenizer/sentencepiece_normalizer.h"

#include <string.h>

#include "tokenizer/utf8.h"

static const char space_mark[3] = {'\xe2', '\x96', '\x81'}; /* U+2581 */
static const size_t most_bytes = (size_t)1 << 30;

/* ---- one step: what the start of a text becomes ---- */

static bool is_plain(const struct sentencepiece_normalizer *normalizer, uint8_t byte) {
    uint8_t pair[2] = {byte, 0};
    struct text replacement;
    uint32_t node = TRIE_ROOT;
    if (precompiled_shortest(&normalizer->map, pair, 1, &replacement)) return false;
    if (normalizer->defined && trie_step(normalizer->defined, &node, byte)) return false;
    for (unsigned next = 0; next < 128; next++) {
        pair[1] = (uint8_t)next;
        if (precompiled_goes_on(&normalizer->map, pair, sizeof pair)) return false;
    }
    return true;
}

void sentencepiece_normalizer_prepare(struct sentencepiece_normalizer *normalizer) {
    for (unsigned byte = 0; byte < 128; byte++)
        normalizer->plain[byte] = is_plain(normalizer, (uint8_t)byte);
}

/* Bytes of the text that the step takes, at least one. */
static size_t step(const struct sentencepiece_normalizer *normalizer, const uint8_t *text,
                   size_t length, struct text *becomes) {
    size_t n = 0;
    int64_t value;
    if (normalizer->defined) n = trie_longest(normalizer->defined, text, length, &value);
    if (n == 0) {
        n = precompiled_longest(&normalizer->map, text, length, becomes);
        if (n > 0) return n;
        n = utf8_length(text[0]);
    }
    *becomes = (struct text){(const char *)text, n};
    return n;
}

/* ---- all of a text ---- */

struct output {
    struct memory *memory;
    char *bytes;
    size_t n, capacity;
};

static status reserve(struct output *output, size_t more) {
    if (more <= output->capacity - output->n) return OK;
    if (more > most_bytes - output->n)
        return fail(LIMIT, "a text becomes more than %zu bytes when it is normalized", most_bytes);
    size_t capacity = output->n + more + output->n / 2 + 64;
    char *bytes;
    TRY(MEMORY_TAKE(output->memory, capacity, "a normalized text", &bytes));
    if (output->n) memcpy(bytes, output->bytes, output->n);
    memory_give(output->memory, output->bytes);
    output->bytes = bytes;
    output->capacity = capacity;
    return OK;
}

static void put_space(const struct sentencepiece_normalizer *normalizer, struct output *output) {
    if (normalizer->keep_spaces) {
        output->bytes[output->n++] = ' ';
        return;
    }
    memcpy(output->bytes + output->n, space_mark, sizeof space_mark);
    output->n += sizeof space_mark;
}

/* Spaces of the text behind a space are left out if they are merged. */
static status put(const struct sentencepiece_normalizer *normalizer, struct output *output,
                  struct text text, bool *after_space) {
    while (*after_space && text.length > 0 && text.data[0] == ' ') {
        text.data++;
        text.length--;
    }
    TRY(reserve(output, sizeof space_mark * text.length));
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ' ')
            put_space(normalizer, output);
        else
            output->bytes[output->n++] = text.data[i];
    }
    if (text.length > 0)
        *after_space = normalizer->merge_spaces && text.data[text.length - 1] == ' ';
    return OK;
}

/* Runs of ASCII that becomes itself. */
static status put_plain(const struct sentencepiece_normalizer *normalizer, struct output *output,
                        const uint8_t *text, size_t length, size_t *at, bool *after_space) {
    size_t end = *at;
    while (end < length && text[end] < 128 && text[end] != ' ' && normalizer->plain[text[end]] &&
           (end + 1 == length || text[end + 1] < 128))
        end++;
    if (end == *at) return OK;
    TRY(reserve(output, end - *at));
    memcpy(output->bytes + output->n, text + *at, end - *at);
    output->n += end - *at;
    *after_space = false;
    *at = end;
    return OK;
}

static status normalize(const struct sentencepiece_normalizer *normalizer, struct output *output,
                        const uint8_t *text, size_t length) {
    bool after_space = normalizer->merge_spaces;
    size_t at = 0;
    while (normalizer->merge_spaces && at < length) {
        struct text becomes;
        size_t n = step(normalizer, text + at, length - at, &becomes);
        if (becomes.length != 1 || becomes.data[0] != ' ') break;
        at += n;
    }
    if (at == length) return OK;
    TRY(reserve(output, length - at + 2 * sizeof space_mark));
    if (normalizer->space_prefix && !normalizer->space_suffix) put_space(normalizer, output);
    while (at < length) {
        struct text becomes;
        TRY(put_plain(normalizer, output, text, length, &at, &after_space));
        if (at == length) break;
        at += step(normalizer, text + at, length - at, &becomes);
        TRY(put(normalizer, output, becomes, &after_space));
    }
    size_t space = normalizer->keep_spaces ? 1 : sizeof space_mark;
    const char *mark = normalizer->keep_spaces ? " " : space_mark;
    while (normalizer->merge_spaces && output->n >= space &&
           memcmp(output->bytes + output->n - space, mark, space) == 0)
        output->n -= space;
    if (normalizer->space_prefix && normalizer->space_suffix) {
        TRY(reserve(output, sizeof space_mark));
        put_space(normalizer, output);
    }
    return OK;
}

status sentencepiece_normalize(const struct sentencepiece_normalizer *normalizer,
                               struct memory *memory, struct text text, char **normalized,
                               size_t *n) {
    struct output output = {.memory = memory};
    status result = normalize(normalizer, &output, (const uint8_t *)text.data, text.length);
    if (result != OK) {
        memory_give(memory, output.bytes);
        return result;
    }
    *normalized = output.bytes;
    *n = output.n;
    return OK;
}
