/* Stacks of matrices that are parts of one matrix, however that is stored. */
#include <string.h>

#include "format/tensor_form.h"

static void scatter(const void *from, size_t n, size_t size, uint8_t *to, size_t step) {
    for (size_t i = 0; i < n; i++, to += step) memcpy(to, (const uint8_t *)from + i * size, size);
}

static size_t row_bytes_of(const struct tensor *tensor) {
    return weight_type_row_bytes(tensor->type, (size_t)tensor->dims[0]);
}

/* Rows [begin, end) of one matrix of the stack, which are columns of `cols` rows of the source from
 * first_row on. scratch: such a row, then its floats. */
static status read_transposed(struct checkpoint *checkpoint, const struct tensor *tensor,
                              uint64_t first_row, uint64_t begin, uint64_t end, uint8_t *scratch,
                              uint8_t *rows) {
    const struct tensor *source = tensor->blocks.source;
    size_t size = weight_type_row_bytes(tensor->type, 1), cols = (size_t)tensor->dims[0];
    size_t n = (size_t)source->dims[0], bytes = row_bytes_of(source);
    float *values = (float *)(void *)(scratch + (bytes + 63) / 64 * 64);
    for (size_t i = 0; i < cols; i++) {
        const void *row;
        TRY(checkpoint_data(checkpoint, source, (first_row + i) * bytes, bytes, scratch, &row));
        if (!checkpoint_transposes(source->type)) {
            weight_type_traits[source->type].dequantize(row, values, n);
            row = values;
        }
        scatter((const uint8_t *)row + begin * size, (size_t)(end - begin), size, rows + i * size,
                cols * size);
    }
    return OK;
}

static status read_rows(struct checkpoint *checkpoint, const struct tensor *tensor, uint64_t first,
                        uint64_t n, uint8_t *rows) {
    size_t bytes = row_bytes_of(tensor->blocks.source);
    const void *data;
    TRY(checkpoint_data(checkpoint, tensor->blocks.source, first * bytes, (size_t)n * bytes, rows,
                        &data));
    if (data != rows) memcpy(rows, data, (size_t)n * bytes);
    return OK;
}

static status read_all(struct checkpoint *checkpoint, const struct tensor *tensor, uint64_t first,
                       uint64_t n, uint8_t *scratch, uint8_t *rows) {
    const struct tensor_blocks *blocks = &tensor->blocks;
    size_t row_bytes = row_bytes_of(tensor);
    uint64_t of_one = (uint64_t)tensor->dims[1];
    for (uint64_t row = first; row < first + n;) {
        uint64_t index = row / of_one, begin = row % of_one, end = begin + (first + n - row);
        if (end > of_one) end = of_one;
        uint64_t block = index * (uint64_t)blocks->rows + (uint64_t)blocks->first;
        uint8_t *to = rows + (row - first) * row_bytes;
        TRY(blocks->transposed ? read_transposed(checkpoint, tensor, block, begin, end, scratch, to)
                               : read_rows(checkpoint, tensor, block + begin, end - begin, to));
        row += end - begin;
    }
    return OK;
}

status tensor_blocks_read(struct checkpoint *checkpoint, struct memory *memory,
                          const struct tensor *tensor, uint64_t first, uint64_t n, void *rows) {
    const struct tensor *source = tensor->blocks.source;
    uint8_t *scratch = NULL;
    size_t bytes = row_bytes_of(source) + 64 + (size_t)source->dims[0] * sizeof(float);
    if (tensor->blocks.transposed) TRY(MEMORY_TAKE(memory, bytes, "reading weights", &scratch));
    status result = read_all(checkpoint, tensor, first, n, scratch, rows);
    memory_give(memory, scratch);
    return result;
}
