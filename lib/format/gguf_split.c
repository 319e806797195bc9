/* Split files: every part is a GGUF file of its own with some of the tensors, and says in
 * split.count, split.no and split.tensors.count which part it is; only the first one has the rest
 * of the metadata. */
#include <stdio.h>
#include <string.h>

#include "format/gguf.h"
#include "format/number.h"

static const struct metadata *find(const struct metadata_table *keys, const char *key) {
    size_t length = strlen(key);
    for (size_t i = 0; i < keys->count; i++)
        if (keys->items[i].key.length == length &&
            memcmp(keys->items[i].key.data, key, length) == 0)
            return &keys->items[i];
    return NULL;
}

/* An integer in low … high; fallback if the key is missing. */
static status read_integer(const struct part *part, const struct metadata_table *keys,
                           const char *key, int64_t low, int64_t high, int64_t fallback,
                           int64_t *value) {
    const struct metadata *entry = find(keys, key);
    *value = fallback;
    if (!entry) return OK;
    if (!number_to_i64(entry->kind, entry->values, value) || *value < low || *value > high)
        return fail(FORMAT,
                    "%s: key '%s' is not an integer in %" PRId64 " to %" PRId64
                    " (value at offset %td)",
                    part->file.name, key, low, high, entry->values - part->head);
    return OK;
}

status gguf_split_read(const struct part *part, const struct metadata_table *keys, int64_t expected,
                       struct gguf_split *split) {
    TRY(read_integer(part, keys, "split.count", 0, UINT16_MAX, 1, &split->count));
    TRY(read_integer(part, keys, "split.no", 0, UINT16_MAX, 0, &split->index));
    TRY(read_integer(part, keys, "split.tensors.count", 0, INT32_MAX, -1, &split->n_tensors));
    if (split->count == 0) split->count = 1;
    if (split->index >= split->count)
        return fail(FORMAT,
                    "%s: key 'split.no' is %" PRId64 ", but 'split.count' is %" PRId64
                    " (value at offset %td)",
                    part->file.name, split->index, split->count,
                    find(keys, "split.no")->values - part->head);
    if (split->index != expected)
        return fail(expected == 0 ? INVALID_ARGUMENT : FORMAT,
                    "%s: is part %" PRId64 " of %" PRId64 " of a split file, where part %" PRId64
                    " was asked for",
                    part->file.name, split->index + 1, split->count, expected + 1);
    return OK;
}

status gguf_split_name(char *name, int64_t index, int64_t count) {
    char first[32], wanted[32];
    int n = snprintf(first, sizeof first, "-00001-of-%05d.gguf", (int)count);
    snprintf(wanted, sizeof wanted, "-%05d-of-%05d.gguf", (int)index + 1, (int)count);
    size_t length = strlen(name), tail = (size_t)n;
    if (length < tail || strcmp(name + length - tail, first) != 0)
        return fail(INVALID_ARGUMENT,
                    "%s: is the first of %" PRId64
                    " parts, but its name doesn't end in \"%s\", so the others can't be found",
                    name, count, first);
    memcpy(name + length - tail, wanted, tail);
    return OK;
}
