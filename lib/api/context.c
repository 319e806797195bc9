#include "engine/context.h"

#include "api/options.h"
#include "base/float_environment.h"
#include "engine/decode.h"

transformer_status transformer_context_create(transformer_model *model,
                                              const transformer_context_options *options,
                                              transformer_context **context) {
    transformer_context_options ours;
    TRY(options_require("model", model));
    TRY(options_require("context", context));
    TRY(OPTIONS_READ(context_options, options, &ours));
    if (ours.allocator && (!ours.allocator->allocate || !ours.allocator->release))
        return fail(INVALID_ARGUMENT, "allocator: allocate or release is NULL");
    TRY(options_check_mode("prefix_cache", ours.prefix_cache));
    TRY(options_check_mode("preemption", ours.preemption));
    fenv_t host;
    float_environment_enter(&host);
    status result = context_create(model, &ours, context);
    float_environment_leave(&host);
    return result;
}

void transformer_context_destroy(transformer_context *context) {
    context_destroy(context);
}

void transformer_context_cancel(transformer_context *context) {
    if (context) context_cancel(context);
}

transformer_status transformer_context_stats(transformer_context *context,
                                             transformer_context_statistics *statistics) {
    transformer_context_statistics ours;
    TRY(options_require("context", context));
    TRY(OPTIONS_CHECK_OUTPUT(context_statistics, statistics));
    TRY(context_enter(context));
    context_statistics(context, &ours);
    context_leave(context);
    options_write(statistics, &ours, sizeof ours);
    return OK;
}

transformer_status transformer_decode(transformer_context *context,
                                      const transformer_decode_options *options,
                                      transformer_decode_result *result) {
    transformer_decode_options ours;
    transformer_decode_result counts = {0};
    TRY(options_require("context", context));
    TRY(OPTIONS_READ(decode_options, options, &ours));
    if (result) TRY(OPTIONS_CHECK_OUTPUT(decode_result, result));
    if (ours.max_tokens < 0) return fail(INVALID_ARGUMENT, "max_tokens is negative");
    TRY(context_enter(context));
    fenv_t host;
    float_environment_enter(&host);
    status decoded = decode_step(context, ours.max_tokens, &counts);
    float_environment_leave(&host);
    context_leave(context);
    if (result && (decoded == OK || decoded == LIMIT))
        options_write(result, &counts, sizeof counts);
    return decoded;
}
