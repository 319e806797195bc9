/* Sizes that differ between layers: heads of those with a window and of those without, FFNs of
 * those that share an earlier one's keys. In releases of transformers since 5.20 per_layer_config
 * has what differs ("5": {"head_dim": 512}), in published files global_head_dim and
 * num_global_key_value_heads. */
#include <string.h>

#include "format/hf.h"

struct sizes {
    int64_t head_dim[HF_MOST_LAYERS], n_kv_heads[HF_MOST_LAYERS];
};

/* From 1 to 2^20, fallback 0: required. */
static status read_size(const struct hf *hf, const char *name, int64_t fallback, int64_t *size) {
    bool found = false;
    *size = fallback;
    TRY(hf_config_integer(&hf->config, name, fallback ? &found : NULL, size));
    if (*size >= 1 && *size <= 1 << 20) return OK;
    return fail(FORMAT, "%s: key '%s%s' is out of its range", hf->config.file, hf->config.prefix,
                name);
}

static status fail_override(const struct hf *hf, const struct json_value *key) {
    return fail(UNSUPPORTED,
                "%s: key '%sper_layer_config' has a member '%.*s' that is not supported",
                hf->config.file, hf->config.prefix,
                key->text.length < 60 ? (int)key->text.length : 60, key->text.data);
}

/* {"head_dim": 512, …} of a layer. */
static status read_layer(const struct hf *hf, struct json *json, int64_t layer,
                         struct sizes *sizes) {
    struct json_value key, value;
    bool first = true, more;
    for (;;) {
        int64_t *size;
        TRY(json_member(json, &first, &more, &key));
        first = false;
        if (!more) return OK;
        TRY(json_read(json, &value));
        if (json_is(&key, "head_dim"))
            size = &sizes->head_dim[layer];
        else if (json_is(&key, "num_key_value_heads"))
            size = &sizes->n_kv_heads[layer];
        else
            return fail_override(hf, &key);
        if (!json_to_i64(&value, size) || *size < 1 || *size > 1 << 20)
            return fail_override(hf, &key);
    }
}

static status read_overrides(const struct hf *hf, const struct json_value *object,
                             struct sizes *sizes) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)object->text.data,
                        .size = object->text.length};
    struct json_value key, value;
    bool first = true, more;
    if (object->kind != JSON_OBJECT)
        return hf_config_refuse(&hf->config, "per_layer_config", object);
    TRY(json_read(&json, &value));
    for (;;) {
        int64_t layer = 0;
        TRY(json_member(&json, &first, &more, &key));
        first = false;
        if (!more) return OK;
        TRY(json_read(&json, &value));
        for (size_t i = 0; i < key.text.length && layer < hf->n_layers; i++)
            layer = key.text.data[i] >= '0' && key.text.data[i] <= '9'
                        ? 10 * layer + (key.text.data[i] - '0')
                        : hf->n_layers;
        if (key.text.length == 0 || layer >= hf->n_layers || value.kind != JSON_OBJECT)
            return fail_override(hf, &key);
        TRY(read_layer(hf, &json, layer, sizes));
    }
}

static status read_sizes(const struct hf *hf, struct sizes *sizes) {
    int64_t head_dim, n_kv_heads, global_dim = 0, global_heads = 0;
    const struct json_value *overrides = hf_config_value(&hf->config, "per_layer_config");
    TRY(read_size(hf, "head_dim", 256, &head_dim));
    TRY(read_size(hf, "num_key_value_heads", 4, &n_kv_heads));
    TRY(read_size(hf, "global_head_dim", 512, &global_dim));
    TRY(read_size(hf, "num_global_key_value_heads", n_kv_heads, &global_heads));
    bool global = !overrides, of_heads = global && hf_flag(hf, "attention_k_eq_v");
    for (int64_t i = 0; i < hf->n_layers; i++) {
        sizes->head_dim[i] = global && !hf->slides[i] ? global_dim : head_dim;
        sizes->n_kv_heads[i] = of_heads && !hf->slides[i] ? global_heads : n_kv_heads;
    }
    return overrides ? read_overrides(hf, overrides, sizes) : OK;
}

/* One size for all layers that slide, one for all others. */
static status put_head_dims(struct hf *hf, const struct sizes *sizes) {
    int64_t of_kind[2] = {0};
    for (int64_t i = 0; i < hf->n_layers; i++) {
        int64_t *size = &of_kind[hf->slides[i]];
        if (*size && *size != sizes->head_dim[i])
            return fail(UNSUPPORTED,
                        "%s: key '%sper_layer_config' gives layers of one type different head_dims",
                        hf->config.file, hf->config.prefix);
        *size = sizes->head_dim[i];
    }
    TRY(hf_metadata_integer(hf, "attention.key_length", of_kind[0]));
    TRY(hf_metadata_integer(hf, "attention.value_length", of_kind[0]));
    TRY(hf_metadata_integer(hf, "rope.dimension_count", of_kind[0]));
    if (!of_kind[1]) return OK;
    TRY(hf_metadata_integer(hf, "attention.key_length_swa", of_kind[1]));
    TRY(hf_metadata_integer(hf, "attention.value_length_swa", of_kind[1]));
    return hf_metadata_integer(hf, "rope.dimension_count_swa", of_kind[1]);
}

/* use_double_wide_mlp: of layers that share keys. */
static status put_ffns(struct hf *hf) {
    int64_t width, n_sharing = 0, widths[HF_MOST_LAYERS];
    bool found;
    TRY(read_size(hf, "intermediate_size", 9216, &width));
    TRY(hf_config_integer(&hf->config, "num_kv_shared_layers", &found, &n_sharing));
    if (n_sharing < 0 || n_sharing >= hf->n_layers)
        return fail(FORMAT, "%s: key '%snum_kv_shared_layers' is out of its range", hf->config.file,
                    hf->config.prefix);
    if (n_sharing) TRY(hf_metadata_integer(hf, "attention.shared_kv_layers", n_sharing));
    if (!n_sharing || !hf_flag(hf, "use_double_wide_mlp"))
        return hf_metadata_integer(hf, "feed_forward_length", width);
    for (int64_t i = 0; i < hf->n_layers; i++)
        widths[i] = i < hf->n_layers - n_sharing ? width : 2 * width;
    return hf_metadata_integers(hf, "feed_forward_length", widths, hf->n_layers);
}

status hf_layer_sizes_make(struct hf *hf) {
    struct sizes sizes;
    if (hf->n_layers > HF_MOST_LAYERS)
        return fail(LIMIT, "%s: %" PRId64 " layers", hf->config.file, hf->n_layers);
    TRY(read_sizes(hf, &sizes));
    TRY(put_head_dims(hf, &sizes));
    TRY(hf_metadata_integers(hf, "attention.head_count_kv", sizes.n_kv_heads, hf->n_layers));
    return put_ffns(hf);
}
