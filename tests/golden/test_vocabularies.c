/* Vocabularies of tests/goldens/data/vocabularies: the ids of 10,000 generated texts, as hashes of
 * blocks, against those that the programs give which the vocabularies are of.
 *
 * usage: test_vocabularies [NAME ...]; test_vocabularies -d PATH FIRST COUNT writes ids of a file
 * or folder: one line a text. */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "../unit/generated_text.h"
#include "../unit/tokenizer_folder.h"

#define FOLDER SOURCE_ROOT "/tests/goldens/data/vocabularies/"
enum { MOST_TOKENS = GENERATED_MOST_BYTES + 16, MOST_LINE = 1 << 20 };

static struct generated generated;
static int32_t ids[MOST_TOKENS];

static void must(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, status_text());
    exit(1);
}

static size_t encode(struct tokenizer_folder *opened, uint64_t index, bool special) {
    generated_text(&generated, 1, index);
    size_t count;
    struct tokenize_flags flags = {.add_special = special};
    must(tokenizer_encode(opened->tokenizer, &opened->memory,
                          (struct text){generated.bytes, generated.n}, flags, ids, MOST_TOKENS,
                          &count) == OK,
         "encode");
    return count;
}

/* skip [GENERATED_TEXTS]: texts that are left out. */
static uint64_t block_hash(struct tokenizer_folder *opened, uint64_t begin, bool special,
                           const uint8_t *skip) {
    uint64_t hash = GENERATED_HASH_START;
    for (uint64_t i = begin; i < begin + GENERATED_BLOCK; i++) {
        if (skip[i]) continue;
        size_t count = encode(opened, i, special);
        hash = generated_hash(hash, (uint32_t)count);
        for (size_t k = 0; k < count; k++) hash = generated_hash(hash, (uint32_t)ids[k]);
    }
    return hash;
}

/* "INDEX ID ID ..." as encode gives it */
static int same_sample(struct tokenizer_folder *opened, char *line, bool special) {
    char *at;
    uint64_t index = strtoull(line, &at, 10);
    size_t count = encode(opened, index, special), n = 0;
    for (; *at == ' '; n++) {
        long id = strtol(at, &at, 10);
        if (n < count && ids[n] != id) {
            printf("  text %" PRIu64 ": token %zu is %d, not %ld\n", index, n, ids[n], id);
            return 0;
        }
    }
    if (n != count) printf("  text %" PRIu64 ": %zu tokens, not %zu\n", index, count, n);
    return n == count;
}

/* The golden's lines: "special 0|1", "skip INDEX" of texts that are left out, "hash HEX" of each
 * block in turn, "text INDEX IDS". */
static int check(const char *name) {
    static char path[1024], line[MOST_LINE];
    struct tokenizer_folder opened;
    struct stat info;
    snprintf(path, sizeof path, FOLDER "%s.gguf", name);
    if (stat(path, &info)) snprintf(path, sizeof path, FOLDER "%s", name);
    must(tokenizer_folder_open(&opened, path) == OK, name);
    snprintf(path, sizeof path, FOLDER "%s.ids", name);
    FILE *file = fopen(path, "r");
    must(file != NULL, path);
    int n_blocks = 0, n_wrong = 0, n_samples = 0, n_skipped = 0, special = 0;
    static uint8_t skip[GENERATED_TEXTS];
    unsigned index;
    memset(skip, 0, sizeof skip);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "special %d", &special) == 1) continue;
        if (sscanf(line, "skip %u", &index) == 1 && index < GENERATED_TEXTS) {
            skip[index] = 1;
            n_skipped++;
        } else if (strncmp(line, "hash ", 5) == 0 && n_blocks < GENERATED_TEXTS / GENERATED_BLOCK) {
            uint64_t first = (uint64_t)n_blocks++ * GENERATED_BLOCK;
            n_wrong += block_hash(&opened, first, special, skip) != strtoull(line + 5, NULL, 16);
        } else if (strncmp(line, "text ", 5) == 0) {
            n_wrong += !same_sample(&opened, line + 5, special);
            n_samples++;
        }
    }
    fclose(file);
    tokenizer_folder_close(&opened);
    int right = n_blocks == GENERATED_TEXTS / GENERATED_BLOCK && n_samples > 0 &&
                n_skipped < GENERATED_TEXTS / 20 && n_wrong == 0;
    printf("%s %s: %d blocks, %d samples, %d left out, %d wrong\n", right ? "ok  " : "FAIL", name,
           n_blocks, n_samples, n_skipped, n_wrong);
    return right;
}

static int dump(const char *path, uint64_t first, uint64_t count) {
    struct tokenizer_folder opened;
    must(tokenizer_folder_open(&opened, path) == OK, path);
    for (uint64_t i = first; i < first + count; i++) {
        size_t n = encode(&opened, i, getenv("SPECIAL") != NULL);
        for (size_t k = 0; k < n; k++) printf("%s%d", k ? " " : "", ids[k]);
        printf("\n");
    }
    tokenizer_folder_close(&opened);
    return 0;
}

/* The lines of a file one by one, again and again. */
static int bench(const char *path, const char *text_path, double seconds) {
    struct tokenizer_folder opened;
    must(tokenizer_folder_open(&opened, path) == OK, path);
    FILE *file = fopen(text_path, "rb");
    must(file != NULL, text_path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file), n_tokens = 0;
    rewind(file);
    char *text = malloc(size + 1);
    int32_t *tokens = malloc((4 * size + 16) * sizeof *tokens);
    must(text && tokens && fread(text, 1, size, file) == size, text_path);
    fclose(file);
    double best = 1e9, all = 0;
    while (all < seconds) {
        clock_t start = clock();
        n_tokens = 0;
        for (size_t at = 0; at < size;) {
            char *end = memchr(text + at, '\n', size - at);
            size_t length = end ? (size_t)(end - text) - at : size - at, count;
            must(tokenizer_encode(
                     opened.tokenizer, &opened.memory, (struct text){text + at, length},
                     (struct tokenize_flags){false, false}, tokens, 4 * size + 16, &count) == OK,
                 "encode");
            n_tokens += count;
            at += length + 1;
        }
        double time = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (time < best) best = time;
        all += time;
    }
    printf("%.6f %zu\n", best, n_tokens);
    free(text);
    free(tokens);
    tokenizer_folder_close(&opened);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "-b") == 0) return bench(argv[2], argv[3], atof(argv[4]));
    if (argc == 5 && strcmp(argv[1], "-d") == 0)
        return dump(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    int n = 0, n_right = 0;
    for (int i = 1; i < argc; i++, n++) n_right += check(argv[i]);
    if (argc > 1) return n_right == n ? 0 : 1;
    DIR *folder = opendir(FOLDER);
    must(folder != NULL, FOLDER);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[256];
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 4, ".ids") != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(length - 4), entry->d_name);
        n_right += check(name);
        n++;
    }
    closedir(folder);
    printf("%d vocabularies, %d right\n", n, n_right);
    return n > 0 && n_right == n ? 0 : 1;
}
