#include "golden_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_LOGIT_ROWS = 64 }; /* fewer than some golden files keep, so that steps are cut */

int golden_failures;

void golden_failed(const char *what, const char *name) {
    printf("FAIL %s: %s\n", name, what);
    golden_failures++;
}

void session_close(struct session *session) {
    transformer_context_destroy(session->context);
    transformer_model_close(session->model);
    *session = (struct session){0};
}

bool session_open(struct session *session, const char *path, int64_t max_tokens, uint32_t kv_type) {
    const char *device = getenv("TEST_DEVICE");
    transformer_model_options model = {
        .struct_size = sizeof model, .path = path, .device = device ? atoi(device) : 0};
    transformer_context_options context = {.struct_size = sizeof context,
                                           .max_sequence_tokens = max_tokens,
                                           .max_logit_rows = N_LOGIT_ROWS,
                                           .prefix_cache = TRANSFORMER_OFF, /* compute it all */
                                           .kv_type = kv_type};
    transformer_model_details details = {.struct_size = sizeof details};
    *session = (struct session){0};
    if (transformer_model_open(&model, &session->model) == TRANSFORMER_OK &&
        transformer_model_info(session->model, &details) == TRANSFORMER_OK &&
        transformer_context_create(session->model, &context, &session->context) == TRANSFORMER_OK) {
        session->n_vocab = details.n_vocab;
        return true;
    }
    if (device && strstr(transformer_last_error(), "no attention kernel has heads of"))
        printf("left out on this device: %s: %s\n", path, transformer_last_error());
    else
        golden_failed(transformer_last_error(), path);
    session_close(session);
    return false;
}

bool run_tokens(transformer_context *context, transformer_sequence *sequence, const int32_t *tokens,
                int64_t count, const uint8_t *keep, row_function *on_row, void *user) {
    transformer_append_options append = {
        .struct_size = sizeof append, .keep = keep, .logits = TRANSFORMER_LOGITS_NONE};
    transformer_decode_result result = {.struct_size = sizeof result};
    int64_t total = 0, computed = 0;
    if (transformer_sequence_append(sequence, tokens, count, &append) != TRANSFORMER_OK ||
        transformer_sequence_tokens(sequence, NULL, 0, &total, &computed) != TRANSFORMER_OK)
        return false;
    int64_t first = total - count;
    do {
        int64_t before = computed;
        if (transformer_decode(context, NULL, &result) != TRANSFORMER_OK ||
            transformer_sequence_tokens(sequence, NULL, 0, &total, &computed) != TRANSFORMER_OK)
            return false;
        for (int64_t p = before; p < computed; p++) {
            const float *row = NULL;
            int64_t n_vocab = 0;
            if (p < first || !keep[p - first]) continue;
            if (transformer_sequence_logits(sequence, p, &row, &n_vocab) != TRANSFORMER_OK)
                return false;
            on_row(user, p, row, n_vocab);
        }
    } while (result.n_pending > 0 && result.n_rows > 0);
    return computed == total;
}

bool run_alone(const struct session *session, const char *name, const int32_t *tokens,
               int64_t n_tokens, const int32_t *positions, int64_t n_positions,
               row_function *on_row, void *user) {
    transformer_sequence *sequence = NULL;
    uint8_t *keep = calloc((size_t)n_tokens, 1);
    for (int64_t i = 0; keep && i < n_positions; i++) keep[positions[i]] = 1;
    bool ok = keep &&
              transformer_sequence_create(session->context, NULL, &sequence) == TRANSFORMER_OK &&
              run_tokens(session->context, sequence, tokens, n_tokens, keep, on_row, user);
    if (!ok) golden_failed(transformer_last_error(), name);
    transformer_sequence_destroy(sequence);
    free(keep);
    return ok;
}

double log_sum_exp(const float *logits, int64_t n) {
    double highest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) highest = fmax(highest, (double)logits[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)logits[i] - highest);
    return highest + log(sum);
}

int64_t highest_of(const float *logits, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

double divergence(const float *golden, const float *row, int64_t n) {
    double golden_sum = log_sum_exp(golden, n), row_sum = log_sum_exp(row, n), total = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = (double)golden[i] - golden_sum, q = (double)row[i] - row_sum;
        total += exp(p) * (p - q);
    }
    return total;
}

double divergence_of_likeliest(const int32_t *ids, const float *log_probabilities, int32_t k,
                               const float *row, int64_t n) {
    double row_sum = log_sum_exp(row, n), total = 0, p_rest = 1, q_rest = 1;
    for (int32_t i = 0; i < k; i++) {
        double p = (double)log_probabilities[i], q = (double)row[ids[i]] - row_sum;
        total += exp(p) * (p - q);
        p_rest -= exp(p);
        q_rest -= exp(q);
    }
    if (p_rest > 1e-9) total += p_rest * log(p_rest / fmax(q_rest, 1e-12));
    return total;
}
