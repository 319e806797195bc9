/* From metadata to a spec: numbers under a family's prefix, and what a family's file refuses
 * instead of leaving it out. */
#include "arch/bind.h"
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

/* ---- latent attention ---- */

static struct spec *read_spec(const char *model, struct checkpoint **checkpoint) {
    char path[4096];
    struct checkpoint_options options = {.path = path};
    struct spec *spec = NULL;
    snprintf(path, sizeof path, "%s/tests/goldens/data/families/%s.gguf", SOURCE_ROOT, model);
    ck_assert_int_eq(checkpoint_open(&memory, &options, checkpoint), OK);
    if (spec_read(&memory, *checkpoint, &spec) != OK) ck_abort_msg("%s", status_text());
    return spec;
}

/* One head of keys as wide as what is cached; yarn's scale of the scores. */
START_TEST(latent_attention) {
    struct checkpoint *checkpoint = NULL;
    struct spec *spec = read_spec("deepseek_v2-yarn", &checkpoint);
    const struct attention_spec *a = &spec->layers[1].attention;
    const struct kv_stream_spec *stream = &spec->kv_streams[a->kv_stream];
    ck_assert_int_eq(a->latent.rank, 40);
    ck_assert_int_eq(a->head_dim, 56);
    ck_assert_int_eq(a->rope_first, 40);
    ck_assert_int_eq(attention_value_dim(a), 40);
    ck_assert_int_eq(stream->n_heads, 1);
    ck_assert_int_eq(stream->key_dim, 56);
    ck_assert_int_eq(stream->value_dim, 0);
    ck_assert_int_eq(spec->ropes[0].n_dims, 16);
    float mscale = 1.0f + 0.0707f * logf(4.0f), scale = mscale * mscale / sqrtf(32.0f);
    ck_assert_float_eq_tol(a->scale, scale, 1e-6f);
    ck_assert_float_eq_tol(spec->ropes[0].attention_factor, 1.0f, 1e-6f);
    spec_free(spec);
    checkpoint_close(checkpoint);
}
END_TEST

/* The rows that keys are made by come transposed, head by head; those of values as they are. */
START_TEST(parts_of_heads) {
    enum { RANK = 24, PLAIN = 12, VALUE = 12, HEADS = 4 };
    static uint16_t whole[HEADS * (PLAIN + VALUE) * RANK], keys[HEADS * RANK * PLAIN],
        values[HEADS * VALUE * RANK];
    struct checkpoint *checkpoint = NULL;
    struct spec *spec = read_spec("deepseek_v2-whole", &checkpoint);
    const struct latent_spec *l = &spec->layers[1].attention.latent;
    const struct tensor *k = l->k_b.weight.tensor, *v = l->v_b.weight.tensor;
    const void *data;
    ck_assert_int_eq(k->type, WEIGHT_F16);
    ck_assert_uint_eq(k->bytes, sizeof keys);
    ck_assert_uint_eq(v->bytes, sizeof values);
    ck_assert_int_eq(checkpoint_data(checkpoint,
                                     checkpoint_tensor(checkpoint, "blk.1.attn_kv_b.weight"), 0,
                                     sizeof whole, whole, &data),
                     OK);
    if (data != whole) memcpy(whole, data, sizeof whole);
    /* In pieces that begin and end within a head, whole rows each. */
    for (size_t row = 0, n; row < HEADS * RANK; row += n) {
        n = row + 17 < HEADS * RANK ? 17 : HEADS * RANK - row;
        ck_assert_int_eq(checkpoint_data(checkpoint, k, row * PLAIN * 2, n * PLAIN * 2,
                                         keys + row * PLAIN, &data),
                         OK);
        ck_assert_ptr_eq(data, keys + row * PLAIN);
    }
    ck_assert_int_eq(checkpoint_data(checkpoint, v, 0, sizeof values, values, &data), OK);
    for (int h = 0; h < HEADS; h++)
        for (int c = 0; c < RANK; c++) {
            const uint16_t *head = whole + h * (PLAIN + VALUE) * RANK;
            for (int i = 0; i < PLAIN; i++)
                ck_assert_uint_eq(keys[(h * RANK + c) * PLAIN + i], head[i * RANK + c]);
            for (int i = 0; i < VALUE; i++)
                ck_assert_uint_eq(values[(h * VALUE + i) * RANK + c], head[(PLAIN + i) * RANK + c]);
        }
    spec_free(spec);
    checkpoint_close(checkpoint);
}
END_TEST

/* A file of one quantized matrix [2 heads of 3 + 2 rows][64]: what is transposed is F32. */
START_TEST(parts_of_quantized_heads) {
    enum { COLS = 64, ROWS = 10 };
    static struct bytes file;
    float exact[ROWS * COLS], got[COLS * 3];
    uint8_t rows[ROWS * COLS / 32 * 34], values[2 * COLS / 32 * 34];
    struct binder binder;
    struct spec spec = {.memory = &memory};
    struct linear_spec k, v;
    const void *data;
    for (int i = 0; i < ROWS * COLS; i++) exact[i] = sinf((float)i);
    weight_type_traits[WEIGHT_Q8_0].quantize(exact, rows, ROWS * COLS);
    weight_type_traits[WEIGHT_Q8_0].dequantize(rows, exact, ROWS * COLS);
    put_head(&file, 3, 1, 1);
    put_key_string(&file, "general.architecture", "a");
    put_tensor(&file, "blk.0.b.weight", COLS, ROWS, weight_type_traits[WEIGHT_Q8_0].gguf_type, 0);
    put_data(&file, 32, 0);
    put(&file, rows, sizeof rows);
    struct checkpoint *checkpoint = open_bytes(file.data, file.n);
    ck_assert_int_eq(bind_begin(&memory, checkpoint, &spec, &binder), OK);
    ck_assert_int_eq(bind_blocks(&binder, "blk.%d.b", 0, 2, 3, 2, COLS, &k, &v), OK);
    ck_assert_int_eq(bind_check_all(&binder), OK);
    bind_end(&binder);
    ck_assert_int_eq(k.weight.tensor->type, WEIGHT_F32);
    ck_assert_int_eq(v.weight.tensor->type, WEIGHT_Q8_0);
    for (int h = 0; h < 2; h++) {
        ck_assert_int_eq(checkpoint_data(checkpoint, k.weight.tensor, (uint64_t)h * sizeof got,
                                         sizeof got, got, &data),
                         OK);
        for (int c = 0; c < COLS; c++)
            for (int i = 0; i < 3; i++) ck_assert(got[c * 3 + i] == exact[(h * 5 + i) * COLS + c]);
        ck_assert_int_eq(checkpoint_data(checkpoint, v.weight.tensor, (uint64_t)h * sizeof values,
                                         sizeof values, values, &data),
                         OK);
        ck_assert_mem_eq(values, rows + (h * 5 + 3) * COLS / 32 * 34, sizeof values);
    }
    memory_give(&memory, spec.weights);
    memory_give(&memory, spec.views);
    checkpoint_close(checkpoint);
}
END_TEST

/* What a file of latent attention may not say. */
START_TEST(latent_refusals) {
    static const struct {
        const char *key;
        float value;
        status code;
    } wrong[] = {{"deepseek2.nextn_predict_layers", 2, FORMAT},
                 {"deepseek2.attention.temperature_scale", 0.1f, UNSUPPORTED},
                 {"deepseek2.attention.temperature_length", 8, UNSUPPORTED},
                 {"deepseek2.attention.clamp_kqv", 1, UNSUPPORTED},
                 {"deepseek2.rope.scaling.yarn_log_multiplier", -1, FORMAT}};
    refused(wrong[_i].code, wrong[_i].key,
            read_with("families/deepseek_v2", wrong[_i].key, &wrong[_i].value));
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
    tcase_add_test(tests, latent_attention);
    tcase_add_test(tests, parts_of_heads);
    tcase_add_test(tests, parts_of_quantized_heads);
    tcase_add_loop_test(tests, latent_refusals, 0, 5);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
