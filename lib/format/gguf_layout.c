#include "format/gguf.h"

/* Order of tensors by offset: a heap sort of their indices, because a file's order may be any. */
static bool is_before(const struct tensor_table *tensors, uint32_t a, uint32_t b) {
    return tensors->items[a].offset < tensors->items[b].offset;
}

static void sift_down(const struct tensor_table *tensors, uint32_t *order, size_t root, size_t n) {
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && is_before(tensors, order[child], order[child + 1])) child++;
        if (!is_before(tensors, order[root], order[child])) return;
        uint32_t swap = order[root];
        order[root] = order[child];
        order[child] = swap;
    }
}

void gguf_layout_sort(const struct tensor_table *tensors, uint32_t *order, size_t n) {
    for (size_t root = n / 2; root-- > 0;) sift_down(tensors, order, root, n);
    for (size_t last = n; last-- > 1;) {
        uint32_t swap = order[0];
        order[0] = order[last];
        order[last] = swap;
        sift_down(tensors, order, 0, last);
    }
}

static status check_apart(const char *file, const struct tensor *a, const struct tensor *b) {
    if (a->bytes <= b->offset - a->offset) return OK;
    return fail(FORMAT,
                "%s: tensor '%.*s' at offset %" PRIu64 " overlaps tensor '%.*s', %" PRIu64
                " bytes at offset %" PRIu64,
                file, (int)b->name.length, b->name.data, b->offset, (int)a->name.length,
                a->name.data, a->bytes, a->offset);
}

static status check_range(const struct part *part, struct tensor *tensor, uint64_t alignment) {
    const char *file = part->file.name, *name = tensor->name.data;
    int length = (int)tensor->name.length;
    if (tensor->offset % alignment != 0)
        return fail(FORMAT,
                    "%s: tensor '%.*s' has data offset %" PRIu64
                    ", which is no multiple of the alignment %" PRIu64,
                    file, length, name, tensor->offset, alignment);
    uint64_t size = part->file.size;
    uint64_t room = size > part->data_offset ? size - part->data_offset : 0;
    if (tensor->offset > room || tensor->bytes > room - tensor->offset)
        return fail(FORMAT,
                    "%s: tensor '%.*s' needs %" PRIu64 " bytes at offset %" PRIu64 " + %" PRIu64
                    ", the file has %" PRIu64,
                    file, length, name, tensor->bytes, part->data_offset, tensor->offset, size);
    tensor->offset += part->data_offset;
    return OK;
}

status gguf_layout_check(const struct part *part, struct memory *memory,
                         const struct tensor_table *tensors, size_t first, uint64_t alignment) {
    size_t n = tensors->count - first;
    bool ordered = true;
    for (size_t i = 0; i < n; i++) {
        struct tensor *tensor = &tensors->items[first + i];
        TRY(check_range(part, tensor, alignment));
        ordered = ordered && (i == 0 || tensor[-1].offset <= tensor->offset);
    }
    const char *file = part->file.name;
    for (size_t i = first + 1; ordered && i < tensors->count; i++)
        TRY(check_apart(file, &tensors->items[i - 1], &tensors->items[i]));
    if (ordered) return OK;

    uint32_t *order;
    TRY(MEMORY_TAKE_ARRAY(memory, n, "the order of tensors", &order));
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)(first + i);
    gguf_layout_sort(tensors, order, n);
    status result = OK;
    for (size_t i = 1; result == OK && i < n; i++)
        result = check_apart(file, &tensors->items[order[i - 1]], &tensors->items[order[i]]);
    memory_give(memory, order);
    return result;
}
