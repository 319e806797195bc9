#include "cuda/weights.h"

#include <math.h>

#include "base/checked.h"
#include "cuda/device_list.h"
#include "cuda/kernels/attention/attention_tiles.h"
#include "cuda/weight_layout.h"

/* Rows are packed into pinned memory in pieces of about this size; while one is copied to the
 * device, the next is packed. */
enum { PIECE_BYTES = 4 << 20, N_PIECES = 2 };
enum { WEIGHT_ALIGNMENT = 256 };

struct piece {
    uint8_t *packed;     /* pinned */
    driver_event copied; /* the device has it */
    bool used;
};

struct loader {
    struct backend_model *model;
    struct device *device;
    struct checkpoint *checkpoint;
    transformer_progress_function progress;
    void *progress_user;
    uint64_t done, total;
    int *order;    /* [n_weights] slots as their tensors lie in the file */
    void *scratch; /* [scratch_bytes], for readers */
    size_t scratch_bytes, piece_bytes;
    driver_stream stream;
    struct piece pieces[N_PIECES];
    int next; /* piece to be packed */
};

/* ---- sizes ---- */

static size_t row_tiles(const struct cuda_weight *weight) {
    return (weight->n_rows + LAYOUT_ROWS - 1) / LAYOUT_ROWS;
}

uint32_t cuda_weights_layout(const struct cuda_properties *properties,
                             const struct tensor *tensor) {
    int64_t group;
    if (!properties->fp8_weights || !checkpoint_has_e4m3(tensor, &group))
        return weight_layout_type(tensor->type);
    const bool whole = group >= tensor->dims[0];
    if (!whole && group % LAYOUT_COLS) return weight_layout_type(tensor->type);
    return properties->fp8_activations && properties->warpgroups &&
                   (whole || group % LAYOUT_BLOCK_COLS == 0)
               ? LAYOUT_FP8_FP8
               : LAYOUT_FP8;
}

static bool keeps_codes(const struct cuda_weight *weight) {
    return weight->layout == LAYOUT_FP8 || weight->layout == LAYOUT_FP8_FP8;
}

/* Shape of a slot's weight, and its bytes in the arena. */
static status describe(const struct cuda_properties *properties, const struct weight_slot *slot,
                       struct cuda_weight *weight, size_t *bytes) {
    const struct tensor *tensor = slot->tensor;
    *weight = (struct cuda_weight){.type = tensor->type,
                                   .layout = cuda_weights_layout(properties, tensor),
                                   .n_cols = (size_t)tensor->dims[0],
                                   .n_rows = (size_t)tensor->dims[1],
                                   .n_experts = (size_t)tensor->dims[2]};
    bool over;
    *bytes = 0;
    if (slot->vector) {
        over = mul_overflows(weight->n_cols, weight->n_rows, &weight->n_cols) ||
               mul_overflows(weight->n_cols, sizeof(float), bytes);
    } else {
        weight->padded_cols = weight_layout_padded_cols(weight->n_cols);
        over = mul_overflows(row_tiles(weight),
                             weight_layout_tile_bytes(weight->layout, weight->n_cols),
                             &weight->expert_bytes) ||
               mul_overflows(weight->n_experts, weight->expert_bytes, bytes);
    }
    if (!over && !add_overflows(*bytes, WEIGHT_ALIGNMENT - 1, bytes)) {
        *bytes = *bytes / WEIGHT_ALIGNMENT * WEIGHT_ALIGNMENT;
        return OK;
    }
    return fail(OUT_OF_MEMORY, "tensor '%.*s' is larger than memory can be",
                (int)tensor->name.length, tensor->name.data);
}

static status measure_arena(const struct cuda_properties *properties, const struct spec *spec,
                            size_t *vectors, size_t *arena) {
    *vectors = 0;
    *arena = 0;
    for (int i = 0; i < spec->n_weights; i++) {
        struct cuda_weight weight;
        size_t size;
        TRY(describe(properties, &spec->weights[i], &weight, &size));
        if (spec->weights[i].vector) *vectors += size; /* a part of the arena */
        if (add_overflows(*arena, size, arena))
            return fail(OUT_OF_MEMORY, "the weights are larger than memory can be");
    }
    return OK;
}

/* What no kernel does is refused when the model is opened. */
static status check_spec(const struct spec *spec) {
    for (int i = 0; i < spec->n_relative_biases; i++) {
        const struct relative_bias_spec *bias = &spec->relative_biases[i];
        if (bias->max_distance > ATTENTION_MAX_DISTANCE || bias->n_buckets > 256)
            return fail(UNSUPPORTED,
                        "architecture '%s': biases by distances up to %" PRId64 " in %" PRId64
                        " buckets are not supported on this device",
                        spec->architecture, bias->max_distance, bias->n_buckets);
    }
    return OK;
}

status cuda_weights_bytes(const struct spec *spec, const struct backend_choice *choice,
                          struct backend_bytes *bytes) {
    size_t vectors, arena;
    struct cuda_properties properties;
    int ordinal;
    TRY(check_spec(spec));
    TRY(device_list_find(choice->device, &ordinal, &properties));
    TRY(measure_arena(&properties, spec, &vectors, &arena));
    *bytes = (struct backend_bytes){
        .host = memory_cost(sizeof(struct backend_model)) + device_host_bytes() +
                memory_cost(vectors) +
                memory_cost((size_t)spec->n_weights * sizeof(struct cuda_weight)),
        .device = device_cost(arena)};
    return OK;
}

/* Every weight its place: vectors in one run at the front, as they lie on the host. */
static status lay_out(struct backend_model *model, const struct spec *spec, size_t vector_bytes) {
    uint8_t *vectors = model->arena, *tiles = vectors + vector_bytes;
    float *host = model->host_vectors;
    for (int i = 0; i < spec->n_weights; i++) {
        struct cuda_weight *weight = &model->weights[i];
        size_t bytes;
        TRY(describe(&model->device->properties, &spec->weights[i], weight, &bytes));
        if (spec->weights[i].vector) {
            weight->vector = (float *)(void *)vectors;
            weight->host_vector = host;
            vectors += bytes;
            host += bytes / sizeof(float);
        } else {
            weight->tiles = tiles;
            tiles += bytes;
        }
    }
    return OK;
}

/* ---- loading ---- */

static status report(struct loader *loader, uint64_t bytes) {
    loader->done += bytes;
    if (loader->progress &&
        loader->progress(loader->progress_user, loader->done, loader->total) != 0)
        return fail(CANCELLED, "loading was stopped by the progress callback");
    return OK;
}

static status load_vector(struct loader *loader, int id, const struct tensor *tensor,
                          const struct cuda_weight *weight) {
    const void *data;
    TRY(checkpoint_load(loader->checkpoint, id, tensor, 0, (size_t)tensor->bytes, loader->scratch,
                        &data));
    weight_type_traits[tensor->type].dequantize(data, weight->host_vector, weight->n_cols);
    checkpoint_drop(loader->checkpoint, tensor, 0, (size_t)tensor->bytes);
    return report(loader, tensor->bytes);
}

/* Row tiles of a matrix that a piece holds. */
static size_t tiles_per_piece(size_t tile_bytes) {
    return tile_bytes < PIECE_BYTES ? PIECE_BYTES / tile_bytes : 1;
}

/* The piece to be packed now; its last copy is over. */
static status next_piece(struct loader *loader, struct piece **piece) {
    *piece = &loader->pieces[loader->next];
    loader->next = (loader->next + 1) % N_PIECES;
    if ((*piece)->used) TRY(device_event_wait(loader->device, (*piece)->copied));
    return OK;
}

/* Rows of a matrix: as the type of the file has them, or their codes. */
struct rows {
    const uint8_t *data;
    size_t row_bytes;
    struct layout_fp8 fp8;
};

static void pack_tile(const struct cuda_weight *weight, const struct rows *rows, size_t first,
                      size_t n, void *to) {
    if (!keeps_codes(weight)) {
        weight_layout_pack(weight->type, rows->data + first * rows->row_bytes, rows->row_bytes, n,
                           weight->n_cols, to);
        return;
    }
    struct layout_fp8 fp8 = rows->fp8;
    fp8.codes += first * fp8.code_stride;
    fp8.scales += first * fp8.scale_stride;
    weight_layout_pack_fp8(&fp8, n, weight->n_cols, to);
}

/* n row tiles of an expert from `tile` on, of rows that begin with the first of them. */
static status send_tiles(struct loader *loader, const struct cuda_weight *weight, size_t expert,
                         size_t tile, size_t n, const struct rows *from) {
    size_t tile_bytes = weight_layout_tile_bytes(weight->layout, weight->n_cols);
    struct piece *piece;
    TRY(next_piece(loader, &piece));
    for (size_t i = 0; i < n; i++) {
        size_t first = i * LAYOUT_ROWS, rows = weight->n_rows - tile * LAYOUT_ROWS - first;
        pack_tile(weight, from, first, rows < LAYOUT_ROWS ? rows : LAYOUT_ROWS,
                  piece->packed + i * tile_bytes);
    }
    uint8_t *to = (uint8_t *)weight->tiles + expert * weight->expert_bytes + tile * tile_bytes;
    TRY(device_upload(loader->device, loader->stream, to, piece->packed, n * tile_bytes));
    piece->used = true;
    return device_event_record(loader->device, loader->stream, piece->copied);
}

/* What n rows of codes take behind `bytes` of values in the loader's scratch; the scales first. */
static size_t codes_bytes(const struct tensor *tensor, size_t bytes, size_t n, size_t *at) {
    int64_t group = 1;
    const size_t n_cols = (size_t)tensor->dims[0];
    checkpoint_has_e4m3(tensor, &group);
    *at = (bytes + 15) / 16 * 16;
    return *at + n * ((n_cols - 1) / (size_t)group + 1) * sizeof(float) + n * n_cols;
}

/* Codes of n rows from `first` on, counted through the stack, after `bytes` in the scratch. A code
 * that is no number makes its scale none: products that take such codes for numbers see it too. */
static status load_codes(struct loader *loader, const struct tensor *tensor, size_t first, size_t n,
                         size_t bytes, struct layout_fp8 *fp8) {
    const size_t n_cols = (size_t)tensor->dims[0];
    int64_t group = 1;
    size_t at;
    codes_bytes(tensor, bytes, n, &at);
    checkpoint_has_e4m3(tensor, &group);
    const size_t n_groups = (n_cols - 1) / (size_t)group + 1;
    float *scales = (float *)(void *)((uint8_t *)loader->scratch + at);
    uint8_t *codes = (uint8_t *)(scales + n * n_groups);
    TRY(checkpoint_e4m3(loader->checkpoint, tensor, (int64_t)first, (int64_t)n, codes, scales));
    for (size_t row = 0; row < n; row++)
        for (size_t col = 0; col < n_cols; col++)
            if ((codes[row * n_cols + col] & 127) == 127)
                scales[row * n_groups + col / (size_t)group] = NAN;
    *fp8 = (struct layout_fp8){.codes = codes,
                               .scales = scales,
                               .code_stride = n_cols,
                               .scale_stride = n_groups,
                               .scale_cols = n_groups == 1 ? weight_layout_padded_cols(n_cols)
                                                           : (size_t)group};
    return OK;
}

static status load_expert(struct loader *loader, int id, const struct tensor *tensor, size_t expert,
                          const struct cuda_weight *weight) {
    size_t row_bytes = weight_type_row_bytes(weight->type, weight->n_cols);
    size_t n_tiles = row_tiles(weight);
    size_t most = tiles_per_piece(weight_layout_tile_bytes(weight->layout, weight->n_cols));
    for (size_t tile = 0; tile < n_tiles; tile += most) {
        size_t n = n_tiles - tile < most ? n_tiles - tile : most;
        size_t first = tile * LAYOUT_ROWS, rows = n * LAYOUT_ROWS;
        if (rows > weight->n_rows - first) rows = weight->n_rows - first;
        size_t offset = (expert * weight->n_rows + first) * row_bytes, bytes = rows * row_bytes;
        const void *data;
        TRY(checkpoint_load(loader->checkpoint, id, tensor, offset, bytes, loader->scratch, &data));
        struct rows from = {.data = data, .row_bytes = row_bytes};
        if (keeps_codes(weight))
            TRY(load_codes(loader, tensor, expert * weight->n_rows + first, rows, bytes,
                           &from.fp8));
        TRY(send_tiles(loader, weight, expert, tile, n, &from));
        checkpoint_drop(loader->checkpoint, tensor, offset, bytes);
        TRY(report(loader, bytes));
    }
    return OK;
}

static status load_matrix(struct loader *loader, int id, const struct tensor *tensor,
                          const struct cuda_weight *weight) {
    for (size_t expert = 0; expert < weight->n_experts; expert++)
        TRY(load_expert(loader, id, tensor, expert, weight));
    return OK;
}

static status load_all(struct loader *loader, const struct spec *spec, size_t vector_bytes) {
    struct backend_model *model = loader->model;
    for (int i = 0; i < spec->n_weights; i++) {
        int index = loader->order[i];
        const struct weight_slot *slot = &spec->weights[index];
        const struct cuda_weight *weight = &model->weights[index];
        TRY(slot->vector ? load_vector(loader, index, slot->tensor, weight)
                         : load_matrix(loader, index, slot->tensor, weight));
    }
    TRY(device_upload(loader->device, loader->stream, model->arena, model->host_vectors,
                      vector_bytes));
    return device_stream_wait(loader->device, loader->stream);
}

/* What the largest pieces take. */
static void measure(struct loader *loader, const struct spec *spec) {
    const struct cuda_properties *properties = &loader->device->properties;
    for (int i = 0; i < spec->n_weights; i++) {
        const struct weight_slot *slot = &spec->weights[i];
        size_t n_cols = (size_t)slot->tensor->dims[0], packed = 0, rows = 1;
        const struct cuda_weight weight = {.layout = cuda_weights_layout(properties, slot->tensor)};
        if (!slot->vector) {
            size_t tile_bytes = weight_layout_tile_bytes(weight.layout, n_cols);
            size_t n = tiles_per_piece(tile_bytes);
            packed = n * tile_bytes;
            rows = n * LAYOUT_ROWS;
            if (rows > (size_t)slot->tensor->dims[1]) rows = (size_t)slot->tensor->dims[1];
        }
        size_t bytes = slot->vector ? (size_t)slot->tensor->bytes
                                    : rows * weight_type_row_bytes(slot->tensor->type, n_cols);
        size_t at;
        if (!slot->vector && keeps_codes(&weight))
            bytes = codes_bytes(slot->tensor, bytes, rows, &at);
        if (packed > loader->piece_bytes) loader->piece_bytes = packed;
        if (bytes > loader->scratch_bytes) loader->scratch_bytes = bytes;
        loader->total += slot->tensor->bytes;
    }
}

static status take_pieces(struct loader *loader) {
    for (int i = 0; i < N_PIECES; i++) {
        struct piece *piece = &loader->pieces[i];
        TRY(DEVICE_TAKE_PINNED(loader->device, loader->piece_bytes, "loading weights",
                               &piece->packed));
        TRY(device_event_create(loader->device, &piece->copied));
    }
    return device_stream_create(loader->device, &loader->stream);
}

/* The copies under way end first: they read what is given back. */
static void give_pieces(struct loader *loader) {
    if (loader->stream) loader->device->driver.stream_synchronize(loader->stream);
    device_stream_destroy(loader->device, loader->stream);
    for (int i = 0; i < N_PIECES; i++) {
        device_event_destroy(loader->device, loader->pieces[i].copied);
        device_give_pinned(loader->device, loader->pieces[i].packed);
    }
}

/* All that wants the device's context to be current. */
static status load_on_device(struct loader *loader, const struct spec *spec) {
    struct device_caller caller;
    struct backend_model *model = loader->model;
    size_t vector_bytes, arena_bytes;
    status result;
    TRY(measure_arena(&loader->device->properties, spec, &vector_bytes, &arena_bytes));
    TRY(MEMORY_TAKE(model->memory, vector_bytes, "the weights", &model->host_vectors));
    TRY(device_enter(loader->device, &caller));
    TRY_OR_EXIT(DEVICE_TAKE(loader->device, arena_bytes, "the weights", &model->arena));
    TRY_OR_EXIT(lay_out(model, spec, vector_bytes));
    TRY_OR_EXIT(take_pieces(loader));
    TRY_OR_EXIT(load_all(loader, spec, vector_bytes));
exit:
    give_pieces(loader);
    device_leave(loader->device, &caller);
    return result;
}

status cuda_weights_load(struct memory *memory, struct checkpoint *checkpoint,
                         const struct spec *spec, const struct backend_choice *choice,
                         transformer_progress_function progress, void *progress_user,
                         struct backend_model **model) {
    struct backend_model *fresh = NULL;
    struct loader loader = {
        .checkpoint = checkpoint, .progress = progress, .progress_user = progress_user};
    struct cuda_properties properties;
    size_t n_weights = (size_t)spec->n_weights;
    int ordinal;
    status result;
    TRY_OR_EXIT(check_spec(spec));
    TRY_OR_EXIT(device_list_find(choice->device, &ordinal, &properties));
    TRY_OR_EXIT(MEMORY_TAKE_ONE(memory, "the model's weights", &fresh));
    fresh->memory = memory;
    fresh->n_weights = spec->n_weights;
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_weights, "the table of weights", &fresh->weights));
    TRY_OR_EXIT(device_open(memory, ordinal, &fresh->device));
    loader.model = fresh;
    loader.device = fresh->device;
    measure(&loader, spec);
    TRY_OR_EXIT(MEMORY_TAKE(memory, loader.scratch_bytes, "reading weights", &loader.scratch));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_weights, "the order of the weights", &loader.order));
    spec_file_order(spec, loader.order);
    TRY_OR_EXIT(load_on_device(&loader, spec));
    *model = fresh;
exit:
    memory_give(memory, loader.scratch);
    memory_give(memory, loader.order);
    if (result != OK) cuda_weights_free(fresh);
    return result;
}

void cuda_weights_free(struct backend_model *model) {
    struct device_caller caller;
    if (!model) return;
    if (model->arena) {
        bool entered = device_enter_anyway(model->device, &caller);
        device_give(model->device, model->arena);
        if (entered) device_leave(model->device, &caller);
    }
    device_close(model->device);
    memory_give(model->memory, model->host_vectors);
    memory_give(model->memory, model->weights);
    memory_give(model->memory, model);
}

/* ---- looking them up ---- */

const struct cuda_weight *cuda_weights_matrix(const struct backend_model *model,
                                              const struct weight_ref *ref) {
    return ref->tensor ? &model->weights[ref->id] : NULL;
}

const float *cuda_weights_vector(const struct backend_model *model, const struct weight_ref *ref) {
    return ref->tensor ? model->weights[ref->id].vector : NULL;
}

const float *cuda_weights_host_vector(const struct backend_model *model,
                                      const struct weight_ref *ref) {
    return ref->tensor ? model->weights[ref->id].host_vector : NULL;
}
