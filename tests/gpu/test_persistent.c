/* Decode steps by the persistent kernel: the bits are those of the graph and of single launches;
 * what has no form as a task keeps the graph; a wait that is in vain ends as DEVICE. On the
 * emulator's driver, with as few multiprocessors as make blocks take several tasks each. */
#define _GNU_SOURCE /* setenv */
#include "cuda/kernels/gemm/gemm_tiles.h"
#include "cuda/launcher.h"
#include "decode_ways.h"
#include "device_fixture.h"

/* What a case runs. */
struct subject {
    const char *model;
    struct decode_case of;
    bool has_forms;
};

/* Steps that one of the context's persistent programs has run. */
static uint32_t n_launched(const transformer_context *context) {
    const struct backend_context *backend = context->backend;
    uint32_t n = 0;
    for (int i = 0; i < backend->n_programs; i++) n += backend->programs[i].args.launch;
    return n;
}

static void compare(const struct subject *subject) {
    transformer_model_details details = {.struct_size = sizeof details};
    struct decode_record records[DECODE_WAYS];
    transformer_model *model = NULL;
    expect(OK, open_on(1, model_path(subject->model), &model));
    expect(OK, transformer_model_info(model, &details));
    const size_t n = (size_t)(DECODE_STEPS * subject->of.n_sequences * details.n_vocab);
    for (int way = 0; way < DECODE_WAYS; way++) {
        transformer_context *context = NULL;
        expect(OK, decode_way_context(model, (enum decode_way)way, &subject->of, &context));
        records[way].logits = malloc(n * sizeof(float));
        ck_assert_ptr_nonnull(records[way].logits);
        expect(OK, decode_way_run(model, context, &subject->of, details.n_vocab, &records[way]));
        const bool persistent = way == WAY_PERSISTENT && subject->has_forms;
        ck_assert_msg((n_launched(context) >= DECODE_STEPS) == persistent,
                      "%s: %u steps by the persistent kernel", subject->model, n_launched(context));
        transformer_context_destroy(context);
    }
    for (int way = 1; way < DECODE_WAYS; way++) {
        size_t first = 0;
        const size_t differ =
            decode_way_compare(&records[0], &records[way], &subject->of, details.n_vocab, &first);
        ck_assert_msg(
            !differ, "%s, %d rows: %zu of %zu logits are not those of %s, number %zu first",
            subject->model, subject->of.n_sequences, differ, n, decode_way_names[way], first);
    }
    for (int way = 0; way < DECODE_WAYS; way++) free(records[way].logits);
    transformer_model_close(model);
    all_given_back(subject->model);
}

#define F16 TRANSFORMER_KV_F16
#define BF16 TRANSFORMER_KV_BF16
#define Q8_0 TRANSFORMER_KV_Q8_0
static const struct subject subjects[] = {
    /* Rows, types of keys and values. */
    {"small/llama-gqa", {F16, 1, 9, false}, true},
    {"small/llama-gqa", {BF16, 2, 9, true}, true},
    {"small/llama-gqa", {Q8_0, 5, 70, false}, true},
    {"small/llama-gqa", {F16, 8, 9, true}, true},
    /* Keys on both sides of a split's border. */
    {"small/llama-gqa", {F16, 5, 508, false}, true},
    {"small/llama-gqa", {Q8_0, 2, 510, false}, true},
    /* Weight types, two in one model among them. */
    {"quantized/llama-f16", {F16, 3, 9, false}, true},
    {"quantized/llama-bf16", {F16, 2, 9, false}, true},
    {"quantized/llama-q4_0", {F16, 2, 9, false}, true},
    {"quantized/llama-q4_1", {F16, 2, 9, false}, true},
    {"quantized/llama-q8_0", {F16, 2, 9, false}, true},
    {"quantized/llama-q4_k", {F16, 8, 9, false}, true},
    {"quantized/llama-q6_k", {F16, 2, 9, false}, true},
    /* Parts of other families. */
    {"small/gemma3-mqa", {F16, 3, 20, false}, true},
    {"small/llama-mqa-biases", {F16, 2, 9, false}, true},
    {"small/llama-rope-partial", {F16, 2, 9, false}, true},
    {"families/gpt2", {F16, 2, 9, false}, true},
    {"families/bloom", {F16, 2, 9, false}, true},
    {"families/falcon", {F16, 2, 9, false}, true},
    {"families/qwen2moe", {F16, 5, 9, false}, true},
    {"families/gpt-oss", {F16, 2, 9, false}, true},
    {"families/gemma2", {F16, 2, 9, false}, true},
    {"families/command-r", {F16, 2, 9, false}, true},
    {"families/granitemoe", {F16, 2, 9, false}, true},
    {"families/deepseek_v3-experts", {F16, 2, 9, false}, true},
    /* What no task does: a type of weights, of keys, a size of heads. */
    {"quantized/llama-q5_k", {F16, 2, 9, false}, false},
    {"small/llama-gqa", {TRANSFORMER_KV_F32, 2, 9, false}, false},
    {"small/gemma3-head-256", {F16, 2, 9, false}, false},
};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects };

START_TEST(bits) {
    compare(&subjects[_i]);
}
END_TEST

/* ---- waits in vain ---- */

static const transformer_context_options small_options = {
    .struct_size = sizeof small_options, .max_sequence_tokens = 64, .max_sequences = 2};

START_TEST(lost_signal) {
    const int32_t tokens[] = {1, 2, 3};
    transformer_model *model = NULL;
    transformer_sequence *sequence = NULL;
    transformer_decode_result result = {.struct_size = sizeof result};
    char number[16];
    snprintf(number, sizeof number, "%d", 1 + 37 * _i); /* of the first step, and of a later one */
    setenv("EMULATED_LOSE_SIGNAL", number, 1);
    expect(OK, open_on(1, SMALL, &model));
    transformer_context *context = NULL;
    decode_way_choose(WAY_PERSISTENT);
    expect(OK, transformer_context_create(model, &small_options, &context));
    decode_way_choose(WAY_GRAPH);
    expect(OK, transformer_sequence_create(context, NULL, &sequence));
    expect(OK, transformer_sequence_append(sequence, tokens, 3, NULL));
    expect(OK, transformer_decode(context, NULL, &result));
    status decoded = OK;
    for (int i = 0; decoded == OK && i < 20; i++) {
        expect(OK, transformer_sequence_append(sequence, tokens, 1, NULL));
        decoded = transformer_decode(context, NULL, &result);
    }
    ck_assert_int_eq(decoded, DEVICE);
    says("waited in vain");
    expect(DEVICE, transformer_decode(context, NULL, &result));
    says("waited in vain");
    transformer_context *other = NULL;
    expect(DEVICE, transformer_context_create(model, &small_options, &other));
    says("waited in vain");
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
    all_given_back("a lost device");
    unsetenv("EMULATED_LOSE_SIGNAL");
    cpu_goes_on();
    /* A new model has a device that works. */
    compare(&subjects[0]);
}
END_TEST

/* ---- what a multiprocessor has under way ---- */

START_TEST(bytes_under_way) {
#define NUMBER(name, type) type,
    static const uint32_t types[] = {PERSISTENT_TYPES(NUMBER)};
#undef NUMBER
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (uint32_t gate = 0; gate < 2 && types[i] != WEIGHT_F32; gate++) {
            const struct gemm_tile tile = gemm_tile_resident_of(types[i], gate);
            const uint32_t ahead = (tile.stages - 1) * tile.stage_units * tile.unit_bytes;
            ck_assert_uint_le(tile.shared_bytes, GEMM_SHARED_RESIDENT);
            ck_assert_uint_ge(PERSISTENT_BLOCKS * ahead, 96 * 1024);
        }
    ck_assert_uint_le(PERSISTENT_BLOCKS * (GEMM_SHARED_RESIDENT + PERSISTENT_CONTROL + 1024),
                      228 * 1024);
}
END_TEST

/* ---- what a context takes ---- */

START_TEST(estimated) {
    static const char *const names[] = {"small/llama-gqa", "quantized/llama-q4_k",
                                        "families/qwen2moe"};
    transformer_model_options file = {
        .struct_size = sizeof file, .path = model_path(names[_i]), .device = 1};
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    transformer_model *model = NULL;
    decode_way_choose(WAY_PERSISTENT);
    expect(OK, transformer_model_estimate(&file, &small_options, &estimate));
    decode_way_choose(WAY_GRAPH);
    expect(OK, transformer_model_open(&file, &model));
    transformer_context *context = NULL;
    decode_way_choose(WAY_PERSISTENT);
    expect(OK, transformer_context_create(model, &small_options, &context));
    decode_way_choose(WAY_GRAPH);
    const double ratio = (double)estimate.device_bytes / (double)live_bytes();
    const double units = 8.0 * (2 << 20) / (double)live_bytes(); /* the driver's blocks */
    ck_assert_msg(ratio > 0.95 && ratio < 1.05 + units, "%s: %llu bytes estimated, %zu taken",
                  names[_i], (unsigned long long)estimate.device_bytes, live_bytes());
    transformer_context_destroy(context);
    transformer_model_close(model);
    all_given_back("a context");
}
END_TEST

int main(void) {
    setenv("EMULATED_MULTIPROCESSORS", "2", 0);
    Suite *suite = suite_create("persistent");
    TCase *all = tcase_create("persistent");
    tcase_set_timeout(all, 600);
    tcase_add_loop_test(all, bits, 0, N_SUBJECTS);
    tcase_add_loop_test(all, lost_signal, 0, 4);
    tcase_add_loop_test(all, estimated, 0, 3);
    tcase_add_test(all, bytes_under_way);
    suite_add_tcase(suite, all);
    return fixture_main(suite, true);
}
