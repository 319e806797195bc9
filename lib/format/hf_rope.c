/* rope_scaling and rope_theta of older releases, rope_parameters of those since 5.0, which also has
 * the base, and may have one for each kind of layer. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/hf.h"

struct rope {
    struct hf *hf;
    const char *where; /* the object with the scaling; NULL: none */
};

struct name {
    char text[160];
};

static struct name name_of(const struct rope *rope, const char *member) {
    struct name name;
    snprintf(name.text, sizeof name.text, "%s.%s", rope->where, member);
    return name;
}

static const struct json_value *find(const struct rope *rope, const char *member) {
    return rope->where ? hf_config_value(&rope->hf->config, name_of(rope, member).text) : NULL;
}

/* Missing: its default, or, where that is NULL, FORMAT. */
static status read_number(const struct rope *rope, const char *member, const double *fallback,
                          double *number) {
    struct name name = name_of(rope, member);
    bool found = false;
    if (fallback) *number = *fallback;
    TRY(hf_config_number(&rope->hf->config, name.text, fallback ? &found : NULL, number));
    if (fabs(*number) < 1e18) return OK;
    return fail(FORMAT, "%s: key '%s' is out of its range", rope->hf->config.file, name.text);
}

/* Members that no scaling is known to have change it in ways not known either. */
static status check_members(const struct rope *rope) {
    static const char *const known[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "attention_factor",
                                        "beta_fast",
                                        "beta_slow",
                                        "mscale",
                                        "mscale_all_dim",
                                        "truncate",
                                        "short_factor",
                                        "long_factor",
                                        "partial_rotary_factor"};
    const struct hf_config *config = &rope->hf->config;
    struct name begin = name_of(rope, "");
    size_t skip = strlen(config->prefix), n = strlen(begin.text);
    for (size_t i = 0; i < config->count; i++) {
        const struct hf_member *member = &config->items[i];
        const char *name = member->name.data;
        if (member->name.length <= skip + n || memcmp(name, config->prefix, skip) != 0 ||
            memcmp(name + skip, begin.text, n) != 0 || member->value.kind == JSON_NULL)
            continue;
        bool ok = rope->hf->family->rope_alpha && strcmp(name + skip + n, "alpha") == 0;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            ok = ok || strcmp(name + skip + n, known[k]) == 0;
        if (!ok) return hf_config_refuse(config, name + skip, &member->value);
    }
    return OK;
}

/* original_max_position_embeddings, beside the object first, max_position_embeddings last. */
static status read_original(const struct rope *rope, double *original) {
    static const char *const name = "original_max_position_embeddings";
    struct hf *hf = rope->hf;
    bool found;
    *original = (double)hf_metadata_i64(hf, "context_length", 0);
    TRY(read_number(rope, name, original, original));
    TRY(hf_config_number(&hf->config, name, &found, original));
    *original = (double)hf_metadata_i64(hf, "rope.scaling.original_context_length",
                                        (int64_t)*original); /* a class that has a default */
    if (*original >= 1 && *original <= 1e9) return OK;
    return fail(FORMAT, "%s: key '%s' is out of its range", hf->config.file, name);
}

/* Missing: what the contexts say. */
static status read_factor(const struct rope *rope, double original, double *factor) {
    *factor = (double)hf_metadata_i64(rope->hf, "context_length", 0) / original;
    TRY(read_number(rope, "factor", factor, factor));
    if (*factor > 0) return OK;
    return fail(FORMAT, "%s: key '%s' is not above 0", rope->hf->config.file,
                name_of(rope, "factor").text);
}

/* ---- the scalings ---- */

static status make_linear(const struct rope *rope) {
    double factor;
    TRY(read_number(rope, "factor", NULL, &factor));
    TRY(hf_metadata_text(rope->hf, "rope.scaling.type", "linear"));
    return hf_metadata_f32(rope->hf, "rope.scaling.factor", (float)factor);
}

/* The base grows with the longest sequence (program/rope.c). */
static status make_dynamic(const struct rope *rope) {
    double factor;
    TRY(read_number(rope, "factor", NULL, &factor));
    TRY(hf_metadata_text(rope->hf, "rope.scaling.type", "dynamic"));
    return hf_metadata_f32(rope->hf, "rope.scaling.factor", (float)factor);
}

static double yarn_magnitude(double factor, double by) {
    return factor <= 1.0 ? 1.0 : 0.1 * by * log(factor) + 1.0;
}

/* arXiv:2309.00071; the reader multiplies attn_factor by equation 22's factor. */
static status make_yarn(const struct rope *rope) {
    struct hf *hf = rope->hf;
    static const double zero = 0.0, fast = 32.0, slow = 1.0;
    double factor, original, attention, mscale, mscale_all, beta_fast, beta_slow;
    /* transformers reads this one beside the objects of the kinds of layers, not in them, nor in
     * the rope_scaling of older files that it makes one of them */
    bool of_kind = hf->family->rope_theta_local > 0;
    struct rope beside = {hf, of_kind ? "rope_parameters" : rope->where};
    const struct json_value *truncate = find(&beside, "truncate");
    if (truncate && truncate->kind != JSON_TRUE && truncate->kind != JSON_FALSE)
        return hf_config_refuse(&hf->config, name_of(&beside, "truncate").text, truncate);
    TRY(read_original(rope, &original));
    TRY(read_factor(rope, original, &factor));
    TRY(read_number(rope, "attention_factor", &zero, &attention));
    TRY(read_number(rope, "mscale", &zero, &mscale));
    TRY(read_number(rope, "mscale_all_dim", &zero, &mscale_all));
    TRY(read_number(rope, "beta_fast", &fast, &beta_fast));
    TRY(read_number(rope, "beta_slow", &slow, &beta_slow));
    if (beta_fast == 0.0) beta_fast = fast; /* transformers: 0 is as if it weren't there */
    if (beta_slow == 0.0) beta_slow = slow;
    if (!find(rope, "attention_factor")) {
        attention = yarn_magnitude(factor, 1.0);
        if (mscale != 0.0 && mscale_all != 0.0)
            attention = yarn_magnitude(factor, mscale) / yarn_magnitude(factor, mscale_all);
    }
    TRY(hf_metadata_text(hf, "rope.scaling.type", "yarn"));
    TRY(hf_metadata_f32(hf, "rope.scaling.factor", (float)factor));
    TRY(hf_metadata_f32(hf, "rope.scaling.original_context_length", (float)original));
    /* The reader multiplies by equation 22's factor, unless the scores have one of their own. */
    bool of_scores = hf->family->scales_scores && mscale_all != 0.0;
    TRY(hf_metadata_f32(hf, "rope.scaling.attn_factor",
                        (float)(of_scores ? attention : attention / yarn_magnitude(factor, 1.0))));
    TRY(hf_metadata_f32(hf, "rope.scaling.yarn_beta_fast", (float)beta_fast));
    TRY(hf_metadata_f32(hf, "rope.scaling.yarn_beta_slow", (float)beta_slow));
    return hf_metadata_bool(hf, "rope.scaling.yarn_truncate",
                            !truncate || truncate->kind == JSON_TRUE);
}

/* A vector of n_dims / 2 numbers that the frequencies are divided by. */
static status take_factors(const struct rope *rope, int64_t n_dims, const char *name,
                           float **values) {
    struct hf *hf = rope->hf;
    void *block;
    if (n_dims < 2 || n_dims > 8192)
        return fail(FORMAT, "%s: rope has %" PRId64 " dims", hf->config.file, n_dims);
    TRY(arena_take(&hf->arena, (size_t)n_dims / 2 * sizeof(float), "factors of rope", &block));
    *values = block;
    hf->vectors[hf->n_vectors++] = (struct hf_vector){name, block, n_dims / 2};
    return OK;
}

/* What Llama 3.1 divides each frequency by: 1 for wavelengths that the first context holds
 * high_freq_factor times, `factor` for those it doesn't hold low_freq_factor times, a mean of both
 * between. */
static status make_llama3(const struct rope *rope, int64_t n_dims, double theta) {
    struct hf *hf = rope->hf;
    double factor, low, high, original;
    float *factors = NULL;
    TRY(read_number(rope, "factor", NULL, &factor));
    TRY(read_number(rope, "low_freq_factor", NULL, &low));
    TRY(read_number(rope, "high_freq_factor", NULL, &high));
    TRY(read_original(rope, &original));
    if (factor <= 0 || low <= 0 || high <= low)
        return fail(FORMAT, "%s: key '%s' has factors that don't fit each other", hf->config.file,
                    rope->where);
    TRY(take_factors(rope, n_dims, "rope_freqs.weight", &factors));
    for (int64_t i = 0; i < n_dims / 2; i++) {
        double frequency = pow(theta, -2.0 * (double)i / (double)n_dims);
        double turns = original * frequency / 6.283185307179586476925;
        double kept = fmin(fmax((turns - low) / (high - low), 0.0), 1.0);
        factors[i] = (float)(1.0 / ((1.0 - kept) / factor + kept));
    }
    return OK;
}

/* An array of n_dims / 2 numbers above 0. */
static status read_factors(const struct rope *rope, int64_t n_dims, const char *member,
                           const char *name) {
    struct hf *hf = rope->hf;
    const struct json_value *value = find(rope, member);
    struct json_value part;
    bool first = true, more;
    float *factors = NULL;
    int64_t n = 0;
    TRY(take_factors(rope, n_dims, name, &factors));
    if (value && value->kind == JSON_ARRAY) {
        struct json json = {.file = hf->config.file,
                            .bytes = (const uint8_t *)value->text.data,
                            .size = value->text.length};
        TRY(json_read(&json, &part));
        for (;; n++) {
            double number;
            TRY(json_element(&json, &first, &more));
            if (!more) break;
            TRY(json_read(&json, &part));
            if (!json_to_double(&part, &number) || !(number >= 1e-6 && number <= 1e9)) break;
            if (n < n_dims / 2) factors[n] = (float)number;
        }
        if (!more && n == n_dims / 2) return OK;
    }
    return fail(FORMAT, "%s: key '%s' is no array of %" PRId64 " numbers above 0", hf->config.file,
                name_of(rope, member).text, n_dims / 2);
}

/* arXiv:2402.13753: other frequencies for sequences that are longer than the original context. */
static status make_longrope(const struct rope *rope, int64_t n_dims) {
    struct hf *hf = rope->hf;
    double original, factor, attention = 1.0;
    TRY(read_original(rope, &original));
    TRY(read_factor(rope, original, &factor));
    if (factor > 1.0) attention = sqrt(1.0 + log(factor) / log(original));
    TRY(read_number(rope, "attention_factor", &attention, &attention));
    TRY(read_factors(rope, n_dims, "long_factor", "rope_factors_long.weight"));
    TRY(read_factors(rope, n_dims, "short_factor", "rope_factors_short.weight"));
    TRY(hf_metadata_text(hf, "rope.scaling.type", "longrope"));
    TRY(hf_metadata_f32(hf, "rope.scaling.original_context_length", (float)original));
    return hf_metadata_f32(hf, "rope.scaling.attn_factor", (float)attention);
}

/* All of a head is rotated, the frequencies after the first `partial` of them are 0. */
static status make_proportional(const struct rope *rope, int64_t head_dim, double partial) {
    static const double one = 1.0;
    double factor;
    float *factors = NULL;
    TRY(read_number(rope, "factor", &one, &factor));
    TRY(take_factors(rope, head_dim, "rope_freqs.weight", &factors));
    int64_t turned = (int64_t)(partial * (double)head_dim / 2.0);
    for (int64_t i = 0; i < head_dim / 2; i++) factors[i] = i < turned ? (float)factor : 1e30f;
    return OK;
}

/* partial_rotary_factor, and rope.dimension_count where it is less than 1. */
static status read_partial(const struct rope *rope, int64_t head_dim, bool whole, double *partial,
                           int64_t *n_dims) {
    static const char *const names[] = {"partial_rotary_factor", "rotary_pct"};
    const struct hf_config *config = &rope->hf->config;
    const char *name = "rope.partial_rotary_factor";
    struct name inner = {""};
    *partial = rope->hf->family->partial > 0 ? rope->hf->family->partial : 1.0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found;
        TRY(hf_config_number(config, names[i], &found, partial));
        if (found) name = names[i];
    }
    if (find(rope, "partial_rotary_factor")) {
        inner = name_of(rope, "partial_rotary_factor");
        name = inner.text;
        TRY(read_number(rope, "partial_rotary_factor", NULL, partial));
    }
    *n_dims = head_dim;
    if (whole || *partial == 1.0) return OK;
    *n_dims = (int64_t)((double)head_dim * *partial);
    if (*partial > 0 && *partial < 1 && *n_dims >= 2 && *n_dims % 2 == 0 &&
        rope->hf->family->partial > 0)
        return hf_metadata_integer(rope->hf, "rope.dimension_count", *n_dims);
    return fail(UNSUPPORTED, "%s: key '%s' is %g, which is not supported with heads of %" PRId64,
                config->file, name, *partial, head_dim);
}

/* Whatever the scaling is, mscale_all_dim makes its factor one of the scores. */
static status make_score_scale(const struct rope *rope, const struct json_value *type) {
    static const double zero = 0.0;
    double mscale_all;
    TRY(read_number(rope, "mscale_all_dim", &zero, &mscale_all));
    if (!rope->hf->family->scales_scores || mscale_all == 0.0) return OK;
    if (json_is(type, "yarn") || json_is(type, "linear") || json_is(type, "dynamic"))
        return hf_metadata_f32(rope->hf, "rope.scaling.yarn_log_multiplier",
                               (float)(0.1 * mscale_all));
    return hf_config_refuse(&rope->hf->config, name_of(rope, "mscale_all_dim").text,
                            find(rope, "mscale_all_dim"));
}

/* What "dynamic" with a member alpha makes of the base; *fixed: that is all it does. */
static status stretch_base(const struct rope *rope, int64_t head_dim, double *theta, bool *fixed) {
    const struct json_value *type = find(rope, find(rope, "rope_type") ? "rope_type" : "type");
    double alpha = 0.0;
    *fixed = false;
    if (!rope->hf->family->rope_alpha || !type || !json_is(type, "dynamic")) return OK;
    TRY(read_number(rope, "alpha", &alpha, &alpha));
    if (alpha == 0.0) return OK;
    if (alpha < 0.0 || head_dim < 4)
        return hf_config_refuse(&rope->hf->config, name_of(rope, "alpha").text,
                                find(rope, "alpha"));
    *theta *= pow(alpha, (double)head_dim / (double)(head_dim - 2));
    *fixed = true;
    return OK;
}

static status make_scaling(const struct rope *rope, int64_t head_dim, double theta) {
    const struct hf_config *config = &rope->hf->config;
    if (rope->where) TRY(check_members(rope));
    const char *key = find(rope, "rope_type") ? "rope_type" : "type";
    const struct json_value *type = find(rope, key);
    bool proportional = type && json_is(type, "proportional");
    double partial;
    int64_t n_dims;
    TRY(read_partial(rope, head_dim, proportional, &partial, &n_dims));
    if (!type || json_is(type, "default")) return OK;
    /* by its older name transformers passes it over, in families with a rope for each kind of
     * layers, since it is 5.0 */
    if (rope->hf->family->rope_theta_local > 0 && !find(rope, "rope_type"))
        return hf_config_refuse(config, name_of(rope, key).text, type);
    TRY(make_score_scale(rope, type));
    if (json_is(type, "linear")) return make_linear(rope);
    if (json_is(type, "dynamic")) return make_dynamic(rope);
    /* Phi 3 called longrope so, and "su". */
    if (json_is(type, "longrope") || json_is(type, "su") || find(rope, "short_factor"))
        return make_longrope(rope, n_dims);
    if (json_is(type, "yarn")) return make_yarn(rope);
    if (json_is(type, "llama3")) return make_llama3(rope, n_dims, theta);
    if (proportional) return make_proportional(rope, head_dim, partial);
    return hf_config_refuse(config, name_of(rope, key).text, type);
}

static status read_theta(const struct rope *rope, const char *outer, double fallback,
                         double *theta) {
    bool found = false;
    *theta = fallback;
    TRY(hf_config_number(&rope->hf->config, outer, &found, theta));
    TRY(hf_config_number(&rope->hf->config, "rotary_emb_base", &found, theta));
    if (rope->where) TRY(read_number(rope, "rope_theta", theta, theta));
    if (*theta >= 1.0 && *theta <= 1e12) return OK;
    return fail(FORMAT, "%s: key '%s' is out of its range", rope->hf->config.file, outer);
}

/* Layers that slide: no family's reader scales these. */
static status make_local(struct hf *hf, const char *where) {
    struct rope rope = {hf, where};
    double theta;
    TRY(read_theta(&rope, "rope_local_base_freq", hf->family->rope_theta_local, &theta));
    if (where) TRY(check_members(&rope));
    const struct json_value *type = find(&rope, "rope_type");
    if (type && !json_is(type, "default"))
        return hf_config_refuse(&hf->config, name_of(&rope, "rope_type").text, type);
    const struct json_value *part = find(&rope, "partial_rotary_factor");
    double partial;
    if (part && (!json_to_double(part, &partial) || partial != 1.0))
        return hf_config_refuse(&hf->config, name_of(&rope, "partial_rotary_factor").text, part);
    return hf_metadata_f32(hf, "rope.freq_base_swa", (float)theta);
}

status hf_rope_make(struct hf *hf, int64_t head_dim) {
    const struct hf_config *config = &hf->config;
    const struct json_value *old = hf_config_value(config, "rope_scaling"),
                            *parameters = hf_config_value(config, "rope_parameters");
    struct rope rope = {.hf = hf};
    const char *local = NULL;
    if (old && parameters) return hf_config_refuse(config, "rope_scaling", old);
    if ((old && old->kind != JSON_OBJECT) || (parameters && parameters->kind != JSON_OBJECT))
        return fail(FORMAT, "%s: key '%s' is no object", config->file,
                    old ? "rope_scaling" : "rope_parameters");
    if (!old && !parameters && hf->family->rope_required)
        return fail(UNSUPPORTED, "%s: the key 'rope_parameters' is missing", config->file);
    if (old) rope.where = "rope_scaling";
    if (parameters) rope.where = "rope_parameters";
    if (parameters && hf->family->rope_theta_local > 0) {
        static const char *const full = "rope_parameters.full_attention",
                                 *const sliding = "rope_parameters.sliding_attention";
        if (hf_config_value(config, full)) {
            rope.where = full;
            if (hf_config_value(config, sliding)) local = sliding;
        } else {
            return hf_config_refuse(config, "rope_parameters", parameters);
        }
    }
    double theta;
    bool fixed;
    TRY(read_theta(&rope, "rope_theta", hf->family->rope_theta, &theta));
    TRY(stretch_base(&rope, head_dim, &theta, &fixed));
    TRY(hf_metadata_f32(hf, "rope.freq_base", (float)theta));
    if (fixed) return check_members(&rope);
    if (hf->family->rope_theta_local > 0) TRY(make_local(hf, local));
    return make_scaling(&rope, head_dim, theta);
}
