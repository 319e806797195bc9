/* Texts to vectors, as JSON; and how near they are to each other. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "console.h"
#include "lines.h"
#include "model.h"

struct settings {
    const char *model, *texts, *pooling;
    int ids, normalize, cosine;
    int32_t n_threads, device;
};

static struct settings read_settings(int argc, char **argv) {
    struct settings s = {0};
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &s.model, "a GGUF file or a Hugging Face folder", 1},
        {"--texts", ARGUMENT_FILE, &s.texts, "a file with a text on each line; default stdin", 0},
        {"--ids", ARGUMENT_FLAG, &s.ids, "its lines are token ids, 1,2,3 say", 0},
        {"--pooling", ARGUMENT_TEXT, &s.pooling,
         "mean, first or last; default: the model's own, or mean", 0},
        {"--normalize", ARGUMENT_FLAG, &s.normalize, "divide each vector by its length", 0},
        {"--cosine", ARGUMENT_FLAG, &s.cosine, "add the cosines between all of them", 0},
        {"--threads", ARGUMENT_INT32, &s.n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &s.device, "default cpu", 0},
        {0}};
    arguments_read(argc, argv, "Prints {\"embeddings\":[[...]...]}, a vector for each text.",
                   table);
    return s;
}

static uint32_t pooling_of(const char *name, const transformer_model_details *details) {
    if (!name)
        return details->pooling == TRANSFORMER_POOLING_NONE ? TRANSFORMER_POOLING_MEAN
                                                            : TRANSFORMER_POOLING_DEFAULT;
    if (strcmp(name, "mean") == 0) return TRANSFORMER_POOLING_MEAN;
    if (strcmp(name, "first") == 0) return TRANSFORMER_POOLING_FIRST;
    if (strcmp(name, "last") == 0) return TRANSFORMER_POOLING_LAST;
    console_usage_error("--pooling is '%s', must be mean, first or last", name);
}

/* The vector of one text, to vector [n_embd]. */
static void embed(transformer_context *context, const int32_t *tokens, int64_t n_tokens,
                  int64_t n_embd, float *vector) {
    transformer_append_options none = {.struct_size = sizeof none,
                                       .logits = TRANSFORMER_LOGITS_NONE};
    transformer_decode_result result = {.struct_size = sizeof result};
    transformer_sequence *sequence = NULL;
    const float *view = NULL;
    int64_t count = 0;
    console_require(transformer_sequence_create(context, NULL, &sequence));
    console_require(transformer_sequence_append(sequence, tokens, n_tokens, &none));
    do console_require(transformer_decode(context, NULL, &result));
    while (result.n_pending > 0);
    console_require(transformer_sequence_pooled(sequence, &view, &count));
    memcpy(vector, view, (size_t)n_embd * sizeof *vector);
    transformer_sequence_destroy(sequence);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void print_cosines(const float *vectors, int64_t count, int64_t n) {
    printf(",\"cosine\":[");
    for (int64_t i = 0; i < count; i++) {
        printf("%s[", i ? "," : "");
        for (int64_t j = 0; j < count; j++) {
            const float *a = vectors + i * n, *b = vectors + j * n;
            double lengths = sqrt(dot(a, a, n) * dot(b, b, n));
            printf("%s%.6f", j ? "," : "", lengths > 0 ? dot(a, b, n) / lengths : 0.0);
        }
        putchar(']');
    }
    putchar(']');
}

/* [count][n_embd] */
static float *embed_all(const struct settings *s, transformer_context *context,
                        const transformer_model *model, const struct lines *lines, int64_t n_embd) {
    float *vectors =
        console_allocate(NULL, (size_t)lines->count * (size_t)n_embd + 1, sizeof *vectors);
    for (int64_t i = 0; i < lines->count; i++) {
        int64_t n_tokens = 0;
        int32_t *tokens =
            lines_tokens(model, lines->texts[i], s->ids, TRANSFORMER_DEFAULT, &n_tokens);
        if (n_tokens == 0) console_fail("line %lld has no tokens", (long long)i + 1);
        embed(context, tokens, n_tokens, n_embd, vectors + i * n_embd);
        free(tokens);
    }
    return vectors;
}

/* Only once all are there: a failure leaves no half of a line. */
static void print_all(const struct settings *s, const float *vectors, int64_t count,
                      int64_t n_embd) {
    printf("{\"embeddings\":[");
    for (int64_t i = 0; i < count; i++) {
        if (i) putchar(',');
        lines_print_row(vectors + i * n_embd, n_embd);
    }
    putchar(']');
    if (s->cosine) print_cosines(vectors, count, n_embd);
    printf("}\n");
}

int main(int argc, char **argv) {
    struct settings s = read_settings(argc, argv);
    transformer_model *model = model_open(s.model, s.device);
    transformer_model_details details = model_details(model);
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequences = 1,
                                           .n_threads = s.n_threads,
                                           .pooling = pooling_of(s.pooling, &details),
                                           .pooling_normalize =
                                               s.normalize ? TRANSFORMER_ON : TRANSFORMER_DEFAULT};
    transformer_context *context = NULL;
    console_require(transformer_context_create(model, &options, &context));
    struct lines lines = lines_read(s.texts);
    float *vectors = embed_all(&s, context, model, &lines, details.n_embd);
    print_all(&s, vectors, lines.count, details.n_embd);
    console_flush();
    free(vectors);
    lines_free(&lines);
    transformer_context_destroy(context);
    transformer_model_close(model);
    return 0;
}
