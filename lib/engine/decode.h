/* One decode step: plan it, run it, take over what it computed. */
#ifndef ENGINE_DECODE_H
#define ENGINE_DECODE_H

#include "engine/sequence.h"

/* Inside the context. result is whole; written even when the status is LIMIT. max_rows 0: the
 * context's. */
status decode_step(transformer_context *context, int64_t max_rows,
                   transformer_decode_result *result);

#endif
