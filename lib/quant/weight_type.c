#include "quant/weight_type.h"

#include <assert.h>

#include "quant/block_types.h"

const struct weight_type_traits weight_type_traits[WEIGHT_TYPES] = {
    [WEIGHT_F32] = {"F32", 0, 1, 4, basic_dequantize_f32, basic_quantize_f32},
    [WEIGHT_F16] = {"F16", 1, 1, 2, basic_dequantize_f16, basic_quantize_f16},
    [WEIGHT_BF16] = {"BF16", 30, 1, 2, basic_dequantize_bf16, basic_quantize_bf16},
    [WEIGHT_Q4_0] = {"Q4_0", 2, 32, 18, basic_dequantize_q4_0, basic_quantize_q4_0},
    [WEIGHT_Q4_1] = {"Q4_1", 3, 32, 20, basic_dequantize_q4_1, basic_quantize_q4_1},
    [WEIGHT_Q5_0] = {"Q5_0", 6, 32, 22, basic_dequantize_q5_0, basic_quantize_q5_0},
    [WEIGHT_Q5_1] = {"Q5_1", 7, 32, 24, basic_dequantize_q5_1, basic_quantize_q5_1},
    [WEIGHT_Q8_0] = {"Q8_0", 8, 32, 34, basic_dequantize_q8_0, basic_quantize_q8_0},
    [WEIGHT_Q2_K] = {"Q2_K", 10, 256, 84, k_quants_dequantize_q2_k, k_quantize_q2_k},
    [WEIGHT_Q3_K] = {"Q3_K", 11, 256, 110, k_quants_dequantize_q3_k, k_quantize_q3_k},
    [WEIGHT_Q4_K] = {"Q4_K", 12, 256, 144, k_quants_dequantize_q4_k, k_quantize_q4_k},
    [WEIGHT_Q5_K] = {"Q5_K", 13, 256, 176, k_quants_dequantize_q5_k, k_quantize_q5_k},
    [WEIGHT_Q6_K] = {"Q6_K", 14, 256, 210, k_quants_dequantize_q6_k, k_quantize_q6_k},
    [WEIGHT_Q8_K] = {"Q8_K", 15, 256, 292, k_quants_dequantize_q8_k, k_quantize_q8_k},
    [WEIGHT_IQ4_NL] = {"IQ4_NL", 20, 32, 18, four_bit_dequantize_iq4_nl, NULL},
    [WEIGHT_IQ4_XS] = {"IQ4_XS", 23, 256, 136, codebook_dequantize_iq4_xs, NULL},
    [WEIGHT_MXFP4] = {"MXFP4", 39, 32, 17, four_bit_dequantize_mxfp4, NULL},
    [WEIGHT_NVFP4] = {"NVFP4", 40, 64, 36, four_bit_dequantize_nvfp4, NULL},
    [WEIGHT_TQ1_0] = {"TQ1_0", 34, 256, 54, codebook_dequantize_tq1_0, NULL},
    [WEIGHT_TQ2_0] = {"TQ2_0", 35, 256, 66, codebook_dequantize_tq2_0, NULL},
    [WEIGHT_IQ1_S] = {"IQ1_S", 19, 256, 50, codebook_dequantize_iq1_s, NULL},
    [WEIGHT_IQ1_M] = {"IQ1_M", 29, 256, 56, codebook_dequantize_iq1_m, NULL},
    [WEIGHT_IQ2_XXS] = {"IQ2_XXS", 16, 256, 66, codebook_dequantize_iq2_xxs, NULL},
    [WEIGHT_IQ2_XS] = {"IQ2_XS", 17, 256, 74, codebook_dequantize_iq2_xs, NULL},
    [WEIGHT_IQ2_S] = {"IQ2_S", 22, 256, 82, codebook_dequantize_iq2_s, NULL},
    [WEIGHT_IQ3_XXS] = {"IQ3_XXS", 18, 256, 98, codebook_dequantize_iq3_xxs, NULL},
    [WEIGHT_IQ3_S] = {"IQ3_S", 21, 256, 110, codebook_dequantize_iq3_s, NULL},
};

/* Numbers once given stay: 4, 5, 31 to 33 and 36 to 38 are of types that were removed. */
static const char *const gguf_names[] = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
};

const char *weight_type_gguf_name(uint32_t gguf_type) {
    return gguf_type < sizeof gguf_names / sizeof *gguf_names ? gguf_names[gguf_type] : NULL;
}

int weight_type_from_gguf(uint32_t gguf_type) {
    for (int type = 0; type < WEIGHT_TYPES; type++)
        if (weight_type_traits[type].gguf_type == gguf_type) return type;
    return -1;
}

size_t weight_type_row_bytes(enum weight_type type, size_t n) {
    const struct weight_type_traits *traits = &weight_type_traits[type];
    assert(n % traits->block == 0);
    return n / traits->block * traits->block_bytes;
}
