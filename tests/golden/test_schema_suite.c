/* The official JSON Schema test suite: no instance that a schema forbids is a text of its grammar.
 * Schemas that are refused, and valid instances that have another spelling than the grammar's, are
 * counted: docs/structured-output.md says which they are. tests/goldens/make_schema_suite.py made
 * the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/grammar.h"

#define SUITE SOURCE_ROOT "/tests/goldens/data/schema/suite.txt"

enum { N_GROUPS = 576, N_REFUSED = 28, N_NARROWER = 67, MOST_LINE = 1 << 16 };

struct tally {
    int n_groups, n_refused, n_right, n_narrower, n_wrong;
};

/* The grammar of a schema; NULL: it is refused, or *impossible, for nothing is valid. */
static struct grammar *open_schema(struct memory *memory, const char *name, const char *schema,
                                   bool *impossible, struct tally *tally) {
    struct grammar_source source = {.json_schema = schema, .length = strlen(schema)};
    struct grammar *grammar = NULL;
    status result = grammar_open(memory, &source, NULL, &grammar);
    tally->n_groups++;
    *impossible = result == INVALID_ARGUMENT && strstr(status_text(), "no text matches");
    if (result == OK || *impossible) return grammar;
    tally->n_refused++;
    printf("refused: %s: %s\n", name, status_text());
    if (result != UNSUPPORTED && result != LIMIT) tally->n_wrong++;
    return NULL;
}

static void try_instance(struct grammar *grammar, const char *name, const char *line,
                         struct tally *tally) {
    int32_t match = TRANSFORMER_MATCH_NONE;
    bool valid = *line == '+';
    if (grammar && grammar_match(grammar, line + 2, strlen(line + 2), &match) != OK) {
        printf("WRONG: %s: %s: %s\n", name, line, status_text());
        tally->n_wrong++;
        return;
    }
    bool accepted = match == TRANSFORMER_MATCH_WHOLE;
    if (accepted == valid) {
        tally->n_right++;
    } else if (valid) {
        tally->n_narrower++;
        printf("narrower: %s: %s\n", name, line);
    } else {
        tally->n_wrong++;
        printf("WRONG: %s: %s\n", name, line);
    }
}

int main(void) {
    static char line[MOST_LINE], name[MOST_LINE];
    struct memory memory;
    struct grammar *grammar = NULL;
    struct tally tally = {0};
    bool impossible = false;
    FILE *file = fopen(SUITE, "rb");
    memory_init(&memory, NULL);
    if (!file) {
        fprintf(stderr, "%s can't be opened\n", SUITE);
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (*line == '#') memcpy(name, line + 2, strlen(line + 2) + 1);
        if (*line == 'S') {
            grammar_close(grammar);
            grammar = open_schema(&memory, name, line + 2, &impossible, &tally);
        }
        if ((*line == '+' || *line == '-') && (grammar || impossible))
            try_instance(grammar, name, line, &tally);
    }
    fclose(file);
    grammar_close(grammar);
    printf("%d schemas, %d refused; instances: %d as they should be, %d narrower, %d wrong\n",
           tally.n_groups, tally.n_refused, tally.n_right, tally.n_narrower, tally.n_wrong);
    bool same = tally.n_groups == N_GROUPS && tally.n_refused == N_REFUSED &&
                tally.n_narrower == N_NARROWER && tally.n_wrong == 0 && memory.bytes == 0;
    if (!same) puts("these are not the counts that are expected");
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
