/* Stacks of matrices that are parts of one matrix of the file. */
#include <string.h>

#include "format/tensor_form.h"

enum { PIECE = 1024 }; /* elements, whole blocks of every type */

/* The matrix that the file has: its columns, and where an element's bytes are. */
struct source {
    const struct file *file;
    struct tensor matrix; /* as the file has it */
    size_t row_bytes;
};

static struct source source_of(const struct file *file, const struct tensor *tensor) {
    const struct tensor_blocks *blocks = &tensor->blocks;
    struct source source = {.file = file, .matrix = *tensor};
    source.matrix.type = blocks->stored;
    source.matrix.dims[0] = blocks->transposed ? tensor->dims[1] : tensor->dims[0];
    source.row_bytes = weight_type_row_bytes(blocks->stored, (size_t)source.matrix.dims[0]);
    return source;
}

/* Elements [col, col + n) of a row, n <= PIECE, as the stack has them: those of a type that keeps
 * them apart as they are, else as floats. col is a multiple of PIECE. */
static status read_elements(const struct source *source, uint64_t row, uint64_t col, size_t n,
                            void *to) {
    enum weight_type type = source->matrix.type;
    if (source->matrix.form != TENSOR_AS_IS)
        return tensor_form_read(source->file, &source->matrix,
                                row * (uint64_t)source->matrix.dims[0] + col, n, to);
    uint64_t at =
        source->matrix.offset + row * source->row_bytes + weight_type_row_bytes(type, (size_t)col);
    size_t bytes = weight_type_row_bytes(type, n);
    if (checkpoint_transposes(type)) return file_read(source->file, at, bytes, to);
    uint8_t piece[PIECE * sizeof(float)];
    TRY(file_read(source->file, at, bytes, piece));
    weight_type_traits[type].dequantize(piece, to, n);
    return OK;
}

static void scatter(const void *from, size_t n, size_t size, uint8_t *to, size_t step) {
    for (size_t i = 0; i < n; i++, to += step) memcpy(to, (const uint8_t *)from + i * size, size);
}

/* Rows [begin, end) of one matrix of the stack, which are columns of `cols` rows of the file. */
static status read_transposed(const struct source *source, const struct tensor *tensor,
                              uint64_t first_row, uint64_t begin, uint64_t end, uint8_t *rows) {
    uint64_t cols = (uint64_t)tensor->dims[0];
    size_t size = weight_type_row_bytes(tensor->type, 1);
    float piece[PIECE];
    for (uint64_t i = 0; i < cols; i++)
        for (uint64_t col = begin / PIECE * PIECE; col < end; col += PIECE) {
            uint64_t width = (uint64_t)source->matrix.dims[0] - col;
            TRY(read_elements(source, first_row + i, col, (size_t)(width < PIECE ? width : PIECE),
                              piece));
            uint64_t from = col < begin ? begin : col, to = end < col + PIECE ? end : col + PIECE;
            scatter((uint8_t *)piece + (from - col) * size, (size_t)(to - from), size,
                    rows + ((from - begin) * cols + i) * size, (size_t)cols * size);
        }
    return OK;
}

static status read_rows(const struct source *source, uint64_t first, uint64_t n, uint8_t *rows) {
    uint64_t cols = (uint64_t)source->matrix.dims[0];
    if (source->matrix.form != TENSOR_AS_IS)
        return tensor_form_read(source->file, &source->matrix, first * cols, (size_t)(n * cols),
                                (float *)(void *)rows);
    return file_read(source->file, source->matrix.offset + first * source->row_bytes,
                     (size_t)n * source->row_bytes, rows);
}

status tensor_blocks_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                          uint64_t n, void *rows) {
    const struct tensor_blocks *blocks = &tensor->blocks;
    struct source source = source_of(file, tensor);
    size_t row_bytes = weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
    uint64_t of_one = (uint64_t)tensor->dims[1];
    for (uint64_t row = first; row < first + n;) {
        uint64_t index = row / of_one, begin = row % of_one, end = begin + (first + n - row);
        if (end > of_one) end = of_one;
        uint64_t block = index * (uint64_t)blocks->rows + (uint64_t)blocks->first;
        uint8_t *to = (uint8_t *)rows + (row - first) * row_bytes;
        TRY(blocks->transposed ? read_transposed(&source, tensor, block, begin, end, to)
                               : read_rows(&source, block + begin, end - begin, to));
        row += end - begin;
    }
    return OK;
}
