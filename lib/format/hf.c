#include "format/hf.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"

#define INDEX_MAX_BYTES ((uint64_t)64 << 20)
enum { MAX_PARTS = 4096, MAX_FILE_NAME = 255 };

/* ---- the folder ---- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Length of the folder's part of a path to a file in it, its '/' included. */
static size_t folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash + 1 - path) : 0;
}

static bool is_file_of_folder(const char *path) {
    const char *name = path + folder_of(path);
    return strcmp(name, "config.json") == 0 || ends_with(name, ".safetensors") ||
           ends_with(name, ".safetensors.index.json") ||
           (strncmp(name, "pytorch_model", 13) == 0 &&
            (ends_with(name, ".bin") || ends_with(name, ".bin.index.json")));
}

bool hf_is_path(const struct checkpoint_options *options) {
    const char *path = options->path;
    if (!path || options->data) return false;
    if (is_file_of_folder(path)) return true;
    if (options->reader) return path[0] == 0 || ends_with(path, "/");
    return file_is_folder(path);
}

/* The path of a file of the folder, in the arena. */
static status name_file(struct hf *hf, const char *name, const char **path) {
    size_t folder = hf->folder_length, n = strlen(name);
    void *block;
    TRY(arena_take(&hf->arena, folder + 1 + n + 1, "a file's name", &block));
    memcpy(block, hf->path, folder);
    if (hf->add_slash) ((char *)block)[folder++] = '/';
    memcpy((char *)block + folder, name, n + 1);
    *path = block;
    return OK;
}

static status open_file(const struct hf *hf, const char *path, struct file *file) {
    const struct checkpoint_options *options = hf->options;
    return options->reader ? file_open_reader(file, path, options->reader)
                           : file_open(file, path, false);
}

static status read_whole(const struct hf *hf, const char *path, uint64_t most,
                         struct memory *memory, void **bytes, size_t *size) {
    struct file file;
    void *block = NULL;
    TRY(open_file(hf, path, &file));
    status result = OK;
    if (file.size > most)
        result = fail(LIMIT, "%s: has %" PRIu64 " bytes, at most %" PRIu64 " are read", path,
                      file.size, most);
    if (result == OK) result = memory_take(memory, (size_t)file.size, "a model's file", &block);
    if (result == OK) result = file_read(&file, 0, (size_t)file.size, block);
    if (result == OK) {
        *bytes = block;
        *size = (size_t)file.size;
    } else {
        memory_give(memory, block);
    }
    file_close(&file);
    return result;
}

status hf_read_file(const struct hf *hf, const char *name, uint64_t most, struct memory *memory,
                    void **bytes, size_t *size) {
    struct hf own = *hf; /* a name in an arena of its own */
    own.arena = (struct arena){.memory = memory};
    const char *path;
    status result = name_file(&own, name, &path);
    if (result == OK) result = read_whole(hf, path, most, memory, bytes, size);
    arena_free(&own.arena);
    return result;
}

status hf_find_file(const struct hf *hf, const char *name, uint64_t most, bool *found, void **bytes,
                    size_t *size) {
    char text[STATUS_TEXT_BYTES];
    status_save(text);
    status result = hf_read_file(hf, name, most, hf->memory, bytes, size);
    *found = result == OK;
    if (result != NOT_FOUND) return result;
    status_restore(text);
    return OK;
}

status hf_has_file(struct hf *hf, const char *name, bool *has) {
    char text[STATUS_TEXT_BYTES];
    struct file file;
    const char *path;
    TRY(name_file(hf, name, &path));
    status_save(text);
    status result = open_file(hf, path, &file);
    *has = result == OK;
    if (result == OK) file_close(&file);
    if (result == NOT_FOUND) {
        status_restore(text);
        return OK;
    }
    return result;
}

status hf_read_optional(struct hf *hf, const char *name, uint64_t most, const char **path,
                        void **bytes, size_t *size) {
    bool has;
    *bytes = NULL;
    TRY(hf_has_file(hf, name, &has));
    if (!has) return OK;
    TRY(name_file(hf, name, path));
    return read_whole(hf, *path, most, hf->memory, bytes, size);
}

/* ---- the parts ---- */

/* A part for each of n files and one for each vector that no file has. */
static status take_parts(struct hf *hf, int n) {
    return MEMORY_TAKE_ARRAY(hf->memory, (size_t)(n + hf->n_vectors), "a model's parts",
                             &hf->parts);
}

static status open_part(struct hf *hf, const char *path) {
    struct part *part = &hf->parts[hf->n_parts];
    TRY(part_open(part, hf->memory, hf->options, path));
    return safetensors_read_head(part, hf->n_parts++, &hf->arena, &hf->tables);
}

static status fail_index(const struct json *json, const char *what) {
    return fail(FORMAT, "%s: %s (before offset %zu)", json->file, what, json->at);
}

/* One entry of weight_map. */
struct mapped {
    struct text tensor, file;
};

/* The file's parts, each once, and which of them has which tensor. */
struct index {
    struct hf *hf;
    struct mapped *items;
    size_t count, capacity;
    const char *files[MAX_PARTS]; /* plain names, in the order of the index */
    int n_files;
};

static status keep_text(struct arena *arena, const struct json *json,
                        const struct json_value *value, struct text *text) {
    char buffer[1025];
    size_t n;
    void *kept;
    TRY(json_unescape(json, value, buffer, sizeof buffer - 1, &n));
    TRY(arena_take(arena, n + 1, "a model's index", &kept));
    memcpy(kept, buffer, n);
    ((char *)kept)[n] = 0;
    *text = (struct text){kept, n};
    return OK;
}

/* A file of the folder itself, never one elsewhere. */
static bool is_plain_name(struct text name) {
    return name.length > 0 && name.length <= MAX_FILE_NAME && name.data[0] != '.' &&
           !memchr(name.data, '/', name.length) && !memchr(name.data, 0, name.length) &&
           ends_with(name.data, ".safetensors");
}

static status add_mapped(struct index *index, struct arena *arena, struct json *json,
                         const struct json_value *key) {
    if (index->count == index->capacity) {
        size_t capacity = index->capacity ? 2 * index->capacity : 256;
        struct mapped *items;
        TRY(MEMORY_TAKE_ARRAY(arena->memory, capacity, "a model's index", &items));
        if (index->count) memcpy(items, index->items, index->count * sizeof *items);
        memory_give(arena->memory, index->items);
        index->items = items;
        index->capacity = capacity;
    }
    struct mapped *mapped = &index->items[index->count];
    struct json_value value;
    TRY(keep_text(arena, json, key, &mapped->tensor));
    TRY(json_read(json, &value));
    if (value.kind != JSON_STRING) return fail_index(json, "'weight_map' has what is no file name");
    TRY(keep_text(arena, json, &value, &mapped->file));
    if (!is_plain_name(mapped->file))
        return fail_index(json, "'weight_map' has what is no .safetensors file of its folder");
    index->count++;
    for (int i = index->n_files; i-- > 0;)
        if (strcmp(index->files[i], mapped->file.data) == 0) return OK;
    if (index->n_files == MAX_PARTS)
        return fail(LIMIT, "%s: names more than %d files", json->file, MAX_PARTS);
    index->files[index->n_files++] = mapped->file.data;
    return OK;
}

static status read_index(struct index *index, struct arena *arena, struct json *json) {
    struct json_value value, key;
    bool first = true, more, has_map = false;
    TRY(json_read(json, &value));
    if (value.kind != JSON_OBJECT) return fail_index(json, "is no JSON object");
    for (;;) {
        TRY(json_member(json, &first, &more, &key));
        if (!more) break;
        TRY(json_read(json, &value));
        if (!json_is(&key, "weight_map")) {
            TRY(json_skip(json, &value));
            continue;
        }
        if (has_map || value.kind != JSON_OBJECT)
            return fail_index(json, "'weight_map' is there twice, or no JSON object");
        has_map = true;
        bool first_tensor = true;
        for (;;) {
            TRY(json_member(json, &first_tensor, &more, &key));
            if (!more) break;
            TRY(add_mapped(index, arena, json, &key));
        }
    }
    TRY(json_end(json));
    return index->n_files ? OK : fail_index(json, "'weight_map' names no file");
}

static const char *tensor_key(const void *owner, uint32_t index, size_t *length) {
    const struct hf *hf = owner;
    *length = hf->tables.tensors.items[index].name.length;
    return hf->tables.tensors.items[index].name.data;
}

/* Each tensor once in all parts; where there is an index, those it names and no others. */
static status check_names(struct hf *hf, const struct index *index) {
    const struct tensor_table *table = &hf->tables.tensors;
    struct map map;
    map_init(&map, hf->memory);
    status result = map_reserve(&map, table->count);
    for (size_t i = 0; result == OK && i < table->count; i++) {
        int64_t present;
        struct text name = table->items[i].name;
        result = map_add(&map, hf, tensor_key, (uint32_t)i, &present);
        if (result == OK && present >= 0)
            result = fail(FORMAT, "%s: tensor '%.*s' is there twice, first in %s",
                          hf->parts[table->items[i].part].file.name,
                          name.length < 200 ? (int)name.length : 200, name.data,
                          hf->parts[table->items[present].part].file.name);
    }
    for (size_t i = 0; result == OK && index && i < index->count; i++) {
        struct text name = index->items[i].tensor, file = index->items[i].file;
        int64_t at = map_find(&map, hf, tensor_key, name.data, name.length);
        const char *path = at < 0 ? "" : hf->parts[table->items[at].part].file.name;
        if (strcmp(path + folder_of(path), file.data) != 0)
            result = fail(FORMAT, "%s: its index has tensor '%.*s' in %s, which lacks it", hf->path,
                          name.length < 200 ? (int)name.length : 200, name.data, file.data);
    }
    if (result == OK && index && index->count != table->count)
        result = fail(FORMAT, "%s: its index names %zu tensors, its parts have %zu", hf->path,
                      index->count, table->count);
    map_free(&map);
    return result;
}

static status open_indexed(struct hf *hf, struct index *index, struct arena *arena) {
    const char *path;
    void *bytes = NULL;
    size_t size;
    TRY(name_file(hf, "model.safetensors.index.json", &path));
    TRY(read_whole(hf, path, INDEX_MAX_BYTES, hf->memory, &bytes, &size));
    struct json json = {.file = path, .bytes = bytes, .size = size};
    status result = read_index(index, arena, &json);
    memory_give(hf->memory, bytes);
    TRY(result);
    TRY(take_parts(hf, index->n_files));
    for (int i = 0; i < index->n_files; i++) {
        TRY(name_file(hf, index->files[i], &path));
        TRY(open_part(hf, path));
    }
    return check_names(hf, index);
}

static status fail_without_weights(struct hf *hf) {
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        bool has;
        TRY(hf_has_file(hf, pickles[i], &has));
        if (has)
            return fail(UNSUPPORTED,
                        "%s: has its weights in %s, a PyTorch pickle, which is a program and is "
                        "not read; convert it to safetensors: save_pretrained of Hugging Face "
                        "transformers writes them",
                        hf->path, pickles[i]);
    }
    return fail(NOT_FOUND, "%s: has neither model.safetensors nor model.safetensors.index.json",
                hf->path);
}

static status open_parts(struct hf *hf) {
    bool has;
    const char *path;
    TRY(hf_has_file(hf, "model.safetensors", &has));
    if (has) {
        TRY(take_parts(hf, 1));
        TRY(name_file(hf, "model.safetensors", &path));
        TRY(open_part(hf, path));
        return check_names(hf, NULL);
    }
    TRY(hf_has_file(hf, "model.safetensors.index.json", &has));
    if (!has) return fail_without_weights(hf);
    struct arena arena = {.memory = hf->memory};
    struct index *index;
    TRY(MEMORY_TAKE_ONE(hf->memory, "a model's index", &index));
    index->hf = hf;
    status result = open_indexed(hf, index, &arena);
    arena_free(&arena);
    memory_give(hf->memory, index->items);
    memory_give(hf->memory, index);
    return result;
}

static status add_vectors(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    size_t needed = table->count + (size_t)hf->n_vectors;
    if (needed > table->capacity) {
        struct tensor *items;
        TRY(MEMORY_TAKE_ARRAY(hf->memory, needed, "the tensors' table", &items));
        if (table->count) memcpy(items, table->items, table->count * sizeof *items);
        memory_give(hf->memory, table->items);
        table->items = items;
        table->capacity = needed;
    }
    for (int i = 0; i < hf->n_vectors; i++) {
        const struct hf_vector *vector = &hf->vectors[i];
        size_t bytes = (size_t)vector->n * sizeof *vector->values;
        file_open_memory(&hf->parts[hf->n_parts].file, vector->name, vector->values, bytes);
        table->items[table->count++] = (struct tensor){
            .name = {vector->name, strlen(vector->name)},
            .type = WEIGHT_F32,
            .n_dims = 1,
            .dims = {vector->n, 1, 1, 1},
            .bytes = bytes,
            .part = hf->n_parts++,
        };
    }
    return OK;
}

status hf_open(struct hf *hf, struct memory *memory, const struct checkpoint_options *options) {
    const char *path = options->path, *config;
    *hf = (struct hf){.memory = memory, .options = options, .path = path};
    hf->arena.memory = memory;
    hf->folder_length = is_file_of_folder(path) ? folder_of(path) : strlen(path);
    hf->add_slash = hf->folder_length > 0 && path[hf->folder_length - 1] != '/';
    void *bytes = NULL;
    size_t size;
    bool has;
    TRY(hf_has_file(hf, "config.json", &has));
    if (!has)
        return fail(NOT_FOUND, "%s: there is no config.json, so it is no Hugging Face model", path);
    TRY(name_file(hf, "config.json", &config));
    TRY(read_whole(hf, config, HF_CONFIG_MAX_BYTES, memory, &bytes, &size));
    status result = hf_config_parse(&hf->config, &hf->arena, config, bytes, size);
    if (result == OK) result = hf_metadata_make(hf);
    if (result == OK) result = hf_sentence_make(hf);
    if (result == OK) result = hf_tokenizer_make(hf);
    if (result == OK) result = hf_chat_make(hf);
    if (result == OK) result = hf_generation_make(hf);
    if (result == OK) result = open_parts(hf);
    if (result == OK) result = hf_quantized_gather(hf);
    if (result == OK) result = hf_tensors_rename(hf);
    if (result == OK) result = add_vectors(hf);
    hf->config = (struct hf_config){0}; /* it was of these bytes */
    memory_give(memory, bytes);
    return result;
}

void hf_close(struct hf *hf) {
    if (!hf->memory) return;
    for (int i = 0; i < hf->n_parts; i++) part_close(&hf->parts[i], hf->memory);
    memory_give(hf->memory, hf->parts);
    memory_give(hf->memory, hf->tables.tensors.items);
    memory_give(hf->memory, hf->tables.dtypes);
    memory_give(hf->memory, hf->metadata.items);
    arena_free(&hf->arena);
    *hf = (struct hf){0};
}

/* ---- adapters ---- */

static bool is_file_of_adapter(const char *path) {
    const char *name = path + folder_of(path);
    return strcmp(name, "adapter_config.json") == 0 ||
           strcmp(name, "adapter_model.safetensors") == 0 || strcmp(name, "adapter_model.bin") == 0;
}

bool hf_is_adapter_path(const struct checkpoint_options *options) {
    return hf_is_path(options) ||
           (options->path && !options->data && is_file_of_adapter(options->path));
}

static status open_adapter_part(struct hf *hf) {
    bool has;
    const char *path;
    TRY(hf_has_file(hf, "adapter_model.safetensors", &has));
    if (has) {
        TRY(take_parts(hf, 1));
        TRY(name_file(hf, "adapter_model.safetensors", &path));
        TRY(open_part(hf, path));
        return check_names(hf, NULL);
    }
    TRY(hf_has_file(hf, "adapter_model.bin", &has));
    if (has)
        return fail(UNSUPPORTED,
                    "%s: has its weights in adapter_model.bin, a PyTorch pickle, which is a "
                    "program and is not read; save_pretrained of PEFT writes safetensors",
                    hf->path);
    return fail(NOT_FOUND, "%s: has no adapter_model.safetensors", hf->path);
}

status hf_open_adapter(struct hf *hf, struct memory *memory,
                       const struct checkpoint_options *options, const struct hf_base *base) {
    const char *path = options->path, *config;
    *hf = (struct hf){.memory = memory, .options = options, .path = path};
    hf->arena.memory = memory;
    hf->folder_length = is_file_of_adapter(path) ? folder_of(path) : strlen(path);
    hf->add_slash = hf->folder_length > 0 && path[hf->folder_length - 1] != '/';
    void *bytes = NULL;
    size_t size;
    bool has;
    TRY(hf_has_file(hf, "adapter_config.json", &has));
    if (!has)
        return fail(NOT_FOUND, "%s: there is no adapter_config.json, so it is no PEFT adapter",
                    path);
    TRY(name_file(hf, "adapter_config.json", &config));
    TRY(read_whole(hf, config, HF_CONFIG_MAX_BYTES, memory, &bytes, &size));
    status result = hf_config_parse(&hf->config, &hf->arena, config, bytes, size);
    if (result == OK) result = hf_adapter_metadata(hf);
    if (result == OK) result = open_adapter_part(hf);
    if (result == OK) result = hf_adapter_rename(hf, base);
    hf->config = (struct hf_config){0}; /* it was of these bytes */
    memory_give(memory, bytes);
    return result;
}
