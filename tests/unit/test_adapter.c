/* LoRA adapters through the public API: goldens of PEFT, several in one batch, forks, refusals. */
#include <math.h>

#include "api_fixture.h"

#define DATA SOURCE_ROOT "/tests/goldens/data/"
#define LLAMA DATA "hf/llama-rope-llama3"
#define QWEN DATA "hf/qwen2-gqa-tied"
#define TOLERANCE 2e-3 /* of a logit, reference kernels */
#define FAST_TOLERANCE 0.1
enum { MOST_TOKENS = 70 };

static bool reference(void) {
    const char *path = getenv("TRANSFORMER_CPU");
    return path && strcmp(path, "reference") == 0;
}

static transformer_adapter *open_adapter(transformer_model *model, const char *name) {
    char path[512];
    snprintf(path, sizeof path, DATA "adapters/%s", name);
    const transformer_adapter_options options = {.struct_size = sizeof options, .path = path};
    transformer_adapter *adapter = NULL;
    ok(transformer_adapter_open(model, &options, &adapter));
    return adapter;
}

static transformer_sequence *adapted(transformer_context *context, transformer_adapter *adapter,
                                     float scale) {
    const transformer_sequence_options options = {
        .struct_size = sizeof options, .adapter = adapter, .adapter_scale = scale};
    transformer_sequence *sequence = NULL;
    ok(transformer_sequence_create(context, &options, &sequence));
    return sequence;
}

static transformer_context *context_of(transformer_model *model, int64_t most_rows) {
    const transformer_context_options options = {.max_sequence_tokens = 128,
                                                 .max_sequences = 8,
                                                 .kv_tokens = 1024,
                                                 .max_step_tokens = most_rows,
                                                 .max_logit_rows = 64,
                                                 .kv_type = TRANSFORMER_KV_F32,
                                                 .n_threads = 3};
    return fixture_context(model, &options);
}

/* Logits of the last position, [n_vocab]. */
static void copy_last(transformer_sequence *sequence, float *to) {
    const float *row;
    int64_t n;
    ok(transformer_sequence_logits(sequence, -1, &row, &n));
    memcpy(to, row, (size_t)n * sizeof *to);
}

static void decode_all(transformer_context *context) {
    transformer_decode_result result = {.struct_size = sizeof result};
    do ok(transformer_decode(context, NULL, &result));
    while (result.n_pending > 0);
}

/* ---- goldens ---- */

static int32_t next_i32(const char **at) {
    int32_t value;
    memcpy(&value, *at, sizeof value);
    *at += sizeof value;
    return value;
}

/* How far the logits of NAME.logits are off. */
static double difference(transformer_model *model, transformer_adapter *adapter, const char *name) {
    char path[512];
    size_t size;
    double most = 0;
    snprintf(path, sizeof path, DATA "adapters/%s.logits", name);
    const char *at = (const char *)fixture_read_file(path, &size) + 8;
    transformer_context *context = context_of(model, 16);
    for (int32_t n = next_i32(&at); n > 0; n--) {
        int32_t n_tokens = next_i32(&at), n_positions = next_i32(&at), n_vocab = next_i32(&at);
        int32_t tokens[MOST_TOKENS], positions[8];
        ck_assert_int_le(n_tokens, MOST_TOKENS);
        for (int32_t i = 0; i < n_tokens; i++) tokens[i] = next_i32(&at);
        for (int32_t i = 0; i < n_positions; i++) positions[i] = next_i32(&at);
        const float *golden = (const float *)(const void *)at;
        at += (size_t)n_positions * (size_t)n_vocab * sizeof(float);
        for (int32_t p = 0; p < n_positions; p++) {
            transformer_sequence *sequence = adapted(context, adapter, 0);
            float logits[512];
            ok(transformer_sequence_append(sequence, tokens, positions[p] + 1, NULL));
            decode_all(context);
            copy_last(sequence, logits);
            for (int32_t i = 0; i < n_vocab; i++)
                most = fmax(most, fabs((double)logits[i] - (double)golden[p * n_vocab + i]));
            transformer_sequence_destroy(sequence);
        }
    }
    transformer_context_destroy(context);
    return most;
}

static const struct {
    const char *base, *adapter, *logits;
} goldens[] = {{LLAMA, "llama-all", "llama-all"},
               {LLAMA, "llama-all/adapter_model.safetensors", "llama-all"},
               {LLAMA, "llama-all.gguf", "llama-all"},
               {DATA "small/llama-rope-llama3.gguf", "llama-all", "llama-all"},
               {DATA "small/llama-rope-llama3.gguf", "llama-all.gguf", "llama-all"},
               {LLAMA, "llama-rslora", "llama-rslora"},
               {QWEN, "qwen2-attention", "qwen2-attention"},
               /* Layers that are several weights: q, k, v; gate and up. */
               {DATA "families/phi3.gguf", "phi3", "phi3"},
               {DATA "families/falcon-new.gguf", "falcon-new", "falcon-new"},
               {DATA "families/gptneox.gguf", "gptneox", "gptneox"},
               {DATA "folders/falcon.0", "falcon", "falcon"},
               {DATA "folders/gpt_neox.2", "gpt_neox", "gpt_neox"},
               {DATA "folders/bloom.1", "bloom", "bloom"},
               {DATA "folders/gpt_bigcode.2", "gpt_bigcode", "gpt_bigcode"},
               {DATA "folders/gpt2.2", "gpt2", "gpt2"},
               {DATA "folders/glm4.0", "glm4", "glm4"}};

/* No kernel of a GPU has heads of 4 dims, say. */
static bool has_such_heads(transformer_model *model) {
    const transformer_context_options options = {.struct_size = sizeof options};
    transformer_context *context = NULL;
    transformer_status status = transformer_context_create(model, &options, &context);
    transformer_context_destroy(context);
    if (status != TRANSFORMER_UNSUPPORTED || !getenv("TEST_DEVICE")) return true;
    printf("skipped: %s\n", transformer_last_error());
    transformer_model_close(model);
    return false;
}

START_TEST(as_peft_computes_them) {
    transformer_model *model = fixture_open_path(goldens[_i].base);
    if (!has_such_heads(model)) return;
    transformer_adapter *adapter = open_adapter(model, goldens[_i].adapter);
    double with = difference(model, adapter, goldens[_i].logits);
    double without = difference(model, NULL, goldens[_i].logits);
    printf("%s: %.2e, without it %.2e\n", goldens[_i].adapter, with, without);
    ck_assert(with <= (reference() ? TOLERANCE : FAST_TOLERANCE));
    ck_assert(without > 10 * FAST_TOLERANCE);
    transformer_adapter_close(adapter);
    transformer_model_close(model);
}
END_TEST

/* ---- bits ---- */

static const int32_t prompt[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9};
enum { N_PROMPT = sizeof prompt / sizeof *prompt };

static void last_alone(transformer_model *model, transformer_adapter *adapter, float scale,
                       float *to) {
    transformer_context *context = context_of(model, 128);
    transformer_sequence *sequence = adapted(context, adapter, scale);
    ok(transformer_sequence_append(sequence, prompt, N_PROMPT, NULL));
    decode_all(context);
    copy_last(sequence, to);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
}

/* Two adapters, one of them at another scale, and none, side by side in steps of five rows. */
START_TEST(in_one_batch_as_alone) {
    enum { N = 5 };
    transformer_model *model = fixture_open_path(LLAMA);
    transformer_adapter *all = open_adapter(model, "llama-all"),
                        *some = open_adapter(model, "llama-rslora");
    transformer_adapter *const adapters[N] = {all, NULL, some, all, NULL};
    const float scales[N] = {0, 0, 0, -0.5f, 3};
    float alone[N][512] = {{0}}, together[512] = {0};
    size_t bytes = (size_t)fixture_n_vocab(model) * sizeof(float);
    for (int i = 0; i < N; i++) last_alone(model, adapters[i], scales[i], alone[i]);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            ck_assert_int_eq(memcmp(alone[i], alone[j], bytes) == 0, i == 4 && j == 1);
    for (int64_t rows = 1; rows <= 125; rows += 62) {
        transformer_context *context = context_of(model, rows);
        transformer_sequence *sequences[N];
        for (int i = 0; i < N; i++) {
            sequences[i] = adapted(context, adapters[i], scales[i]);
            ok(transformer_sequence_append(sequences[i], prompt, N_PROMPT, NULL));
        }
        int n_seen = 0;
        bool seen[N] = {false};
        while (n_seen < N) {
            ok(transformer_decode(context, NULL, NULL));
            for (int i = 0; i < N; i++) {
                const float *row;
                int64_t n;
                if (seen[i] ||
                    transformer_sequence_logits(sequences[i], -1, &row, &n) != TRANSFORMER_OK)
                    continue;
                copy_last(sequences[i], together);
                ck_assert_msg(memcmp(together, alone[i], bytes) == 0, "%d, %d rows", i, (int)rows);
                seen[i] = true;
                n_seen++;
            }
        }
        for (int i = 0; i < N; i++) transformer_sequence_destroy(sequences[i]);
        transformer_context_destroy(context);
    }
    transformer_adapter_close(all);
    transformer_adapter_close(some);
    transformer_model_close(model);
}
END_TEST

/* The fork has the pages and the adapter, which lives as long as it does. */
START_TEST(a_fork_keeps_it) {
    transformer_model *model = fixture_open_path(LLAMA);
    transformer_adapter *adapter = open_adapter(model, "llama-all");
    float alone[512], forked[512];
    last_alone(model, adapter, 2, alone);
    transformer_context *context = context_of(model, 16);
    transformer_sequence *sequence = adapted(context, adapter, 2), *fork = NULL;
    transformer_adapter_close(adapter);
    transformer_model_close(model);
    ok(transformer_sequence_append(sequence, prompt, 9, NULL));
    decode_all(context);
    ok(transformer_sequence_fork(sequence, NULL, &fork));
    transformer_sequence_destroy(sequence);
    ok(transformer_sequence_append(fork, prompt + 9, N_PROMPT - 9, NULL));
    decode_all(context);
    copy_last(fork, forked);
    ck_assert_int_eq(memcmp(forked, alone, sizeof(float) * 200), 0);
    transformer_sequence_destroy(fork);
    transformer_context_destroy(context);
}
END_TEST

/* ---- refusals ---- */

struct files {
    char *config;
    void *weights;
    size_t config_size, weights_size;
};

static int64_t file_size(void *user, const char *name) {
    const struct files *files = user;
    if (strcmp(name, "adapter_config.json") == 0) return (int64_t)files->config_size;
    return strcmp(name, "adapter_model.safetensors") == 0 ? (int64_t)files->weights_size : -1;
}

static int64_t file_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    const struct files *files = user;
    const char *from = strcmp(name, "adapter_config.json") == 0 ? files->config : files->weights;
    memcpy(buffer, from + offset, n);
    return (int64_t)n;
}

static const struct {
    const char *from, *to; /* of the config; in the weights where the length is the same */
    transformer_status wanted;
    const char *message;
} changes[] = {
    {"\"r\": 3", "\"r\": 3", TRANSFORMER_OK, ""},
    {"\"LORA\"", "\"LOHA\"", TRANSFORMER_UNSUPPORTED, "peft_type"},
    {"\"use_dora\": false", "\"use_dora\": true", TRANSFORMER_UNSUPPORTED, "use_dora"},
    {"\"bias\": \"none\"", "\"bias\": \"all\"", TRANSFORMER_UNSUPPORTED, "bias"},
    {"\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", TRANSFORMER_UNSUPPORTED,
     "modules_to_save"},
    {"\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", TRANSFORMER_UNSUPPORTED,
     "init_lora_weights"},
    {"\"use_rslora\": true", "\"some_key\": true", TRANSFORMER_UNSUPPORTED, "some_key"},
    {"\"lora_alpha\": 5", "\"lora_alpha\": null", TRANSFORMER_FORMAT, "lora_alpha"},
    {"layers.0.self_attn.q_proj.lora_A", "layers.9.self_attn.q_proj.lora_A",
     TRANSFORMER_UNSUPPORTED, "layers.9.self_attn.q_proj"},
    {"layers.0.self_attn.q_proj.lora_A", "layers.0.mlp.experts.2.w1.lora_A",
     TRANSFORMER_UNSUPPORTED, "is of experts"},
    {"layers.0.self_attn.q_proj.lora_A", "layers.0.self_attn.q_norm.lora_A",
     TRANSFORMER_UNSUPPORTED, "q_norm"},
    {"layers.0.self_attn.q_proj.lora_A", "layers.0.self_attn.q_proj.lora_C",
     TRANSFORMER_UNSUPPORTED, "lora_C"},
    {"layers.0.self_attn.q_proj.lora_A", "layers.0.self_attn.v_proj.lora_A", TRANSFORMER_FORMAT,
     "only one of"},
};

START_TEST(refusals) {
    struct files files = {0};
    char *config =
        fixture_read_file(DATA "adapters/llama-rslora/adapter_config.json", &files.config_size);
    char *weights = fixture_read_file(DATA "adapters/llama-rslora/adapter_model.safetensors",
                                      &files.weights_size);
    const char *from = changes[_i].from, *to = changes[_i].to;
    size_t n = strlen(from), m = strlen(to), at = 0;
    files.config = calloc(files.config_size + 64, 1);
    files.weights = weights;
    memcpy(files.config, config, files.config_size);
    char *found = strstr(files.config, from);
    if (found) {
        memmove(found + m, found + n, strlen(found + n));
        memcpy(found, to, m);
        files.config_size += m - n;
    } else {
        while (memcmp(weights + at, from, n) != 0) at++;
        memcpy(weights + at, to, m);
    }
    const transformer_reader reader = {.size = file_size, .read = file_read, .user = &files};
    const transformer_adapter_options options = {
        .struct_size = sizeof options, .path = "", .reader = &reader};
    transformer_model *model = fixture_open_path(LLAMA);
    transformer_adapter *adapter = NULL;
    expect(changes[_i].wanted, transformer_adapter_open(model, &options, &adapter));
    if (changes[_i].wanted != TRANSFORMER_OK)
        ck_assert_msg(strstr(transformer_last_error(), changes[_i].message) != NULL, "%s",
                      transformer_last_error());
    transformer_adapter_close(adapter);
    transformer_model_close(model);
    free(files.config);
}
END_TEST

START_TEST(arguments) {
    transformer_model *model = fixture_open_path(LLAMA), *other = fixture_open_path(QWEN);
    transformer_adapter *adapter = open_adapter(model, "llama-all"), *none = NULL;
    transformer_adapter_options options = {.struct_size = sizeof options};
    invalid(transformer_adapter_open(model, &options, &none));
    invalid(transformer_adapter_open(model, NULL, &none));
    options.path = DATA "adapters/none";
    expect(TRANSFORMER_NOT_FOUND, transformer_adapter_open(model, &options, &none));
    options.path = DATA "small/llama-gqa.gguf";
    expect(TRANSFORMER_FORMAT, transformer_adapter_open(model, &options, &none));
    options.path = DATA "adapters/llama-all.gguf";
    expect(TRANSFORMER_UNSUPPORTED, transformer_adapter_open(other, &options, &none));
    transformer_context *context = context_of(other, 8);
    transformer_sequence *sequence = NULL;
    transformer_sequence_options wrong = {.struct_size = sizeof wrong, .adapter = adapter};
    invalid(transformer_sequence_create(context, &wrong, &sequence));
    wrong = (transformer_sequence_options){.struct_size = sizeof wrong, .adapter_scale = NAN};
    invalid(transformer_sequence_create(context, &wrong, &sequence));
    transformer_context_destroy(context);
    transformer_adapter_close(adapter);
    transformer_adapter_close(NULL);
    transformer_model_close(model);
    transformer_model_close(other);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("adapter");
    TCase *tests = tcase_create("adapter");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, as_peft_computes_them, 0, sizeof goldens / sizeof *goldens);
    tcase_add_test(tests, in_one_batch_as_alone);
    tcase_add_test(tests, a_fork_keeps_it);
    tcase_add_loop_test(tests, refusals, 0, sizeof changes / sizeof *changes);
    tcase_add_test(tests, arguments);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
