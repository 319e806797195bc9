/* libFuzzer: two bytes that say how, then a snapshot, restored from memory or through a reader.
 * What is restored is decoded and saved again.
 *
 * byte 0: which model. byte 1: bit 0: the model's identity is put in and all checksums are made
 * right, so that what is behind them is reached; bit 1: through a reader, a few bytes at a time;
 * bit 2: keys and values are Q8_0. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/snapshot_bytes.h"
#include "transformer.h"

enum { N_MODELS = 3, MOST = 1 << 20 };

struct subject {
    transformer_model *model;
    uint8_t identity[16];
};

struct bytes {
    const uint8_t *data;
    size_t size, piece;
};

static int64_t next_bytes(void *user, void *buffer, uint64_t n) {
    struct bytes *from = user;
    if (n > from->piece) n = from->piece;
    if (n > from->size) n = from->size;
    memcpy(buffer, from->data, (size_t)n);
    from->data += n;
    from->size -= (size_t)n;
    return (int64_t)n;
}

static void require(transformer_status result) {
    if (result == TRANSFORMER_OK) return;
    fprintf(stderr, "%s\n", transformer_last_error());
    exit(1);
}

static transformer_context *open_context(transformer_model *model, uint32_t kv_type) {
    transformer_model_details details = {.struct_size = sizeof details};
    transformer_context *context = NULL;
    require(transformer_model_info(model, &details));
    transformer_context_options limits = {.struct_size = sizeof limits,
                                          .max_sequence_tokens =
                                              details.context_length < 200 ? 0 : 200,
                                          .max_sequences = 2,
                                          .max_step_tokens = 32,
                                          .kv_tokens = 256,
                                          .kv_type = kv_type,
                                          .n_threads = 1};
    require(transformer_context_create(model, &limits, &context));
    return context;
}

static void open_subject(const char *path, struct subject *subject) {
    transformer_model_options options = {.struct_size = sizeof options, .path = path};
    transformer_sequence *sequence = NULL;
    uint8_t empty[4096];
    transformer_save_options to = {
        .struct_size = sizeof to, .buffer = empty, .capacity = sizeof empty};
    uint64_t size;
    require(transformer_model_open(&options, &subject->model));
    transformer_context *context = open_context(subject->model, 0);
    require(transformer_sequence_create(context, NULL, &sequence));
    require(transformer_sequence_save(sequence, &to, &size));
    memcpy(subject->identity, empty + AT_MODEL, sizeof subject->identity);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
}

/* It is a sequence like any other. */
static void use(transformer_context *context, transformer_sequence *sequence) {
    static uint8_t again[MOST];
    transformer_save_options to = {
        .struct_size = sizeof to, .buffer = again, .capacity = sizeof again};
    transformer_restore_options from = {.struct_size = sizeof from, .data = again};
    transformer_sequence *twin = NULL;
    const int32_t token = 3;
    (void)transformer_sequence_append(sequence, &token, 1, NULL);
    for (int i = 0; i < 8; i++) (void)transformer_decode(context, NULL, NULL);
    if (transformer_sequence_save(sequence, &to, &from.data_size) != TRANSFORMER_OK) return;
    transformer_status restored = transformer_sequence_restore(context, &from, &twin);
    if (restored != TRANSFORMER_OK && restored != TRANSFORMER_LIMIT) abort();
    transformer_sequence_destroy(twin);
    (void)transformer_sequence_truncate(sequence, 1);
    (void)transformer_decode(context, NULL, NULL);
}

static struct subject subjects[N_MODELS];

static void close_subjects(void) {
    for (int i = 0; i < N_MODELS; i++) transformer_model_close(subjects[i].model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const paths[N_MODELS] = {
        SOURCE_ROOT "/tests/goldens/data/small/llama-gqa.gguf",
        SOURCE_ROOT "/tests/goldens/data/encoder_decoders/t5.gguf",
        SOURCE_ROOT "/tests/goldens/data/small/gemma3-mqa.gguf"};
    static int begun;
    if (!begun++) atexit(close_subjects);
    if (size < 2 || size > MOST) return 0;
    struct subject *subject = &subjects[data[0] % N_MODELS];
    if (!subject->model) open_subject(paths[data[0] % N_MODELS], subject);
    uint8_t how = data[1];
    size -= 2;
    uint8_t *snapshot = malloc(size ? size : 1); /* so that a read past its end is seen */
    if (!snapshot) return 0;
    memcpy(snapshot, data + 2, size);
    if (how & 1 && size >= SNAPSHOT_HEAD) {
        memcpy(snapshot + AT_MODEL, subject->identity, sizeof subject->identity);
        snapshot_reseal(snapshot, size);
    }
    struct bytes bytes = {snapshot, size, 1 + how / 8u * 97u};
    transformer_restore_options from = {.struct_size = sizeof from};
    if (how & 2) {
        from.read = next_bytes;
        from.read_user = &bytes;
    } else {
        from.data = snapshot;
        from.data_size = size;
    }
    transformer_context *context =
        open_context(subject->model, how & 4 ? TRANSFORMER_KV_Q8_0 : TRANSFORMER_KV_F16);
    transformer_sequence *sequence = NULL;
    if (transformer_sequence_restore(context, &from, &sequence) == TRANSFORMER_OK) {
        use(context, sequence);
        transformer_sequence_destroy(sequence);
    }
    transformer_context_statistics left = {.struct_size = sizeof left};
    if (transformer_context_stats(context, &left) != TRANSFORMER_OK ||
        left.kv_pages_free != left.kv_pages || left.n_sequences)
        abort();
    transformer_context_destroy(context);
    free(snapshot);
    return 0;
}
