/* A folder's tokenizer.json as the metadata of a GGUF file: the file itself and what lies beside
 * it, which this library reads; and, where GGUF's own kinds of tokenizers give the same tokens, the
 * keys of one, which other readers of the format know. */
#ifndef TOKENIZER_EXPORT_H
#define TOKENIZER_EXPORT_H

#include "base/arena.h"
#include "base/log.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer.h"

struct tokenizer_export {
    struct arena arena;
    struct checkpoint *keys; /* NULL: there is nothing to add to what the checkpoint has */
};

/* tokenizer: the checkpoint's, NULL where it can't be used. n_vocab: rows of the embedding.
 * Whatever comes of it, tokenizer_export_close must be called. */
status tokenizer_export(struct memory *memory, const struct log *log, struct checkpoint *checkpoint,
                        const struct tokenizer *tokenizer, int64_t n_vocab,
                        struct tokenizer_export *export);
void tokenizer_export_close(struct tokenizer_export *export);

/* export_pad.c: the keys of a vocabulary that has fewer tokens than the embedding rows, with a
 * token for each; none where it has as many. */
struct metadata_maker;
status export_padded(struct memory *memory, const struct checkpoint *checkpoint, int64_t n_vocab,
                     const struct metadata_maker *maker);

/* ---- export_probe.c: texts that tell tokenizers apart ---- */

/* The pre-tokenizers of GGUF that cut the probes' texts into words as the pipeline's steps do, at
 * most `most`, in the table's order: names that all readers know come first. */
status probe_pretokenizers(struct memory *memory, const struct pipeline *pipeline,
                           const struct pretokenizer **found, size_t most, size_t *n);
/* Whether two tokenizers give the same tokens: for the probes' texts, each token's text, and many
 * of these one after the other. special: with control tokens written out among them. */
status probe_same(struct memory *memory, const struct tokenizer *one, const struct tokenizer *other,
                  bool special, bool *same);

#endif
