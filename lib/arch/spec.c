#include "arch/spec.h"

#include <string.h>

#include "arch/family.h"

static const struct family families[] = {
#define FAMILY(architecture, reader, switches) {architecture, reader, switches},
#include "arch/families.h"
#undef FAMILY
};

static status read_family(const struct checkpoint *file, const struct family *family,
                          struct spec *spec) {
    struct keys keys = {.file = file, .prefix = family->architecture, .switches = family->switches};
    struct binder binder;
    spec->architecture = family->architecture;
    status result = bind_begin(spec->memory, file, spec, &binder);
    if (result == OK) result = family->read(&keys, &binder, spec);
    if (result == OK && spec->n_ropes > 0)
        result = decoder_bind_rope_factors(&keys, &binder, &spec->ropes[0]);
    if (result == OK) result = bind_check_all(&binder);
    bind_end(&binder);
    return result;
}

status spec_read(struct memory *memory, const struct checkpoint *file, struct spec **spec) {
    struct text architecture = {"", 0};
    TRY(checkpoint_read_text(file, "general.architecture", NULL, &architecture));
    const struct family *family = NULL;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (keys_text_is(architecture, families[i].architecture)) family = &families[i];
    if (!family)
        return fail(UNSUPPORTED, "%s: architecture '%.*s'", checkpoint_name(file),
                    (int)architecture.length, architecture.data);

    struct spec *fresh;
    TRY(MEMORY_TAKE_ONE(memory, "the model's description", &fresh));
    fresh->memory = memory;
    status result = read_family(file, family, fresh);
    if (result != OK) {
        spec_free(fresh);
        return result;
    }
    *spec = fresh;
    return OK;
}

void spec_free(struct spec *spec) {
    if (!spec) return;
    struct memory *memory = spec->memory;
    memory_give(memory, spec->layers);
    memory_give(memory, spec->kv_streams);
    memory_give(memory, spec->ropes);
    memory_give(memory, spec->weights);
    memory_give(memory, spec->views);
    for (struct spec_slices *next; spec->slices; spec->slices = next) {
        next = spec->slices->next;
        memory_give(memory, spec->slices);
    }
    memory_give(memory, spec);
}

static bool lies_before(const struct tensor *a, const struct tensor *b) {
    return a->part != b->part ? a->part < b->part : a->offset < b->offset;
}

/* Their own order nearly is the file's. */
void spec_file_order(const struct spec *spec, int *order) {
    for (int i = 0; i < spec->n_weights; i++) {
        int at = i;
        for (; at > 0 && lies_before(spec->weights[i].tensor, spec->weights[order[at - 1]].tensor);
             at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}
