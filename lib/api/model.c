#include "engine/model.h"

#include <string.h>

#include "api/options.h"
#include "base/float_environment.h"
#include "base/text_format.h"
#include "engine/context.h"

static status check_options(const transformer_model_options *options) {
    const transformer_reader *reader = options->reader;
    const transformer_allocator *allocator = options->allocator;
    if (!options->path && !options->data)
        return fail(INVALID_ARGUMENT, "path and data are both NULL");
    if (options->data && reader) return fail(INVALID_ARGUMENT, "data and reader are both given");
    if (options->data_size > PTRDIFF_MAX || (!options->data && options->data_size))
        return fail(INVALID_ARGUMENT, "data_size is %" PRIu64 ", which data doesn't have",
                    options->data_size);
    if (reader && (!reader->size || !reader->read))
        return fail(INVALID_ARGUMENT, "reader: size or read is NULL");
    if (allocator && (!allocator->allocate || !allocator->release))
        return fail(INVALID_ARGUMENT, "allocator: allocate or release is NULL");
    if (options->load_mode > TRANSFORMER_LOAD_READ)
        return fail(UNSUPPORTED, "load_mode %" PRIu32 " is not known", options->load_mode);
    TRY(options_check_mode("copy", options->copy));
    return options_check_mode("cpu_amx", options->cpu_amx);
}

transformer_status transformer_model_open(const transformer_model_options *options,
                                          transformer_model **opened) {
    transformer_model_options ours;
    TRY(options_require("model", opened));
    TRY(OPTIONS_READ(model_options, options, &ours));
    TRY(check_options(&ours));
    fenv_t host;
    float_environment_enter(&host);
    status result = model_open(&ours, opened);
    float_environment_leave(&host);
    return result;
}

transformer_status transformer_model_estimate(const transformer_model_options *model_options,
                                              const transformer_context_options *context_options,
                                              transformer_memory_estimate *estimate) {
    transformer_model_options ours;
    transformer_context_options context;
    transformer_memory_estimate result = {0};
    transformer_model *model;
    TRY(OPTIONS_CHECK_OUTPUT(memory_estimate, estimate));
    TRY(OPTIONS_READ(model_options, model_options, &ours));
    TRY(OPTIONS_READ(context_options, context_options, &context));
    TRY(check_options(&ours));
    fenv_t host;
    float_environment_enter(&host);
    status measured = model_measure(&ours, &result, &model);
    if (measured == OK) {
        measured = context_measure(model, &context, &result);
        model_release(model);
    }
    float_environment_leave(&host);
    TRY(measured);
    options_write(estimate, &result, sizeof result);
    return OK;
}

transformer_model *transformer_model_retain(transformer_model *model) {
    if (model) model_retain(model);
    return model;
}

void transformer_model_close(transformer_model *model) {
    model_release(model);
}

transformer_status transformer_model_info(const transformer_model *model,
                                          transformer_model_details *details) {
    TRY(options_require("model", model));
    TRY(OPTIONS_CHECK_OUTPUT(model_details, details));
    const struct spec *spec = model->spec;
    const struct attention_spec *attention = &spec->layers[0].attention;
    size_t n_end = 0;
    const int32_t *end = model->tokenizer ? tokenizer_end_tokens(model->tokenizer, &n_end) : NULL;
    transformer_model_details ours = {
        .format = checkpoint_format(model->checkpoint),
        .architecture = spec->architecture,
        .name = model->name,
        .weight_types = model->weight_types,
        .end_tokens = end,
        .n_end_tokens = (int64_t)n_end,
        .n_vocab = spec->n_vocab,
        .n_embd = spec->n_embd,
        .n_layers = spec->n_layers,
        .n_heads = attention->n_heads,
        .n_kv_heads = attention->n_kv_heads,
        .head_dim = attention->head_dim,
        .context_length = spec->context_length,
        .n_parameters = model->n_parameters,
        .file_bytes = checkpoint_file_bytes(model->checkpoint),
        .weight_bytes = model->weight_bytes,
        .weight_bytes_per_token = model->weight_bytes_per_token,
        .host_bytes = atomic_load(&model->memory.bytes),
        .has_tokenizer = model->tokenizer != NULL,
        .device = model->device_number,
        .n_token_types = spec->token_types.tensor ? spec->token_types.tensor->dims[1] : 1,
        .has_logits = spec->head.weight.tensor != NULL,
    };
    options_write(details, &ours, sizeof ours);
    return OK;
}

/* A number or bool as text; an array as its number of elements. */
static status describe_value(const struct checkpoint *file, const char *key,
                             const struct metadata *value, char *text, size_t size) {
    bool found, flag;
    int64_t integer = 0;
    float number = 0;
    switch (value->kind) {
    case METADATA_ARRAY:
        text_format(text, size, "%" PRIu64, value->count);
        return OK;
    case METADATA_BOOL:
        TRY(checkpoint_read_bool(file, key, &found, &flag));
        text_format(text, size, "%s", flag ? "true" : "false");
        return OK;
    case METADATA_F32:
    case METADATA_F64:
        TRY(checkpoint_read_f32(file, key, &found, &number));
        text_format(text, size, "%.9g", (double)number);
        for (char *c = text; *c; c++)
            if (*c == ',') *c = '.'; /* the host's locale may have another point */
        return OK;
    default:
        if (checkpoint_read_i64(file, key, &found, &integer) != OK) /* a U64 over 2^63 */
            return fail(UNSUPPORTED, "metadata '%s' is no number that fits 63 bits", key);
        text_format(text, size, "%" PRId64, integer);
        return OK;
    }
}

transformer_status transformer_model_metadata(const transformer_model *model, const char *key,
                                              char *buffer, int64_t capacity, int64_t *length) {
    char number[64];
    TRY(options_require("model", model));
    TRY(options_require("key", key));
    TRY(options_require("length", length));
    if (capacity < 0 || (!buffer && capacity))
        return fail(INVALID_ARGUMENT, "buffer is NULL or capacity negative");
    const struct metadata *value = checkpoint_metadata(model->checkpoint, key);
    if (!value) return fail(NOT_FOUND, "the file has no metadata '%s'", key);
    struct text text = {number, 0};
    if (value->kind == METADATA_STRING) {
        bool found;
        TRY(checkpoint_read_text(model->checkpoint, key, &found, &text));
    } else {
        fenv_t host; /* printf rounds as the environment says */
        float_environment_enter(&host);
        status described = describe_value(model->checkpoint, key, value, number, sizeof number);
        float_environment_leave(&host);
        TRY(described);
        text.length = strlen(number);
    }
    *length = (int64_t)text.length;
    if (!buffer) return OK;
    if (*length > capacity)
        return fail(BUFFER_TOO_SMALL, "metadata '%s' has %zu bytes, the buffer %" PRId64, key,
                    text.length, capacity);
    memcpy(buffer, text.data, text.length);
    return OK;
}
