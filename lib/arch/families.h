/* The table of families, a line each: general.architecture, the function that reads it, and which
 * keys of enum family_switch it reads. It is included where FAMILY is defined. */
FAMILY("llama", llama_read, 0)
FAMILY("qwen2", qwen2_read, 0)
FAMILY("qwen3", qwen3_read, 0)
FAMILY("gemma", gemma_read, 0)
FAMILY("gemma2", gemma2_read, 0)
FAMILY("gemma3", gemma3_read, 0)
FAMILY("olmo2", olmo2_read, 0)
FAMILY("granite", granite_read, READS_LOGIT_SCALE | READS_RESIDUAL_SCALE | READS_EMBEDDING_SCALE)
FAMILY("phi3", phi3_read, 0)
FAMILY("starcoder2", starcoder2_read, 0)
FAMILY("gpt2", gpt2_read, 0)
FAMILY("gptneox", gptneox_read, 0)
