#include "format/sentencepiece_model.h"

#include <math.h>

#include "format/protobuf.h"

enum { FIELD_PIECES = 1, FIELD_TRAINER = 2, FIELD_NORMALIZER = 3, FIELD_DENORMALIZER = 5 };
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_UNUSED = 5, TYPE_BYTE = 6 };

static status read_piece(struct protobuf *message, struct sentencepiece_piece *piece) {
    *piece = (struct sentencepiece_piece){.text = {"", 0}, .type = TYPE_NORMAL};
    for (;;) {
        struct protobuf_field field;
        bool more;
        TRY(protobuf_next(message, &more, &field));
        if (!more) break;
        if (field.number == 1) TRY(protobuf_text(message, &field, &piece->text));
        if (field.number == 2) TRY(protobuf_float(message, &field, &piece->score));
        if (field.number == 3) TRY(protobuf_int32(message, &field, &piece->type));
    }
    if (piece->text.length == 0) return fail(FORMAT, "%s: a piece without a text", message->file);
    if (isnan(piece->score))
        return fail(FORMAT, "%s: the score of piece '%.*s' is not a number", message->file,
                    piece->text.length < 64 ? (int)piece->text.length : 64, piece->text.data);
    if (piece->type < TYPE_NORMAL || piece->type > TYPE_BYTE)
        return fail(FORMAT, "%s: a piece of type %d, which there is not", message->file,
                    piece->type);
    return OK;
}

static status read_trainer(struct protobuf *message, struct sentencepiece_model *model) {
    for (;;) {
        struct protobuf_field field;
        bool more;
        int32_t kind;
        TRY(protobuf_next(message, &more, &field));
        if (!more) return OK;
        switch (field.number) {
        case 3:
            TRY(protobuf_int32(message, &field, &kind));
            if (kind == 3 || kind == 4)
                return fail(UNSUPPORTED,
                            "%s: model_type is %s; UNIGRAM and BPE are what is supported",
                            message->file, kind == 3 ? "WORD" : "CHAR");
            if (kind != SENTENCEPIECE_UNIGRAM && kind != SENTENCEPIECE_BPE)
                return fail(FORMAT, "%s: model_type is %d", message->file, kind);
            model->kind = (enum sentencepiece_kind)kind;
            break;
        case 24:
            TRY(protobuf_bool(message, &field, &model->treat_whitespace_as_suffix));
            break;
        case 41:
            TRY(protobuf_int32(message, &field, &model->begin));
            break;
        case 42:
            TRY(protobuf_int32(message, &field, &model->end));
            break;
        case 43:
            TRY(protobuf_int32(message, &field, &model->padding));
            break;
        default:
            break;
        }
    }
}

static status read_normalizer(struct protobuf *message, struct sentencepiece_model *model) {
    for (;;) {
        struct protobuf_field field;
        bool more;
        TRY(protobuf_next(message, &more, &field));
        if (!more) return OK;
        if (field.number == 2) TRY(protobuf_text(message, &field, &model->charsmap));
        if (field.number == 3) TRY(protobuf_bool(message, &field, &model->add_dummy_prefix));
        if (field.number == 4)
            TRY(protobuf_bool(message, &field, &model->remove_extra_whitespaces));
        if (field.number == 5) TRY(protobuf_bool(message, &field, &model->escape_whitespaces));
    }
}

static status read_denormalizer(struct protobuf *message) {
    struct sentencepiece_model ignored = {.charsmap = {"", 0}};
    TRY(read_normalizer(message, &ignored));
    if (ignored.charsmap.length == 0) return OK;
    return fail(UNSUPPORTED,
                "%s: denormalizer_spec has a precompiled_charsmap, which is not "
                "supported",
                message->file);
}

/* Two walks: pieces are counted, then kept. */
static status walk(struct protobuf file, struct sentencepiece_model *model, uint32_t *n) {
    *n = 0;
    for (;;) {
        struct protobuf_field field;
        struct protobuf message;
        bool more;
        TRY(protobuf_next(&file, &more, &field));
        if (!more) return OK;
        if (field.number == FIELD_PIECES) {
            if (*n == INT32_MAX / 2) return fail(LIMIT, "%s: too many pieces", file.file);
            TRY(protobuf_message(&file, &field, &message));
            if (model->pieces) TRY(read_piece(&message, &model->pieces[*n]));
            ++*n;
        } else if (model->pieces) {
            continue;
        } else if (field.number == FIELD_TRAINER) {
            TRY(protobuf_message(&file, &field, &message));
            TRY(read_trainer(&message, model));
        } else if (field.number == FIELD_NORMALIZER) {
            TRY(protobuf_message(&file, &field, &message));
            TRY(read_normalizer(&message, model));
        } else if (field.number == FIELD_DENORMALIZER) {
            TRY(protobuf_message(&file, &field, &message));
            TRY(read_denormalizer(&message));
        }
    }
}

/* The number that the trainer's options give, if that piece is one of control. */
static int32_t control_piece(const struct sentencepiece_model *model, int32_t number) {
    if (number < 0 || (uint32_t)number >= model->n) return -1;
    return model->pieces[number].type == TYPE_CONTROL ? number : -1;
}

static status check(const char *file, struct sentencepiece_model *model) {
    for (uint32_t i = 0; i < model->n; i++) {
        if (model->pieces[i].type == TYPE_UNUSED && model->kind == SENTENCEPIECE_BPE)
            return fail(UNSUPPORTED,
                        "%s: piece %" PRIu32 " is UNUSED, which is not supported in "
                        "a BPE model",
                        file, i);
        if (model->pieces[i].type != TYPE_UNKNOWN) continue;
        if (model->unknown >= 0) return fail(FORMAT, "%s: has two unknown pieces", file);
        model->unknown = (int32_t)i;
    }
    if (model->unknown < 0) return fail(FORMAT, "%s: has no unknown piece", file);
    model->begin = control_piece(model, model->begin);
    model->end = control_piece(model, model->end);
    model->padding = control_piece(model, model->padding);
    return OK;
}

status sentencepiece_model_read(struct memory *memory, const char *file, const void *bytes,
                                size_t size, struct sentencepiece_model *model) {
    struct protobuf protobuf = {.file = file, .bytes = bytes, .size = size};
    *model = (struct sentencepiece_model){
        .kind = SENTENCEPIECE_UNIGRAM,
        .unknown = -1,
        .begin = 1,
        .end = 2,
        .padding = -1,
        .charsmap = {"", 0},
        .add_dummy_prefix = true,
        .remove_extra_whitespaces = true,
        .escape_whitespaces = true,
    }; /* the format's defaults */
    TRY(walk(protobuf, model, &model->n));
    if (model->n == 0)
        return fail(FORMAT, "%s: has no pieces, so it is no SentencePiece model", file);
    TRY(MEMORY_TAKE_ARRAY(memory, model->n, "a SentencePiece model", &model->pieces));
    status result = walk(protobuf, model, &model->n);
    if (result == OK) result = check(file, model);
    if (result == OK) return OK;
    memory_give(memory, model->pieces);
    model->pieces = NULL;
    return result;
}
