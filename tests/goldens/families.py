"""Families of decoders: their small configs, and what converters from Hugging Face make of their tensors and keys.

A family has
  model    the class of transformers, without Config and ForCausalLM
  base     the config of its golden models
  top      (Hugging Face name, GGUF name) outside the layers, without .weight and .bias
  layer    the prefix of a layer, and pairs of names in it
  keys     what it adds to the common metadata: {suffix: value}
  values   what a GGUF file holds for a tensor of the model (GGUF name, config, values); a list where the name is
           several with "|" between them
  extra    {GGUF name: values} of tensors that the model has not, of its config
  joined   the other way round, for the weights of experts
  prepare  what is done to the filled model before its logits are computed
  f16      parts of GGUF names whose tensors are F16
  architecture  general.architecture, where it isn't the name in the table"""

import numpy as np

from gguf_model import permute_for_adjacent_pairs

SIZES = dict(hidden_size=48, intermediate_size=56, num_hidden_layers=2, num_attention_heads=6,
             max_position_embeddings=512)
SMALL = dict(hidden_size=32, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=512)
ROPE = dict(rope_parameters={"rope_type": "default", "rope_theta": 10000.0})

TOP = [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")]
ATTENTION = [(f"self_attn.{x}_proj", f"attn_{x}") for x in "qkv"] + [("self_attn.o_proj", "attn_output")]
FFN = [(f"mlp.{x}_proj", f"ffn_{x}") for x in ("gate", "up", "down")]
PRE_NORMS = [("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")]
QK_NORMS = [("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm")]


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def as_they_are(name, config, values):
    return values


def plus_one(name, config, values):
    return values + np.float32(1) if "norm" in name else values


def adjacent_pairs(name, config, values):
    """Rotation in halves (i, i + head_dim/2), which the file wants as pairs (2i, 2i + 1)."""
    if ".attn_q." in name:
        return permute_for_adjacent_pairs(values, config.num_attention_heads)
    if ".attn_k." in name:
        return permute_for_adjacent_pairs(values, config.num_key_value_heads)
    return values


def transposed(name, config, values):
    """Linear layers that the model holds as [inputs][outputs]."""
    return values.T if values.ndim == 2 and name.startswith("blk.") else values


def apart(name, config, values, n_groups, n_q):
    """q, k and v of each of n_groups groups of n_q query heads, to all of q, all of k, all of v."""
    if "attn_qkv" not in name:
        return values
    rows = values.reshape(n_groups, n_q + 2, head_dim(config), *values.shape[1:])
    return np.concatenate([rows[:, part].reshape(-1, *values.shape[1:])
                           for part in (slice(n_q), slice(n_q, n_q + 1), slice(n_q + 1, n_q + 2))])


def apart_by_head(name, config, values):
    return apart(name, config, values, config.num_attention_heads, 1)


LATENT_ATTENTION = [(f"self_attn.{source}", f"attn_{target}") for source, target in [
    ("q_proj", "q"), ("q_a_proj", "q_a"), ("q_a_layernorm", "q_a_norm"), ("q_b_proj", "q_b"),
    ("kv_a_proj_with_mqa", "kv_a_mqa"), ("kv_a_layernorm", "kv_a_norm"), ("o_proj", "output")]] + [
        ("self_attn.kv_b_proj.weight", "attn_k_b.weight|attn_v_b.weight")]
WHOLE_LATENT_ATTENTION = LATENT_ATTENTION[:-1] + [("self_attn.kv_b_proj", "attn_kv_b")]
DENSE_LATENT_SIZES = dict(SIZES, hidden_size=32, intermediate_size=40, num_attention_heads=4, num_key_value_heads=4,
                          kv_lora_rank=24, q_lora_rank=28, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12)
LATENT_SIZES = dict(DENSE_LATENT_SIZES, first_k_dense_replace=2,
                    n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=12, n_shared_experts=1,
                    n_group=4, topk_group=2)
SHARED_EXPERTS = [(f"mlp.shared_experts.{x}_proj", f"ffn_{x}_shexp") for x in ("gate", "up", "down")] + [
    ("mlp.gate.e_score_correction_bias", "exp_probs_b.bias")]


def split_heads(name, config, values):
    """What keys and what values of each head are made by, the first transposed: for attention in absorbed form."""
    if "attn_k_b" not in name:
        return halves(name, config, values)
    heads = values.reshape(config.num_attention_heads, -1, config.kv_lora_rank)
    keys, of_values = np.split(heads, [config.qk_nope_head_dim], axis=1)
    return [keys.transpose(0, 2, 1), of_values]


def latent_keys(config):
    rope = config.rope_parameters
    keys = {"vocab_size": config.vocab_size, "attention.head_count_kv": 1,
            "attention.kv_lora_rank": config.kv_lora_rank,
            "attention.key_length": config.kv_lora_rank + config.qk_rope_head_dim,
            "attention.value_length": config.kv_lora_rank,
            "attention.key_length_mla": config.qk_nope_head_dim + config.qk_rope_head_dim,
            "attention.value_length_mla": config.v_head_dim,
            "rope.dimension_count": config.qk_rope_head_dim,
            "leading_dense_block_count": config.first_k_dense_replace, "expert_count": config.n_routed_experts,
            "expert_used_count": config.num_experts_per_tok,
            "expert_feed_forward_length": config.moe_intermediate_size, "expert_shared_count": config.n_shared_experts,
            "expert_weights_scale": float(config.routed_scaling_factor)}
    if hasattr(config, "rope_interleave"):  # V3
        keys.update({"expert_gating_func": 2, "expert_weights_norm": config.norm_topk_prob})
    if getattr(config, "topk_method", None) != "greedy":
        keys.update({"expert_group_count": config.n_group, "expert_group_used_count": config.topk_group})
    if not getattr(config, "rope_interleave", True):
        keys["rope.pairing"] = "halves"
    if config.q_lora_rank:
        keys["attention.q_lora_rank"] = config.q_lora_rank
    if rope["rope_type"] == "yarn":
        keys.update({"rope.scaling.type": "yarn", "rope.scaling.factor": float(rope["factor"]),
                     "rope.scaling.original_context_length": rope["original_max_position_embeddings"]})
        if rope.get("mscale_all_dim"):
            keys["rope.scaling.yarn_log_multiplier"] = 0.1 * rope["mscale_all_dim"]
    return keys


# A layer's experts, as transformers holds them: gate and up in one.
EXPERTS = [("mlp.gate", "ffn_gate_inp"), ("mlp.experts.gate_up_proj", "ffn_gate_exps.weight|ffn_up_exps.weight"),
           ("mlp.experts.down_proj", "ffn_down_exps.weight")]


def halves(name, config, values):
    """Gate and up one after the other, of one expert or of each."""
    return np.split(values, 2, axis=-2) if "|" in name else values


def mixtral_values(name, config, values):
    return halves(name, config, adjacent_pairs(name, config, values))


def ernie_values(name, config, values):
    return values.reshape(-1) if "exp_probs_b" in name else halves(name, config, values)


def gpt_oss_values(name, config, values):
    """Experts' weights as [inputs][outputs], gate and up in turns."""
    if name.endswith(".weight") and "_exps" in name:
        values = values.swapaxes(-1, -2)
    if "|" not in name:
        return values
    axis = (slice(None),) * (values.ndim - 2) if name.endswith(".weight") else (slice(None),) * (values.ndim - 1)
    return [values[axis + (slice(start, None, 2),)] for start in (0, 1)]


def joined(parts):
    """What halves had."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)


def gpt_oss_joined(parts):
    values = parts[0] if len(parts) == 1 else np.stack(parts, axis=-2).reshape(parts[0].shape[0], -1,
                                                                               parts[0].shape[-1])
    return values.swapaxes(-1, -2)


def expert_keys(config):
    keys = {"expert_count": config.num_experts if hasattr(config, "num_experts") else config.num_local_experts,
            "expert_used_count": config.num_experts_per_tok}
    if getattr(config, "moe_intermediate_size", None):
        keys["expert_feed_forward_length"] = config.moe_intermediate_size
    if getattr(config, "norm_topk_prob", None) is not None:
        keys["expert_weights_norm"] = config.norm_topk_prob
    return keys


def mixtral_keys(config):
    return {**expert_keys(config), "attention.sliding_window": config.sliding_window or 0}


def ernie_keys(config):
    return {**expert_keys(config), "leading_dense_block_count": config.moe_layer_start_index,
            "interleave_moe_layer_step": config.moe_layer_interval}


def gpt_oss_keys(config):
    rope, keys = config.rope_parameters, expert_keys(config)
    keys.update({"expert_feed_forward_length": config.intermediate_size,
                 "attention.sliding_window": config.sliding_window})
    if rope["rope_type"] == "yarn":
        keys.update({"rope.scaling.type": "yarn", "rope.scaling.factor": rope["factor"],
                     "rope.scaling.original_context_length": rope["original_max_position_embeddings"],
                     "rope.scaling.yarn_beta_fast": rope["beta_fast"],
                     "rope.scaling.yarn_beta_slow": rope["beta_slow"]})
    return keys


def granite_keys(config):
    return {"attention.scale": config.attention_multiplier, "embedding_scale": config.embedding_multiplier,
            "residual_scale": config.residual_multiplier, "logit_scale": config.logits_scaling,
            "rope.dimension_count": head_dim(config), "vocab_size": config.vocab_size}


def whole_latent_keys(config):
    """As files from before 2025 have it: what keys and values are made by in one tensor."""
    keys = latent_keys(config)
    keys.update({"attention.head_count_kv": config.num_attention_heads,
                 "attention.key_length": keys.pop("attention.key_length_mla"),
                 "attention.value_length": keys.pop("attention.value_length_mla")})
    return keys


NARROW = 8  # dims of a value of qwen3-values


def narrow_values(name, config, values):
    """The first dims of every head's value, and what takes them; of the others nothing is taken (drop_values)."""
    if ".attn_v." in name:
        return values.reshape(config.num_key_value_heads, head_dim(config), -1)[:, :NARROW].reshape(-1, values.shape[-1])
    if ".attn_output." in name:
        return values.reshape(len(values), -1, head_dim(config))[..., :NARROW].reshape(len(values), -1)
    return values


def drop_values(model):
    for layer in model.model.layers:
        weight = layer.self_attn.o_proj.weight.data
        weight.view(len(weight), -1, head_dim(model.config))[..., NARROW:] = 0


def minicpm3_keys(config):
    keys = {"vocab_size": config.vocab_size, "attention.kv_lora_rank": config.kv_lora_rank,
            "attention.key_length": config.qk_nope_head_dim + config.qk_rope_head_dim,
            "attention.value_length": None, "attention.q_lora_rank": config.q_lora_rank,
            "rope.dimension_count": config.qk_rope_head_dim}
    if config.dim_model_base != 256:  # what llama.cpp's converter leaves out
        keys.update({"attention.value_length": config.v_head_dim, "embedding_scale": float(config.scale_emb),
                     "residual_scale": config.scale_depth / config.num_hidden_layers ** 0.5,
                     "logit_scale": config.hidden_size / config.dim_model_base})
    return keys


def gemma4_keys(config):
    slides = [kind == "sliding_attention" for kind in config.layer_types]
    of_layer = [config.per_layer_config[i] for i in range(config.num_hidden_layers)]
    first_shared = config.num_hidden_layers - config.num_kv_shared_layers
    ropes = config.rope_parameters
    keys = {"attention.key_length": of_layer[-1].head_dim, "attention.value_length": of_layer[-1].head_dim,
            "attention.key_length_swa": config.head_dim, "attention.value_length_swa": config.head_dim,
            "attention.head_count_kv": [layer.num_key_value_heads for layer in of_layer],
            "attention.shared_kv_layers": config.num_kv_shared_layers, "attention.sliding_window": config.sliding_window,
            "attention.sliding_window_pattern": slides, "rope.dimension_count": of_layer[-1].head_dim,
            "rope.dimension_count_swa": config.head_dim, "rope.freq_base": ropes["full_attention"]["rope_theta"],
            "rope.freq_base_swa": ropes["sliding_attention"]["rope_theta"],
            "embedding_length_per_layer_input": config.hidden_size_per_layer_input}
    if config.final_logit_softcapping:
        keys["final_logit_softcapping"] = config.final_logit_softcapping
    if config.use_double_wide_mlp:
        keys["feed_forward_length"] = [config.intermediate_size * (1 + (i >= first_shared))
                                       for i in range(config.num_hidden_layers)]
    if config.enable_moe_block:
        keys.update({"expert_count": config.num_experts, "expert_used_count": config.top_k_experts,
                     "expert_feed_forward_length": config.moe_intermediate_size})
    return keys


def gemma4_extra(config):
    """What the frequencies of global layers are divided by: of those that aren't turned by a large number."""
    dim = config.per_layer_config[config.num_hidden_layers - 1].head_dim
    turned = int(dim * config.rope_parameters["full_attention"]["partial_rotary_factor"] / 2)
    return {"rope_freqs.weight": np.array([1.0] * turned + [1e30] * (dim // 2 - turned), np.float32)}


FAMILIES = {
    "gemma4": dict(
        model="Gemma4Text", class_="Gemma4ForCausalLM", base=dict(
            SIZES, hidden_size=32, intermediate_size=40, vocab_size=183, num_hidden_layers=8, num_attention_heads=4,
            num_key_value_heads=1, head_dim=8, global_head_dim=16, hidden_size_per_layer_input=8,
            vocab_size_per_layer_input=183, num_kv_shared_layers=4, use_double_wide_mlp=True, sliding_window=12,
            final_logit_softcapping=6.0, layer_types=["sliding_attention", "full_attention"] * 4, rope_parameters={
                "full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
        top=TOP + [("model.embed_tokens_per_layer", "per_layer_token_embd"),
                   ("model.per_layer_model_projection", "per_layer_model_proj"),
                   ("model.per_layer_projection_norm", "per_layer_proj_norm")],
        layer=("model.layers.", ATTENTION + FFN + QK_NORMS + [
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"), ("post_feedforward_layernorm", "post_ffw_norm"),
            ("per_layer_input_gate", "inp_gate"), ("per_layer_projection", "proj"),
            ("post_per_layer_input_norm", "post_norm"), ("layer_scalar", "layer_output_scale.weight"),
            ("router.proj", "ffn_gate_inp"), ("router.scale", "ffn_gate_inp.scale"),
            ("router.per_expert_scale", "ffn_down_exps.scale"),
            ("experts.gate_up_proj", "ffn_gate_up_exps.weight"), ("experts.down_proj", "ffn_down_exps.weight"),
            ("pre_feedforward_layernorm_2", "pre_ffw_norm_2"), ("post_feedforward_layernorm_1", "post_ffw_norm_1"),
            ("post_feedforward_layernorm_2", "post_ffw_norm_2")]),
        keys=gemma4_keys, extra=gemma4_extra, values=as_they_are,
        prepare=lambda model: setattr(model.config, "allow_global_per_layer_attribute_access", True)),
    "minicpm3": dict(
        model="MiniCPM3", base=dict(
            DENSE_LATENT_SIZES, **ROPE, vocab_size=179, rms_norm_eps=1e-5, scale_emb=3, scale_depth=0.9, dim_model_base=20,
            tie_word_embeddings=False, pad_token_id=0),
        top=TOP, layer=("model.layers.", WHOLE_LATENT_ATTENTION + FFN + PRE_NORMS),
        keys=minicpm3_keys, values=as_they_are),
    "deepseek_v2-whole": dict(
        model="DeepseekV2", architecture="deepseek2",
        base=dict(LATENT_SIZES, **ROPE, vocab_size=177, rms_norm_eps=1e-6, q_lora_rank=None, qk_nope_head_dim=12),
        top=TOP, layer=("model.layers.", WHOLE_LATENT_ATTENTION + FFN + PRE_NORMS),
        keys=whole_latent_keys, values=as_they_are, f16=("attn_kv_b",)),
    "deepseek_v2": dict(
        model="DeepseekV2", architecture="deepseek2",
        base=dict(LATENT_SIZES, **ROPE, vocab_size=173, rms_norm_eps=1e-6),
        top=TOP, layer=("model.layers.", LATENT_ATTENTION + FFN + PRE_NORMS + EXPERTS + SHARED_EXPERTS),
        keys=latent_keys, values=split_heads),
    "deepseek_v3": dict(
        model="DeepseekV3", architecture="deepseek2",
        base=dict(LATENT_SIZES, vocab_size=175, rms_norm_eps=1e-6, rope_interleave=True, rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64,
            "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}),
        top=TOP, layer=("model.layers.", LATENT_ATTENTION + FFN + PRE_NORMS + EXPERTS + SHARED_EXPERTS),
        keys=latent_keys, values=split_heads),
    "qwen3": dict(
        model="Qwen3", base=dict(SIZES, **ROPE, vocab_size=127, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6,
                                 tie_word_embeddings=True),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS + QK_NORMS), values=as_they_are),
    "qwen3-values": dict(
        model="Qwen3", architecture="qwen3",
        base=dict(SIZES, **ROPE, vocab_size=181, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6,
                  tie_word_embeddings=True),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS + QK_NORMS), values=narrow_values,
        keys=lambda c: {"attention.value_length": NARROW}, prepare=drop_values),
    "gemma": dict(
        model="Gemma", base=dict(SIZES, **ROPE, vocab_size=129, num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6,
                                 hidden_activation="gelu_pytorch_tanh", hidden_act="gelu_pytorch_tanh"),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS), values=plus_one, norm_center=0.0),
    "gemma2": dict(
        model="Gemma2", base=dict(SIZES, **ROPE, vocab_size=131, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6,
                                  num_hidden_layers=3, query_pre_attn_scalar=16, sliding_window=12,
                                  attn_logit_softcapping=4.0, final_logit_softcapping=6.0),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + [
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"), ("post_feedforward_layernorm", "post_ffw_norm")]),
        keys=lambda c: {"attn_logit_softcapping": c.attn_logit_softcapping,
                        "final_logit_softcapping": c.final_logit_softcapping,
                        "attention.sliding_window": c.sliding_window},
        values=plus_one, norm_center=0.0),
    "olmo": dict(
        model="Olmo", base=dict(SIZES, **ROPE, vocab_size=169, num_key_value_heads=2, clip_qkv=None, eos_token_id=1),
        top=TOP, layer=("model.layers.", ATTENTION + FFN),
        keys=lambda c: {"attention.layer_norm_epsilon": 1e-5, **({"attention.clamp_kqv": c.clip_qkv} if c.clip_qkv
                                                                 else {})},
        values=adjacent_pairs),
    "olmo2": dict(
        model="Olmo2", base=dict(SIZES, **ROPE, vocab_size=133, num_key_value_heads=2, rms_norm_eps=1e-5),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + QK_NORMS + [
            ("post_attention_layernorm", "post_attention_norm"), ("post_feedforward_layernorm", "post_ffw_norm")]),
        values=as_they_are),
    "granite": dict(
        model="Granite", base=dict(SIZES, **ROPE, vocab_size=135, num_key_value_heads=2, rms_norm_eps=1e-5,
                                   tie_word_embeddings=True, embedding_multiplier=6.0, residual_multiplier=0.3,
                                   attention_multiplier=0.25, logits_scaling=2.5),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS),
        keys=granite_keys,
        values=adjacent_pairs),
    "phi3": dict(
        model="Phi3", base=dict(SIZES, **ROPE, vocab_size=137, num_key_value_heads=2, rms_norm_eps=1e-5,
                                pad_token_id=0, bos_token_id=1, eos_token_id=2, sliding_window=None),
        top=TOP, layer=("model.layers.", PRE_NORMS + [
            ("self_attn.qkv_proj", "attn_qkv"), ("self_attn.o_proj", "attn_output"), ("mlp.gate_up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down")]),
        keys=lambda c: {"attention.sliding_window": c.sliding_window or 0,
                        "rope.dimension_count": int(head_dim(c) * c.rope_parameters.get("partial_rotary_factor", 1))},
        values=as_they_are),
    "starcoder2": dict(
        model="Starcoder2", base=dict(SIZES, **ROPE, vocab_size=139, num_key_value_heads=2, use_bias=True,
                                      bos_token_id=1, eos_token_id=2),
        top=TOP, layer=("model.layers.", ATTENTION + PRE_NORMS + [("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")]),
        keys=lambda c: {"attention.sliding_window": c.sliding_window} if c.sliding_window else {},
        values=as_they_are),
    "gpt2": dict(
        model="GPT2", class_="GPT2LMHeadModel",
        base=dict(vocab_size=141, n_positions=256, n_embd=48, n_layer=2, n_head=6, bos_token_id=1, eos_token_id=2),
        top=[("transformer.wte", "token_embd"), ("transformer.wpe", "position_embd"),
             ("transformer.ln_f", "output_norm"), ("lm_head", "output")],
        layer=("transformer.h.", [("ln_1", "attn_norm"), ("attn.c_attn", "attn_qkv"), ("attn.c_proj", "attn_output"),
                                  ("ln_2", "ffn_norm"), ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")]),
        keys=lambda c: {"feed_forward_length": c.n_inner or 4 * c.n_embd}, values=transposed),
    "gptneox": dict(
        model="GPTNeoX", base=dict(SIZES, vocab_size=143, num_hidden_layers=2, rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
        top=[("gpt_neox.embed_in", "token_embd"), ("gpt_neox.final_layer_norm", "output_norm"),
             ("lm_head", "output")],
        layer=("gpt_neox.layers.", PRE_NORMS + [
            ("attention.query_key_value", "attn_qkv"), ("attention.dense", "attn_output"),
            ("mlp.dense_h_to_4h", "ffn_up"), ("mlp.dense_4h_to_h", "ffn_down")]),
        keys=lambda c: {"use_parallel_residual": c.use_parallel_residual}, values=apart_by_head),
    "phi2": dict(
        model="Phi", base=dict(SIZES, vocab_size=145, rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
        top=[("model.embed_tokens", "token_embd"), ("model.final_layernorm", "output_norm"), ("lm_head", "output")],
        layer=("model.layers.", ATTENTION[:3] + [
            ("self_attn.dense", "attn_output"), ("input_layernorm", "attn_norm"), ("mlp.fc1", "ffn_up"),
            ("mlp.fc2", "ffn_down")]),
        values=as_they_are),
    "stablelm": dict(
        model="StableLm", base=dict(SIZES, vocab_size=147, num_key_value_heads=2, use_qkv_bias=True, rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}, head_dim=8),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS),
        keys=lambda c: {"use_parallel_residual": c.use_parallel_residual}, values=as_they_are),
    "falcon": dict(
        model="Falcon", base=dict(vocab_size=149, hidden_size=48, num_hidden_layers=2, num_attention_heads=6,
                                  max_position_embeddings=512, multi_query=True, new_decoder_architecture=False,
                                  parallel_attn=True, bias=False, **ROPE),
        top=[("transformer.word_embeddings", "token_embd"), ("transformer.ln_f", "output_norm"),
             ("lm_head", "output")],
        layer=("transformer.h.", [
            ("input_layernorm", "attn_norm"), ("ln_mlp", "attn_norm"), ("ln_attn", "attn_norm_2"),
            ("self_attention.query_key_value", "attn_qkv"), ("self_attention.dense", "attn_output"),
            ("mlp.dense_h_to_4h", "ffn_up"), ("mlp.dense_4h_to_h", "ffn_down")]),
        keys=lambda c: {"feed_forward_length": 4 * c.hidden_size,
                        "attention.head_count_kv": c.num_kv_heads if c.new_decoder_architecture else 1},
        values=lambda name, c, values: apart(
            name, c, values, c.num_kv_heads if c.new_decoder_architecture else 1,
            c.num_attention_heads // (c.num_kv_heads if c.new_decoder_architecture else 1))),
    "command-r": dict(
        model="Cohere", base=dict(SIZES, **ROPE, vocab_size=151, num_key_value_heads=2, logit_scale=0.4),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS[:1] + QK_NORMS),
        keys=lambda c: {"logit_scale": c.logit_scale}, values=as_they_are),
    "cohere2": dict(
        model="Cohere2", base=dict(SIZES, **ROPE, vocab_size=153, num_key_value_heads=2, num_hidden_layers=5,
                                   head_dim=8, logit_scale=0.4, sliding_window=20),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS[:1]),
        keys=lambda c: {"logit_scale": c.logit_scale, "attention.sliding_window": c.sliding_window},
        values=as_they_are),
    "glm4": dict(
        model="Glm4", base=dict(SIZES, vocab_size=155, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-5,
                                attention_bias=True, rope_parameters={
                                    "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
                                pad_token_id=0, eos_token_id=1),
        top=TOP, layer=("model.layers.", ATTENTION + [
            ("input_layernorm", "attn_norm"), ("post_self_attn_layernorm", "post_attention_norm"),
            ("post_attention_layernorm", "ffn_norm"), ("post_mlp_layernorm", "post_ffw_norm"),
            ("mlp.gate_up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")]),
        values=as_they_are),
    "gptj": dict(
        model="GPTJ", base=dict(vocab_size=157, n_positions=512, n_embd=48, n_layer=2, n_head=3, rotary_dim=8,
                                bos_token_id=1, eos_token_id=2),
        top=[("transformer.wte", "token_embd"), ("transformer.ln_f", "output_norm"), ("lm_head", "output")],
        layer=("transformer.h.", [("ln_1", "attn_norm"), ("attn.q_proj", "attn_q"), ("attn.k_proj", "attn_k"),
                                  ("attn.v_proj", "attn_v"), ("attn.out_proj", "attn_output"),
                                  ("mlp.fc_in", "ffn_up"), ("mlp.fc_out", "ffn_down")]),
        keys=lambda c: {"feed_forward_length": c.n_inner or 4 * c.n_embd, "rope.dimension_count": c.rotary_dim},
        values=as_they_are),
    "bloom": dict(
        model="Bloom", base=dict(vocab_size=159, hidden_size=48, n_layer=2, n_head=6),
        top=[("transformer.word_embeddings", "token_embd"),
             ("transformer.word_embeddings_layernorm", "token_embd_norm"), ("transformer.ln_f", "output_norm"),
             ("lm_head", "output")],
        layer=("transformer.h.", PRE_NORMS + [
            ("self_attention.query_key_value", "attn_qkv"), ("self_attention.dense", "attn_output"),
            ("mlp.dense_h_to_4h", "ffn_up"), ("mlp.dense_4h_to_h", "ffn_down")]),
        keys=lambda c: {"context_length": 512, "feed_forward_length": 4 * c.hidden_size}, values=apart_by_head),
    "mpt": dict(
        model="Mpt", base=dict(vocab_size=161, d_model=48, n_layers=2, n_heads=6, max_seq_len=512),
        top=[("transformer.wte", "token_embd"), ("transformer.norm_f", "output_norm"), ("lm_head", "output")],
        layer=("transformer.blocks.", [
            ("norm_1", "attn_norm"), ("attn.Wqkv", "attn_qkv"), ("attn.out_proj", "attn_output"),
            ("norm_2", "ffn_norm"), ("ffn.up_proj", "ffn_up"), ("ffn.down_proj", "ffn_down")]),
        keys=lambda c: {"context_length": c.max_seq_len, "feed_forward_length": c.expansion_ratio * c.d_model,
                        "attention.max_alibi_bias": float(c.attn_config.alibi_bias_max),
                        **({"attention.clamp_kqv": float(c.attn_config.clip_qkv)} if c.attn_config.clip_qkv else {})},
        values=as_they_are),
    "smollm3": dict(
        model="SmolLM3", base=dict(SIZES, **ROPE, vocab_size=163, num_key_value_heads=1, num_hidden_layers=5,
                                   hidden_size=24, intermediate_size=40, num_attention_heads=3, head_dim=8,
                                   tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                                   no_rope_layer_interval=4, use_sliding_window=False),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS),
        keys=lambda c: {"rope.dimension_count": head_dim(c), "vocab_size": c.vocab_size}, values=adjacent_pairs),
    "starcoder": dict(
        model="GPTBigCode", base=dict(vocab_size=165, n_positions=256, n_embd=48, n_layer=2, n_head=6,
                                      multi_query=True, bos_token_id=1, eos_token_id=2),
        top=[("transformer.wte", "token_embd"), ("transformer.wpe", "position_embd"),
             ("transformer.ln_f", "output_norm"), ("lm_head", "output")],
        layer=("transformer.h.", [("ln_1", "attn_norm"), ("attn.c_attn", "attn_qkv"), ("attn.c_proj", "attn_output"),
                                  ("ln_2", "ffn_norm"), ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")]),
        keys=lambda c: {"feed_forward_length": c.n_inner or 4 * c.n_embd, "attention.head_count_kv": 1},
        values=as_they_are),
    "ernie4_5": dict(
        model="Ernie4_5", base=dict(SIZES, **ROPE, vocab_size=167, num_key_value_heads=2, head_dim=16,
                                    tie_word_embeddings=True, use_bias=False),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS), values=as_they_are),
    "seed_oss": dict(
        model="SeedOss", base=dict(SIZES, **ROPE, vocab_size=171, num_key_value_heads=2, head_dim=16,
                                   attention_bias=True, attention_out_bias=False, mlp_bias=False),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + [
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")]),
        values=as_they_are),
    "llama-moe": dict(
        model="Mixtral", architecture="llama",
        base=dict(SMALL, **ROPE, vocab_size=93, num_key_value_heads=2, num_local_experts=5, num_experts_per_tok=2),
        top=TOP, layer=("model.layers.", ATTENTION + EXPERTS + PRE_NORMS), keys=mixtral_keys, values=mixtral_values),
    "qwen2moe": dict(
        model="Qwen2Moe", base=dict(SMALL, **ROPE, vocab_size=95, num_key_value_heads=2, moe_intermediate_size=24,
                                    shared_expert_intermediate_size=40, num_experts=7, num_experts_per_tok=3),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + EXPERTS + PRE_NORMS + [
            ("mlp.shared_expert_gate", "ffn_gate_inp_shexp")] + [
            (f"mlp.shared_expert.{x}_proj", f"ffn_{x}_shexp") for x in ("gate", "up", "down")]),
        keys=expert_keys, values=halves),
    "qwen3moe": dict(
        model="Qwen3Moe", base=dict(SMALL, **ROPE, vocab_size=97, num_key_value_heads=2, head_dim=16,
                                    moe_intermediate_size=24, num_experts=8, num_experts_per_tok=2,
                                    norm_topk_prob=True),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + EXPERTS + PRE_NORMS + QK_NORMS), keys=expert_keys,
        values=halves),
    "ernie4_5-moe": dict(
        model="Ernie4_5_Moe", base=dict(SMALL, **ROPE, vocab_size=99, num_key_value_heads=2, num_hidden_layers=3,
                                        moe_intermediate_size=20, moe_num_experts=6, moe_k=2,
                                        moe_num_shared_experts=2, moe_layer_start_index=1),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + EXPERTS + PRE_NORMS + [
            ("mlp.gate.moe_statics.e_score_correction_bias", "exp_probs_b.bias")] + [
            (f"mlp.shared_experts.{x}_proj", f"ffn_{x}_shexp") for x in ("gate", "up", "down")]),
        keys=ernie_keys, values=ernie_values),
    "gpt-oss": dict(
        model="GptOss", base=dict(SMALL, vocab_size=101, num_key_value_heads=2, head_dim=16, num_local_experts=5,
                                  num_experts_per_tok=3, sliding_window=12, rope_parameters={
                                      "rope_type": "yarn", "rope_theta": 15000.0, "factor": 8.0, "beta_fast": 32.0,
                                      "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 64}),
        top=TOP, layer=("model.layers.", ATTENTION + [
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm"),
            ("self_attn.sinks", "attn_sinks.weight"), ("mlp.router", "ffn_gate_inp"),
            ("mlp.experts.gate_up_proj", "ffn_gate_exps.weight|ffn_up_exps.weight"),
            ("mlp.experts.gate_up_proj_bias", "ffn_gate_exps.bias|ffn_up_exps.bias"),
            ("mlp.experts.down_proj", "ffn_down_exps.weight"),
            ("mlp.experts.down_proj_bias", "ffn_down_exps.bias")]),
        keys=gpt_oss_keys, values=gpt_oss_values, joined=gpt_oss_joined),
    "nemotron": dict(
        model="Nemotron", base=dict(SIZES, vocab_size=185, num_key_value_heads=2, norm_eps=1e-5, rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
        top=TOP, layer=("model.layers.", ATTENTION + FFN[1:] + PRE_NORMS),
        keys=lambda c: {"attention.layer_norm_epsilon": c.norm_eps},
        values=lambda name, c, values: plus_one(name, c, values) if name.endswith(".weight") else values,
        norm_center=0.0),
    "arcee": dict(
        model="Arcee", base=dict(SIZES, **ROPE, vocab_size=187, num_key_value_heads=2, rms_norm_eps=1e-5, mlp_bias=True),
        top=TOP, layer=("model.layers.", ATTENTION + FFN[1:] + PRE_NORMS), values=adjacent_pairs),
    "exaone": dict(  # what it computes is a llama's
        model="Llama", base=dict(SIZES, **ROPE, vocab_size=189, num_key_value_heads=2, rms_norm_eps=1e-5),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS), values=as_they_are),
    "exaone4": dict(
        model="Exaone4", base=dict(SIZES, **ROPE, vocab_size=191, num_key_value_heads=2, rms_norm_eps=1e-5,
                                   num_hidden_layers=4, sliding_window=20, layer_types=["sliding_attention"] * 3 + [
                                       "full_attention"]),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + QK_NORMS + [
            ("post_attention_layernorm", "post_attention_norm"), ("post_feedforward_layernorm", "post_ffw_norm")]),
        keys=lambda c: {"attention.sliding_window": c.sliding_window, "attention.sliding_window_pattern": [
            kind == "sliding_attention" for kind in c.layer_types]}, values=as_they_are),
    "hunyuan-dense": dict(
        model="HunYuanDenseV1", base=dict(SIZES, **ROPE, vocab_size=193, num_key_value_heads=2, rms_norm_eps=1e-5,
                                          head_dim=16, tie_word_embeddings=True),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS + [
            ("self_attn.query_layernorm", "attn_q_norm"), ("self_attn.key_layernorm", "attn_k_norm")]),
        values=as_they_are),
    "internlm2": dict(  # likewise
        model="Llama", base=dict(SIZES, **ROPE, vocab_size=195, num_key_value_heads=2, rms_norm_eps=1e-5),
        top=TOP, layer=("model.layers.", ATTENTION + FFN + PRE_NORMS), values=adjacent_pairs),
    "olmoe": dict(
        model="Olmoe", base=dict(SMALL, **ROPE, vocab_size=103, num_key_value_heads=2, num_experts=6,
                                 num_experts_per_tok=3, eos_token_id=2),
        top=TOP, layer=("model.layers.", ATTENTION + EXPERTS + PRE_NORMS + QK_NORMS), keys=expert_keys,
        values=halves),
    "granitemoe": dict(
        model="GraniteMoeShared", base=dict(
            SMALL, **ROPE, vocab_size=105, num_key_value_heads=2, num_local_experts=6, num_experts_per_tok=2,
            shared_intermediate_size=32, tie_word_embeddings=True, embedding_multiplier=6.0,
            residual_multiplier=0.3, attention_multiplier=0.25, logits_scaling=2.5),
        top=TOP, layer=("model.layers.", ATTENTION + PRE_NORMS + [
            ("block_sparse_moe.router", "ffn_gate_inp"),
            ("block_sparse_moe.experts.gate_up_proj", "ffn_gate_exps.weight|ffn_up_exps.weight"),
            ("block_sparse_moe.experts.down_proj", "ffn_down_exps.weight"),
            ("shared_mlp.input_linear.weight", "ffn_gate_shexp.weight|ffn_up_shexp.weight"),
            ("shared_mlp.output_linear", "ffn_down_shexp")]),
        keys=lambda c: {**granite_keys(c), **expert_keys(c)}, values=mixtral_values),
}
