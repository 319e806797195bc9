/* libFuzzer target: bytes are a GGUF file; it is opened in each way that needs no file system,
 * every tensor is touched, every number read, then all is closed. */
#include <stdlib.h>
#include <string.h>

#include "format/checkpoint.h"

struct input {
    const uint8_t *data;
    size_t size;
};

static int64_t input_size(void *user, const char *name) {
    (void)name;
    return (int64_t)((const struct input *)user)->size;
}

static int64_t input_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    (void)name;
    memcpy(buffer, ((const struct input *)user)->data + offset, n);
    return (int64_t)n;
}

static volatile uint8_t sink;

static void touch(const void *bytes, size_t n) {
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++) sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
    sink = sum;
}

static void touch_metadata(const struct checkpoint *checkpoint) {
    const struct metadata *entry;
    for (size_t i = 0; (entry = checkpoint_metadata_at(checkpoint, i)); i++) {
        touch(entry->key.data, entry->key.length);
        char key[64] = {0};
        memcpy(key, entry->key.data, entry->key.length < 63 ? entry->key.length : 63);
        bool found, flag;
        int64_t integer;
        float number;
        struct text text = {0};
        (void)checkpoint_read_i64(checkpoint, key, &found, &integer);
        (void)checkpoint_read_f32(checkpoint, key, &found, &number);
        (void)checkpoint_read_bool(checkpoint, key, &found, &flag);
        (void)checkpoint_read_text(checkpoint, key, &found, &text);
        touch(text.data, text.length);
        const uint8_t *cursor = entry->values;
        for (uint64_t k = 0; entry->kind == METADATA_ARRAY && k < entry->count; k++) {
            if (entry->element == METADATA_STRING) {
                text = checkpoint_next_string(&cursor);
                touch(text.data, text.length);
            } else {
                (void)checkpoint_array_i64(checkpoint, entry, k, &integer);
                (void)checkpoint_array_f32(checkpoint, entry, k, &number);
            }
        }
    }
}

static void touch_tensors(struct checkpoint *checkpoint) {
    const struct tensor *tensor;
    for (size_t i = 0; (tensor = checkpoint_tensor_at(checkpoint, i)); i++) {
        touch(tensor->name.data, tensor->name.length);
        const struct weight_type_traits *traits = &weight_type_traits[tensor->type];
        uint8_t scratch[512];
        float values[256];
        for (uint64_t at = 0; at < tensor->bytes; at += traits->block_bytes) {
            const void *block;
            if (checkpoint_data(checkpoint, tensor, at, traits->block_bytes, scratch, &block) != OK)
                abort();
            traits->dequantize(block, values, traits->block);
            touch(values, traits->block * sizeof *values);
        }
        checkpoint_drop(checkpoint, tensor, 0, tensor->bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    const transformer_reader reader = {.size = input_size, .read = input_read, .user = &input};
    status results[3] = {OK, OK, OK};
    for (int mode = 0; mode < 3; mode++) {
        struct memory memory;
        memory_init(&memory, NULL);
        struct checkpoint_options options = {.path = "fuzz.gguf"};
        if (mode == 2)
            options.reader = &reader;
        else
            options.data = data ? data : (const uint8_t *)"", options.data_size = size,
            options.copy = mode == 1;
        struct checkpoint *checkpoint;
        results[mode] = checkpoint_open(&memory, &options, &checkpoint);
        if (results[mode] == OK) {
            touch_metadata(checkpoint);
            touch_tensors(checkpoint);
            checkpoint_finish_loading(checkpoint);
            touch_metadata(checkpoint);
            checkpoint_close(checkpoint);
        }
        if (memory.bytes != 0) abort();
    }
    if (results[0] != results[1]) abort();
    return 0;
}
