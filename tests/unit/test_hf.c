/* Hugging Face folders: what a small one says, and each rule of safetensors, of its index and of
 * config.json, broken one at a time. */
#include "format/checkpoint.h"
#include "format/json.h"
#include "format/tensor_form.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER SOURCE_ROOT "/tests/goldens/data/hf/llama-tiny-heads"

/* ---- a folder in memory ---- */

struct one_file {
    const char *name;
    const char *bytes;
    size_t size;
};

struct folder {
    struct one_file files[8];
    int n;
    int64_t fail_read; /* the n-th read fails; 0: none */
};

static int64_t folder_size(void *user, const char *name) {
    const struct folder *folder = user;
    for (int i = 0; i < folder->n; i++)
        if (strcmp(folder->files[i].name, name) == 0) return (int64_t)folder->files[i].size;
    return -1;
}

static int64_t folder_read(void *user, const char *name, uint64_t offset, void *buffer,
                           uint64_t n) {
    struct folder *folder = user;
    if (folder->fail_read && --folder->fail_read == 0) return -1;
    for (int i = 0; i < folder->n; i++)
        if (strcmp(folder->files[i].name, name) == 0)
            memcpy(buffer, folder->files[i].bytes + offset, n);
    return (int64_t)n;
}

static void add(struct folder *folder, const char *name, const void *bytes, size_t size) {
    folder->files[folder->n++] = (struct one_file){name, bytes, size};
}

static void add_text(struct folder *folder, const char *name, const char *text) {
    add(folder, name, text, strlen(text));
}

/* A safetensors file of a header and n bytes of data, 1 each. */
static char *tensors_file(const char *header, size_t n, size_t *size) {
    uint64_t length = strlen(header);
    *size = 8 + (size_t)length + n;
    char *bytes = malloc(*size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, (size_t)length);
    memset(bytes + 8 + length, 1, n);
    return bytes;
}

static struct memory memory;

static status open_folder(struct folder *folder, const char *path, struct checkpoint **c) {
    const transformer_reader reader = {.size = folder_size, .read = folder_read, .user = folder};
    struct checkpoint_options options = {.path = path, .reader = &reader};
    memory_init(&memory, NULL);
    status result = checkpoint_open(&memory, &options, c);
    if (result != OK) ck_assert_uint_eq(memory.bytes, 0);
    return result;
}

/* ---- a small llama ---- */

#define SIZES                                                             \
    "\"model_type\":\"llama\",\"hidden_size\":2,\"num_hidden_layers\":1," \
    "\"num_attention_heads\":1,\"intermediate_size\":2,\"vocab_size\":2"
#define LAYER "model.layers.0."

static const char *const names[] = {"model.embed_tokens.weight",
                                    "model.norm.weight",
                                    "lm_head.weight",
                                    LAYER "self_attn.q_proj.weight",
                                    LAYER "self_attn.k_proj.weight",
                                    LAYER "self_attn.v_proj.weight",
                                    LAYER "self_attn.o_proj.weight",
                                    LAYER "mlp.gate_proj.weight",
                                    LAYER "mlp.up_proj.weight",
                                    LAYER "mlp.down_proj.weight",
                                    LAYER "input_layernorm.weight",
                                    LAYER "post_attention_layernorm.weight"};
enum { N_NAMES = sizeof names / sizeof *names };

/* Tensors first ... last of the model in one file, each [2][2] or [2] of dtype. */
static char *model_file(int first, int last, const char *dtype, size_t element, const char *more,
                        size_t *size) {
    static char header[8192];
    size_t at = 0, used = 0;
    used += (size_t)snprintf(header, sizeof header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = first; i <= last; i++) {
        bool vector = strstr(names[i], "norm") != NULL;
        size_t bytes = (vector ? 2 : 4) * element;
        used += (size_t)snprintf(
            header + used, sizeof header - used,
            ",\"%s\":{\"dtype\":\"%s\",\"shape\":[2%s],\"data_offsets\":[%zu,%zu]}", names[i],
            dtype, vector ? "" : ",2", at, at + bytes);
        at += bytes;
    }
    snprintf(header + used, sizeof header - used, "%s}   ", more);
    return tensors_file(header, at, size);
}

static struct folder model(const char *config) {
    struct folder folder = {0};
    size_t size;
    add_text(&folder, "config.json", config);
    char *bytes = model_file(0, N_NAMES - 1, "F32", 4, "", &size);
    add(&folder, "model.safetensors", bytes, size);
    return folder;
}

static void expect(struct folder *folder, status wanted, const char *part) {
    struct checkpoint *c = NULL;
    status result = open_folder(folder, "", &c);
    ck_assert_msg(result == wanted && (wanted == OK || strstr(status_text(), part)),
                  "%s: gave %d: %s", part, result, status_text());
    if (result == OK) checkpoint_close(c);
    ck_assert_uint_eq(memory.bytes, 0);
}

/* A config with one more member. */
static void expect_member(const char *member, status wanted, const char *part) {
    char config[2048];
    snprintf(config, sizeof config, "{" SIZES ",%s}", member);
    struct folder folder = model(config);
    expect(&folder, wanted, part);
    free((void *)(uintptr_t)folder.files[1].bytes);
}

START_TEST(opens) {
    struct folder folder = model("{" SIZES "}");
    struct checkpoint *c;
    add_text(&folder, "tokenizer.json", "{}");
    static const char *const paths[] = {"", "config.json", "model.safetensors"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(open_folder(&folder, paths[i], &c), OK);
        struct text text;
        bool found;
        int64_t number = 0;
        ck_assert_int_eq(checkpoint_read_text(c, "general.architecture", NULL, &text), OK);
        ck_assert_int_eq(memcmp(text.data, "llama", text.length), 0);
        ck_assert_int_eq(checkpoint_read_i64(c, "llama.context_length", &found, &number), OK);
        ck_assert_int_eq(number, 2048);
        ck_assert_int_eq(checkpoint_read_i64(c, "general.architecture", &found, &number), FORMAT);
        ck_assert_uint_eq(checkpoint_tensor_count(c), N_NAMES);
        ck_assert_ptr_null(checkpoint_tensor(c, "model.norm.weight"));
        const struct tensor *tensor = checkpoint_tensor(c, "blk.0.attn_q.weight");
        ck_assert_ptr_nonnull(tensor);
        ck_assert_int_eq(tensor->dims[0], 2);
        ck_assert_int_eq(tensor->dims[1], 2);
        void *bytes;
        size_t size;
        ck_assert_int_eq(checkpoint_read_file(c, "tokenizer.json", 100, &memory, &bytes, &size),
                         OK);
        ck_assert_uint_eq(size, 2);
        memory_give(&memory, bytes);
        ck_assert_int_eq(checkpoint_read_file(c, "tokenizer.json", 1, &memory, &bytes, &size),
                         LIMIT);
        ck_assert_int_eq(checkpoint_read_file(c, "none", 100, &memory, &bytes, &size), NOT_FOUND);
        checkpoint_finish_loading(c);
        ck_assert_int_eq(checkpoint_read_file(c, "tokenizer.json", 100, &memory, &bytes, &size),
                         NOT_FOUND);
        checkpoint_close(c);
        ck_assert_uint_eq(memory.bytes, 0);
    }
    free((void *)(uintptr_t)folder.files[1].bytes);
}
END_TEST

/* ---- safetensors, rule by rule ---- */

#define T(shape, from, to) \
    "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static const struct {
    const char *header;
    size_t data;
    status wanted;
    const char *message;
} headers[] = {
    /* valid heads get as far as their tensors' names */
    {"{\"a\":" T("[2]", 0, 8) "}", 8, UNSUPPORTED, "'a' is not one"},
    {"{\"a\":" T("[2]", 0, 8) "}  ", 8, UNSUPPORTED, "'a' is not one"},
    {"{\"a\":" T("[]", 0, 4) "}", 4, UNSUPPORTED, "'a' is not one"},
    {"{\"a\":" T("[0,7]", 0, 0) "}", 0, UNSUPPORTED, "'a' is not one"},
    {"{\"b\":" T("[1]", 4, 8) ",\"a\":" T("[1]", 0, 4) "}", 8, UNSUPPORTED, "'b' is not one"},
    {"{\"\\u00e9\":" T("[1]", 0, 4) "}", 4, UNSUPPORTED, "'\xc3\xa9' is not one"},
    {"{}", 0, FORMAT, "'embed_tokens.weight'"},
    {"", 0, FORMAT, "begin with '{'"},
    {" {}", 0, FORMAT, "begin with '{'"},
    {"[]", 0, FORMAT, "begin with '{'"},
    {"{} x", 0, FORMAT, "more after its end"},
    {"{", 0, FORMAT, "key is missing"},
    {"{\"a\"", 0, FORMAT, "colon"},
    {"{\"a", 0, FORMAT, "doesn't end"},
    {"{\"a\":" T("[2]", 0, 8) ",}", 8, FORMAT, "key is missing"},
    {"{\"\xff\":" T("[2]", 0, 8) "}", 8, FORMAT, "not UTF-8"},
    {"{\"\xed\xa0\x80\":" T("[2]", 0, 8) "}", 8, FORMAT, "not UTF-8"},
    {"{\"\\ud800\":" T("[2]", 0, 8) "}", 8, FORMAT, "escape"},
    {"{\"a\nb\":" T("[2]", 0, 8) "}", 8, FORMAT, "control character"},
    {"{\"a\":3}", 0, FORMAT, "no JSON object"},
    {"{\"a\":{}}", 0, FORMAT, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 0, FORMAT, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, FORMAT, "lacks"},
    {"{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, FORMAT, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, FORMAT, "two dtypes"},
    {"{\"a\":{\"shape\":[1],\"shape\":[1]}}", 0, FORMAT, "two shapes"},
    {"{\"a\":{\"data_offsets\":[0,1],\"data_offsets\":[0,1]}}", 0, FORMAT, "twice"},
    {"{\"a\":{\"size\":3}}", 0, FORMAT, "a member besides"},
    {"{\"a\":{\"dtype\":\"F33\"}}", 0, UNSUPPORTED, "'F33'"},
    {"{\"a\":{\"dtype\":32}}", 0, FORMAT, "no string"},
    {"{\"a\":{\"shape\":2}}", 0, FORMAT, "no array"},
    {"{\"a\":{\"shape\":[-1]}}", 0, FORMAT, "no size"},
    {"{\"a\":{\"shape\":[1.0]}}", 0, FORMAT, "no size"},
    {"{\"a\":{\"shape\":[9223372036854775808]}}", 0, FORMAT, "no size"},
    {"{\"a\":" T("[4294967296,4294967296,4]", 0, 0) "}", 0, FORMAT, "63 bits"},
    {"{\"a\":" T("[2305843009213693952,2,2]", 0, 0) "}", 0, FORMAT, "63 bits"},
    {"{\"a\":" T("[1152921504606846976]", 0, 0) "}", 0, FORMAT, "no number of bytes"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, FORMAT,
     "no number of bytes"},
    {"{\"a\":{\"data_offsets\":[0]}}", 0, FORMAT, "not two"},
    {"{\"a\":{\"data_offsets\":[0,1,2]}}", 0, FORMAT, "not two"},
    {"{\"a\":{\"data_offsets\":[-4,0]}}", 0, FORMAT, "no offsets"},
    {"{\"a\":{\"data_offsets\":[8,4]}}", 0, FORMAT, "before it begins"},
    {"{\"a\":" T("[2]", 0, 7) "}", 7, FORMAT, "apart"},
    {"{\"a\":" T("[2]", 0, 12) "}", 12, FORMAT, "apart"},
    {"{\"a\":" T("[2]", 0, 8) "}", 7, FORMAT, "ends at"},
    {"{\"a\":" T("[2]", 0, 8) "}", 9, FORMAT, "tensors end at"},
    {"{\"a\":" T("[2]", 4, 12) "}", 12, FORMAT, "begins at 4"},
    {"{\"a\":" T("[2]", 0, 8) ",\"b\":" T("[2]", 4, 12) "}", 12, FORMAT, "begins at 4"},
    {"{\"a\":" T("[1]", 0, 4) ",\"b\":" T("[1]", 8, 12) "}", 12, FORMAT, "begins at 8"},
    {"{\"a\":" T("[0]", 5, 5) "}", 0, FORMAT, "beyond the data"},
    {"{\"a\":" T("[1]", 0, 4) ",\"a\":" T("[1]", 4, 8) "}", 8, FORMAT, "there twice"},
    {"{\"a\":" T("[1]", 0, 4) ",\"\\u0061\":" T("[1]", 4, 8) "}", 8, FORMAT, "there twice"},
    {"{\"__metadata__\":3}", 0, FORMAT, "'__metadata__' is no"},
    {"{\"__metadata__\":{\"a\":3}}", 0, FORMAT, "no string"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, FORMAT, "twice"},
};

START_TEST(header_rules) {
    struct folder folder = {0};
    size_t size;
    char *bytes = tensors_file(headers[_i].header, headers[_i].data, &size);
    add_text(&folder, "config.json", "{" SIZES "}");
    add(&folder, "model.safetensors", bytes, size);
    expect(&folder, headers[_i].wanted, headers[_i].message);
    free(bytes);
}
END_TEST

START_TEST(header_length) {
    static const struct {
        uint64_t length;
        size_t size;
        const char *message;
    } cases[] = {{0, 7, "has 7 bytes"},
                 {3, 10, "needs 3 bytes"},
                 {UINT64_MAX, 10, "at most 100000000"},
                 {UINT64_MAX - 7, 10, "at most 100000000"},
                 {100000001, 10, "at most 100000000"},
                 {100000000, 10, "needs 100000000 bytes"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[16] = {0};
        memcpy(bytes, &cases[i].length, 8);
        bytes[8] = '{', bytes[9] = '}';
        struct folder folder = {0};
        add_text(&folder, "config.json", "{" SIZES "}");
        add(&folder, "model.safetensors", bytes, cases[i].size);
        expect(&folder, FORMAT, cases[i].message);
    }
}
END_TEST

/* ---- dtypes ---- */

START_TEST(dtypes) {
    static const struct {
        const char *name;
        size_t bytes;
        status wanted;
    } cases[] = {{"F32", 4, OK},          {"F16", 2, OK},          {"BF16", 2, OK},
                 {"F64", 8, OK},          {"I8", 1, UNSUPPORTED},  {"F8_E4M3", 1, UNSUPPORTED},
                 {"I64", 8, UNSUPPORTED}, {"BOOL", 1, UNSUPPORTED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct folder folder = {0};
        size_t size;
        add_text(&folder, "config.json", "{" SIZES "}");
        char *bytes = model_file(0, N_NAMES - 1, cases[i].name, cases[i].bytes, "", &size);
        add(&folder, "model.safetensors", bytes, size);
        expect(&folder, cases[i].wanted, cases[i].name);
        free(bytes);
    }
}
END_TEST

/* Whatever it is stored as; 700 elements are more than are converted at once. */
START_TEST(conversion) {
    static uint8_t bytes[8 + 700 * 8];
    static const enum tensor_form forms[] = {TENSOR_F64, TENSOR_F32, TENSOR_F16, TENSOR_BF16};
    for (size_t f = 0; f < 4; f++) {
        size_t stored = tensor_form_bytes(forms[f]);
        for (size_t i = 0; i < 700; i++) {
            double number = i % 2 ? -0.25 : 0.5;
            float single = (float)number;
            uint16_t half = i % 2 ? 0xB400 : 0x3800, bfloat = i % 2 ? 0xBE80 : 0x3F00;
            const void *from[] = {&number, &single, &half, &bfloat};
            memcpy(bytes + 3 + i * stored, from[f], stored);
        }
        struct file file;
        struct tensor tensor = {
            .form = forms[f], .add = 1.0f, .n_dims = 1, .dims = {700, 1, 1, 1}, .offset = 3};
        float values[699];
        file_open_memory(&file, "conversion", bytes, 3 + 700 * stored);
        ck_assert_int_eq(tensor_form_read(&file, &tensor, 1, 699, values), OK);
        for (size_t i = 0; i < 699; i++) ck_assert(values[i] == (i % 2 ? 1.5f : 0.75f));
    }
}
END_TEST

/* Element i of 6 x 35 is i; whatever is asked for, element by element, by rows and all at once. */
static void check_layout(const struct tensor *tensor, const int *wanted) {
    static float stored[6 * 35];
    uint16_t halves[6 * 35];
    size_t n = (size_t)(tensor->dims[0] * tensor->dims[1]);
    for (size_t i = 0; i < 6 * 35; i++) {
        stored[i] = (float)i;
        halves[i] = (uint16_t)i;
    }
    struct file file;
    for (size_t step = 1; step <= n; step++) {
        float values[6 * 35];
        uint16_t own[6 * 35];
        struct tensor half = *tensor;
        half.type = WEIGHT_F16;
        half.form = TENSOR_AS_IS;
        for (size_t first = 0; first < n; first += step) {
            size_t now = n - first < step ? n - first : step;
            file_open_memory(&file, "layout", stored, sizeof stored);
            ck_assert_int_eq(tensor_form_read(&file, tensor, first, now, values + first), OK);
            file_open_memory(&file, "layout", halves, sizeof halves);
            ck_assert_int_eq(tensor_form_read(&file, &half, first, now, own + first), OK);
        }
        for (size_t i = 0; i < n; i++) {
            ck_assert(values[i] == (float)wanted[i]);
            ck_assert_int_eq(own[i], wanted[i]);
        }
    }
}

START_TEST(layouts) {
    int wanted[6 * 35];
    struct tensor view;
    struct tensor transposed = {.type = WEIGHT_F32,
                                .form = TENSOR_F32,
                                .n_dims = 2,
                                .dims = {6, 35, 1, 1},
                                .bytes = 6 * 35 * sizeof(float),
                                .layout.stored_rows = 35};
    for (int i = 0; i < 6 * 35; i++) wanted[i] = i % 6 * 35 + i / 6;
    check_layout(&transposed, wanted);
    tensor_form_view(&transposed, 4, 9, &view);
    check_layout(&view, wanted + 4 * 6);

    /* 5 groups of 3 rows of q, 2 of k, 2 of v; 6 columns */
    struct tensor grouped = transposed;
    grouped.layout = (struct tensor_layout){.n_groups = 5, .parts = {3, 2, 2}};
    int row = 0;
    static const int parts[] = {3, 2, 2}, before[] = {0, 3, 5};
    for (int part = 0; part < 3; part++)
        for (int group = 0; group < 5; group++)
            for (int i = 0; i < parts[part]; i++, row++)
                for (int col = 0; col < 6; col++)
                    wanted[row * 6 + col] = (group * 7 + before[part] + i) * 6 + col;
    check_layout(&grouped, wanted);
    tensor_form_view(&grouped, 15, 10, &view);
    check_layout(&view, wanted + 15 * 6);

    uint64_t offset, bytes;
    tensor_form_range(&grouped, 0, 10, &offset, &bytes);
    ck_assert_uint_eq(bytes, 0);
    struct tensor plain = transposed;
    plain.layout = (struct tensor_layout){.first_row = 2};
    tensor_form_range(&plain, 6, 10, &offset, &bytes);
    ck_assert_uint_eq(offset, 18 * sizeof(float));
    ck_assert_uint_eq(bytes, 10 * sizeof(float));
}
END_TEST

/* ---- config.json ---- */

static const struct {
    const char *member;
    status wanted;
    const char *message;
} members[] = {
    {"\"use_cache\":true", OK, ""},
    {"\"some_key\":null", OK, ""},
    {"\"some_key\":2", UNSUPPORTED, "'some_key'"},
    {"\"quantization_config\":{\"bits\":4}", UNSUPPORTED, "quantization_config.quant_method"},
    {"\"auto_map\":{}", UNSUPPORTED, "'auto_map'"},
    {"\"logit_scale\":0.5", UNSUPPORTED, "'logit_scale'"},
    {"\"hidden_act\":\"silu\"", OK, ""},
    {"\"hidden_act\":\"gelu\"", OK, ""},
    {"\"hidden_act\":\"mish\"", UNSUPPORTED, "'hidden_act'"},
    {"\"rope_interleaved\":true", UNSUPPORTED, "'rope_interleaved'"},
    {"\"partial_rotary_factor\":1.0", OK, ""},
    {"\"partial_rotary_factor\":0.5", UNSUPPORTED, "'partial_rotary_factor'"},
    {"\"layer_types\":[\"full_attention\"]", OK, ""},
    {"\"layer_types\":[\"sliding_attention\"]", UNSUPPORTED, "'layer_types'"},
    {"\"layer_types\":[]", FORMAT, "'layer_types'"},
    {"\"attention_bias\":true", FORMAT, "self_attn.q_proj.bias"},
    {"\"attention_bias\":1", FORMAT, "'attention_bias'"},
    {"\"mlp_bias\":true", FORMAT, "mlp.gate_proj.bias"},
    {"\"tie_word_embeddings\":true", OK, ""},
    {"\"rms_norm_eps\":\"small\"", FORMAT, "'rms_norm_eps'"},
    {"\"rms_norm_eps\":1e400", FORMAT, "'rms_norm_eps'"},
    {"\"head_dim\":0", FORMAT, "'head_dim'"},
    {"\"head_dim\":2.5", FORMAT, "'head_dim'"},
    {"\"vocab_size\":2", FORMAT, "twice"},
    {"\"a\\u0062\":2", FORMAT, "none that a config has"},
    {"\"rope_scaling\":null", OK, ""},
    {"\"rope_scaling\":3", FORMAT, "'rope_scaling'"},
    {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}", OK, ""},
    {"\"rope_scaling\":{\"type\":\"linear\"}", FORMAT, "'rope_scaling.factor'"},
    {"\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}", OK, ""},
    {"\"rope_scaling\":{\"type\":\"dynamic\"}", FORMAT, "'rope_scaling.factor'"},
    {"\"rope_scaling\":{\"type\":\"ntk\",\"factor\":2}", UNSUPPORTED, "'rope_scaling.type'"},
    {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,\"alpha\":2}", UNSUPPORTED,
     "'rope_scaling.alpha'"},
    {"\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":2}", FORMAT,
     "'rope_scaling.long_factor'"},
    {"\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[1],\"short_factor\":[1]}", OK,
     ""},
    {"\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[1],\"short_factor\":[1,1]}",
     FORMAT, "'rope_scaling.short_factor'"},
    {"\"rope_scaling\":{\"rope_type\":\"longrope\",\"long_factor\":[0],\"short_factor\":[1]}",
     FORMAT, "'rope_scaling.long_factor'"},
    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2,\"truncate\":false}", OK, ""},
    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2,\"truncate\":2}", UNSUPPORTED,
     "'rope_scaling.truncate'"},
    {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":0}", FORMAT, "'rope_scaling.factor'"},
    {"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":2}", FORMAT,
     "'rope_scaling.low_freq_factor'"},
    {"\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5}", OK, ""},
    {"\"rope_parameters\":{\"rope_theta\":0.5}", FORMAT, "rope_theta"},
    {"\"rope_parameters\":{},\"rope_scaling\":{}", UNSUPPORTED, "'rope_scaling'"},
    {"\"rope_parameters\":{\"full_attention\":{}}", UNSUPPORTED, "full_attention"},
};

START_TEST(config_members) {
    expect_member(members[_i].member, members[_i].wanted, members[_i].message);
}
END_TEST

/* What other families refuse, and what gets as far as the tensors, which are llama's. */
START_TEST(families) {
    static const struct {
        const char *type, *member, *message;
        status wanted;
    } cases[] = {
        {"mistral", "\"attention_bias\":true", "'attention_bias'", UNSUPPORTED},
        {"mistral", "\"sliding_window\":0", "'sliding_window'", FORMAT},
        {"mistral", "\"sliding_window\":null", "", OK},
        {"mistral", "\"num_key_value_heads\":1", "", OK},
        {"qwen2", "\"use_sliding_window\":true", "self_attn.q_proj.bias", FORMAT},
        {"qwen2", "\"use_sliding_window\":true,\"max_window_layers\":\"a\"", "'max_window_layers'",
         FORMAT},
        {"qwen2", "\"sliding_window\":3", "self_attn.q_proj.bias", FORMAT},
        {"qwen2", "\"rope_scaling\":{\"type\":\"mrope\"}", "'rope_scaling.type'", UNSUPPORTED},
        {"gemma3_text", "\"sliding_window\":null", "'sliding_window'", UNSUPPORTED},
        {"gemma3_text", "\"layer_types\":[\"chunked_attention\"]", "'layer_types'", UNSUPPORTED},
        {"gemma3_text", "\"attn_logit_softcapping\":30", "'attn_logit_softcapping'", UNSUPPORTED},
        {"gemma3_text", "\"use_bidirectional_attention\":true", "'use_bidirectional_attention'",
         UNSUPPORTED},
        {"gemma3_text", "\"query_pre_attn_scalar\":0", "'query_pre_attn_scalar'", FORMAT},
        {"gemma3_text", "\"hidden_activation\":\"mish\"", "'hidden_activation'", UNSUPPORTED},
        {"gpt_oss", "\"num_local_experts\":2,\"num_experts_per_tok\":1",
         "'rope_parameters' is missing", UNSUPPORTED},
        {"gpt_neo", "\"attention_types\":3", "'attention_types'", FORMAT},
        {"gpt_neo", "\"attention_types\":[[[\"global\"],1]]", "embed_tokens", UNSUPPORTED},
        {"gpt_neo", "\"attention_types\":[[[\"global\"],2]]", "'attention_types'", FORMAT},
        {"gpt_neo", "\"attention_types\":[[[\"global\"],0]]", "'attention_types'", FORMAT},
        {"gpt_neo", "\"attention_types\":[[[\"global\"]]]", "'attention_types'", FORMAT},
        {"gpt_neo", "\"attention_types\":[[[\"blocks\"],1]]", "'attention_types'", UNSUPPORTED},
        {"smollm3", "\"no_rope_layers\":[1,1]", "'no_rope_layers'", FORMAT},
        {"smollm3", "\"no_rope_layers\":[\"a\"]", "'no_rope_layers'", FORMAT},
        {"phi", "\"partial_rotary_factor\":0.3", "'partial_rotary_factor'", UNSUPPORTED},
        {"gemma3_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"},"
         "\"sliding_attention\":{\"rope_type\":\"linear\",\"factor\":2}}",
         "'rope_parameters.sliding_attention.rope_type'", UNSUPPORTED},
        {"gemma4_text", "\"attention_bias\":false", "'rope_parameters' is missing", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"use_bidirectional_attention\":\"all\"",
         "'use_bidirectional_attention'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"per_layer_config\":{\"0\":{\"window\":3}}",
         "'per_layer_config' has a member 'window'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"per_layer_config\":{\"1\":{\"head_dim\":4}}",
         "'per_layer_config' has a member '1'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"per_layer_config\":{\"\":{}}",
         "'per_layer_config'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"per_layer_config\":[]",
         "'per_layer_config'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"per_layer_config\":{\"0\":{\"head_dim\":-1}}",
         "'per_layer_config'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"per_layer_config\":{\"99999999999999999999\":{}}",
         "'per_layer_config'", UNSUPPORTED},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"num_kv_shared_layers\":1",
         "'num_kv_shared_layers'", FORMAT},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"global_head_dim\":0",
         "'global_head_dim'", FORMAT},
        {"gemma4_text",
         "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"proportional\",\"rope_theta\":"
         "1e6}},"
         "\"layer_types\":[\"chunked\"]",
         "'layer_types'", UNSUPPORTED},
        {"hunyuan_v1_dense", "\"rope_parameters\":{\"rope_type\":\"dynamic\",\"alpha\":-1}",
         "'rope_parameters.alpha'", UNSUPPORTED},
        {"exaone4", "\"sliding_window_pattern\":\"LLLG\"", "'sliding_window_pattern'", FORMAT},
        {"arcee", "\"hidden_act\":\"xielu\"", "'hidden_act'", UNSUPPORTED},
        {"gemma3_text", "\"tie_word_embeddings\":true", "pre_feedforward_layernorm.weight", FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char config[1024];
        snprintf(config, sizeof config,
                 "{\"model_type\":\"%s\",\"hidden_size\":2,\"num_hidden_layers\":1,"
                 "\"num_attention_heads\":1,\"intermediate_size\":2,%s}",
                 cases[i].type, cases[i].member);
        struct folder folder = model(config);
        expect(&folder, cases[i].wanted, cases[i].message);
        free((void *)(uintptr_t)folder.files[1].bytes);
    }
}
END_TEST

START_TEST(config_files) {
    static const struct {
        const char *text;
        status wanted;
        const char *message;
    } cases[] = {
        {"", FORMAT, "ends too early"},
        {"[]", FORMAT, "no JSON object"},
        {"{}", FORMAT, "'model_type'"},
        {"{\"model_type\":3}", FORMAT, "'model_type'"},
        {"{\"model_type\":\"t9\"}", UNSUPPORTED, "t9"},
        {"{\"model_type\":\"llama\"}", FORMAT, "'hidden_size'"},
        {"{\"model_type\":\"llama\",\"hidden_size\":1}", FORMAT, "'num_hidden_layers'"},
        {"{\"model_type\":\"gemma3\"}", FORMAT, "'text_config'"},
        {"{\"model_type\":\"qwen2\",\"num_hidden_layers\":1,\"hidden_size\":2,"
         "\"intermediate_size\":2,\"num_attention_heads\":1,\"use_mrope\":true}",
         UNSUPPORTED, "'use_mrope'"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", LIMIT,
         "deeper"},
        {"{\"model_type\":\"mpt\",\"attn_config\":{\"qk_ln\":true}}", UNSUPPORTED,
         "attn_config.qk_ln"},
        {"{\"model_type\":\"mpt\",\"attn_config\":{\"other\":1}}", UNSUPPORTED,
         "attn_config.other"},
        {"{\"a\":tru}", FORMAT, "word"},
        {"{\"a\":01}", FORMAT, "comma"},
        {"{\"a\":1.}", FORMAT, "digit"},
        {"{\"a\":-}", FORMAT, "digit"},
        {"{\"a\":1e}", FORMAT, "digit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct folder folder = {0};
        add_text(&folder, "config.json", cases[i].text);
        struct checkpoint *c;
        status result = open_folder(&folder, "", &c);
        ck_assert_msg(result == cases[i].wanted, "%s gave %d: %s", cases[i].text, result,
                      status_text());
        ck_assert_ptr_nonnull(strstr(status_text(), cases[i].message));
    }
}
END_TEST

/* ---- parts and what isn't there ---- */

START_TEST(parts) {
    size_t sizes[2];
    char map[4096] = "{\"metadata\":{\"total_size\":1},\"weight_map\":{";
    for (int i = 0; i < N_NAMES; i++)
        snprintf(map + strlen(map), sizeof map - strlen(map), "%s\"%s\":\"%s.safetensors\"",
                 i ? "," : "", names[i], i < 5 ? "m1" : "m2");
    snprintf(map + strlen(map), sizeof map - strlen(map), "}}");
    char *first = model_file(0, 4, "F32", 4, "", &sizes[0]);
    char *second = model_file(5, N_NAMES - 1, "BF16", 2, "", &sizes[1]);
    char *more = model_file(4, N_NAMES - 1, "BF16", 2, "", &sizes[0]);
    size_t more_size = sizes[0];
    free(first);
    first = model_file(0, 4, "F32", 4, "", &sizes[0]);
    struct folder folder = {0};
    add_text(&folder, "config.json", "{" SIZES "}");
    add_text(&folder, "model.safetensors.index.json", map);
    add(&folder, "m1.safetensors", first, sizes[0]);
    add(&folder, "m2.safetensors", second, sizes[1]);
    expect(&folder, OK, "");

    /* every read that fails is an error, and leaves nothing */
    for (int64_t n = 1;; n++) {
        struct checkpoint *c;
        folder.fail_read = n;
        status result = open_folder(&folder, "", &c);
        if (result == OK) {
            checkpoint_close(c);
            ck_assert_int_gt(n, 4);
            break;
        }
        ck_assert_int_eq(result, IO);
    }
    folder.fail_read = 0;

    folder.files[3] = (struct one_file){"m2.safetensors", more, more_size};
    expect(&folder, FORMAT, "there twice");
    folder.files[3].name = "m3.safetensors";
    expect(&folder, NOT_FOUND, "m2.safetensors");
    folder.files[3] = (struct one_file){"m2.safetensors", second, sizes[1]};

    static const struct {
        const char *map;
        const char *message;
    } broken[] = {
        {"[]", "no JSON object"},
        {"{}", "names no file"},
        {"{\"weight_map\":[]}", "no JSON object"},
        {"{\"weight_map\":{\"a\":3}}", "no file name"},
        {"{\"weight_map\":{\"a\":\"../m1.safetensors\"}}", "of its folder"},
        {"{\"weight_map\":{\"a\":\"/m1.safetensors\"}}", "of its folder"},
        {"{\"weight_map\":{\"a\":\"m1.safetensors\\u0000.safetensors\"}}", "of its folder"},
        {"{\"weight_map\":{\"a\":\"m1.bin\"}}", "of its folder"},
        {"{\"weight_map\":{\"a\":\"m1.safetensors\"}}", "which lacks it"},
        {"{\"weight_map\":{\"model.norm.weight\":\"m1.safetensors\"}}", "names 1 tensors"},
        {"{\"weight_map\":{\"model.norm.weight\":\"m1.safetensors\"}} {", "more after"},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        folder.files[1] =
            (struct one_file){"model.safetensors.index.json", broken[i].map, strlen(broken[i].map)};
        expect(&folder, FORMAT, broken[i].message);
    }
    free(first);
    free(second);
    free(more);
}
END_TEST

static int open_descriptors(void) {
    int n = 0;
    DIR *all = opendir("/proc/self/fd");
    while (readdir(all)) n++;
    closedir(all);
    return n;
}

/* Parts, F64, by path: mapped and read; nothing stays open or mapped after loading. */
START_TEST(paths) {
    static const char *const names_of_it[] = {FOLDER, FOLDER "/", FOLDER "/config.json",
                                              FOLDER "/model.safetensors.index.json"};
    for (size_t i = 0; i < 8; i++) {
        int before = open_descriptors();
        struct checkpoint_options options = {.path = names_of_it[i / 2], .read = i % 2 == 1};
        struct checkpoint *c;
        memory_init(&memory, NULL);
        ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
        ck_assert((checkpoint_mapped_bytes(c) > 0) == (i % 2 == 0));
        ck_assert_uint_eq(checkpoint_tensor_count(c), 21);
        const struct tensor *tensor = checkpoint_tensor(c, "blk.1.ffn_up.weight");
        static float all[20 * 37], one[20];
        const void *data;
        ck_assert_ptr_nonnull(tensor);
        ck_assert_uint_eq(tensor->bytes, sizeof all);
        ck_assert_int_eq(checkpoint_data(c, tensor, 0, sizeof all, all, &data), OK);
        ck_assert_int_eq(checkpoint_data(c, tensor, 36 * sizeof one, sizeof one, one, &data), OK);
        ck_assert_mem_eq(one, all + 36 * 20, sizeof one);
        checkpoint_drop(c, tensor, 0, sizeof all);
        checkpoint_finish_loading(c);
        ck_assert_uint_eq(checkpoint_mapped_bytes(c), 0);
        ck_assert_int_eq(open_descriptors(), before);
        checkpoint_close(c);
        ck_assert_uint_eq(memory.bytes, 0);
    }
}
END_TEST

START_TEST(absent) {
    struct folder folder = {0};
    expect(&folder, NOT_FOUND, "config.json");
    add_text(&folder, "config.json", "{" SIZES "}");
    expect(&folder, NOT_FOUND, "neither");
    add_text(&folder, "pytorch_model.bin", "PK");
    expect(&folder, UNSUPPORTED, "convert it to safetensors");
    folder.files[1].name = "pytorch_model.bin.index.json";
    expect(&folder, UNSUPPORTED, "convert it to safetensors");
}
END_TEST

START_TEST(numbers) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},
                 {"-0.0", 0},
                 {"1e-05", 1e-5},
                 {"1e-6", 1e-6},
                 {"0.001", 1e-3},
                 {"-12.5", -12.5},
                 {"1E+2", 100},
                 {"500000.0", 5e5},
                 {"1e300", 1e300},
                 {"1e-300", 1e-300},
                 {"123456789012345678901", 123456789012345678901.0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json json = {
            .file = "n", .bytes = (const uint8_t *)cases[i].text, .size = strlen(cases[i].text)};
        struct json_value value;
        double number = NAN;
        ck_assert_int_eq(json_read(&json, &value), OK);
        ck_assert(json_to_double(&value, &number));
        ck_assert_msg(fabs(number - cases[i].value) <= 1e-15 * fabs(cases[i].value), "%s: %.17g",
                      cases[i].text, number);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("hf");
    TCase *cases = tcase_create("hf");
    tcase_add_test(cases, opens);
    tcase_add_loop_test(cases, header_rules, 0, (int)(sizeof headers / sizeof *headers));
    tcase_add_test(cases, header_length);
    tcase_add_test(cases, dtypes);
    tcase_add_test(cases, conversion);
    tcase_add_test(cases, layouts);
    tcase_add_loop_test(cases, config_members, 0, (int)(sizeof members / sizeof *members));
    tcase_add_test(cases, families);
    tcase_add_test(cases, config_files);
    tcase_add_test(cases, parts);
    tcase_add_test(cases, paths);
    tcase_add_test(cases, absent);
    tcase_add_test(cases, numbers);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
