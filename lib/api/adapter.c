#include "engine/adapter.h"

#include "api/options.h"
#include "base/float_environment.h"

transformer_status transformer_adapter_open(transformer_model *model,
                                            const transformer_adapter_options *options,
                                            transformer_adapter **adapter) {
    transformer_adapter_options ours;
    TRY(options_require("model", model));
    TRY(options_require("adapter", adapter));
    TRY(options_require("options", options));
    TRY(OPTIONS_READ(adapter_options, options, &ours));
    if (!ours.path) return fail(INVALID_ARGUMENT, "path is NULL");
    if (ours.reader && (!ours.reader->size || !ours.reader->read))
        return fail(INVALID_ARGUMENT, "reader: size or read is NULL");
    fenv_t host;
    float_environment_enter(&host);
    status result = adapter_open(model, &ours, adapter);
    float_environment_leave(&host);
    return result;
}

void transformer_adapter_close(transformer_adapter *adapter) {
    adapter_release(adapter);
}
