/* SentencePiece's model file: a ModelProto (sentencepiece_model.proto) of pieces with scores, and
 * of how a text is normalized before. */
#ifndef FORMAT_SENTENCEPIECE_MODEL_H
#define FORMAT_SENTENCEPIECE_MODEL_H

#include "format/checkpoint.h"

enum sentencepiece_kind { SENTENCEPIECE_UNIGRAM = 1, SENTENCEPIECE_BPE = 2 };

struct sentencepiece_piece {
    struct text text; /* a view into the file */
    float score;
    int32_t type; /* 1 ... 6, which are GGUF's token types too */
};

struct sentencepiece_model {
    enum sentencepiece_kind kind;
    struct sentencepiece_piece *pieces; /* [n] a block of the memory it was read with */
    uint32_t n;
    int32_t unknown, begin, end, padding; /* pieces' numbers; -1: none */
    struct text charsmap;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    bool treat_whitespace_as_suffix;
};

/* bytes must outlive the model. FORMAT, or UNSUPPORTED: models of words or characters, and
 * denormalizers. The caller gives back pieces; on failure there are none. */
status sentencepiece_model_read(struct memory *memory, const char *file, const void *bytes,
                                size_t size, struct sentencepiece_model *model);

#endif
