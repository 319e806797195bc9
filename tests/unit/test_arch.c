/* From metadata to a spec: numbers under a family's prefix, and what a family's file refuses
 * instead of leaving it out. */
#include "arch/keys.h"
#include "arch/spec.h"
#include "gguf_bytes.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <math.h>
#include <stdio.h>

static struct memory memory;

static void begin(void) {
    memory_init(&memory, NULL);
}

static void end(void) {
    ck_assert_uint_eq(memory.bytes, 0);
}

static struct checkpoint *open_bytes(const void *data, size_t size) {
    struct checkpoint_options options = {.data = data, .data_size = size};
    struct checkpoint *opened = NULL;
    if (checkpoint_open(&memory, &options, &opened) != OK) ck_abort_msg("%s", status_text());
    return opened;
}

/* The call fails so, and its message has this in it. */
#define refused(code, part, call)                                                           \
    do {                                                                                    \
        ck_assert_int_eq(call, code);                                                       \
        ck_assert_msg(strstr(status_text(), part), "'%s' not in: %s", part, status_text()); \
    } while (0)

/* ---- keys ---- */

START_TEST(integers) {
    static struct bytes file;
    put_small_file(&file);
    struct checkpoint *checkpoint = open_bytes(file.data, file.n);
    struct keys keys = {.file = checkpoint, .prefix = "a"};
    int64_t required = -7, optional = -7;
    ck_assert_int_eq(keys_i64(&keys, "u8", 0, 200, &required), OK);
    ck_assert_int_eq(keys_i64_or(&keys, "u8", 200, 300, &optional), OK);
    ck_assert_int_eq(required, 200);
    ck_assert_int_eq(optional, 200);
    required = optional = -7;
    refused(FORMAT, "'a.missing'", keys_i64(&keys, "missing", 0, 1, &required));
    ck_assert_int_eq(keys_i64_or(&keys, "missing", 0, 1, &optional), OK); /* whatever the range */
    refused(FORMAT, "'a.u8' is 200, must be 0 to 199", keys_i64(&keys, "u8", 0, 199, &required));
    refused(FORMAT, "'a.u8' is 200, must be 0 to 199", keys_i64_or(&keys, "u8", 0, 199, &optional));
    refused(FORMAT, "'a.i8' is -5, must be 0 to 9", keys_i64_or(&keys, "i8", 0, 9, &optional));
    refused(FORMAT, "'a.u64'", keys_i64(&keys, "u64", 0, INT64_MAX, &required));
    refused(FORMAT, "'a.u64'", keys_i64_or(&keys, "u64", 0, INT64_MAX, &optional));
    refused(FORMAT, "'a.strings'", keys_i64_or(&keys, "strings", 0, INT64_MAX, &optional));
    ck_assert_int_eq(required, -7);
    ck_assert_int_eq(optional, -7);
    checkpoint_close(checkpoint);
}
END_TEST

START_TEST(floats) {
    static struct bytes file;
    put_small_file(&file);
    struct checkpoint *checkpoint = open_bytes(file.data, file.n);
    struct keys keys = {.file = checkpoint, .prefix = "a"};
    float required = -7, optional = -7;
    ck_assert_int_eq(keys_f32(&keys, "f32", 0, 1.5f, &required), OK);
    ck_assert_int_eq(keys_f32_or(&keys, "f32", 1.5f, 2, &optional), OK);
    ck_assert(required == 1.5f && optional == 1.5f);
    required = optional = -7;
    refused(FORMAT, "'a.missing'", keys_f32(&keys, "missing", 0, 1, &required));
    ck_assert_int_eq(keys_f32_or(&keys, "missing", 0, 1, &optional), OK);
    refused(FORMAT, "'a.f32' is out of its range", keys_f32(&keys, "f32", 0, 1.4f, &required));
    refused(FORMAT, "'a.f32' is out of its range", keys_f32_or(&keys, "f32", 1.6f, 2, &optional));
    refused(FORMAT, "'a.nan'", keys_f32(&keys, "nan", -1, 1, &required));
    refused(FORMAT, "'a.nan'", keys_f32_or(&keys, "nan", -1, 1, &optional));
    refused(FORMAT, "'a.f64'", keys_f32_or(&keys, "f64", 0, 1e30f, &optional));
    ck_assert(required == -7 && optional == -7);
    checkpoint_close(checkpoint);
}
END_TEST

/* ---- families ---- */

/* A golden model's file with one more key; NULL value: a bool that is false. */
static status read_with(const char *model, const char *key, const float *value) {
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/goldens/data/%s.gguf", SOURCE_ROOT, model);
    FILE *from = fopen(path, "rb");
    ck_assert_msg(from != NULL, "%s can't be opened", path);
    enum { MOST = 1 << 20, HEAD = 24 };
    static uint8_t data[MOST];
    static struct bytes more;
    size_t size = fread(data, 1, MOST, from);
    fclose(from);
    ck_assert(size > HEAD && size < MOST - sizeof more);
    more.n = 0;
    put_key(&more, key, value ? METADATA_F32 : METADATA_BOOL);
    if (value)
        put_f32(&more, *value);
    else
        put_u8(&more, 0);
    /* A filler takes all to a multiple of the alignment, so that the tensors stay where they are
     * told to be. */
    put_key(&more, "filler", METADATA_STRING);
    size_t length = 32 - (more.n + 8) % 32;
    put_u64(&more, length);
    for (size_t i = 0; i < length; i++) put_u8(&more, 'x');
    uint64_t n_keys;
    memcpy(&n_keys, data + 16, sizeof n_keys);
    n_keys += 2;
    memcpy(data + 16, &n_keys, sizeof n_keys);
    memmove(data + HEAD + more.n, data + HEAD, size - HEAD);
    memcpy(data + HEAD, more.data, more.n);

    struct checkpoint *checkpoint = open_bytes(data, size + more.n);
    struct spec *spec = NULL;
    status result = spec_read(&memory, checkpoint, &spec);
    ck_assert((spec != NULL) == (result == OK));
    spec_free(spec);
    checkpoint_close(checkpoint);
    return result;
}

static const char *const models[] = {"small/llama-gqa", "small/qwen2-mha", "small/gemma3-mqa"};
static const char *const families[] = {"llama", "qwen2", "gemma3"};

/* A family that has caps refuses those that make no sense, the others any. */
START_TEST(softcaps) {
    static const char *const suffixes[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    const float wrong[] = {-1, 2e6f, INFINITY, NAN}, none = 0, some = 30;
    char key[64];
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%s.%s", families[_i], suffixes[i]);
        bool has = strcmp(families[_i], "gemma3") == 0;
        for (int j = 0; j < 4; j++) /* what is no number breaks the format of any family */
            refused(has || !isfinite(wrong[j]) ? FORMAT : UNSUPPORTED, key,
                    read_with(models[_i], key, &wrong[j]));
        ck_assert_int_eq(read_with(models[_i], key, &none), OK);
        if (has)
            ck_assert_int_eq(read_with(models[_i], key, &some), OK);
        else
            refused(UNSUPPORTED, key, read_with(models[_i], key, &some));
    }
}
END_TEST

/* Attention that looks ahead too would need another mask. */
START_TEST(not_causal) {
    char key[64];
    const float one = 1;
    snprintf(key, sizeof key, "%s.attention.causal", families[_i]);
    refused(UNSUPPORTED, key, read_with(models[_i], key, NULL));
    ck_assert_int_eq(read_with(models[_i], key, &one), OK);
}
END_TEST

/* A key that changes the arithmetic is refused by the families that don't have it. */
START_TEST(switches) {
    static const struct {
        const char *suffix, *model;
        float neutral;
    } keys[] = {{"logit_scale", "llama", 1},
                {"residual_scale", "command-r", 1},
                {"embedding_scale", "command-r", 1},
                {"attention.clamp_kqv", "bloom", 0},
                {"attention.max_alibi_bias", "gpt2", 0},
                {"attention.sliding_window", "qwen3", 0},
                {"attn_logit_softcapping", "gemma", 0},
                {"expert_count", "qwen3", 0}};
    char key[64], model[64];
    const float some = 2;
    const char *refuses = keys[_i].model;
    bool of_llama = strcmp(refuses, "llama") == 0;
    snprintf(key, sizeof key, "%s.%s", refuses, keys[_i].suffix);
    snprintf(model, sizeof model, "%s/%s", of_llama ? "small" : "families",
             of_llama ? "llama-gqa" : refuses);
    refused(UNSUPPORTED, key, read_with(model, key, &some));
    ck_assert_int_eq(read_with(model, key, &keys[_i].neutral), OK);
}
END_TEST

/* Which layers have experts is told by the tensors, and keys that contradict them are refused. */
START_TEST(experts) {
    const float wrong = 2, many = 2000, half = 0.5f;
    refused(FORMAT, "leading_dense_block_count",
            read_with("families/qwen3moe", "qwen3moe.leading_dense_block_count", &wrong));
    refused(FORMAT, "expert_group_count", /* 5 experts in 2 groups */
            read_with("families/llama-moe", "llama.expert_group_count", &wrong));
    refused(FORMAT, "expert_gating_func",
            read_with("families/olmoe", "olmoe.expert_gating_func", &many));
    refused(UNSUPPORTED, "expert_group_scale",
            read_with("families/olmoe", "olmoe.expert_group_scale", &half));
}
END_TEST

/* Learned positions, and several weights in one tensor. */
START_TEST(positions_and_parts) {
    struct checkpoint_options options = {.path =
                                             SOURCE_ROOT "/tests/goldens/data/families/gpt2.gguf"};
    struct checkpoint *checkpoint = NULL;
    struct spec *spec = NULL;
    ck_assert_int_eq(checkpoint_open(&memory, &options, &checkpoint), OK);
    ck_assert_int_eq(spec_read(&memory, checkpoint, &spec), OK);
    ck_assert_int_eq(spec->positions.tensor->dims[1], spec->context_length);
    ck_assert_int_eq(spec->layers[0].attention.rope, -1);
    /* Parts of one tensor follow each other. */
    const struct attention_spec *a = &spec->layers[1].attention;
    const struct tensor *q = a->q.weight.tensor, *k = a->k.weight.tensor, *v = a->v.weight.tensor;
    ck_assert_uint_eq(k->offset, q->offset + q->bytes);
    ck_assert_uint_eq(v->offset, k->offset + k->bytes);
    ck_assert_uint_eq(a->v.bias.tensor->offset, a->k.bias.tensor->offset + a->k.bias.tensor->bytes);
    ck_assert_int_eq(q->dims[1] + k->dims[1] + v->dims[1], 3 * spec->n_embd);
    spec_free(spec);
    checkpoint_close(checkpoint);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("arch");
    TCase *tests = tcase_create("arch");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, integers);
    tcase_add_test(tests, floats);
    tcase_add_loop_test(tests, softcaps, 0, 3);
    tcase_add_loop_test(tests, not_causal, 0, 3);
    tcase_add_loop_test(tests, switches, 0, 8);
    tcase_add_test(tests, experts);
    tcase_add_test(tests, positions_and_parts);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
