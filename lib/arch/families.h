/* The table of families, a line each: general.architecture, the function that reads it, and which
 * keys of enum family_switch it reads. It is included where FAMILY is defined. */
FAMILY("llama", llama_read, READS_WINDOW)
FAMILY("qwen2", qwen2_read, 0) /* slides only from a layer on that files don't name */
FAMILY("qwen3", qwen3_read, 0)
FAMILY("gemma", gemma_read, 0)
FAMILY("gemma2", gemma2_read, READS_WINDOW | READS_SOFTCAPS)
FAMILY("gemma3", gemma3_read, READS_WINDOW | READS_SOFTCAPS)
FAMILY("olmo", olmo_read, READS_CLAMP)
FAMILY("olmo2", olmo2_read, 0)
FAMILY("granite", granite_read, READS_LOGIT_SCALE | READS_RESIDUAL_SCALE | READS_EMBEDDING_SCALE)
FAMILY("phi3", phi3_read, READS_WINDOW)
FAMILY("starcoder2", starcoder2_read, READS_WINDOW)
FAMILY("gpt2", gpt2_read, 0)
FAMILY("gptneox", gptneox_read, 0)
FAMILY("phi2", phi2_read, 0)
FAMILY("stablelm", stablelm_read, 0)
FAMILY("falcon", falcon_read, 0)
FAMILY("command-r", command_r_read, READS_LOGIT_SCALE)
FAMILY("cohere2", cohere2_read, READS_LOGIT_SCALE | READS_WINDOW)
FAMILY("glm4", glm4_read, 0)
FAMILY("bloom", bloom_read, 0)
FAMILY("mpt", mpt_read, READS_ALIBI | READS_CLAMP)
FAMILY("gptj", gptj_read, 0)
FAMILY("smollm3", smollm3_read, 0)
FAMILY("starcoder", gpt2_read, 0) /* with one KV head */
FAMILY("ernie4_5", llama_read, 0)
FAMILY("seed_oss", seed_oss_read, 0)
FAMILY("bert", bert_read, READS_CAUSAL)
FAMILY("t5", t5_read, READS_LOGIT_SCALE) /* T5 1.1, Flan and UMT5 too */
FAMILY("bart", bart_read, READS_EMBEDDING_SCALE) /* these four: names of our own */
FAMILY("mbart", bart_read, READS_EMBEDDING_SCALE)
FAMILY("marian", bart_read, READS_EMBEDDING_SCALE)
FAMILY("m2m_100", bart_read, READS_EMBEDDING_SCALE)
