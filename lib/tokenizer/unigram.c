#include "tokenizer/unigram.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "tokenizer/utf8.h"

/* Scores of the ends that a piece can reach from here: a power of two above the longest piece. */
enum { N_ENDS = 2 * UNIGRAM_MOST_BYTES };
#define NOT_REACHED UINT32_MAX
#define UNKNOWN_CHARACTER (UINT32_MAX - 1) /* in place of an id */
static const double unknown_penalty = 10;

/* ---- opening ---- */

static struct text matched_text(const void *owner, uint32_t id) {
    const struct unigram_options *options = owner;
    struct unigram_piece piece = options->piece(options->owner, id);
    return piece.flags & UNIGRAM_MATCHED ? piece.text : (struct text){"", 0};
}

/* Scores, and what unknown characters get: less than the worst piece. */
static status read_scores(const struct unigram_options *options, struct unigram *unigram) {
    double lowest = DBL_MAX;
    for (uint32_t id = 0; id < options->n; id++) {
        struct unigram_piece piece = options->piece(options->owner, id);
        if (isnan(piece.score))
            return fail(FORMAT, "the score of piece %" PRIu32 " is not a number", id);
        if (piece.flags & UNIGRAM_MATCHED && piece.text.length > UNIGRAM_MOST_BYTES)
            return fail(UNSUPPORTED, "piece %" PRIu32 " has %zu bytes, up to %d are supported", id,
                        piece.text.length, UNIGRAM_MOST_BYTES);
        if (!(piece.flags & UNIGRAM_SCORED)) continue;
        if (piece.score < lowest) lowest = piece.score;
    }
    for (uint32_t id = 0; id < options->n; id++) {
        struct unigram_piece piece = options->piece(options->owner, id);
        if (piece.flags & UNIGRAM_DEFINED)
            piece.score =
                unigram->kind == UNIGRAM_SENTENCEPIECE ? 0.1 * (double)piece.text.length - 0.1 : 0;
        if (unigram->kind == UNIGRAM_SENTENCEPIECE) piece.score = (float)piece.score;
        unigram->scores[id] = (struct unigram_score){piece.score, (uint32_t)piece.text.length};
    }
    if (lowest == DBL_MAX) lowest = 0;
    unigram->unknown_score = lowest - unknown_penalty;
    if (unigram->kind != UNIGRAM_TOKENIZERS)
        unigram->unknown_score = (float)lowest - (float)unknown_penalty;
    return OK;
}

status unigram_open(struct memory *memory, const struct unigram_options *options,
                    struct unigram *unigram) {
    *unigram = (struct unigram){
        .memory = memory,
        .kind = options->kind,
        .unknown = options->unknown,
        .has_bytes = options->bytes != NULL,
        .ids = options->ids,
        .names = options->names,
    };
    if (options->bytes) memcpy(unigram->bytes, options->bytes, sizeof unigram->bytes);
    TRY(MEMORY_TAKE_ARRAY(memory, options->n, "the scores of pieces", &unigram->scores));
    status result = read_scores(options, unigram);
    if (result == OK) result = trie_open(memory, options, matched_text, options->n, &unigram->trie);
    if (result != OK) unigram_close(unigram);
    return result;
}

void unigram_close(struct unigram *unigram) {
    trie_close(&unigram->trie);
    if (unigram->scores) memory_give(unigram->memory, unigram->scores);
    *unigram = (struct unigram){0};
}

/* ---- from pieces to tokens ---- */

struct output {
    const struct unigram *unigram;
    struct encoder *encoder;
    const uint8_t *text;
    size_t unknown_begin, unknown_end; /* a run of unknown characters not given out yet */
};

static bool push_bytes(const struct output *output) {
    const struct unigram *unigram = output->unigram;
    if (!unigram->has_bytes) return false;
    for (size_t i = output->unknown_begin; i < output->unknown_end; i++)
        if (unigram->bytes[output->text[i]] < 0) return false;
    for (size_t i = output->unknown_begin; i < output->unknown_end; i++)
        encoder_push(output->encoder, unigram->bytes[output->text[i]]);
    return true;
}

static void push_piece(const struct output *output, uint32_t piece) {
    const int32_t *ids = output->unigram->ids;
    int32_t id = ids ? ids[piece] : (int32_t)piece;
    if (id >= 0) encoder_push(output->encoder, id);
}

static void push_unknown(struct output *output) {
    const struct unigram *unigram = output->unigram;
    const uint8_t *text = output->text + output->unknown_begin;
    size_t n = output->unknown_end - output->unknown_begin;
    if (n == 0) return;
    int64_t id = -1;
    if (unigram->names)
        id = vocab_find_plain(unigram->names, text, n);
    else if (unigram->kind == UNIGRAM_TOKENIZERS && n <= unigram->trie.longest)
        id = trie_find(&unigram->trie, text, n);
    if (id >= 0)
        encoder_push(output->encoder, (int32_t)id);
    else if (!push_bytes(output) && unigram->unknown >= 0)
        encoder_push(output->encoder, unigram->unknown);
    output->unknown_begin = output->unknown_end;
}

/* The best pieces of text [begin, end), which all ways of cutting it have as borders. before
 * [end - begin + 1]: the last piece of the best way to each place; overwritten. */
static void push_stretch(struct output *output, size_t begin, size_t end, uint32_t *before) {
    const struct unigram_score *scores = output->unigram->scores;
    size_t at = end - begin, first = at + 1;
    while (at > 0) { /* a piece is no shorter than its place in the list, which so stays behind */
        uint32_t id = before[at];
        before[--first] = id;
        if (id != UNKNOWN_CHARACTER) {
            at -= scores[id].length;
        } else {
            do at--;
            while ((output->text[begin + at] & 0xc0) == 0x80);
        }
    }
    for (at = begin; at < end; first++) {
        uint32_t id = before[first];
        /* Hugging Face tokenizers' runs go on over the unknown token's own text */
        bool unknown = id == UNKNOWN_CHARACTER;
        if (output->unigram->kind == UNIGRAM_TOKENIZERS && !unknown)
            unknown = (int32_t)id == output->unigram->unknown;
        if (unknown) {
            if (output->unknown_begin == output->unknown_end) output->unknown_begin = at;
            at += id == UNKNOWN_CHARACTER ? utf8_length(output->text[at]) : scores[id].length;
            output->unknown_end = at;
        } else {
            push_unknown(output);
            push_piece(output, id);
            at += scores[id].length;
        }
    }
}

/* ---- the best way to each place, front to back ---- */

struct lattice {
    double ends[N_ENDS]; /* by place: the best sum of scores up to there */
    uint32_t *before;    /* [length + 1], by place behind the stretch's begin */
    size_t begin, reach; /* of the stretch; the furthest end of a piece yet */
    bool f32;
};

static void reach(struct lattice *lattice, size_t end, double sum, uint32_t id) {
    while (lattice->reach < end) lattice->before[++lattice->reach - lattice->begin] = NOT_REACHED;
    double *best = &lattice->ends[end % N_ENDS];
    uint32_t *before = &lattice->before[end - lattice->begin];
    if (lattice->f32) sum = (float)sum;
    if (*before != NOT_REACHED && !(sum > *best)) return;
    *before = id;
    *best = sum;
}

static void reach_from(const struct unigram *unigram, struct lattice *lattice, const uint8_t *text,
                       size_t at, size_t length) {
    const double sum = lattice->ends[at % N_ENDS];
    size_t one = at + utf8_length(text[at]);
    if (one > length) one = length;
    uint32_t node = TRIE_ROOT;
    bool single = false; /* a piece is this one character */
    for (size_t end = at; end < length && trie_step(&unigram->trie, &node, text[end]);) {
        end++;
        int64_t id = trie_value(&unigram->trie, node);
        if (id < 0) continue;
        reach(lattice, end, unigram->scores[id].score + sum, (uint32_t)id);
        if (end == one) single = true;
    }
    if (!single) reach(lattice, one, unigram->unknown_score + sum, UNKNOWN_CHARACTER);
}

status unigram_encode(const struct unigram *unigram, struct encoder *encoder, const uint8_t *text,
                      size_t length) {
    if (length == 0) return OK;
    TRY(encoder_values(encoder, length + 1));
    struct output output = {.unigram = unigram, .encoder = encoder, .text = text};
    struct lattice lattice = {
        .before = encoder->values,
        .f32 = unigram->kind == UNIGRAM_SENTENCEPIECE,
    };
    lattice.ends[0] = 0;
    for (size_t at = 0; at < length; at += utf8_length(text[at])) {
        if (at == lattice.reach && at > lattice.begin) { /* no piece goes past here: it is final */
            push_stretch(&output, lattice.begin, at, lattice.before);
            lattice.begin = at;
        }
        reach_from(unigram, &lattice, text, at, length);
    }
    push_stretch(&output, lattice.begin, length, lattice.before);
    push_unknown(&output);
    return OK;
}
