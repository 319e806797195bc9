/* Estimates of what nobody has: limits near 2^63, and a model whose KV cache is larger than 64 bits
 * can count. Neither wraps to a small number. */
#include "gguf_bytes.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdio.h>

/* ---- a file of which only the head is there; an estimate reads no more ---- */

enum { WIDEST = 1 << 25 }; /* 4,096 heads of 8,192 */

static struct bytes head;
static uint64_t offset;

static void add_tensor(const char *format, int layer, uint64_t n0, uint64_t n1) {
    char name[64];
    snprintf(name, sizeof name, format, layer);
    put_tensor(&head, name, n0, n1, GGUF_F32, offset);
    offset += (n0 * n1 * 4 + 31) / 32 * 32;
}

/* n_wide layers of 4,096 KV heads, then n_narrow of 2,048: two groups of streams. */
static void make_head(uint32_t n_wide, uint32_t n_narrow) {
    uint32_t n = n_wide + n_narrow;
    offset = 0;
    put_head(&head, 3, 3 + 9 * (uint64_t)n, 9);
    put_key_string(&head, "general.architecture", "llama");
    put_key_u32(&head, "llama.block_count", n);
    put_key_u32(&head, "llama.embedding_length", 1);
    put_key_u32(&head, "llama.context_length", 1 << 20);
    put_key_u32(&head, "llama.feed_forward_length", 1);
    put_key_u32(&head, "llama.attention.head_count", 4096);
    put_array(&head, "llama.attention.head_count_kv", METADATA_U32, n);
    for (uint32_t i = 0; i < n; i++) put_u32(&head, i < n_wide ? 4096 : 2048);
    put_key_u32(&head, "llama.attention.key_length", 8192);
    put_key(&head, "llama.attention.layer_norm_rms_epsilon", METADATA_F32), put_f32(&head, 1e-5f);
    add_tensor("token_embd.weight", 0, 1, 16);
    add_tensor("output.weight", 0, 1, 16);
    add_tensor("output_norm.weight", 0, 1, 1);
    for (int i = 0; i < (int)n; i++) {
        uint64_t kv = (uint32_t)i < n_wide ? WIDEST : WIDEST / 2;
        add_tensor("blk.%d.attn_q.weight", i, 1, WIDEST);
        add_tensor("blk.%d.attn_k.weight", i, 1, kv);
        add_tensor("blk.%d.attn_v.weight", i, 1, kv);
        add_tensor("blk.%d.attn_output.weight", i, WIDEST, 1);
        add_tensor("blk.%d.ffn_gate.weight", i, 1, 1);
        add_tensor("blk.%d.ffn_up.weight", i, 1, 1);
        add_tensor("blk.%d.ffn_down.weight", i, 1, 1);
        add_tensor("blk.%d.attn_norm.weight", i, 1, 1);
        add_tensor("blk.%d.ffn_norm.weight", i, 1, 1);
    }
    put_data(&head, 32, 0);
}

static int64_t head_size(void *user, const char *name) {
    (void)user, (void)name;
    return (int64_t)(head.n + offset);
}

static int64_t head_read(void *user, const char *name, uint64_t from, void *buffer, uint64_t n) {
    (void)user, (void)name;
    memset(buffer, 0, n);
    if (from < head.n) memcpy(buffer, head.data + from, n < head.n - from ? n : head.n - from);
    return (int64_t)n;
}

static transformer_status estimate_huge(int64_t kv_tokens, transformer_memory_estimate *estimate) {
    transformer_reader reader = {.size = head_size, .read = head_read};
    transformer_model_options model = {
        .struct_size = sizeof model, .path = "huge", .reader = &reader};
    transformer_context_options context = {.struct_size = sizeof context,
                                           .kv_tokens = kv_tokens,
                                           .kv_type = TRANSFORMER_KV_F32,
                                           .n_threads = 1};
    *estimate = (transformer_memory_estimate){.struct_size = sizeof *estimate};
    return transformer_model_estimate(&model, &context, estimate);
}

/* A position of a wide layer takes 2 * 2^25 * 4 bytes, so 2^30 positions take 2^58. */
START_TEST(kv_beyond_64_bits) {
    transformer_memory_estimate estimate;
    make_head(4, 4);
    ck_assert_msg(estimate_huge(1 << 30, &estimate) == OK, "%s", transformer_last_error());
    ck_assert_uint_ge(estimate.context_kv_bytes, 6 * (UINT64_C(1) << 58));
    ck_assert_uint_lt(estimate.context_kv_bytes, 6 * (UINT64_C(1) << 58) + 4096);
    ck_assert_uint_gt(estimate.context_host_bytes, estimate.context_kv_bytes);
    /* The wide ones over what an allocation can be, the sum of both over 2^64, a product over it.
     */
    static const uint32_t layers[][2] = {{33, 0}, {31, 67}, {63, 4}, {64, 0}, {65, 1}, {2, 62}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        make_head(layers[i][0], layers[i][1]);
        status result = estimate_huge(1 << 30, &estimate);
        if (i == 5) { /* 33 * 2^58: two allocations that could be */
            ck_assert_int_eq(result, OK);
            ck_assert_uint_gt(estimate.context_host_bytes, 33 * (UINT64_C(1) << 58));
            continue;
        }
        ck_assert_msg(result == OUT_OF_MEMORY, "%zu: %llu bytes", i,
                      (unsigned long long)estimate.context_host_bytes);
        ck_assert_msg(strstr(transformer_last_error(), "context"), "%s", transformer_last_error());
        ck_assert_uint_eq(estimate.context_host_bytes, 0);
        ck_assert_int_eq(estimate_huge(64, &estimate), OK);
    }
}
END_TEST

/* ---- limits ---- */

static transformer_status estimate_small(transformer_context_options context,
                                         transformer_memory_estimate *estimate) {
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/goldens/data/small/gemma3-mqa.gguf", SOURCE_ROOT);
    transformer_model_options model = {.struct_size = sizeof model, .path = path};
    context.struct_size = sizeof context;
    context.n_threads = 1;
    *estimate = (transformer_memory_estimate){.struct_size = sizeof *estimate};
    return transformer_model_estimate(&model, &context, estimate);
}

START_TEST(limits_near_the_largest_number) {
    static const int64_t over[] = {INT64_MAX, INT64_MAX - 63, INT64_C(1) << 62, INT64_C(1) << 32,
                                   (INT64_C(1) << 30) + 1};
    transformer_memory_estimate estimate;
    for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
        const transformer_context_options each[] = {{.max_sequences = over[i]},
                                                    {.kv_tokens = over[i]},
                                                    {.max_step_tokens = over[i]},
                                                    {.max_logit_rows = over[i]},
                                                    {.max_sequence_tokens = over[i]}};
        for (size_t j = 0; j < sizeof each / sizeof *each; j++) {
            ck_assert_int_eq(estimate_small(each[j], &estimate), LIMIT);
            ck_assert_uint_eq(estimate.context_host_bytes, 0);
        }
    }
    /* All at their highest: more than each of them alone needs. */
    ck_assert_int_eq(estimate_small((transformer_context_options){.max_sequences = 1 << 20,
                                                                  .kv_tokens = 1 << 30,
                                                                  .max_step_tokens = 1 << 20,
                                                                  .max_logit_rows = 1 << 20},
                                    &estimate),
                     OK);
    ck_assert_uint_gt(estimate.context_kv_bytes, (UINT64_C(1) << 30) * 2 * 16 * 2);
    ck_assert_uint_gt(estimate.context_host_bytes,
                      estimate.context_kv_bytes + (UINT64_C(420) << 20) * sizeof(float));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("estimate");
    TCase *tests = tcase_create("estimate");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, kv_beyond_64_bits);
    tcase_add_test(tests, limits_near_the_largest_number);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
