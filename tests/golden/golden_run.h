/* Runs a model on given tokens through the public API, and measures its logits. */
#ifndef GOLDEN_RUN_H
#define GOLDEN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "transformer.h"

struct session {
    transformer_model *model;
    transformer_context *context;
    int64_t n_vocab;
};

typedef void row_function(void *user, int64_t position, const float *row, int64_t n_vocab);

extern int golden_failures;
/* Prints and counts. */
void golden_failed(const char *what, const char *name);

/* false: it has been counted as a failure. */
bool session_open(struct session *session, const char *path, int64_t max_tokens, uint32_t kv_type);
void session_close(struct session *session);

/* Appends the tokens and computes them; gives each position that is kept to on_row. false: the
 * reason is transformer_last_error. */
bool run_tokens(transformer_context *context, transformer_sequence *sequence, const int32_t *tokens,
                int64_t count, const uint8_t *keep, row_function *on_row, void *user);
/* The tokens in a sequence of their own. false: it has been counted as a failure. */
bool run_alone(const struct session *session, const char *name, const int32_t *tokens,
               int64_t n_tokens, const int32_t *positions, int64_t n_positions,
               row_function *on_row, void *user);

double log_sum_exp(const float *logits, int64_t n);
int64_t highest_of(const float *logits, int64_t n);
/* KL(golden || row) in nats, of logits. */
double divergence(const float *golden, const float *row, int64_t n);
/* Likewise where the golden has its k likeliest tokens only: the others count as one. */
double divergence_of_likeliest(const int32_t *ids, const float *log_probabilities, int32_t k,
                               const float *row, int64_t n);

#endif
