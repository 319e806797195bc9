/* snprintf that tells how much it wrote, not how much it would have. */
#ifndef BASE_TEXT_FORMAT_H
#define BASE_TEXT_FORMAT_H

#include <stddef.h>

/* Characters written to buffer [size], the NUL not counted; 0 if size is 0. */
size_t text_format(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Messages may quote a file's bytes: makes one line of UTF-8 of them, in place. A control character
 * or a byte that isn't part of a whole character becomes '?'; a character cut at the end is
 * dropped. */
void text_clean_line(char *text);

#endif
