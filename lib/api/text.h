/* What the text calls have for the others of the API. */
#ifndef API_TEXT_H
#define API_TEXT_H

#include "transformer.h"

/* The next token stands inside a text: what a text's first token loses (a space) stays. */
void text_stream_continue(transformer_text_stream *stream);

#endif
