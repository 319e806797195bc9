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
DEEPSEEK = dict(BASE, model_type="deepseek_v3", kv_lora_rank=2, q_lora_rank=None, qk_nope_head_dim=1, qk_rope_head_dim=2,
                v_head_dim=2, num_nextn_predict_layers=1, first_k_dense_replace=1)
ATTENTION_LAYER = {name: n for name, n in LAYER.items() if "mlp" not in name}


def gpt_oss_shapes(**more):
    layer = "model.layers.0."
    return {**shapes(ATTENTION_LAYER), layer + "self_attn.sinks": [1], layer + "mlp.router.weight": [2, 2],
            layer + "mlp.router.bias": [2], layer + "mlp.experts.gate_up_proj": [2, 2, 4],
            layer + "mlp.experts.gate_up_proj_bias": [2, 4], layer + "mlp.experts.down_proj": [2, 2, 2],
            layer + "mlp.experts.down_proj_bias": [2, 2], **{layer + "mlp.experts." + k: v for k, v in more.items()}}


def deepseek_shapes(**more):
    layer, attention = "model.layers.0.", "model.layers.0.self_attn."
    names = {name: shape for name, shape in shapes(LAYER).items() if "self_attn" not in name}
    return {**names, attention + "q_proj.weight": [3, 2], attention + "kv_a_proj_with_mqa.weight": [4, 2],
            attention + "kv_a_layernorm.weight": [2], attention + "kv_b_proj.weight": [3, 2],
            attention + "o_proj.weight": [2, 2], **{layer + k: v for k, v in more.items()}}


def shapes(layer, tied=False):
    names = {"model.embed_tokens.weight": [2, 2], "model.norm.weight": [2]}
    if not tied:
        names["lm_head.weight"] = [2, 2]
    names.update({f"model.layers.0.{name}.weight": [2] * n for name, n in layer.items()})
    return names


GEMMA4 = dict(BASE, model_type="gemma4_text", num_hidden_layers=3, head_dim=2, num_key_value_heads=1,
              layer_types=["full_attention", "sliding_attention", "full_attention"], attention_k_eq_v=True,
              num_kv_shared_layers=1, use_double_wide_mlp=True, hidden_size_per_layer_input=2,
              per_layer_config={"0": {"head_dim": 4}, "2": {"head_dim": 4}}, rope_parameters={
                  "full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.5},
                  "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})


def gemma4_shapes():
    names = {"model.embed_tokens.weight": [2, 2], "model.norm.weight": [2], "model.embed_tokens_per_layer.weight": [2, 6],
             "model.per_layer_model_projection.weight": [6, 2], "model.per_layer_projection_norm.weight": [2]}
    for i, (dim, wide) in enumerate(((4, 2), (2, 2), (4, 4))):
        layer = f"model.layers.{i}."
        names.update({f"{layer}{name}.weight": [2] for name in (
            "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
            "post_per_layer_input_norm")})
        names.update({layer + "layer_scalar": [1], layer + "self_attn.q_proj.weight": [dim, 2],
                      layer + "self_attn.o_proj.weight": [2, dim], layer + "self_attn.q_norm.weight": [dim],
                      layer + "mlp.gate_proj.weight": [wide, 2], layer + "mlp.up_proj.weight": [wide, 2],
                      layer + "mlp.down_proj.weight": [2, wide], layer + "per_layer_input_gate.weight": [2, 2],
                      layer + "per_layer_projection.weight": [2, 2]})
        if i < 2:
            names.update({layer + "self_attn.k_proj.weight": [dim, 2], layer + "self_attn.k_norm.weight": [dim]})
        if i == 1:
            names[layer + "self_attn.v_proj.weight"] = [dim, 2]
    return names


def safetensors(names, dtype="F32", element=4):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in names.items():
        size = element * math.prod(shape)
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


BERT = dict(BASE, model_type="bert", max_position_embeddings=2, type_vocab_size=2, architectures=["BertModel"])
BERT_LAYER = {"attention.self.query": 2, "attention.self.key": 2, "attention.self.value": 2,
              "attention.output.dense": 2, "attention.output.LayerNorm": 1, "intermediate.dense": 2, "output.dense": 2,
              "output.LayerNorm": 1}
MODULES = [dict(idx=0, name="0", path="", type="sentence_transformers.models.Transformer"),
           dict(idx=1, name="1", path="1_Pooling", type="sentence_transformers.models.Pooling"),
           dict(idx=2, name="2", path="2_Normalize", type="sentence_transformers.models.Normalize")]


def bert_shapes(**more):
    names = {f"embeddings.{kind}_embeddings.weight": [2, 2] for kind in ("word", "position", "token_type")}
    layers = {"embeddings.LayerNorm": 1, **{f"encoder.layer.0.{name}": n for name, n in BERT_LAYER.items()}, **more}
    for name, n in layers.items():
        names.update({f"{name}.weight": [2] * n, f"{name}.bias": [2]})
    return names


T5 = dict(model_type="t5", d_model=4, d_kv=2, d_ff=2, num_layers=1, num_heads=2, relative_attention_num_buckets=4,
          relative_attention_max_distance=8, vocab_size=2)
BART = dict(d_model=4, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=1,
            encoder_ffn_dim=2, decoder_ffn_dim=2, vocab_size=2, max_position_embeddings=2)


def t5_shapes():
    names = {"shared.weight": [2, 4]}
    for side, blocks in (("encoder", ("SelfAttention",)), ("decoder", ("SelfAttention", "EncDecAttention"))):
        layer = f"{side}.block.0.layer"
        names[f"{side}.final_layer_norm.weight"] = [4]
        names[f"{layer}.0.SelfAttention.relative_attention_bias.weight"] = [4, 2]
        for i, block in enumerate(blocks):
            names.update({f"{layer}.{i}.{block}.{x}.weight": [4, 4] for x in "qkvo"})
        names.update({f"{layer}.{i}.layer_norm.weight": [4] for i in range(len(blocks) + 1)})
        names.update({f"{layer}.{len(blocks)}.DenseReluDense.wi.weight": [2, 4],
                      f"{layer}.{len(blocks)}.DenseReluDense.wo.weight": [4, 2]})
    return names


def bart_shapes(kind):
    names = {"model.shared.weight": [2, 4]}
    for side, blocks in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        matrices = {f"{block}.{x}_proj": (4, 4) for block in blocks for x in ("q", "k", "v", "out")}
        for name, (rows, cols) in {**matrices, "fc1": (2, 4), "fc2": (4, 2)}.items():
            names[f"model.{side}.layers.0.{name}.weight"] = [rows, cols]
            names[f"model.{side}.layers.0.{name}.bias"] = [rows]
        norms = [f"layers.0.{block}_layer_norm" for block in (*blocks, "final")]
        norms += ["layernorm_embedding"] if "bart" in kind else []
        norms += ["layer_norm"] if kind in ("mbart", "m2m_100") else []
        for norm in norms:
            names.update({f"model.{side}.{norm}.weight": [4], f"model.{side}.{norm}.bias": [4]})
        if "bart" in kind:
            names[f"model.{side}.embed_positions.weight"] = [4, 4]
    return names
SIZE = 32
WIDE = dict(BASE, hidden_size=SIZE, intermediate_size=SIZE, head_dim=SIZE)


def quantized(parts):
    """A llama of SIZE, its projections as parts: {suffix: (dtype, bytes of an element, shape, contents)}."""
    own = {}
    for name, shape in shapes(LAYER).items():
        stem = name.removesuffix(".weight")
        if "_proj" in name:
            own.update({f"{stem}.{suffix}": part for suffix, part in parts.items()})
        else:
            shape = [SIZE if i == len(shape) - 1 else n for i, n in enumerate(shape)]
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            own[name] = ("F32", 4, shape, bytes(4 * count))
    header, data = {}, b""
    for name, (dtype, element, shape, content) in own.items():
        size = element
        for n in shape:
            size *= n
        content = (content * size)[:size]
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[len(data), len(data) + size])
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def words(shape, content=b"\x12\x89\xfe\x37"):
    return ("I32", 4, shape, content)
NORM, SQUARE = "norm", "square"
GPT2 = {"ln_1": NORM, "ln_2": NORM, "attn.c_attn": SQUARE, "attn.c_proj": SQUARE, "mlp.c_fc": SQUARE, "mlp.c_proj": SQUARE}
NEOX = {"input_layernorm": NORM, "post_attention_layernorm": NORM, "attention.query_key_value": SQUARE,
        "attention.dense": SQUARE, "mlp.dense_h_to_4h": SQUARE, "mlp.dense_4h_to_h": SQUARE}


def fused(prefix, layer, qkv, transposed):
    """GPT-2 of 2 dims, [inputs][outputs], or GPT-NeoX of 4; q, k and v in one tensor."""
    n = 2 if transposed else 4
    names = {}
    for name, kind in layer.items():
        rows = 3 * n if name == qkv else n
        names[f"{prefix}{name}.weight"] = [n] if kind == NORM else [n, rows] if transposed else [rows, n]
        names[f"{prefix}{name}.bias"] = [rows]
    if transposed:
        names.update({"transformer.wte.weight": [n, n], "transformer.wpe.weight": [n, n], "transformer.ln_f.weight": [n],
                      "transformer.ln_f.bias": [n]})
    else:
        names.update({"gpt_neox.embed_in.weight": [n, n], "gpt_neox.final_layer_norm.weight": [n],
                      "gpt_neox.final_layer_norm.bias": [n], "embed_out.weight": [n, n]})
    return safetensors(names)


def write(name, config, **files):
    files = {"config.json": json.dumps(config).encode(), **{key.replace("__", "."): value for key, value in files.items()}}
    with open(os.path.join(FOLDER, name), "wb") as to:
        for file, content in files.items():
            to.write(f"{file}\n{len(content)}\n".encode() + content)


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    llama = shapes(LAYER)
    gemma4 = gemma4_shapes()
    write("ok_gemma4", GEMMA4, model__safetensors=safetensors(gemma4))
    write("per_layer_unknown", dict(GEMMA4, per_layer_config={"1": {"window": 2}}), model__safetensors=safetensors(gemma4))
    write("per_layer_beyond", dict(GEMMA4, per_layer_config={"7": {"head_dim": 2}}), model__safetensors=safetensors(gemma4))
    write("ok_t5_encoder", dict(T5, architectures=["T5EncoderModel"]), model__safetensors=safetensors(
        {name: shape for name, shape in t5_shapes().items() if not name.startswith("decoder")}))
    write("ok_llama", BASE, model__safetensors=safetensors(llama))
    write("ok_llama_f64", BASE, model__safetensors=safetensors(llama, "F64", 8))
    write("ok_llama3", dict(BASE, rope_scaling=dict(rope_type="llama3", factor=8, low_freq_factor=1, high_freq_factor=4,
                                                    original_max_position_embeddings=64)),
          model__safetensors=safetensors(llama))
    write("ok_yarn", dict(BASE, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4, mscale=1, mscale_all_dim=2)),
          model__safetensors=safetensors(llama))
    write("ok_gemma3", GEMMA, model__safetensors=safetensors(shapes(GEMMA_LAYER, True), "BF16", 2))
    write("ok_dynamic", dict(BASE, rope_scaling=dict(type="dynamic", factor=2)), model__safetensors=safetensors(llama))
    write("ok_longrope", dict(BASE, rope_parameters=dict(rope_type="longrope", long_factor=[2.5], short_factor=[1],
                                                         original_max_position_embeddings=16)),
          model__safetensors=safetensors(llama))
    write("ok_gpt2", dict(model_type="gpt2", n_embd=2, n_layer=1, n_head=1, n_positions=2, n_inner=2, vocab_size=2),
          model__safetensors=fused("transformer.h.0.", GPT2, "attn.c_attn", True))
    write("ok_gpt_neox", dict(model_type="gpt_neox", hidden_size=4, num_hidden_layers=1, num_attention_heads=2,
                              intermediate_size=4, vocab_size=4, rotary_pct=1.0),
          model__safetensors=fused("gpt_neox.layers.0.", NEOX, "attention.query_key_value", False))
    write("ok_gpt_neo_types", dict(model_type="gpt_neo", hidden_size=2, num_layers=2, num_heads=1, vocab_size=2,
                                   attention_types=[[["global", "local"], 1]]), model__safetensors=safetensors(llama))
    write("ok_mpt_config", dict(model_type="mpt", d_model=2, n_heads=1, n_layers=1, vocab_size=2,
                                attn_config=dict(clip_qkv=0.5, softmax_scale=1)), model__safetensors=safetensors(llama))
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
    bert, pooling = safetensors(bert_shapes()), b'{"pooling_mode_mean_tokens": true}'
    write("ok_bert_sentence", BERT, modules__json=json.dumps(MODULES).encode(), model__safetensors=bert,
          **{"1_Pooling/config__json": pooling})
    write("ok_bert_score", dict(BERT, architectures=["BertForSequenceClassification"]), model__safetensors=safetensors(
        bert_shapes(**{"pooler.dense": 2, "classifier": 2})))
    write("modules_elsewhere", BERT, modules__json=json.dumps(MODULES).replace("1_Pooling", "../a").encode(),
          model__safetensors=bert)
    write("modules_nested", BERT, modules__json=b'[{"path":' + b"[" * 80, model__safetensors=bert)
    write("pooling_two", BERT, modules__json=json.dumps(MODULES).encode(), model__safetensors=bert,
          **{"1_Pooling/config__json": b'{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true}'})
    write("positions_none", dict(BERT, model_type="roberta", pad_token_id=7), model__safetensors=bert)
    t5 = t5_shapes()
    write("ok_t5", T5, model__safetensors=safetensors(t5))
    write("t5_buckets", dict(T5, relative_attention_max_distance=1), model__safetensors=safetensors(t5))
    for kind in ("bart", "mbart", "marian", "m2m_100"):
        write(f"ok_{kind}", dict(BART, model_type=kind), model__safetensors=safetensors(bart_shapes(kind)))
    write("positions_many", dict(BART, model_type="marian", max_position_embeddings=1 << 40),
          model__safetensors=safetensors(bart_shapes("marian")))
    write("pickle", BASE, pytorch_model__bin=b"PK")

    half = ("F16", 2, [1, SIZE], b"\x00\x3c")
    transposed = dict(qzeros=words([1, SIZE // 8]), scales=half)
    write("ok_awq", dict(WIDE, quantization_config=dict(quant_method="awq", bits=4, group_size=32, version="gemm")),
          model__safetensors=quantized(dict(transposed, qweight=words([SIZE, SIZE // 8]))))
    gptq = dict(quant_method="gptq", bits=4, group_size=32)
    write("ok_gptq", dict(WIDE, quantization_config=gptq),
          model__safetensors=quantized(dict(transposed, qweight=words([SIZE // 8, SIZE]), g_idx=words([SIZE], bytes(4)))))
    order = b"".join(struct.pack("<i", i % 2) for i in range(SIZE))
    two = dict(qweight=words([SIZE // 8, SIZE]), qzeros=words([2, SIZE // 8]), scales=("F16", 2, [2, SIZE], b"\x00\x3c"))
    write("ok_gptq_order", dict(WIDE, quantization_config=dict(gptq, group_size=16, desc_act=True)),
          model__safetensors=quantized(dict(two, g_idx=words([SIZE], order))))
    write("gptq_order_beyond", dict(WIDE, quantization_config=dict(gptq, group_size=16)),
          model__safetensors=quantized(dict(two, g_idx=words([SIZE], b"\x02\x00\x00\x00"))))
    blocks = dict(quant_method="fp8", weight_block_size=[16, 24])
    write("ok_fp8_blocks", dict(WIDE, quantization_config=blocks), model__safetensors=quantized(
        dict(weight=("F8_E4M3", 1, [SIZE, SIZE], b"\x38\x7f\x81\xc4"), weight_scale_inv=("F32", 4, [2, 2], b"\x00\x00\x80\x3f"))))
    compressed = dict(quant_method="compressed-tensors", format="pack-quantized",
                      config_groups=dict(group_0=dict(weights=dict(num_bits=4, block_structure=None))))
    packed = dict(weight_packed=words([SIZE, SIZE // 8]), weight_scale=("BF16", 2, [SIZE, 1], b"\x80\x3f"),
                  weight_shape=("I64", 8, [2], struct.pack("<qq", SIZE, SIZE)))
    write("ok_packed", dict(WIDE, quantization_config=compressed), model__safetensors=quantized(packed))
    write("packed_zeros", dict(WIDE, quantization_config=compressed),
          model__safetensors=quantized(dict(packed, weight_zero_point=words([SIZE // 8, 1]))))
    write("packed_shape", dict(WIDE, quantization_config=compressed), model__safetensors=quantized(
        dict(packed, weight_shape=("I64", 8, [2], struct.pack("<qq", 1 << 30, 1 << 31)))))
    mixtral = shapes(MIXTRAL_LAYER)
    write("ok_experts", MIXTRAL, model__safetensors=safetensors(mixtral))
    write("ok_experts_fused", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(), "BF16", 2))
    write("ok_latent", DEEPSEEK, model__safetensors=safetensors(deepseek_shapes()))
    write("ok_latent_f64", DEEPSEEK, model__safetensors=safetensors(deepseek_shapes(), "F64", 8))
    write("latent_heads", dict(DEEPSEEK, num_attention_heads=1 << 31), model__safetensors=safetensors(deepseek_shapes()))
    write("latent_dims", dict(DEEPSEEK, qk_nope_head_dim=(1 << 31) - 1), model__safetensors=safetensors(deepseek_shapes()))
    write("latent_flat", DEEPSEEK, model__safetensors=safetensors({**deepseek_shapes(),
                                                                   "model.layers.0.self_attn.kv_b_proj.weight": [6]}))
    write("experts_missing", dict(MIXTRAL, num_local_experts=3), model__safetensors=safetensors(mixtral))
    write("experts_fewer", dict(MIXTRAL, num_local_experts=1), model__safetensors=safetensors(mixtral))
    write("experts_many", dict(MIXTRAL, num_local_experts=1 << 30), model__safetensors=safetensors(mixtral))
    write("experts_unlike", MIXTRAL, model__safetensors=safetensors(
        {**mixtral, "model.layers.0.block_sparse_moe.experts.1.w1.weight": [4, 2]}))
    write("experts_dims", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(gate_up_proj=[2, 2, 3]), "BF16", 2))
    write("experts_flat", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(gate_up_proj=[4]), "BF16", 2))
    write("experts_none", GPT_OSS, model__safetensors=safetensors(gpt_oss_shapes(down_proj=[0, 2, 2]), "BF16", 2))

    lora = {f"base_model.model.model.layers.0.{name}.lora_{part}.weight": [2, 2]
            for name in LAYER if LAYER[name] == 2 for part in "AB"}
    config = dict(peft_type="LORA", r=2, lora_alpha=4, bias="none", use_rslora=True, target_modules=["q_proj"])
    own = dict(model__safetensors=safetensors(llama))

    def adapter(name, config, tensors):
        write(name, BASE, **own, adapter_config__json=json.dumps(config).encode(), adapter_model__safetensors=tensors)

    adapter("ok_adapter", config, safetensors(lora, "BF16", 2))
    adapter("adapter_dora", dict(config, use_dora=True), safetensors(lora))
    adapter("adapter_alpha", dict(config, lora_alpha="4"), safetensors(lora))
    adapter("adapter_name", config, safetensors({"base_model.model.lora_A.weight": [2, 2]}))
    adapter("adapter_layer", config, safetensors({"base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": [2, 2]}))
    neox = {name: [4] for name in ("gpt_neox.final_layer_norm.weight", "gpt_neox.final_layer_norm.bias")}
    neox.update({"gpt_neox.embed_in.weight": [2, 4], "embed_out.weight": [2, 4]})
    for name, rows, columns in (("attention.query_key_value", 12, 4), ("attention.dense", 4, 4), ("mlp.dense_h_to_4h", 4, 4),
                                ("mlp.dense_4h_to_h", 4, 4), ("input_layernorm", 4, 0), ("post_attention_layernorm", 4, 0)):
        neox[f"gpt_neox.layers.0.{name}.weight"] = [rows, columns] if columns else [rows]
        neox[f"gpt_neox.layers.0.{name}.bias"] = [rows]
    groups = dict(model_type="gpt_neox", hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4,
                  vocab_size=2, rotary_pct=1.0)
    qkv = "base_model.model.gpt_neox.layers.0.attention.query_key_value."
    for name, rows in (("ok_adapter_groups", 12), ("adapter_groups_rows", 11), ("adapter_groups_none", 0)):
        write(name, groups, model__safetensors=safetensors(neox), adapter_config__json=json.dumps(config).encode(),
              adapter_model__safetensors=safetensors({qkv + "lora_A.weight": [2, 4], qkv + "lora_B.weight": [rows, 2]}))
    adapter("adapter_heads", config, safetensors({"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": [2]}))
