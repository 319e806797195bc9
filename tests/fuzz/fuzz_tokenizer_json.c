/* libFuzzer target: the bytes are a tokenizer.json, and behind a NUL a text. What opens must encode
 * and decode that text and some others, within the sizes that it says. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

static void must(bool holds) {
    if (!holds) abort();
}

static void decode(const struct pipeline *pipeline, const int32_t *ids, size_t n) {
    struct detokenize_state state = {.started = false};
    char *buffer = malloc(pipeline->decode.longest + 1);
    must(buffer != NULL);
    for (size_t i = 0; i < n; i++) {
        must(ids[i] >= 0 && (uint32_t)ids[i] < pipeline->vocab.n);
        must(decode_token(&pipeline->decode, &state, (uint32_t)ids[i], buffer,
                          pipeline->decode.longest) <= pipeline->decode.longest);
    }
    free(buffer);
}

static void encode(const struct pipeline *pipeline, struct memory *memory, struct text text,
                   unsigned how) {
    enum { MOST = 20000 };
    static int32_t ids[MOST], types[MOST];
    struct text valid;
    void *copy;
    must(utf8_repair(memory, text, &valid, &copy) == OK);
    struct encoder encoder = {.memory = memory, .ids = ids, .capacity = MOST};
    const struct pipeline_input input = {valid, how & 4 ? &valid : NULL, (how & 1) != 0,
                                         (how & 2) != 0};
    status result = pipeline_encode(pipeline, &encoder, &input, types);
    if (result == OK) decode(pipeline, ids, encoder.count < MOST ? encoder.count : MOST);
    must(result != INTERNAL);
    encoder_close(&encoder);
    memory_give(memory, copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] =
        "The  caf\xc3\xa9's e\xcc\x81\xcc\xa3 12345\r\n\xe4\xb8\xad\xe6\x96\x87 "
        "<s> ##x \xf0\x9f\x98\x80\xe2\x96\x81y";
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t length = end ? (size_t)(end - data) : size;
    struct memory memory;
    struct tokenizer_json reader;
    struct pipeline *pipeline = NULL;
    memory_init(&memory, NULL);
    status result = tokenizer_json_open(&reader, &memory, "tokenizer.json", data, length, 1000);
    if (result == OK) result = tokenizer_json_finish(&reader, &pipeline);
    tokenizer_json_close(&reader);
    if (result == OK) {
        for (unsigned how = 0; how < 8; how++)
            encode(pipeline, &memory, (struct text){text, sizeof text - 1}, how);
        if (end)
            encode(pipeline, &memory, (struct text){(const char *)end + 1, size - length - 1}, 3);
    }
    pipeline_close(pipeline);
    must(memory.bytes == 0);
    return 0;
}
