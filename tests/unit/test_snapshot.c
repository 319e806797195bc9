/* Snapshots through the public API: the same bits after a restore in every state that a sequence
 * can be in, and an error for whatever is not a snapshot of this model's. */
#include "api_fixture.h"
#include "snapshot_bytes.h"

enum { MORE = 5 }; /* tokens that follow a snapshot */

static const char *const MODELS[] = {"small/llama-gqa", "small/gemma3-mqa", "families/deepseek_v2",
                                     "families/gpt-oss"};
enum { N_MODELS = 4 };

/* ---- saving and restoring ---- */

struct bytes {
    uint8_t *data;
    uint64_t size, capacity, most_at_once;
    int64_t fail_at, n_calls; /* the call that fails, from 1 */
};

static int32_t append_bytes(void *user, const void *bytes, uint64_t n) {
    struct bytes *to = user;
    if (++to->n_calls == to->fail_at) return 1;
    ck_assert_uint_le(n, to->capacity - to->size);
    memcpy(to->data + to->size, bytes, n);
    to->size += n;
    return 0;
}

/* At most most_at_once bytes at a time, 0: as many as are asked for. */
static int64_t next_bytes(void *user, void *buffer, uint64_t n) {
    struct bytes *from = user;
    if (++from->n_calls == from->fail_at) return -1;
    if (from->most_at_once && n > from->most_at_once) n = from->most_at_once;
    if (n > from->capacity - from->size) n = from->capacity - from->size;
    memcpy(buffer, from->data + from->size, n);
    from->size += n;
    return (int64_t)n;
}

/* Into memory, and through a callback to the same bytes. */
static struct bytes save(transformer_sequence *sequence) {
    uint64_t size = 0, again = 0;
    ok(transformer_sequence_save(sequence, NULL, &size));
    struct bytes saved = {.data = fixture_take(size + 1), .size = size, .capacity = size};
    transformer_save_options options = {
        .struct_size = sizeof options, .buffer = saved.data, .capacity = size};
    saved.data[size] = 0xA5;
    ok(transformer_sequence_save(sequence, &options, &again));
    ck_assert_uint_eq(again, size);
    ck_assert_uint_eq(saved.data[size], 0xA5);
    struct bytes written = {.data = fixture_take(size), .capacity = size};
    options = (transformer_save_options){
        .struct_size = sizeof options, .write = append_bytes, .write_user = &written};
    ok(transformer_sequence_save(sequence, &options, &again));
    ck_assert_uint_eq(again, size);
    ck_assert_uint_eq(written.size, size);
    ck_assert_mem_eq(written.data, saved.data, size);
    return saved;
}

static transformer_status restore_with(transformer_context *context, const uint8_t *data,
                                       uint64_t size, const transformer_sequence_options *sequence,
                                       transformer_sequence **restored) {
    const transformer_restore_options options = {
        .struct_size = sizeof options, .data = data, .data_size = size, .sequence = sequence};
    return transformer_sequence_restore(context, &options, restored);
}

static transformer_status read_with(transformer_context *context, struct bytes *from,
                                    transformer_sequence **restored) {
    const transformer_restore_options options = {
        .struct_size = sizeof options, .read = next_bytes, .read_user = from};
    return transformer_sequence_restore(context, &options, restored);
}

static transformer_sequence *restore(transformer_context *context, const struct bytes *saved) {
    transformer_sequence *sequence = NULL;
    ok(restore_with(context, saved->data, saved->size, NULL, &sequence));
    return sequence;
}

static transformer_sequence *restore_read(transformer_context *context, const struct bytes *saved,
                                          uint64_t most_at_once) {
    struct bytes from = {
        .data = saved->data, .capacity = saved->size, .most_at_once = most_at_once};
    transformer_sequence *sequence = NULL;
    ok(read_with(context, &from, &sequence));
    ck_assert_uint_eq(from.size, saved->size);
    return sequence;
}

/* It fails, and leaves the context as it was. */
static void refused(transformer_status code, transformer_context *context, const uint8_t *data,
                    uint64_t size, const char *says) {
    transformer_sequence *sequence = NULL;
    transformer_context_statistics before = fixture_stats(context);
    expect(code, restore_with(context, data, size, NULL, &sequence));
    ck_assert_msg(strstr(transformer_last_error(), says), "'%s' not in: %s", says,
                  transformer_last_error());
    ck_assert_ptr_null(sequence);
    struct bytes from = {.data = (uint8_t *)(uintptr_t)data, .capacity = size};
    transformer_status read = read_with(context, &from, &sequence);
    ck_assert_int_eq(read, code);
    ck_assert_ptr_null(sequence);
    transformer_context_statistics after = fixture_stats(context);
    ck_assert_int_eq(after.kv_pages_free, before.kv_pages_free);
    ck_assert_int_eq(after.n_sequences, before.n_sequences);
    ck_assert_uint_eq(after.host_bytes, before.host_bytes);
}

/* ---- sequences ---- */

static transformer_context *context_as(transformer_model *model, uint32_t kv_type,
                                       int64_t n_sequences) {
    const transformer_context_options options = {.max_sequences = n_sequences,
                                                 .kv_tokens = 256 * n_sequences,
                                                 .max_step_tokens = 48,
                                                 .max_logit_rows = 48,
                                                 .kv_type = kv_type,
                                                 .prefix_cache = TRANSFORMER_ON,
                                                 .n_threads = 2};
    return fixture_context(model, &options);
}

/* Tokens of a sequence that leave room for MORE. */
static int64_t most_tokens(const transformer_model *model) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    int64_t limit = fixture_is_brief() ? 145 : 200;
    int64_t most = details.context_length < limit ? details.context_length : limit;
    return most - MORE;
}

static void same_state(transformer_sequence *a, transformer_sequence *b) {
    int64_t n_computed_a, n_computed_b;
    int64_t n = fixture_length(a, &n_computed_a);
    ck_assert_int_eq(fixture_length(b, &n_computed_b), n);
    ck_assert_int_eq(n_computed_a, n_computed_b);
    int32_t *tokens[2] = {fixture_take((size_t)(n + 1) * 4), fixture_take((size_t)(n + 1) * 4)};
    ok(transformer_sequence_tokens(a, tokens[0], n, &n, NULL));
    ok(transformer_sequence_tokens(b, tokens[1], n, &n, NULL));
    ck_assert_mem_eq(tokens[0], tokens[1], (size_t)n * 4);
}

/* Both go on alike: every logit of the tokens that follow has the same bits. */
static void go_on_alike(const transformer_model *model, transformer_context *context_a,
                        transformer_sequence *a, transformer_context *context_b,
                        transformer_sequence *b) {
    const int32_t *tokens = fixture_tokens(model, 77, MORE);
    int64_t n_vocab = fixture_n_vocab(model);
    same_state(a, b);
    for (int i = 0; i < MORE; i++) {
        fixture_append(a, tokens + i, 1, TRANSFORMER_LOGITS_LAST);
        fixture_append(b, tokens + i, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(context_a);
        fixture_decode(context_b);
        fixture_same(fixture_logits(b, -1), fixture_logits(a, -1), n_vocab, "after a restore");
    }
}

/* A sequence of n tokens of which n_computed are. */
static transformer_sequence *sequence_of(transformer_context *context,
                                         const transformer_model *model, int64_t n,
                                         int64_t n_computed) {
    transformer_sequence *sequence = fixture_sequence(context);
    const int32_t *tokens = fixture_tokens(model, 3, n + 1);
    fixture_append(sequence, tokens, n_computed, TRANSFORMER_LOGITS_NONE);
    if (n_computed) fixture_decode(context);
    fixture_append(sequence, tokens + n_computed, n - n_computed, TRANSFORMER_LOGITS_LAST);
    return sequence;
}

/* The emulated device is slow: there a part of what loops is run. */
static bool left_out(int i, int n_types) {
    return fixture_is_brief() && i % n_types && i / n_types;
}

/* ---- the same bits ---- */

START_TEST(every_state) {
    static const uint32_t types[] = {TRANSFORMER_KV_F16, TRANSFORMER_KV_F32, TRANSFORMER_KV_BF16,
                                     TRANSFORMER_KV_Q8_0};
    if (left_out(_i, 4)) return;
    transformer_model *model = fixture_open(MODELS[_i / 4]);
    int64_t most = most_tokens(model);
    const int64_t states[][2] = {{0, 0},   {7, 0},   {7, 3},    {1, 1},           {63, 63},
                                 {64, 64}, {65, 64}, {100, 90}, {most, most - 3}, {most, most}};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (states[i][0] > most || (fixture_is_brief() && i % 3 != 1)) continue;
        transformer_context *from = context_as(model, types[_i % 4], 1);
        transformer_context *to = context_as(model, types[_i % 4], 3);
        transformer_sequence *other = fixture_prompt(to, model, 9, 5, TRANSFORMER_LOGITS_LAST);
        transformer_sequence *original = sequence_of(from, model, states[i][0], states[i][1]);
        struct bytes saved = save(original);
        transformer_sequence *restored = restore(to, &saved);
        struct bytes again = save(restored);
        ck_assert_uint_eq(again.size, saved.size);
        ck_assert_mem_eq(again.data, saved.data, saved.size);
        transformer_sequence_destroy(other); /* its page is beside those that were taken */
        go_on_alike(model, from, original, to, restored);
        transformer_sequence_destroy(original);
        transformer_sequence_destroy(restored);
        original = restore(from, &saved);
        restored = restore_read(to, &saved, i % 2 ? 37 : 0);
        go_on_alike(model, from, original, to, restored);
        fixture_end(NULL, from, original);
        fixture_end(NULL, to, restored);
    }
    transformer_model_close(model);
}
END_TEST

/* Pages that a window has passed are not written; what comes after them is. */
START_TEST(a_window) {
    transformer_model *model = fixture_open("small/gemma3-mqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 2);
    int64_t most = most_tokens(model);
    ck_assert_int_gt(most, 128);
    transformer_sequence *sequence = sequence_of(context, model, most, most);
    struct bytes saved = save(sequence);
    size_t groups = SNAPSHOT_HEAD + SNAPSHOT_SUM + 6 * (size_t)most + SNAPSHOT_SUM;
    ck_assert_uint_eq(snapshot_u32(saved.data, AT_N_GROUPS), 2);
    uint64_t n_dropped = 0;
    for (size_t g = 0; g < 2; g++)
        n_dropped += snapshot_u64(saved.data, groups + g * SNAPSHOT_GROUP + 32);
    ck_assert_uint_gt(n_dropped, 0);
    transformer_sequence *restored = restore(context, &saved);
    /* Behind the window everything is pending again, as without the snapshot. */
    ok(transformer_sequence_truncate(sequence, 10));
    ok(transformer_sequence_truncate(restored, 10));
    go_on_alike(model, context, sequence, context, restored);
    fixture_end(model, context, sequence, restored);
}
END_TEST

START_TEST(forks) {
    transformer_model *model = fixture_open(MODELS[_i]);
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 4);
    transformer_sequence *original = sequence_of(context, model, 50, 50), *fork = NULL;
    ok(transformer_sequence_fork(original, NULL, &fork));
    struct bytes of_original = save(original), of_fork = save(fork);
    ck_assert_mem_eq(of_original.data, of_fork.data, of_fork.size);
    transformer_sequence *restored = restore(context, &of_fork);
    go_on_alike(model, context, fork, context, restored);
    struct bytes later = save(original); /* what the fork wrote is its own */
    ck_assert_mem_eq(of_original.data, later.data, later.size);
    transformer_sequence *late = NULL;
    ok(transformer_sequence_fork(restored, NULL, &late));
    fixture_append(late, fixture_tokens(model, 8, 1), 1, TRANSFORMER_LOGITS_LAST);
    fixture_append(fork, fixture_tokens(model, 8, 1), 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(late, -1), fixture_logits(fork, -1), fixture_n_vocab(model),
                 "a fork of what was restored");
    fixture_end(model, context, original, fork, restored, late);
}
END_TEST

/* What a snapshot brings in is no other sequence's: one that was made up, with keys that are not of
 * its tokens, changes no bit but its own. */
START_TEST(beside_the_prefix_cache) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 3);
    transformer_context *other = context_as(model, TRANSFORMER_KV_F16, 1);
    int64_t n = 100;
    transformer_sequence *original = sequence_of(other, model, n, 99);
    struct bytes saved = save(original);
    fixture_decode(other);
    saved.data[saved.size - 40] ^= 0x3F; /* of a value */
    saved.data[saved.size / 2] ^= 0x3F;
    snapshot_reseal(saved.data, saved.size);
    transformer_sequence *restored = restore(context, &saved), *fork = NULL, *alone;
    fixture_decode(context);
    ok(transformer_sequence_fork(restored, NULL, &fork));
    fixture_append(fork, fixture_tokens(model, 8, 64), 64, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    alone = sequence_of(context, model, n, 0);
    fixture_decode(context);
    ck_assert_uint_eq(fixture_stats(context).prefix_hit_tokens, 0);
    fixture_same(fixture_logits(alone, -1), fixture_logits(original, -1), fixture_n_vocab(model),
                 "beside a forged snapshot");
    /* Nor does it take up what others left. */
    ok(transformer_sequence_truncate(restored, 0));
    fixture_append(restored, fixture_tokens(model, 3, n), n, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    ck_assert_uint_eq(fixture_stats(context).prefix_hit_tokens, 0);
    fixture_end(NULL, other, original);
    fixture_end(model, context, restored, fork, alone);
}
END_TEST

/* Pages that the cache only keeps make room. */
START_TEST(over_the_prefix_cache) {
    transformer_model *model = fixture_open(MODELS[_i]);
    const transformer_context_options options = {.max_sequence_tokens = 128,
                                                 .kv_tokens = 128,
                                                 .max_sequences = 1,
                                                 .prefix_cache = TRANSFORMER_ON,
                                                 .n_threads = 1};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *first = sequence_of(context, model, 120, 120);
    struct bytes saved = save(first);
    transformer_sequence_destroy(first);
    transformer_sequence *second = fixture_prompt(context, model, 30, 120, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    transformer_sequence_destroy(second);
    transformer_sequence *restored = restore(context, &saved);
    struct bytes again = save(restored);
    ck_assert_mem_eq(again.data, saved.data, saved.size);
    fixture_end(model, context, restored);
}
END_TEST

/* Nothing of what was in the pages before is written. */
START_TEST(nothing_of_others) {
    transformer_model *model = fixture_open(MODELS[_i]);
    transformer_context *fresh = context_as(model, TRANSFORMER_KV_F16, 1);
    transformer_context *used = context_as(model, TRANSFORMER_KV_F16, 1);
    transformer_sequence *before =
        fixture_prompt(used, model, 21, most_tokens(model), TRANSFORMER_LOGITS_LAST);
    fixture_decode(used);
    transformer_sequence_destroy(before);
    transformer_sequence *a = sequence_of(fresh, model, 9, 9), *b = sequence_of(used, model, 9, 9);
    struct bytes of_a = save(a), of_b = save(b);
    ck_assert_uint_eq(of_a.size, of_b.size);
    ck_assert_mem_eq(of_a.data, of_b.data, of_a.size);
    fixture_end(NULL, fresh, a);
    fixture_end(model, used, b);
}
END_TEST

/* Logits that were asked for and not computed, and a sampler that goes on where it was. */
START_TEST(what_is_pending) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 3);
    transformer_sampler *sampler =
        fixture_sampler(model, (transformer_sampler_options){.temperature = 1.0f, .seed = 4});
    transformer_sequence_options options = {
        .struct_size = sizeof options, .sampler = sampler, .stream = 11};
    transformer_sequence *original = NULL, *restored = NULL;
    ok(transformer_sequence_create(context, &options, &original));
    const uint8_t keep[6] = {0, 1, 0, 1, 0, 0};
    const transformer_append_options append = {
        .struct_size = sizeof append, .keep = keep, .logits = TRANSFORMER_LOGITS_NONE};
    ok(transformer_sequence_append(original, fixture_tokens(model, 5, 6), 6, &append));
    struct bytes saved = save(original);
    options.stream = 0;
    ok(restore_with(context, saved.data, saved.size, &options, &restored));
    fixture_step(context, 0);
    for (int64_t i = 1; i < 6; i += 2)
        fixture_same(fixture_logits(restored, i), fixture_logits(original, i),
                     fixture_n_vocab(model), "what was asked for");
    for (int i = 0; i < 12; i++) fixture_step(context, 0);
    ck_assert_int_eq(fixture_length(restored, NULL), 6 + 13);
    same_state(original, restored);
    /* Another stream goes another way. */
    transformer_sequence *another = NULL;
    options.stream = 12;
    ok(restore_with(context, saved.data, saved.size, &options, &another));
    for (int i = 0; i < 13; i++) fixture_step(context, 0);
    int32_t tokens[2][64];
    int64_t n = 0;
    ok(transformer_sequence_tokens(another, tokens[0], 64, &n, NULL));
    ck_assert_int_eq(n, 6 + 13);
    ok(transformer_sequence_tokens(original, tokens[1], 64, &n, NULL));
    ck_assert_int_ne(memcmp(tokens[0], tokens[1], (6 + 13) * sizeof **tokens), 0);
    transformer_sampler_destroy(sampler);
    fixture_end(model, context, original, restored, another);
}
END_TEST

/* Logits are had by taking back the last token, as the header says. */
START_TEST(logits_of_the_last_token) {
    transformer_model *model = fixture_open("small/gemma3-mqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 2);
    transformer_sequence *original = sequence_of(context, model, 70, 69);
    fixture_decode(context);
    float *logits = fixture_logits(original, -1);
    struct bytes saved = save(original);
    transformer_sequence *restored = restore(context, &saved);
    const float *row = NULL;
    int64_t n = 0;
    expect(TRANSFORMER_NOT_FOUND, transformer_sequence_logits(restored, -1, &row, &n));
    ok(transformer_sequence_truncate(restored, 69));
    fixture_append(restored, fixture_tokens(model, 3, 70) + 69, 1, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    fixture_same(fixture_logits(restored, -1), logits, fixture_n_vocab(model), "the last token");
    fixture_end(model, context, original, restored);
}
END_TEST

/* ---- sources, encoders, adapters ---- */

static transformer_context *source_context(transformer_model *model, int64_t n_sequences) {
    const transformer_context_options options = {.max_sequence_tokens = 96,
                                                 .max_sequences = n_sequences,
                                                 .kv_tokens = 128 * n_sequences,
                                                 .max_step_tokens = 90,
                                                 .n_threads = 2};
    return fixture_context(model, &options);
}

START_TEST(sources) {
    static const char *const models[] = {"encoder_decoders/t5", "encoder_decoders/marian",
                                         "encoder_decoders/mbart"};
    transformer_model *model = fixture_open(models[_i]);
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    int32_t *source = fixture_tokens(model, 6, 80);
    for (int i = 0; i < 80; i++) source[i] %= (int32_t)details.n_source_vocab;
    for (int state = 0; state < 4; state++) {
        transformer_context *from = source_context(model, 2), *to = source_context(model, 2);
        transformer_sequence *original = fixture_sequence(from);
        if (state) ok(transformer_sequence_set_source(original, source, 80, NULL));
        fixture_append(original, fixture_tokens(model, 2, 30), 30, TRANSFORMER_LOGITS_LAST);
        if (state == 2) fixture_step(from, 85); /* the source and some of the tokens */
        if (state == 3) fixture_decode(from);
        struct bytes saved = save(original);
        transformer_sequence *restored = restore(to, &saved);
        transformer_sequence *read = restore_read(to, &saved, 1000);
        struct bytes again = save(read);
        ck_assert_mem_eq(again.data, saved.data, saved.size);
        transformer_sequence_destroy(read);
        if (!state) {
            ok(transformer_sequence_set_source(original, source, 80, NULL));
            ok(transformer_sequence_set_source(restored, source, 80, NULL));
        }
        go_on_alike(model, from, original, to, restored);
        transformer_sequence_destroy(restored);
        ck_assert_int_eq(fixture_stats(to).kv_pages, fixture_stats(to).kv_pages_free);
        for (size_t at = SNAPSHOT_HEAD; at < saved.size; at += 61) { /* more of it: of llama */
            saved.data[at] ^= 0x10;
            refused(TRANSFORMER_FORMAT, to, saved.data, saved.size, "damaged");
            saved.data[at] ^= 0x10;
        }
        fixture_end(NULL, from, original);
        transformer_context_destroy(to);
    }
    transformer_model_close(model);
}
END_TEST

/* Of an encoder there are tokens alone: its pages live for one step. */
START_TEST(encoders) {
    transformer_model *model = fixture_open_path(SOURCE_ROOT "/tests/goldens/data/encoders/"
                                                             "bert-sentence");
    const transformer_context_options options = {
        .max_sequence_tokens = 64, .max_sequences = 2, .max_step_tokens = 64, .n_threads = 1};
    transformer_context *context = fixture_context(model, &options);
    transformer_sequence *original = fixture_sequence(context), *restored;
    transformer_append_options append = {.struct_size = sizeof append, .token_type = 1};
    const int32_t *tokens = fixture_tokens(model, 3, 20);
    fixture_append(original, tokens, 7, TRANSFORMER_LOGITS_NONE);
    append.logits = TRANSFORMER_LOGITS_NONE;
    ok(transformer_sequence_append(original, tokens, 6, &append));
    struct bytes saved = save(original);
    ck_assert_uint_lt(saved.size, 600);
    restored = restore(context, &saved);
    fixture_decode(context);
    const float *row = NULL;
    int64_t n = 0;
    ok(transformer_sequence_pooled(original, &row, &n));
    float *golden = fixture_take((size_t)n * sizeof *golden);
    memcpy(golden, row, (size_t)n * sizeof *golden);
    ok(transformer_sequence_pooled(restored, &row, &n));
    fixture_same(row, golden, n, "pooled");
    saved = save(original);
    transformer_sequence_destroy(restored);
    restored = restore(context, &saved);
    ck_assert_int_eq(fixture_computed(restored), 13);
    expect(TRANSFORMER_NOT_FOUND, transformer_sequence_pooled(restored, &row, &n));
    fixture_append(restored, tokens, 2, TRANSFORMER_LOGITS_NONE);
    ck_assert_int_eq(fixture_computed(restored), 0);
    fixture_decode(context);
    ok(transformer_sequence_pooled(restored, &row, &n));

    const transformer_context_options shorter = {
        .max_sequence_tokens = 64, .max_step_tokens = 12, .n_threads = 1};
    transformer_context *small = fixture_context(model, &shorter);
    refused(TRANSFORMER_LIMIT, small, saved.data, saved.size, "max_step_tokens");
    transformer_context_destroy(small);
    fixture_end(model, context, original, restored);
}
END_TEST

/* A decoder's mean pooling computes otherwise than its plain steps. */
START_TEST(another_pooling) {
    transformer_model *model = fixture_open("small/llama-gqa");
    const transformer_context_options options = {.pooling = TRANSFORMER_POOLING_MEAN,
                                                 .n_threads = 1};
    transformer_context *pools = fixture_context(model, &options);
    transformer_context *context = fixture_context(model, NULL);
    transformer_sequence *sequence = sequence_of(context, model, 5, 5);
    struct bytes saved = save(sequence);
    refused(TRANSFORMER_INVALID_ARGUMENT, pools, saved.data, saved.size, "pools otherwise");
    transformer_context_destroy(pools);
    fixture_end(model, context, sequence);
}
END_TEST

START_TEST(adapters) {
    transformer_model *model =
        fixture_open_path(SOURCE_ROOT "/tests/goldens/data/hf/llama-rope-llama3");
    transformer_adapter_options file = {.struct_size = sizeof file};
    transformer_adapter *all = NULL, *twin = NULL, *another = NULL;
    file.path = SOURCE_ROOT "/tests/goldens/data/adapters/llama-all";
    ok(transformer_adapter_open(model, &file, &all));
    ok(transformer_adapter_open(model, &file, &twin));
    file.path = SOURCE_ROOT "/tests/goldens/data/adapters/llama-rslora";
    ok(transformer_adapter_open(model, &file, &another));
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 3);
    transformer_sequence_options options = {
        .struct_size = sizeof options, .adapter = all, .adapter_scale = 0.5f};
    transformer_sequence *original = NULL, *restored = NULL, *none = NULL;
    ok(transformer_sequence_create(context, &options, &original));
    fixture_append(original, fixture_tokens(model, 3, 20), 20, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    struct bytes saved = save(original);
    options.adapter = twin;
    ok(restore_with(context, saved.data, saved.size, &options, &restored));
    go_on_alike(model, context, original, context, restored);

    refused(TRANSFORMER_INVALID_ARGUMENT, context, saved.data, saved.size, "none is given");
    options.adapter_scale = 0.25f;
    invalid(restore_with(context, saved.data, saved.size, &options, &none));
    ck_assert_msg(strstr(transformer_last_error(), "adapter_scale"), "%s",
                  transformer_last_error());
    options.adapter_scale = 0.5f;
    options.adapter = another;
    invalid(restore_with(context, saved.data, saved.size, &options, &none));
    ck_assert_msg(strstr(transformer_last_error(), "another adapter"), "%s",
                  transformer_last_error());
    transformer_sequence *plain = sequence_of(context, model, 4, 4);
    struct bytes without = save(plain);
    transformer_sequence_destroy(plain);
    invalid(restore_with(context, without.data, without.size, &options, &none));
    ck_assert_msg(strstr(transformer_last_error(), "without the adapter"), "%s",
                  transformer_last_error());
    ck_assert_ptr_null(none);
    transformer_adapter_close(all);
    transformer_adapter_close(twin);
    transformer_adapter_close(another);
    fixture_end(model, context, original, restored);
}
END_TEST

/* ---- what is no snapshot of this model's ---- */

START_TEST(a_changed_byte) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_Q8_0, 2);
    transformer_sequence *original = sequence_of(context, model, 4, 2);
    struct bytes saved = save(original);
    for (size_t i = 0; i < saved.size; i++) {
        const uint8_t was = saved.data[i];
        saved.data[i] = (uint8_t)(was ^ 1u << i % 8);
        refused(TRANSFORMER_FORMAT, context, saved.data, saved.size,
                i < 8 ? "no snapshot" : "damaged");
        saved.data[i] = was;
    }
    transformer_sequence *restored = restore(context, &saved);
    go_on_alike(model, context, original, context, restored);
    fixture_end(model, context, original, restored);
}
END_TEST

START_TEST(a_cut) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_Q8_0, 2);
    transformer_sequence *original = sequence_of(context, model, 4, 2), *none = NULL;
    struct bytes saved = save(original);
    for (size_t i = 0; i < saved.size; i++) {
        /* A block of its own, so that a sanitizer sees a read past the end. */
        uint8_t *cut = malloc(i + 1);
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, saved.data, i);
        refused(TRANSFORMER_FORMAT, context, cut, i, "");
        free(cut);
    }
    uint8_t *longer = fixture_take(saved.size + 1);
    memcpy(longer, saved.data, saved.size);
    expect(TRANSFORMER_FORMAT, restore_with(context, longer, saved.size + 1, NULL, &none));
    /* A reader is asked for no byte behind it. */
    struct bytes from = {.data = longer, .capacity = saved.size + 1};
    transformer_sequence *restored = NULL;
    ok(read_with(context, &from, &restored));
    ck_assert_uint_eq(from.size, saved.size);
    fixture_end(model, context, original, restored);
}
END_TEST

/* Sections of two snapshots put together: each is whole. */
START_TEST(a_splice) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 3);
    transformer_sequence *a = sequence_of(context, model, 4, 4);
    transformer_sequence *b = fixture_prompt(context, model, 9, 4, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    struct bytes of_a = save(a), of_b = save(b);
    ck_assert_uint_eq(of_a.size, of_b.size);
    size_t page = SNAPSHOT_HEAD + 4 * 6 + SNAPSHOT_GROUP + 3 * SNAPSHOT_SUM;
    memcpy(of_a.data + page, of_b.data + page, of_a.size - page);
    refused(TRANSFORMER_FORMAT, context, of_a.data, of_a.size, "damaged");
    fixture_end(model, context, a, b);
}
END_TEST

/* A header's number, with checksums that are right. */
static void forged(transformer_context *context, const struct bytes *saved, size_t at, int width,
                   uint64_t value, transformer_status code, const char *says) {
    uint8_t *bytes = fixture_take(saved->size);
    memcpy(bytes, saved->data, saved->size);
    memcpy(bytes + at, &value, (size_t)width);
    snapshot_reseal(bytes, saved->size);
    refused(code, context, bytes, saved->size, says);
}

START_TEST(a_header_that_lies) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 2);
    transformer_sequence *original = sequence_of(context, model, 70, 66);
    struct bytes saved = save(original);
    uint8_t *same = fixture_take(saved.size);
    memcpy(same, saved.data, saved.size);
    snapshot_reseal(same, saved.size);
    ck_assert_mem_eq(same, saved.data, saved.size);
    const size_t groups = SNAPSHOT_HEAD + 2 * SNAPSHOT_SUM + 6 * 70;
    const size_t ids = SNAPSHOT_HEAD + SNAPSHOT_SUM;
    const uint64_t huge[] = {UINT64_MAX, INT64_MAX, UINT64_MAX / 6, UINT64_MAX / 4 + 1};
#define LIE(at, width, value, code, says) \
    forged(context, &saved, at, width, value, TRANSFORMER_##code, says)
    LIE(AT_VERSION, 4, 2, UNSUPPORTED, "version 2");
    LIE(AT_LAW, 4, 99, UNSUPPORTED, "law 99");
    LIE(AT_FLAGS, 4, 16, UNSUPPORTED, "flags");
    LIE(AT_PAGE_TOKENS, 8, 128, UNSUPPORTED, "128");
    LIE(AT_MODEL, 8, 1, INVALID_ARGUMENT, "another model");
    LIE(AT_KV_TYPE, 4, TRANSFORMER_KV_F32, INVALID_ARGUMENT, "F32");
    LIE(AT_KV_TYPE, 4, 77, INVALID_ARGUMENT, "another type");
    LIE(AT_ROPE_LENGTH, 8, 9, INVALID_ARGUMENT, "max_sequence_tokens");
    LIE(AT_FLAGS, 4, 1, INVALID_ARGUMENT, "adapter");
    LIE(AT_FLAGS, 4, 2, FORMAT, "source");
    LIE(AT_FLAGS, 4, 4, FORMAT, "source");
    LIE(AT_FLAGS, 4, 8, INVALID_ARGUMENT, "pools");
    LIE(AT_N_GROUPS, 4, 0, FORMAT, "groups");
    LIE(AT_N_GROUPS, 4, UINT32_MAX, FORMAT, "groups");
    LIE(AT_N_COMPUTED, 8, 71, FORMAT, "71 of 70");
    LIE(AT_N_COMPUTED, 8, 0, FORMAT, "group");
    LIE(AT_N_COMPUTED, 8, 65, FORMAT, "");
    LIE(AT_N_COMPUTED, 8, UINT64_MAX, FORMAT, "computed");
    LIE(AT_N_SOURCE, 8, 5, FORMAT, "source");
    LIE(AT_TOTAL, 8, saved.size + 1, FORMAT, "");
    LIE(AT_TOTAL, 8, 0, FORMAT, "");
    for (int i = 0; i < 4; i++) {
        LIE(AT_N_TOKENS, 8, huge[i], LIMIT, "max_sequence_tokens");
        LIE(AT_N_SOURCE, 8, huge[i], FORMAT, "source");
        LIE(AT_TOTAL, 8, huge[i], FORMAT, "");
        LIE(groups + 8, 8, huge[i], FORMAT, "group");
        LIE(groups + 16, 8, huge[i], FORMAT, "group");
        LIE(groups + 24, 8, huge[i], FORMAT, "group");
        LIE(groups + 32, 8, huge[i], FORMAT, "group");
    }
    LIE(groups, 4, 1, FORMAT, "group");
    LIE(groups + 4, 4, 1, FORMAT, "group");
    LIE(groups + 32, 8, 1, FORMAT, "without 1");
    LIE(ids, 4, 0xFFFFFFFFu, FORMAT, "token 0");
    LIE(ids + 4, 4, (uint64_t)fixture_n_vocab(model), FORMAT, "token 1");
    LIE(ids + 4 * 70, 1, 1, FORMAT, "type 1");
    fixture_end(model, context, original);
}
END_TEST

static transformer_model *open_bytes(const void *data, size_t size, uint32_t weight_type) {
    const char *device = getenv("TEST_DEVICE");
    transformer_model_options options = {.struct_size = sizeof options,
                                         .data = data,
                                         .data_size = size,
                                         .weight_type = weight_type,
                                         .device = device ? atoi(device) : 0};
    transformer_model *model = NULL;
    ok(transformer_model_open(&options, &model));
    return model;
}

static int64_t file_size(void *user, const char *name) {
    (void)name;
    return (int64_t)((struct bytes *)user)->size;
}

static int64_t file_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    (void)name;
    memcpy(buffer, ((struct bytes *)user)->data + offset, n);
    return (int64_t)n;
}

static transformer_model *open_reader(struct bytes *file) {
    const transformer_reader reader = {file_size, file_read, file};
    transformer_model_options options = {
        .struct_size = sizeof options, .path = "model", .reader = &reader};
    transformer_model *model = NULL;
    ok(transformer_model_open(&options, &model));
    return model;
}

static const uint8_t *find(const uint8_t *data, size_t size, const char *text) {
    size_t n = strlen(text), at = 0;
    while (at + n <= size && memcmp(data + at, text, n) != 0) at++;
    ck_assert_uint_le(at + n, size);
    return data + at;
}

/* The same file is the same model however it comes; one with another bit is another. */
START_TEST(other_models) {
    size_t size;
    uint8_t *file = fixture_read_file(fixture_path("small/llama-gqa"), &size);
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 1);
    transformer_sequence *original = sequence_of(context, model, 5, 5);
    struct bytes saved = save(original), as_read = {.data = file, .size = size};
    transformer_model *models[6];
    models[0] = open_bytes(file, size, 0);
    models[1] = open_reader(&as_read);
    uint8_t *tensor = fixture_take(size), *key = fixture_take(size);
    memcpy(tensor, file, size);
    tensor[size - 9] ^= 1;
    models[2] = open_bytes(tensor, size, 0);
    memcpy(key, file, size);
    /* The value is behind the name and its kind: the exponent's lowest bit. */
    key[find(key, size, "llama.rope.freq_base") + 20 + 4 + 2 - key] ^= 0x80;
    models[3] = open_bytes(key, size, 0);
    models[4] = open_bytes(file, size, TRANSFORMER_WEIGHTS_Q8_0);
    models[5] = fixture_open("small/llama-few-keys");
    for (int i = 0; i < 6; i++) {
        transformer_context *to = context_as(models[i], TRANSFORMER_KV_F16, 1);
        if (i < 2)
            transformer_sequence_destroy(restore(to, &saved));
        else
            refused(TRANSFORMER_INVALID_ARGUMENT, to, saved.data, saved.size, "another model");
        transformer_context_destroy(to);
        transformer_model_close(models[i]);
    }
    fixture_end(model, context, original);
}
END_TEST

/* Ropes that turn otherwise in longer contexts. */
START_TEST(another_length) {
    transformer_model *model = fixture_open_path(SOURCE_ROOT "/tests/goldens/data/folders/llama.5");
    transformer_context_options options = {.max_sequence_tokens = 16, .n_threads = 1};
    transformer_context *of_short = fixture_context(model, &options);
    transformer_context *same = fixture_context(model, &options);
    options.max_sequence_tokens = 0;
    transformer_context *of_long = fixture_context(model, &options);
    transformer_sequence *original = sequence_of(of_short, model, 5, 5);
    struct bytes saved = save(original);
    refused(TRANSFORMER_INVALID_ARGUMENT, of_long, saved.data, saved.size, "max_sequence_tokens");
    transformer_sequence *restored = restore(same, &saved);
    go_on_alike(model, of_short, original, same, restored);
    transformer_context_destroy(of_long);
    fixture_end(NULL, same, restored);
    fixture_end(model, of_short, original);
}
END_TEST

/* ---- limits and calls ---- */

START_TEST(limits) {
    transformer_model *model = fixture_open(MODELS[_i]);
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 1);
    transformer_sequence *original = sequence_of(context, model, 50, 50), *second = NULL;
    struct bytes saved = save(original);
    expect(TRANSFORMER_LIMIT, restore_with(context, saved.data, saved.size, NULL, &second));
    transformer_context_options options = {.max_sequence_tokens = 49, .n_threads = 1};
    transformer_context *small = fixture_context(model, &options);
    refused(TRANSFORMER_LIMIT, small, saved.data, saved.size, "max_sequence_tokens");
    transformer_context_destroy(small);
    options = (transformer_context_options){
        .max_sequence_tokens = 64, .kv_tokens = 64, .max_sequences = 3, .n_threads = 1};
    transformer_context *full = fixture_context(model, &options);
    transformer_sequence *other = sequence_of(full, model, 1, 1);
    refused(TRANSFORMER_LIMIT, full, saved.data, saved.size, "KV pages");
    transformer_sequence_destroy(other);
    other = restore(full, &saved);
    refused(TRANSFORMER_LIMIT, full, saved.data, saved.size, "KV pages");
    fixture_end(NULL, full, other);
    fixture_end(model, context, original);
}
END_TEST

START_TEST(a_source_too_long) {
    transformer_model *model = fixture_open("encoder_decoders/t5");
    int32_t *source = fixture_tokens(model, 6, 80);
    for (int i = 0; i < 80; i++) source[i] %= 61;
    const transformer_context_options options = {
        .max_sequence_tokens = 64, .max_source_tokens = 40, .max_sequences = 4, .n_threads = 1};
    transformer_context *from = source_context(model, 2), *small = fixture_context(model, &options);
    transformer_sequence *original = fixture_sequence(from);
    ok(transformer_sequence_set_source(original, source, 80, NULL));
    fixture_append(original, fixture_tokens(model, 2, 3), 3, TRANSFORMER_LOGITS_LAST);
    for (int computed = 0; computed < 2; computed++) {
        struct bytes saved = save(original);
        refused(TRANSFORMER_LIMIT, small, saved.data, saved.size, "max_source_tokens");
        fixture_decode(from);
    }
    transformer_context_destroy(small);
    fixture_end(model, from, original);
}
END_TEST

START_TEST(callbacks_that_fail) {
    transformer_model *model = fixture_open("small/gemma3-mqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 2);
    transformer_sequence *original = sequence_of(context, model, 130, 130), *none = NULL;
    struct bytes saved = save(original);
    struct bytes to = {.data = fixture_take(saved.size), .capacity = saved.size};
    transformer_save_options options = {
        .struct_size = sizeof options, .write = append_bytes, .write_user = &to};
    transformer_context_statistics before = fixture_stats(context);
    uint64_t size = 1234;
    for (to.fail_at = 1; to.fail_at < 1000; to.fail_at++) {
        to.size = 0;
        to.n_calls = 0;
        transformer_status written = transformer_sequence_save(original, &options, &size);
        if (written == TRANSFORMER_OK) break;
        ck_assert_int_eq(written, TRANSFORMER_CANCELLED);
        ck_assert_uint_eq(size, 1234);
    }
    ck_assert_int_gt(to.fail_at, 5);
    ck_assert_int_lt(to.fail_at, 1000);
    struct bytes from = {.data = saved.data, .capacity = saved.size, .most_at_once = 500};
    for (from.fail_at = 1; from.fail_at < 10000; from.fail_at++) {
        from.size = 0;
        from.n_calls = 0;
        transformer_status read = read_with(context, &from, &none);
        if (read == TRANSFORMER_OK) break;
        ck_assert_int_eq(read, TRANSFORMER_IO);
        ck_assert_ptr_null(none);
        ck_assert_int_eq(fixture_stats(context).kv_pages_free, before.kv_pages_free);
    }
    ck_assert_int_gt(from.fail_at, 10);
    ck_assert_ptr_nonnull(none);
    go_on_alike(model, context, original, context, none);
    fixture_end(model, context, original, none);
}
END_TEST

static int64_t too_many(void *user, void *buffer, uint64_t n) {
    (void)user;
    (void)buffer;
    return (int64_t)n + 1;
}

START_TEST(calls_that_are_wrong) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_context *context = context_as(model, TRANSFORMER_KV_F16, 2);
    transformer_sequence *sequence = sequence_of(context, model, 5, 5), *none = NULL;
    struct bytes saved = save(sequence), user = {.data = saved.data, .capacity = saved.size};
    uint64_t size = 77;
    transformer_save_options to = {.struct_size = sizeof to};
    invalid(transformer_sequence_save(NULL, &to, &size));
    invalid(transformer_sequence_save(sequence, &to, NULL));
    to.capacity = 1;
    invalid(transformer_sequence_save(sequence, &to, &size));
    to.buffer = saved.data;
    to.write = append_bytes;
    invalid(transformer_sequence_save(sequence, &to, &size));
    ck_assert_uint_eq(size, 77);
    to.write = NULL;
    to.capacity = saved.size - 1;
    expect(TRANSFORMER_BUFFER_TOO_SMALL, transformer_sequence_save(sequence, &to, &size));
    ck_assert_uint_eq(size, saved.size);
    transformer_restore_options from = {.struct_size = sizeof from};
    invalid(transformer_sequence_restore(context, NULL, &none));
    invalid(transformer_sequence_restore(context, &from, &none));
    from.data = saved.data;
    from.data_size = saved.size;
    invalid(transformer_sequence_restore(NULL, &from, &none));
    invalid(transformer_sequence_restore(context, &from, NULL));
    from.read = next_bytes;
    from.read_user = &user;
    invalid(transformer_sequence_restore(context, &from, &none));
    from.data = NULL;
    invalid(transformer_sequence_restore(context, &from, &none));
    from.data_size = 0;
    from.read = too_many;
    expect(TRANSFORMER_IO, transformer_sequence_restore(context, &from, &none));
    from.read = next_bytes;
    transformer_sequence_options options = {.struct_size = sizeof options, .reserved = 1};
    from.sequence = &options;
    expect(TRANSFORMER_UNSUPPORTED, transformer_sequence_restore(context, &from, &none));
    ck_assert_ptr_null(none);
    transformer_context_destroy(context);
    expect(TRANSFORMER_STATE, transformer_sequence_save(sequence, NULL, &size));
    transformer_sequence_destroy(sequence);
    transformer_model_close(model);
}
END_TEST

/* ---- from device to device ---- */

static transformer_model *open_on(const char *name, int32_t device) {
    transformer_model_options options = {
        .struct_size = sizeof options, .path = fixture_path(name), .device = device};
    transformer_model *model = NULL;
    if (transformer_model_open(&options, &model) == TRANSFORMER_OK) return model;
    ck_assert_msg(device != 0, "%s", transformer_last_error());
    return NULL;
}

/* What one device wrote, another holds without a loss, and goes on with the other's numbers. */
START_TEST(across_devices) {
    static const uint32_t types[] = {TRANSFORMER_KV_F16, TRANSFORMER_KV_F32, TRANSFORMER_KV_BF16,
                                     TRANSFORMER_KV_Q8_0};
    if (transformer_device_count() < 2 || left_out(_i, 4)) return;
    transformer_model *models[2] = {open_on(MODELS[_i / 4], 0), open_on(MODELS[_i / 4], 1)};
    ck_assert_msg(models[1] != NULL, "%s", transformer_last_error());
    int64_t n_vocab = fixture_n_vocab(models[0]), n = most_tokens(models[0]);
    for (int way = 0; way < 2; way++) {
        transformer_context *from = context_as(models[way], types[_i % 4], 1);
        transformer_context *to = context_as(models[!way], types[_i % 4], 2);
        transformer_sequence *original = sequence_of(from, models[way], n, n);
        struct bytes saved = save(original);
        transformer_sequence *restored = restore(to, &saved);
        struct bytes again = save(restored);
        ck_assert_uint_eq(again.size, saved.size);
        ck_assert_mem_eq(again.data, saved.data, saved.size);
        const int32_t *tokens = fixture_tokens(models[0], 77, 1);
        fixture_append(original, tokens, 1, TRANSFORMER_LOGITS_LAST);
        fixture_append(restored, tokens, 1, TRANSFORMER_LOGITS_LAST);
        fixture_decode(from);
        fixture_decode(to);
        const float *a = fixture_logits(original, -1), *b = fixture_logits(restored, -1);
        double off = 0, size = 0;
        for (int64_t i = 0; i < n_vocab; i++) {
            off += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
            size += (double)a[i] * (double)a[i];
        }
        ck_assert_msg(off <= 1e-3 * size, "way %d: %g of %g", way, off, size);
        fixture_end(NULL, from, original);
        fixture_end(NULL, to, restored);
    }
    transformer_model_close(models[0]);
    transformer_model_close(models[1]);
}
END_TEST

FIXTURE_MAIN("snapshot", 300, LOOP(every_state, 4 * N_MODELS), CASE(a_window),
             CASE(beside_the_prefix_cache), LOOP(over_the_prefix_cache, N_MODELS),
             LOOP(forks, N_MODELS), LOOP(nothing_of_others, N_MODELS), CASE(what_is_pending),
             CASE(logits_of_the_last_token), LOOP(sources, 3), CASE(encoders),
             CASE(another_pooling), CASE(adapters), CASE(a_changed_byte), CASE(a_cut),
             CASE(a_splice), CASE(a_header_that_lies), CASE(other_models), CASE(another_length),
             LOOP(limits, N_MODELS), CASE(a_source_too_long), CASE(callbacks_that_fail),
             CASE(calls_that_are_wrong), LOOP(across_devices, 4 * N_MODELS))
