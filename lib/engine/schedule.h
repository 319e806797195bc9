/* Who goes first, and who gives up pages: sequences by priority, the older first among equals. */
#ifndef ENGINE_SCHEDULE_H
#define ENGINE_SCHEDULE_H

#include "engine/sequence.h"

/* Into the context's order and out of it. */
void schedule_add(transformer_context *context, transformer_sequence *sequence);
void schedule_remove(transformer_context *context, transformer_sequence *sequence);
void schedule_set_priority(transformer_sequence *sequence, int32_t priority);
/* The order from `first` on to where the next priority begins. */
int64_t schedule_class_end(const transformer_context *context, int64_t first);
/* Where those of order [first, end) begin that take turns in a step as single tokens, or as
 * prompts: behind the one that last went first. */
int64_t schedule_turn(const transformer_context *context, int64_t first, int64_t end, bool prompts);
void schedule_went_first(transformer_sequence *sequence, bool prompts);

/* Preemption: sequences that come after this one and aren't in the step yet lose their pages, the
 * last first, until so many are free in each group: n_needed [n_groups]. false: there would still
 * not be enough, and nobody lost anything. */
bool schedule_preempt(transformer_sequence *sequence, const int64_t *n_needed,
                      transformer_decode_result *result);
/* Whether one that was preempted can get all pages that it needs, the others giving theirs up for
 * it as above. It waits for that: by little and little it would but take pages from others and
 * lose them again. */
bool schedule_readmit(transformer_sequence *sequence, transformer_decode_result *result);

#endif
