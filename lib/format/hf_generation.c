/* What a folder says of generation: the tokens that end one, of generation_config.json and of the
 * config, and the sampling that its makers use, under the keys that GGUF files have it. */
#include <math.h>
#include <string.h>

#include "format/hf.h"

#define GENERATION_MAX_BYTES ((uint64_t)16 << 20)
enum { MOST_ENDS = 32 };

struct ends {
    int64_t ids[MOST_ENDS];
    size_t n;
};

static void add_end(struct ends *ends, const struct json_value *value) {
    int64_t id;
    if (!json_to_i64(value, &id) || id < 0 || id > INT32_MAX) return;
    for (size_t i = 0; i < ends->n; i++)
        if (ends->ids[i] == id) return;
    if (ends->n < MOST_ENDS) ends->ids[ends->n++] = id;
}

/* One token or several. */
static status add_ends(struct ends *ends, const struct json *json, const struct json_value *list) {
    struct json_value value;
    bool first = true, more;
    add_end(ends, list);
    if (list->kind != JSON_ARRAY) return OK;
    struct json inside = json_inside(json, list);
    TRY(json_read(&inside, &value));
    for (;;) {
        TRY(json_element(&inside, &first, &more));
        if (!more) return OK;
        TRY(json_read(&inside, &value));
        TRY(json_skip(&inside, &value));
        add_end(ends, &value);
    }
}

enum { EOS, SAMPLES, TEMPERATURE, TOP_K, TOP_P, MIN_P, PENALTY, N_FIELDS };

/* Only of models that sample: others' numbers are not used. */
static status put_sampling(struct hf *hf, const struct json_field *fields) {
    static const struct {
        int field;
        const char *key;
    } numbers[] = {{TEMPERATURE, "general.sampling.temp"},
                   {TOP_P, "general.sampling.top_p"},
                   {MIN_P, "general.sampling.min_p"},
                   {PENALTY, "general.sampling.penalty_repeat"}};
    int64_t top_k;
    if (!fields[SAMPLES].found || fields[SAMPLES].value.kind != JSON_TRUE) return OK;
    if (fields[TOP_K].found && json_to_i64(&fields[TOP_K].value, &top_k) && top_k >= 0 &&
        top_k <= INT32_MAX)
        TRY(hf_metadata_put_i64(hf, "general.sampling.top_k", top_k));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct json_field *field = &fields[numbers[i].field];
        double value;
        if (field->found && json_to_double(&field->value, &value) && isfinite((float)value))
            TRY(hf_metadata_put_f32(hf, numbers[i].key, (float)value));
    }
    return OK;
}

static status read_file(struct hf *hf, struct ends *ends, const void *bytes, size_t size) {
    static const char name[] = "generation_config.json";
    struct json json = {.file = name, .bytes = bytes, .size = size};
    struct json_field fields[N_FIELDS] = {[EOS] = {.name = "eos_token_id"},
                                          [SAMPLES] = {.name = "do_sample"},
                                          [TEMPERATURE] = {.name = "temperature"},
                                          [TOP_K] = {.name = "top_k"},
                                          [TOP_P] = {.name = "top_p"},
                                          [MIN_P] = {.name = "min_p"},
                                          [PENALTY] = {.name = "repetition_penalty"}};
    struct json_value value;
    TRY(json_read(&json, &value));
    if (value.kind != JSON_OBJECT) return fail(FORMAT, "%s: is no JSON object", name);
    TRY(json_fields(&json, fields, N_FIELDS, NULL));
    TRY(json_end(&json));
    if (fields[EOS].found) TRY(add_ends(ends, &json, &fields[EOS].value));
    return put_sampling(hf, fields);
}

/* Of a config with a part for text both may say it. */
static status add_ends_of_config(const struct hf_config *config, struct ends *ends) {
    struct hf_config outer = *config;
    outer.prefix = "";
    const struct hf_config *const places[] = {config, &outer};
    for (size_t i = 0; i < 2; i++) {
        const struct json_value *value = hf_config_value(places[i], "eos_token_id");
        if (!value) continue;
        const struct json json = {
            .file = config->file, .bytes = (const uint8_t *)value->text.data, .size = 0};
        TRY(add_ends(ends, &json, value));
    }
    return OK;
}

status hf_generation_make(struct hf *hf) {
    struct ends ends = {.n = 0};
    void *bytes = NULL;
    size_t size;
    bool found;
    TRY(hf_find_file(hf, "generation_config.json", GENERATION_MAX_BYTES, &found, &bytes, &size));
    if (found) {
        status result = read_file(hf, &ends, bytes, size);
        memory_give(hf->memory, bytes);
        TRY(result);
    }
    TRY(add_ends_of_config(&hf->config, &ends));
    if (ends.n == 0) return OK;
    return hf_metadata_array(hf, "tokenizer.end_tokens", METADATA_I64, ends.n, ends.ids,
                             ends.n * sizeof *ends.ids);
}
