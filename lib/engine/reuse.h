/* Where sequences meet the prefix index. */
#ifndef ENGINE_REUSE_H
#define ENGINE_REUSE_H

#include "engine/sequence.h"

/* Before the sequence is planned: pending tokens that were computed before are computed now, up to
 * the first whose logits are to be kept, and not the last. Returns how many. */
int64_t reuse_pages(transformer_sequence *sequence);
/* After a step: pages that are whole now are entered. Before the window lets go of any. */
void reuse_enter(transformer_sequence *sequence);

#endif
