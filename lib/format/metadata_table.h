/* Metadata that is made, not read: entries as GGUF files have them, in an arena. */
#ifndef FORMAT_METADATA_TABLE_H
#define FORMAT_METADATA_TABLE_H

#include "base/arena.h"
#include "format/checkpoint.h"

struct metadata_table {
    struct metadata *items; /* the maker's to give back */
    size_t count, capacity;
};

/* Where entries go to. The arena's memory is the table's too. */
struct metadata_maker {
    struct metadata_table *table;
    struct arena *arena;
};

/* Each copies key and value. What is put first counts: a key that is there stays as it is. */
status metadata_put_i64(const struct metadata_maker *maker, const char *key, int64_t value);
status metadata_put_f32(const struct metadata_maker *maker, const char *key, float value);
status metadata_put_bool(const struct metadata_maker *maker, const char *key, bool value);
status metadata_put_text(const struct metadata_maker *maker, const char *key, struct text value);
/* count elements, packed in `size` bytes as GGUF has them. */
status metadata_put_array(const struct metadata_maker *maker, const char *key,
                          enum metadata_kind element, uint64_t count, const void *values,
                          size_t size);
/* Bytes that an entry's value takes. */
size_t metadata_size(const struct metadata *entry);
/* An entry of another table. */
status metadata_add(const struct metadata_maker *maker, const struct metadata *entry);

#endif
