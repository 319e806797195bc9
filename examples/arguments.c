#include "arguments.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

static const char *const kind_hints[] = {
    [ARGUMENT_FLAG] = "",         [ARGUMENT_TEXT] = " TEXT",
    [ARGUMENT_FILE] = " FILE",    [ARGUMENT_COUNT] = " N",
    [ARGUMENT_POSITIVE] = " N",   [ARGUMENT_INT32] = " N",
    [ARGUMENT_SEED] = " N",       [ARGUMENT_NUMBER] = " X",
    [ARGUMENT_FRACTION] = " X",   [ARGUMENT_KV] = " f32|f16|bf16",
    [ARGUMENT_WEIGHTS] = " TYPE", [ARGUMENT_DEVICE] = " cpu|cuda|cuda:N",
};

static _Noreturn void print_help(const char *program, const char *purpose,
                                 const struct argument *table) {
    const char *slash = strrchr(program, '/');
    printf("usage: %s", slash ? slash + 1 : program);
    for (const struct argument *a = table; a->name; a++)
        printf(a->required ? " %s%s" : " [%s%s]", a->name, kind_hints[a->kind]);
    printf("\n%s\n\n", purpose);
    for (const struct argument *a = table; a->name; a++)
        printf("  %s%-*s %s\n", a->name, 24 - (int)strlen(a->name), kind_hints[a->kind], a->help);
    console_flush();
    exit(0);
}

static uint32_t read_weight_type(const char *name, const char *text) {
    static const char *const types[] = {
        [TRANSFORMER_WEIGHTS_F32] = "F32",   [TRANSFORMER_WEIGHTS_F16] = "F16",
        [TRANSFORMER_WEIGHTS_BF16] = "BF16", [TRANSFORMER_WEIGHTS_Q4_0] = "Q4_0",
        [TRANSFORMER_WEIGHTS_Q4_1] = "Q4_1", [TRANSFORMER_WEIGHTS_Q5_0] = "Q5_0",
        [TRANSFORMER_WEIGHTS_Q5_1] = "Q5_1", [TRANSFORMER_WEIGHTS_Q8_0] = "Q8_0",
        [TRANSFORMER_WEIGHTS_Q2_K] = "Q2_K", [TRANSFORMER_WEIGHTS_Q3_K] = "Q3_K",
        [TRANSFORMER_WEIGHTS_Q4_K] = "Q4_K", [TRANSFORMER_WEIGHTS_Q5_K] = "Q5_K",
        [TRANSFORMER_WEIGHTS_Q6_K] = "Q6_K"};
    for (uint32_t i = 1; i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i]) == 0) return i;
    console_usage_error("%s: '%s' is none of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, "
                        "Q3_K, Q4_K, Q5_K, Q6_K",
                        name, text);
}

/* Digits alone: strtoull would take white space, a sign and, on overflow, its largest number. */
static uint64_t read_integer(const char *name, const char *text, uint64_t minimum,
                             uint64_t maximum) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;
    if (!end || *end)
        console_usage_error("%s: '%s' is not a whole number of %llu or more", name, text,
                            (unsigned long long)minimum);
    if (errno == ERANGE || value < minimum || value > maximum)
        console_usage_error("%s: %s is not in the range %llu to %llu", name, text,
                            (unsigned long long)minimum, (unsigned long long)maximum);
    return value;
}

static float read_number(const char *name, const char *text, double maximum) {
    char *end = NULL;
    double value = isdigit((unsigned char)*text) || *text == '.' ? strtod(text, &end) : 0;
    if (!end || *end || strpbrk(text, "xX"))
        console_usage_error("%s: '%s' is not a number of 0 or more", name, text);
    if (!(value <= maximum))
        console_usage_error("%s: %s is not in the range 0 to %g", name, text, maximum);
    return (float)value;
}

static uint32_t read_kv_type(const char *name, const char *text) {
    if (strcmp(text, "f32") == 0) return TRANSFORMER_KV_F32;
    if (strcmp(text, "f16") == 0) return TRANSFORMER_KV_F16;
    if (strcmp(text, "bf16") == 0) return TRANSFORMER_KV_BF16;
    if (strcmp(text, "q8_0") == 0) return TRANSFORMER_KV_Q8_0;
    console_usage_error("%s: '%s' is none of f32, f16, bf16 and q8_0", name, text);
}

/* Device 0 is the CPU, GPUs follow. */
static int32_t read_device(const char *name, const char *text) {
    if (strcmp(text, "cpu") == 0) return 0;
    if (strcmp(text, "cuda") == 0) return 1;
    if (strncmp(text, "cuda:", 5) == 0)
        return 1 + (int32_t)read_integer(name, text + 5, 0, INT32_MAX - 1);
    console_usage_error("%s: '%s' is none of cpu, cuda and cuda:N", name, text);
}

static void read_value(const struct argument *argument, const char *text) {
    const char *name = argument->name;
    switch (argument->kind) {
    case ARGUMENT_FLAG:
        *(int *)argument->value = 1;
        break;
    case ARGUMENT_TEXT:
        *(const char **)argument->value = text;
        break;
    case ARGUMENT_FILE:
        if (access(text, R_OK) != 0)
            console_usage_error("%s: cannot open '%s': %s", name, text, strerror(errno));
        *(const char **)argument->value = text;
        break;
    case ARGUMENT_COUNT:
        *(int64_t *)argument->value = (int64_t)read_integer(name, text, 0, INT64_MAX);
        break;
    case ARGUMENT_POSITIVE:
        *(int64_t *)argument->value = (int64_t)read_integer(name, text, 1, INT64_MAX);
        break;
    case ARGUMENT_INT32:
        *(int32_t *)argument->value = (int32_t)read_integer(name, text, 0, INT32_MAX);
        break;
    case ARGUMENT_SEED:
        *(uint64_t *)argument->value = read_integer(name, text, 0, UINT64_MAX);
        break;
    case ARGUMENT_NUMBER:
        *(float *)argument->value = read_number(name, text, 1e30);
        break;
    case ARGUMENT_FRACTION:
        *(float *)argument->value = read_number(name, text, 1.0);
        break;
    case ARGUMENT_KV:
        *(uint32_t *)argument->value = read_kv_type(name, text);
        break;
    case ARGUMENT_WEIGHTS:
        *(uint32_t *)argument->value = read_weight_type(name, text);
        break;
    case ARGUMENT_DEVICE:
        *(int32_t *)argument->value = read_device(name, text);
        break;
    }
}

void arguments_read(int argc, char **argv, const char *purpose, const struct argument *table) {
    enum { MAX_ARGUMENTS = 64 };
    int given[MAX_ARGUMENTS] = {0};
    console_start(argv[0]);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) print_help(argv[0], purpose, table);
        int k = 0;
        while (table[k].name && strcmp(table[k].name, argv[i]) != 0) k++;
        if (!table[k].name)
            console_usage_error("unknown argument '%s'; --help lists what there is", argv[i]);
        if (given[k]++) console_usage_error("%s is given twice", argv[i]);
        int takes_value = table[k].kind != ARGUMENT_FLAG;
        if (takes_value && i + 1 == argc) console_usage_error("%s needs a value", argv[i]);
        read_value(&table[k], takes_value ? argv[++i] : NULL);
    }
    for (int k = 0; table[k].name; k++)
        if (table[k].required && !given[k]) console_usage_error("%s is missing", table[k].name);
}

int32_t *arguments_token_ids(const char *text, char separator, const char *what, int64_t *count) {
    size_t capacity = 64, n = 0;
    int32_t *ids = console_allocate(NULL, capacity, sizeof *ids);
    int blanks = separator == ' ';
    for (const char *p = text;;) {
        while (blanks && isspace((unsigned char)*p)) p++;
        if (blanks && !*p) break;
        char *end = NULL;
        errno = 0;
        unsigned long long id = isdigit((unsigned char)*p) ? strtoull(p, &end, 10) : 0;
        int ended = end && (!*end || (blanks ? isspace((unsigned char)*end) : *end == separator));
        if (!ended || errno == ERANGE || id > INT32_MAX)
            console_usage_error("%s: '%.*s' is not a token id", what, (int)strcspn(p, ", \n\t"), p);
        if (n == capacity) ids = console_allocate(ids, capacity *= 2, sizeof *ids);
        ids[n++] = (int32_t)id;
        if (!blanks && !*end) break;
        p = end + !blanks;
    }
    *count = (int64_t)n;
    return ids;
}
