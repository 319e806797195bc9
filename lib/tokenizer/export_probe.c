#include <string.h>

#include "tokenizer/character.h"
#include "tokenizer/export.h"
#include "tokenizer/utf8.h"

enum { TEXTS = 4000, MOST_ATOMS_OF_TEXT = 12, MOST_BYTES = 4096, MOST_TOKENS = 4 * MOST_BYTES };
enum { MOST_WORDS = MOST_BYTES };

/* What rules tell apart: letters of all kinds, marks, numbers, punctuation, symbols, white space,
 * contractions, what single rules name. */
static const char *const atoms[] = {
    "a", "b", "hello", "World", "USA", "xML", "iPhone", "camelCase", "the", "Ab", "z", "Q",
    "\xc3\xa9", "\xc3\x89", "\xc3\x9f", "gro\xc3\x9f", "e\xcc\x81", "\xc7\x85", "\xca\xb0",
    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", "\xce\xb1\xce\xb2\xce\xb3",
    "\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85", "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
    "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87",
    "\xe0\xb8\x81\xe0\xb8\xb3", "\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xb8\xad", "\xe3\x81\x82",
    "\xe3\x82\xab", "\xe3\x84\x85", "\xed\x95\x9c", "\xea\xb5\xad", "\xef\xbc\xa1", "\xef\xbc\x91",
    "\xf0\xa0\x80\x80", "1", "12", "123", "1234", "1234567", "0", "9.5", "1,000", "\xd9\xa3",
    "\xe2\x85\xa7", "\xc2\xbd", "\xc2\xb2", "'", "'s", "'S", "'t", "'re", "'LL", "'ve", "'d", "'m",
    "\xe2\x80\x99s", "\xe2\x80\x99", ".", ",", "!", "?", "...", "!!", "-", "--", "_", "__", "/",
    "//", "\\", "(", ")", "[", "]", "{", "}", "<", ">", "#", "##", "@", "$", "%", "^", "&", "*",
    "+", "=", "|", "~", "`", "\"", ":", ";", "\xe3\x80\x82", "\xef\xbc\x8c", "\xe2\x80\x94",
    "\xe2\x80\xa6", "\xc2\xa9", "\xe2\x82\xac", "\xe2\x86\x92", "\xf0\x9f\x98\x80",
    "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd", "\xe2\x9c\x88\xef\xb8\x8f", " ", "  ", "   ", "     ", "\t",
    "\t\t", "\n", "\n\n", "\n\n\n", "\r", "\r\n", "\xc2\xa0", "\xe2\x80\x83", "\xe3\x80\x80", " a",
    " 1", " .", " \n", "\n ", ".\n", "/\n", "a\n", "<image>", "IMGIMG", "<sentinel:1>",
    "http://a.b", "x=1;", "a_b",
    /* Only to tell words apart: what SentencePiece and BERT do with control characters and marks
     * differs from what the tokenizer.json made of them says, and readers of GGUF differ too. */
    "\xcc\x81", "\xe2\x80\x8d", "\xe2\x80\x8b", "\xc2\xad", "\xef\xbb\xbf", "\x0b", "\xc2\x85",
    "\xe2\x80\xa8", "\x01", "\x7f", "\xef\xbf\xbd", "\xee\x80\x80"};
enum { N_ATOMS = sizeof atoms / sizeof *atoms, N_RARE = 12 };

/* splitmix64 */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n) {
    return (size_t)(next(state) % n);
}

struct builder {
    char bytes[MOST_BYTES];
    size_t length;
};

static void add(struct builder *builder, const char *bytes, size_t n) {
    if (n > MOST_BYTES - builder->length) return;
    memcpy(builder->bytes + builder->length, bytes, n);
    builder->length += n;
}

/* Text number i of the first n_atoms: each one alone, then several one after the other. */
static struct text probe_text(size_t i, size_t n_atoms, struct builder *builder) {
    uint64_t state = i;
    builder->length = 0;
    if (i < n_atoms) {
        add(builder, atoms[i], strlen(atoms[i]));
    } else {
        for (size_t n = 2 + below(&state, MOST_ATOMS_OF_TEXT - 1); n > 0; n--) {
            const char *atom = atoms[below(&state, n_atoms)];
            add(builder, atom, strlen(atom));
            if (below(&state, 4) == 0) add(builder, " ", 1);
        }
    }
    return (struct text){builder->bytes, builder->length};
}

/* ---- words ---- */

/* Where the words of a text end. */
struct words {
    size_t ends[MOST_WORDS];
    size_t n, at;
    bool lost; /* a word isn't the text that comes next */
    const uint8_t *text;
    size_t length;
};

static status take_word(void *user, const uint8_t *word, size_t length) {
    struct words *words = user;
    if (words->lost || words->n == MOST_WORDS || length > words->length - words->at ||
        memcmp(words->text + words->at, word, length) != 0) {
        words->lost = true;
        return OK;
    }
    words->at += length;
    words->ends[words->n++] = words->at;
    return OK;
}

static status take_range(void *user, size_t begin, size_t end) {
    struct words *words = user;
    return take_word(words, words->text + begin, end - begin);
}

static void start_words(struct words *words, struct text text) {
    words->n = words->at = 0;
    words->lost = false;
    words->text = (const uint8_t *)text.data;
    words->length = text.length;
}

struct probing {
    struct words words[2]; /* of the pipeline and of a rule */
    struct builder builder;
    struct split split;
    struct regex_state regex;
};

/* Takes those out that cut the text otherwise. */
static status filter(struct probing *probing, struct text text, const struct pretokenizer **rules,
                     size_t *n) {
    struct words *ours = &probing->words[0], *theirs = &probing->words[1];
    size_t kept = 0;
    start_words(ours, text);
    TRY(split_run(&probing->split, ours->text, text.length, true));
    for (size_t i = 0; i < *n; i++) {
        start_words(theirs, text);
        TRY(pretokenize_split(rules[i], theirs->text, text.length, take_range, theirs));
        if (!ours->lost && ours->n == theirs->n &&
            memcmp(ours->ends, theirs->ends, ours->n * sizeof *ours->ends) == 0)
            rules[kept++] = rules[i];
    }
    *n = kept;
    return OK;
}

/* One rule of each set of steps, and of each way with words that are tokens. */
static size_t list_rules(const struct pretokenizer **rules, size_t most) {
    const struct pretokenizer *rule;
    size_t n = 0;
    for (size_t i = 0; (rule = pretokenize_at(i)) != NULL; i++) {
        bool known = rule->raw || rule->between_spaces;
        for (size_t k = 0; k < n; k++)
            known = known ||
                    (rules[k]->steps == rule->steps && rules[k]->whole_words == rule->whole_words);
        if (!known && n < most) rules[n++] = rule;
    }
    return n;
}

status probe_pretokenizers(struct memory *memory, const struct pipeline *pipeline,
                           const struct pretokenizer **found, size_t most, size_t *n) {
    struct probing *probing;
    *n = list_rules(found, most);
    TRY(MEMORY_TAKE_ONE(memory, "the words of a text", &probing));
    probing->regex.memory = memory;
    probing->split = (struct split){.memory = memory,
                                    .steps = pipeline->splits,
                                    .n_steps = pipeline->n_splits,
                                    .regex = &probing->regex,
                                    .word = take_word,
                                    .user = &probing->words[0]};
    status result = OK;
    if (pipeline->n_splits > 0)
        result = MEMORY_TAKE_ARRAY(memory, pipeline->n_splits, "text of the tokenizer",
                                   &probing->split.buffers);
    for (size_t i = 0; i < TEXTS && result == OK && *n > 0; i++)
        result = filter(probing, probe_text(i, N_ATOMS, &probing->builder), found, n);
    split_close(&probing->split);
    memory_give(memory, probing->split.buffers);
    regex_state_close(&probing->regex);
    memory_give(memory, probing);
    return result;
}

/* ---- tokens ---- */

struct comparison {
    struct memory *memory;
    const struct tokenizer *one, *other;
    struct tokenize_flags flags;
    bool words_first; /* texts that start with white space are left out */
    struct builder builder;
    int32_t ids[2][MOST_TOKENS];
};

static bool starts_with_space(struct text text) {
    unsigned n;
    return text.length > 0 && character_class(utf8_decode((const uint8_t *)text.data, &n)) & SPACE;
}

static status compare(struct comparison *comparison, struct text text, bool *same) {
    size_t n[2];
    *same = true;
    if (comparison->words_first && starts_with_space(text)) return OK;
    *same = false;
    TRY(tokenizer_encode(comparison->one, comparison->memory, text, comparison->flags,
                         comparison->ids[0], MOST_TOKENS, &n[0]));
    TRY(tokenizer_encode(comparison->other, comparison->memory, text, comparison->flags,
                         comparison->ids[1], MOST_TOKENS, &n[1]));
    *same = n[0] == n[1] &&
            memcmp(comparison->ids[0], comparison->ids[1], n[0] * sizeof **comparison->ids) == 0;
    return OK;
}

/* The bytes of a token; of added ones only if special. */
static void add_token(struct comparison *comparison, uint32_t id, bool special) {
    const struct pipeline *pipeline = tokenizer_pipeline(comparison->one);
    struct detokenize_state state = {.started = true};
    struct builder *builder = &comparison->builder;
    const struct added_token *added = pipeline->added_of[id];
    if (added && special) add(builder, added->content.data, added->content.length);
    if (added) return;
    size_t room = MOST_BYTES - builder->length;
    size_t n = tokenizer_token_bytes(comparison->one, &state, (int32_t)id, true,
                                     builder->bytes + builder->length, room);
    if (n <= room) builder->length += n;
}

static status compare_vocabulary(struct comparison *comparison, bool *same) {
    struct builder *builder = &comparison->builder;
    uint32_t n = tokenizer_pipeline(comparison->one)->vocab.n;
    for (uint32_t id = 0; *same && id < n; id++) {
        builder->length = 0;
        add_token(comparison, id, false);
        TRY(compare(comparison, (struct text){builder->bytes, builder->length}, same));
    }
    return OK;
}

/* Tokens one after the other. */
static status compare_sentences(struct comparison *comparison, bool special, bool *same) {
    struct builder *builder = &comparison->builder;
    const struct added *added = &tokenizer_pipeline(comparison->one)->added;
    uint32_t n = tokenizer_pipeline(comparison->one)->vocab.n;
    for (size_t i = 0; *same && i < TEXTS && n > 0; i++) {
        uint64_t state = ~(uint64_t)i;
        builder->length = 0;
        for (size_t left = 1 + below(&state, 8); left > 0; left--) {
            add_token(comparison, (uint32_t)below(&state, n), false);
            if (special && added->n > 0)
                add_token(comparison, (uint32_t)added->tokens[below(&state, added->n)].id, true);
            if (below(&state, 3) == 0) add(builder, " ", 1);
        }
        TRY(compare(comparison, (struct text){builder->bytes, builder->length}, same));
    }
    return OK;
}

status probe_same(struct memory *memory, const struct tokenizer *one, const struct tokenizer *other,
                  bool special, bool *same) {
    struct comparison *comparison;
    TRY(MEMORY_TAKE_ONE(memory, "tokens of two tokenizers", &comparison));
    comparison->memory = memory;
    comparison->one = one;
    comparison->other = other;
    /* a tokenizer.json has no second space before a text that has one, where SentencePiece has */
    comparison->words_first = tokenizer_pipeline(one)->model != PIPELINE_BPE_BYTES;
    comparison->flags = (struct tokenize_flags){.add_special = true, .parse_special = special};
    *same = true;
    status result = OK;
    for (size_t i = 0; result == OK && *same && i < TEXTS; i++)
        result = compare(comparison, probe_text(i, N_ATOMS - N_RARE, &comparison->builder), same);
    if (result == OK && *same && !special) result = compare_vocabulary(comparison, same);
    if (result == OK && *same) result = compare_sentences(comparison, special, same);
    memory_give(memory, comparison);
    return result;
}
