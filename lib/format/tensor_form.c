#include "format/tensor_form.h"

#include <string.h>

size_t tensor_form_bytes(enum tensor_form form) {
    static const uint8_t bytes[] = {
        [TENSOR_AS_IS] = 0, [TENSOR_F64] = 8, [TENSOR_F32] = 4, [TENSOR_F16] = 2, [TENSOR_BF16] = 2,
    };
    return bytes[form];
}

bool tensor_form_is_plain(const struct tensor *tensor) {
    return tensor->form == TENSOR_AS_IS && !tensor->layout.stored_rows && !tensor->layout.n_groups;
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
    case TENSOR_F32:
    case TENSOR_AS_IS:
        memcpy(values, from, n * sizeof *values);
    }
}

/* ---- rows ---- */

static int64_t cols_of(const struct tensor *tensor) {
    return tensor->n_dims > 1 ? tensor->dims[0] : 1;
}

static size_t stored_bytes(const struct tensor *tensor) {
    size_t bytes = tensor_form_bytes(tensor->form);
    return bytes ? bytes : weight_type_row_bytes(tensor->type, 1);
}

/* Where rows are stored: n of them from row `at` on, each `step` rows after the one before. */
struct run {
    int64_t at, n, step;
};

static struct run run_of(const struct tensor_layout *layout, int64_t row) {
    row += layout->first_row;
    if (!layout->n_groups) return (struct run){row, INT64_MAX, 1};
    const int64_t *parts = layout->parts, all = parts[0] + parts[1] + parts[2];
    int64_t before = 0;
    int part = 0;
    for (; part < 2 && row >= layout->n_groups * parts[part]; part++) {
        row -= layout->n_groups * parts[part];
        before += parts[part];
    }
    if (parts[part] == 1) return (struct run){row * all + before, layout->n_groups - row, all};
    int64_t within = row % parts[part];
    return (struct run){row / parts[part] * all + before + within, parts[part] - within, 1};
}

enum { PIECE = 512 }; /* elements */

/* n stored elements from `at` on, each `step` after the one before, to every `stride`-th of values.
 */
static status read_run(const struct file *file, const struct tensor *tensor, int64_t at,
                       int64_t step, size_t n, size_t stride, uint8_t *values) {
    uint8_t piece[PIECE * 8];
    float converted[PIECE];
    size_t stored = stored_bytes(tensor), size = tensor->form == TENSOR_AS_IS ? stored : 4;
    for (size_t done = 0; done < n;) {
        size_t apart = step < PIECE ? (size_t)step : PIECE, most = PIECE / apart;
        size_t now = n - done < most ? n - done : most;
        uint64_t first = (uint64_t)at + done * (uint64_t)step;
        TRY(file_read(file, tensor->offset + first * stored, ((now - 1) * apart + 1) * stored,
                      piece));
        for (size_t i = 1; apart > 1 && i < now; i++)
            memcpy(piece + i * stored, piece + i * apart * stored, stored);
        const uint8_t *from = piece;
        if (tensor->form != TENSOR_AS_IS) {
            convert(tensor->form, piece, now, converted);
            for (size_t i = 0; i < now; i++) converted[i] += tensor->add;
            from = (const uint8_t *)converted;
        }
        uint8_t *to = values + done * stride * size;
        if (stride == 1) memcpy(to, from, now * size);
        for (size_t i = 0; stride != 1 && i < now; i++)
            memcpy(to + i * stride * size, from + i * size, size);
        done += now;
    }
    return OK;
}

/* Columns [col, col + n) of rows [row, row + n_rows). */
static status read_transposed(const struct file *file, const struct tensor *tensor, int64_t row,
                              int64_t n_rows, int64_t col, int64_t n, uint8_t *values) {
    size_t size = tensor->form == TENSOR_AS_IS ? stored_bytes(tensor) : 4;
    for (int64_t done = 0; done < n_rows;) {
        struct run run = run_of(&tensor->layout, row + done);
        if (run.n > n_rows - done) run.n = n_rows - done;
        uint8_t *to = values + (size_t)(done * n) * size;
        for (int64_t i = 0; i < n; i++)
            TRY(read_run(file, tensor, (col + i) * tensor->layout.stored_rows + run.at, run.step,
                         (size_t)run.n, (size_t)n, to + (size_t)i * size));
        done += run.n;
    }
    return OK;
}

status tensor_form_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                        size_t n, void *values) {
    size_t size = tensor->form == TENSOR_AS_IS ? stored_bytes(tensor) : 4;
    int64_t cols = cols_of(tensor);
    uint8_t *to = values;
    for (int64_t at = (int64_t)first, left = (int64_t)n; left > 0;) {
        int64_t row = at / cols, col = at % cols, n_rows = col ? 1 : left / cols, now;
        if (n_rows < 1) n_rows = 1;
        if (tensor->layout.stored_rows) {
            int64_t width = col + left < cols ? left : cols - col;
            TRY(read_transposed(file, tensor, row, n_rows, col, width, to));
            now = n_rows * width;
        } else {
            struct run run = run_of(&tensor->layout, row);
            int64_t together = run.step > 1 && cols > 1 ? 1 : run.n;
            now = together < n_rows ? together * cols : n_rows * cols;
            if (now > cols - col && col) now = cols - col;
            if (now > left) now = left;
            TRY(read_run(file, tensor, run.at * cols + col, cols > 1 ? 1 : run.step, (size_t)now, 1,
                         to));
        }
        at += now;
        left -= now;
        to += (size_t)now * size;
    }
    return OK;
}

void tensor_form_range(const struct tensor *tensor, uint64_t first, uint64_t n, uint64_t *offset,
                       uint64_t *bytes) {
    uint64_t stored = stored_bytes(tensor), rows = (uint64_t)tensor->layout.first_row;
    *offset = tensor->offset + (rows * (uint64_t)cols_of(tensor) + first) * stored;
    *bytes = n * stored;
    if (!tensor->layout.stored_rows && !tensor->layout.n_groups) return;
    uint64_t size = tensor->form == TENSOR_AS_IS ? stored : 4;
    *offset = tensor->offset;
    *bytes = (first + n) * size == tensor->bytes ? n * stored : 0;
}

void tensor_form_view(const struct tensor *tensor, int64_t first, int64_t n, struct tensor *view) {
    bool vector = tensor->n_dims < 2;
    size_t row_bytes = weight_type_row_bytes(tensor->type, vector ? 1 : (size_t)tensor->dims[0]);
    *view = *tensor;
    view->dims[vector ? 0 : 1] = n;
    view->bytes = (uint64_t)n * row_bytes;
    if (tensor_form_is_plain(tensor))
        view->offset += (uint64_t)first * row_bytes;
    else
        view->layout.first_row += first;
}
