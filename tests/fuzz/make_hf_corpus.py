"""Writes corpus/hf: the files of small Hugging Face folders, for fuzz_hf. Run: python3 make_hf_corpus.py"""

import json
import math
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "hf")
BASE = dict(model_type="llama", hidden_size=2, num_hidden_layers=1, num_attention_heads=1, intermediate_size=2, vocab_size=2)
GEMMA = dict(BASE, model_type="gemma3_text", head_dim=2, num_key_value_heads=1)
LAYER = {"self_attn.q_proj": 2, "self_attn.k_proj": 2, "self_attn.v_proj": 2, "self_attn.o_proj": 2, "mlp.gate_proj": 2,
         "mlp.up_proj": 2, "mlp.down_proj": 2, "input_layernorm": 1, "post_attention_layernorm": 1}
GEMMA_LAYER = {**LAYER, "self_attn.q_norm": 1, "self_attn.k_norm": 1, "pre_feedforward_layernorm": 1,
               "post_feedforward_layernorm": 1}


MIXTRAL = dict(BASE, model_type="mixtral", num_local_experts=2, num_experts_per_tok=1)
GPT_OSS = dict(MIXTRAL, model_type="gpt_oss", head_dim=2, num_key_value_heads=1, attention_bias=False)
MIXTRAL_LAYER = {**{name: n for name, n in LAYER.items() if "mlp" not in name}, "block_sparse_moe.gate": 2,
                 **{f"block_sparse_moe.experts.{e}.w{i}": 2 for e in range(2) for i in (1, 2, 3)}}
ATTENTION_LAYER = {name: n for name, n in LAYER.items() if "mlp" not in name}


def gpt_oss_shapes(**more):
    layer = "model.layers.0."
    return {**shapes(ATTENTION_LAYER), layer + "self_attn.sinks": [1], layer + "mlp.router.weight": [2, 2],
            layer + "mlp.router.bias": [2], layer + "mlp.experts.gate_up_proj": [2, 2, 4],
            layer + "mlp.experts.gate_up_proj_bias": [2, 4], layer + "mlp.experts.down_proj": [2, 2, 2],
            layer + "mlp.experts.down_proj_bias": [2, 2], **{layer + "mlp.experts." + k: v for k, v in more.items()}}


def shapes(layer, tied=False):
    names = {"model.embed_tokens.weight": [2, 2], "model.norm.weight": [2]}
    if not tied:
        names["lm_head.weight"] = [2, 2]
    names.update({f"model.layers.0.{name}.weight": [2] * n for name, n in layer.items()})
    return names


def safetensors(names, dtype="F32", element=4):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in names.items():
        size = element * math.prod(shape)
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def write(name, config, **files):
    files = {"config.json": json.dumps(config).encode(), **{key.replace("__", "."): value for key, value in files.items()}}
    with open(os.path.join(FOLDER, name), "wb") as to:
        for file, content in files.items():
            to.write(f"{file}\n{len(content)}\n".encode() + content)


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    llama = shapes(LAYER)
    write("ok_llama", BASE, model__safetensors=safetensors(llama))
    write("ok_llama_f64", BASE, model__safetensors=safetensors(llama, "F64", 8))
    write("ok_llama3", dict(BASE, rope_scaling=dict(rope_type="llama3", factor=8, low_freq_factor=1, high_freq_factor=4,
                                                    original_max_position_embeddings=64)),
          model__safetensors=safetensors(llama))
    write("ok_yarn", dict(BASE, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4, mscale=1, mscale_all_dim=2)),
          model__safetensors=safetensors(llama))
    write("ok_gemma3", GEMMA, model__safetensors=safetensors(shapes(GEMMA_LAYER, True), "BF16", 2))
    first = dict(list(llama.items())[:4])
    rest = dict(list(llama.items())[4:])
    weight_map = {**{name: "a.safetensors" for name in first}, **{name: "b.safetensors" for name in rest}}
    index = json.dumps(dict(metadata={}, weight_map=weight_map)).encode()
    write("ok_parts", BASE, model__safetensors__index__json=index, a__safetensors=safetensors(first),
          b__safetensors=safetensors(rest))
    write("dtype", BASE, model__safetensors=safetensors(llama, "F8_E4M3", 1))
    write("header_cut", BASE, model__safetensors=safetensors(llama)[:100])
    write("header_long", BASE, model__safetensors=struct.pack("<Q", 1 << 40) + b"{}")
    write("index_elsewhere", BASE, model__safetensors__index__json=b'{"weight_map":{"a":"../b.safetensors"}}')
    write("layers_many", dict(BASE, num_hidden_layers=1 << 62), model__safetensors=safetensors(llama))
    write("nested", BASE, model__safetensors=struct.pack("<Q", 80) + b'{"a":' + b"[" * 75)
    write("pickle", BASE, pytorch_model__bin=b"PK")
    mixtral = shapes(MIXTRAL_LAYER)
    write("ok_experts", MIXTRAL, model__safetensors=safetensors(mixtral))
    write("ok_experts_fused", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(), "BF16", 2))
    write("experts_missing", dict(MIXTRAL, num_local_experts=3), model__safetensors=safetensors(mixtral))
    write("experts_fewer", dict(MIXTRAL, num_local_experts=1), model__safetensors=safetensors(mixtral))
    write("experts_many", dict(MIXTRAL, num_local_experts=1 << 30), model__safetensors=safetensors(mixtral))
    write("experts_unlike", MIXTRAL, model__safetensors=safetensors(
        {**mixtral, "model.layers.0.block_sparse_moe.experts.1.w1.weight": [4, 2]}))
    write("experts_dims", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(gate_up_proj=[2, 2, 3]), "BF16", 2))
    write("experts_flat", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(gate_up_proj=[4]), "BF16", 2))
    write("experts_none", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(down_proj=[0, 2, 2]), "BF16", 2))
