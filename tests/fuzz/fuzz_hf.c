/* libFuzzer target: the bytes are the files of a Hugging Face folder, one after the other, each
 * after a line with its name and one with its size ("config.json\n123\n"). It is opened through a
 * reader, its metadata and tensors are read, an adapter that lies in it too, and a spec is made of
 * it. */
#include <stdlib.h>
#include <string.h>

#include "arch/spec.h"
#include "format/checkpoint.h"

enum { MAX_FILES = 8 };

struct folder {
    struct {
        char name[64];
        const uint8_t *bytes;
        size_t size;
    } files[MAX_FILES];
    int n;
};

static int64_t folder_size(void *user, const char *name) {
    const struct folder *folder = user;
    for (int i = 0; i < folder->n; i++)
        if (strcmp(folder->files[i].name, name) == 0) return (int64_t)folder->files[i].size;
    return -1;
}

static int64_t folder_read(void *user, const char *name, uint64_t offset, void *buffer,
                           uint64_t n) {
    const struct folder *folder = user;
    for (int i = 0; i < folder->n; i++)
        if (strcmp(folder->files[i].name, name) == 0) {
            memcpy(buffer, folder->files[i].bytes + offset, (size_t)n);
            return (int64_t)n;
        }
    abort();
}

/* The line at *at, without its end; false: there is none. */
static bool next_line(const uint8_t *data, size_t size, size_t *at, char line[64]) {
    size_t n = 0;
    while (*at + n < size && data[*at + n] != '\n' && n < 63) n++;
    if (*at + n >= size || data[*at + n] != '\n') return false;
    memcpy(line, data + *at, n);
    line[n] = 0;
    *at += n + 1;
    return true;
}

static void divide(const uint8_t *data, size_t size, struct folder *folder) {
    size_t at = 0;
    while (folder->n < MAX_FILES) {
        char number[64];
        if (!next_line(data, size, &at, folder->files[folder->n].name) ||
            !next_line(data, size, &at, number))
            return;
        size_t bytes = (size_t)strtoul(number, NULL, 10);
        if (bytes > size - at) bytes = size - at;
        folder->files[folder->n].bytes = data + at;
        folder->files[folder->n++].size = bytes;
        at += bytes;
    }
}

/* A row at a time. */
static void touch_tensors(struct checkpoint *checkpoint) {
    const struct tensor *tensor;
    for (size_t i = 0; (tensor = checkpoint_tensor_at(checkpoint, i)); i++) {
        const void *row;
        if (tensor->dims[0] % weight_type_traits[tensor->type].block != 0) continue;
        size_t n = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
        void *scratch = malloc(n + 1);
        for (uint64_t at = 0; n > 0 && at < tensor->bytes; at += n)
            if (checkpoint_data(checkpoint, tensor, at, n, scratch, &row) != OK) abort();
        free(scratch);
    }
}

/* Stacks whose rows lie otherwise in the file. */
static void touch_blocks(struct checkpoint *checkpoint, const struct spec *spec) {
    for (int i = 0; i < spec->n_views; i++) {
        const struct tensor *tensor = &spec->views[i];
        size_t row_bytes = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
        uint8_t *scratch = tensor->blocks.rows ? malloc(row_bytes) : NULL;
        const void *row;
        for (uint64_t at = 0; scratch && at < tensor->bytes; at += row_bytes)
            if (checkpoint_data(checkpoint, tensor, at, row_bytes, scratch, &row) != OK) abort();
        free(scratch);
    }
}

/* What else the folder may have: an adapter of its model. */
static void open_adapter(struct memory *memory, const struct checkpoint_options *model,
                         const struct checkpoint *checkpoint) {
    struct checkpoint_options options = *model;
    struct checkpoint *adapter;
    options.adapter_of = checkpoint;
    if (checkpoint_open(memory, &options, &adapter) != OK) return;
    touch_tensors(adapter);
    checkpoint_close(adapter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct folder folder = {0};
    divide(data, size, &folder);
    const transformer_reader reader = {.size = folder_size, .read = folder_read, .user = &folder};
    struct checkpoint_options options = {.path = "", .reader = &reader};
    struct memory memory;
    memory_init(&memory, NULL);
    struct checkpoint *checkpoint;
    if (checkpoint_open(&memory, &options, &checkpoint) == OK) {
        struct spec *spec;
        touch_tensors(checkpoint);
        open_adapter(&memory, &options, checkpoint);
        if (spec_read(&memory, checkpoint, &spec) == OK) {
            touch_blocks(checkpoint, spec);
            spec_free(spec);
        }
        checkpoint_finish_loading(checkpoint);
        checkpoint_close(checkpoint);
    }
    if (memory.bytes != 0) abort();
    return 0;
}
