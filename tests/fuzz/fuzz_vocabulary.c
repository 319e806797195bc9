/* libFuzzer target: the bytes are files of a folder's tokenizer, one after the other, each after a
 * line with its name and one with its size ("tokenizer.model\n123\n"), and a text under the name
 * "text"; or a GGUF file under the name "model.gguf". The tokenizer is opened, the text tokenized,
 * all of its tokens written out. */
#include <stdlib.h>

#include "../unit/tokenizer_folder.h"

enum { MAX_FILES = 8, MOST_TEXT = 512 };

struct files {
    struct {
        char name[64];
        const uint8_t *bytes;
        size_t size;
    } items[MAX_FILES];
    int n;
    char made[4096];
    size_t n_made;
};

static void must(bool holds) {
    if (!holds) abort();
}

static const void *find(struct files *files, const char *name, size_t *size) {
    for (int i = 0; i < files->n; i++)
        if (strcmp(files->items[i].name, name) == 0) {
            *size = files->items[i].size;
            return files->items[i].bytes;
        }
    if (strcmp(name, "config.json") == 0) {
        *size = sizeof tiny_config - 1;
        return tiny_config;
    }
    if (strcmp(name, "model.safetensors") != 0) return NULL;
    *size = files->n_made;
    return files->made;
}

static int64_t files_size(void *user, const char *name) {
    size_t size;
    return find(user, name, &size) ? (int64_t)size : -1;
}

static int64_t files_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    size_t size;
    const uint8_t *bytes = find(user, name, &size);
    must(bytes && offset + n <= size);
    memcpy(buffer, bytes + offset, (size_t)n);
    return (int64_t)n;
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

static void divide(const uint8_t *data, size_t size, struct files *files) {
    size_t at = 0;
    while (files->n < MAX_FILES) {
        char number[64];
        if (!next_line(data, size, &at, files->items[files->n].name) ||
            !next_line(data, size, &at, number))
            return;
        size_t bytes = (size_t)strtoul(number, NULL, 10);
        if (bytes > size - at) bytes = size - at;
        files->items[files->n].bytes = data + at;
        files->items[files->n++].size = bytes;
        at += bytes;
    }
}

static void check_tokens(const struct tokenizer *tokenizer) {
    size_t longest = tokenizer_max_token_bytes(tokenizer);
    char *buffer = malloc(longest + 1);
    int64_t n = tokenizer_vocab_size(tokenizer);
    for (int64_t id = 0; id < n && id < 2000; id++) {
        struct detokenize_state state = {.started = id & 1};
        must(tokenizer_token_bytes(tokenizer, &state, (int32_t)id, true, buffer, longest) <=
             longest);
    }
    free(buffer);
}

/* Counting and encoding agree, and every token is one of the vocabulary's. */
static void check_text(const struct tokenizer *tokenizer, struct memory *memory, struct text text) {
    for (int special = 0; special < 4; special++) {
        struct tokenize_flags flags = {special & 1, special & 2};
        size_t n, again;
        status result = tokenizer_encode(tokenizer, memory, text, flags, NULL, 0, &n);
        must(result == OK || result == LIMIT);
        if (result != OK) continue;
        int32_t *ids = malloc((n + 1) * sizeof *ids);
        must(tokenizer_encode(tokenizer, memory, text, flags, ids, n, &again) == OK && again == n);
        for (size_t i = 0; i < n; i++)
            must(ids[i] >= 0 && ids[i] < tokenizer_source_size(tokenizer));
        free(ids);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char usual[] =
        "Hello w\xc3\xb6rld  a\xcc\x81 <s> 12\xe2\x96\x81\n\xf0\x9f\x98\x80";
    struct files files = {.n = 0};
    files.n_made = tiny_tensors(files.made);
    divide(data, size, &files);
    struct text text = {usual, sizeof usual - 1};
    size_t n;
    const void *bytes = find(&files, "text", &n);
    if (bytes) text = (struct text){bytes, n < MOST_TEXT ? n : MOST_TEXT};
    transformer_reader reader = {.size = files_size, .read = files_read, .user = &files};
    struct checkpoint_options options = {.path = ""};
    options.data = find(&files, "model.gguf", &n);
    options.data_size = options.data ? n : 0;
    if (options.data)
        options.path = "fuzz.gguf";
    else
        options.reader = &reader;
    struct memory memory;
    memory_init(&memory, NULL);
    struct checkpoint *checkpoint = NULL;
    struct tokenizer *tokenizer = NULL;
    status result = checkpoint_open(&memory, &options, &checkpoint);
    if (result == OK) result = tokenizer_open(&memory, checkpoint, INT32_MAX, &tokenizer);
    if (result == OK && tokenizer) {
        check_tokens(tokenizer);
        check_text(tokenizer, &memory, text);
    }
    tokenizer_close(tokenizer);
    checkpoint_close(checkpoint);
    must(memory.bytes == 0);
    return 0;
}
