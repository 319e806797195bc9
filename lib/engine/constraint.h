/* Grammars as handles, and sequences whose tokens are texts of one. */
#ifndef ENGINE_CONSTRAINT_H
#define ENGINE_CONSTRAINT_H

#include "engine/sequence.h"
#include "grammar/grammar.h"

struct transformer_grammar {
    transformer_model *model;
    atomic_int owners;
    struct grammar *grammar;
};

status grammar_create(transformer_model *model, const struct grammar_source *source,
                      transformer_grammar **created);
void grammar_retain(transformer_grammar *grammar);
void grammar_release(transformer_grammar *grammar); /* NULL does nothing */

/* Of a sequence: the text of its tokens from `start` on. What was read of it follows the tokens
 * when somebody samples. */
struct constraint {
    transformer_grammar *grammar;
    struct grammar_reader reader;
    int64_t start, n_read; /* tokens */
    int64_t max_tokens;    /* -1: the text needn't end */
    bool ended;            /* by an end token */
    bool broken;           /* by the last token that was read */
};

/* All inside the context. grammar NULL lifts. */
status constraint_set(transformer_sequence *sequence, transformer_grammar *grammar,
                      const transformer_constraint_options *options);
void constraint_lift(transformer_sequence *sequence);
status constraint_fork(const transformer_sequence *original, transformer_sequence *fork);
/* The sequence is about to have n tokens only. */
void constraint_truncate(transformer_sequence *sequence, int64_t n);
/* Puts -inf where a token may not come next: *logits becomes the context's copy. *least: a token
 * that may come; -1: any may. STATE: the tokens don't match, or none may come. */
status constraint_apply(transformer_sequence *sequence, const float **logits, int32_t *least);

#endif
