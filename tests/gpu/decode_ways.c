#define _GNU_SOURCE /* setenv */
#include "decode_ways.h"

#include <stdlib.h>
#include <string.h>

const char *const decode_way_names[DECODE_WAYS] = {"the persistent kernel", "a graph",
                                                   "single launches"};

#define DO(call)                                           \
    do {                                                   \
        const transformer_status do_status = (call);       \
        if (do_status != TRANSFORMER_OK) return do_status; \
    } while (0)

void decode_way_choose(enum decode_way way) {
    unsetenv("TRANSFORMER_CUDA_PERSISTENT");
    unsetenv("TRANSFORMER_CUDA_GRAPHS");
    if (way == WAY_PERSISTENT) setenv("TRANSFORMER_CUDA_PERSISTENT", "1", 1);
    if (way == WAY_LAUNCHES) setenv("TRANSFORMER_CUDA_GRAPHS", "off", 1);
}

transformer_status decode_way_context(transformer_model *model, enum decode_way way,
                                      const struct decode_case *of, transformer_context **context) {
    const transformer_context_options options = {.struct_size = sizeof options,
                                                 .max_sequence_tokens = of->prompt + 32,
                                                 .kv_tokens = 8 * (of->prompt + 96),
                                                 .max_sequences = DECODE_MAX_BATCH,
                                                 .max_step_tokens = 128,
                                                 .max_logit_rows = 2 * DECODE_MAX_BATCH,
                                                 .kv_type = of->kv_type};
    decode_way_choose(way);
    const transformer_status made = transformer_context_create(model, &options, context);
    decode_way_choose(WAY_GRAPH);
    return made;
}

static int32_t greatest(const float *row, int64_t n) {
    int32_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (row[i] > row[best]) best = (int32_t)i;
    return best;
}

/* Its sequences and their samplers. */
struct run {
    const struct decode_case *of;
    transformer_context *context;
    int64_t n_vocab;
    transformer_sequence *sequences[DECODE_MAX_BATCH];
    transformer_sampler *samplers[DECODE_MAX_BATCH];
    int64_t lengths[DECODE_MAX_BATCH]; /* without the token that was chosen last */
    int32_t tokens[DECODE_MAX_TOKENS];
};

static transformer_status begin(struct run *run, transformer_model *model) {
    transformer_decode_result result = {.struct_size = sizeof result};
    const int n = run->of->n_sequences;
    for (int i = 0; i < DECODE_MAX_TOKENS; i++)
        run->tokens[i] = (int32_t)((3 * i + i * i % 7 + 1) % run->n_vocab);
    for (int s = 0; s < n && run->of->sampled; s++) {
        const transformer_sampler_options options = {
            .struct_size = sizeof options, .temperature = 0.8f, .top_k = 20, .seed = (uint64_t)s};
        DO(transformer_sampler_create(model, &options, &run->samplers[s]));
    }
    const transformer_sequence_options first = {.struct_size = sizeof first,
                                                .sampler = run->samplers[0]};
    DO(transformer_sequence_create(run->context, &first, &run->sequences[0]));
    DO(transformer_sequence_append(run->sequences[0], run->tokens, run->of->prompt, NULL));
    do {
        DO(transformer_decode(run->context, NULL, &result));
    } while (result.n_pending);
    for (int s = 1; s < n; s++) {
        const transformer_fork_options fork = {.struct_size = sizeof fork,
                                               .sampler = run->samplers[s]};
        DO(transformer_sequence_fork(run->sequences[0], &fork, &run->sequences[s]));
    }
    for (int s = 0; s < n; s++) {
        const int more = s ? s : 1;
        DO(transformer_sequence_append(run->sequences[s], run->tokens + s, more, NULL));
        run->lengths[s] = run->of->prompt + run->of->sampled + more;
    }
    return transformer_decode(run->context, NULL, &result);
}

/* The logits of a sequence's last position, and the token that comes after it. */
static transformer_status keep(struct run *run, int s, float *logits, int32_t *token) {
    const float *row = NULL;
    int64_t n = 0;
    DO(transformer_sequence_logits(run->sequences[s], run->lengths[s] - 1, &row, &n));
    memcpy(logits, row, (size_t)run->n_vocab * sizeof *row);
    if (run->of->sampled) {
        DO(transformer_sequence_tokens(run->sequences[s], run->tokens, DECODE_MAX_TOKENS, &n,
                                       NULL));
        *token = run->tokens[run->lengths[s]];
    } else {
        *token = greatest(row, n);
        DO(transformer_sequence_append(run->sequences[s], token, 1, NULL));
    }
    run->lengths[s]++;
    return TRANSFORMER_OK;
}

static transformer_status go_on(struct run *run, struct decode_record *record) {
    transformer_decode_result result = {.struct_size = sizeof result};
    for (int step = 0; step < DECODE_STEPS; step++) {
        for (int s = 0; s < run->of->n_sequences; s++)
            DO(keep(run, s, record->logits + (step * run->of->n_sequences + s) * run->n_vocab,
                    &record->tokens[step][s]));
        DO(transformer_decode(run->context, NULL, &result));
    }
    return TRANSFORMER_OK;
}

transformer_status decode_way_run(transformer_model *model, transformer_context *context,
                                  const struct decode_case *of, int64_t n_vocab,
                                  struct decode_record *record) {
    struct run run = {.of = of, .context = context, .n_vocab = n_vocab};
    transformer_status result = begin(&run, model);
    if (result == TRANSFORMER_OK) result = go_on(&run, record);
    for (int s = 0; s < of->n_sequences; s++) {
        transformer_sequence_destroy(run.sequences[s]);
        transformer_sampler_destroy(run.samplers[s]);
    }
    return result;
}

size_t decode_way_compare(const struct decode_record *a, const struct decode_record *b,
                          const struct decode_case *of, int64_t n_vocab, size_t *first) {
    size_t differ = 0;
    for (size_t i = (size_t)(DECODE_STEPS * of->n_sequences * n_vocab); i-- > 0;)
        if (memcmp(&a->logits[i], &b->logits[i], sizeof(float)) != 0) {
            differ++;
            *first = i;
        }
    for (int step = 0; step < DECODE_STEPS; step++)
        differ += memcmp(a->tokens[step], b->tokens[step],
                         (size_t)of->n_sequences * sizeof(int32_t)) != 0;
    return differ;
}
