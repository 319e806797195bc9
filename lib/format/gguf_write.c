/* https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include "format/gguf_write.h"

#include <string.h>

#include "format/gguf.h"
#include "format/number.h"
#include "format/tensor_form.h"

enum { ALIGNMENT = 32, BUFFER = 65536, PIECE_BYTES = 1 << 20 };

struct writer {
    struct checkpoint *checkpoint;
    const struct checkpoint *more; /* NULL: none */
    struct memory *memory;
    const struct gguf_sink *sink;
    struct tensor *tensors; /* [n_tensors] as they are written */
    size_t n_tensors;
    uint8_t *buffer; /* [BUFFER] */
    size_t used;
    uint64_t written; /* before the buffer */
    uint64_t data_bytes, data_total;
};

/* ---- bytes ---- */

static status send(struct writer *writer, const void *bytes, size_t n) {
    if (writer->sink->write(writer->sink->write_user, bytes, n) != 0)
        return fail(CANCELLED, "writing was stopped by the write callback at byte %" PRIu64,
                    writer->written);
    writer->written += n;
    return OK;
}

static status flush(struct writer *writer) {
    size_t used = writer->used;
    writer->used = 0;
    return used ? send(writer, writer->buffer, used) : OK;
}

static status put(struct writer *writer, const void *bytes, size_t n) {
    if (n > BUFFER - writer->used) TRY(flush(writer));
    if (n > BUFFER) return send(writer, bytes, n);
    memcpy(writer->buffer + writer->used, bytes, n);
    writer->used += n;
    return OK;
}

static status put_u32(struct writer *writer, uint32_t value) {
    return put(writer, &value, sizeof value);
}

static status put_u64(struct writer *writer, uint64_t value) {
    return put(writer, &value, sizeof value);
}

static status put_text(struct writer *writer, struct text text) {
    TRY(put_u64(writer, text.length));
    return put(writer, text.data, text.length);
}

static status pad(struct writer *writer) {
    static const uint8_t zeros[ALIGNMENT];
    uint64_t at = writer->written + writer->used;
    return put(writer, zeros, (size_t)((ALIGNMENT - at % ALIGNMENT) % ALIGNMENT));
}

/* ---- metadata ---- */

static bool is_key(struct text key, const char *name) {
    return key.length == strlen(name) && memcmp(key.data, name, key.length) == 0;
}

/* Keys that are of the file and not of the model. */
static bool is_of_file(struct text key) {
    return is_key(key, "general.alignment") || is_key(key, "general.file_type") ||
           is_key(key, "general.quantization_version") ||
           (key.length > 6 && memcmp(key.data, "split.", 6) == 0);
}

/* A count of positions that a config may have as a float. */
static bool is_count(struct text key) {
    static const char end[] = ".original_context_length";
    size_t n = sizeof end - 1;
    return key.length > n && memcmp(key.data + key.length - n, end, n) == 0;
}

/* The kind under which a number is written, and its bytes. */
static enum metadata_kind narrow(const struct metadata *entry, uint8_t *to, size_t *n) {
    enum metadata_kind kind = entry->kind;
    int64_t value;
    *n = number_bytes(kind);
    memcpy(to, entry->values, *n);
    bool wide = kind == METADATA_I64 || kind == METADATA_U64 || is_count(entry->key);
    if (!wide || kind == METADATA_BOOL || !number_to_i64(kind, entry->values, &value)) return kind;
    if (value < 0 || value > UINT32_MAX) return kind;
    uint32_t small = (uint32_t)value;
    *n = sizeof small;
    memcpy(to, &small, sizeof small);
    return METADATA_U32;
}

static size_t string_bytes(const uint8_t *from, uint64_t count) {
    const uint8_t *cursor = from;
    for (uint64_t i = 0; i < count; i++) checkpoint_next_string(&cursor);
    return (size_t)(cursor - from);
}

/* An array of integers of 64 bits as one of 32, where all of them fit. */
static bool can_narrow(const struct metadata *array) {
    if (array->element != METADATA_I64) return false;
    for (uint64_t i = 0; i < array->count; i++) {
        int64_t value;
        if (!number_to_i64(array->element, array->values + 8 * i, &value) || value > INT32_MAX ||
            value < INT32_MIN)
            return false;
    }
    return true;
}

static status put_array(struct writer *writer, const struct metadata *array) {
    bool narrowed = can_narrow(array);
    TRY(put_u32(writer, METADATA_ARRAY));
    TRY(put_u32(writer, narrowed ? METADATA_I32 : array->element));
    TRY(put_u64(writer, array->count));
    if (!narrowed)
        return put(writer, array->values,
                   array->element == METADATA_STRING
                       ? string_bytes(array->values, array->count)
                       : (size_t)array->count * number_bytes(array->element));
    for (uint64_t i = 0; i < array->count; i++)
        TRY(put(writer, array->values + 8 * i, 4)); /* little-endian: the lower half */
    return OK;
}

static status put_entry(struct writer *writer, const struct metadata *entry) {
    uint8_t number[8];
    size_t n;
    TRY(put_text(writer, entry->key));
    if (entry->kind == METADATA_ARRAY) return put_array(writer, entry);
    if (entry->kind == METADATA_STRING) {
        TRY(put_u32(writer, METADATA_STRING));
        return put(writer, entry->values, string_bytes(entry->values, 1));
    }
    TRY(put_u32(writer, narrow(entry, number, &n)));
    return put(writer, number, n);
}

static status put_own(struct writer *writer, const char *key, uint32_t value) {
    TRY(put_text(writer, (struct text){key, strlen(key)}));
    TRY(put_u32(writer, METADATA_U32));
    return put_u32(writer, value);
}

static status put_own_text(struct writer *writer, const char *key, const char *value) {
    TRY(put_text(writer, (struct text){key, strlen(key)}));
    TRY(put_u32(writer, METADATA_STRING));
    return put_text(writer, (struct text){value, strlen(value)});
}

/* llama.cpp's numbers of what most matrices are; -1: none. */
static int file_type(enum weight_type type) {
    static const int8_t numbers[WEIGHT_TYPES] = {
        [WEIGHT_F32] = 0,   [WEIGHT_F16] = 1,   [WEIGHT_Q4_0] = 2,  [WEIGHT_Q4_1] = 3,
        [WEIGHT_Q8_0] = 7,  [WEIGHT_Q5_0] = 8,  [WEIGHT_Q5_1] = 9,  [WEIGHT_Q2_K] = 10,
        [WEIGHT_Q3_K] = 11, [WEIGHT_Q4_K] = 14, [WEIGHT_Q5_K] = 16, [WEIGHT_Q6_K] = 18,
        [WEIGHT_BF16] = 32};
    return type < WEIGHT_TYPES && (numbers[type] || type == WEIGHT_F32) ? numbers[type] : -1;
}

/* An entry of the checkpoint that `more` has another value for. */
static bool is_replaced(const struct writer *writer, const struct checkpoint *checkpoint,
                        struct text key) {
    char name[160];
    if (!writer->more || checkpoint == writer->more || key.length >= sizeof name) return false;
    memcpy(name, key.data, key.length);
    name[key.length] = 0;
    return checkpoint_metadata(writer->more, name) != NULL;
}

/* Entries of a checkpoint; *n of them, which `put_them` writes. */
static status put_entries(struct writer *writer, const struct checkpoint *checkpoint, bool put_them,
                          uint64_t *n) {
    const struct metadata *entry;
    for (size_t i = 0; checkpoint && (entry = checkpoint_metadata_at(checkpoint, i)) != NULL; i++) {
        if (is_of_file(entry->key) || is_replaced(writer, checkpoint, entry->key)) continue;
        if (put_them) TRY(put_entry(writer, entry));
        ++*n;
    }
    return OK;
}

/* Names of templates that the file has under keys of their own, as other readers list them. */
static status put_template_names(struct writer *writer, bool put_them, uint64_t *n) {
    static const char list[] = "tokenizer.chat_templates", prefix[] = "tokenizer.chat_template.";
    const size_t skip = sizeof prefix - 1;
    const struct metadata *entry;
    uint64_t count = 0;
    if (checkpoint_metadata(writer->checkpoint, list)) return OK;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; (entry = checkpoint_metadata_at(writer->checkpoint, i)) != NULL; i++) {
            struct text key = entry->key;
            if (key.length <= skip || memcmp(key.data, prefix, skip) != 0) continue;
            if (pass == 0)
                count++;
            else
                TRY(put_text(writer, (struct text){key.data + skip, key.length - skip}));
        }
        if (count == 0) return OK;
        if (pass == 1) break;
        ++*n;
        if (!put_them) return OK;
        TRY(put_text(writer, (struct text){list, sizeof list - 1}));
        TRY(put_u32(writer, METADATA_ARRAY));
        TRY(put_u32(writer, METADATA_STRING));
        TRY(put_u64(writer, count));
    }
    return OK;
}

/* Entries of the checkpoint, more, and ours. */
static status put_metadata(struct writer *writer, enum weight_type quantized) {
    static const char model[] = "tokenizer.ggml.model";
    bool vocabulary = checkpoint_metadata(writer->checkpoint, model) ||
                      (writer->more && checkpoint_metadata(writer->more, model));
    for (int pass = 0; pass < 2; pass++) {
        uint64_t n = 1;
        TRY(put_entries(writer, writer->checkpoint, pass == 1, &n));
        TRY(put_template_names(writer, pass == 1, &n));
        TRY(put_entries(writer, writer->more, pass == 1, &n));
        if (!vocabulary) n++;
        if (file_type(quantized) >= 0) n++;
        if (pass == 0) TRY(put_u64(writer, n));
    }
    if (!vocabulary) TRY(put_own_text(writer, model, "none"));
    if (file_type(quantized) >= 0)
        TRY(put_own(writer, "general.file_type", (uint32_t)file_type(quantized)));
    return put_own(writer, "general.quantization_version", 2);
}

/* ---- tensors ---- */

static uint64_t padded(uint64_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Vectors, those of experts too. */
static bool is_vector(const struct tensor *tensor) {
    static const char end[] = ".bias";
    struct text name = tensor->name;
    size_t n = sizeof end - 1;
    return tensor->n_dims == 1 ||
           (name.length > n && memcmp(name.data + name.length - n, end, n) == 0);
}

static status choose_tensors(struct writer *writer) {
    writer->n_tensors = checkpoint_tensor_count(writer->checkpoint);
    TRY(MEMORY_TAKE_ARRAY(writer->memory, writer->n_tensors, "the tensors to write",
                          &writer->tensors));
    for (size_t i = 0; i < writer->n_tensors; i++) {
        const struct tensor *tensor = checkpoint_tensor_at(writer->checkpoint, i);
        bool converts = is_vector(tensor) && tensor->type != WEIGHT_F32;
        writer->tensors[i] = converts ? tensor_form_quantized(tensor, WEIGHT_F32) : *tensor;
        writer->data_total += writer->tensors[i].bytes;
    }
    return OK;
}

static status put_infos(struct writer *writer) {
    uint64_t offset = 0;
    for (size_t i = 0; i < writer->n_tensors; i++) {
        const struct tensor *tensor = &writer->tensors[i];
        TRY(put_text(writer, tensor->name));
        TRY(put_u32(writer, (uint32_t)tensor->n_dims));
        for (int d = 0; d < tensor->n_dims; d++) TRY(put_u64(writer, (uint64_t)tensor->dims[d]));
        TRY(put_u32(writer, weight_type_traits[tensor->type].gguf_type));
        TRY(put_u64(writer, offset));
        offset += padded(tensor->bytes);
    }
    return OK;
}

static status put_data(struct writer *writer, const struct tensor *tensor, void *scratch,
                       uint64_t piece) {
    const struct gguf_sink *sink = writer->sink;
    for (uint64_t done = 0; done < tensor->bytes;) {
        uint64_t left = tensor->bytes - done, n = left < piece ? left : piece;
        const void *data;
        TRY(checkpoint_data(writer->checkpoint, tensor, done, (size_t)n, scratch, &data));
        TRY(put(writer, data, (size_t)n));
        checkpoint_drop(writer->checkpoint, tensor, done, (size_t)n);
        done += n;
        writer->data_bytes += n;
        if (sink->progress &&
            sink->progress(sink->progress_user, writer->data_bytes, writer->data_total) != 0)
            return fail(CANCELLED, "writing was stopped by the progress callback");
    }
    return pad(writer);
}

/* Whole rows of about PIECE_BYTES. */
static uint64_t piece_of(const struct tensor *tensor) {
    uint64_t row = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
    return row && row < PIECE_BYTES ? PIECE_BYTES / row * row : row;
}

static status write_all(struct writer *writer, enum weight_type quantized) {
    uint64_t most = 0;
    void *scratch;
    TRY(put(writer, GGUF_MAGIC, 4));
    TRY(put_u32(writer, 3));
    TRY(put_u64(writer, writer->n_tensors));
    TRY(put_metadata(writer, quantized));
    TRY(put_infos(writer));
    TRY(pad(writer));
    for (size_t i = 0; i < writer->n_tensors; i++) {
        uint64_t piece = piece_of(&writer->tensors[i]);
        if (piece > most) most = piece;
    }
    TRY(memory_take(writer->memory, (size_t)most, "weights to write", &scratch));
    status result = OK;
    for (size_t i = 0; result == OK && i < writer->n_tensors; i++)
        result = put_data(writer, &writer->tensors[i], scratch, piece_of(&writer->tensors[i]));
    if (result == OK) result = flush(writer);
    memory_give(writer->memory, scratch);
    return result;
}

status gguf_write(struct checkpoint *checkpoint, const struct checkpoint *more,
                  struct memory *memory, enum weight_type quantized, const struct gguf_sink *sink) {
    struct writer writer = {.checkpoint = checkpoint, .more = more, .memory = memory, .sink = sink};
    status result = choose_tensors(&writer);
    if (result == OK) result = MEMORY_TAKE(memory, BUFFER, "bytes to write", &writer.buffer);
    if (result == OK) result = write_all(&writer, quantized);
    memory_give(memory, writer.buffer);
    memory_give(memory, writer.tensors);
    return result;
}
