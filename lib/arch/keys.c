#include "arch/keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct key {
    char text[160];
};

static struct key key_of(const struct keys *keys, const char *suffix) {
    struct key key;
    snprintf(key.text, sizeof key.text, "%s.%s", keys->prefix, suffix);
    return key;
}

static status check_i64(const struct keys *keys, const char *key, int64_t value, int64_t least,
                        int64_t most) {
    if (value >= least && value <= most) return OK;
    return fail(FORMAT, "%s: '%s' is %" PRId64 ", must be %" PRId64 " to %" PRId64,
                checkpoint_name(keys->file), key, value, least, most);
}

static status check_f32(const struct keys *keys, const char *key, float value, float least,
                        float most) {
    if (isfinite(value) && value >= least && value <= most) return OK;
    return fail(FORMAT, "%s: '%s' is out of its range", checkpoint_name(keys->file), key);
}

/* found: as in checkpoint.h, NULL where the key must be there. */
static status read_i64(const struct keys *keys, const char *suffix, bool *found, int64_t least,
                       int64_t most, int64_t *value) {
    struct key key = key_of(keys, suffix);
    int64_t read = 0;
    TRY(checkpoint_read_i64(keys->file, key.text, found, &read));
    if (found && !*found) return OK;
    TRY(check_i64(keys, key.text, read, least, most));
    *value = read;
    return OK;
}

status keys_i64(const struct keys *keys, const char *suffix, int64_t least, int64_t most,
                int64_t *value) {
    return read_i64(keys, suffix, NULL, least, most, value);
}

status keys_i64_or(const struct keys *keys, const char *suffix, int64_t least, int64_t most,
                   int64_t *value) {
    bool found = false;
    return read_i64(keys, suffix, &found, least, most, value);
}

status keys_i64_of_layer(const struct keys *keys, const char *suffix, int64_t layer, int64_t least,
                         int64_t most, int64_t *value) {
    struct key key = key_of(keys, suffix);
    const struct metadata *entry = checkpoint_metadata(keys->file, key.text);
    if (!entry || entry->kind != METADATA_ARRAY)
        return keys_i64_or(keys, suffix, least, most, value);
    if ((uint64_t)layer >= entry->count)
        return fail(FORMAT, "%s: '%s' has %" PRIu64 " elements, layer %" PRId64 " needs one too",
                    checkpoint_name(keys->file), key.text, entry->count, layer);
    int64_t read = 0;
    TRY(checkpoint_array_i64(keys->file, entry, (uint64_t)layer, &read));
    TRY(check_i64(keys, key.text, read, least, most));
    *value = read;
    return OK;
}

static status read_f32(const struct keys *keys, const char *suffix, bool *found, float least,
                       float most, float *value) {
    struct key key = key_of(keys, suffix);
    float read = 0;
    TRY(checkpoint_read_f32(keys->file, key.text, found, &read));
    if (found && !*found) return OK;
    TRY(check_f32(keys, key.text, read, least, most));
    *value = read;
    return OK;
}

status keys_f32(const struct keys *keys, const char *suffix, float least, float most,
                float *value) {
    return read_f32(keys, suffix, NULL, least, most, value);
}

status keys_f32_or(const struct keys *keys, const char *suffix, float least, float most,
                   float *value) {
    bool found = false;
    return read_f32(keys, suffix, &found, least, most, value);
}

status keys_bool_or(const struct keys *keys, const char *suffix, bool *value) {
    struct key key = key_of(keys, suffix);
    bool found = false, read = false;
    TRY(checkpoint_read_bool(keys->file, key.text, &found, &read));
    if (found) *value = read;
    return OK;
}

status keys_text_or(const struct keys *keys, const char *suffix, struct text *value) {
    struct key key = key_of(keys, suffix);
    bool found = false;
    return checkpoint_read_text(keys->file, key.text, &found, value);
}

status keys_must_be(const struct keys *keys, const char *suffix, float neutral) {
    struct key key = key_of(keys, suffix);
    const struct metadata *entry = checkpoint_metadata(keys->file, key.text);
    if (!entry) return OK;
    float read = neutral;
    bool found = false;
    if (entry->kind == METADATA_BOOL) {
        bool flag = false;
        TRY(checkpoint_read_bool(keys->file, key.text, &found, &flag));
        read = flag ? 1.0f : 0.0f;
    } else if (entry->kind != METADATA_ARRAY && entry->kind != METADATA_STRING) {
        TRY(checkpoint_read_f32(keys->file, key.text, &found, &read));
    } else {
        read = NAN;
    }
    if (read == neutral) return OK;
    return fail(UNSUPPORTED, "%s: '%s' is set, which this family's reader does not support",
                checkpoint_name(keys->file), key.text);
}

bool keys_is_array(const struct keys *keys, const char *suffix) {
    struct key key = key_of(keys, suffix);
    const struct metadata *entry = checkpoint_metadata(keys->file, key.text);
    return entry && entry->kind == METADATA_ARRAY;
}

status keys_activation(const struct keys *keys, const char *suffix, struct text name, bool gated,
                       enum activation *activation) {
    static const struct {
        const char *name;
        enum activation activation;
    } known[] = {{"relu", ACTIVATION_RELU},
                 {"gelu", ACTIVATION_GELU},
                 {"gelu_python", ACTIVATION_GELU},
                 {"gelu_new", ACTIVATION_GELU_TANH},
                 {"gelu_fast", ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
                 {"silu", ACTIVATION_SILU},
                 {"swish", ACTIVATION_SILU}};
    static const char begin[] = "gated-";
    size_t n = sizeof begin - 1;
    struct text rest = name;
    bool says_gated = name.length > n && memcmp(name.data, begin, n) == 0;
    if (says_gated) rest = (struct text){name.data + n, name.length - n};
    for (size_t i = 0; i < sizeof known / sizeof *known && (gated || !says_gated); i++)
        if (keys_text_is(rest, known[i].name)) {
            *activation = known[i].activation;
            if (says_gated && known[i].activation == ACTIVATION_GELU) /* T5 1.1 */
                *activation = ACTIVATION_GELU_TANH;
            return OK;
        }
    return fail(UNSUPPORTED, "%s: '%s.%s' is '%.*s'%s", checkpoint_name(keys->file), keys->prefix,
                suffix, name.length < 60 ? (int)name.length : 60, name.data,
                gated ? "" : " without a gate");
}

bool keys_text_is(struct text text, const char *other) {
    return text.length == strlen(other) && memcmp(text.data, other, text.length) == 0;
}
