#include "format/hf_families.h"

#include <string.h>

/* The families' files, a line each. */
static const struct hf_family *const tables[] = {
    hf_llama_families,           hf_gemma_families,   hf_gpt_families,    hf_decoder_families,
    hf_encoder_decoder_families, hf_encoder_families, hf_expert_families, hf_latent_families,
};

static bool is_of_class(const struct hf_family *family, const char *classes, size_t length) {
    size_t n = family->of_class ? strlen(family->of_class) : 0;
    for (size_t i = 0; i + n <= length; i++)
        if (n == 0 || memcmp(classes + i, family->of_class, n) == 0) return true;
    return n == 0;
}

const struct hf_family *hf_families_find(const char *model_type, size_t length, const char *classes,
                                         size_t classes_length) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct hf_family *family = tables[i]; family->model_type; family++)
            if (strlen(family->model_type) == length &&
                memcmp(family->model_type, model_type, length) == 0 &&
                is_of_class(family, classes, classes_length))
                return family;
    return NULL;
}

size_t hf_families_of(const char *architecture, size_t length, const struct hf_family **families,
                      size_t most) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct hf_family *family = tables[i]; family->model_type && n < most; family++)
            if (strlen(family->architecture) == length &&
                memcmp(family->architecture, architecture, length) == 0)
                families[n++] = family;
    return n;
}

/* What PretrainedConfig itself has, generation's defaults that older releases wrote there, dropout
 * and initialization, and notes of the programs that write configs. */
bool hf_families_no_effect(const char *key, size_t length) {
    static const char *const names[] = {"_attn_implementation",
                                        "_attn_implementation_autoset",
                                        "_commit_hash",
                                        "_flash_attn_2_enabled",
                                        "_name_or_path",
                                        "add_cross_attention",
                                        "architectures",
                                        "attention_dropout",
                                        "attn_implementation",
                                        "bad_words_ids",
                                        "begin_suppress_tokens",
                                        "bos_token_id",
                                        "cache_implementation",
                                        "chunk_size_feed_forward",
                                        "cross_attention_hidden_size",
                                        "decoder_start_token_id",
                                        "diversity_penalty",
                                        "do_sample",
                                        "dtype",
                                        "early_stopping",
                                        "encoder_no_repeat_ngram_size",
                                        "eos_token_id",
                                        "exponential_decay_length_penalty",
                                        "finetuning_task",
                                        "forced_bos_token_id",
                                        "forced_eos_token_id",
                                        "hidden_dropout",
                                        "id2label",
                                        "initializer_range",
                                        "is_decoder",
                                        "is_encoder_decoder",
                                        "is_llama_config",
                                        "label2id",
                                        "length_penalty",
                                        "max_length",
                                        "max_sequence_length",
                                        "min_length",
                                        "model_max_length",
                                        "model_type",
                                        "no_repeat_ngram_size",
                                        "num_beam_groups",
                                        "num_beams",
                                        "num_return_sequences",
                                        "output_attentions",
                                        "output_hidden_states",
                                        "output_scores",
                                        "pad_token_id",
                                        "prefix",
                                        "pretraining_tp",
                                        "problem_type",
                                        "remove_invalid_values",
                                        "repetition_penalty",
                                        "return_dict",
                                        "return_dict_in_generate",
                                        "sep_token_id",
                                        "suppress_tokens",
                                        "task_specific_params",
                                        "temperature",
                                        "tf_legacy_loss",
                                        "tie_encoder_decoder",
                                        "tokenizer_class",
                                        "top_k",
                                        "top_p",
                                        "torch_dtype",
                                        "torchscript",
                                        "transformers.js_config",
                                        "transformers_version",
                                        "typical_p",
                                        "unsloth_fixed",
                                        "unsloth_version",
                                        "use_bfloat16",
                                        "use_cache"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], key, length) == 0) return true;
    return false;
}
