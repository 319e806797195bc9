#include <string.h>

#include "api/options.h"
#include "engine/constraint.h"

static status read_source(const transformer_grammar_options *options,
                          struct grammar_source *source) {
    int n = (options->json_schema != NULL) + (options->regex != NULL) + (options->ebnf != NULL);
    if (n != 1)
        return fail(INVALID_ARGUMENT, "one of json_schema, regex and ebnf must be given, not %d",
                    n);
    TRY(options_check_mode("whitespace", options->whitespace));
    TRY(options_check_reserved("transformer_grammar_options", options->reserved));
    const char *text = options->json_schema ? options->json_schema
                       : options->regex     ? options->regex
                                            : options->ebnf;
    *source = (struct grammar_source){.json_schema = options->json_schema,
                                      .regex = options->regex,
                                      .ebnf = options->ebnf,
                                      .length = strlen(text),
                                      .whitespace = options->whitespace == TRANSFORMER_ON};
    if (source->length <= GRAMMAR_MOST_TEXT) return OK;
    return fail(LIMIT, "the grammar's text has more than %d bytes", GRAMMAR_MOST_TEXT);
}

transformer_status transformer_grammar_create(transformer_model *model,
                                              const transformer_grammar_options *options,
                                              transformer_grammar **grammar) {
    transformer_grammar_options ours;
    struct grammar_source source;
    TRY(options_require("model", model));
    TRY(options_require("options", options));
    TRY(options_require("grammar", grammar));
    TRY(OPTIONS_READ(grammar_options, options, &ours));
    TRY(read_source(&ours, &source));
    return grammar_create(model, &source, grammar);
}

void transformer_grammar_destroy(transformer_grammar *grammar) {
    grammar_release(grammar);
}

transformer_status transformer_grammar_match(const transformer_grammar *grammar, const char *text,
                                             int64_t length, int32_t *matched) {
    TRY(options_require("grammar", grammar));
    TRY(options_require("match", matched));
    if (length < 0 || (!text && length))
        return fail(INVALID_ARGUMENT, "text is NULL or its length negative");
    return grammar_match(grammar->grammar, text ? text : "", (size_t)length, matched);
}

transformer_status transformer_sequence_constrain(transformer_sequence *sequence,
                                                  transformer_grammar *grammar,
                                                  const transformer_constraint_options *options) {
    transformer_constraint_options ours;
    TRY(options_require("sequence", sequence));
    TRY(OPTIONS_READ(constraint_options, options, &ours));
    TRY(options_check_mode("close", ours.close));
    TRY(options_check_reserved("transformer_constraint_options", ours.reserved));
    if (ours.max_tokens < 0) return fail(INVALID_ARGUMENT, "max_tokens is negative");
    if (ours.max_tokens && ours.close != TRANSFORMER_ON)
        return fail(INVALID_ARGUMENT, "max_tokens is given, but close is not ON");
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    status result = constraint_set(sequence, grammar, &ours);
    context_leave(context);
    return result;
}
