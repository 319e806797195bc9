/* Opening a model and asking it for tokens, as several examples do. Failures end the process, as in
 * console.h. */
#ifndef EXAMPLES_MODEL_H
#define EXAMPLES_MODEL_H

#include <stdint.h>
#include <transformer.h>

/* With a progress bar where stderr is a terminal. */
transformer_model *model_open(const char *path, int32_t device);
/* weight_type: TRANSFORMER_WEIGHTS_... */
transformer_model *model_open_as(const char *path, int32_t device, uint32_t weight_type);
transformer_adapter *model_adapter(transformer_model *model, const char *path);
/* Of one of these, the files holding a JSON schema or EBNF; NULL of none. */
transformer_grammar *model_grammar(transformer_model *model, const char *schema_file,
                                   const char *regex, const char *ebnf_file);
transformer_model_details model_details(const transformer_model *model);

/* The tokens of text; the caller frees them. NULL options are the library's defaults. */
int32_t *model_tokens(const transformer_model *model, const char *text, int64_t length,
                      const transformer_tokenize_options *options, int64_t *count);

/* The prompt that the model's chat template makes of messages; the caller frees it. */
char *model_chat(const transformer_model *model, const transformer_chat_message *messages,
                 int64_t n_messages, int64_t *length);

#endif
