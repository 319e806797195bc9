/* Faults on a real device: models and contexts made and destroyed again and again leave no memory
 * behind, memory that is refused and steps that are cancelled leave everything usable, and results
 * have the same bits each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_test.h"
#include "results.h"
#include "transformer.h"

enum { N_TOKENS = 40 };

struct rounds {
    struct gpu *gpu;
    const char *path;
    float *first; /* [n_vocab] logits of the first round */
    int64_t n_vocab;
};

static bool fine(struct rounds *rounds, transformer_status result, const char *what) {
    if (result == TRANSFORMER_OK) return true;
    gpu_fail(rounds->gpu, "%s: %s: %s", what, transformer_status_name(result),
             transformer_last_error());
    return false;
}

static size_t free_memory(struct gpu *gpu) {
    size_t free_bytes = 0, total = 0;
    gpu->driver.mem_get_info(&free_bytes, &total);
    return free_bytes;
}

static void compare_logits(struct rounds *rounds, transformer_sequence *sequence) {
    const float *row;
    int64_t n;
    if (!fine(rounds, transformer_sequence_logits(sequence, -1, &row, &n), "logits")) return;
    if (!rounds->first) {
        rounds->n_vocab = n;
        rounds->first = malloc((size_t)n * sizeof *rounds->first);
        if (!rounds->first) exit(1);
        memcpy(rounds->first, row, (size_t)n * sizeof *row);
    } else if (n != rounds->n_vocab || memcmp(row, rounds->first, (size_t)n * sizeof *row)) {
        gpu_fail(rounds->gpu, "the logits have other bits than in the first round");
    }
}

/* Tokens 1 ... N_TOKENS; cancel: the first step is, and the next goes on. */
static void decode(struct rounds *rounds, transformer_context *context, bool cancel) {
    transformer_sequence *sequence = NULL;
    int32_t tokens[N_TOKENS];
    for (int32_t i = 0; i < N_TOKENS; i++) tokens[i] = i + 1;
    if (!fine(rounds, transformer_sequence_create(context, NULL, &sequence), "a sequence")) return;
    if (fine(rounds, transformer_sequence_append(sequence, tokens, N_TOKENS, NULL), "tokens")) {
        if (cancel) {
            transformer_context_cancel(context);
            const transformer_status result = transformer_decode(context, NULL, NULL);
            if (result != TRANSFORMER_CANCELLED)
                gpu_fail(rounds->gpu, "a cancelled step gives %s", transformer_status_name(result));
        }
        if (fine(rounds, transformer_decode(context, NULL, NULL), "a step"))
            compare_logits(rounds, sequence);
    }
    transformer_sequence_destroy(sequence);
}

static void ask_too_much(struct rounds *rounds, transformer_model *model) {
    const transformer_context_options options = {
        .struct_size = sizeof options, .max_sequence_tokens = 64, .kv_tokens = (int64_t)1 << 30};
    transformer_context *context = NULL;
    const transformer_status result = transformer_context_create(model, &options, &context);
    if (result == TRANSFORMER_OK)
        gpu_fail(rounds->gpu, "a context of 2^30 positions was made");
    else if (result != TRANSFORMER_OUT_OF_MEMORY && result != TRANSFORMER_LIMIT)
        gpu_fail(rounds->gpu, "too much memory gives %s: %s", transformer_status_name(result),
                 transformer_last_error());
    else
        result_text("faults", "too large a context", transformer_last_error());
    transformer_context_destroy(context);
}

static void one_round(struct rounds *rounds, bool faults) {
    const transformer_model_options model_options = {
        .struct_size = sizeof model_options, .path = rounds->path, .device = 1};
    const transformer_context_options options = {.struct_size = sizeof options,
                                                 .max_sequence_tokens = 64,
                                                 .max_sequences = 2,
                                                 .max_step_tokens = N_TOKENS};
    transformer_model *model = NULL;
    transformer_context *context = NULL;
    if (fine(rounds, transformer_model_open(&model_options, &model), "the model")) {
        if (faults) ask_too_much(rounds, model);
        if (fine(rounds, transformer_context_create(model, &options, &context), "a context")) {
            decode(rounds, context, false);
            if (faults) decode(rounds, context, true);
        }
    }
    transformer_context_destroy(context);
    transformer_model_close(model);
}

int main(int argc, char **argv) {
    struct gpu gpu;
    char path[4096];
    const char *goldens = getenv("TEST_GOLDENS");
    if (!gpu_open(&gpu, argc, argv)) return GPU_SKIP;
    snprintf(path, sizeof path, "%s/small/llama-gqa.gguf",
             goldens ? goldens : SOURCE_ROOT "/tests/goldens/data");
    struct rounds rounds = {.gpu = &gpu, .path = path};
    const int n_rounds = gpu.emulated ? 3 : 50;
    one_round(&rounds, true);
    const size_t after_first = free_memory(&gpu);
    size_t least = after_first;
    for (int i = 1; i < n_rounds && gpu.n_failed == 0; i++) {
        one_round(&rounds, i % 10 == 0);
        const size_t now = free_memory(&gpu);
        if (now < least) least = now;
    }
    result_number("faults", "rounds", n_rounds, "");
    result_number("faults", "memory that rounds after the first took",
                  (double)(after_first - least), "bytes");
    /* Others may use the device too, so that it need not be flat to the byte. */
    if (after_first - least > 4 << 20)
        gpu_fail(&gpu, "%zu bytes less are free than after the first round", after_first - least);
    free(rounds.first);
    return gpu_close(&gpu);
}
