/* The command line of the examples, read by a table. */
#ifndef EXAMPLES_ARGUMENTS_H
#define EXAMPLES_ARGUMENTS_H

enum argument_kind {
    ARGUMENT_FLAG,     /* int, set to 1 */
    ARGUMENT_TEXT,     /* const char * */
    ARGUMENT_FILE,     /* const char *, of a file that can be read */
    ARGUMENT_COUNT,    /* int64_t, 0 or more */
    ARGUMENT_POSITIVE, /* int64_t, 1 or more */
    ARGUMENT_INT32,    /* int32_t, 0 or more */
    ARGUMENT_SEED,     /* uint64_t */
    ARGUMENT_NUMBER,   /* float, finite, 0 or more */
    ARGUMENT_FRACTION, /* float, 0 to 1 */
    ARGUMENT_KV,       /* uint32_t, TRANSFORMER_KV_... of f32, f16 or bf16 */
    ARGUMENT_WEIGHTS,  /* uint32_t, TRANSFORMER_WEIGHTS_... by name */
    ARGUMENT_DEVICE    /* int32_t, the number of the device named */
};

struct argument {
    const char *name; /* with its dashes; NULL ends the table */
    enum argument_kind kind;
    void *value; /* keeps what it has, the default, if the argument is not given */
    const char *help;
    int required;
};

/* Fills the table's values. Ends the process with code 2 and one line on stderr for whatever is
 * wrong, and with 0 after --help. */
void arguments_read(int argc, char **argv, const char *purpose, const struct argument *table);

/* Reads decimal token ids, each parted from the next by one separator or, if that is ' ', by any
 * white space. The caller frees them; what names the source in a message. */
#include <stdint.h>
int32_t *arguments_token_ids(const char *text, char separator, const char *what, int64_t *count);

#endif
