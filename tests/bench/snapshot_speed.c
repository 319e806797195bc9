/* How fast sequences are saved and restored: to and from memory, and through callbacks that copy.
 *
 * usage: snapshot_speed MODEL [TOKENS [KV_TYPE [DEVICE]]]   KV_TYPE: TRANSFORMER_KV_... */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <transformer.h>

enum { ROUNDS = 7 };

static void require(transformer_status result) {
    if (result == TRANSFORMER_OK) return;
    fprintf(stderr, "%s\n", transformer_last_error());
    exit(1);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct bytes {
    uint8_t *data;
    uint64_t size, at;
};

static int32_t put(void *user, const void *bytes, uint64_t n) {
    struct bytes *to = user;
    memcpy(to->data + to->at, bytes, n);
    to->at += n;
    return 0;
}

static int64_t get(void *user, void *buffer, uint64_t n) {
    struct bytes *from = user;
    if (n > from->size - from->at) n = from->size - from->at;
    memcpy(buffer, from->data + from->at, n);
    from->at += n;
    return (int64_t)n;
}

/* One of the four; returns its seconds. */
static double run(int what, transformer_context *context, transformer_sequence *sequence,
                  struct bytes *bytes) {
    transformer_save_options to = {.struct_size = sizeof to};
    transformer_restore_options from = {.struct_size = sizeof from};
    transformer_sequence *restored = NULL;
    bytes->at = 0;
    to.buffer = what == 0 ? bytes->data : NULL;
    to.capacity = what == 0 ? bytes->size : 0;
    to.write = what == 1 ? put : NULL;
    to.write_user = from.read_user = bytes;
    from.data = what == 2 ? bytes->data : NULL;
    from.data_size = what == 2 ? bytes->size : 0;
    from.read = what == 3 ? get : NULL;
    double begin = seconds();
    if (what < 2)
        require(transformer_sequence_save(sequence, &to, &bytes->size));
    else
        require(transformer_sequence_restore(context, &from, &restored));
    double took = seconds() - begin;
    transformer_sequence_destroy(restored);
    return took;
}

int main(int argc, char **argv) {
    static const char *const names[] = {"save to memory", "save by callback", "restore from memory",
                                        "restore by callback"};
    if (argc < 2) return 2;
    int64_t n = argc > 2 ? atoll(argv[2]) : 2000;
    transformer_model_options file = {.struct_size = sizeof file, .path = argv[1]};
    transformer_context_options limits = {.struct_size = sizeof limits,
                                          .max_sequence_tokens = n,
                                          .kv_tokens = 2 * n + 128,
                                          .max_sequences = 2};
    transformer_append_options none = {.struct_size = sizeof none,
                                       .logits = TRANSFORMER_LOGITS_NONE};
    transformer_decode_result result = {.struct_size = sizeof result};
    transformer_model *model = NULL;
    transformer_context *context = NULL;
    transformer_sequence *sequence = NULL;
    limits.kv_type = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
    file.device = argc > 4 ? atoi(argv[4]) : 0;
    double begin = seconds();
    require(transformer_model_open(&file, &model));
    printf("model open: %.3f s\n", seconds() - begin);
    require(transformer_context_create(model, &limits, &context));
    require(transformer_sequence_create(context, NULL, &sequence));
    int32_t *tokens = malloc((size_t)n * sizeof *tokens);
    if (!tokens) return 1;
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t)(i % 50);
    require(transformer_sequence_append(sequence, tokens, n, &none));
    do require(transformer_decode(context, NULL, &result));
    while (result.n_pending);
    struct bytes bytes = {0};
    require(transformer_sequence_save(sequence, NULL, &bytes.size));
    bytes.data = malloc(bytes.size);
    if (!bytes.data) return 1;
    memset(bytes.data, 0, bytes.size);
    printf("%lld tokens, %.1f MB; best of %d\n", (long long)n, 1e-6 * (double)bytes.size, ROUNDS);
    for (int what = 0; what < 4; what++) {
        double best = 1e9;
        for (int round = 0; round < ROUNDS; round++) {
            double took = run(what, context, sequence, &bytes);
            if (took < best) best = took;
        }
        printf("%-20s %6.2f GB/s\n", names[what], 1e-9 * (double)bytes.size / best);
    }
    free(bytes.data);
    free(tokens);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    transformer_model_close(model);
    return 0;
}
