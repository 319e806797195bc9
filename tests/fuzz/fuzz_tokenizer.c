/* libFuzzer: bytes are a text for a small vocabulary, or edits of that vocabulary's file and a
 * text. With FUZZ_VOCABULARY the text goes to the tokenizer of that GGUF file. */
#include "../unit/small_vocabulary.h"
#include "tokenizer/text_stream.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

static const char *const rules[] = {
    "default",    "gpt-2",        "smollm",         "falcon",      "llama-bpe", "qwen2",
    "qwen35",     "laguna",       "ufakzeka",       "seed-coder",  "minicpm5",  "jais-2",
    "exaone-moe", "deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5",  "youtu",
    "tekken",     "gpt-4o",       "tiny_aya",       "kimi-k2",     "superbpe",  "bloom",
    "viking",     "chameleon",
};
enum { N_RULES = sizeof rules / sizeof *rules };

static struct bytes file;

static void must(bool holds) {
    if (!holds) abort();
}

/* The ids' text is the text itself. */
static void check_round_trip(const struct tokenizer *tokenizer, struct memory *memory,
                             struct text text, const int32_t *ids, size_t count) {
    struct text valid;
    void *copy;
    must(utf8_repair(memory, text, &valid, &copy) == OK);
    size_t longest = tokenizer_max_token_bytes(tokenizer), length = 0;
    char *back = malloc(valid.length + longest + 1);
    struct detokenize_state state = {.started = false};
    for (size_t i = 0; i < count; i++) {
        length += tokenizer_token_bytes(tokenizer, &state, ids[i], false, back + length,
                                        valid.length + longest - length);
        must(length <= valid.length);
    }
    must(length == valid.length && memcmp(back, valid.data, length) == 0);
    free(back);
    memory_give(memory, copy);
}

static void check_text(const struct tokenizer *tokenizer, struct memory *memory, struct text text,
                       bool lossless) {
    size_t room = 3 * text.length + 8;
    int32_t *ids = malloc(room * sizeof *ids);
    char *buffer = malloc(tokenizer_max_token_bytes(tokenizer) + 1);
    for (int special = 0; special < 4; special++) {
        struct tokenize_flags flags = {special & 1, special & 2};
        size_t count, needed;
        must(tokenizer_encode(tokenizer, memory, text, flags, ids, room, &count) == OK);
        status result = tokenizer_encode(tokenizer, memory, text, flags, NULL, 0, &needed);
        must(result == OK && needed == count);
        struct detokenize_state state = {.started = false};
        for (size_t i = 0; i < count; i++) {
            must(ids[i] >= 0 && ids[i] < tokenizer_vocab_size(tokenizer));
            size_t n = tokenizer_token_bytes(tokenizer, &state, ids[i], special & 1, buffer,
                                             tokenizer_max_token_bytes(tokenizer));
            must(n <= tokenizer_max_token_bytes(tokenizer));
        }
        if (lossless && special == 0) check_round_trip(tokenizer, memory, text, ids, count);
    }
    free(buffer);
    free(ids);
}

static void open_and_check(const struct checkpoint_options *options, struct text text,
                           bool must_open, bool lossless) {
    struct memory memory;
    memory_init(&memory, NULL);
    struct checkpoint *checkpoint = NULL;
    struct tokenizer *tokenizer = NULL;
    status result = checkpoint_open(&memory, options, &checkpoint);
    if (result == OK) result = tokenizer_open(&memory, checkpoint, 1000, &tokenizer);
    must(result == OK || !must_open);
    if (tokenizer) check_text(tokenizer, &memory, text, lossless);
    tokenizer_close(tokenizer);
    checkpoint_close(checkpoint);
    must(memory.bytes == 0);
}

static void put_file(unsigned kind) {
    if (kind < N_RULES)
        small_bpe(&file, rules[kind]);
    else if (kind < N_RULES + 2)
        small_sentencepiece(&file, kind == N_RULES);
    else
        small_wordpiece(&file);
}

/* Edits of the file, 4 bytes each: place, what to write, how often. Returns the text behind them.
 */
static struct text edit_file(const uint8_t *data, size_t size) {
    size_t n = data[0] % 8;
    for (data++, size--; n > 0 && size >= 4; n--, data += 4, size -= 4)
        for (size_t i = 0; i < 1u + data[3] % 4; i++)
            file.data[(((size_t)data[0] << 8 | data[1]) + i) % file.n] = data[2];
    return (struct text){(const char *)data, size};
}

static struct {
    struct memory memory;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
} real;

static void open_real(const char *path) {
    memory_init(&real.memory, NULL);
    struct checkpoint_options options = {.path = path};
    must(checkpoint_open(&real.memory, &options, &real.checkpoint) == OK);
    must(tokenizer_open(&real.memory, real.checkpoint, INT32_MAX, &real.tokenizer) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = getenv("FUZZ_VOCABULARY");
    if (path && !real.tokenizer) open_real(path);
    if (real.tokenizer) {
        check_text(real.tokenizer, &real.memory, (struct text){(const char *)data, size},
                   getenv("FUZZ_LOSSLESS") != NULL);
        return 0;
    }
    if (size < 2) return 0;
    unsigned kind = data[0] % (N_RULES + 3);
    put_file(kind);
    struct checkpoint_options options = {.path = "fuzz.gguf"};
    struct text text = {(const char *)data + 1, size - 1};
    bool edited = data[0] >= 128;
    if (edited) text = edit_file(data + 1, size - 1);
    options.data = file.data;
    options.data_size = file.n;
    bool bpe = kind < N_RULES;
    open_and_check(&options, text, !edited, bpe && !edited);
    return 0;
}
