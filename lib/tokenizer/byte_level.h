/* Bytes written as printable characters, GPT-2's way: a byte that is printable in Latin-1 is that
 * character, the others count on from U+0100. */
#ifndef TOKENIZER_BYTE_LEVEL_H
#define TOKENIZER_BYTE_LEVEL_H

#include <stddef.h>
#include <stdint.h>

uint32_t byte_level_character(unsigned byte);
/* -1: stands for no byte. */
int byte_level_byte(uint32_t c);
/* Writes the characters of the bytes to out [2 * length], which may not overlap; returns how many
 * bytes they are. */
size_t byte_level_write(const uint8_t *bytes, size_t length, char *out);

#endif
