/* The same decode steps as the persistent kernel, as a graph and launch by launch: contexts are
 * told by debugging variables which, and what they give is compared bit by bit. */
#ifndef TESTS_GPU_DECODE_WAYS_H
#define TESTS_GPU_DECODE_WAYS_H

#include <stdbool.h>
#include <stddef.h>

#include "transformer.h"

enum decode_way { WAY_PERSISTENT, WAY_GRAPH, WAY_LAUNCHES, DECODE_WAYS };
extern const char *const decode_way_names[DECODE_WAYS];
/* Of contexts made, and estimates asked for, from now on. */
void decode_way_choose(enum decode_way way);

enum { DECODE_STEPS = 4, DECODE_MAX_BATCH = 8, DECODE_MAX_TOKENS = 640 };

struct decode_case {
    uint32_t kv_type;
    int n_sequences;
    int prompt;   /* tokens, at most DECODE_MAX_TOKENS - 32, that the sequences share */
    bool sampled; /* on the device, at a temperature; else greedy by hand */
};

/* logits [DECODE_STEPS][n_sequences][n_vocab]; tokens that follow them. */
struct decode_record {
    float *logits;
    int32_t tokens[DECODE_STEPS][DECODE_MAX_BATCH];
};

/* A context for the case. */
transformer_status decode_way_context(transformer_model *model, enum decode_way way,
                                      const struct decode_case *of, transformer_context **context);
/* Sequences of one prompt and 1, 1, 2, 3 ... tokens more, then single tokens of all of them. */
transformer_status decode_way_run(transformer_model *model, transformer_context *context,
                                  const struct decode_case *of, int64_t n_vocab,
                                  struct decode_record *record);
/* Number of differing logits; *first: the first of them. Tokens count as one more. */
size_t decode_way_compare(const struct decode_record *a, const struct decode_record *b,
                          const struct decode_case *of, int64_t n_vocab, size_t *first);

#endif
