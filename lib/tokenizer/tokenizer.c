#include "tokenizer/tokenizer.h"

#include <string.h>

#include "tokenizer/bpe_text.h"
#include "tokenizer/folder.h"
#include "tokenizer/plamo.h"
#include "tokenizer/rwkv.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/special.h"
#include "tokenizer/spm.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocab.h"
#include "tokenizer/wordpiece.h"

enum { N_KINDS = TRANSFORMER_TOKEN_MASK + 1, MOST_END_TOKENS = 32, MOST_AROUND = 8 };
/* Positions in a text are 32 bits wide, and a space may take three bytes. */
static const size_t longest_text = (size_t)1 << 30;
/* Keys of the vocabulary of an encoder-decoder's sources, where it is another. */
#define SOURCES "tokenizer.source_vocabulary"

enum model {
    MODEL_BPE,
    MODEL_SENTENCEPIECE,
    MODEL_WORDPIECE,
    MODEL_SPM, /* Unigram, and what has SentencePiece's own normalizer */
    MODEL_RWKV,
    MODEL_PLAMO,
    MODEL_DNA /* BPE, and DNA in it */
};

/* Tokens before or behind a text. */
struct around {
    int32_t ids[MOST_AROUND];
    size_t n;
};

struct tokenizer {
    struct memory *memory;
    struct pipeline *pipeline; /* of tokenizer.json; then the members of models have no meaning */
    /* What texts become tokens by, where the sources of an encoder-decoder have a vocabulary of
     * their own; this one then only turns tokens into text. NULL: this one does both. */
    struct tokenizer *sources;
    enum model model;
    struct vocab vocab;
    struct special special;
    struct bpe_text bpe;
    struct sentencepiece sentencepiece;
    struct wordpiece wordpiece;
    struct spm_options spm_options;
    bool own_pieces, language_tokens;
    struct spm spm;
    struct rwkv rwkv;
    struct plamo plamo;
    int32_t special_ids[N_KINDS]; /* by TRANSFORMER_TOKEN_..., -1: none */
    struct around before, after;  /* added around a text */
    bool space_prefix;            /* SentencePiece: a space is put before a text */
    int32_t end_tokens[MOST_END_TOKENS];
    size_t n_end_tokens;
};

/* ---- opening ---- */

static const struct {
    const char *name;
    enum model model;
} models[] = {
    {"gpt2", MODEL_BPE},   {"llama", MODEL_SENTENCEPIECE}, {"bert", MODEL_WORDPIECE},
    {"t5", MODEL_SPM},     {"rwkv", MODEL_RWKV},           {"plamo2", MODEL_PLAMO},
    {"gemma4", MODEL_BPE}, {"whitespace", MODEL_BPE},      {"hybriddna", MODEL_DNA},
};

static bool text_equals(struct text text, const char *string) {
    return strlen(string) == text.length && memcmp(text.data, string, text.length) == 0;
}

/* *has: the file has a tokenizer. */
static status read_model(const struct checkpoint *checkpoint, bool *has, enum model *model) {
    struct text name;
    TRY(checkpoint_read_text(checkpoint, "tokenizer.unsupported", has, &name));
    if (*has) return fail(UNSUPPORTED, "%.*s", (int)name.length, name.data);
    TRY(checkpoint_read_text(checkpoint, "tokenizer.ggml.model", has, &name));
    if (!*has) return OK;
    if (text_equals(name, "none") || text_equals(name, "no_vocab")) {
        *has = false;
        return OK;
    }
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (text_equals(name, models[i].name)) {
            *model = models[i].model;
            return OK;
        }
    }
    return fail(UNSUPPORTED, "%s: tokenizer model '%.*s' is not one this library has",
                checkpoint_name(checkpoint), (int)(name.length < 64 ? name.length : 64), name.data);
}

static status read_id(const struct checkpoint *checkpoint, const char *key, const char *alternative,
                      uint32_t n, int32_t *id) {
    bool found = false;
    int64_t value;
    TRY(checkpoint_read_i64(checkpoint, key, &found, &value));
    if (!found && alternative) {
        key = alternative;
        TRY(checkpoint_read_i64(checkpoint, key, &found, &value));
    }
    if (!found) return OK;
    if (value < 0 || value >= n)
        return fail(FORMAT, "%s: '%s' is %" PRId64 ", the vocabulary has %" PRIu32 " tokens",
                    checkpoint_name(checkpoint), key, value, n);
    *id = (int32_t)value;
    return OK;
}

/* Where a file of this model doesn't say, its ids are those of the first ones of the kind. */
static void default_ids(struct tokenizer *tokenizer) {
    int32_t *ids = tokenizer->special_ids;
    for (int kind = 0; kind < N_KINDS; kind++) ids[kind] = -1;
    if (tokenizer->model == MODEL_SENTENCEPIECE) {
        ids[TRANSFORMER_TOKEN_UNKNOWN] = 0;
        ids[TRANSFORMER_TOKEN_BEGIN] = 1;
        ids[TRANSFORMER_TOKEN_END] = 2;
    } else if (tokenizer->model == MODEL_SPM && tokenizer->spm_options.kind == SPM_UNIGRAM) {
        ids[TRANSFORMER_TOKEN_PADDING] = 0;
        ids[TRANSFORMER_TOKEN_END] = 1;
        ids[TRANSFORMER_TOKEN_UNKNOWN] = 2;
    } else if (tokenizer->model == MODEL_PLAMO) {
        ids[TRANSFORMER_TOKEN_UNKNOWN] = 0;
        ids[TRANSFORMER_TOKEN_BEGIN] = 1;
        ids[TRANSFORMER_TOKEN_END] = 2;
        ids[TRANSFORMER_TOKEN_PADDING] = 3;
    } else if (tokenizer->model == MODEL_WORDPIECE) {
        ids[TRANSFORMER_TOKEN_PADDING] = 0;
        ids[TRANSFORMER_TOKEN_UNKNOWN] = 100;
        ids[TRANSFORMER_TOKEN_CLASSIFY] = 101;
        ids[TRANSFORMER_TOKEN_SEPARATOR] = 102;
        ids[TRANSFORMER_TOKEN_MASK] = 103;
    }
    for (int kind = 0; kind < N_KINDS; kind++)
        if (ids[kind] >= (int64_t)tokenizer->vocab.n) ids[kind] = -1;
}

static status read_special_keys(const struct checkpoint *checkpoint, struct tokenizer *tokenizer) {
    static const struct {
        int kind;
        const char *key, *alternative;
    } keys[] = {
        {TRANSFORMER_TOKEN_BEGIN, "tokenizer.ggml.bos_token_id", NULL},
        {TRANSFORMER_TOKEN_END, "tokenizer.ggml.eos_token_id", NULL},
        {TRANSFORMER_TOKEN_END_OF_TURN, "tokenizer.ggml.eot_token_id", NULL},
        {TRANSFORMER_TOKEN_UNKNOWN, "tokenizer.ggml.unknown_token_id", NULL},
        /* GGUF spells it so */
        {TRANSFORMER_TOKEN_SEPARATOR, "tokenizer.ggml.seperator_token_id",
         "tokenizer.ggml.separator_token_id"},
        {TRANSFORMER_TOKEN_PADDING, "tokenizer.ggml.padding_token_id", NULL},
        {TRANSFORMER_TOKEN_CLASSIFY, "tokenizer.ggml.cls_token_id", NULL},
        {TRANSFORMER_TOKEN_MASK, "tokenizer.ggml.mask_token_id", NULL},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        TRY(read_id(checkpoint, keys[i].key, keys[i].alternative,
                    (uint32_t)tokenizer_vocab_size(tokenizer),
                    &tokenizer->special_ids[keys[i].kind]));
    return OK;
}

static status read_special_ids(const struct checkpoint *checkpoint, struct tokenizer *tokenizer) {
    default_ids(tokenizer);
    if (checkpoint_metadata(checkpoint, "tokenizer.prefix_tokens")) /* all are named there */
        for (int kind = 0; kind < N_KINDS; kind++) tokenizer->special_ids[kind] = -1;
    return read_special_keys(checkpoint, tokenizer);
}

/* Whether a token is added; a file that asks for one it doesn't name is wrong. */
static status read_added(const struct checkpoint *checkpoint, const char *key, bool by_default,
                         int32_t candidate, struct around *around) {
    bool found, add = by_default;
    TRY(checkpoint_read_bool(checkpoint, key, &found, &add));
    if (found && add && candidate < 0)
        return fail(FORMAT, "%s: '%s' is true, but the token is not named",
                    checkpoint_name(checkpoint), key);
    if (add && candidate >= 0) around->ids[around->n++] = candidate;
    return OK;
}

/* All the tokens around a text, in place of one. */
static status read_around(const struct checkpoint *checkpoint, const char *key, uint32_t n_vocab,
                          struct around *around) {
    const struct metadata *ids = checkpoint_metadata(checkpoint, key);
    if (!ids) return OK;
    if (ids->kind != METADATA_ARRAY || ids->count > MOST_AROUND)
        return fail(FORMAT, "%s: '%s' is not an array of at most %d tokens",
                    checkpoint_name(checkpoint), key, MOST_AROUND);
    around->n = 0;
    for (uint64_t i = 0; i < ids->count; i++) {
        int64_t id;
        TRY(checkpoint_array_i64(checkpoint, ids, i, &id));
        if (id < 0 || id >= n_vocab)
            return fail(FORMAT, "%s: '%s' has token %" PRId64 ", the vocabulary has %" PRIu32,
                        checkpoint_name(checkpoint), key, id, n_vocab);
        around->ids[around->n++] = (int32_t)id;
    }
    return OK;
}

static status read_added_tokens(const struct checkpoint *checkpoint, struct tokenizer *tokenizer) {
    const int32_t *ids = tokenizer->special_ids;
    int32_t begin = ids[TRANSFORMER_TOKEN_BEGIN], end = ids[TRANSFORMER_TOKEN_END];
    bool add_begin = false, add_end = false;
    switch (tokenizer->model) {
    case MODEL_WORDPIECE:
        if (ids[TRANSFORMER_TOKEN_CLASSIFY] >= 0) begin = ids[TRANSFORMER_TOKEN_CLASSIFY];
        if (ids[TRANSFORMER_TOKEN_SEPARATOR] >= 0) end = ids[TRANSFORMER_TOKEN_SEPARATOR];
        add_begin = add_end = true;
        break;
    case MODEL_SPM:
        add_begin = tokenizer->spm_options.kind == SPM_MERGES;
        add_end = !add_begin;
        break;
    case MODEL_SENTENCEPIECE:
        add_begin = true;
        break;
    case MODEL_BPE:
    case MODEL_DNA:
        add_begin = tokenizer->bpe.rules->begin;
        break;
    default:
        break;
    }
    TRY(read_added(checkpoint, "tokenizer.ggml.add_bos_token", add_begin, begin,
                   &tokenizer->before));
    TRY(read_added(checkpoint, "tokenizer.ggml.add_eos_token", add_end, end, &tokenizer->after));
    TRY(read_around(checkpoint, "tokenizer.prefix_tokens", tokenizer->vocab.n, &tokenizer->before));
    return read_around(checkpoint, "tokenizer.suffix_tokens", tokenizer->vocab.n,
                       &tokenizer->after);
}

static void add_end_token(struct tokenizer *tokenizer, int32_t id) {
    if (id < 0) return;
    size_t at = tokenizer->n_end_tokens;
    if (at == MOST_END_TOKENS) return;
    for (size_t i = 0; i < tokenizer->n_end_tokens; i++)
        if (tokenizer->end_tokens[i] == id) return;
    for (; at > 0 && tokenizer->end_tokens[at - 1] > id; at--)
        tokenizer->end_tokens[at] = tokenizer->end_tokens[at - 1];
    tokenizer->end_tokens[at] = id;
    tokenizer->n_end_tokens++;
}

/* The token of this text if it is no ordinary piece of text; -1: none. */
static int32_t find_control(const struct tokenizer *tokenizer, const char *text) {
    if (tokenizer->pipeline) {
        const struct text content = {text, strlen(text)};
        const struct added_token *added = added_find(&tokenizer->pipeline->added, content);
        return added ? added->id : -1;
    }
    int32_t id = vocab_find(&tokenizer->vocab, text, strlen(text));
    if (id < 0) return -1;
    uint8_t kind = tokenizer->vocab.kinds[id];
    return kind == TOKEN_CONTROL || kind == TOKEN_USER_DEFINED ? id : -1;
}

/* Those of a folder's configuration; numbers beyond the vocabulary are passed over. */
static status read_listed_ends(const struct checkpoint *checkpoint, int64_t n_vocab,
                               struct tokenizer *tokenizer) {
    static const char key[] = "tokenizer.end_tokens";
    const struct metadata *ids = checkpoint_metadata(checkpoint, key);
    if (!ids) return OK;
    if (ids->kind != METADATA_ARRAY || ids->count > MOST_END_TOKENS)
        return fail(FORMAT, "%s: '%s' is not an array of at most %d tokens",
                    checkpoint_name(checkpoint), key, MOST_END_TOKENS);
    for (uint64_t i = 0; i < ids->count; i++) {
        int64_t id;
        TRY(checkpoint_array_i64(checkpoint, ids, i, &id));
        if (id >= 0 && id < n_vocab) add_end_token(tokenizer, (int32_t)id);
    }
    return OK;
}

/* Files often name one end token where their model has several: those that published models end
 * with are found by their texts. */
static status read_end_tokens(const struct checkpoint *checkpoint, int64_t n_vocab,
                              struct tokenizer *tokenizer) {
    static const char *const ends_of_turn[] = {
        "<|eot_id|>", "<|im_end|>",         "<|end|>",    "<end_of_turn>",
        "<|return|>", "<end_of_utterance>", "<|eom_id|>", "[EOT]",
    };
    /* its words stand between U+FF5C and U+2581 */
    static const char deepseek_end[] = {
        "<\xef\xbd\x9c\x65nd\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"};
    static const char *const ends[] = {
        "<|endoftext|>", "<|end_of_text|>", "<|call|>", "<EOT>", "_<EOT>", deepseek_end,
    };
    int32_t *turn = &tokenizer->special_ids[TRANSFORMER_TOKEN_END_OF_TURN];
    int32_t end_of_message = -1;
    TRY(read_id(checkpoint, "tokenizer.ggml.eom_token_id", NULL,
                (uint32_t)tokenizer_vocab_size(tokenizer), &end_of_message));
    TRY(read_listed_ends(checkpoint, tokenizer->pipeline ? n_vocab : tokenizer->vocab.n,
                         tokenizer));
    add_end_token(tokenizer, tokenizer->special_ids[TRANSFORMER_TOKEN_END]);
    add_end_token(tokenizer, *turn);
    add_end_token(tokenizer, end_of_message);
    /* where messages end with <|return|> or <|call|>, <|end|> only ends a part of one */
    bool parts =
        find_control(tokenizer, "<|return|>") >= 0 && find_control(tokenizer, "<|call|>") >= 0;
    for (size_t i = 0; i < sizeof ends_of_turn / sizeof *ends_of_turn; i++) {
        int32_t id = find_control(tokenizer, ends_of_turn[i]);
        if (id < 0 || (parts && strcmp(ends_of_turn[i], "<|end|>") == 0)) continue;
        if (*turn < 0) *turn = id;
        add_end_token(tokenizer, id);
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        add_end_token(tokenizer, find_control(tokenizer, ends[i]));
    for (size_t i = 0; i < tokenizer->n_end_tokens && !tokenizer->pipeline; i++) {
        uint8_t *kind = &tokenizer->vocab.kinds[tokenizer->end_tokens[i]];
        if (*kind == TOKEN_USER_DEFINED) *kind = TOKEN_CONTROL;
    }
    return OK;
}

static status open_model(const struct checkpoint *checkpoint, struct tokenizer *tokenizer) {
    int32_t unknown = tokenizer->special_ids[TRANSFORMER_TOKEN_UNKNOWN];
    switch (tokenizer->model) {
    case MODEL_BPE: /* it was: read_added_tokens asks for its rules */
    case MODEL_DNA:
        return OK;
    case MODEL_SENTENCEPIECE:
        tokenizer->space_prefix = true;
        TRY(checkpoint_read_bool(checkpoint, "tokenizer.ggml.add_space_prefix", &(bool){0},
                                 &tokenizer->space_prefix));
        return sentencepiece_open(checkpoint, &tokenizer->vocab, unknown,
                                  &tokenizer->sentencepiece);
    case MODEL_WORDPIECE:
        return wordpiece_open(checkpoint, &tokenizer->vocab, unknown, &tokenizer->wordpiece);
    case MODEL_SPM:
        tokenizer->spm_options.unknown = unknown;
        TRY(spm_open(tokenizer->memory, checkpoint, &tokenizer->spm_options, tokenizer->own_pieces,
                     &tokenizer->vocab, &tokenizer->spm));
        tokenizer->space_prefix =
            tokenizer->spm.normalizer.space_prefix && !tokenizer->spm.normalizer.space_suffix;
        return OK;
    case MODEL_RWKV:
        return rwkv_open(tokenizer->memory, &tokenizer->vocab, unknown, &tokenizer->rwkv);
    default:
        return plamo_open(tokenizer->memory, checkpoint, &tokenizer->vocab, &tokenizer->plamo);
    }
}

/* Models whose text is normalized as SentencePiece does it, and whose pieces may be others than
 * their tokens: by keys that only this library writes, but for Unigram. */
static status read_spm_options(const struct checkpoint *checkpoint, struct tokenizer *tokenizer) {
    struct spm_options *options = &tokenizer->spm_options;
    bool normalized = false;
    struct text pieces;
    options->section = "tokenizer.ggml";
    options->kind = tokenizer->model == MODEL_SPM ? SPM_UNIGRAM : SPM_MERGES;
    if (tokenizer->model != MODEL_SPM && tokenizer->model != MODEL_SENTENCEPIECE) return OK;
    TRY(checkpoint_read_bool(checkpoint, "tokenizer.sentencepiece.normalized", &(bool){0},
                             &normalized));
    TRY(checkpoint_read_bool(checkpoint, "tokenizer.sentencepiece.language_tokens", &(bool){0},
                             &tokenizer->language_tokens));
    TRY(checkpoint_read_text(checkpoint, "tokenizer.source.model", &tokenizer->own_pieces,
                             &pieces));
    options->defined_inside = normalized || tokenizer->own_pieces;
    if (options->defined_inside) tokenizer->model = MODEL_SPM;
    if (!tokenizer->own_pieces) return OK;
    options->section = "tokenizer.source";
    if (!text_equals(pieces, "t5") && !text_equals(pieces, "llama"))
        return fail(UNSUPPORTED, "%s: 'tokenizer.source.model' is '%.*s'",
                    checkpoint_name(checkpoint), (int)(pieces.length < 64 ? pieces.length : 64),
                    pieces.data);
    options->kind = text_equals(pieces, "t5") ? SPM_UNIGRAM : SPM_MERGES;
    return OK;
}

/* The vocabulary of sources; their pieces are those of read_spm_options. */
static status read_sources(const struct checkpoint *checkpoint, struct tokenizer *tokenizer) {
    struct tokenizer *sources;
    if (!tokenizer->own_pieces)
        return fail(FORMAT, "%s: has '" SOURCES ".tokens' and no 'tokenizer.source.model'",
                    checkpoint_name(checkpoint));
    tokenizer->space_prefix = true;
    TRY(MEMORY_TAKE_ONE(tokenizer->memory, "the tokenizer of sources", &sources));
    tokenizer->sources = sources;
    sources->memory = sources->vocab.memory = sources->special.memory = tokenizer->memory;
    sources->model = MODEL_SPM;
    sources->own_pieces = true;
    sources->language_tokens = tokenizer->language_tokens;
    sources->spm_options = tokenizer->spm_options;
    for (int kind = 0; kind < N_KINDS; kind++) sources->special_ids[kind] = -1;
    TRY(vocab_open_section(tokenizer->memory, checkpoint, SOURCES, &sources->vocab));
    uint32_t n = sources->vocab.n;
    TRY(read_id(checkpoint, SOURCES ".unknown_token_id", NULL, n,
                &sources->special_ids[TRANSFORMER_TOKEN_UNKNOWN]));
    TRY(read_around(checkpoint, SOURCES ".prefix_tokens", n, &sources->before));
    TRY(read_around(checkpoint, SOURCES ".suffix_tokens", n, &sources->after));
    TRY(special_open(tokenizer->memory, &sources->vocab, sources->spm_options.defined_inside,
                     &sources->special));
    return open_model(checkpoint, sources);
}

static status read(const struct checkpoint *checkpoint, int64_t n_vocab,
                   struct tokenizer *tokenizer) {
    TRY(read_spm_options(checkpoint, tokenizer));
    TRY(vocab_open(tokenizer->memory, checkpoint, &tokenizer->vocab));
    if (tokenizer->vocab.n > n_vocab)
        return fail(FORMAT,
                    "%s: 'tokenizer.ggml.tokens' has %" PRIu32 " tokens, the embedding %" PRId64
                    " rows",
                    checkpoint_name(checkpoint), tokenizer->vocab.n, n_vocab);
    TRY(read_special_ids(checkpoint, tokenizer));
    if (tokenizer->model == MODEL_BPE || tokenizer->model == MODEL_DNA)
        TRY(bpe_text_open(tokenizer->memory, checkpoint, &tokenizer->vocab,
                          tokenizer->model == MODEL_DNA, &tokenizer->bpe));
    TRY(read_added_tokens(checkpoint, tokenizer));
    TRY(read_end_tokens(checkpoint, n_vocab, tokenizer));
    if (checkpoint_metadata(checkpoint, SOURCES ".tokens"))
        return read_sources(checkpoint, tokenizer);
    TRY(special_open(tokenizer->memory, &tokenizer->vocab, tokenizer->spm_options.defined_inside,
                     &tokenizer->special));
    return open_model(checkpoint, tokenizer);
}

/* Of a tokenizer.json. A GGUF file that has one without what lies beside it in a folder names its
 * special tokens by its own keys. */
static status use_folder(const struct checkpoint *checkpoint, const struct folder *folder,
                         int64_t n_vocab, struct tokenizer *tokenizer) {
    tokenizer->pipeline = folder->pipeline;
    bool whole = !checkpoint_metadata(checkpoint, "tokenizer.huggingface.json") ||
                 checkpoint_metadata(checkpoint, "tokenizer.huggingface.tokenizer_config");
    memcpy(tokenizer->special_ids, folder->special_ids, sizeof tokenizer->special_ids);
    if (!whole) TRY(read_special_keys(checkpoint, tokenizer));
    return read_end_tokens(checkpoint, n_vocab, tokenizer);
}

/* *has: the file or folder has one. A tokenizer.json says more than GGUF's own keys. */
static status make(struct checkpoint *checkpoint, int64_t n_vocab, struct tokenizer *tokenizer,
                   bool *has) {
    char before[STATUS_TEXT_BYTES];
    struct folder folder;
    status_save(before);
    status result = folder_open(tokenizer->memory, checkpoint, n_vocab, &folder);
    if (result == OK && folder.pipeline) {
        *has = true;
        return use_folder(checkpoint, &folder, n_vocab, tokenizer);
    }
    if (result == UNSUPPORTED) {
        char reason[STATUS_TEXT_BYTES];
        status_save(reason);
        TRY(read_model(checkpoint, has, &tokenizer->model));
        status_restore(*has ? before : reason);
        if (!*has) return UNSUPPORTED;
    } else {
        TRY(result);
        TRY(read_model(checkpoint, has, &tokenizer->model));
    }
    return *has ? read(checkpoint, n_vocab, tokenizer) : OK;
}

status tokenizer_open(struct memory *memory, struct checkpoint *checkpoint, int64_t n_vocab,
                      struct tokenizer **tokenizer) {
    bool has = false;
    struct tokenizer *made;
    TRY(MEMORY_TAKE_ONE(memory, "the tokenizer", &made));
    made->memory = made->vocab.memory = made->special.memory = memory;
    status result = make(checkpoint, n_vocab, made, &has);
    if (result != OK || !has) {
        tokenizer_close(made);
        made = NULL;
    }
    if (result == OK) *tokenizer = made;
    return result;
}

void tokenizer_close(struct tokenizer *tokenizer) {
    if (!tokenizer) return;
    tokenizer_close(tokenizer->sources);
    pipeline_close(tokenizer->pipeline);
    plamo_close(&tokenizer->plamo);
    rwkv_close(&tokenizer->rwkv);
    spm_close(&tokenizer->spm);
    bpe_text_close(&tokenizer->bpe);
    special_close(&tokenizer->special);
    vocab_close(&tokenizer->vocab);
    memory_give(tokenizer->memory, tokenizer);
}

/* ---- text to tokens ---- */

/* ">>fra<<" at the start of a text: the language it is translated to; a token, known or not.
 * Returns its length. */
static size_t push_language(const struct tokenizer *tokenizer, struct encoder *encoder,
                            const uint8_t *text, size_t length) {
    if (length < 4 || memcmp(text, ">>", 2) != 0) return 0;
    for (const uint8_t *end = text + 2; (end = memchr(end, '<', length - (size_t)(end - text)));
         end++) {
        size_t n = (size_t)(end - text) + 2;
        if (n > length) return 0;
        if (end[1] != '<') continue;
        int32_t id = vocab_find(&tokenizer->vocab, text, n);
        if (id < 0) id = tokenizer->special_ids[TRANSFORMER_TOKEN_UNKNOWN];
        if (id >= 0) encoder_push(encoder, id);
        return n;
    }
    return 0;
}

/* Text between special tokens. */
static status encode_plain(const struct tokenizer *tokenizer, struct encoder *encoder,
                           const uint8_t *text, size_t length) {
    if (length == 0) return OK;
    switch (tokenizer->model) {
    case MODEL_BPE:
    case MODEL_DNA:
        return bpe_text_encode(&tokenizer->bpe, encoder, text, length);
    case MODEL_SENTENCEPIECE: /* text always stands at the start or behind a special token */
        return sentencepiece_encode(&tokenizer->sentencepiece, encoder, text, length,
                                    tokenizer->space_prefix);
    case MODEL_WORDPIECE:
        wordpiece_encode(&tokenizer->wordpiece, encoder, text, length);
        return OK;
    case MODEL_SPM: {
        size_t language =
            tokenizer->language_tokens ? push_language(tokenizer, encoder, text, length) : 0;
        return spm_encode(&tokenizer->spm, encoder, text + language, length - language);
    }
    case MODEL_RWKV:
        rwkv_encode(&tokenizer->rwkv, encoder, text, length);
        return OK;
    default:
        return plamo_encode(&tokenizer->plamo, encoder, text, length);
    }
}

static status encode_text(const struct tokenizer *tokenizer, struct encoder *encoder,
                          struct text text, bool parse_special) {
    const uint8_t *data = (const uint8_t *)text.data;
    for (size_t at = 0; at < text.length;) {
        size_t end = text.length;
        int32_t id = -1;
        size_t start =
            special_find(&tokenizer->special, data, at, text.length, parse_special, &end, &id);
        TRY(encode_plain(tokenizer, encoder, data + at, start - at));
        if (id >= 0) encoder_push(encoder, id);
        at = end;
    }
    return OK;
}

static void push_around(struct encoder *encoder, const struct around *around) {
    for (size_t i = 0; i < around->n; i++) encoder_push(encoder, around->ids[i]);
}

/* Of models without a template: a pair is two texts with what stands around each, the second one
 * of BERT's without the first token; elsewhere a separator begins it. */
static status encode_around(const struct tokenizer *tokenizer, struct encoder *encoder,
                            struct text first, const struct text *second,
                            struct tokenize_flags flags, int32_t *types) {
    if (flags.add_special) push_around(encoder, &tokenizer->before);
    TRY(encode_text(tokenizer, encoder, first, flags.parse_special));
    if (flags.add_special) push_around(encoder, &tokenizer->after);
    size_t n_first = encoder->count;
    if (second) {
        int32_t separator = tokenizer->special_ids[TRANSFORMER_TOKEN_SEPARATOR];
        if (flags.add_special && separator >= 0 && tokenizer->model != MODEL_WORDPIECE)
            encoder_push(encoder, separator);
        TRY(encode_text(tokenizer, encoder, *second, flags.parse_special));
        if (flags.add_special) push_around(encoder, &tokenizer->after);
    }
    for (size_t i = 0; types && i < encoder->count && i < encoder->capacity; i++)
        types[i] = i >= n_first && tokenizer->model == MODEL_WORDPIECE;
    return OK;
}

static status encode(const struct tokenizer *tokenizer, struct encoder *encoder, struct text first,
                     const struct text *second, struct tokenize_flags flags, int32_t *types) {
    const struct pipeline_input input = {first, second, flags.add_special, flags.parse_special};
    if (tokenizer->pipeline) return pipeline_encode(tokenizer->pipeline, encoder, &input, types);
    return encode_around(tokenizer, encoder, first, second, flags, types);
}

status tokenizer_encode_pair(const struct tokenizer *tokenizer, struct memory *memory,
                             struct text first, const struct text *second,
                             struct tokenize_flags flags, int32_t *ids, int32_t *types,
                             size_t capacity, size_t *count) {
    if (tokenizer->sources) tokenizer = tokenizer->sources;
    struct text valid, valid_second = {"", 0};
    size_t length = first.length + (second ? second->length : 0);
    if (first.length > longest_text || length > longest_text)
        return fail(LIMIT, "a text of %zu bytes; up to %zu can be tokenized at once", length,
                    longest_text);
    void *copy = NULL, *copy_second = NULL;
    struct encoder encoder = {.memory = memory, .ids = ids, .capacity = capacity};
    status result;
    TRY_OR_EXIT(utf8_repair(memory, first, &valid, &copy));
    if (second) TRY_OR_EXIT(utf8_repair(memory, *second, &valid_second, &copy_second));
    TRY_OR_EXIT(encode(tokenizer, &encoder, valid, second ? &valid_second : NULL, flags, types));
    *count = encoder.count;
    if (ids && encoder.count > capacity)
        result = fail(BUFFER_TOO_SMALL, "%zu tokens, room for %zu", encoder.count, capacity);
exit:
    encoder_close(&encoder);
    memory_give(memory, copy);
    memory_give(memory, copy_second);
    return result;
}

status tokenizer_encode(const struct tokenizer *tokenizer, struct memory *memory, struct text text,
                        struct tokenize_flags flags, int32_t *ids, size_t capacity, size_t *count) {
    return tokenizer_encode_pair(tokenizer, memory, text, NULL, flags, ids, NULL, capacity, count);
}

/* ---- tokens to text ---- */

/* Bytes of a token whose text, or what is left of it, is this; out NULL: only their number.
 * literal: it stands for itself. */
static size_t render(const struct tokenizer *tokenizer, uint8_t kind, bool literal, bool first,
                     struct text text, char *out) {
    int byte;
    if (literal) {
        if (out) memcpy(out, text.data, text.length);
        return text.length;
    }
    byte = kind == TOKEN_BYTE ? sentencepiece_byte(text) : -1;
    if (byte >= 0) {
        if (out) out[0] = (char)byte;
        return 1;
    }
    switch (tokenizer->model) {
    case MODEL_BPE:
    case MODEL_DNA:
        return bpe_text_decode(&tokenizer->bpe, text, out);
    case MODEL_RWKV:
        return rwkv_decode(text, out);
    case MODEL_WORDPIECE:
        return wordpiece_decode(&tokenizer->wordpiece, text, first, out);
    default:
        return sentencepiece_decode(text, out);
    }
}

static size_t pipeline_token_bytes(const struct pipeline *pipeline, struct detokenize_state *state,
                                   uint32_t id, bool special, char *buffer, size_t capacity) {
    const struct added_token *added = pipeline->added_of[id];
    /* one that is found in normalized text, and looks otherwise there, is written out */
    bool control = added && added->flags & ADDED_SPECIAL &&
                   added->form.length == added->content.length &&
                   memcmp(added->form.data, added->content.data, added->form.length) == 0;
    if (control && !special) return 0;
    return decode_token(&pipeline->decode, state, id, buffer, capacity);
}

size_t tokenizer_token_bytes(const struct tokenizer *tokenizer, struct detokenize_state *state,
                             int32_t id, bool special, char *buffer, size_t capacity) {
    const struct pipeline *pipeline = tokenizer->pipeline;
    const struct vocab *vocab = pipeline ? &pipeline->vocab : &tokenizer->vocab;
    if (id < 0 || (uint32_t)id >= vocab->n) return 0; /* a row that only pads the embedding */
    if (pipeline)
        return pipeline_token_bytes(pipeline, state, (uint32_t)id, special, buffer, capacity);
    uint8_t kind = vocab->kinds[id];
    bool control = kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN;
    if (control && !special) return 0;
    struct text text = vocab_text(vocab, (uint32_t)id);
    bool literal =
        control || (kind == TOKEN_USER_DEFINED && !tokenizer->spm_options.defined_inside);
    bool first = !state->started;
    if (first && tokenizer->space_prefix && !literal && kind != TOKEN_BYTE)
        text = sentencepiece_without_space(text);
    state->started = true;
    size_t length = render(tokenizer, kind, literal, first, text, NULL);
    return length <= capacity ? render(tokenizer, kind, literal, first, text, buffer) : length;
}

size_t tokenizer_max_token_bytes(const struct tokenizer *tokenizer) {
    if (tokenizer->pipeline) return tokenizer->pipeline->decode.longest;
    return tokenizer->vocab.longest + (tokenizer->wordpiece.number_signs ? 1u : 0u);
}

int64_t tokenizer_vocab_size(const struct tokenizer *tokenizer) {
    return tokenizer->pipeline ? tokenizer->pipeline->vocab.n : tokenizer->vocab.n;
}

int64_t tokenizer_source_size(const struct tokenizer *tokenizer) {
    return tokenizer_vocab_size(tokenizer->sources ? tokenizer->sources : tokenizer);
}

bool tokenizer_has_sources(const struct tokenizer *tokenizer) {
    return tokenizer->sources != NULL;
}

int32_t tokenizer_special(const struct tokenizer *tokenizer, int32_t kind) {
    return kind > 0 && kind < N_KINDS ? tokenizer->special_ids[kind] : -1;
}

const struct pipeline *tokenizer_pipeline(const struct tokenizer *tokenizer) {
    return tokenizer->pipeline;
}

const int32_t *tokenizer_end_tokens(const struct tokenizer *tokenizer, size_t *count) {
    *count = tokenizer->n_end_tokens;
    return tokenizer->end_tokens;
}
