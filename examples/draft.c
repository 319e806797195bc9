#include "draft.h"

#include <stdlib.h>

#include "console.h"

enum { MOST = 64 };

void draft_open(struct draft *draft, transformer_model *model,
                const transformer_sampler_options *sampler, int64_t max_tokens, int32_t n_threads) {
    transformer_context_options options = {.struct_size = sizeof options,
                                           .max_sequence_tokens = max_tokens,
                                           .max_sequences = 1,
                                           .n_threads = n_threads};
    *draft = (struct draft){.max_tokens = max_tokens};
    draft->tokens = console_allocate(NULL, (size_t)max_tokens, sizeof(int32_t));
    console_require(transformer_context_create(model, &options, &draft->context));
    console_require(transformer_sequence_create(draft->context, NULL, &draft->sequence));
    console_require(transformer_sampler_create(model, sampler, &draft->sampler));
}

void draft_close(struct draft *draft) {
    transformer_sampler_destroy(draft->sampler);
    transformer_sequence_destroy(draft->sequence);
    transformer_context_destroy(draft->context);
    free(draft->tokens);
}

static void append(struct draft *draft, int32_t token) {
    console_require(transformer_sequence_append(draft->sequence, &token, 1, NULL));
    draft->tokens[draft->n_tokens++] = token;
}

void draft_propose(struct draft *draft, transformer_sequence *sequence, const int32_t *tokens,
                   int64_t n_tokens, int64_t n) {
    int32_t guesses[MOST];
    int64_t same = 0, count = 0;
    if (n > MOST) n = MOST;
    if (n_tokens + n > draft->max_tokens) n = draft->max_tokens - n_tokens;
    if (n <= 0) return;
    /* What it guessed wrong goes, what came since is appended: one token at least. */
    while (same < draft->n_tokens && same < n_tokens - 1 && draft->tokens[same] == tokens[same])
        same++;
    console_require(transformer_sequence_truncate(draft->sequence, same));
    draft->n_tokens = same;
    while (draft->n_tokens < n_tokens) append(draft, tokens[draft->n_tokens]);
    for (;;) {
        transformer_decode_result result = {.struct_size = sizeof result};
        do console_require(transformer_decode(draft->context, NULL, &result));
        while (result.n_pending > 0);
        console_require(
            transformer_sampler_sample(draft->sampler, draft->sequence, NULL, &guesses[count]));
        if (++count == n) break;
        append(draft, guesses[count - 1]);
    }
    console_require(transformer_sequence_propose(sequence, guesses, count));
}
