/* Tokenizers of every kind that tokenizer.json can describe, over 10,000 strings, against hashes of
 * what Hugging Face tokenizers makes of them: tests/goldens/make_tokenizer_json.py wrote those, and
 * makes the same strings. test_tokenizer_json export: each as the metadata of a GGUF file, which
 * must give the same tokens as the folder, by tokenizer.json and by GGUF's own keys. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/tokenizer_folder.h"
#include "format/metadata_table.h"
#include "tokenizer/export.h"
#include "tokenizer/text_stream.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

#define FOLDER SOURCE_ROOT "/tests/goldens/tokenizer_json/"

enum { STRINGS = 10000, BLOCK = 250, N_BLOCKS = STRINGS / BLOCK, MODES = 3, MOST_ATOMS = 4096 };

struct string {
    char *bytes;
    size_t length;
};

static struct string atoms[MOST_ATOMS], strings[STRINGS + 1];
static size_t n_atoms;
static struct memory memory;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void *allocate(size_t size) {
    void *block = malloc(size + 1);
    if (!block) die("no memory");
    return block;
}

static char *read_file(const char *name, size_t *size) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    if (!file) die("%s: can't be opened", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = allocate(*size);
    if (fread(bytes, 1, *size, file) != *size) die("%s: can't be read", path);
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

/* ---- the strings, as the script makes them ---- */

static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n) {
    return (size_t)(next(state) % n);
}

static void append(struct string *string, const char *bytes, size_t n) {
    memcpy(string->bytes + string->length, bytes, n);
    string->length += n;
}

static struct string make_string(uint64_t index) {
    static char bytes[1 << 16];
    struct string string = {bytes, 0};
    uint64_t state = index;
    if (below(&state, 50) == 0) {
        const struct string *atom = &atoms[below(&state, n_atoms)];
        for (size_t n = 100 + below(&state, 400); n > 0; n--)
            append(&string, atom->bytes, atom->length);
        atom = &atoms[below(&state, n_atoms)];
        append(&string, atom->bytes, atom->length);
    } else {
        for (size_t n = below(&state, 14); n > 0; n--) {
            const struct string *atom = &atoms[below(&state, n_atoms)];
            append(&string, atom->bytes, atom->length);
            if (below(&state, 3) == 0) append(&string, " ", 1);
        }
    }
    char *copy = allocate(string.length);
    memcpy(copy, string.bytes, string.length);
    string.bytes = copy;
    return string;
}

static void read_atoms(void) {
    size_t size;
    char *file = read_file("atoms.txt", &size);
    for (char *line = file; *line; n_atoms++) {
        char *end = strchr(line, '\n');
        size_t n = (size_t)(end - line) / 2;
        if (n_atoms == MOST_ATOMS || n > 120) die("atoms.txt has too many or too long ones");
        atoms[n_atoms] = (struct string){allocate(n), n};
        for (size_t i = 0; i < n; i++) {
            unsigned byte;
            if (sscanf(line + 2 * i, "%2x", &byte) != 1) die("atoms.txt is no hex");
            atoms[n_atoms].bytes[i] = (char)byte;
        }
        line = end + 1;
    }
    free(file);
}

static uint64_t add_to_hash(uint64_t value, const void *data, size_t n) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++) value = (value ^ bytes[i]) * 0x100000001b3u;
    return value;
}

/* ---- one case ---- */

enum { MOST_TOKENS = 1 << 20 };
static int32_t ids[MOST_TOKENS], types[MOST_TOKENS];

static size_t encode(const struct pipeline *pipeline, const struct string *first,
                     const struct string *second, bool add_special, bool parse_special) {
    struct text texts[2];
    void *copies[2] = {NULL, NULL};
    struct encoder encoder = {.memory = &memory, .ids = ids, .capacity = MOST_TOKENS};
    status result =
        utf8_repair(&memory, (struct text){first->bytes, first->length}, &texts[0], &copies[0]);
    if (result == OK && second)
        result = utf8_repair(&memory, (struct text){second->bytes, second->length}, &texts[1],
                             &copies[1]);
    const struct pipeline_input input = {texts[0], second ? &texts[1] : NULL, add_special,
                                         parse_special};
    if (result == OK) result = pipeline_encode(pipeline, &encoder, &input, types);
    if (result != OK) die("encode: %s", status_text());
    if (encoder.count > MOST_TOKENS) die("more tokens than expected");
    encoder_close(&encoder);
    memory_give(&memory, copies[0]);
    memory_give(&memory, copies[1]);
    return encoder.count;
}

/* As a stream of text: what is no character becomes U+FFFD. */
static uint64_t hash_text(const struct pipeline *pipeline, uint64_t hash, size_t n, bool special) {
    struct detokenize_state state = {.started = false};
    struct utf8_stream stream = {.n_held = 0};
    static char bytes[1 << 12], text[3 * (sizeof bytes + 3)];
    for (size_t i = 0; i < n; i++) {
        const struct added_token *added = pipeline->added_of[ids[i]];
        bool control = added && added->flags & ADDED_SPECIAL &&
                       added->form.length == added->content.length &&
                       memcmp(added->form.data, added->content.data, added->form.length) == 0;
        if (control && !special) continue;
        size_t length =
            decode_token(&pipeline->decode, &state, (uint32_t)ids[i], bytes, sizeof bytes);
        if (length > pipeline->decode.longest) die("a token is longer than the longest");
        hash = add_to_hash(hash, text, utf8_stream_push(&stream, bytes, length, text));
    }
    hash = add_to_hash(hash, text, utf8_stream_finish(&stream, text));
    return add_to_hash(hash, "\xff", 1);
}

static uint64_t hash_string(const struct pipeline *pipeline, uint64_t hash, size_t i, int mode) {
    if (mode == 2) {
        if (i % 5) return hash;
        size_t n = encode(pipeline, &strings[i], &strings[i + 1], true, true);
        hash = add_to_hash(hash, ids, n * sizeof *ids);
        return add_to_hash(hash, types, n * sizeof *types);
    }
    size_t n = encode(pipeline, &strings[i], NULL, mode == 0, mode == 0);
    hash = add_to_hash(hash, ids, n * sizeof *ids);
    return hash_text(pipeline, hash, n, mode != 0);
}

static char *make_file(const char *model, const char *members, size_t *size) {
    char name[128];
    size_t n_model;
    snprintf(name, sizeof name, "%s.json", model);
    char *text = read_file(name, &n_model);
    size_t capacity = n_model + strlen(members) + 64;
    char *file = allocate(capacity);
    *size =
        (size_t)snprintf(file, capacity, "{\"version\":\"1.0\",\"model\":%s,%s}", text, members);
    free(text);
    return file;
}

static struct pipeline *open_case(const char *model, const char *members) {
    size_t size;
    char *file = make_file(model, members, &size);
    struct tokenizer_json reader;
    struct pipeline *pipeline = NULL;
    status result = tokenizer_json_open(&reader, &memory, "tokenizer.json", file, size, 1000);
    if (result == OK) result = tokenizer_json_finish(&reader, &pipeline);
    tokenizer_json_close(&reader);
    if (result != OK) die("open: %s", status_text());
    free(file);
    return pipeline;
}

/* line: "sample INDEX ID ID ..." */
static bool check_sample(const struct pipeline *pipeline, char *line) {
    size_t i = strtoul(line, &line, 10), n = encode(pipeline, &strings[i], NULL, true, true), k = 0;
    while (*line) {
        int32_t id = (int32_t)strtol(line, &line, 10);
        if (k >= n || ids[k++] != id) return false;
    }
    return k == n;
}

/* TEST_SHARE: one in so many of the blocks of strings is enough. */
static size_t every_block(void) {
    const char *share = getenv("TEST_SHARE");
    return share && atoi(share) > 1 ? (size_t)atoi(share) : 1;
}

/* line: "hash MODE HASH HASH ..." */
static int check_hashes(const struct pipeline *pipeline, const char *name, char *line) {
    int mode = (int)strtol(line, &line, 10), wrong = 0;
    for (size_t block = 0; block < N_BLOCKS; block++) {
        uint64_t wanted = strtoull(line, &line, 16), hash = 0xcbf29ce484222325u;
        if ((block + (size_t)mode) % every_block()) continue;
        for (size_t i = block * BLOCK; i < (block + 1) * BLOCK; i++)
            hash = hash_string(pipeline, hash, i, mode);
        if (hash >> 32 == wanted) continue;
        if (wrong++ == 0)
            printf("%s: mode %d, strings %zu ... %zu differ\n", name, mode, block * BLOCK,
                   (block + 1) * BLOCK - 1);
    }
    return wrong;
}

/* ---- as a GGUF file ---- */

enum { ROWS = 3000, EXPORT_STRINGS = 1500 };

struct files {
    const char *tokenizer, *config;
    size_t size;
};

static size_t file_of(const struct files *files, const char *name, const char **bytes) {
    static char tensors[4096];
    *bytes = tiny_config;
    if (strcmp(name, "config.json") == 0) return sizeof tiny_config - 1;
    *bytes = tensors;
    if (strcmp(name, "model.safetensors") == 0) return tiny_tensors(tensors);
    *bytes = files->config;
    if (strcmp(name, "tokenizer_config.json") == 0) return strlen(files->config);
    *bytes = files->tokenizer;
    return strcmp(name, "tokenizer.json") == 0 ? files->size : 0;
}

static int64_t size_of(void *user, const char *name) {
    const char *bytes;
    size_t size = file_of(user, name, &bytes);
    return size ? (int64_t)size : -1;
}

static int64_t read_from(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    const char *bytes;
    file_of(user, name, &bytes);
    memcpy(buffer, bytes + offset, (size_t)n);
    return (int64_t)n;
}

static size_t encode_by(const struct tokenizer *tokenizer, size_t i, bool special, int32_t *to) {
    size_t n;
    struct tokenize_flags flags = {.add_special = special, .parse_special = special};
    struct text text = {strings[i].bytes, strings[i].length};
    if (tokenizer_encode(tokenizer, &memory, text, flags, to, MOST_TOKENS, &n) != OK)
        die("encode: %s", status_text());
    return n;
}

/* Strings that two tokenizers differ on; special: control tokens are found, and put around. */
static int count_differences(const struct tokenizer *one, const struct tokenizer *other,
                             bool special) {
    int wrong = 0;
    for (size_t i = 0; i < EXPORT_STRINGS; i++) {
        size_t n = encode_by(one, i, special, ids), m = encode_by(other, i, special, types);
        wrong += n != m || memcmp(ids, types, n * sizeof *ids) != 0;
    }
    return wrong;
}

/* The metadata without tokenizer.json: what other readers of GGUF have. */
static struct checkpoint *without_json(const struct checkpoint *keys, struct arena *arena) {
    struct metadata_table table = {0};
    const struct metadata_maker maker = {&table, arena};
    const struct metadata *entry;
    struct checkpoint *made = NULL;
    for (size_t i = 0; (entry = checkpoint_metadata_at(keys, i)) != NULL; i++)
        if (memcmp(entry->key.data, "tokenizer.huggingface.", 22) != 0 &&
            metadata_add(&maker, entry) != OK)
            die("no memory");
    if (checkpoint_of_metadata(&memory, "keys", &table, &made) != OK) die("%s", status_text());
    return made;
}

/* What the case is to become; NULL: no tokenizer of GGUF is one like it. */
static const char *kind_of_case(const char *name) {
    static const char *const kinds[][2] = {
        {"gpt2", "gpt2 gpt-2"},
        {"llama3", "gpt2 llama3"},
        {"qwen2", "gpt2 qwen2"},
        {"o200k", "gpt2 granite-embed-multi-97m"},
        {"deepseek", "gpt2 deepseek-v3"},
        {"starcoder", "gpt2 smollm"},
        {"llama2", "llama"},
        {"llama2-normalized", "llama"},
        {"gemma", "llama"},
        {"mistral", "llama"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i][0], name) == 0) return kinds[i][1];
    return NULL;
}

static bool is_kind(const struct checkpoint *keys, const char *wanted) {
    struct text model = {"", 0}, pre = {"", 0};
    char kind[64];
    bool found;
    if (checkpoint_read_text(keys, "tokenizer.ggml.model", &found, &model) != OK ||
        checkpoint_read_text(keys, "tokenizer.ggml.pre", &found, &pre) != OK)
        die("%s", status_text());
    snprintf(kind, sizeof kind, "%.*s%s%.*s", (int)model.length, model.data, found ? " " : "",
             (int)pre.length, pre.data);
    if (strcmp(kind, wanted ? wanted : "") == 0) return true;
    printf("is '%s' in GGUF, not '%s'\n", kind, wanted ? wanted : "");
    return false;
}

static int check_export(const char *name, const char *model, const char *members) {
    struct files files = {.config = "{}"};
    char *file = make_file(model, members, &files.size);
    files.tokenizer = file;
    const transformer_reader reader = {size_of, read_from, &files};
    struct checkpoint_options options = {.path = "", .reader = &reader};
    struct checkpoint *folder, *keys = NULL;
    struct tokenizer *ours, *embedded = NULL, *own = NULL;
    struct tokenizer_export export;
    struct log log = {NULL, NULL};
    int wrong = 0;
    if (checkpoint_open(&memory, &options, &folder) != OK ||
        tokenizer_open(&memory, folder, ROWS, &ours) != OK ||
        tokenizer_export(&memory, &log, folder, ours, ROWS, &export) != OK ||
        tokenizer_open(&memory, export.keys, ROWS, &embedded) != OK)
        die("%s: %s", name, status_text());
    for (int special = 0; special < 2; special++)
        wrong += count_differences(ours, embedded, special);
    if (wrong) printf("%s: %d texts differ by tokenizer.json in GGUF\n", name, wrong);
    keys = without_json(export.keys, &export.arena);
    if (tokenizer_open(&memory, keys, ROWS, &own) != OK) die("%s: %s", name, status_text());
    if (!is_kind(keys, kind_of_case(name))) {
        printf("^ %s\n", name);
        wrong++;
    }
    int differ = own ? count_differences(ours, own, false) : 0;
    if (differ) printf("%s: %d of %d texts differ by GGUF's keys\n", name, differ, EXPORT_STRINGS);
    tokenizer_close(own);
    checkpoint_close(keys);
    tokenizer_close(embedded);
    tokenizer_export_close(&export);
    tokenizer_close(ours);
    checkpoint_close(folder);
    free(file);
    return wrong;
}

int main(int argc, char **argv) {
    bool exports = argc > 1 && strcmp(argv[1], "export") == 0;
    int wrong = 0, n_cases = 0;
    memory_init(&memory, NULL);
    read_atoms();
    for (size_t i = 0; i <= STRINGS; i++) strings[i] = make_string(i);
    size_t size;
    char *cases = read_file("cases.txt", &size), name[64] = "", model[64] = "";
    struct pipeline *pipeline = NULL;
    for (char *line = cases, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        if (sscanf(line, "case %63s %63s", name, model) == 2) {
            n_cases++;
        } else if (strncmp(line, "json ", 5) == 0 && exports) {
            wrong += check_export(name, model, line + 5);
        } else if (exports) {
            continue;
        } else if (strncmp(line, "json ", 5) == 0) {
            pipeline_close(pipeline);
            pipeline = open_case(model, line + 5);
        } else if (strncmp(line, "sample ", 7) == 0) {
            if (!check_sample(pipeline, line + 7)) {
                printf("%s: a sample differs: %.60s\n", name, line);
                wrong++;
            }
        } else if (strncmp(line, "hash ", 5) == 0) {
            wrong += check_hashes(pipeline, name, line + 5);
        } else {
            die("cases.txt: %.60s", line);
        }
    }
    pipeline_close(pipeline);
    if (memory.bytes != 0) die("%llu bytes are still taken", (unsigned long long)memory.bytes);
    for (size_t i = 0; i < n_atoms; i++) free(atoms[i].bytes);
    for (size_t i = 0; i <= STRINGS; i++) free(strings[i].bytes);
    free(cases);
    printf("%d tokenizers, %d strings each: %d blocks or samples differ\n", n_cases, STRINGS,
           wrong);
    return wrong || n_cases == 0;
}
