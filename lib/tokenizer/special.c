#include "tokenizer/special.h"

#include "tokenizer/utf8.h"

/* A text with half a character would cut those of the text it is looked for in. */
static bool is_whole(struct text text) {
    return text.length > 0 &&
           utf8_valid_prefix((const uint8_t *)text.data, text.length) == text.length;
}

static bool is_special(const struct vocab *vocab, uint32_t id, bool control_only) {
    switch (vocab->kinds[id]) {
    case TOKEN_USER_DEFINED:
        if (control_only) return false; /* fall through */
    case TOKEN_CONTROL:
    case TOKEN_UNKNOWN:
        return is_whole(vocab_text(vocab, id));
    default:
        return false;
    }
}

static bool comes_before(const struct vocab *vocab, uint32_t a, uint32_t b) {
    struct text left = vocab_text(vocab, a), right = vocab_text(vocab, b);
    size_t n = left.length < right.length ? left.length : right.length;
    int order = memcmp(left.data, right.data, n);
    if (order == 0) order = (left.length > right.length) - (left.length < right.length);
    return order < 0 || (order == 0 && a < b);
}

static void sift_down(const struct vocab *vocab, uint32_t *ids, size_t n, size_t at) {
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && comes_before(vocab, ids[child], ids[child + 1])) child++;
        if (!comes_before(vocab, ids[at], ids[child])) return;
        uint32_t id = ids[at];
        ids[at] = ids[child];
        ids[child] = id;
    }
}

/* Heapsort: qsort may take memory that no host has counted. */
static void sort(const struct vocab *vocab, uint32_t *ids, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sift_down(vocab, ids, n, i);
    for (size_t i = n; i-- > 1;) {
        uint32_t id = ids[0];
        ids[0] = ids[i];
        ids[i] = id;
        sift_down(vocab, ids, i, 0);
    }
}

status special_open(struct memory *memory, const struct vocab *vocab, bool control_only,
                    struct special *special) {
    *special = (struct special){.vocab = vocab, .memory = memory};
    uint32_t n = 0, i = 0;
    for (uint32_t id = 0; id < vocab->n; id++) n += is_special(vocab, id, control_only);
    TRY(MEMORY_TAKE(memory, n * sizeof *special->ids, "special tokens", &special->ids));
    for (uint32_t id = 0; id < vocab->n; id++)
        if (is_special(vocab, id, control_only)) special->ids[i++] = id;
    sort(vocab, special->ids, n);
    i = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        special->first[byte] = i;
        for (; i < n && (uint8_t)vocab_text(vocab, special->ids[i]).data[0] == byte; i++)
            if (vocab->kinds[special->ids[i]] == TOKEN_USER_DEFINED) special->defined[byte] = true;
    }
    special->first[256] = n;
    return OK;
}

void special_close(struct special *special) {
    memory_give(special->memory, special->ids);
    special->ids = NULL;
}

/* First of ids[low] ... ids[high - 1], which share depth bytes and are longer, whose next byte is
 * at least `byte`. */
static uint32_t lower_bound(const struct special *special, uint32_t low, uint32_t high,
                            size_t depth, unsigned byte) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uint8_t)vocab_text(special->vocab, special->ids[middle]).data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that these bytes start with; returns its length, 0 for none. */
static size_t match_at(const struct special *special, const uint8_t *text, size_t length,
                       bool control, int32_t *id) {
    uint32_t low = special->first[text[0]], high = special->first[text[0] + 1];
    size_t found = 0;
    for (size_t depth = 1; low < high; depth++) {
        while (low < high && vocab_text(special->vocab, special->ids[low]).length == depth) {
            uint32_t token = special->ids[low++];
            if (found < depth && (control || special->vocab->kinds[token] == TOKEN_USER_DEFINED)) {
                found = depth;
                *id = (int32_t)token;
            }
        }
        if (depth == length) break;
        low = lower_bound(special, low, high, depth, text[depth]);
        high = lower_bound(special, low, high, depth, text[depth] + 1u);
    }
    return found;
}

size_t special_find(const struct special *special, const uint8_t *text, size_t at, size_t length,
                    bool control, size_t *end, int32_t *id) {
    for (; at < length; at++) {
        uint8_t byte = text[at];
        if (control ? special->first[byte] == special->first[byte + 1] : !special->defined[byte])
            continue;
        size_t n = match_at(special, text + at, length - at, control, id);
        if (n > 0) {
            *end = at + n;
            return at;
        }
    }
    return length;
}
