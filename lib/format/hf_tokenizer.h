/* The kinds of files that a folder's vocabulary may be in, apart from tokenizer.json; and what the
 * classes of Hugging Face transformers make of them. */
#ifndef FORMAT_HF_TOKENIZER_H
#define FORMAT_HF_TOKENIZER_H

#include "format/hf.h"
#include "format/hf_tokenizer_config.h"
#include "format/hf_vocabulary.h"

#define HF_VOCABULARY_MAX_BYTES ((uint64_t)256 << 20)

/* How a class numbers the pieces of a SentencePiece model. */
enum hf_layout {
    HF_PLAIN,     /* as they are */
    HF_T5,        /* and <extra_id_N> ... <extra_id_0> behind them */
    HF_FAIRSEQ,   /* <s> <pad> </s> <unk>, the pieces but the first three, language codes, <mask> */
    HF_CAMEMBERT, /* five of its own, the pieces but the first, <mask> */
    HF_MARIAN,    /* vocab.json has the numbers; two models, of the source and of the target */
    HF_M2M,       /* vocab.json has them, and language codes follow */
    HF_WORDPIECE, /* lines of vocab.txt */
    HF_BYTE_BPE,  /* vocab.json and merges.txt, or ranks of tiktoken */
    HF_REFUSED    /* changes the text in ways that its files don't say */
};

struct hf_class {
    const char *name; /* without "Fast" */
    enum hf_layout layout;
    const char *around; /* a text ($): Begin, End, Classify, Separator, Language; small: only if
                           asked for; none that the vocabulary lacks */
    bool flags;         /* add_bos_token and add_eos_token ask, or ask not */
    const char *bos, *eos, *unknown, *separator, *padding, *classify, *mask; /* defaults, or NULL */
    const char *pre;                                                         /* of HF_BYTE_BPE */
    bool compose;                 /* its texts are brought into NFC */
    const char *const *languages; /* NULL ends them */
    const char *language,
        *language_pattern; /* the default one; how one is written, or NULL: as it is */
};

/* What is gathered while a folder's vocabulary is read. */
struct hf_tokenizer {
    struct hf *hf;
    struct arena arena; /* what texts are in */
    struct hf_tokenizer_config config;
    const struct hf_class *class;
    struct hf_vocabulary vocabulary;
    struct hf_vocabulary sources; /* of an encoder-decoder's sources; empty: the same one */
    void *file;                   /* a block that texts are views into; NULL: none */
};

/* hf_tokenizer_classes.c. NULL: no such class. */
const struct hf_class *hf_tokenizer_class(struct text name);
/* The class that a model_type's folders have where they name none; NULL: not known. */
const struct hf_class *hf_tokenizer_class_of_model(struct text model_type);

/* hf_tokenizer_spm.c: each says whether its files are there, and has written the metadata of them
 * but for what is around a text. */
status hf_tokenizer_marian(struct hf_tokenizer *tokenizer, bool *found);
status hf_tokenizer_m2m(struct hf_tokenizer *tokenizer, bool *found);
status hf_tokenizer_sentencepiece(struct hf_tokenizer *tokenizer, bool *found);
/* hf_tokenizer_lists.c */
status hf_tokenizer_wordpiece(struct hf_tokenizer *tokenizer, bool *found);
status hf_tokenizer_byte_bpe(struct hf_tokenizer *tokenizer, bool *found);
status hf_tokenizer_tiktoken(struct hf_tokenizer *tokenizer, bool *found);
status hf_tokenizer_tiktoken_read(struct hf_tokenizer *tokenizer, const char *file,
                                  const void *bytes, size_t size);
bool hf_tokenizer_is_tiktoken(const void *bytes, size_t size);
/* {"TEXT": NUMBER, ...}: a vocabulary of normal tokens, their texts in the arena. */
status hf_tokenizer_read_vocab_json(struct hf_tokenizer *tokenizer, const char *file,
                                    const void *bytes, size_t size,
                                    struct hf_vocabulary *vocabulary);

#endif
