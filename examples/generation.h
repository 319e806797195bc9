/* The text that generate makes, token by token. Failures end the process, as in console.h. */
#ifndef EXAMPLES_GENERATION_H
#define EXAMPLES_GENERATION_H

#include <stdint.h>
#include <transformer.h>

#include "draft.h"

struct settings {
    const char *model, *prompt, *prompt_file, *draft, *stop, *load, *save;
    const char *schema_file, *regex, *grammar_file;
    int64_t max_tokens, guesses, logprobs, beams;
    transformer_sampler_options sampler;
    int32_t n_threads, device;
    uint32_t kv_type;
    int32_t lookup;
    int ids, chat, stats;
};

enum { MOST_TOP = 1000 };

struct generation {
    const struct settings *settings;
    transformer_model_details details;
    transformer_context *context;
    transformer_sequence *sequence;
    transformer_sampler *sampler;
    transformer_text_stream *stream;
    struct draft draft;
    int32_t *tokens; /* prompt, with what was loaded before it, and answer */
    int64_t n_loaded, n_prompt, n_tokens, limit, n_steps, n_proposed, n_accepted;
    int done;
};

/* Steps until there is a token, and prints what there is. */
void generation_step(struct generation *generation);
/* What is left of the text. */
void generation_print_end(struct generation *generation);
/* To stderr, if that is a terminal, or as JSON if it is asked for. */
void generation_print_speed(const struct generation *generation, double prompt_s,
                            double generate_s);

/* Queues the prompt behind what was loaded, and keeps all of it as tokens. Something must be
 * computed: of what is loaded and followed by nothing the last token, anew. */
void generation_begin(struct generation *generation);
/* To settings.save: the text without what was sampled behind its end. */
void generation_save(struct generation *generation);
/* Prints the best of what settings.beams beams end in. */
void generation_search(const struct settings *settings, transformer_model *model,
                       const int32_t *prompt, int64_t n_prompt);

#endif
