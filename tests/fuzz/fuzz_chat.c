/* libFuzzer: bytes up to a NUL are a chat template, those behind it JSON of its variables. */
#include <stdlib.h>
#include <string.h>

#include "chat/chat.h"

static status keep(void *user, struct text text) {
    size_t *sum = user;
    for (size_t i = 0; i < text.length; i++) *sum += (unsigned char)text.data[i];
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t length = nul ? (size_t)(nul - data) : size, sum = 0;
    struct chat_message messages[] = {{{"system", 6}, {"s\xc3\xa9", 3}, true},
                                      {{"user", 4}, {"hello", 5}, true}};
    struct memory memory;
    memory_init(&memory, NULL);
    struct chat_request request = {.template = {length ? (const char *)data : "", length},
                                   .messages = messages,
                                   .n_messages = 2,
                                   .local_time = 1751619906};
    if (nul) request.variables_json = (struct text){(const char *)nul + 1, size - length - 1};
    status result = chat_format(&memory, &request, keep, &sum);
    if (result == INTERNAL || memory.bytes != 0) abort();
    return 0;
}
