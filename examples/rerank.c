/* How well documents answer a query, by a cross-encoder: a score for each, and their order. */
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "console.h"
#include "lines.h"
#include "model.h"

struct settings {
    const char *model, *query, *documents;
    int ids;
    int32_t n_threads, device;
};

static struct settings read_settings(int argc, char **argv) {
    struct settings s = {0};
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &s.model, "a GGUF file or a Hugging Face folder, with a score",
         1},
        {"--query", ARGUMENT_TEXT, &s.query, "what is asked", 1},
        {"--documents", ARGUMENT_FILE, &s.documents,
         "a file with a document on each line; default stdin", 0},
        {"--ids", ARGUMENT_FLAG, &s.ids,
         "all of these are token ids, 1,2,3 say, separators included", 0},
        {"--threads", ARGUMENT_INT32, &s.n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &s.device, "default cpu", 0},
        {0}};
    arguments_read(argc, argv, "Prints {\"scores\":[[...]...],\"order\":[...]}, best first.",
                   table);
    return s;
}

static void append(transformer_sequence *sequence, const int32_t *tokens, int64_t count,
                   uint32_t type) {
    transformer_append_options options = {
        .struct_size = sizeof options, .logits = TRANSFORMER_LOGITS_NONE, .token_type = type};
    console_require(transformer_sequence_append(sequence, tokens, count, &options));
}

/* [CLS] query [SEP] document [SEP], the document's tokens of the second type; a model without types
 * has the separator twice between the two. */
static void append_pair(const transformer_model *model, transformer_sequence *sequence,
                        const struct settings *s, const char *document, int64_t n_types) {
    int64_t n_query = 0, n_document = 0;
    int32_t separator = -1;
    uint32_t type = n_types > 1 ? 1 : 0;
    int32_t *query = lines_tokens(model, s->query, s->ids, TRANSFORMER_DEFAULT, &n_query);
    int32_t *tokens = lines_tokens(model, document, s->ids, TRANSFORMER_OFF, &n_document);
    if (n_query == 0 || n_document == 0) console_fail("the query or a document has no tokens");
    append(sequence, query, n_query, 0);
    int separates = !s->ids && transformer_special_token(model, TRANSFORMER_TOKEN_SEPARATOR,
                                                         &separator) == TRANSFORMER_OK;
    if (separates && !type) append(sequence, &separator, 1, 0);
    append(sequence, tokens, n_document, type);
    if (separates) append(sequence, &separator, 1, type);
    free(query);
    free(tokens);
}

struct ranked {
    int64_t index;
    float score; /* the last label's */
};

static int by_score(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

int main(int argc, char **argv) {
    struct settings s = read_settings(argc, argv);
    transformer_model *model = model_open(s.model, s.device);
    transformer_model_details details = model_details(model);
    if (!details.n_labels) console_fail("%s has no score head", s.model);
    transformer_context_options options = {
        .struct_size = sizeof options, .max_sequences = 1, .n_threads = s.n_threads};
    transformer_context *context = NULL;
    console_require(transformer_context_create(model, &options, &context));
    struct lines lines = lines_read(s.documents);
    struct ranked *ranked = console_allocate(NULL, (size_t)lines.count + 1, sizeof *ranked);
    printf("{\"scores\":[");
    for (int64_t i = 0; i < lines.count; i++) {
        transformer_decode_result result = {.struct_size = sizeof result};
        transformer_sequence *sequence = NULL;
        const float *score = NULL;
        int64_t count = 0;
        console_require(transformer_sequence_create(context, NULL, &sequence));
        append_pair(model, sequence, &s, lines.texts[i], details.n_token_types);
        do console_require(transformer_decode(context, NULL, &result));
        while (result.n_pending > 0);
        console_require(transformer_sequence_score(sequence, &score, &count));
        if (i) putchar(',');
        lines_print_row(score, count);
        ranked[i] = (struct ranked){i, score[count - 1]};
        transformer_sequence_destroy(sequence);
    }
    qsort(ranked, (size_t)lines.count, sizeof *ranked, by_score);
    printf("],\"order\":[");
    for (int64_t i = 0; i < lines.count; i++)
        printf("%s%lld", i ? "," : "", (long long)ranked[i].index);
    printf("]}\n");
    console_flush();
    free(ranked);
    lines_free(&lines);
    transformer_context_destroy(context);
    transformer_model_close(model);
    return 0;
}
