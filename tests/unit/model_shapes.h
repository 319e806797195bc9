/* Shapes of real models, from the configurations that were published with them: what kernels are
 * selected for. */
#ifndef TESTS_MODEL_SHAPES_H
#define TESTS_MODEL_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

struct model_shape {
    const char *name;
    uint32_t n_embd, n_heads, n_kv_heads, head_dim;
    uint32_t n_ff; /* of a dense layer */
    uint32_t n_vocab, n_layers;
    uint32_t expert_ff;               /* 0: no experts */
    uint32_t q_rank, kv_rank, n_rope; /* latent attention: q_rank 0 is a plain query; else 0 */
    bool gated;                       /* the FFN has a gate */
};

static const struct model_shape model_shapes[] = {
    /* name, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_layers */
    {"SmolLM2 135M", 576, 9, 3, 64, 1536, 49152, 30, .gated = true},
    {"SmolLM2 360M", 960, 15, 5, 64, 2560, 49152, 32, .gated = true},
    {"SmolLM2 1.7B", 2048, 32, 32, 64, 8192, 49152, 24, .gated = true},
    {"SmolLM3 3B", 2048, 16, 4, 128, 11008, 128256, 36, .gated = true},
    {"TinyLlama 1.1B", 2048, 32, 4, 64, 5632, 32000, 22, .gated = true},
    {"Llama 2 7B", 4096, 32, 32, 128, 11008, 32000, 32, .gated = true},
    {"Llama 2 13B", 5120, 40, 40, 128, 13824, 32000, 40, .gated = true},
    {"Llama 3.2 1B", 2048, 32, 8, 64, 8192, 128256, 16, .gated = true},
    {"Llama 3.2 3B", 3072, 24, 8, 128, 8192, 128256, 28, .gated = true},
    {"Llama 3.1 8B", 4096, 32, 8, 128, 14336, 128256, 32, .gated = true},
    {"Llama 3.1 70B", 8192, 64, 8, 128, 28672, 128256, 80, .gated = true},
    {"Llama 3.1 405B", 16384, 128, 8, 128, 53248, 128256, 126, .gated = true},
    {"Qwen2.5 0.5B", 896, 14, 2, 64, 4864, 151936, 24, .gated = true},
    {"Qwen2.5 1.5B", 1536, 12, 2, 128, 8960, 151936, 28, .gated = true},
    {"Qwen2.5 3B", 2048, 16, 2, 128, 11008, 151936, 36, .gated = true},
    {"Qwen2.5 7B", 3584, 28, 4, 128, 18944, 152064, 28, .gated = true},
    {"Qwen2.5 14B", 5120, 40, 8, 128, 13824, 152064, 48, .gated = true},
    {"Qwen2.5 32B", 5120, 40, 8, 128, 27648, 152064, 64, .gated = true},
    {"Qwen2 72B", 8192, 64, 8, 128, 29568, 152064, 80, .gated = true},
    {"Qwen3 0.6B", 1024, 16, 8, 128, 3072, 151936, 28, .gated = true},
    {"Qwen3 1.7B", 2048, 16, 8, 128, 6144, 151936, 28, .gated = true},
    {"Qwen3 4B", 2560, 32, 8, 128, 9728, 151936, 36, .gated = true},
    {"Qwen3 8B", 4096, 32, 8, 128, 12288, 151936, 36, .gated = true},
    {"Qwen3 14B", 5120, 40, 8, 128, 17408, 151936, 40, .gated = true},
    {"Qwen3 32B", 5120, 64, 8, 128, 25600, 151936, 64, .gated = true},
    {"Qwen3 30B-A3B", 2048, 32, 4, 128, 6144, 151936, 48, .expert_ff = 768, .gated = true},
    {"Qwen3 235B-A22B", 4096, 64, 4, 128, 12288, 151936, 94, .expert_ff = 1536, .gated = true},
    {"Gemma 2B", 2048, 8, 1, 256, 16384, 256000, 18, .gated = true},
    {"Gemma 7B", 3072, 16, 16, 256, 24576, 256000, 28, .gated = true},
    {"Gemma 2 2B", 2304, 8, 4, 256, 9216, 256000, 26, .gated = true},
    {"Gemma 2 9B", 3584, 16, 8, 256, 14336, 256000, 42, .gated = true},
    {"Gemma 2 27B", 4608, 32, 16, 128, 36864, 256000, 46, .gated = true},
    {"Gemma 3 270M", 640, 4, 1, 256, 2048, 262144, 18, .gated = true},
    {"Gemma 3 1B", 1152, 4, 1, 256, 6912, 262144, 26, .gated = true},
    {"Gemma 3 4B", 2560, 8, 4, 256, 10240, 262208, 34, .gated = true},
    {"Gemma 3 12B", 3840, 16, 8, 256, 15360, 262208, 48, .gated = true},
    {"Gemma 3 27B", 5376, 32, 16, 128, 21504, 262208, 62, .gated = true},
    {"Mistral 7B", 4096, 32, 8, 128, 14336, 32768, 32, .gated = true},
    {"Mistral Nemo 12B", 5120, 32, 8, 128, 14336, 131072, 40, .gated = true},
    {"Mistral Small 24B", 5120, 32, 8, 128, 32768, 131072, 40, .gated = true},
    {"Mistral Large 123B", 12288, 96, 8, 128, 28672, 32768, 88, .gated = true},
    {"Mixtral 8x7B", 4096, 32, 8, 128, 14336, 32000, 32, .expert_ff = 14336, .gated = true},
    {"Mixtral 8x22B", 6144, 48, 8, 128, 16384, 32768, 56, .expert_ff = 16384, .gated = true},
    {"Phi-2", 2560, 32, 32, 80, 10240, 51200, 32, .gated = false},
    {"Phi-3 mini", 3072, 32, 32, 96, 8192, 32064, 32, .gated = true},
    {"Phi-3 medium", 5120, 40, 10, 128, 17920, 32064, 40, .gated = true},
    {"Phi-4", 5120, 40, 10, 128, 17920, 100352, 40, .gated = true},
    {"Falcon 7B", 4544, 71, 1, 64, 18176, 65024, 32, .gated = false},
    {"Falcon 40B", 8192, 128, 8, 64, 32768, 65024, 60, .gated = false},
    {"Falcon 180B", 14848, 232, 8, 64, 59392, 65024, 80, .gated = false},
    {"GPT-2", 768, 12, 12, 64, 3072, 50257, 12, .gated = false},
    {"GPT-2 medium", 1024, 16, 16, 64, 4096, 50257, 24, .gated = false},
    {"GPT-2 large", 1280, 20, 20, 64, 5120, 50257, 36, .gated = false},
    {"GPT-2 XL", 1600, 25, 25, 64, 6400, 50257, 48, .gated = false},
    {"GPT-J 6B", 4096, 16, 16, 256, 16384, 50400, 28, .gated = false},
    {"GPT-NeoX 20B", 6144, 64, 64, 96, 24576, 50432, 44, .gated = false},
    {"OPT 125M", 768, 12, 12, 64, 3072, 50272, 12, .gated = false},
    {"OPT 66B", 9216, 72, 72, 128, 36864, 50272, 64, .gated = false},
    {"BLOOM 560M", 1024, 16, 16, 64, 4096, 250880, 24, .gated = false},
    {"BLOOM 176B", 14336, 112, 112, 128, 57344, 250880, 70, .gated = false},
    {"MPT 7B", 4096, 32, 32, 128, 16384, 50432, 32, .gated = false},
    {"MPT 30B", 7168, 64, 64, 112, 28672, 50432, 48, .gated = false},
    {"StarCoder2 3B", 3072, 24, 2, 128, 12288, 49152, 30, .gated = false},
    {"StarCoder2 15B", 6144, 48, 4, 128, 24576, 49152, 40, .gated = false},
    {"OLMo 2 7B", 4096, 32, 32, 128, 11008, 100352, 32, .gated = true},
    {"OLMo 2 13B", 5120, 40, 40, 128, 13824, 100352, 40, .gated = true},
    {"Granite 3 2B", 2048, 32, 8, 64, 8192, 49155, 40, .gated = true},
    {"Granite 3 8B", 4096, 32, 8, 128, 12800, 49155, 40, .gated = true},
    {"Command R 35B", 8192, 64, 64, 128, 22528, 256000, 40, .gated = true},
    {"Command R+ 104B", 12288, 96, 8, 128, 33792, 256000, 64, .gated = true},
    {"GLM-4 9B", 4096, 32, 2, 128, 13696, 151552, 40, .gated = true},
    {"DeepSeek V2 Lite", 2048, 16, 16, 192, 10944, 102400, 27, .expert_ff = 1408, .q_rank = 0,
     .kv_rank = 512, .n_rope = 64, .gated = true},
    {"DeepSeek V2", 5120, 128, 128, 192, 12288, 102400, 60, .expert_ff = 1536, .q_rank = 1536,
     .kv_rank = 512, .n_rope = 64, .gated = true},
    {"DeepSeek V3", 7168, 128, 128, 192, 18432, 129280, 61, .expert_ff = 2048, .q_rank = 1536,
     .kv_rank = 512, .n_rope = 64, .gated = true},
    {"gpt-oss 20B", 2880, 64, 8, 64, 0, 201088, 24, .expert_ff = 2880, .gated = true},
    {"gpt-oss 120B", 2880, 64, 8, 64, 0, 201088, 36, .expert_ff = 2880, .gated = true},
    {"ERNIE 4.5 0.3B", 1024, 16, 2, 128, 3072, 103424, 18, .gated = true},
    {"ERNIE 4.5 21B-A3B", 2560, 20, 4, 128, 12288, 103424, 28, .expert_ff = 1536, .gated = true},
    {"HyperCLOVA X SEED 1.5B", 2048, 16, 8, 128, 7168, 110592, 24, .gated = true},
    {"T5 small", 512, 8, 8, 64, 2048, 32128, 6, .gated = false},
    {"Flan-T5 XL", 2048, 32, 32, 64, 5120, 32128, 24, .gated = true},
    {"T5 11B", 1024, 128, 128, 128, 65536, 32128, 24, .gated = false},
    {"Marian en-de", 512, 8, 8, 64, 2048, 58101, 6, .gated = false},
    {"NLLB 600M", 1024, 16, 16, 64, 4096, 256206, 12, .gated = false},
    {"BERT base", 768, 12, 12, 64, 3072, 30522, 12, .gated = false},
    {"BERT large", 1024, 16, 16, 64, 4096, 30522, 24, .gated = false},
};

#endif
