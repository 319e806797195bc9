#include "format/hf_tokenizer.h"

#include <stdio.h>
#include <string.h>

enum { MOST_AROUND = 8 };

static struct text text_of(const char *string) {
    return (struct text){string, string ? strlen(string) : 0};
}

/* ---- the class ---- */

/* Of folders that name no class, or one that isn't known: what their files say, and no more. */
static const struct hf_class plain = {
    .name = "", .layout = HF_PLAIN, .around = "b$e", .flags = true};

static void find_class(struct hf_tokenizer *tokenizer) {
    struct text *named = &tokenizer->config.texts.class;
    const struct hf_config *config = &tokenizer->hf->config;
    if (!named->length) {
        const struct json_value *value = hf_config_value(config, "tokenizer_class");
        if (value && value->kind == JSON_STRING && !value->escaped) *named = value->text;
    }
    const struct hf_class *class = hf_tokenizer_class(*named);
    if (!named->length) {
        const struct json_value *type = hf_config_value(config, "model_type");
        if (type && type->kind == JSON_STRING) class = hf_tokenizer_class_of_model(type->text);
    }
    tokenizer->class = class ? class : &plain;
}

/* ---- tokens beside the vocabulary's file ---- */

/* Those that the configuration adds or has as special ones. */
static status add_tokens(const struct hf_tokenizer *tokenizer, struct hf_vocabulary *vocabulary) {
    for (size_t i = 0; i < tokenizer->config.n_added; i++) {
        const struct hf_added_token *added = &tokenizer->config.added[i];
        uint8_t kind = added->special ? HF_TOKEN_CONTROL : HF_TOKEN_DEFINED;
        int64_t id = added->id >= 0 ? added->id : hf_vocabulary_find(vocabulary, added->text);
        struct hf_token token = {added->text, 0, kind};
        if (id >= 0 && id < (int64_t)vocabulary->n && vocabulary->items[id].text.data) {
            const struct hf_token *old = &vocabulary->items[id];
            bool same = old->text.length == added->text.length &&
                        memcmp(old->text.data, added->text.data, added->text.length) == 0;
            if (same) token.score = old->score;
            if (same && (old->kind == HF_TOKEN_UNKNOWN || old->kind == HF_TOKEN_BYTE))
                token.kind = old->kind;
        }
        TRY(id >= 0 ? hf_vocabulary_put(vocabulary, id, token)
                    : hf_vocabulary_add(vocabulary, token));
    }
    return OK;
}

/* ---- special tokens ---- */

enum special { BOS, EOS, UNKNOWN, SEPARATOR, PADDING, CLASSIFY, MASK, N_SPECIAL };

/* The token that a member of the configuration names, or the class by default; it is no ordinary
 * text then. */
static int32_t special_token(const struct hf_vocabulary *vocabulary, struct text named,
                             const char *by_default) {
    struct text text = named.length ? named : text_of(by_default);
    if (!text.length) return -1;
    int32_t id = hf_vocabulary_find(vocabulary, text);
    if (id < 0) return -1;
    uint8_t *kind = &vocabulary->items[id].kind;
    if (*kind == HF_TOKEN_NORMAL || *kind == HF_TOKEN_DEFINED) *kind = HF_TOKEN_CONTROL;
    return id;
}

static void find_special(const struct hf_tokenizer *tokenizer,
                         const struct hf_vocabulary *vocabulary, int32_t ids[N_SPECIAL]) {
    const struct hf_class *class = tokenizer->class;
    const struct hf_tokenizer_config *config = &tokenizer->config;
    ids[BOS] = special_token(vocabulary, config->texts.bos, class->bos);
    ids[EOS] = special_token(vocabulary, config->texts.eos, class->eos);
    ids[UNKNOWN] = special_token(vocabulary, config->texts.unknown, class->unknown);
    ids[SEPARATOR] = special_token(vocabulary, config->texts.separator, class->separator);
    ids[PADDING] = special_token(vocabulary, config->texts.padding, class->padding);
    ids[CLASSIFY] = special_token(vocabulary, config->texts.classify, class->classify);
    ids[MASK] = special_token(vocabulary, config->texts.mask, class->mask);
}

static status write_special(struct hf_tokenizer *tokenizer, const int32_t ids[N_SPECIAL]) {
    static const char *const keys[N_SPECIAL] = {
        [BOS] = "tokenizer.ggml.bos_token_id",
        [EOS] = "tokenizer.ggml.eos_token_id",
        [UNKNOWN] = "tokenizer.ggml.unknown_token_id",
        [SEPARATOR] = "tokenizer.ggml.seperator_token_id", /* GGUF spells it so */
        [PADDING] = "tokenizer.ggml.padding_token_id",
        [CLASSIFY] = "tokenizer.ggml.cls_token_id",
        [MASK] = "tokenizer.ggml.mask_token_id",
    };
    for (int i = 0; i < N_SPECIAL; i++)
        if (ids[i] >= 0) TRY(hf_metadata_put_i64(tokenizer->hf, keys[i], ids[i]));
    return OK;
}

/* ---- around a text ---- */

static status language_token(const struct hf_tokenizer *tokenizer, int32_t *id) {
    const struct hf_class *class = tokenizer->class;
    struct text code = tokenizer->config.texts.source_language;
    if (!code.length) code = text_of(class->language);
    int length = code.length < 64 ? (int)code.length : 64;
    char text[128];
    snprintf(text, sizeof text, class->language_pattern ? "__%.*s__" : "%.*s", length, code.data);
    *id = hf_vocabulary_find(&tokenizer->vocabulary, text_of(text));
    if (*id >= 0) return OK;
    return fail(UNSUPPORTED, "%s: 'src_lang' is '%.*s', which is no token of the vocabulary",
                tokenizer->config.file, length, code.data);
}

/* What stands before and behind a text. */
struct around {
    int32_t sides[2][MOST_AROUND];
    size_t n[2];
};

static status find_around(const struct hf_tokenizer *tokenizer, const int32_t ids[N_SPECIAL],
                          struct around *around) {
    const struct hf_class *class = tokenizer->class;
    const struct hf_tokenizer_config *config = &tokenizer->config;
    int side = 0;
    *around = (struct around){.n = {0, 0}};
    const char *pattern = class->around;
    if (class->language && config->flags.legacy_behaviour == 1) pattern = "$EL";
    for (const char *letter = pattern; *letter; letter++) {
        char kind = *letter >= 'a' && *letter <= 'z' ? (char)(*letter - 32) : *letter;
        if (kind == '$') {
            side = 1;
            continue;
        }
        int32_t id = kind == 'B'   ? ids[BOS]
                     : kind == 'E' ? ids[EOS]
                     : kind == 'C' ? ids[CLASSIFY]
                                   : ids[SEPARATOR];
        int flag = kind == 'B' ? config->flags.add_bos : config->flags.add_eos;
        bool added = kind == *letter;
        if (class->flags && flag >= 0) added = flag;
        if (kind == 'L') TRY(language_token(tokenizer, &id));
        if (added && id >= 0) around->sides[side][around->n[side]++] = id;
    }
    return OK;
}

static status write_around(struct hf *hf, const char *section, const struct around *around) {
    static const char *const names[2] = {"prefix_tokens", "suffix_tokens"};
    for (int side = 0; side < 2; side++) {
        char key[96];
        size_t n = around->n[side];
        snprintf(key, sizeof key, "%s.%s", section, names[side]);
        TRY(hf_metadata_array(hf, key, METADATA_I32, n, around->sides[side],
                              n * sizeof *around->sides[side]));
    }
    return OK;
}

static status write_added(struct hf *hf, const int32_t ids[N_SPECIAL],
                          const struct around *around) {
    if (ids[BOS] >= 0)
        TRY(hf_metadata_put_bool(hf, "tokenizer.ggml.add_bos_token",
                                 around->n[0] > 0 && around->sides[0][0] == ids[BOS]));
    if (ids[EOS] < 0) return OK;
    return hf_metadata_put_bool(hf, "tokenizer.ggml.add_eos_token",
                                around->n[1] > 0 && around->sides[1][0] == ids[EOS]);
}

/* ---- all of it ---- */

/* The first kind of file that is there has the vocabulary. */
static status read_files(struct hf_tokenizer *tokenizer, bool *found) {
    static status (*const kinds[])(struct hf_tokenizer *, bool *) = {
        hf_tokenizer_marian,    hf_tokenizer_m2m,      hf_tokenizer_sentencepiece,
        hf_tokenizer_wordpiece, hf_tokenizer_byte_bpe, hf_tokenizer_tiktoken,
    };
    *found = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !*found; i++)
        TRY(kinds[i](tokenizer, found));
    return OK;
}

static status check_class(const struct hf_tokenizer *tokenizer) {
    if (tokenizer->class->layout != HF_REFUSED) return OK;
    return fail(UNSUPPORTED,
                "%s: tokenizer_class %s changes texts in ways that its vocabulary's file doesn't "
                "say; tokenizer.json is what to put beside it",
                tokenizer->hf->path, tokenizer->class->name);
}

/* Of an encoder-decoder whose sources have a vocabulary of their own: what a text becomes. Numbers
 * in the configuration are of this one. */
static status write_sources(struct hf_tokenizer *tokenizer) {
    static const char section[] = "tokenizer.source_vocabulary";
    struct hf *hf = tokenizer->hf;
    struct hf_vocabulary *sources = &tokenizer->sources;
    struct around around;
    int32_t ids[N_SPECIAL];
    TRY(add_tokens(tokenizer, sources));
    find_special(tokenizer, sources, ids);
    TRY(hf_vocabulary_write(hf, sources, section, true));
    if (ids[UNKNOWN] >= 0)
        TRY(hf_metadata_put_i64(hf, "tokenizer.source_vocabulary.unknown_token_id", ids[UNKNOWN]));
    TRY(find_around(tokenizer, ids, &around));
    return write_around(hf, section, &around);
}

static status make(struct hf_tokenizer *tokenizer) {
    struct hf *hf = tokenizer->hf;
    struct around around;
    int32_t ids[N_SPECIAL];
    bool found;
    TRY(hf_tokenizer_config_read(hf, &tokenizer->arena, &tokenizer->config));
    find_class(tokenizer);
    TRY(read_files(tokenizer, &found));
    if (!found) return OK;
    TRY(check_class(tokenizer));
    struct hf_vocabulary *vocabulary = &tokenizer->vocabulary;
    TRY(tokenizer->sources.n ? write_sources(tokenizer) : add_tokens(tokenizer, vocabulary));
    find_special(tokenizer, vocabulary, ids);
    bool scores = tokenizer->class->layout != HF_WORDPIECE;
    TRY(hf_vocabulary_write(hf, vocabulary, "tokenizer.ggml", scores));
    TRY(write_special(tokenizer, ids));
    TRY(find_around(tokenizer, ids, &around));
    TRY(write_around(hf, "tokenizer", &around));
    return write_added(hf, ids, &around);
}

/* What can't be done leaves a model that works by token ids; why is told when text is asked of it.
 */
static status keep_reason(struct hf *hf, size_t n_metadata) {
    const char *reason = status_text();
    hf->metadata.count = n_metadata; /* half of a vocabulary is none */
    return hf_metadata_string(hf, "tokenizer.unsupported", text_of(reason));
}

status hf_tokenizer_make(struct hf *hf) {
    bool has;
    char before[STATUS_TEXT_BYTES];
    TRY(hf_has_file(hf, "tokenizer.json", &has));
    if (has) return OK; /* it says all, and more than what may lie beside it */
    status_save(before);
    size_t n_metadata = hf->metadata.count;
    struct hf_tokenizer tokenizer = {
        .hf = hf,
        .arena = {.memory = hf->memory},
        .vocabulary = {.memory = hf->memory},
        .sources = {.memory = hf->memory},
    };
    status result = make(&tokenizer);
    if (result == UNSUPPORTED) {
        result = keep_reason(hf, n_metadata);
        if (result == OK) status_restore(before);
    }
    hf_vocabulary_free(&tokenizer.vocabulary);
    hf_vocabulary_free(&tokenizer.sources);
    hf_tokenizer_config_free(&tokenizer.config);
    arena_free(&tokenizer.arena);
    memory_give(hf->memory, tokenizer.file);
    return result;
}
