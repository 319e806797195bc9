#include "format/tensor_form.h"

#include <string.h>

#include "base/parallel.h"
#include "format/tensor_codes.h"

enum { PIECE = 512 }; /* elements at a time, a multiple of every block */

size_t tensor_form_bytes(enum tensor_form form) {
    static const uint8_t bytes[] = {
        [TENSOR_AS_IS] = 0, [TENSOR_F64] = 8,    [TENSOR_F32] = 4,   [TENSOR_F16] = 2,
        [TENSOR_BF16] = 2,  [TENSOR_BLOCKS] = 0, [TENSOR_CODES] = 0,
    };
    return bytes[form];
}

static void convert(enum tensor_form form, const uint8_t *from, size_t n, float *values) {
    switch (form) {
    case TENSOR_F64:
        for (size_t i = 0; i < n; i++) {
            double number;
            memcpy(&number, from + i * sizeof number, sizeof number);
            values[i] = (float)number;
        }
        return;
    case TENSOR_F16:
        weight_type_traits[WEIGHT_F16].dequantize(from, values, n);
        return;
    case TENSOR_BF16:
        weight_type_traits[WEIGHT_BF16].dequantize(from, values, n);
        return;
    default:
        memcpy(values, from, n * sizeof *values);
    }
}

status tensor_form_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                        size_t n, float *values) {
    uint8_t piece[PIECE * 8];
    size_t bytes = tensor_form_bytes(tensor->form);
    first += (uint64_t)tensor->skip;
    for (size_t done = 0; done < n;) {
        size_t now = n - done < PIECE ? n - done : PIECE;
        TRY(file_read(file, tensor->offset + (first + done) * bytes, now * bytes, piece));
        convert(tensor->form, piece, now, values + done);
        for (size_t i = 0; i < now; i++) values[done + i] += tensor->add;
        done += now;
    }
    return OK;
}

/* ---- rows ---- */

struct rows {
    const struct tensor *tensor;
    const uint8_t *from; /* of the first row */
    size_t from_bytes;   /* of a row */
    uint8_t *to;
    size_t to_bytes;
};

static void convert_rows(void *argument, size_t begin, size_t end) {
    const struct rows *rows = argument;
    const struct tensor *tensor = rows->tensor;
    const struct weight_type_traits *traits = &weight_type_traits[tensor->type];
    size_t n_cols = (size_t)tensor->dims[0], bytes = tensor_form_bytes(tensor->form);
    for (size_t row = begin; row < end; row++)
        for (size_t k = 0; k < n_cols; k += PIECE) {
            const uint8_t *from = rows->from + row * rows->from_bytes;
            size_t n = n_cols - k < PIECE ? n_cols - k : PIECE;
            float values[PIECE];
            if (tensor->form == TENSOR_BLOCKS)
                weight_type_traits[tensor->stored].dequantize(
                    from + weight_type_row_bytes(tensor->stored, k), values, n);
            else
                convert(tensor->form, from + k * bytes, n, values);
            for (size_t i = 0; tensor->add != 0 && i < n; i++) values[i] += tensor->add;
            traits->quantize(
                values, rows->to + row * rows->to_bytes + weight_type_row_bytes(tensor->type, k),
                n);
        }
}

status tensor_form_rows(const struct part *parts, struct memory *memory,
                        const struct tensor *tensor, int64_t first, int64_t n, void *to) {
    enum { GRAIN = 16384 }; /* elements of a thread */
    size_t n_cols = (size_t)tensor->dims[0];
    if (!n || !n_cols) return OK;
    first += tensor->skip / tensor->dims[0];
    if (tensor->form == TENSOR_CODES)
        return tensor_codes_rows(tensor->codes, parts, memory, tensor->type, first, n, to);
    const struct file *file = &parts[tensor->part].file;
    struct rows rows = {.tensor = tensor,
                        .from_bytes = tensor->form == TENSOR_BLOCKS
                                          ? weight_type_row_bytes(tensor->stored, n_cols)
                                          : n_cols * tensor_form_bytes(tensor->form),
                        .to = to,
                        .to_bytes = weight_type_row_bytes(tensor->type, n_cols)};
    uint64_t at = tensor->offset + (uint64_t)first * rows.from_bytes;
    void *taken = NULL;
    if (file->bytes) {
        rows.from = file->bytes + at;
    } else {
        TRY(memory_take_array(memory, (size_t)n, rows.from_bytes, "reading weights", &taken));
        rows.from = taken;
    }
    status result = taken ? file_read(file, at, (size_t)n * rows.from_bytes, taken) : OK;
    if (result == OK) parallel_run((size_t)n, GRAIN / n_cols + 1, convert_rows, &rows);
    memory_give(memory, taken);
    return result;
}

struct tensor tensor_form_quantized(const struct tensor *tensor, enum weight_type type) {
    struct tensor quantized = *tensor;
    if (tensor->form == TENSOR_AS_IS) {
        quantized.form = TENSOR_BLOCKS;
        quantized.stored = tensor->type;
    }
    int64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    quantized.type = type;
    quantized.bytes = (uint64_t)rows * weight_type_row_bytes(type, (size_t)tensor->dims[0]);
    return quantized;
}
