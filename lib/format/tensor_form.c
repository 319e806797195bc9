#include "format/tensor_form.h"

#include <string.h>

size_t tensor_form_bytes(enum tensor_form form) {
    static const uint8_t bytes[] = {
        [TENSOR_AS_IS] = 0, [TENSOR_F64] = 8, [TENSOR_F32] = 4, [TENSOR_F16] = 2, [TENSOR_BF16] = 2,
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
    case TENSOR_F32:
    case TENSOR_AS_IS:
        memcpy(values, from, n * sizeof *values);
    }
}

status tensor_form_read(const struct file *file, const struct tensor *tensor, uint64_t first,
                        size_t n, float *values) {
    enum { PIECE = 512 };
    uint8_t piece[PIECE * 8];
    size_t bytes = tensor_form_bytes(tensor->form);
    for (size_t done = 0; done < n;) {
        size_t now = n - done < PIECE ? n - done : PIECE;
        TRY(file_read(file, tensor->offset + (first + done) * bytes, now * bytes, piece));
        convert(tensor->form, piece, now, values + done);
        for (size_t i = 0; i < now; i++) values[done + i] += tensor->add;
        done += now;
    }
    return OK;
}
