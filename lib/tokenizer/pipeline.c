#include "tokenizer/pipeline.h"

#include <string.h>

void pipeline_close(struct pipeline *pipeline) {
    if (!pipeline) return;
    struct memory *memory = pipeline->memory;
    decode_close(&pipeline->decode);
    for (size_t i = 0; i < pipeline->n_normalizers; i++)
        regex_close(pipeline->normalizers[i].regex);
    for (size_t i = 0; i < pipeline->n_splits; i++) regex_close(pipeline->splits[i].regex);
    for (size_t i = 0; i < pipeline->n_decoders; i++) regex_close(pipeline->decoders[i].regex);
    if (pipeline->bpe.bpe.slots) bpe_close(&pipeline->bpe.bpe);
    if (pipeline->pieces.trie.units) trie_close(&pipeline->pieces.trie);
    if (pipeline->unigram.trie.units) unigram_close(&pipeline->unigram);
    added_close(&pipeline->added);
    if (pipeline->vocab.memory) vocab_close(&pipeline->vocab);
    arena_free(&pipeline->arena);
    memory_give(memory, pipeline);
}

int32_t pipeline_find(const struct pipeline *pipeline, struct text text) {
    const struct added_token *added = added_find(&pipeline->added, text);
    if (added) return added->id;
    return vocab_find(&pipeline->vocab, text.data, text.length);
}

status pipeline_normalize(struct pipeline *pipeline, struct text text, struct text *normalized) {
    struct regex_state regex = {.memory = pipeline->memory};
    struct normalizer normalizer = {.memory = pipeline->memory,
                                    .steps = pipeline->normalizers,
                                    .n_steps = pipeline->n_normalizers,
                                    .regex = &regex};
    void *kept = NULL;
    status result = normalize_run(&normalizer, &text);
    if (result == OK)
        result = arena_take(&pipeline->arena, text.length + 1, "an added token", &kept);
    if (result == OK) {
        if (text.length) memcpy(kept, text.data, text.length);
        *normalized = (struct text){kept, text.length};
    }
    normalize_close(&normalizer);
    regex_state_close(&regex);
    return result;
}

/* ---- encoding ---- */

struct session {
    const struct pipeline *pipeline;
    struct encoder *encoder;
    bool parse_special;
    struct regex_state regex;
    struct normalizer normalizer;
    struct split split;
};

static status encode_word(void *user, const uint8_t *word, size_t length) {
    const struct session *session = user;
    const struct pipeline *pipeline = session->pipeline;
    struct encoder *encoder = session->encoder;
    int32_t id;
    switch (pipeline->model) {
    case PIPELINE_BPE:
        return bpe_characters_encode(&pipeline->bpe, encoder, word, length);
    case PIPELINE_BPE_BYTES:
        return bpe_encode_word(&pipeline->bpe.bpe, encoder, word, length);
    case PIPELINE_WORDPIECE:
        return pieces_encode(&pipeline->pieces, encoder, word, length);
    case PIPELINE_UNIGRAM:
        return unigram_encode(&pipeline->unigram, encoder, word, length);
    default:
        id = vocab_find(&pipeline->vocab, word, length);
        if (id < 0) id = pipeline->unknown;
        if (id < 0)
            return fail(FORMAT,
                        "a word has no token, and the unknown token isn't in the vocabulary");
        encoder_push(encoder, id);
        return OK;
    }
}

/* Ordinary text before normalization. first: it is the start of all. */
static status encode_plain(struct session *session, struct text text, bool first) {
    session->normalizer.from_start = first ? 1 : 0;
    TRY(normalize_run(&session->normalizer, &text));
    first = session->normalizer.from_start > 0;
    struct added_walk walk = {.set = &session->pipeline->added.normalized,
                              .text = (const uint8_t *)text.data,
                              .length = text.length,
                              .special = session->parse_special};
    struct added_part part;
    while (added_next(&walk, &part)) {
        if (part.token)
            encoder_push(session->encoder, part.token->id);
        else
            TRY(split_run(&session->split, walk.text + part.begin, part.end - part.begin,
                          first && part.begin == 0));
    }
    return OK;
}

static status encode_text(struct session *session, struct text text) {
    struct added_walk walk = {.set = &session->pipeline->added.raw,
                              .text = (const uint8_t *)text.data,
                              .length = text.length,
                              .special = session->parse_special};
    struct added_part part;
    while (added_next(&walk, &part)) {
        if (part.token) {
            encoder_push(session->encoder, part.token->id);
            continue;
        }
        struct text plain = {text.data + part.begin, part.end - part.begin};
        TRY(encode_plain(session, plain, part.begin == 0));
    }
    return OK;
}

static status fill_template(struct session *session, const struct pipeline_input *input,
                            int32_t *types) {
    const struct pipeline *pipeline = session->pipeline;
    struct encoder *encoder = session->encoder;
    const struct template *template = input->second ? &pipeline->pair : &pipeline->single;
    for (size_t i = 0; i < template->n; i++) {
        const struct template_part *part = &template->parts[i];
        size_t at = encoder->count;
        if (part->what == TEMPLATE_FIRST)
            TRY(encode_text(session, input->first));
        else if (part->what == TEMPLATE_SECOND)
            TRY(encode_text(session, *input->second));
        else if (input->add_special)
            for (uint32_t j = 0; j < part->n; j++) encoder_push(encoder, part->ids[j]);
        for (; types && at < encoder->count && at < encoder->capacity; at++) types[at] = part->type;
    }
    return OK;
}

status pipeline_encode(const struct pipeline *pipeline, struct encoder *encoder,
                       const struct pipeline_input *input, int32_t *types) {
    struct session session = {.pipeline = pipeline,
                              .encoder = encoder,
                              .parse_special = input->parse_special,
                              .regex = {.memory = encoder->memory}};
    session.normalizer = (struct normalizer){.memory = encoder->memory,
                                             .steps = pipeline->normalizers,
                                             .n_steps = pipeline->n_normalizers,
                                             .regex = &session.regex};
    session.split = (struct split){.memory = encoder->memory,
                                   .steps = pipeline->splits,
                                   .n_steps = pipeline->n_splits,
                                   .regex = &session.regex,
                                   .word = encode_word,
                                   .user = &session};
    status result = OK;
    if (pipeline->n_splits > 0)
        result = MEMORY_TAKE_ARRAY(encoder->memory, pipeline->n_splits, "text of the tokenizer",
                                   &session.split.buffers);
    if (result == OK) result = fill_template(&session, input, types);
    split_close(&session.split);
    memory_give(encoder->memory, session.split.buffers);
    normalize_close(&session.normalizer);
    regex_state_close(&session.regex);
    return result;
}
