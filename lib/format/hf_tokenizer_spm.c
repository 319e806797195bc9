#include <stdio.h>
#include <string.h>

#include "format/hf_tokenizer.h"
#include "format/sentencepiece_model.h"

/* ---- a model's file, and its keys ---- */

struct model_file {
    void *bytes;
    size_t size;
    struct sentencepiece_model model;
};

static status parse(struct hf *hf, const char *name, struct model_file *file) {
    return sentencepiece_model_read(hf->memory, name, file->bytes, file->size, &file->model);
}

static void close_file(struct hf *hf, struct model_file *file) {
    memory_give(hf->memory, file->model.pieces);
    memory_give(hf->memory, file->bytes);
    *file = (struct model_file){0};
}

static status open_file(struct hf *hf, const char *name, struct model_file *file) {
    bool found;
    *file = (struct model_file){0};
    TRY(hf_find_file(hf, name, HF_VOCABULARY_MAX_BYTES, &found, &file->bytes, &file->size));
    if (!found) return fail(NOT_FOUND, "%s: lacks %s", hf->path, name);
    status result = parse(hf, name, file);
    if (result != OK) close_file(hf, file);
    return result;
}

static status write_flag(struct hf *hf, const char *section, const char *name, bool value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", section, name);
    return hf_metadata_put_bool(hf, key, value);
}

/* The kind and how texts are normalized. */
static status write_model(struct hf *hf, const char *section,
                          const struct sentencepiece_model *model) {
    char key[96];
    bool unigram = model->kind == SENTENCEPIECE_UNIGRAM;
    snprintf(key, sizeof key, "%s.model", section);
    TRY(hf_metadata_string(hf, key, (struct text){unigram ? "t5" : "llama", unigram ? 2 : 5}));
    TRY(write_flag(hf, section, "add_space_prefix", model->add_dummy_prefix));
    TRY(write_flag(hf, section, "remove_extra_whitespaces", model->remove_extra_whitespaces));
    TRY(write_flag(hf, section, "escape_whitespaces", model->escape_whitespaces));
    TRY(write_flag(hf, section, "treat_whitespace_as_suffix", model->treat_whitespace_as_suffix));
    if (model->charsmap.length == 0) return OK;
    snprintf(key, sizeof key, "%s.precompiled_charsmap", section);
    return hf_metadata_array(hf, key, METADATA_U8, model->charsmap.length, model->charsmap.data,
                             model->charsmap.length);
}

static struct hf_token token_of(const struct sentencepiece_piece *piece) {
    return (struct hf_token){piece->text, piece->score, (uint8_t)piece->type};
}

/* A model whose pieces are not the tokens. */
static status write_pieces(struct hf *hf, const char *section, const char *name) {
    struct model_file file;
    struct hf_vocabulary pieces = {.memory = hf->memory};
    TRY(open_file(hf, name, &file));
    status result = OK;
    for (uint32_t i = 0; i < file.model.n && result == OK; i++)
        result = hf_vocabulary_add(&pieces, token_of(&file.model.pieces[i]));
    if (result == OK) result = hf_vocabulary_write(hf, &pieces, section, true);
    if (result == OK) result = write_model(hf, section, &file.model);
    if (result == OK) /* that of the tokens: which of the two is of no matter */
        result = hf_metadata_string(hf, "tokenizer.ggml.model", (struct text){"t5", 2});
    hf_vocabulary_free(&pieces);
    close_file(hf, &file);
    return result;
}

/* ---- Marian, M2M-100: vocab.json has the tokens ---- */

static status read_vocab_json(struct hf_tokenizer *tokenizer, const char *name,
                              struct hf_vocabulary *vocabulary) {
    bool found;
    void *bytes = NULL;
    size_t size;
    TRY(hf_find_file(tokenizer->hf, name, HF_VOCABULARY_MAX_BYTES, &found, &bytes, &size));
    if (!found) return fail(NOT_FOUND, "%s: lacks %s", tokenizer->hf->path, name);
    status result = hf_tokenizer_read_vocab_json(tokenizer, name, bytes, size, vocabulary);
    memory_give(tokenizer->hf->memory, bytes);
    return result;
}

/* Tokens that are bytes in the model which makes text of them. */
static status mark_bytes(struct hf *hf, const char *name, struct hf_vocabulary *vocabulary) {
    struct model_file file;
    TRY(open_file(hf, name, &file));
    for (uint32_t i = 0; i < file.model.n; i++) {
        const struct sentencepiece_piece *piece = &file.model.pieces[i];
        if (piece->type != HF_TOKEN_BYTE) continue;
        int32_t id = hf_vocabulary_find(vocabulary, piece->text);
        if (id >= 0) vocabulary->items[id].kind = HF_TOKEN_BYTE;
    }
    close_file(hf, &file);
    return OK;
}

status hf_tokenizer_marian(struct hf_tokenizer *tokenizer, bool *found) {
    struct hf *hf = tokenizer->hf;
    TRY(hf_has_file(hf, "source.spm", found));
    if (!*found) return OK;
    tokenizer->class = hf_tokenizer_class((struct text){"MarianTokenizer", 15});
    bool separate = tokenizer->config.flags.separate_vocabs == 1;
    TRY(read_vocab_json(tokenizer, "vocab.json",
                        separate ? &tokenizer->sources : &tokenizer->vocabulary));
    if (separate) TRY(read_vocab_json(tokenizer, "target_vocab.json", &tokenizer->vocabulary));
    TRY(mark_bytes(hf, separate ? "target.spm" : "source.spm", &tokenizer->vocabulary));
    TRY(write_pieces(hf, "tokenizer.source", "source.spm"));
    return hf_metadata_put_bool(hf, "tokenizer.sentencepiece.language_tokens", true);
}

/* The languages' tokens behind all others, but for those that are there. */
static status add_languages(struct hf_tokenizer *tokenizer) {
    const struct hf_class *class = tokenizer->class;
    for (const char *const *code = class->languages; code && *code; code++) {
        char text[32];
        void *kept;
        int n = snprintf(text, sizeof text, class->language_pattern ? "__%s__" : "%s", *code);
        TRY(arena_take(&tokenizer->arena, (size_t)n, "a language's token", &kept));
        memcpy(kept, text, (size_t)n);
        struct hf_token token = {{kept, (size_t)n}, 0, HF_TOKEN_CONTROL};
        int32_t id = hf_vocabulary_find(&tokenizer->vocabulary, token.text);
        TRY(id < 0 ? hf_vocabulary_add(&tokenizer->vocabulary, token)
                   : hf_vocabulary_put(&tokenizer->vocabulary, id, token));
    }
    return OK;
}

status hf_tokenizer_m2m(struct hf_tokenizer *tokenizer, bool *found) {
    static const char model[] = "sentencepiece.bpe.model";
    struct hf *hf = tokenizer->hf;
    bool has;
    *found = false;
    if (tokenizer->class->layout != HF_M2M) return OK;
    TRY(hf_has_file(hf, model, &has));
    if (!has) return OK;
    TRY(hf_has_file(hf, "vocab.json", found));
    if (!*found) return OK;
    struct text languages = tokenizer->config.texts.languages;
    if (languages.length && (languages.length != 7 || memcmp(languages.data, "m2m100", 6) != 0) &&
        (languages.length != 6 || memcmp(languages.data, "m2m100", 6) != 0))
        return fail(UNSUPPORTED, "%s: 'language_codes' is '%.*s'; m2m100 is supported",
                    tokenizer->config.file, (int)(languages.length < 64 ? languages.length : 64),
                    languages.data);
    TRY(read_vocab_json(tokenizer, "vocab.json", &tokenizer->vocabulary));
    TRY(add_languages(tokenizer));
    return write_pieces(hf, "tokenizer.source", model);
}

/* ---- models whose pieces are the tokens, with other numbers maybe ---- */

static status add_text(struct hf_tokenizer *tokenizer, const char *text, uint8_t kind) {
    return hf_vocabulary_add(&tokenizer->vocabulary,
                             (struct hf_token){{text, strlen(text)}, 0, kind});
}

static status add_pieces(struct hf_tokenizer *tokenizer, const struct sentencepiece_model *model,
                         uint32_t first) {
    for (uint32_t i = first; i < model->n; i++)
        TRY(hf_vocabulary_add(&tokenizer->vocabulary, token_of(&model->pieces[i])));
    return OK;
}

/* The last number is that of <extra_id_0>. */
static status add_extra_ids(struct hf_tokenizer *tokenizer) {
    int64_t n = tokenizer->config.extra_ids >= 0 ? tokenizer->config.extra_ids : 100;
    if (n > 100000) return fail(LIMIT, "%s: 'extra_ids' is %" PRId64, tokenizer->config.file, n);
    for (int64_t i = n - 1; i >= 0; i--) {
        char text[40];
        void *kept;
        int length = snprintf(text, sizeof text, "<extra_id_%" PRId64 ">", i);
        TRY(arena_take(&tokenizer->arena, (size_t)length, "an extra token", &kept));
        memcpy(kept, text, (size_t)length);
        struct hf_token token = {{kept, (size_t)length}, 0, HF_TOKEN_CONTROL};
        TRY(hf_vocabulary_add(&tokenizer->vocabulary, token));
    }
    return OK;
}

static status renumber(struct hf_tokenizer *tokenizer, const struct sentencepiece_model *model) {
    const struct hf_class *class = tokenizer->class;
    switch (class->layout) {
    case HF_FAIRSEQ:
        if (model->unknown != 0 || model->n < 4)
            return fail(UNSUPPORTED, "%s: class %s of a model whose unknown piece is %d",
                        tokenizer->hf->path, class->name, model->unknown);
        TRY(add_text(tokenizer, "<s>", HF_TOKEN_CONTROL));
        TRY(add_text(tokenizer, "<pad>", HF_TOKEN_CONTROL));
        TRY(add_text(tokenizer, "</s>", HF_TOKEN_CONTROL));
        TRY(add_text(tokenizer, "<unk>", HF_TOKEN_UNKNOWN));
        TRY(add_pieces(tokenizer, model, 3));
        TRY(add_languages(tokenizer));
        return add_text(tokenizer, "<mask>", HF_TOKEN_CONTROL);
    case HF_CAMEMBERT:
        TRY(add_text(tokenizer, "<s>NOTUSED", HF_TOKEN_CONTROL));
        TRY(add_text(tokenizer, "<pad>", HF_TOKEN_CONTROL));
        TRY(add_text(tokenizer, "</s>NOTUSED", HF_TOKEN_CONTROL));
        TRY(add_text(tokenizer, "<unk>", HF_TOKEN_UNKNOWN));
        TRY(add_text(tokenizer, "<unk>NOTUSED", HF_TOKEN_CONTROL));
        TRY(add_pieces(tokenizer, model, 1));
        return add_text(tokenizer, "<mask>", HF_TOKEN_CONTROL);
    case HF_T5:
        TRY(add_pieces(tokenizer, model, 0));
        return add_extra_ids(tokenizer);
    default:
        return add_pieces(tokenizer, model, 0);
    }
}

/* The model's own special pieces, where neither the configuration nor the class names them. */
static void name_special(struct hf_tokenizer *tokenizer, const struct sentencepiece_model *model) {
    struct hf_tokenizer_config *config = &tokenizer->config;
    if (tokenizer->class->bos || tokenizer->class->eos) return;
    if (!config->texts.bos.length && model->begin >= 0)
        config->texts.bos = model->pieces[model->begin].text;
    if (!config->texts.eos.length && model->end >= 0)
        config->texts.eos = model->pieces[model->end].text;
    if (!config->texts.padding.length && model->padding >= 0)
        config->texts.padding = model->pieces[model->padding].text;
}

static status read_model(struct hf_tokenizer *tokenizer, const char *name,
                         struct model_file *file) {
    struct hf *hf = tokenizer->hf;
    TRY(parse(hf, name, file));
    const struct sentencepiece_model *model = &file->model;
    name_special(tokenizer, model);
    if (!tokenizer->config.texts.unknown.length)
        tokenizer->config.texts.unknown = model->pieces[model->unknown].text;
    TRY(renumber(tokenizer, model));
    TRY(write_model(hf, "tokenizer.ggml", model));
    return hf_metadata_put_bool(hf, "tokenizer.sentencepiece.normalized", true);
}

status hf_tokenizer_sentencepiece(struct hf_tokenizer *tokenizer, bool *found) {
    static const char *const names[] = {
        "tokenizer.model", "spiece.model",        "sentencepiece.bpe.model",
        "spm.model",       "sentencepiece.model",
    };
    struct hf *hf = tokenizer->hf;
    *found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct model_file file = {0};
        TRY(hf_find_file(hf, names[i], HF_VOCABULARY_MAX_BYTES, found, &file.bytes, &file.size));
        if (!*found) continue;
        tokenizer->file = file.bytes; /* texts are views into it */
        status result = hf_tokenizer_is_tiktoken(file.bytes, file.size)
                            ? hf_tokenizer_tiktoken_read(tokenizer, names[i], file.bytes, file.size)
                            : read_model(tokenizer, names[i], &file);
        file.bytes = NULL;
        close_file(hf, &file);
        return result;
    }
    return OK;
}
