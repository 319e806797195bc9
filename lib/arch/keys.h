/* Hyperparameters: numbers under a family's key prefix, each with the range it may have. */
#ifndef ARCH_KEYS_H
#define ARCH_KEYS_H

#include "arch/spec.h"

struct keys {
    const struct checkpoint *file;
    const char *prefix; /* "llama": keys are "llama.block_count" … */
    unsigned switches;  /* of family.h: those that the family reads itself */
};

/* Required. FORMAT names key and range. */
status keys_i64(const struct keys *keys, const char *suffix, int64_t least, int64_t most,
                int64_t *value);
/* Optional: *value keeps its default when the key is missing. */
status keys_i64_or(const struct keys *keys, const char *suffix, int64_t least, int64_t most,
                   int64_t *value);
/* Like keys_i64_or, for a number that may be one for all layers or an array with one for each. */
status keys_i64_of_layer(const struct keys *keys, const char *suffix, int64_t layer, int64_t least,
                         int64_t most, int64_t *value);
status keys_f32(const struct keys *keys, const char *suffix, float least, float most, float *value);
status keys_f32_or(const struct keys *keys, const char *suffix, float least, float most,
                   float *value);
status keys_bool_or(const struct keys *keys, const char *suffix, bool *value);
status keys_text_or(const struct keys *keys, const char *suffix, struct text *value);
/* UNSUPPORTED, naming the key, if it is there with another value than this neutral one. */
status keys_must_be(const struct keys *keys, const char *suffix, float neutral);
/* An activation by Hugging Face's name for it, which stands in `suffix`; "gated-NAME" as T5 has it.
 * UNSUPPORTED. */
status keys_activation(const struct keys *keys, const char *suffix, struct text name, bool gated,
                       enum activation *activation);

/* Whether the key is there with an array. */
bool keys_is_array(const struct keys *keys, const char *suffix);

bool keys_text_is(struct text text, const char *other);

#endif
