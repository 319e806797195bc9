#include "tokenizer/byte_level.h"

#include "tokenizer/utf8.h"

uint32_t byte_level_character(unsigned byte) {
    if (byte <= 32) return 256 + byte;
    if (byte >= 127 && byte <= 160) return 256 + 33 + byte - 127;
    return byte == 173 ? 256 + 33 + 34 : byte;
}

int byte_level_byte(uint32_t c) {
    if (c >= 256 + 33 + 34) return c == 256 + 33 + 34 ? 173 : -1;
    if (c >= 256 + 33) return (int)(c - 256 - 33 + 127);
    if (c >= 256) return (int)(c - 256);
    return byte_level_character(c) == c ? (int)c : -1;
}

size_t byte_level_write(const uint8_t *bytes, size_t length, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) n += utf8_encode(byte_level_character(bytes[i]), out + n);
    return n;
}
