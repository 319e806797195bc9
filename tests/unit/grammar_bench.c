/* What a mask costs with 150,000 tokens: microseconds of CPU time for a place that is new, and for one that was
 * there before. Not part of the tests. usage: grammar_bench [N_TOKENS] */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "grammar_vocabulary.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"id\":{\"type\":"
    "\"integer\"},"
    "\"value\":{\"enum\":[\"a\",\"the\",null]},\"more\":{\"type\":\"array\",\"items\":{\"$ref\":\"#"
    "\"}}},"
    "\"required\":[\"name\",\"id\",\"value\"],\"additionalProperties\":false}";

int main(int argc, char **argv) {
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 150000;
    struct memory memory;
    struct grammar *grammar = NULL;
    struct grammar_reader reader;
    memory_init(&memory, NULL);
    double start = now();
    struct vocabulary *vocabulary = grammar_vocabulary(&memory, n, 1);
    printf("trie of %u tokens: %.0f us, %u nodes\n", n, now() - start, vocabulary->n_nodes);
    struct grammar_source source = {.json_schema = schema, .length = strlen(schema)};
    start = now();
    if (grammar_open(&memory, &source, vocabulary, &grammar) != OK) return EXIT_FAILURE;
    printf("grammar: %.0f us\n", now() - start);
    float *logits = calloc(n, sizeof *logits), *masked = calloc(n, sizeof *masked);
    for (uint32_t i = 0; i < n; i++) logits[i] = 1;
    for (int round = 0; round < 4; round++) {
        uint64_t seed = 3;
        double most = 0, all = 0;
        int64_t n_masks = 0;
        for (int text = 0; text < 20; text++) {
            if (grammar_enter(grammar, &reader) != OK) return EXIT_FAILURE;
            for (int step = 0; step < 100; step++) {
                int32_t token;
                double before = now();
                if (grammar_apply(grammar, &reader, -1, logits, masked, &token) != OK)
                    return EXIT_FAILURE;
                double took = now() - before;
                all += took;
                n_masks++;
                if (took > most) most = took;
                uint32_t at = grammar_random(&seed) % n;
                while (masked[at] != 1) at = at + 1 < n ? at + 1 : 0;
                if (at == n - 1) break;
                uint32_t from = vocabulary->offsets[at],
                         length = vocabulary->offsets[at + 1] - from;
                if (grammar_read(grammar, &reader, vocabulary->bytes + from, length) != OK)
                    return EXIT_FAILURE;
            }
            grammar_leave(grammar, &reader);
        }
        printf("round %d: %lld masks, mean %.1f us, most %.1f us\n", round, (long long)n_masks,
               all / (double)n_masks, most);
    }
    start = now();
    for (int i = 0; i < 100; i++) memcpy(masked, logits, n * sizeof *logits);
    printf("copying the logits alone: %.1f us\n", (now() - start) / 100);
    free(logits);
    free(masked);
    grammar_close(grammar);
    vocabulary_close(vocabulary);
    return EXIT_SUCCESS;
}
