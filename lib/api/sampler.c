#include "engine/sampler.h"

#include "api/options.h"
#include "base/float_environment.h"
#include "engine/sequence.h"

transformer_status transformer_sampler_create(transformer_model *model,
                                              const transformer_sampler_options *options,
                                              transformer_sampler **sampler) {
    transformer_sampler_options ours;
    TRY(options_require("model", model));
    TRY(options_require("sampler", sampler));
    TRY(OPTIONS_READ(sampler_options, options, &ours));
    TRY(options_check_reserved("transformer_sampler_options", ours.reserved));
    fenv_t host; /* options are compared: a NaN among them must not trap */
    float_environment_enter(&host);
    status result = sampler_create(model, &ours, sampler);
    float_environment_leave(&host);
    return result;
}

transformer_status transformer_sampler_clone(const transformer_sampler *sampler,
                                             transformer_sampler **clone) {
    TRY(options_require("sampler", sampler));
    TRY(options_require("clone", clone));
    return sampler_clone(sampler, clone);
}

void transformer_sampler_destroy(transformer_sampler *sampler) {
    sampler_release(sampler);
}

static status sample(transformer_sampler *sampler, transformer_sequence *sequence, bool append,
                     int32_t *token) {
    int32_t chosen;
    TRY(sampler_enter(sampler));
    status result = sequence_sample(sequence, sampler, &chosen);
    sampler_leave(sampler);
    TRY(result);
    const transformer_append_options of_last = {.struct_size = sizeof of_last};
    if (append) TRY(sequence_append(sequence, &chosen, 1, &of_last));
    *token = chosen;
    return OK;
}

transformer_status transformer_sampler_sample(transformer_sampler *sampler,
                                              transformer_sequence *sequence,
                                              const transformer_sample_options *options,
                                              int32_t *token) {
    transformer_sample_options ours;
    TRY(options_require("sampler", sampler));
    TRY(options_require("sequence", sequence));
    TRY(options_require("token", token));
    TRY(OPTIONS_READ(sample_options, options, &ours));
    TRY(options_check_mode("append", ours.append));
    TRY(options_check_reserved("transformer_sample_options", ours.reserved));
    transformer_context *context = sequence->context;
    TRY(context_enter(context));
    sampler_retain(sampler); /* a destroy that comes meanwhile takes effect after this call */
    fenv_t host;
    float_environment_enter(&host);
    status result = sample(sampler, sequence, ours.append == TRANSFORMER_ON, token);
    float_environment_leave(&host);
    sampler_release(sampler);
    context_leave(context);
    return result;
}
