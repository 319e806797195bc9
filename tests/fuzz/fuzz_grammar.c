/* libFuzzer: a first byte that chooses the language, a grammar up to a NUL, then bytes that are
 * read and pick among the tokens that may come. What is allowed must be read, what closes must
 * close. */
#include <stdlib.h>
#include <string.h>

#include "../unit/grammar_vocabulary.h"

enum { N_TOKENS = 400, MOST_STEPS = 64, MOST_TEXT = 4000 };

static void require(bool condition) {
    if (!condition) abort();
}

/* Tokens as the bytes pick them, within a budget, until the end. */
static void pick_tokens(struct grammar *grammar, const uint8_t *picks, size_t n, int64_t budget) {
    const struct vocabulary *vocabulary = grammar->vocabulary;
    static float logits[N_TOKENS], masked[N_TOKENS];
    struct grammar_reader reader;
    int32_t least;
    if (grammar_enter(grammar, &reader) != OK) return;
    for (int64_t step = 0; step < MOST_STEPS && (budget < 0 || step <= budget); step++) {
        for (int i = 0; i < N_TOKENS; i++) logits[i] = 1;
        status result = grammar_apply(grammar, &reader, budget < 0 ? -1 : budget - step, logits,
                                      masked, &least);
        if (result != OK) {
            require(result == LIMIT || (result == STATE && budget < 0));
            break;
        }
        uint32_t token = (uint32_t)least, from = n ? picks[(size_t)step % n] : 0;
        for (uint32_t i = 0; i < N_TOKENS; i++)
            if (masked[(i + 7 * from) % N_TOKENS] == 1) {
                token = (i + 7 * from) % N_TOKENS;
                break;
            }
        if (token == N_TOKENS - 1) {
            require(grammar_may_end(grammar, &reader));
            break;
        }
        require(budget < 0 || step < budget);
        uint32_t start = vocabulary->offsets[token],
                 length = vocabulary->offsets[token + 1] - start;
        if (grammar_read(grammar, &reader, vocabulary->bytes + start, length) != OK) break;
        require(reader.set != STACKS_NONE);
    }
    grammar_leave(grammar, &reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct grammar *grammar = NULL;
    if (size < 2 || size > MOST_TEXT) return 0;
    memory_init(&memory, NULL);
    const char *text = (const char *)data + 1;
    const uint8_t *nul = memchr(text, 0, size - 1);
    size_t length = nul ? (size_t)(nul - data) - 1 : size - 1;
    const uint8_t *rest = data + 1 + length;
    size_t n_rest = size - 1 - length;
    struct grammar_source source = {.length = length, .whitespace = data[0] & 4};
    if (data[0] % 4 == 0)
        source.regex = text;
    else if (data[0] % 4 == 1)
        source.ebnf = text;
    else
        source.json_schema = text;
    struct vocabulary *vocabulary = grammar_vocabulary(&memory, N_TOKENS, 1);
    status result = grammar_open(&memory, &source, vocabulary, &grammar);
    require(result != INTERNAL);
    if (result == OK) {
        struct grammar_reader reader;
        int32_t match;
        grammar_match(grammar, (const char *)rest, n_rest, &match);
        pick_tokens(grammar, rest, n_rest, -1);
        require(grammar_enter(grammar, &reader) == OK);
        uint32_t cost = grammar_cost(grammar, &reader);
        grammar_leave(grammar, &reader);
        if (cost < MOST_STEPS) pick_tokens(grammar, rest, n_rest, cost);
        if (cost < MOST_STEPS) pick_tokens(grammar, rest, n_rest, cost + 9);
    }
    grammar_close(grammar);
    vocabulary_close(vocabulary);
    require(memory.bytes == 0);
    return 0;
}
