#include "golden_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is left of a file. Its arrays are int32 and float32 after a magic of 8 bytes, so everything
 * stays aligned. */
struct cursor {
    const char *path;
    const char *data;
    int64_t left;
};

char *golden_read_bytes(const char *path, int64_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *bytes = NULL;
    long length = -1;
    if (fseek(file, 0, SEEK_END) == 0) length = ftell(file);
    if (length >= 0 && fseek(file, 0, SEEK_SET) == 0) bytes = malloc((size_t)length + 1);
    if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    if (bytes) {
        bytes[length] = 0;
        *size = length;
    }
    fclose(file);
    return bytes;
}

static const void *take(struct cursor *cursor, int64_t count) {
    if (count < 0 || count > cursor->left / 4) {
        cursor->left = -1;
        return NULL;
    }
    const void *values = cursor->data;
    cursor->data += count * 4;
    cursor->left -= count * 4;
    return values;
}

static int32_t take_count(struct cursor *cursor) {
    const int32_t *value = take(cursor, 1);
    return value ? *value : 0;
}

static bool begin(const char *path, const char *magic, struct golden *golden,
                  struct cursor *cursor) {
    *golden = (struct golden){0};
    *cursor = (struct cursor){.path = path};
    golden->bytes = golden_read_bytes(path, &cursor->left);
    cursor->data = golden->bytes;
    if (!golden->bytes || cursor->left < 8 || memcmp(cursor->data, magic, 8) != 0) {
        fprintf(stderr, "%s: can't be read, or is no such file\n", path);
        golden_free(golden);
        return false;
    }
    cursor->data += 8;
    cursor->left -= 8;
    return true;
}

static bool finish(struct golden *golden, const struct cursor *cursor) {
    if (cursor->left == 0) return true;
    fprintf(stderr, "%s: too long or too short\n", cursor->path);
    golden_free(golden);
    return false;
}

bool golden_read_logits(const char *path, struct golden *golden) {
    struct cursor cursor;
    if (!begin(path, "LOGITS1\n", golden, &cursor)) return false;
    golden->count = take_count(&cursor);
    golden->sequences = calloc((size_t)golden->count + 1, sizeof *golden->sequences);
    for (int32_t i = 0; i < golden->count && cursor.left >= 0; i++) {
        struct golden_sequence *sequence = &golden->sequences[i];
        sequence->n_tokens = take_count(&cursor);
        sequence->n_positions = take_count(&cursor);
        sequence->n_vocab = take_count(&cursor);
        sequence->tokens = take(&cursor, sequence->n_tokens);
        sequence->positions = take(&cursor, sequence->n_positions);
        sequence->logits = take(&cursor, (int64_t)sequence->n_positions * sequence->n_vocab);
    }
    return finish(golden, &cursor);
}

bool golden_read_sources(const char *path, struct golden *golden) {
    struct cursor cursor;
    if (!begin(path, "SOURCES\n", golden, &cursor)) return false;
    golden->count = take_count(&cursor);
    golden->sources = calloc((size_t)golden->count + 1, sizeof *golden->sources);
    for (int32_t i = 0; i < golden->count && cursor.left >= 0; i++) {
        struct golden_source *source = &golden->sources[i];
        source->n_source = take_count(&cursor);
        source->n_tokens = take_count(&cursor);
        source->n_vocab = take_count(&cursor);
        source->n_greedy = take_count(&cursor);
        source->n_beam = take_count(&cursor);
        source->source = take(&cursor, source->n_source);
        source->tokens = take(&cursor, source->n_tokens);
        source->greedy = take(&cursor, source->n_greedy);
        source->beam = take(&cursor, source->n_beam);
        source->logits = take(&cursor, (int64_t)source->n_tokens * source->n_vocab);
    }
    return finish(golden, &cursor);
}

bool golden_read_prompts(const char *path, struct golden *golden) {
    struct cursor cursor;
    if (!begin(path, "PROMPTS\n", golden, &cursor)) return false;
    golden->count = take_count(&cursor);
    golden->prompts = calloc((size_t)golden->count + 1, sizeof *golden->prompts);
    for (int32_t i = 0; i < golden->count && cursor.left >= 0; i++) {
        struct golden_prompt *prompt = &golden->prompts[i];
        prompt->n_tokens = take_count(&cursor);
        prompt->n_top = take_count(&cursor);
        prompt->n_greedy = take_count(&cursor);
        prompt->tokens = take(&cursor, prompt->n_tokens);
        prompt->top_ids = take(&cursor, prompt->n_top);
        prompt->top_logits = take(&cursor, prompt->n_top);
        prompt->greedy = take(&cursor, prompt->n_greedy);
        prompt->gaps = take(&cursor, prompt->n_greedy);
    }
    return finish(golden, &cursor);
}

bool golden_read_distributions(const char *path, struct golden *golden) {
    struct cursor cursor;
    if (!begin(path, "DISTRIB\n", golden, &cursor)) return false;
    struct golden_distributions *d = &golden->distributions;
    d->n_tokens = take_count(&cursor);
    d->n_positions = take_count(&cursor);
    d->k = take_count(&cursor);
    d->tokens = take(&cursor, d->n_tokens);
    d->positions = take(&cursor, d->n_positions);
    d->ids = take(&cursor, (int64_t)d->n_positions * d->k);
    d->log_probabilities = take(&cursor, (int64_t)d->n_positions * d->k);
    return finish(golden, &cursor);
}

bool golden_read_tokens(const char *path, struct golden *golden) {
    int64_t size = 0;
    *golden = (struct golden){0};
    golden->bytes = golden_read_bytes(path, &size);
    golden->tokens = golden->bytes;
    golden->count = (int32_t)(size / 4);
    if (!golden->bytes) fprintf(stderr, "%s: can't be read\n", path);
    return golden->bytes != NULL;
}

void golden_free(struct golden *golden) {
    free(golden->bytes);
    free(golden->sequences);
    free(golden->sources);
    free(golden->prompts);
    *golden = (struct golden){0};
}
