/* Quantized weights of Hugging Face folders: their values bit for bit, whole and in pieces, mapped
 * and read; and what a config or its tensors may not say. */
#include "format/checkpoint_codes.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER SOURCE_ROOT "/tests/goldens/data/hf_quantized"

static struct memory memory;

/* CRC-32 of ISO 3309, bit by bit. */
static uint32_t crc32_of(const void *bytes, size_t n) {
    const uint8_t *byte = bytes;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        crc ^= byte[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* In pieces of `rows` rows. */
static void read_values(struct checkpoint *c, const struct tensor *tensor, int64_t rows,
                        float *values) {
    const struct weight_type_traits *traits = &weight_type_traits[tensor->type];
    size_t n_cols = (size_t)tensor->dims[0];
    size_t row_bytes = weight_type_row_bytes(tensor->type, n_cols);
    uint8_t *scratch = malloc(row_bytes * (size_t)rows);
    for (int64_t row = 0; row < tensor->dims[1]; row += rows) {
        int64_t n = tensor->dims[1] - row < rows ? tensor->dims[1] - row : rows;
        const void *data;
        ck_assert_int_eq(checkpoint_data(c, tensor, (uint64_t)row * row_bytes,
                                         (size_t)n * row_bytes, scratch, &data),
                         OK);
        for (int64_t i = 0; i < n; i++)
            traits->dequantize((const uint8_t *)data + (size_t)i * row_bytes,
                               values + (size_t)(row + i) * n_cols, n_cols);
        checkpoint_drop(c, tensor, (uint64_t)row * row_bytes, (size_t)n * row_bytes);
    }
    free(scratch);
}

static int check_folder(const char *name, bool read, int64_t rows) {
    char path[512], tensor_name[128];
    unsigned wanted;
    int n = 0;
    struct checkpoint *c;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    const struct checkpoint_options options = {.path = path, .read = read};
    memory_init(&memory, NULL);
    ck_assert_msg(checkpoint_open(&memory, &options, &c) == OK, "%s", transformer_last_error());
    snprintf(path, sizeof path, FOLDER "/%s.sums", name);
    FILE *sums = fopen(path, "r");
    ck_assert_ptr_nonnull(sums);
    while (fscanf(sums, "%127s %x", tensor_name, &wanted) == 2) {
        const struct tensor *tensor = checkpoint_tensor(c, tensor_name);
        ck_assert_ptr_nonnull(tensor);
        size_t n_values = (size_t)(tensor->dims[0] * tensor->dims[1]);
        float *values = malloc(n_values * sizeof *values);
        read_values(c, tensor, rows, values);
        ck_assert_msg(crc32_of(values, n_values * sizeof *values) == wanted, "%s: %s as %s", name,
                      tensor_name, weight_type_traits[tensor->type].name);
        free(values);
        n++;
    }
    fclose(sums);
    checkpoint_close(c);
    ck_assert_uint_eq(memory.bytes, 0);
    return n;
}

START_TEST(values) {
    DIR *folder = opendir(FOLDER);
    int n_folders = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[512];
        snprintf(path, sizeof path, FOLDER "/%s.sums", entry->d_name);
        if (strchr(entry->d_name, '.') || access(path, R_OK) != 0) continue;
        n_folders++;
        for (int read = 0; read < 2; read++) {
            ck_assert_int_ge(check_folder(entry->d_name, read, 1000), 6);
            check_folder(entry->d_name, read, 32);
            check_folder(entry->d_name, read, 7);
        }
    }
    closedir(folder);
    ck_assert_int_eq(n_folders, 14);
}
END_TEST

static float e4m3(uint8_t code) {
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const float value =
        exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);
    return code & 128 ? -value : value;
}

/* Codes of e4m3 times their scales are the values, in pieces of any number of rows. */
static void check_codes(struct checkpoint *c, const struct tensor *tensor, int64_t rows,
                        int64_t wanted_group) {
    const size_t n_cols = (size_t)tensor->dims[0], n_rows = (size_t)tensor->dims[1];
    int64_t group = 0;
    ck_assert(checkpoint_has_e4m3(tensor, &group));
    if (wanted_group < 0 || wanted_group > tensor->dims[0]) wanted_group = tensor->dims[0];
    ck_assert_int_eq(group, wanted_group);
    const size_t n_groups = (n_cols - 1) / (size_t)group + 1;
    float *products = malloc(n_rows * n_cols * sizeof *products);
    float *scales = malloc(n_rows * n_groups * sizeof *scales);
    uint8_t *codes = malloc(n_rows * n_cols);
    read_values(c, tensor, 1000, products);
    for (int64_t row = 0; row < tensor->dims[1]; row += rows) {
        const int64_t n = tensor->dims[1] - row < rows ? tensor->dims[1] - row : rows;
        ck_assert_int_eq(checkpoint_e4m3(c, tensor, row, n, codes + (size_t)row * n_cols,
                                         scales + (size_t)row * n_groups),
                         OK);
    }
    for (size_t row = 0; row < n_rows; row++)
        for (size_t col = 0; col < n_cols; col++) {
            const float value =
                e4m3(codes[row * n_cols + col]) * scales[row * n_groups + col / (size_t)group];
            ck_assert(value == products[row * n_cols + col]);
        }
    ck_assert_int_eq(checkpoint_e4m3(c, tensor, tensor->dims[1], 1, codes, scales), INTERNAL);
    ck_assert_int_eq(checkpoint_e4m3(c, tensor, -1, 1, codes, scales), INTERNAL);
    free(products);
    free(scales);
    free(codes);
}

START_TEST(codes_of_e4m3) {
    static const struct {
        const char *folder;
        int64_t group; /* -1: a row */
    } cases[] = {{"fp8-blocks", 128},
                 {"fp8-powers", 128},
                 {"compressed-fp8-block", 64},
                 {"compressed-fp8-tensor", -1},
                 {"compressed-fp8-channel", -1}};
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        char path[512];
        struct checkpoint *c;
        snprintf(path, sizeof path, FOLDER "/%s", cases[i / 2].folder);
        const struct checkpoint_options options = {.path = path, .read = i % 2};
        memory_init(&memory, NULL);
        ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
        size_t n = 0;
        for (size_t t = 0; t < checkpoint_tensor_count(c); t++) {
            const struct tensor *tensor = checkpoint_tensor_at(c, t);
            int64_t group;
            if (!checkpoint_has_e4m3(tensor, &group)) continue;
            n++; /* heads' rows are interleaved in attn_q and attn_k */
            check_codes(c, tensor, 1000, cases[i / 2].group);
            check_codes(c, tensor, 7, cases[i / 2].group);
        }
        ck_assert_uint_ge(n, 6);
        checkpoint_close(c);
        ck_assert_uint_eq(memory.bytes, 0);
    }
}
END_TEST

/* Other weights have no such codes. */
START_TEST(codes_of_others) {
    static const char *const folders[] = {"awq", "gptq", "compressed-int8"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[512];
        struct checkpoint *c;
        int64_t group;
        snprintf(path, sizeof path, FOLDER "/%s", folders[i]);
        const struct checkpoint_options options = {.path = path};
        memory_init(&memory, NULL);
        ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
        for (size_t t = 0; t < checkpoint_tensor_count(c); t++)
            ck_assert(!checkpoint_has_e4m3(checkpoint_tensor_at(c, t), &group));
        checkpoint_close(c);
    }
}
END_TEST

/* What holds the values: as small as it can be. */
START_TEST(types) {
    static const struct {
        const char *folder;
        enum weight_type wanted;
    } cases[] = {{"awq", WEIGHT_Q5_0},
                 {"gptq", WEIGHT_Q4_0},
                 {"gptq-asymmetric", WEIGHT_Q5_0},
                 {"gptq-order", WEIGHT_F32},
                 {"gptq-8", WEIGHT_Q8_0},
                 {"gptq-2", WEIGHT_Q4_0},
                 {"fp8-blocks", WEIGHT_F32},
                 {"fp8-powers", WEIGHT_BF16},
                 {"compressed-int8", WEIGHT_Q8_0},
                 {"compressed-int4", WEIGHT_Q4_0},
                 {"compressed-int4-asymmetric", WEIGHT_Q5_0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        struct checkpoint *c;
        snprintf(path, sizeof path, FOLDER "/%s", cases[i].folder);
        const struct checkpoint_options options = {.path = path};
        memory_init(&memory, NULL);
        ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
        const struct tensor *tensor = checkpoint_tensor(c, "blk.0.attn_q.weight");
        ck_assert_msg(tensor->type == cases[i].wanted, "%s is %s", cases[i].folder,
                      weight_type_traits[tensor->type].name);
        checkpoint_close(c);
    }
}
END_TEST

/* ---- a folder in memory ---- */

struct one_file {
    const char *name;
    char *bytes;
    size_t size;
};

struct folder {
    struct one_file files[2];
};

static int64_t folder_size(void *user, const char *name) {
    const struct folder *folder = user;
    for (int i = 0; i < 2; i++)
        if (strcmp(folder->files[i].name, name) == 0) return (int64_t)folder->files[i].size;
    return -1;
}

static int64_t folder_read(void *user, const char *name, uint64_t offset, void *buffer,
                           uint64_t n) {
    struct folder *folder = user;
    for (int i = 0; i < 2; i++)
        if (strcmp(folder->files[i].name, name) == 0)
            memcpy(buffer, folder->files[i].bytes + offset, n);
    return (int64_t)n;
}

static char *file_bytes(const char *folder, const char *name, size_t *size) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(*size + 256, 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* Puts `to` where `from` is, once, in a text that ends in 0; a file's size changes with it. */
static void replace(struct one_file *file, const char *from, const char *to) {
    char *at = NULL;
    size_t n = strlen(from), m = strlen(to);
    for (size_t i = 0; !at && i + n <= file->size; i++)
        if (memcmp(file->bytes + i, from, n) == 0) at = file->bytes + i;
    ck_assert_msg(at != NULL, "%s is not in %s", from, file->name);
    memmove(at + m, at + n, (size_t)(file->bytes + file->size - (at + n)));
    memcpy(at, to, m);
    file->size += m - n;
}

static void expect(struct folder *folder, status wanted, const char *message) {
    const transformer_reader reader = {.size = folder_size, .read = folder_read, .user = folder};
    struct checkpoint_options options = {.path = "", .reader = &reader};
    struct checkpoint *c = NULL;
    memory_init(&memory, NULL);
    status result = checkpoint_open(&memory, &options, &c);
    ck_assert_msg(result == wanted, "%s: %d, %s", message, result, transformer_last_error());
    if (result == OK)
        checkpoint_close(c);
    else
        ck_assert_msg(strstr(transformer_last_error(), message) != NULL, "%s is not in: %s",
                      message, transformer_last_error());
    ck_assert_uint_eq(memory.bytes, 0);
}

/* A change of config.json, or of the head of model.safetensors, whose length stays. */
static const struct {
    const char *folder, *from, *to;
    status wanted;
    const char *message;
    bool head;
} changes[] = {
    {"awq", "\"awq\"", "\"bitsandbytes\"", UNSUPPORTED, "bitsandbytes", false},
    {"awq", "\"awq\"", "\"hqq\"", UNSUPPORTED, "'quantization_config.quant_method' is hqq", false},
    {"awq", "\"quant_method\": \"awq\",", "", UNSUPPORTED, "quant_method", false},
    {"awq", "\"version\": \"gemm\"", "\"version\": \"gemv\"", UNSUPPORTED, "version' is gemv",
     false},
    {"awq", "\"zero_point\": true", "\"zero_point\": false", UNSUPPORTED, "zero_point", false},
    {"awq", "\"zero_point\": true", "\"zero_points\": 1", UNSUPPORTED, "zero_points", false},
    {"awq", "\"bits\": 4", "\"bits\": 3", UNSUPPORTED, "bits' is 3", false},
    {"awq", "\"group_size\": 32", "\"group_size\": 64", FORMAT, "group_size", false},
    {"awq", "\"group_size\": 32", "\"group_size\": 0", UNSUPPORTED, "group_size", false},
    {"awq", ".q_proj.qzeros", ".q_proj.qzerox", FORMAT, "has no .qzeros", true},
    {"awq", ".q_proj.scales", ".q_proj.scalex", FORMAT, "has no .scales", true},
    {"awq", "\"dtype\":\"I32\"", "\"dtype\":\"F32\"", FORMAT, "I32", true},
    {"gptq", "\"bits\": 4", "\"bits\": 3", UNSUPPORTED, "bits' is 3", false},
    {"gptq", "\"bits\": 4", "\"bits\": 8", FORMAT, "group_size", false},
    {"gptq", "\"bits\": 4,", "", FORMAT, "bits' is missing", false},
    {"gptq", "\"sym\": true", "\"dynamic\": {\"-:a\": {}}", UNSUPPORTED, "dynamic", false},
    {"gptq", "\"sym\": true", "\"dynamic\": { }", OK, "", false},
    {"gptq", "\"sym\": true", "\"checkpoint_format\": \"marlin\"", UNSUPPORTED, "marlin", false},
    {"gptq", "\"sym\": true", "\"some_key\": 1", UNSUPPORTED, "some_key", false},
    {"compressed-int4", "\"pack-quantized\"", "\"marlin-24\"", UNSUPPORTED, "marlin-24", false},
    {"compressed-int4", ".q_proj.weight_shape", ".q_proj.weight_shapx", FORMAT,
     "has no .weight_shape", true},
    {"compressed-int4", ".q_proj.weight_scale", ".q_proj.weight_scalx", FORMAT,
     "has no .weight_scale", true},
    {"fp8-blocks", "\"e4m3\"", "\"e5m2\"", UNSUPPORTED, "fmt' is e5m2", false},
    {"fp8-blocks", "[\n   128,", "[\n   64,", FORMAT, "doesn't fit", false},
    {"fp8-blocks", "\"F8_E4M3\"", "\"F8_E5M2\"", UNSUPPORTED, "F8_E5M2", true},
};

START_TEST(refusals) {
    size_t i = (size_t)_i;
    struct folder folder = {.files = {{.name = "config.json"}, {.name = "model.safetensors"}}};
    for (int f = 0; f < 2; f++)
        folder.files[f].bytes =
            file_bytes(changes[i].folder, folder.files[f].name, &folder.files[f].size);
    replace(&folder.files[changes[i].head], changes[i].from, changes[i].to);
    expect(&folder, changes[i].wanted, changes[i].message);
    for (int f = 0; f < 2; f++) free(folder.files[f].bytes);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("hf_quantized");
    TCase *tests = tcase_create("hf_quantized");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, values);
    tcase_add_test(tests, types);
    tcase_add_test(tests, codes_of_e4m3);
    tcase_add_test(tests, codes_of_others);
    tcase_add_loop_test(tests, refusals, 0, sizeof changes / sizeof *changes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
