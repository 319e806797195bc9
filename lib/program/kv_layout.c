#include "program/kv_layout.h"

static bool same_group(const struct kv_stream_spec *a, const struct kv_stream_spec *b) {
    return a->n_heads == b->n_heads && a->key_dim == b->key_dim && a->value_dim == b->value_dim &&
           a->window == b->window && a->kind == b->kind;
}

/* Of one position. */
static size_t head_bytes(const struct kv_format *format, size_t dim) {
    size_t n_scales = (dim + KV_SCALE_DIMS - 1) / KV_SCALE_DIMS;
    return dim * format->element_bytes + n_scales * format->scale_bytes;
}

status kv_layout_make(struct memory *memory, const struct spec *spec,
                      const struct kv_format *format, struct kv_layout *layout) {
    size_t n = (size_t)spec->n_kv_streams;
    *layout = (struct kv_layout){.n_places = (int)n, .format = *format};
    TRY(MEMORY_TAKE_ARRAY(memory, n, "KV groups", &layout->groups));
    TRY(MEMORY_TAKE_ARRAY(memory, n, "KV places", &layout->places));
    for (int i = 0; i < spec->n_kv_streams; i++) {
        const struct kv_stream_spec *stream = &spec->kv_streams[i];
        struct kv_place *place = &layout->places[i];
        place->group = layout->n_groups;
        for (int j = 0; j < i; j++)
            if (same_group(stream, &spec->kv_streams[j])) place->group = layout->places[j].group;
        if (place->group == layout->n_groups)
            layout->groups[layout->n_groups++] =
                (struct kv_group){.window = stream->window, .kind = stream->kind};

        struct kv_group *group = &layout->groups[place->group];
        size_t k_bytes = head_bytes(format, (size_t)stream->key_dim);
        size_t both = k_bytes + head_bytes(format, (size_t)stream->value_dim);
        place->n_heads = stream->n_heads;
        place->key_dim = stream->key_dim;
        place->value_dim = stream->value_dim;
        place->head_bytes = KV_PAGE_TOKENS * both;
        place->k_offset = group->page_bytes;
        place->v_offset = place->k_offset + KV_PAGE_TOKENS * k_bytes;
        group->page_bytes += (size_t)stream->n_heads * place->head_bytes;
        group->position_bytes += (size_t)stream->n_heads * both;
        if (!stream->value_dim) place->v_offset = place->k_offset;
    }
    return OK;
}

void kv_layout_free(struct memory *memory, struct kv_layout *layout) {
    memory_give(memory, layout->groups);
    memory_give(memory, layout->places);
}
