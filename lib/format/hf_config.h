/* config.json of a Hugging Face folder as a flat list: the members that say what rope does, and
 * those of text_config, are there under dotted names ("rope_scaling.factor"). */
#ifndef FORMAT_HF_CONFIG_H
#define FORMAT_HF_CONFIG_H

#include "base/arena.h"
#include "format/json.h"

#define HF_CONFIG_MAX_BYTES ((uint64_t)4 << 20)

struct hf_member {
    struct text name;
    struct json_value value;
};

struct hf_config {
    const char *file;   /* for messages */
    const char *prefix; /* of the names that are looked for: "" or "text_config." */
    struct hf_member *items;
    size_t count, capacity;
};

/* bytes must outlive the config; its memory is the arena's. */
status hf_config_parse(struct hf_config *config, struct arena *arena, const char *file,
                       const void *bytes, size_t size);
/* NULL: no such member. */
const struct json_value *hf_config_find(const struct hf_config *config, const char *name);
/* The same, and NULL for null. */
const struct json_value *hf_config_value(const struct hf_config *config, const char *name);
/* As a number; *number keeps its default where the member is missing or null; *found (may be NULL:
 * then it must be there) tells. FORMAT  it isn't one. */
status hf_config_number(const struct hf_config *config, const char *name, bool *found,
                        double *number);
status hf_config_integer(const struct hf_config *config, const char *name, bool *found,
                         int64_t *number);
/* UNSUPPORTED, naming the member and showing its value. */
status hf_config_refuse(const struct hf_config *config, const char *name,
                        const struct json_value *value);

#endif
