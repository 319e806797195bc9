"""Writes data/families: small random models of the families in families.py and their logits; and into data/quantized
those whose experts are quantized, with the logits of the dequantized weights.
Run: python3 make_families.py [NAME ...]"""

import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

import golden_file
import random_model
import make_quantized
from families import FAMILIES, ROPE, head_dim, joined

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
LENGTH = 80  # crosses a page of 64 positions, and every window

# name: what differs from the base of the family that it begins with; a family's own name is its base
MODELS = {
    "qwen3-mha-untied": dict(num_key_value_heads=6, tie_word_embeddings=False, attention_bias=True),
    "gemma-mha": dict(num_key_value_heads=6, head_dim=8, attention_bias=True),
    "gemma2-mqa": dict(num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=8, sliding_window=500,
                       attn_logit_softcapping=50.0, final_logit_softcapping=30.0),
    "olmo-clip": dict(num_key_value_heads=6, clip_qkv=0.8, tie_word_embeddings=True),
    "olmo2-tied": dict(tie_word_embeddings=True, num_key_value_heads=6, attention_bias=True),
    "granite-untied": dict(tie_word_embeddings=False, attention_bias=True, mlp_bias=True, residual_multiplier=1.0),
    "phi3-window": dict(sliding_window=16, num_key_value_heads=6, tie_word_embeddings=True, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
    "starcoder2-window": dict(sliding_window=16, use_bias=False, tie_word_embeddings=False),
    "gpt2-untied": dict(tie_word_embeddings=False, n_inner=40),
    "gptneox-sequential": dict(use_parallel_residual=False, attention_bias=False, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}),
    "phi2-gqa": dict(num_key_value_heads=2),
    "stablelm-parallel": dict(use_parallel_residual=True, use_qkv_bias=False, tie_word_embeddings=True),
    "falcon-new": dict(new_decoder_architecture=True, num_kv_heads=2, bias=True, tie_word_embeddings=False),
    "command-r-plus": dict(num_key_value_heads=2, use_qk_norm=True),
    "command-r-mha": dict(num_key_value_heads=6, attention_bias=True, logit_scale=1.0),
    "glm4-mha": dict(num_key_value_heads=6, attention_bias=False, tie_word_embeddings=True),
    "bloom-heads-2": dict(n_head=2, tie_word_embeddings=False),
    "mpt-clip": dict(n_heads=2, attn_config=dict(clip_qkv=0.9)),
    "deepseek_v2-lite": dict(q_lora_rank=None, attention_bias=True, mlp_bias=True, v_head_dim=20),
    "deepseek_v2-yarn": dict(kv_lora_rank=40, qk_rope_head_dim=16, rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32,
        "mscale": 0.707, "mscale_all_dim": 0.707}),
    "deepseek_v2-experts": dict(first_k_dense_replace=1, routed_scaling_factor=2.5,
                                topk_method="group_limited_greedy"),
    "deepseek_v2-greedy": dict(first_k_dense_replace=0, q_lora_rank=None, n_shared_experts=2, num_experts_per_tok=2,
                               tie_word_embeddings=True),
    "deepseek_v3-experts": dict(first_k_dense_replace=1, n_shared_experts=2, n_routed_experts=12),
    "deepseek_v3-unnormed": dict(first_k_dense_replace=1, norm_topk_prob=False, n_group=1, topk_group=1,
                                 routed_scaling_factor=1.5, attention_bias=True, q_lora_rank=None),
    "minicpm3-4b": dict(hidden_size=64, v_head_dim=None, scale_emb=12, scale_depth=1.4, dim_model_base=256,
                        tie_word_embeddings=True),
    "deepseek_v3-halves": dict(q_lora_rank=None, tie_word_embeddings=True, rope_interleave=False, **ROPE),
    "llama-moe-window": dict(sliding_window=14, num_key_value_heads=4, head_dim=16, tie_word_embeddings=True,
                             num_local_experts=3, num_experts_per_tok=3),
    "qwen2moe-dense-layers": dict(num_hidden_layers=4, mlp_only_layers=[3], decoder_sparse_step=2,
                                  norm_topk_prob=True, num_key_value_heads=4, tie_word_embeddings=True),
    "qwen3moe-sparse-step": dict(num_hidden_layers=3, decoder_sparse_step=2, norm_topk_prob=False,
                                 attention_bias=True, num_experts=40, num_experts_per_tok=6,
                                 tie_word_embeddings=True, moe_intermediate_size=8),
    "ernie4_5-moe-interval": dict(num_hidden_layers=4, moe_layer_interval=2, moe_layer_start_index=0, use_bias=True,
                                  moe_num_shared_experts=0, tie_word_embeddings=False, moe_num_experts=4, moe_k=3),
    "gpt-oss-default-rope": dict(num_hidden_layers=3, num_key_value_heads=4, head_dim=8, num_experts_per_tok=1,
                                 sliding_window=30, tie_word_embeddings=True, attention_bias=False,
                                 rope_parameters={"rope_type": "default", "rope_theta": 150000.0}),
    "olmoe-normalized": dict(norm_topk_prob=True, num_key_value_heads=4, attention_bias=True,
                             tie_word_embeddings=True),
    "granitemoe-alone": dict(shared_intermediate_size=0, attention_bias=True, residual_multiplier=1.0,
                             tie_word_embeddings=False, num_key_value_heads=4),
    "gemma4-experts": dict(
        num_hidden_layers=3, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        num_kv_shared_layers=0, hidden_size_per_layer_input=0, num_key_value_heads=2, num_global_key_value_heads=1,
        attention_k_eq_v=True, use_double_wide_mlp=False, enable_moe_block=True, num_experts=6, top_k_experts=2,
        moe_intermediate_size=12, final_logit_softcapping=None, tie_word_embeddings=False),
    "ernie4_5-bias": dict(use_bias=True, tie_word_embeddings=False, num_key_value_heads=6),
}

# Those that data/hf has too, as transformers saves them.
FOLDERS = ("llama-moe", "qwen2moe-dense-layers", "ernie4_5-moe", "gpt-oss", "granitemoe", "deepseek_v2-yarn",
           "deepseek_v3-experts")

# Those with quantized experts: the types of gate and up, and of down.
QUANTIZED = {
    "qwen3moe-q8_0": ("Q8_0", "Q8_0", dict(moe_intermediate_size=32)),
    "qwen3moe-q4_k": ("Q4_K", "Q5_0", dict(hidden_size=256, moe_intermediate_size=32, num_experts=4,
                                           num_attention_heads=1, num_key_value_heads=1, vocab_size=61,
                                           num_hidden_layers=1, tie_word_embeddings=True)),
    "gpt-oss-mxfp4": ("MXFP4", "MXFP4", dict(hidden_size=64, intermediate_size=32, num_local_experts=4)),
}

# Sizes under which attention is neither uniform nor one-hot and logits are a few units wide, so that what is wrong shows.
SHARP = ("attn_q.", "attn_q_b.", "attn_k.", "attn_kv_a_mqa.", "attn_k_b.", "attn_qkv.", "output.weight")


def is_f16(family, target):
    return any(part in target for part in family.get("f16", ()))


def fill(name, family, model, names):
    """Random values for every parameter, whatever its own initialisation."""
    random = random_model.generator(name)
    tied = model.config.tie_word_embeddings
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            target = names.get(key, key)
            values = random.standard_normal(parameter.shape)
            if "exp_probs_b" in target:
                values = 0.1 * values
            elif target.endswith("sinks.weight"):
                values = 1.0 + values
            elif target.endswith("norm.weight") or "norm" in target and parameter.ndim == 1 and "bias" not in target:
                center = family.get("norm_center", 1.0) + (0.6 if "_q_norm" in target or "_k_norm" in target else 0.0)
                values = center + 0.2 * values
            elif parameter.ndim == 1 or target.endswith("_exps.bias"):
                values = 0.3 * values
            elif target == "token_embd.weight":
                values *= 1.5 / parameter.shape[1] ** 0.5 if tied else 1.0
            elif target == "position_embd.weight":
                values *= 0.5 / parameter.shape[1] ** 0.5 if tied else 0.5
            else:
                kind = type(model.get_submodule(key.rpartition(".")[0])).__name__
                inputs = parameter.shape[-2 if kind in ("Conv1D", "GptOssExperts") else -1]
                values *= (1.5 if target.startswith("blk") and target.split(".", 2)[2].startswith(SHARP)
                           or target == "output.weight" else 1.0) / inputs ** 0.5
            if is_f16(family, target):
                values = values.astype(np.float16)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
        for key, buffer in model.named_buffers():
            if names.get(key, "").endswith("layer_output_scale.weight"):
                buffer.copy_(torch.from_numpy(1.0 + 0.2 * random.standard_normal(buffer.shape)))
            if "exp_probs_b" in names.get(key, ""):
                buffer.copy_(torch.from_numpy(0.1 * random.standard_normal(buffer.shape)))


def tensor_names(family, n_layers):
    """{Hugging Face name: GGUF name}"""
    pairs = list(family["top"])
    prefix, inner = family["layer"]
    for i in range(n_layers):
        pairs += [(f"{prefix}{i}.{source}", "|".join(f"blk.{i}.{part}" for part in target.split("|")))
                  for source, target in inner]
    names = {f"{source}.{kind}": f"{target}.{kind}" for source, target in pairs for kind in ("weight", "bias")}
    names.update({source: target for source, target in pairs if target.endswith((".weight", ".bias", ".scale"))})
    return names


def metadata(config, family):
    n_heads, n_layers = config.num_attention_heads, config.num_hidden_layers
    n_kv = getattr(config, "num_key_value_heads", None) or n_heads
    eps = getattr(config, "rms_norm_eps", None)
    keys = {"block_count": n_layers, "context_length": getattr(config, "max_position_embeddings", None),
            "embedding_length": config.hidden_size, "attention.head_count": n_heads, "attention.head_count_kv": n_kv}
    if hasattr(config, "intermediate_size"):
        keys["feed_forward_length"] = config.intermediate_size
    if eps is not None:
        keys["attention.layer_norm_rms_epsilon"] = float(eps)
    for member in ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon"):
        if eps is None and getattr(config, member, None) is not None:
            keys["attention.layer_norm_epsilon"] = float(getattr(config, member))
    rope = getattr(config, "rope_parameters", None)
    if rope and "rope_theta" in rope:
        keys["rope.freq_base"] = float(rope["rope_theta"])
        if rope.get("partial_rotary_factor", 1.0) != 1.0:
            keys["rope.dimension_count"] = int(head_dim(config) * rope["partial_rotary_factor"])
    if head_dim(config) != config.hidden_size // n_heads:
        keys["attention.key_length"] = keys["attention.value_length"] = head_dim(config)
    keys.update(family["keys"](config) if "keys" in family else {})
    return {suffix: value for suffix, value in keys.items() if value is not None}


def write_key(writer, name, value):
    if isinstance(value, bool):
        writer.add_bool(name, value)
    elif isinstance(value, float):
        writer.add_float32(name, value)
    elif isinstance(value, list):
        writer.add_array(name, value)
    elif isinstance(value, int):
        writer.add_uint32(name, value)
    else:
        writer.add_string(name, value)


def quantize(name, family, model, names):
    """The encoded experts of the file, {GGUF name: (type, blocks)}; the model has their values then."""
    encoded, random = {}, random_model.generator(name + " blocks")
    for key, parameter in model.named_parameters():
        targets = names.get(key, key).split("|")
        if not targets[0].endswith("_exps.weight"):
            continue
        values = family["values"](names[key], model.config, parameter.detach().numpy())
        plain = []
        for target, part in zip(targets, values if len(targets) > 1 else [values], strict=True):
            kind = gguf.GGMLQuantizationType[QUANTIZED[name][1 if "down" in target else 0]]
            rows = np.ascontiguousarray(part).reshape(-1, part.shape[-1])
            blocks = make_quantized.encode(kind, rows, random)
            encoded[target] = (kind, blocks.reshape(*part.shape[:-1], -1))
            plain.append(np.asarray(make_quantized.dequantize(blocks, kind), np.float32).reshape(part.shape))
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(family.get("joined", joined)(plain))))
    return encoded


def save_folder(name, model):
    folder = os.path.join(DATA, "hf", name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))


def hugging_face_blocks(blocks):
    """MXFP4 blocks of a GGUF file [..., n * 17] as transformers has them: nibbles by column, scales apart."""
    blocks = blocks.reshape(*blocks.shape[:-1], -1, 17)
    low, high = blocks[..., 1:] & 15, blocks[..., 1:] >> 4
    columns = np.concatenate([low, high], axis=-1)
    return columns[..., 0::2] | columns[..., 1::2] << 4, blocks[..., 0]


def save_mxfp4_folder(name, model, encoded):
    """gpt-oss as it is published: experts' weights [rows][inputs] as blocks, gate and up in turns."""
    folder = os.path.join(DATA, "hf_quantized", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tensors = {key: np.ascontiguousarray(tensor.numpy()) for key, tensor in model.state_dict().items()
               if not key.endswith(("gate_up_proj", "down_proj"))}
    for i in range(model.config.num_hidden_layers):
        gate, up, down = (encoded[f"blk.{i}.ffn_{x}_exps.weight"][1] for x in ("gate", "up", "down"))
        both = np.stack([gate, up], axis=2).reshape(gate.shape[0], -1, gate.shape[2])
        for x, blocks in (("gate_up", both), ("down", down)):
            stem = f"model.layers.{i}.mlp.experts.{x}_proj"
            codes, scales = hugging_face_blocks(blocks)
            tensors[stem + "_blocks"], tensors[stem + "_scales"] = map(np.ascontiguousarray, (codes, scales))
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    members = json.loads(model.config.to_json_string())
    members["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    with open(os.path.join(folder, "config.json"), "w") as to:
        json.dump(members, to, indent=1)
        to.write("\n")


def build(name):
    """The family, its architecture, the model with its values, and {Hugging Face name: GGUF name}"""
    base = max((f for f in FAMILIES if name == f or name.startswith(f + "-")), key=len)
    family = FAMILIES[base]
    config = getattr(transformers, family["model"] + "Config")(
        attn_implementation="eager", **{**family["base"], **MODELS.get(name, {}), **QUANTIZED.get(name, ("", "", {}))[2]})
    model = getattr(transformers, family.get("class_", family["model"] + "ForCausalLM"))(config).eval().float()
    names = tensor_names(family, config.num_hidden_layers)
    fill(name, family, model, names)
    family.get("prepare", lambda filled: None)(model)
    return family, family.get("architecture", base), model, names


def make(name):
    family, architecture, model, names = build(name)
    config = model.config
    encoded = quantize(name, family, model, names) if name in QUANTIZED else {}

    folder = os.path.join(DATA, "quantized" if encoded else "families")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name + ".gguf")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    for suffix, value in metadata(config, family).items():
        write_key(writer, f"{architecture}.{suffix}", value)
    state = model.state_dict()
    for key, tensor in state.items():
        if key not in names:
            if key in dict(model.named_parameters()):
                raise ValueError(f"{name}: {key} has no name in the file")
            continue
        if names[key] == "output.weight" and config.tie_word_embeddings:
            continue
        values = family["values"](names[key], config, tensor.numpy().astype(np.float32))
        targets = names[key].split("|")
        for target, part in zip(targets, values if len(targets) > 1 else [values], strict=True):
            if target in encoded:
                writer.add_tensor(target, encoded[target][1], raw_dtype=encoded[target][0])
            else:
                writer.add_tensor(target, np.ascontiguousarray(part.astype(np.float16) if is_f16(family, target) else part))
    for target, values in family.get("extra", lambda filled: {})(config).items():
        writer.add_tensor(target, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    if name in FOLDERS:
        save_folder(name, model)
    if name == "gpt-oss-mxfp4":
        save_mxfp4_folder(name, model, encoded)
    tokens = random_model.generator(name + " tokens").integers(0, config.vocab_size, LENGTH).tolist()
    rows = random_model.logits(model, tokens, list(range(LENGTH)))
    golden_file.write_logits(os.path.join(folder, name + ".logits"), [(tokens, list(range(LENGTH)), rows)])
    print(f"{name}: logits deviate by {rows.std():.2f}, highest {abs(rows).max():.2f}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    for model_name in sys.argv[1:] or [*FAMILIES, *MODELS, *QUANTIZED]:
        make(model_name)
