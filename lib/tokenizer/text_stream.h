/* Bytes of tokens to UTF-8 text: holds back a character until it is whole, gives U+FFFD for each
 * maximal subpart that can't become one (Unicode 15, section 3.9, "U+FFFD Substitution of Maximal
 * Subparts"). */
#ifndef TOKENIZER_TEXT_STREAM_H
#define TOKENIZER_TEXT_STREAM_H

#include "base/status.h"

struct utf8_stream {
    unsigned char held[4]; /* bytes of a character that is not whole yet */
    size_t n_held;
};

/* Writes the text that is complete after these n bytes to out [3 * (n + 3)]; returns its length. */
size_t utf8_stream_push(struct utf8_stream *stream, const char *bytes, size_t n, char *out);
/* What is held becomes U+FFFD (out [3 * 3]); the stream starts anew. */
size_t utf8_stream_finish(struct utf8_stream *stream, char *out);

#endif
