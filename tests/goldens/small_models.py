"""The small models: what differs from their family's base. make_small.py makes them."""

import math

BASE = {
    "llama": dict(vocab_size=259, hidden_size=48, intermediate_size=88, num_hidden_layers=2, num_attention_heads=6,
                  num_key_value_heads=2, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=False,
                  rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
    "qwen2": dict(vocab_size=261, hidden_size=48, intermediate_size=88, num_hidden_layers=2, num_attention_heads=6,
                  num_key_value_heads=2, max_position_embeddings=2048, rms_norm_eps=1e-6, tie_word_embeddings=True,
                  rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
    "gemma3": dict(vocab_size=263, hidden_size=32, intermediate_size=56, num_hidden_layers=7, num_attention_heads=4,
                   num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, max_position_embeddings=2048,
                   rms_norm_eps=1e-6, sliding_window=24, tie_word_embeddings=True,
                   rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
                                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
}

# name: (what differs from the family's base, options of the file, lengths of the sequences)
MODELS = {
    "llama-gqa": (dict(vocab_size=380), {}, (1, 40, 1100)),
    "llama-mha-tied": (dict(hidden_size=96, intermediate_size=176, num_hidden_layers=1, num_attention_heads=6,
                            num_key_value_heads=6, tie_word_embeddings=True), {}, (40,)),
    "llama-mqa-biases": (dict(num_attention_heads=3, num_key_value_heads=1, attention_bias=True, mlp_bias=True,
                              rms_norm_eps=0.02), {}, (40,)),
    "llama-head-dim": (dict(num_attention_heads=4, head_dim=24), {}, (40,)),
    "llama-tiny-heads": (dict(vocab_size=99, hidden_size=20, intermediate_size=37, num_attention_heads=5,
                              num_key_value_heads=1), {}, (40,)),
    "llama-rope-llama3": (dict(rope_parameters={
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}, num_attention_heads=4, head_dim=16), {}, (200,)),
    "llama-rope-linear": (dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}), {}, (90,)),
    "llama-rope-yarn": (dict(rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 1024,
        "beta_fast": 8.0, "beta_slow": 0.5}, num_attention_heads=4, head_dim=16), {}, (200,)),
    "llama-rope-partial": (dict(num_attention_heads=4, head_dim=16), {"rope_dims": 8}, (40,)),
    "llama-rope-yarn-keys": (dict(rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 2048,
        "attention_factor": 1.3 * (0.1 * math.log(4.0) + 1)}, num_attention_heads=4, head_dim=16), {
            "omit": ["rope.scaling.original_context_length"],
            "keys": {"rope.scaling.attn_factor": 0.5, "rope.scaling.yarn_attn_factor": 1.3,
                     "rope.scaling.yarn_ext_factor": 1.0}}, (90,)),
    "llama-layers-differ": (dict(head_dim=8), {"layers": [
        {}, dict(num_attention_heads=4, num_key_value_heads=4, intermediate_size=40)]}, (90,)),
    "llama-few-keys": (dict(num_key_value_heads=6, rope_parameters={
        "rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}), {
            "omit": ["rope.freq_base", "rope.dimension_count", "attention.head_count_kv", "vocab_size",
                     "rope.scaling.type", "rope.scaling.factor"],
            "keys": {"rope.scale_linear": 2.0, "attention.scale": 0.5},
            "attention_scale": 0.5, "head_bias": True, "ignored": ["blk.1.attn_rot_embd"]}, (40,)),
    "llama-window": (dict(sliding_window=20), {"class": "mistral"}, (90,)),
    "qwen2-gqa-tied": (dict(), {}, (40,)),
    "qwen2-mha": (dict(num_attention_heads=6, num_key_value_heads=6, head_dim=16, tie_word_embeddings=False), {}, (40,)),
    "qwen2-odd-head": (dict(vocab_size=131, hidden_size=36, intermediate_size=41, num_attention_heads=3,
                            num_key_value_heads=3, head_dim=12), {}, (90,)),
    "qwen2-rope-yarn": (dict(rope_parameters={
        "rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 64},
        head_dim=32, num_attention_heads=2, num_key_value_heads=1), {}, (200,)),
    "qwen2-rope-partial": (dict(num_attention_heads=3, num_key_value_heads=1, head_dim=16), {
        "rope_dims": 8, "keys": {"rope.scaling.type": "none", "rope.scaling.factor": 4.0}}, (90,)),
    "gemma3-mqa": (dict(vocab_size=420), {}, (1, 40, 700)),
    "gemma3-rope-linear": (dict(num_key_value_heads=2, rms_norm_eps=0.01, rope_parameters={
        "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}), {}, (90,)),
    "gemma3-mha-untied": (dict(num_key_value_heads=4, tie_word_embeddings=False, sliding_window=9,
                               sliding_window_pattern=3, final_logit_softcapping=5.0,
                               rope_parameters={
                                   "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
                                   "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}), {}, (40,)),
    "gemma3-no-window": (dict(num_hidden_layers=2, layer_types=["full_attention"] * 2, num_key_value_heads=4,
                              attention_bias=True, rope_parameters={
        "full_attention": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                           "original_max_position_embeddings": 512,
                           "attention_factor": 1.2 * (0.1 * math.log(4.0) + 1)},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}), {
            "omit": ["attention.head_count_kv", "rope.freq_base"], "keys": {"rope.scaling.attn_factor": 1.2}}, (90,)),
    "gemma3-window-array": (dict(num_hidden_layers=4, sliding_window=9, layer_types=[
        "sliding_attention", "full_attention", "full_attention", "sliding_attention"]), {
            "attention_scale": 0.4, "attention_softcap": 2.0,
            "keys": {"attention.scale": 0.4, "attn_logit_softcapping": 2.0}}, (90,)),
    "gemma3-head-256": (dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                             head_dim=256, query_pre_attn_scalar=256, layer_types=["sliding_attention"] * 2), {
        "f16": True, "rope_dims": 128, "omit": ["attention.key_length", "attention.value_length"]}, (90,)),
    "gemma3-62-layers": (dict(hidden_size=16, intermediate_size=16, num_hidden_layers=62, num_attention_heads=2,
                              query_pre_attn_scalar=8), {"f16": True, "post_norm": -0.93}, (40,)),
}
