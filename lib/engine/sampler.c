#include "engine/sampler.h"

static status wrap(transformer_model *model, struct sampling_chain *chain,
                   transformer_sampler **created) {
    transformer_sampler *fresh;
    status result = MEMORY_TAKE_ONE(&model->memory, "a sampler", &fresh);
    if (result != OK) {
        sampling_destroy(chain);
        return result;
    }
    model_retain(model);
    fresh->model = model;
    fresh->chain = chain;
    atomic_init(&fresh->owners, 1);
    atomic_flag_clear(&fresh->busy);
    *created = fresh;
    return OK;
}

status sampler_create(transformer_model *model, const transformer_sampler_options *options,
                      transformer_sampler **created) {
    struct sampling_chain *chain;
    TRY(model_check_logits(model));
    TRY(sampling_create(&model->memory, options, model->spec->n_vocab, &chain));
    return wrap(model, chain, created);
}

status sampler_clone(const transformer_sampler *original, transformer_sampler **created) {
    struct sampling_chain *chain;
    TRY(sampling_clone(original->chain, &chain));
    return wrap(original->model, chain, created);
}

void sampler_retain(transformer_sampler *sampler) {
    atomic_fetch_add_explicit(&sampler->owners, 1, memory_order_relaxed);
}

void sampler_release(transformer_sampler *sampler) {
    if (!sampler || atomic_fetch_sub_explicit(&sampler->owners, 1, memory_order_acq_rel) != 1)
        return;
    transformer_model *model = sampler->model;
    sampling_destroy(sampler->chain);
    memory_give(&model->memory, sampler);
    model_release(model);
}

status sampler_enter(transformer_sampler *sampler) {
    if (atomic_flag_test_and_set_explicit(&sampler->busy, memory_order_acquire))
        return fail(BUSY, "another call is using this sampler");
    return OK;
}

void sampler_leave(transformer_sampler *sampler) {
    atomic_flag_clear_explicit(&sampler->busy, memory_order_release);
}
