#include "tokenizer/text_stream.h"

#include <string.h>

#include "tokenizer/utf8.h"

static const char replacement[3] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */

size_t utf8_stream_push(struct utf8_stream *stream, const char *bytes, size_t n, char *out) {
    const uint8_t *in = (const uint8_t *)bytes;
    size_t at = 0, length = 0;
    while (stream->n_held > 0 && at < n) {
        uint8_t character[4];
        memcpy(character, stream->held, stream->n_held);
        character[stream->n_held] = in[at];
        bool whole, more;
        unsigned taken = utf8_take(character, stream->n_held + 1, &whole, &more);
        if (whole) {
            memcpy(out + length, character, taken);
            length += taken;
            stream->n_held = 0;
            at++;
        } else if (more) {
            stream->held[stream->n_held++] = in[at++];
        } else { /* what is held is a maximal subpart; this byte starts anew */
            memcpy(out + length, replacement, sizeof replacement);
            length += sizeof replacement;
            stream->n_held = 0;
        }
    }
    while (at < n) {
        size_t valid = utf8_valid_prefix(in + at, n - at);
        if (valid > 0) memcpy(out + length, in + at, valid);
        length += valid;
        at += valid;
        if (at == n) break;
        bool whole, more;
        unsigned taken = utf8_take(in + at, n - at, &whole, &more);
        if (more) {
            memcpy(stream->held, in + at, taken);
            stream->n_held = taken;
        } else {
            memcpy(out + length, replacement, sizeof replacement);
            length += sizeof replacement;
        }
        at += taken;
    }
    return length;
}

size_t utf8_stream_finish(struct utf8_stream *stream, char *out) {
    if (stream->n_held == 0) return 0;
    stream->n_held = 0;
    memcpy(out, replacement, sizeof replacement);
    return sizeof replacement;
}
