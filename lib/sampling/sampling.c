#include "sampling/sampling.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/float_environment.h"
#include "sampling/chain.h"
#include "sampling/philox.h"

/* Numbers are told in words: printf writes them as the host's locale has it. */
static status refuse(const char *field, const char *range, float value) {
    const char *kind = isnan(value)     ? "not a number"
                       : isinf(value)   ? "infinite"
                       : signbit(value) ? "negative"
                                        : "too large";
    return fail(INVALID_ARGUMENT, "sampler option %s is %s; it must be %s", field, kind, range);
}

static status check_at_least_0(const char *field, float value) {
    if (value >= 0 && value <= FLT_MAX) return OK;
    return refuse(field, "finite and not negative", value);
}

static status check_probability(const char *field, float value) {
    if (value >= 0 && value <= 1) return OK;
    return refuse(field, "from 0 to 1", value);
}

static status check_finite(const char *field, float value) {
    if (isfinite(value)) return OK;
    return refuse(field, "finite", value);
}

static status check_count(const char *field, int64_t value) {
    if (value >= 0) return OK;
    return fail(INVALID_ARGUMENT, "sampler option %s is %" PRId64 "; it must not be negative",
                field, value);
}

static status check_bias(const transformer_sampler_options *options, int64_t n_vocab) {
    TRY(check_count("n_logit_bias", options->n_logit_bias));
    if (options->n_logit_bias > 0 && !options->logit_bias)
        return fail(INVALID_ARGUMENT,
                    "sampler option logit_bias is NULL, but n_logit_bias is %" PRId64,
                    options->n_logit_bias);
    for (int64_t i = 0; i < options->n_logit_bias; i++) {
        const transformer_logit_bias *bias = &options->logit_bias[i];
        if (bias->token < 0 || bias->token >= n_vocab)
            return fail(INVALID_ARGUMENT,
                        "sampler option logit_bias[%" PRId64 "].token is %" PRId32
                        "; it must be from 0 to %" PRId64,
                        i, bias->token, n_vocab - 1);
        if (!(bias->bias < INFINITY))
            return fail(INVALID_ARGUMENT,
                        "sampler option logit_bias[%" PRId64 "].bias is %s; it must be finite or "
                        "-infinity",
                        i, isnan(bias->bias) ? "not a number" : "infinite");
    }
    return OK;
}

static status check_options(const transformer_sampler_options *options, int64_t n_vocab) {
    TRY(check_at_least_0("temperature", options->temperature));
    TRY(check_count("top_k", options->top_k));
    TRY(check_probability("top_p", options->top_p));
    TRY(check_probability("min_p", options->min_p));
    TRY(check_at_least_0("repetition_penalty", options->repetition_penalty));
    TRY(check_finite("presence_penalty", options->presence_penalty));
    TRY(check_finite("frequency_penalty", options->frequency_penalty));
    TRY(check_count("penalty_window", options->penalty_window));
    return check_bias(options, n_vocab);
}

static bool cuts_top_k(const struct sampling_chain *chain) {
    return chain->options.top_k > 0 && chain->options.top_k < chain->n_vocab;
}

static bool cuts_top_p(const struct sampling_chain *chain) {
    return chain->options.top_p > 0 && chain->options.top_p < 1;
}

static status take_scratch(struct sampling_chain *chain) {
    struct memory *memory = chain->memory;
    const transformer_sampler_options *options = &chain->options;
    size_t n = (size_t)chain->n_vocab;
    bool draws = options->temperature > 0;
    bool cuts = draws && (cuts_top_k(chain) || cuts_top_p(chain));
    if (adjust_is_needed(options) || cuts)
        TRY(MEMORY_TAKE_ARRAY(memory, n, "a sampler", &chain->logits));
    if (adjust_counts_history(options))
        TRY(MEMORY_TAKE_ARRAY(memory, n, "a sampler", &chain->counts));
    if (cuts) TRY(MEMORY_TAKE_ARRAY(memory, n, "a sampler", &chain->ids));
    if (cuts) TRY(MEMORY_TAKE_ARRAY(memory, n, "a sampler", &chain->ranks));
    if (draws)
        TRY(MEMORY_TAKE_ARRAY(memory, draw_n_chunks(chain->n_vocab), "a sampler",
                              &chain->chunk_weight));
    return OK;
}

status sampling_create(struct memory *memory, const transformer_sampler_options *options,
                       int64_t n_vocab, struct sampling_chain **chain) {
    if (n_vocab < 1 || n_vocab > INT32_MAX)
        return fail(INVALID_ARGUMENT, "a sampler can't have a vocabulary of %" PRId64, n_vocab);
    TRY(check_options(options, n_vocab));
    struct sampling_chain *made;
    TRY(MEMORY_TAKE_ONE(memory, "a sampler", &made));
    made->memory = memory;
    made->options = *options;
    made->n_vocab = n_vocab;

    status result;
    size_t n_biases = (size_t)options->n_logit_bias;
    if (n_biases > 0) {
        TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_biases, "a sampler", &made->biases));
        memcpy(made->biases, options->logit_bias, n_biases * sizeof *made->biases);
    }
    made->options.logit_bias = made->biases;
    TRY_OR_EXIT(take_scratch(made));
    *chain = made;
    return OK;
exit:
    sampling_destroy(made);
    return result;
}

status sampling_clone(const struct sampling_chain *chain, struct sampling_chain **clone) {
    return sampling_create(chain->memory, &chain->options, chain->n_vocab, clone);
}

void sampling_destroy(struct sampling_chain *chain) {
    if (!chain) return;
    memory_give(chain->memory, chain->biases);
    memory_give(chain->memory, chain->logits);
    memory_give(chain->memory, chain->ids);
    memory_give(chain->memory, chain->ranks);
    memory_give(chain->memory, chain->counts);
    memory_give(chain->memory, chain->chunk_weight);
    memory_give(chain->memory, chain);
}

const transformer_sampler_options *sampling_options(const struct sampling_chain *chain) {
    return &chain->options;
}

int64_t sampling_n_vocab(const struct sampling_chain *chain) {
    return chain->n_vocab;
}

bool sampling_has_filters_only(const struct sampling_chain *chain,
                               struct sampling_filters *filters) {
    const transformer_sampler_options *options = &chain->options;
    *filters = (struct sampling_filters){.seed = options->seed,
                                         .temperature = options->temperature,
                                         .top_k = cuts_top_k(chain) ? options->top_k : 0,
                                         .top_p = cuts_top_p(chain) ? options->top_p : 0,
                                         .min_p = options->min_p};
    return !adjust_is_needed(options);
}

/* One of them is. */
static int32_t first_of(const float *logits, float value) {
    int32_t token = 0;
    while (logits[token] != value) token++;
    return token;
}

static int32_t choose(struct sampling_chain *chain, const float *logits, const int32_t *history,
                      int64_t n_history, float uniform) {
    const transformer_sampler_options *options = &chain->options;
    if (adjust_is_needed(options)) {
        adjust_logits(chain, logits, history, n_history);
        logits = chain->logits;
    }
    float max = weight_max(logits, (size_t)chain->n_vocab);
    if (max == -INFINITY) return 0;
    if (options->temperature == 0) return first_of(logits, max);

    struct candidates candidates = {
        .logits = logits,
        .n = (size_t)chain->n_vocab,
        .scale = {.max = max, .inverse_temperature = 1.0f / options->temperature},
    };
    if (cuts_top_k(chain)) filter_top_k(chain, &candidates, (size_t)options->top_k);
    if (cuts_top_p(chain)) filter_top_p(chain, &candidates, options->top_p);
    return draw_token(chain, &candidates, options->min_p, uniform);
}

int32_t sampling_choose(struct sampling_chain *chain, const float *logits, const int32_t *history,
                        int64_t n_history, uint64_t stream, uint64_t position) {
    fenv_t saved;
    float_environment_enter(&saved);
    float uniform = sampling_uniform(chain->options.seed, stream, position);
    int32_t token = choose(chain, logits, history, n_history, uniform);
    float_environment_leave(&saved);
    return token;
}

uint32_t sampling_random(uint64_t seed, uint64_t stream, uint64_t position) {
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)stream,
                                 (uint32_t)(stream >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t random[4];
    philox_4x32_10(counter, key, random);
    return random[0];
}

float sampling_uniform(uint64_t seed, uint64_t stream, uint64_t position) {
    return (float)(sampling_random(seed, stream, position) >> 8) * 0x1p-24f;
}
