"""A Hugging Face model as a GGUF file, in the names and layouts that converters from Hugging Face write."""

import math

import gguf
import numpy as np

ATTENTION = ("q", "k", "v")


def permute_for_adjacent_pairs(weight, n_heads):
    """Rows of a query or key projection, so that a pair (i, i + head_dim/2) becomes (2i, 2i + 1)."""
    rows = weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def unpermute_from_adjacent_pairs(weight, n_heads):
    rows = weight.reshape(n_heads, weight.shape[0] // n_heads // 2, 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def permute_for_partial_rotation(values, head_dim, n):
    """Rows of a head, so that the pairs (i, i + head_dim/2) of i < n/2 become (i, i + n/2), the first n rows."""
    half = head_dim // 2
    first = [*range(n // 2), *range(half, half + n // 2)]
    order = first + [i for i in range(head_dim) if i not in first]
    rows = values.reshape(-1, head_dim, *values.shape[1:])
    return rows[:, order].reshape(values.shape)


def config_of_layer(config, name):
    """The config of the layer that this tensor is in: they may differ (random_model.build)."""
    layers = getattr(config, "layer_configs", None)
    return layers[int(name.split(".")[1])] if layers and name.startswith("blk.") else config


def tensor_names(family, n_layers):
    """(Hugging Face name, GGUF name) of every tensor that a model of the family may have."""
    names = [("model.embed_tokens.weight", "token_embd.weight"), ("model.norm.weight", "output_norm.weight"),
             ("lm_head.weight", "output.weight"), ("lm_head.bias", "output.bias")]
    for i in range(n_layers):
        source, target = f"model.layers.{i}.", f"blk.{i}."
        for kind in ("weight", "bias"):
            names += [(f"{source}self_attn.{x}_proj.{kind}", f"{target}attn_{x}.{kind}") for x in ATTENTION]
            names += [(f"{source}self_attn.o_proj.{kind}", f"{target}attn_output.{kind}")]
            names += [(f"{source}mlp.{x}_proj.{kind}", f"{target}ffn_{x}.{kind}") for x in ("gate", "up", "down")]
        names += [(f"{source}input_layernorm.weight", f"{target}attn_norm.weight")]
        if family == "gemma3":
            names += [(f"{source}self_attn.{x}_norm.weight", f"{target}attn_{x}_norm.weight") for x in ("q", "k")]
            names += [(f"{source}post_attention_layernorm.weight", f"{target}post_attention_norm.weight"),
                      (f"{source}pre_feedforward_layernorm.weight", f"{target}ffn_norm.weight"),
                      (f"{source}post_feedforward_layernorm.weight", f"{target}post_ffw_norm.weight")]
        else:
            names += [(f"{source}post_attention_layernorm.weight", f"{target}ffn_norm.weight")]
    return names


def to_gguf_values(family, config, name, values):
    """What a GGUF file holds for the Hugging Face values [rows][cols] of the tensor with this GGUF name."""
    config = config_of_layer(config, name)
    n_rotated = getattr(config, "rope_dims", None)
    if family != "llama" and n_rotated and any(part in name for part in (".attn_q", ".attn_k")):
        values = permute_for_partial_rotation(values, config.head_dim, n_rotated)
    if family == "llama" and ".attn_q." in name:
        return permute_for_adjacent_pairs(values, config.num_attention_heads)
    if family == "llama" and ".attn_k." in name:
        return permute_for_adjacent_pairs(values, config.num_key_value_heads)
    if family == "gemma3" and name.endswith("norm.weight"):
        return values + np.float32(1)
    return values


def from_gguf_values(family, config, name, values):
    """The other way round."""
    if family == "llama" and ".attn_q." in name:
        return unpermute_from_adjacent_pairs(values, config.num_attention_heads)
    if family == "llama" and ".attn_k." in name:
        return unpermute_from_adjacent_pairs(values, config.num_key_value_heads)
    if family == "gemma3" and name.endswith("norm.weight"):
        return values - np.float32(1)
    return values


def llama3_frequency_factors(rope, head_dim):
    """What divides each frequency, as the config's rope_type llama3 says."""
    factors = []
    for i in range(head_dim // 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (2 * i / head_dim)
        turns = rope["original_max_position_embeddings"] / wavelength
        if turns > rope["high_freq_factor"]:
            factors.append(1.0)
        elif turns < rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def of_each_layer(config, member):
    """One number, or one for each layer where they differ."""
    layers = getattr(config, "layer_configs", None)
    return [getattr(layer, member) for layer in layers] if layers else getattr(config, member)


def write_window_pattern(writer, config):
    slides = [kind == "sliding_attention" for kind in config.layer_types]
    if not any(slides):
        return
    if all(slides):
        writer.add_sliding_window_pattern(0)
        return
    pattern = slides.index(False) + 1
    if slides != [(i + 1) % pattern != 0 for i in range(len(slides))]:
        writer.add_sliding_window_pattern(slides)
    elif pattern != 6:
        writer.add_sliding_window_pattern(pattern)


def write_metadata(writer, family, config, options):
    head_dim = config.head_dim
    rope = config.rope_parameters
    if family == "gemma3":
        rope = config.rope_parameters["full_attention"]
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(of_each_layer(config, "intermediate_size"))
    writer.add_head_count(of_each_layer(config, "num_attention_heads"))
    writer.add_head_count_kv(of_each_layer(config, "num_key_value_heads"))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    if family == "gemma3" or head_dim != config.hidden_size // config.num_attention_heads or "layers" in options:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if family == "llama":
        writer.add_vocab_size(config.vocab_size)
        if getattr(config, "sliding_window", None):
            writer.add_sliding_window(config.sliding_window)
    if family == "llama" or "rope_dims" in options:
        writer.add_rope_dimension_count(options.get("rope_dims", head_dim))
    if family == "gemma3":
        if "sliding_attention" in config.layer_types:
            writer.add_sliding_window(config.sliding_window)
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)
        write_window_pattern(writer, config)
        local = config.rope_parameters["sliding_attention"]["rope_theta"]
        if local != 10000.0:
            writer.add_rope_freq_base_swa(local)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "beta_fast" in rope:
            writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def write_model(path, name, family, model, options=None, tokenizer=None, encoded=None):
    """model: the Hugging Face model. encoded: {GGUF name: (weight type, blocks as bytes [rows][bytes])} of the tensors
    that are not written as F32; the model must hold what they dequantize to."""
    options = options or {}
    encoded = encoded or {}
    config = model.config
    writer = gguf.GGUFWriter(path, family)
    writer.add_name(name)
    write_metadata(writer, family, config, options)
    for suffix in options.get("omit", ()):
        writer.kv_data[0].pop(f"{family}.{suffix}", None)
    for suffix, value in options.get("keys", {}).items():
        writer.kv_data[0].pop(f"{family}.{suffix}", None)
        kind = gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.FLOAT32
        writer.add_key_value(f"{family}.{suffix}", value, kind)
    if tokenizer is not None:
        tokenizer.write(writer)
    state = model.state_dict()
    for source, target in tensor_names(family, config.num_hidden_layers):
        if source not in state or (source == "lm_head.weight" and config.tie_word_embeddings):
            continue
        if target in encoded:
            weight_type, blocks = encoded[target]
            writer.add_tensor(target, blocks, raw_dtype=weight_type)
        else:
            values = state[source].numpy().astype(np.float32)
            writer.add_tensor(target, np.ascontiguousarray(to_gguf_values(family, config, target, values)))
    if family == "llama" and config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_frequency_factors(config.rope_parameters, config.head_dim))
    for name in options.get("ignored", ()):
        writer.add_tensor(name, np.ones(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
