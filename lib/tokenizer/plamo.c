#include "tokenizer/plamo.h"

#include <math.h>

#include "tokenizer/sentencepiece.h"
#include "tokenizer/utf8.h"

enum {
    LEAST_SCORE = -20000000, /* a piece of this or less is never taken */
    BYTES_SCORE = -10000000, /* of a character as bytes */
    N_BEGINS = 2 * PLAMO_MOST_BYTES
};
#define AS_BYTES UINT32_MAX

static bool is_piece(const struct vocab *vocab, uint32_t id) {
    switch (vocab->kinds[id]) {
    case TOKEN_CONTROL:
    case TOKEN_UNKNOWN:
    case TOKEN_BYTE:
        return false;
    default:
        return isfinite(vocab_score(vocab, id)) &&
               vocab_score(vocab, id) * 1e4 > (double)LEAST_SCORE &&
               vocab_score(vocab, id) * 1e4 < -(double)LEAST_SCORE;
    }
}

static struct text key(const void *owner, uint32_t id) {
    const struct vocab *vocab = owner;
    return is_piece(vocab, id) ? vocab_text(vocab, id) : (struct text){"", 0};
}

static status read(const struct checkpoint *checkpoint, const struct vocab *vocab,
                   struct plamo *plamo) {
    if (!vocab->scores)
        return fail(FORMAT, "%s: no 'tokenizer.ggml.scores'", checkpoint_name(checkpoint));
    if (!sentencepiece_bytes(vocab, plamo->bytes))
        return fail(FORMAT, "%s: 'tokenizer.ggml.tokens' has no token for every byte",
                    checkpoint_name(checkpoint));
    TRY(MEMORY_TAKE_ARRAY(plamo->memory, vocab->n, "the scores of pieces", &plamo->scores));
    for (uint32_t id = 0; id < vocab->n; id++)
        if (is_piece(vocab, id)) plamo->scores[id] = (int32_t)roundf(vocab_score(vocab, id) * 1e4f);
    TRY(trie_open(plamo->memory, vocab, key, vocab->n, &plamo->trie));
    if (plamo->trie.longest > PLAMO_MOST_BYTES)
        return fail(UNSUPPORTED, "%s: a token of %zu bytes, up to %d are supported",
                    checkpoint_name(checkpoint), plamo->trie.longest, PLAMO_MOST_BYTES);
    return OK;
}

status plamo_open(struct memory *memory, const struct checkpoint *checkpoint,
                  const struct vocab *vocab, struct plamo *plamo) {
    *plamo = (struct plamo){.memory = memory};
    status result = read(checkpoint, vocab, plamo);
    if (result != OK) plamo_close(plamo);
    return result;
}

void plamo_close(struct plamo *plamo) {
    if (!plamo->memory) return;
    trie_close(&plamo->trie);
    memory_give(plamo->memory, plamo->scores);
    *plamo = (struct plamo){0};
}

/* The best piece to start with at a place, of those as good the longest; sums [N_BEGINS] by place,
 * of what follows. */
static uint32_t best_piece(const struct plamo *plamo, int64_t *sums, const uint8_t *text, size_t at,
                           size_t length) {
    uint32_t node = TRIE_ROOT, best = AS_BYTES;
    int64_t sum = sums[(at + utf8_length(text[at])) % N_BEGINS] + BYTES_SCORE;
    for (size_t end = at; end < length && trie_step(&plamo->trie, &node, text[end]);) {
        int64_t id = trie_value(&plamo->trie, node);
        end++;
        if (id < 0 || (end < length && (text[end] & 0xc0) == 0x80)) continue;
        int64_t other = sums[end % N_BEGINS] + plamo->scores[id];
        if (other < sum) continue;
        sum = other;
        best = (uint32_t)id;
    }
    sums[at % N_BEGINS] = sum;
    return best;
}

status plamo_encode(const struct plamo *plamo, struct encoder *encoder, const uint8_t *text,
                    size_t length) {
    static const uint8_t byte_order_mark[3] = {0xef, 0xbb, 0xbf};
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        text += 3;
        length -= 3;
    }
    if (length == 0) return OK;
    TRY(encoder_values(encoder, length));
    uint32_t *pieces = encoder->values; /* by place: the best piece to start with */
    int64_t sums[N_BEGINS];
    sums[length % N_BEGINS] = 0;
    for (size_t at = length; at-- > 0;)
        if ((text[at] & 0xc0) != 0x80) pieces[at] = best_piece(plamo, sums, text, at, length);
    const struct trie *trie = &plamo->trie;
    for (size_t at = 0; at < length;) {
        if (pieces[at] == AS_BYTES) {
            for (unsigned n = utf8_length(text[at]); n > 0; n--)
                encoder_push(encoder, plamo->bytes[text[at++]]);
            continue;
        }
        uint32_t node = TRIE_ROOT;
        encoder_push(encoder, (int32_t)pieces[at]);
        for (uint32_t id = pieces[at]; at < length;) {
            (void)trie_step(trie, &node, text[at++]);
            if (trie_value(trie, node) == (int64_t)id) break;
        }
    }
    return OK;
}
