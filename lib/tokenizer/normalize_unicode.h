/* Unicode's normalization forms (UAX #15), in linear time. */
#ifndef TOKENIZER_NORMALIZE_UNICODE_H
#define TOKENIZER_NORMALIZE_UNICODE_H

#include "tokenizer/normalize.h"

/* At least n bytes to write to; what was written there stays. */
status normalize_room(struct normalizer *normalizer, size_t n);

/* kind: one of the four forms. *changed: *n bytes were written, else text is in that form. */
status normalize_unicode(struct normalizer *normalizer, enum normalize_kind kind, struct text text,
                         size_t *n, bool *changed);

#endif
