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
        bool ok = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            ok = ok || strcmp(name + skip + n, known[k]) == 0;
        if (!ok) return hf_config_refuse(config, name + skip, &member->value);
    }
    return OK;
}

/* ---- the scalings ---- */

static status make_linear(const struct rope *rope) {
    double factor;
    TRY(read_number(rope, "factor", NULL, &factor));
    TRY(hf_metadata_text(rope->hf, "rope.scaling.type", "linear"));
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
    const struct json_value *truncate = find(rope, "truncate");
    if (truncate && truncate->kind != JSON_TRUE)
        return hf_config_refuse(&hf->config, name_of(rope, "truncate").text, truncate);
    TRY(read_number(rope, "factor", NULL, &factor));
    TRY(read_number(rope, "original_max_position_embeddings", &zero, &original));
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
    bool found;
    if (original == 0.0)
        TRY(hf_config_number(&hf->config, "original_max_position_embeddings", &found, &original));
    TRY(hf_metadata_text(hf, "rope.scaling.type", "yarn"));
    TRY(hf_metadata_f32(hf, "rope.scaling.factor", (float)factor));
    if (original != 0.0)
        TRY(hf_metadata_f32(hf, "rope.scaling.original_context_length", (float)original));
    TRY(hf_metadata_f32(hf, "rope.scaling.attn_factor",
                        (float)(attention / yarn_magnitude(factor, 1.0))));
    TRY(hf_metadata_f32(hf, "rope.scaling.yarn_beta_fast", (float)beta_fast));
    return hf_metadata_f32(hf, "rope.scaling.yarn_beta_slow", (float)beta_slow);
}

/* What Llama 3.1 divides each frequency by: 1 for wavelengths that the first context holds
 * high_freq_factor times, `factor` for those it doesn't hold low_freq_factor times, a mean of both
 * between. */
static status make_llama3(const struct rope *rope, int64_t head_dim, double theta) {
    struct hf *hf = rope->hf;
    double factor, low, high, original;
    TRY(read_number(rope, "factor", NULL, &factor));
    TRY(read_number(rope, "low_freq_factor", NULL, &low));
    TRY(read_number(rope, "high_freq_factor", NULL, &high));
    TRY(read_number(rope, "original_max_position_embeddings", NULL, &original));
    if (factor <= 0 || low <= 0 || high <= low || original <= 0)
        return fail(FORMAT, "%s: key '%s' has factors that don't fit each other", hf->config.file,
                    rope->where);
    if (head_dim < 2 || head_dim > 8192)
        return fail(FORMAT, "%s: heads of %" PRId64 " dims", hf->config.file, head_dim);
    void *block;
    hf->n_rope_factors = head_dim / 2;
    TRY(arena_take(&hf->arena, (size_t)hf->n_rope_factors * sizeof(float), "factors of rope",
                   &block));
    hf->rope_factors = block;
    for (int64_t i = 0; i < hf->n_rope_factors; i++) {
        double frequency = pow(theta, -2.0 * (double)i / (double)head_dim);
        double turns = original * frequency / 6.283185307179586476925;
        double kept = fmin(fmax((turns - low) / (high - low), 0.0), 1.0);
        hf->rope_factors[i] = (float)(1.0 / ((1.0 - kept) / factor + kept));
    }
    return OK;
}

static status make_scaling(const struct rope *rope, int64_t head_dim, double theta) {
    const struct hf_config *config = &rope->hf->config;
    if (!rope->where) return OK;
    TRY(check_members(rope));
    const char *key = find(rope, "rope_type") ? "rope_type" : "type";
    const struct json_value *type = find(rope, key), *part = find(rope, "partial_rotary_factor");
    double partial;
    if (part && (!json_to_double(part, &partial) || partial != 1.0))
        return hf_config_refuse(config, name_of(rope, "partial_rotary_factor").text, part);
    if (!type || json_is(type, "default")) return OK;
    if (json_is(type, "linear")) return make_linear(rope);
    if (json_is(type, "yarn")) return make_yarn(rope);
    if (json_is(type, "llama3") && rope->hf->family->rope_factors)
        return make_llama3(rope, head_dim, theta);
    return hf_config_refuse(config, name_of(rope, key).text, type);
}

static status read_theta(const struct rope *rope, const char *outer, double fallback,
                         double *theta) {
    bool found = false;
    *theta = fallback;
    TRY(hf_config_number(&rope->hf->config, outer, &found, theta));
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
    if (old) rope.where = "rope_scaling";
    if (parameters) rope.where = "rope_parameters";
    if (parameters && hf->family->rope_theta_local > 0) {
        static const char *const full = "rope_parameters.full_attention",
                                 *const sliding = "rope_parameters.sliding_attention";
        if (hf_config_value(config, full)) {
            rope.where = full;
            if (hf_config_value(config, sliding)) local = sliding;
        }
    }
    double theta;
    TRY(read_theta(&rope, "rope_theta", hf->family->rope_theta, &theta));
    TRY(hf_metadata_f32(hf, "rope.freq_base", (float)theta));
    if (hf->family->rope_theta_local > 0) TRY(make_local(hf, local));
    return make_scaling(&rope, head_dim, theta);
}
