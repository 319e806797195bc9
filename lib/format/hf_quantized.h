/* quantization_config of a Hugging Face folder, and the tensors that such weights are kept in. */
#ifndef FORMAT_HF_QUANTIZED_H
#define FORMAT_HF_QUANTIZED_H

#include <stdint.h>

enum hf_quantization {
    HF_QUANTIZATION_NONE,
    HF_QUANTIZATION_AWQ,
    HF_QUANTIZATION_GPTQ,
    HF_QUANTIZATION_COMPRESSED, /* compressed-tensors */
    HF_QUANTIZATION_FP8,        /* of DeepSeek and transformers: fp8, fbgemm_fp8 */
    HF_QUANTIZATION_MXFP4
};

struct hf_quantized {
    enum hf_quantization method;
    int64_t bits, group;            /* AWQ, GPTQ; group -1: a whole row */
    uint32_t zero_add;              /* to each word of GPTQ's zeros */
    int64_t block_rows, block_cols; /* FP8; 0: no blocks */
};

#endif
