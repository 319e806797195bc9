#include "tokenizer/spm.h"

#include <stdio.h>

#include "tokenizer/utf8.h"

struct key {
    char text[96];
};

static struct key key_of(const char *section, const char *name) {
    struct key key;
    snprintf(key.text, sizeof key.text, "%s.%s", section, name);
    return key;
}

/* ---- opening ---- */

static status read_flag(const struct checkpoint *checkpoint, const char *section, const char *name,
                        bool *flag) {
    return checkpoint_read_bool(checkpoint, key_of(section, name).text, &(bool){0}, flag);
}

static status read_map(const struct checkpoint *checkpoint, const char *section,
                       struct precompiled *map) {
    struct key key = key_of(section, "precompiled_charsmap");
    const struct metadata *bytes = checkpoint_metadata(checkpoint, key.text);
    *map = (struct precompiled){0};
    if (!bytes) return OK;
    if (bytes->kind != METADATA_ARRAY ||
        (bytes->element != METADATA_U8 && bytes->element != METADATA_I8))
        return fail(FORMAT, "%s: '%s' is not an array of bytes", checkpoint_name(checkpoint),
                    key.text);
    return precompiled_open(checkpoint_name(checkpoint), bytes->values, (size_t)bytes->count, map);
}

static struct text defined_text(const void *owner, uint32_t id) {
    const struct vocab *vocab = owner;
    struct text text = vocab_text(vocab, id);
    bool defined = vocab->kinds[id] == TOKEN_USER_DEFINED &&
                   utf8_valid_prefix((const uint8_t *)text.data, text.length) == text.length;
    return defined ? text : (struct text){"", 0};
}

static status read_normalizer(const struct checkpoint *checkpoint,
                              const struct spm_options *options, struct spm *spm) {
    struct sentencepiece_normalizer *normalizer = &spm->normalizer;
    const char *section = options->section;
    bool escape = true;
    TRY(read_map(checkpoint, section, &normalizer->map));
    TRY(read_flag(checkpoint, section, "add_space_prefix", &normalizer->space_prefix));
    TRY(read_flag(checkpoint, section, "remove_extra_whitespaces", &normalizer->merge_spaces));
    TRY(read_flag(checkpoint, section, "treat_whitespace_as_suffix", &normalizer->space_suffix));
    TRY(read_flag(checkpoint, section, "escape_whitespaces", &escape));
    normalizer->keep_spaces = !escape;
    if (!escape && options->kind == SPM_MERGES)
        return fail(UNSUPPORTED, "%s: '%s' is false, which is not supported with merges",
                    checkpoint_name(checkpoint), key_of(section, "escape_whitespaces").text);
    if (options->defined_inside) {
        TRY(trie_open(spm->memory, spm->pieces, defined_text, spm->pieces->n, &spm->defined));
        if (spm->defined.longest > UNIGRAM_MOST_BYTES)
            return fail(UNSUPPORTED,
                        "%s: a user-defined piece of %zu bytes, up to %d are supported",
                        checkpoint_name(checkpoint), spm->defined.longest, UNIGRAM_MOST_BYTES);
        normalizer->defined = &spm->defined;
    }
    sentencepiece_normalizer_prepare(normalizer);
    return OK;
}

static struct unigram_piece piece_of(const void *owner, uint32_t id) {
    const struct vocab *vocab = owner;
    struct unigram_piece piece = {vocab_text(vocab, id), (double)vocab_score(vocab, id), 0};
    switch (vocab->kinds[id]) {
    case TOKEN_NORMAL:
        piece.flags = UNIGRAM_MATCHED | UNIGRAM_SCORED;
        break;
    case TOKEN_USER_DEFINED:
        piece.flags = UNIGRAM_MATCHED | UNIGRAM_DEFINED;
        break;
    default: /* unused ones too: they never stand in a text */
        break;
    }
    return piece;
}

/* The tokens that pieces are by their texts. */
static status find_ids(const struct spm_options *options, struct spm *spm) {
    TRY(MEMORY_TAKE_ARRAY(spm->memory, spm->own.n, "the tokens of pieces", &spm->ids));
    for (uint32_t piece = 0; piece < spm->own.n; piece++) {
        struct text text = vocab_text(&spm->own, piece);
        int32_t id = vocab_find(spm->tokens, text.data, text.length);
        spm->ids[piece] = id >= 0 ? id : options->unknown;
    }
    return OK;
}

static status open_unigram(const struct spm_options *options, struct spm *spm) {
    int32_t bytes[256];
    bool has_bytes = sentencepiece_bytes(spm->pieces, bytes);
    for (int byte = 0; has_bytes && spm->ids && byte < 256; byte++)
        bytes[byte] = spm->ids[bytes[byte]];
    const struct unigram_options unigram = {
        .kind = options->defined_inside ? UNIGRAM_SENTENCEPIECE : UNIGRAM_GGML,
        .owner = spm->pieces,
        .piece = piece_of,
        .n = spm->pieces->n,
        .unknown = options->unknown,
        .bytes = has_bytes ? bytes : NULL,
        .ids = spm->ids,
        .names = spm->ids ? spm->tokens : NULL,
    };
    return unigram_open(spm->memory, &unigram, &spm->unigram);
}

status spm_open(struct memory *memory, const struct checkpoint *checkpoint,
                const struct spm_options *options, bool own_pieces, const struct vocab *tokens,
                struct spm *spm) {
    *spm = (struct spm){.memory = memory, .kind = options->kind, .tokens = tokens};
    spm->pieces = tokens;
    if (own_pieces) {
        TRY(vocab_open_section(memory, checkpoint, options->section, &spm->own));
        spm->pieces = &spm->own;
        TRY(find_ids(options, spm));
    }
    if (!spm->pieces->scores)
        return fail(FORMAT, "%s: no '%s'", checkpoint_name(checkpoint),
                    key_of(options->section, "scores").text);
    TRY(read_normalizer(checkpoint, options, spm));
    if (options->kind == SPM_UNIGRAM) return open_unigram(options, spm);
    TRY(sentencepiece_open(checkpoint, spm->pieces, options->unknown, &spm->merges));
    spm->merges.ids = spm->ids;
    spm->merges.names = spm->ids ? spm->tokens : NULL;
    return OK;
}

void spm_close(struct spm *spm) {
    if (!spm->memory) return;
    unigram_close(&spm->unigram);
    trie_close(&spm->defined);
    memory_give(spm->memory, spm->ids);
    if (spm->pieces == &spm->own) vocab_close(&spm->own);
    *spm = (struct spm){0};
}

/* ---- encoding ---- */

/* User-defined pieces stand for themselves, whatever the merges around them. */
static status encode_merges(const struct spm *spm, struct encoder *encoder, const uint8_t *text,
                            size_t length) {
    size_t begin = 0, at = 0;
    while (spm->normalizer.defined && at < length) {
        int64_t piece;
        size_t n = trie_longest(&spm->defined, text + at, length - at, &piece);
        if (n == 0) {
            at++;
            continue;
        }
        TRY(sentencepiece_encode(&spm->merges, encoder, text + begin, at - begin, false));
        sentencepiece_push(&spm->merges, encoder, (int32_t)piece);
        begin = at += n;
    }
    return sentencepiece_encode(&spm->merges, encoder, text + begin, length - begin, false);
}

status spm_encode(const struct spm *spm, struct encoder *encoder, const uint8_t *text,
                  size_t length) {
    char *block;
    size_t n;
    TRY(sentencepiece_normalize(&spm->normalizer, encoder->memory,
                                (struct text){(const char *)text, length}, &block, &n));
    if (n == 0) { /* of nothing but white space */
        memory_give(encoder->memory, block);
        return OK;
    }
    const uint8_t *normalized = (const uint8_t *)block;
    status result = spm->kind == SPM_UNIGRAM ? unigram_encode(&spm->unigram, encoder, normalized, n)
                                             : encode_merges(spm, encoder, normalized, n);
    memory_give(encoder->memory, block);
    return result;
}
