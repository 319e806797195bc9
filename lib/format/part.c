#include "format/part.h"

#include <string.h>

/* The head of a model with a large vocabulary has 5 to 20 MB; most of its size is strings. */
#define FIRST_CHUNK ((uint64_t)256 << 10)

status part_open(struct part *part, struct memory *memory, const struct checkpoint_options *options,
                 const char *name) {
    *part = (struct part){0};
    if (options->data)
        file_open_memory(&part->file, name, options->data, options->data_size);
    else if (options->reader)
        TRY(file_open_reader(&part->file, name, options->reader));
    else
        TRY(file_open(&part->file, name, !options->read));
    if (part->file.bytes && !options->copy) {
        part->head = part->file.bytes;
        part->head_available = part->file.size;
        return OK;
    }
    status result = part_read_head(part, memory);
    if (result != OK) part_close(part, memory);
    return result;
}

status part_read_head(struct part *part, struct memory *memory) {
    uint64_t chunk = part->head_available ? 2 * part->head_available : FIRST_CHUNK;
    if (chunk > part->file.size) chunk = part->file.size;
    void *copy;
    TRY(memory_take(memory, (size_t)chunk, "a model file's head", &copy));
    size_t had = (size_t)part->head_available;
    if (had) memcpy(copy, part->head, had);
    status result = file_read(&part->file, had, (size_t)chunk - had, (uint8_t *)copy + had);
    if (result != OK) {
        memory_give(memory, copy);
        return result;
    }
    memory_give(memory, part->head_copy);
    part->head_copy = copy;
    part->head = copy;
    part->head_available = chunk;
    return OK;
}

status part_cut_head(struct part *part, struct memory *memory, void **old) {
    *old = NULL;
    if (!part->head_copy || part->head_bytes == part->head_available) return OK;
    void *copy;
    TRY(memory_take(memory, (size_t)part->head_bytes, "a model file's head", &copy));
    memcpy(copy, part->head, (size_t)part->head_bytes);
    *old = part->head_copy;
    part->head_copy = copy;
    part->head = copy;
    part->head_available = part->head_bytes;
    return OK;
}

void part_drop_head(struct part *part, struct memory *memory) {
    memory_give(memory, part->head_copy);
    part->head_copy = NULL;
    part->head = NULL;
    part->head_available = part->head_bytes = 0;
}

void part_finish(struct part *part) {
    if (part->head_copy || !part->head)
        file_close_data(&part->file);
    else
        file_keep_head(&part->file, part->head_bytes);
}

void part_close(struct part *part, struct memory *memory) {
    if (part->file.name) file_close(&part->file);
    memory_give(memory, part->head_copy);
    *part = (struct part){0};
}
