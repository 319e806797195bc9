"""Writes data/hf_quantized: one small llama as Hugging Face folders, its matrices quantized as AutoAWQ, GPTQModel,
compressed-tensors and DeepSeek keep them, the logits of the dequantized weights in f32, and in NAME.sums the CRC-32 of each
weight's values, f32 [rows][cols].

The dequantized values are each package's own where it can be had: pass the folder that has compressed_tensors (PyPI)
and awq/utils/packing_utils.py of AutoAWQ's source as PACKAGES. GPTQModel's formula, scale * (code - zero) of the
group that g_idx names, is written out here. All are computed with f32 scales: the packages would round each product
to the scales' type.

Run: python3 make_hf_quantized.py PACKAGES [NAME ...]"""

import importlib.util
import json
import os
import shutil
import sys
import zlib

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

import golden_file
import random_model

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = dict(vocab_size=67, num_hidden_layers=1, max_position_embeddings=128, rms_norm_eps=1e-5, hidden_size=64,
              intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
              tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
WIDE = dict(CONFIG, hidden_size=192, intermediate_size=160, num_key_value_heads=1, vocab_size=31)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def pack(codes, bits):
    """int32 words of the codes of the last dimension, the first in the lowest bits."""
    per_word = 32 // bits
    codes = codes.reshape(*codes.shape[:-1], -1, per_word).astype(np.uint64)
    words = (codes << (np.arange(per_word, dtype=np.uint64) * bits)).sum(-1).astype(np.uint32)
    return torch.from_numpy(words.view(np.int32).copy())


def quantize(weight, bits, group, symmetric):
    """codes [rows][cols], scales and zeros [rows][groups], all of them in use."""
    rows, cols = weight.shape
    parts = weight.reshape(rows, cols // group, group)
    most = 2 ** bits - 1
    low, high = parts.min(-1), parts.max(-1)
    if symmetric:
        high = np.maximum(-low, high)
        low = -high
    scales = ((high - low) / most).astype(np.float16).astype(np.float32)
    zeros = np.full_like(scales, (most + 1) // 2) if symmetric else np.clip(np.rint(-low / scales), 0, most)
    codes = np.clip(np.rint(parts / scales[..., None]) + zeros[..., None], 0, most)
    return codes.reshape(rows, cols).astype(np.int64), scales, zeros.astype(np.int64)


def awq(name, weight, options, packages):
    codes, scales, zeros = quantize(weight, 4, options["group"], False)
    shuffled = [np.ascontiguousarray(x.T).reshape(-1, x.shape[0] // 8, 8)[..., AWQ_ORDER].reshape(x.shape[1], -1)
                for x in (codes, zeros)]
    tensors = {"qweight": pack(shuffled[0], 4), "qzeros": pack(shuffled[1], 4),
               "scales": torch.from_numpy(np.ascontiguousarray(scales.T)).half()}
    spec = importlib.util.spec_from_file_location("packing", os.path.join(packages, "awq/utils/packing_utils.py"))
    packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packing)
    values = packing.dequantize_gemm(tensors["qweight"], tensors["qzeros"], tensors["scales"].float(), 4,
                                     options["group"])
    return tensors, values.T.contiguous()


def gptq(name, weight, options, packages):
    bits, group = options["bits"], options["group"]
    group = weight.shape[1] if group < 0 else group
    codes, scales, zeros = quantize(weight, bits, group, options["sym"])
    if not options["v2"]:
        zeros = np.maximum(zeros, 1)  # what the first format can say without a borrow
    order = np.arange(weight.shape[1]) // group
    if options["desc_act"]:
        order = random_model.generator(name).permutation(order)
    tensors = {"qweight": pack(np.ascontiguousarray(codes), bits).T.contiguous(),
               "qzeros": pack(np.ascontiguousarray(zeros.T) - (0 if options["v2"] else 1), bits),
               "scales": torch.from_numpy(np.ascontiguousarray(scales.T)).half(),
               "g_idx": torch.from_numpy(order.astype(np.int32))}
    if bits == 8:  # as early releases of AutoGPTQ did
        tensors["bias"] = torch.zeros(weight.shape[0], dtype=torch.float16)
    values = scales[:, order].astype(np.float32) * (codes - zeros[:, order]).astype(np.float32)
    return tensors, torch.from_numpy(values)


def compressed(name, weight, options, packages):
    sys.path.insert(0, packages)
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize as quantize_by
    from compressed_tensors.quantization.utils import calculate_qparams
    args = QuantizationArgs(**options["weights"])
    weight = torch.from_numpy(weight)
    rows, cols = weight.shape
    if args.strategy == "block":
        height, width = args.block_structure
        padded = torch.zeros((-rows % height + rows, -cols % width + cols))
        padded[:rows, :cols] = weight
        parts = padded.reshape(padded.shape[0] // height, height, padded.shape[1] // width, width).transpose(1, 2)
        low, high = parts.amin((2, 3)), parts.amax((2, 3))
    elif args.strategy == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    else:
        parts = weight.reshape(rows, -1, args.group_size or cols)
        low, high = parts.amin(-1), parts.amax(-1)
    scale, zero = calculate_qparams(low, high, args)
    scale = scale.to(options["scales"]).float()
    if args.strategy == "block":
        height, width = args.block_structure
        each = scale.repeat_interleave(height, 0)[:rows].repeat_interleave(width, 1)[:, :cols]
        codes = (weight / each).clamp(-448, 448).to(torch.float8_e4m3fn)
        tensors = {"weight": codes, "weight_scale": scale.to(options["scales"])}
        return tensors, codes.float() * each
    codes = quantize_by(weight, scale, zero, args, dtype=args.pytorch_dtype())
    values = dequantize(codes, scale, zero, args, dtype=torch.float32)
    tensors = {"weight_scale": scale.to(options["scales"])}
    if options["format"] == "pack-quantized":
        from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
        tensors["weight_packed"] = pack_to_int32(codes, args.num_bits)
        tensors["weight_shape"] = torch.tensor(weight.shape)
        if not args.symmetric:
            tensors["weight_zero_point"] = pack_to_int32(zero.to(torch.int8), args.num_bits, packed_dim=0)
    else:
        tensors["weight"] = codes
    return tensors, values


def deepseek(name, weight, options, packages):
    """arXiv:2412.19437, section 3.3.2: a scale of each block of 128 x 128; weight = code * weight_scale_inv."""
    size = 128
    rows, cols = weight.shape
    scales = np.array([[np.abs(weight[i:i + size, j:j + size]).max() / 448 for j in range(0, cols, size)]
                       for i in range(0, rows, size)], dtype=np.float32)
    if options.get("powers"):  # as DeepSeek-V3.1 has them
        scales = np.exp2(np.ceil(np.log2(scales)))
    each = torch.from_numpy(scales.repeat(size, 0)[:rows].repeat(size, 1)[:, :cols].copy())
    codes = (torch.from_numpy(weight) / each).to(torch.float8_e4m3fn)
    tensors = {"weight": codes, "weight_scale_inv": torch.from_numpy(scales),
               "input_scale": torch.tensor(1.0)}
    return tensors, codes.float() * each


def mxfp4(name, shape, random):
    """OCP Microscaling 1.0 as gpt-oss has it: [experts][outputs][inputs / 32][16] bytes, the lower column in the low nibble."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    experts, inputs, outputs = shape
    blocks = torch.from_numpy(random.integers(0, 256, (experts, outputs, inputs // 32, 16), dtype=np.uint8))
    scales = torch.from_numpy(random.integers(122, 126, (experts, outputs, inputs // 32), dtype=np.uint8))
    return {"blocks": blocks, "scales": scales}, convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)


def gptq_config(options):
    config = {"quant_method": "gptq", "bits": options["bits"], "group_size": options["group"],
              "desc_act": options["desc_act"], "sym": options["sym"], "lm_head": False, "damp_percent": 0.1,
              "true_sequential": True}
    if options["v2"]:
        config["checkpoint_format"] = "gptq_v2"
    return config


def compressed_config(options):
    return {"quant_method": "compressed-tensors", "format": options["format"], "quantization_status": "compressed",
            "kv_cache_scheme": None, "ignore": ["lm_head"], "global_compression_ratio": 1.5,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": options["weights"],
                                          "input_activations": None, "output_activations": None}}}


def arguments(bits, kind, strategy, group=None, symmetric=True, block=None):
    return {"num_bits": bits, "type": kind, "symmetric": symmetric, "strategy": strategy, "group_size": group,
            "block_structure": block, "dynamic": False, "observer": "minmax", "actorder": None}


def awq_config(options):
    return {"quant_method": "awq", "bits": 4, "group_size": options["group"], "zero_point": True, "version": "gemm",
            "modules_to_not_convert": None}


def gptq_options(bits, group, sym=True, desc_act=False, v2=False):
    return dict(bits=bits, group=group, sym=sym, desc_act=desc_act, v2=v2)


def fp8_config(options):
    return {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


GPT_OSS = dict(vocab_size=53, num_hidden_layers=1, max_position_embeddings=128, hidden_size=64, intermediate_size=32,
               num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_local_experts=3, num_experts_per_tok=2,
               sliding_window=16, rope_parameters={"rope_type": "default", "rope_theta": 15000.0})

# name: config of the model, maker, its config, options; what is left out of quantization
MODELS = {
    "awq": (CONFIG, awq, awq_config, dict(group=32), ()),
    "gptq": (CONFIG, gptq, gptq_config, gptq_options(4, 32), ()),
    "gptq-asymmetric": (CONFIG, gptq, gptq_config, gptq_options(4, -1, sym=False), ("v_proj",)),
    "gptq-order": (CONFIG, gptq, gptq_config, gptq_options(4, 16, sym=False, desc_act=True, v2=True), ()),
    "gptq-8": (CONFIG, gptq, gptq_config, gptq_options(8, 64), ("down_proj",)),
    "gptq-2": (CONFIG, gptq, gptq_config, gptq_options(2, 32, sym=False, v2=True), ()),
    "fp8-blocks": (WIDE, deepseek, fp8_config, {}, ("o_proj",)),
    "fp8-powers": (CONFIG, deepseek, fp8_config, dict(powers=True), ()),
    "compressed-fp8-tensor": (CONFIG, compressed, compressed_config, dict(
        format="float-quantized", scales=torch.bfloat16, weights=arguments(8, "float", "tensor")), ()),
    "compressed-fp8-channel": (CONFIG, compressed, compressed_config, dict(
        format="float-quantized", scales=torch.float32, weights=arguments(8, "float", "channel")), ()),
    "compressed-fp8-block": (CONFIG, compressed, compressed_config, dict(
        format="float-quantized", scales=torch.float32, weights=arguments(8, "float", "block", block=[32, 64])), ()),
    "compressed-int8": (CONFIG, compressed, compressed_config, dict(
        format="int-quantized", scales=torch.bfloat16, weights=arguments(8, "int", "channel")), ()),
    "compressed-int4": (CONFIG, compressed, compressed_config, dict(
        format="pack-quantized", scales=torch.bfloat16, weights=arguments(4, "int", "group", 32)), ()),
    "compressed-int4-asymmetric": (CONFIG, compressed, compressed_config, dict(
        format="pack-quantized", scales=torch.float16, weights=arguments(4, "int", "group", 32, False)), ()),
}


def gguf_name(stem):
    """The name that the library knows model.layers.0.X by."""
    names = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
             "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
    _, _, layer, _, own = stem.split(".")
    return f"blk.{layer}.{names[own]}.weight"


def write(name, config, quantization, tensors, sums, model, random):
    sequences = []
    with torch.no_grad():
        for length in (1, 2, 21):
            tokens = random.integers(0, config.vocab_size, length)
            logits = model(torch.from_numpy(tokens)[None]).logits[0].numpy()
            positions = sorted({0, length // 2, length - 1})
            sequences.append((tokens, positions, logits[positions]))
    folder = os.path.join(HERE, "data", "hf_quantized", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    members = json.loads(config.to_json_string())
    members["quantization_config"] = quantization
    with open(os.path.join(folder, "config.json"), "w") as to:
        json.dump(members, to, indent=1)
        to.write("\n")
    if sums:
        with open(folder + ".sums", "w") as to:
            to.writelines(sums)
    golden_file.write_logits(folder + ".logits", sequences)


def make_gpt_oss(name):
    """Only the experts' matrices are quantized; the others are f32."""
    random = random_model.generator(name)
    config = transformers.GptOssConfig(**GPT_OSS)
    config._attn_implementation = "eager"
    model = transformers.GptOssForCausalLM(config).eval().float()
    tensors = {}
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            shape = tuple(parameter.shape)
            if key.endswith(("gate_up_proj", "down_proj")):
                own, values = mxfp4(name, shape, random)
                tensors.update({f"{key}_{part}": tensor.contiguous() for part, tensor in own.items()})
                parameter.copy_(values)
                continue
            if key.endswith("norm.weight"):
                values = 1 + 0.2 * random.standard_normal(shape)
            elif len(shape) == 1 or key.endswith("_bias"):
                values = 0.3 * random.standard_normal(shape)
            else:
                values = random.standard_normal(shape) * (1.0 if "embed" in key else 1.5 / shape[-1] ** 0.5)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
            tensors[key] = torch.from_numpy(values.astype(np.float32))
    write(name, config, {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]},
          tensors, [], model, random)


def make(name, packages):
    if name == "mxfp4":
        make_gpt_oss(name)
        return
    base, maker, quantization, options, left_out = MODELS[name]
    random = random_model.generator(name)
    config = transformers.LlamaConfig(**base)
    model = transformers.LlamaForCausalLM(config).eval().float()
    tensors, sums = {}, []
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            shape = tuple(parameter.shape)
            if len(shape) == 1:
                values = 1 + 0.2 * random.standard_normal(shape)
            else:
                values = random.standard_normal(shape) * random_model.weight_deviation(key, shape, False)
            values = values.astype(np.float32)
            stem = key.removesuffix(".weight")
            if "_proj" in key and not stem.endswith(left_out or ("none",)):
                own, dequantized = maker(name, values, options, packages)
                tensors.update({f"{stem}.{part}": tensor.contiguous() for part, tensor in own.items()})
                parameter.copy_(dequantized)
                rows = dequantized.float().numpy()
                if "q_proj" in key or "k_proj" in key:  # a GGUF file's order: the pairs that are rotated are adjacent
                    rows = rows.reshape(-1, 2, config.head_dim // 2, rows.shape[1]).swapaxes(1, 2)
                sums.append(f"{gguf_name(stem)} {zlib.crc32(np.ascontiguousarray(rows).tobytes()):08x}\n")
            else:
                parameter.copy_(torch.from_numpy(values))
                tensors[key] = torch.from_numpy(values)
    write(name, config, quantization(options), tensors, sums, model, random)


if __name__ == "__main__":
    for model_name in sys.argv[2:] or [*MODELS, "mxfp4"]:
        make(model_name, sys.argv[1])
