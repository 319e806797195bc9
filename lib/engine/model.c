#include "engine/model.h"

#include <string.h>

#include "base/checked.h"
#include "base/text_format.h"
#include "engine/devices.h"
#include "format/gguf_write.h"
#include "grammar/vocabulary.h"
#include "tokenizer/export.h"

static void model_free(transformer_model *model) {
    struct memory memory = model->memory; /* outlives the block that holds it */
    if (model->backend) model->backend->model_destroy(model->weights);
    vocabulary_close(atomic_load(&model->vocabulary));
    tokenizer_close(model->tokenizer);
    memory_give(&model->memory, model->without_tokenizer);
    memory_give(&model->memory, model->rope_factors);
    memory_give(&model->memory, model->name);
    memory_give(&model->memory, model->weight_types);
    spec_free(model->spec);
    checkpoint_close(model->checkpoint);
    memory_give(&memory, model);
}

void model_retain(transformer_model *model) {
    atomic_fetch_add_explicit(&model->owners, 1, memory_order_relaxed);
}

void model_release(transformer_model *model) {
    if (model && atomic_fetch_sub_explicit(&model->owners, 1, memory_order_acq_rel) == 1)
        model_free(model);
}

/* "Q4_1 x 210, F32 x 61": a list of at most every type once. */
static status describe_types(transformer_model *model) {
    enum { LINE = WEIGHT_TYPES * 32 };
    size_t counts[WEIGHT_TYPES] = {0}, n = checkpoint_tensor_count(model->checkpoint), used = 0;
    for (size_t i = 0; i < n; i++) counts[checkpoint_tensor_at(model->checkpoint, i)->type]++;
    TRY(MEMORY_TAKE_ARRAY(&model->memory, LINE, "the list of weight types", &model->weight_types));
    for (;;) {
        int most = 0;
        for (int type = 1; type < WEIGHT_TYPES; type++)
            if (counts[type] > counts[most]) most = type;
        if (!counts[most]) return OK;
        used += text_format(model->weight_types + used, LINE - used, "%s%s x %zu", used ? ", " : "",
                            weight_type_traits[most].name, counts[most]);
        counts[most] = 0;
    }
}

static status describe(transformer_model *model) {
    const struct spec *spec = model->spec;
    struct text name = {"", 0};
    bool found;
    TRY(checkpoint_read_text(model->checkpoint, "general.name", &found, &name));
    TRY(MEMORY_TAKE(&model->memory, name.length + 1, "the model's name", &model->name));
    memcpy(model->name, name.data, name.length);
    model->name[name.length] = 0;
    for (size_t i = 0; i < checkpoint_tensor_count(model->checkpoint); i++) {
        const struct tensor *tensor = checkpoint_tensor_at(model->checkpoint, i);
        model->weight_bytes += tensor->bytes;
        int64_t elements = tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
        if (add_overflows(model->n_parameters, elements, &model->n_parameters))
            return fail(FORMAT, "%s: has more elements than 63 bits can count",
                        checkpoint_name(model->checkpoint));
    }
    for (int i = 0; i < spec->n_weights; i++) {
        const struct tensor *tensor = spec->weights[i].tensor;
        if (spec->weights[i].of_source) continue;
        bool of_one_row =
            tensor == spec->positions.tensor || tensor == spec->token_types.tensor ||
            (tensor == spec->embedding.weight.tensor && tensor != spec->head.weight.tensor);
        model->weight_bytes_per_token +=
            of_one_row ? weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0])
                       : tensor->bytes;
    }
    return describe_types(model);
}

static enum weight_type weight_type_of_option(uint32_t option) {
    static const enum weight_type types[] = {
        [TRANSFORMER_WEIGHTS_F32] = WEIGHT_F32,   [TRANSFORMER_WEIGHTS_F16] = WEIGHT_F16,
        [TRANSFORMER_WEIGHTS_BF16] = WEIGHT_BF16, [TRANSFORMER_WEIGHTS_Q4_0] = WEIGHT_Q4_0,
        [TRANSFORMER_WEIGHTS_Q4_1] = WEIGHT_Q4_1, [TRANSFORMER_WEIGHTS_Q5_0] = WEIGHT_Q5_0,
        [TRANSFORMER_WEIGHTS_Q5_1] = WEIGHT_Q5_1, [TRANSFORMER_WEIGHTS_Q8_0] = WEIGHT_Q8_0,
        [TRANSFORMER_WEIGHTS_Q2_K] = WEIGHT_Q2_K, [TRANSFORMER_WEIGHTS_Q3_K] = WEIGHT_Q3_K,
        [TRANSFORMER_WEIGHTS_Q4_K] = WEIGHT_Q4_K, [TRANSFORMER_WEIGHTS_Q5_K] = WEIGHT_Q5_K,
        [TRANSFORMER_WEIGHTS_Q6_K] = WEIGHT_Q6_K};
    return types[option];
}

/* Of sources that have a vocabulary of their own. */
static status check_sources(const transformer_model *model) {
    int64_t n_vocab = model->spec->source.n_vocab;
    if (!model->tokenizer || !tokenizer_has_sources(model->tokenizer)) return OK;
    int64_t n = tokenizer_source_size(model->tokenizer);
    if (n <= n_vocab) return OK;
    return fail(FORMAT,
                "%s: the vocabulary of sources has %" PRId64 " tokens, the embedding %" PRId64
                " rows",
                checkpoint_name(model->checkpoint), n, n_vocab);
}

/* A tokenizer with a part that can't be done leaves a model that works by token ids: what is
 * missing is told when text is asked of it. */
static status read_tokenizer(transformer_model *model) {
    char before[STATUS_TEXT_BYTES];
    status_save(before);
    status result =
        tokenizer_open(&model->memory, model->checkpoint, model->spec->n_vocab, &model->tokenizer);
    if (result == OK) return check_sources(model);
    if (result != UNSUPPORTED) return result;
    const char *reason = status_text();
    size_t n = strlen(reason) + 1;
    TRY(MEMORY_TAKE(&model->memory, n, "a message", &model->without_tokenizer));
    memcpy(model->without_tokenizer, reason, n);
    log_line(&model->log, TRANSFORMER_LOG_WARNING, "the tokenizer can't be used: %s", reason);
    status_restore(before);
    return OK;
}

bool model_is_end(const transformer_model *model, int32_t token) {
    size_t n = 0;
    const int32_t *ends = model->tokenizer ? tokenizer_end_tokens(model->tokenizer, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        if (ends[i] == token) return true;
    return false;
}

status model_check_logits(const transformer_model *model) {
    if (model->spec->head.weight.tensor) return OK;
    return fail(UNSUPPORTED, "architecture '%s' gives no logits", model->spec->architecture);
}

/* All but the weights. */
static status read_head(transformer_model *model, const transformer_model_options *options) {
    struct checkpoint_options file = {
        .path = options->path,
        .data = options->data,
        .data_size = (size_t)options->data_size,
        .reader = options->reader,
        .read = options->load_mode == TRANSFORMER_LOAD_READ,
        .copy = options->copy == TRANSFORMER_ON,
        .log = model->log,
    };
    TRY(checkpoint_open(&model->memory, &file, &model->checkpoint));
    if (options->weight_type)
        checkpoint_quantize(model->checkpoint, weight_type_of_option(options->weight_type));
    TRY(spec_read(&model->memory, model->checkpoint, &model->spec));
    TRY(read_tokenizer(model));
    return describe(model);
}

static status read_rope_factors(transformer_model *model) {
    TRY(MEMORY_TAKE_ARRAY(&model->memory, (size_t)model->spec->n_ropes, "rope factors",
                          &model->rope_factors));
    for (int i = 0; i < model->spec->n_ropes; i++) {
        const struct rope_spec *rope = &model->spec->ropes[i];
        model->rope_factors[i] = (struct rope_factors){
            .all = model->backend->model_vector(model->weights, &rope->freq_factors),
            .of_long = model->backend->model_vector(model->weights, &rope->long_factors)};
    }
    return OK;
}

static void add_number(struct checksum *sum, uint64_t number) {
    *sum = checksum_add(*sum, &number, sizeof number);
}

/* The family's own keys, wherever they stand in the file. */
static bool is_of_spec(const transformer_model *model, struct text key) {
    const char *family = model->spec->architecture;
    size_t n = strlen(family);
    if (key.length == 20 && memcmp(key.data, "general.architecture", 20) == 0) return true;
    return key.length > n && memcmp(key.data, family, n) == 0 && key.data[n] == '.';
}

/* Of two models it is the same if the same tokens have the same keys and values, whichever device
 * and format they are of. While the checksums of the weights are there. */
static struct checksum identify(const transformer_model *model) {
    const struct spec *spec = model->spec;
    struct checksum keys = {0}, sum;
    const struct metadata *entry;
    for (size_t i = 0; (entry = checkpoint_metadata_at(model->checkpoint, i)); i++) {
        if (!is_of_spec(model, entry->key)) continue;
        sum = checksum_of(entry->key.data, entry->key.length, entry->kind);
        sum = checksum_add(sum, entry->values, checkpoint_value_bytes(entry));
        keys.low += sum.low;
        keys.high += sum.high;
    }
    sum = keys;
    for (int i = 0; i < spec->n_weights; i++) {
        const struct tensor *tensor = spec->weights[i].tensor;
        struct checksum contents = checkpoint_checksum(model->checkpoint, i);
        sum = checksum_add(sum, tensor->name.data, tensor->name.length);
        add_number(&sum, (uint64_t)tensor->type);
        for (int d = 0; d < 4; d++) add_number(&sum, (uint64_t)tensor->dims[d]);
        add_number(&sum, contents.low);
        add_number(&sum, contents.high);
    }
    return sum;
}

static status read_weights(transformer_model *model, const transformer_model_options *options) {
    TRY(checkpoint_reserve_checksums(model->checkpoint, model->spec->n_weights));
    TRY(model->backend->model_create(&model->memory, model->checkpoint, model->spec, &model->choice,
                                     options->progress, options->progress_user, &model->weights));
    model->identity = identify(model);
    checkpoint_finish_loading(model->checkpoint);
    return read_rope_factors(model);
}

static status create(const transformer_model_options *options, transformer_model **created) {
    struct memory memory;
    transformer_model *fresh;
    const struct backend *backend;
    int device;
    TRY(devices_find(options->device, &backend, &device));
    memory_init(&memory, options->allocator);
    TRY(MEMORY_TAKE_ONE(&memory, "a model", &fresh));
    fresh->memory = memory;
    atomic_init(&fresh->owners, 1);
    fresh->log = (struct log){options->log, options->log_user};
    fresh->backend = backend;
    fresh->choice =
        (struct backend_choice){.device = device, .cpu_amx = options->cpu_amx == TRANSFORMER_ON};
    fresh->device_number = options->device;
    status result = read_head(fresh, options);
    if (result != OK) {
        model_free(fresh);
        return result;
    }
    *created = fresh;
    return OK;
}

status model_open(const transformer_model_options *options, transformer_model **opened) {
    transformer_model *fresh;
    TRY(create(options, &fresh));
    status result = read_weights(fresh, options);
    if (result != OK) {
        model_release(fresh);
        return result;
    }
    log_line(&fresh->log, TRANSFORMER_LOG_INFO, "%s: %s, %s, %" PRId64 " layers, %s",
             checkpoint_name(fresh->checkpoint), checkpoint_format(fresh->checkpoint),
             fresh->spec->architecture, fresh->spec->n_layers, fresh->weight_types);
    *opened = fresh;
    return OK;
}

status model_measure(const transformer_model_options *options,
                     transformer_memory_estimate *estimate, transformer_model **described) {
    transformer_model *fresh;
    struct backend_bytes weights;
    TRY(create(options, &fresh));
    status result = fresh->backend->model_bytes(fresh->spec, &fresh->choice, &weights);
    if (result != OK) {
        model_release(fresh);
        return result;
    }
    estimate->model_host_bytes =
        atomic_load(&fresh->memory.bytes) + weights.host +
        memory_cost((size_t)fresh->spec->n_ropes * sizeof *fresh->rope_factors);
    estimate->device_bytes = weights.device;
    estimate->model_mapped_bytes = checkpoint_mapped_bytes(fresh->checkpoint);
    *described = fresh;
    return OK;
}

status model_convert(const transformer_model_options *options,
                     int32_t (*write)(void *user, const void *bytes, uint64_t n),
                     void *write_user) {
    transformer_model_options host = *options;
    transformer_model *fresh;
    host.device = 0;
    host.cpu_amx = TRANSFORMER_OFF;
    TRY(create(&host, &fresh));
    const struct gguf_sink sink = {.write = write,
                                   .write_user = write_user,
                                   .progress = options->progress,
                                   .progress_user = options->progress_user};
    struct tokenizer_export tokenizer;
    status result = tokenizer_export(&fresh->memory, &fresh->log, fresh->checkpoint,
                                     fresh->tokenizer, fresh->spec->n_vocab, &tokenizer);
    if (result == OK)
        result = gguf_write(fresh->checkpoint, tokenizer.keys, &fresh->memory,
                            options->weight_type ? weight_type_of_option(options->weight_type)
                                                 : WEIGHT_TYPES,
                            &sink);
    tokenizer_export_close(&tokenizer);
    model_release(fresh);
    return result;
}
