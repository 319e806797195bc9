"""Random configs of families of decoders, random weights: what Hugging Face transformers computes for them against what the
library's example `logits` prints for the folder. Prints what differs, and what was refused.
Run: python3 check_folders.py LOGITS_PROGRAM [--count N] [--seed S] [--keep FOLDER] [FAMILY ...]"""

import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
import warnings
import zlib

import numpy as np
import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore")
LENGTH = 80
TOLERANCE = 2e-3


def rope(r, head_dim, partial=None, scalings=("linear", "yarn", "llama3", "dynamic", "longrope")):
    parameters = {"rope_type": "default", "rope_theta": r.choice([10000.0, 500000.0, 1000.0])}
    dims = head_dim
    if partial:
        choices = [p for p in partial if int(head_dim * p) % 2 == 0 and int(head_dim * p) >= 2]
        parameters["partial_rotary_factor"] = r.choice(choices)
        dims = int(head_dim * parameters["partial_rotary_factor"])
    kind = r.choice(("default", "default") + tuple(scalings))
    if kind == "dynamic" and dims < 4:
        kind = "default"
    parameters["rope_type"] = kind
    if kind in ("linear", "dynamic"):
        parameters["factor"] = r.choice([2.0, 4.0, 1.0])
    if kind == "yarn":
        parameters.update(factor=r.choice([2.0, 8.0]), original_max_position_embeddings=r.choice([16, 64, 256]))
        for key, values in (("beta_fast", [32, 16.0]), ("beta_slow", [1, 2.0]), ("attention_factor", [0.8, 1.3]),
                            ("truncate", [True, False])):
            if r.random() < 0.3:
                parameters[key] = r.choice(values)
        if r.random() < 0.3:
            parameters.update(mscale=r.choice([0.7, 1.0]), mscale_all_dim=r.choice([0.5, 1.0]))
    if kind == "llama3":
        parameters.update(factor=8.0, low_freq_factor=1.0, high_freq_factor=r.choice([4.0, 2.5]),
                          original_max_position_embeddings=r.choice([16, 64]))
    if kind == "longrope":
        parameters.update(short_factor=[round(r.uniform(1, 2), 3) for _ in range(dims // 2)],
                          long_factor=[round(r.uniform(2, 6), 3) for _ in range(dims // 2)],
                          original_max_position_embeddings=r.choice([32, 256]))
        if r.random() < 0.5:
            parameters["factor"] = r.choice([2.0, 4.0])
        if r.random() < 0.3:
            parameters["attention_factor"] = 1.2
    return parameters


def heads(r, most=8, even=True):
    """n_heads, n_kv_heads, head_dim"""
    n_kv = r.choice([1, 2, 3, 4])
    n = n_kv * r.choice([1, 2, 3])
    return n, n_kv, r.choice([4, 8, 12, 16, 20] if even else [4, 6, 8, 10, 16])


def llama_like(r, free_head_dim=True, **more):
    n, n_kv, dim = heads(r)
    width = n * dim
    result = dict(vocab_size=r.choice([61, 96, 127]), hidden_size=width, intermediate_size=r.choice([40, 52, 64]),
                  num_hidden_layers=r.choice([1, 2, 3]), num_attention_heads=n, num_key_value_heads=n_kv,
                  max_position_embeddings=r.choice([128, 512]), tie_word_embeddings=r.random() < 0.5,
                  rope_parameters=rope(r, dim))
    if free_head_dim:
        result["hidden_size"] = n * r.choice([4, 8, 10]) if r.random() < 0.5 else width
        result["head_dim"] = dim
    result.update(more)
    return result


def flag(r):
    return r.random() < 0.5


def eps(r):
    return r.choice([1e-5, 1e-6, 1e-3])


def act(r, base="silu"):
    return r.choice([base, base, "gelu", "gelu_pytorch_tanh", "relu", "silu", "gelu_new"])


def layer_types(r, n):
    return [r.choice(["full_attention", "sliding_attention"]) for _ in range(n)]


def gpt(r, activation="gelu_new", **more):
    n, dim = r.choice([1, 2, 3, 4, 6]), r.choice([4, 8, 12, 16])
    return dict(vocab_size=r.choice([61, 96, 127]), n_embd=n * dim, n_layer=r.choice([1, 2, 3]), n_head=n,
                n_positions=r.choice([96, 128]), n_inner=r.choice([None, 40]), layer_norm_epsilon=eps(r),
                activation_function=act(r, activation), tie_word_embeddings=flag(r), bos_token_id=1, eos_token_id=2, **more)


def qwen(r, **more):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), **more)
    if flag(r):
        c.update(use_sliding_window=True, sliding_window=r.choice([7, 20]), max_window_layers=r.choice([0, 1, 2]))
        if flag(r):
            c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def gemma2(r):
    c = llama_like(r, rms_norm_eps=eps(r), attention_bias=flag(r), hidden_activation=act(r, "gelu_pytorch_tanh"),
                   query_pre_attn_scalar=r.choice([8, 16, 30]), sliding_window=r.choice([5, 24, 200]),
                   attn_logit_softcapping=r.choice([None, 4.0, 50.0]), final_logit_softcapping=r.choice([None, 6.0]))
    if flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def gemma3(r):
    c = gemma2(r)
    c.pop("attn_logit_softcapping")
    c["rope_parameters"] = {"full_attention": rope(r, c["head_dim"], scalings=("linear", "yarn", "llama3", "dynamic")),
                            "sliding_attention": rope(r, c["head_dim"], scalings=())}
    c["num_hidden_layers"] = r.choice([2, 7])
    if "layer_types" in c:
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def gemma4(r, unified=False):
    n_kv = r.choice([1, 2])
    n, dim, layers = n_kv * r.choice([1, 2, 3]), r.choice([4, 8, 12]), r.choice([2, 3, 5, 7])
    c = dict(vocab_size=r.choice([61, 96]), hidden_size=r.choice([16, 24, 40]), intermediate_size=r.choice([20, 32]),
             num_hidden_layers=layers, num_attention_heads=n, num_key_value_heads=n_kv, head_dim=dim,
             global_head_dim=r.choice([dim, 16, 24]), max_position_embeddings=r.choice([128, 512]),
             tie_word_embeddings=r.random() < 0.7, rms_norm_eps=eps(r), attention_bias=r.random() < 0.3,
             hidden_activation=act(r, "gelu_pytorch_tanh"), sliding_window=r.choice([5, 24, 200]),
             final_logit_softcapping=r.choice([None, 6.0]), attention_k_eq_v=flag(r),
             use_double_wide_mlp=flag(r), rope_parameters={
                 "full_attention": {"rope_type": "proportional", "rope_theta": r.choice([1000.0, 1e6]),
                                    "partial_rotary_factor": r.choice([0.25, 0.5, 1.0])},
                 "sliding_attention": {"rope_type": "default", "rope_theta": r.choice([1000.0, 1e4])}})
    if flag(r):
        c["num_global_key_value_heads"] = r.choice([k for k in (1, 2, 3) if n % k == 0])
    if r.random() < 0.3:
        c["rope_parameters"]["full_attention"] = rope(r, c["global_head_dim"], scalings=("linear", "yarn", "llama3"))
    if r.random() < 0.7:
        c["layer_types"] = layer_types(r, layers - 1) + ["full_attention"]
        if layers > 2:  # a layer of each type before those that share its keys
            c["layer_types"][:2] = ["sliding_attention", "full_attention"]
            c["num_kv_shared_layers"] = r.randint(0, layers - 2)
    if unified:
        return c
    c["hidden_size_per_layer_input"] = r.choice([0, 4, 7, 8])
    c["vocab_size_per_layer_input"] = c["vocab_size"]
    if flag(r):
        c.update(enable_moe_block=True, moe_intermediate_size=r.choice([12, 20]), **experts(r, used="top_k_experts"))
    return c


def granite(r, **more):
    return llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r), mlp_bias=flag(r),
                      embedding_multiplier=r.choice([1.0, 6.0]), residual_multiplier=r.choice([1.0, 0.3]),
                      logits_scaling=r.choice([1.0, 2.5]), attention_multiplier=r.choice([0.25, 0.1]), **more)


def phi3(r):
    c = llama_like(r, free_head_dim=False, rms_norm_eps=eps(r), hidden_act=act(r), pad_token_id=0, bos_token_id=1,
                   eos_token_id=2, sliding_window=r.choice([None, 16]))
    dim = c["hidden_size"] // c["num_attention_heads"]
    c["rope_parameters"] = rope(r, dim, (1.0, 0.5, 0.75), ("longrope",))
    if "original_max_position_embeddings" in c["rope_parameters"]:
        c["original_max_position_embeddings"] = c["rope_parameters"].pop("original_max_position_embeddings")
    return c


def falcon(r):
    n, n_kv, dim = heads(r)
    new = r.random() < 0.4
    c = dict(vocab_size=r.choice([61, 96]), hidden_size=n * dim, num_hidden_layers=r.choice([1, 2, 3]),
             num_attention_heads=n, max_position_embeddings=r.choice([128, 512]), new_decoder_architecture=new,
             multi_query=flag(r), parallel_attn=True if new else flag(r), bias=flag(r), layer_norm_epsilon=eps(r),
             ffn_hidden_size=r.choice([None, 40]), activation=act(r, "gelu"), tie_word_embeddings=flag(r),
             bos_token_id=1, eos_token_id=2, alibi=r.random() < 0.3)
    if new:
        c["num_kv_heads"] = n_kv
        c["num_ln_in_parallel_attn"] = r.choice([None, 1, 2])
    if not c["alibi"]:
        c["rope_parameters"] = rope(r, dim)
    return c


def smollm3(r):
    c = llama_like(r, free_head_dim=False, rms_norm_eps=eps(r), attention_bias=flag(r), mlp_bias=flag(r),
                   hidden_act=act(r), num_hidden_layers=r.choice([2, 5]), pad_token_id=0, bos_token_id=1, eos_token_id=2)
    if flag(r):
        c["no_rope_layers"] = [r.choice([0, 1]) for _ in range(c["num_hidden_layers"])]
    else:
        c["no_rope_layer_interval"] = r.choice([2, 4])
    if flag(r):
        c.update(use_sliding_window=True, sliding_window=12)
    return c


def opt(r):
    n, dim = r.choice([1, 2, 3, 4]), r.choice([4, 8, 12])
    return dict(vocab_size=r.choice([61, 96]), hidden_size=n * dim, num_hidden_layers=r.choice([1, 2, 3]),
                num_attention_heads=n, ffn_dim=r.choice([40, 52]), max_position_embeddings=r.choice([96, 128]),
                do_layer_norm_before=flag(r), word_embed_proj_dim=r.choice([None, None, 20, n * dim]),
                activation_function=act(r, "relu"), enable_bias=r.random() < 0.8, tie_word_embeddings=r.random() < 0.8,
                layer_norm_elementwise_affine=r.random() < 0.8, _remove_final_layer_norm=r.random() < 0.2,
                bos_token_id=1, eos_token_id=2)


def gpt_neo(r):
    n, dim, layers = r.choice([1, 2, 3, 4]), r.choice([4, 8, 12]), r.choice([2, 4])
    types = [[["global", "local"], layers // 2]] if flag(r) else [[["local"], layers]] if flag(r) else [
        [["global"], 1], [["local"], layers - 1]]
    return dict(vocab_size=r.choice([61, 96]), hidden_size=n * dim, num_layers=layers, num_heads=n,
                intermediate_size=r.choice([None, 40]), max_position_embeddings=r.choice([96, 128]),
                window_size=r.choice([6, 20, 200]), attention_types=types, activation_function=act(r, "gelu_new"),
                layer_norm_epsilon=eps(r), tie_word_embeddings=flag(r), bos_token_id=1, eos_token_id=2)


def wide_kv(r, c, dim, **more):
    c.update(more)
    return c


def partial_family(r, parts, **more):
    c = llama_like(r, free_head_dim=False, **more)
    c["rope_parameters"] = rope(r, c["hidden_size"] // c["num_attention_heads"], parts)
    return c


def neox(r):
    c = partial_family(r, (0.25, 0.5, 1.0), layer_norm_eps=eps(r), hidden_act=act(r, "gelu"),
                       use_parallel_residual=flag(r), attention_bias=flag(r))
    c.pop("num_key_value_heads")
    return c


def gptj(r):
    c = gpt(r)
    c["rotary_dim"] = r.choice([d for d in (2, 4, 8) if d <= c["n_embd"] // c["n_head"]])
    return c


def glm(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r), pad_token_id=0, eos_token_id=1)
    c["rope_parameters"] = rope(r, c["head_dim"], (0.5, 1.0))
    return c


def cohere2(r):
    c = llama_like(r, free_head_dim=False, layer_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r),
                   logit_scale=r.choice([0.0625, 0.4]), sliding_window=r.choice([6, 20]), num_hidden_layers=r.choice([2, 5]))
    if flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def experts(r, count="num_experts", used="num_experts_per_tok", most=9, **more):
    n = r.choice([1, 2, 3, 5, most])
    return {count: n, used: r.randint(1, n), **more}


def qwen_moe(r, free_head_dim=True, **more):
    c = llama_like(r, free_head_dim, rms_norm_eps=eps(r), hidden_act=act(r), moe_intermediate_size=r.choice([12, 20, 33]),
                   norm_topk_prob=flag(r), decoder_sparse_step=r.choice([1, 1, 2]), **experts(r), **more)
    c["mlp_only_layers"] = [i for i in range(c["num_hidden_layers"]) if r.random() < 0.2]
    if flag(r):
        c.update(use_sliding_window=True, sliding_window=r.choice([7, 20]))
    return c


def ernie_moe(r):
    c = llama_like(r, False, rms_norm_eps=eps(r), hidden_act=act(r), use_bias=flag(r), num_hidden_layers=r.choice([2, 4]),
                   moe_intermediate_size=r.choice([12, 20]), moe_num_shared_experts=r.choice([0, 1, 2]),
                   moe_layer_start_index=r.choice([0, 1]), moe_layer_end_index=r.choice([-1, 1, 2]),
                   moe_layer_interval=r.choice([1, 2]), **experts(r, "moe_num_experts", "moe_k"))
    return c


def gpt_oss(r):
    c = llama_like(r, rms_norm_eps=eps(r), attention_bias=flag(r), sliding_window=r.choice([5, 16, 100]),
                   num_hidden_layers=r.choice([1, 2, 3]), **experts(r, "num_local_experts"))
    if flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def granite_moe(r, **more):
    c = granite(r, free_head_dim=False, **experts(r, "num_local_experts"), **more)
    c.pop("mlp_bias")
    return c


def latent(r, **more):
    n, rotated = r.choice([1, 2, 3, 4]), r.choice([2, 4, 8, 16])
    c = dict(vocab_size=r.choice([61, 96, 127]), hidden_size=n * r.choice([8, 12, 20]), intermediate_size=r.choice([40, 52]),
             num_hidden_layers=r.choice([1, 2, 3]), num_attention_heads=n, num_key_value_heads=n,
             max_position_embeddings=r.choice([128, 512]), tie_word_embeddings=flag(r), rms_norm_eps=eps(r),
             hidden_act=act(r), attention_bias=flag(r), kv_lora_rank=r.choice([8, 17, 24, 40]),
             q_lora_rank=r.choice([None, 12, 33]), qk_nope_head_dim=r.choice([3, 8, 16]), qk_rope_head_dim=rotated,
             v_head_dim=r.choice([4, 7, 16]), rope_parameters=rope(r, rotated))
    parameters = c["rope_parameters"]
    if parameters["rope_type"] in ("yarn", "linear") and flag(r):
        parameters["mscale_all_dim"] = r.choice([0.5, 0.707, 1.0])
    c.update(more)
    return c


def exaone4(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), sliding_window=r.choice([None, 6, 20]),
                   num_hidden_layers=r.choice([2, 5]))
    if c["sliding_window"] is None:
        c["layer_types"] = ["full_attention"] * c["num_hidden_layers"]
    elif flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    else:
        c["sliding_window_pattern"] = r.choice([2, 4])
    return c


def hunyuan(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r))
    if c["rope_parameters"]["rope_type"] == "dynamic":
        c["rope_parameters"]["alpha"] = r.choice([4.0, 1000.0])
    return c


def routed(r, c):
    groups, size = r.choice([1, 2, 3, 4]), r.choice([2, 3, 5])
    used = r.randint(1, groups)
    c.update(n_routed_experts=groups * size, n_group=groups, topk_group=used, num_experts_per_tok=r.randint(1, used * size),
             moe_intermediate_size=r.choice([12, 20]), n_shared_experts=r.choice([1, 2]),
             routed_scaling_factor=r.choice([1.0, 2.5]), norm_topk_prob=flag(r))
    return c


def deepseek(r, **more):
    c = routed(r, latent(r, **more))
    c["first_k_dense_replace"] = r.choice([0, 1, 2])
    return c


def glm_lite(r):
    c = routed(r, latent(r, rope_interleave=flag(r)))
    if flag(r):
        c["mlp_layer_types"] = [r.choice(["dense", "sparse"]) for _ in range(c["num_hidden_layers"])]
    return c


def olmo3(r):
    c = llama_like(r, False, rms_norm_eps=eps(r), attention_bias=flag(r), hidden_act=act(r), eos_token_id=1,
                   sliding_window=r.choice([5, 24, 200]), num_hidden_layers=r.choice([2, 5]))
    if flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    dim = c["hidden_size"] // c["num_attention_heads"]
    c["rope_parameters"] = {"full_attention": rope(r, dim, scalings=("linear", "yarn", "llama3", "dynamic")),
                            "sliding_attention": rope(r, dim, scalings=())}
    return c


def cwm(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), mlp_bias=flag(r), sliding_window=r.choice([5, 24, 200]),
                   num_hidden_layers=r.choice([2, 5]))
    if flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def ministral(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), sliding_window=r.choice([5, 24, 200]))
    if flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    return c


def helium(r):
    c = llama_like(r, False, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r), mlp_bias=flag(r))
    c["head_dim"] = c["hidden_size"] // c["num_attention_heads"]
    return c



def routed_dense_first(r, c):
    """What routed() makes, with a dense FFN in the first layers."""
    return dict(routed(r, c), first_k_dense_replace=r.choice([0, 1, 2]))


def glm4_moe(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r), use_qk_norm=flag(r))
    c["rope_parameters"] = rope(r, c["head_dim"], (0.5, 1.0))
    return routed_dense_first(r, c)


def solar_open(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r))
    c.pop("intermediate_size")
    return routed(r, c)


def internlm3(r, bias):
    return llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=bias, mlp_bias=bias, pad_token_id=0)


def dots1(r):
    c = routed_dense_first(r, llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r),
                                         sliding_window=r.choice([None, 5, 24])))
    if c["sliding_window"] and flag(r):
        c["layer_types"] = layer_types(r, c["num_hidden_layers"])
    elif c["sliding_window"]:
        c["max_window_layers"] = r.choice([0, 1, 2])
    return c


def minimax_m2(r):
    c = llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), **experts(r, "num_local_experts"))
    c["rope_parameters"] = rope(r, c["head_dim"], (0.5, 1.0))
    return c


def openai_gpt(r):
    c = gpt(r)
    for name in ("n_inner", "activation_function", "bos_token_id", "eos_token_id"):
        c.pop(name)
    return c


def xglm(r):
    n, dim = r.choice([1, 2, 3, 4]), r.choice([4, 8, 12])
    return dict(vocab_size=r.choice([61, 96]), d_model=n * dim, num_layers=r.choice([1, 2, 3]), attention_heads=n,
                ffn_dim=r.choice([40, 52]), max_position_embeddings=r.choice([96, 128]), scale_embedding=flag(r),
                activation_function=act(r, "gelu"), tie_word_embeddings=flag(r), pad_token_id=r.choice([None, 0, 1]))


def biogpt(r):
    n, dim = r.choice([1, 2, 3, 4]), r.choice([4, 8, 12])
    return dict(vocab_size=r.choice([61, 96]), hidden_size=n * dim, num_hidden_layers=r.choice([1, 2, 3]),
                num_attention_heads=n, intermediate_size=r.choice([40, 52]), max_position_embeddings=r.choice([96, 128]),
                scale_embedding=flag(r), hidden_act=act(r, "gelu"), tie_word_embeddings=flag(r), layer_norm_eps=eps(r))


def persimmon(r):
    c = partial_family(r, (0.25, 0.5, 1.0), layer_norm_eps=eps(r), hidden_act=act(r, "relu2"), qk_layernorm=flag(r))
    c.pop("num_key_value_heads")
    return c


# model_type: class without Config, configs
FAMILIES = {
    "llama": ("Llama", lambda r: llama_like(r, rms_norm_eps=eps(r), attention_bias=flag(r), mlp_bias=flag(r),
                                            hidden_act=act(r))),
    "mistral": ("Mistral", lambda r: llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r),
                                                sliding_window=r.choice([None, 5, 30]))),
    "qwen2": ("Qwen2", qwen),
    "qwen3": ("Qwen3", lambda r: qwen(r, attention_bias=flag(r))),
    "gemma": ("Gemma", lambda r: llama_like(r, rms_norm_eps=eps(r), attention_bias=flag(r))),
    "gemma2": ("Gemma2", gemma2),
    "gemma3_text": ("Gemma3Text", gemma3),
    "gemma4_text": ("Gemma4Text", gemma4),
    "gemma4_unified_text": ("Gemma4UnifiedText", lambda r: gemma4(r, True)),
    "olmo": ("Olmo", lambda r: llama_like(r, False, clip_qkv=r.choice([None, 0.8]), attention_bias=flag(r),
                                          hidden_act=act(r), eos_token_id=1)),
    "olmo2": ("Olmo2", lambda r: llama_like(r, False, rms_norm_eps=eps(r), attention_bias=flag(r), hidden_act=act(r),
                                            eos_token_id=1)),
    "granite": ("Granite", lambda r: granite(r, free_head_dim=False)),
    "hyperclovax": ("HyperCLOVAX", lambda r: granite(r, use_post_norm=flag(r))),
    "smollm3": ("SmolLM3", smollm3),
    "ernie4_5": ("Ernie4_5", lambda r: llama_like(r, rms_norm_eps=eps(r), use_bias=flag(r), hidden_act=act(r))),
    "seed_oss": ("SeedOss", lambda r: llama_like(r, rms_norm_eps=eps(r), attention_bias=flag(r),
                                                 attention_out_bias=flag(r), mlp_bias=flag(r), hidden_act=act(r))),
    "phi3": ("Phi3", phi3),
    "phi": ("Phi", lambda r: partial_family(r, (0.25, 0.5, 1.0), layer_norm_eps=eps(r), hidden_act=act(r, "gelu_new"),
                                            qk_layernorm=flag(r))),
    "starcoder2": ("Starcoder2", lambda r: llama_like(
        r, False, norm_epsilon=eps(r), use_bias=flag(r), sliding_window=r.choice([None, 16]),
        hidden_act=act(r, "gelu_pytorch_tanh"), bos_token_id=1, eos_token_id=2)),
    "stablelm": ("StableLm", lambda r: partial_family(
        r, (0.25, 0.5, 1.0), layer_norm_eps=eps(r), use_qkv_bias=flag(r), use_parallel_residual=flag(r),
        hidden_act=act(r), qk_layernorm=flag(r))),
    "falcon": ("Falcon", falcon),
    "cohere": ("Cohere", lambda r: llama_like(r, False, layer_norm_eps=eps(r), logit_scale=r.choice([0.0625, 0.4]),
                                              attention_bias=flag(r), hidden_act=act(r), use_qk_norm=flag(r))),
    "cohere2": ("Cohere2", cohere2),
    "glm": ("Glm", glm),
    "glm4": ("Glm4", glm),
    "gpt2": ("GPT2", lambda r: gpt(r, scale_attn_weights=r.random() < 0.8,
                                   scale_attn_by_inverse_layer_idx=r.random() < 0.3)),
    "gpt_bigcode": ("GPTBigCode", lambda r: gpt(r, "gelu_pytorch_tanh", multi_query=flag(r),
                                                scale_attn_weights=r.random() < 0.8)),
    "gpt_neo": ("GPTNeo", gpt_neo),
    "gptj": ("GPTJ", gptj),
    "gpt_neox": ("GPTNeoX", neox),
    "bloom": ("Bloom", lambda r: dict(vocab_size=r.choice([61, 96]), hidden_size=r.choice([2, 4, 8]) * 12,
                                      n_layer=r.choice([1, 2, 3]), n_head=r.choice([1, 2, 3, 4, 6, 12]),
                                      layer_norm_epsilon=eps(r), tie_word_embeddings=flag(r))),
    "mpt": ("Mpt", lambda r: dict(vocab_size=r.choice([61, 96]), d_model=r.choice([2, 4]) * 12, n_layers=r.choice([1, 2]),
                                  n_heads=r.choice([1, 2, 3, 4, 6]), max_seq_len=r.choice([96, 512]),
                                  attn_config=dict(clip_qkv=r.choice([None, 0.9]), softmax_scale=r.choice([None, 0.3])),
                                  layer_norm_epsilon=eps(r), tie_word_embeddings=flag(r))),
    "opt": ("OPT", opt),
    "mixtral": ("Mixtral", lambda r: llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), **experts(
        r, "num_local_experts"), sliding_window=r.choice([None, 9]))),
    "qwen2_moe": ("Qwen2Moe", lambda r: qwen_moe(r, False, qkv_bias=flag(r),
                                                 shared_expert_intermediate_size=r.choice([16, 40]))),
    "qwen3_moe": ("Qwen3Moe", lambda r: qwen_moe(r, attention_bias=flag(r))),
    "ernie4_5_moe": ("Ernie4_5_Moe", ernie_moe),
    "gpt_oss": ("GptOss", gpt_oss),
    "nemotron": ("Nemotron", lambda r: partial_family(
        r, (0.25, 0.5, 1.0), norm_eps=eps(r), attention_bias=flag(r), mlp_bias=flag(r), hidden_act=act(r, "relu2"))),
    "arcee": ("Arcee", lambda r: llama_like(r, False, rms_norm_eps=eps(r), attention_bias=flag(r), mlp_bias=flag(r),
                                            hidden_act=act(r, "relu2"))),
    "exaone4": ("Exaone4", exaone4),
    "hunyuan_v1_dense": ("HunYuanDenseV1", hunyuan),
    "olmoe": ("Olmoe", lambda r: llama_like(r, False, rms_norm_eps=eps(r), attention_bias=flag(r), hidden_act=act(r),
                                            norm_topk_prob=flag(r), eos_token_id=1, **experts(r))),
    "granitemoe": ("GraniteMoe", granite_moe),
    "deepseek_v2": ("DeepseekV2", lambda r: deepseek(r, mlp_bias=flag(r), kv_lora_rank=r.choice([8, 24, 40]),
        qk_nope_head_dim=r.choice([2, 8, 16]), topk_method=r.choice(["greedy", "group_limited_greedy"]))),
    "deepseek_v3": ("DeepseekV3", lambda r: deepseek(r, rope_interleave=flag(r))),
    "glm4_moe_lite": ("Glm4MoeLite", glm_lite),
    "openai-gpt": ("OpenAIGPT", openai_gpt),
    "xglm": ("XGLM", xglm),
    "biogpt": ("BioGpt", biogpt),
    "persimmon": ("Persimmon", persimmon),
    "internlm3": ("InternLM3", lambda r: internlm3(r, flag(r))),
    "iquestcoder": ("IQuestCoder", lambda r: llama_like(r, rms_norm_eps=eps(r), hidden_act=act(r), attention_bias=flag(r),
                                                        mlp_bias=flag(r))),
    "flex_olmo": ("FlexOlmo", lambda r: llama_like(r, False, rms_norm_eps=eps(r), attention_bias=flag(r), hidden_act=act(r),
                                                   norm_topk_prob=flag(r), eos_token_id=1, pad_token_id=0, **experts(r))),
    "solar_open": ("SolarOpen", solar_open),
    "olmo3": ("Olmo3", olmo3),
    "cwm": ("Cwm", cwm),
    "ministral": ("Ministral", ministral),
    "helium": ("Helium", helium),
    "vaultgemma": ("VaultGemma", gemma2),
    "glm4_moe": ("Glm4Moe", glm4_moe),
    "dots1": ("Dots1", dots1),
    "minimax_m2": ("MiniMaxM2", minimax_m2),
    "youtu": ("Youtu", lambda r: latent(r, rope_interleave=flag(r))),
    "minicpm3": ("MiniCPM3", lambda r: latent(r, mlp_bias=flag(r), scale_emb=r.choice([1, 12]), scale_depth=r.choice(
        [None, 1.4]), dim_model_base=r.choice([None, 20]), pad_token_id=0)),
    "granitemoeshared": ("GraniteMoeShared", lambda r: granite_moe(r, shared_intermediate_size=r.choice([0, 24]))),
}
CLASSES = {"GPT2": "GPT2LMHeadModel", "InternLM3": "LlamaForCausalLM", "IQuestCoder": "LlamaForCausalLM", "OpenAIGPT": "OpenAIGPTLMHeadModel", "Gemma3Text": "Gemma3ForCausalLM", "Gemma4Text": "Gemma4ForCausalLM",
           "Gemma4UnifiedText": "Gemma4UnifiedForCausalLM"}
# Buffers that are of a model as its parameters are.
LEARNED_BUFFERS = ("e_score_correction_bias", "layer_scalar")


def fill(model, generator):
    """Sizes at which attention is neither uniform nor one-hot and logits a few units wide."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = generator.standard_normal(tuple(parameter.shape)).astype(np.float32)
            if parameter.ndim == 1:
                zero_centered = name.endswith("bias") or type(model).__name__.startswith(
                    ("GemmaF", "Gemma2", "Gemma3", "Nemotron"))
                values = (0.0 if zero_centered else 1.0) + 0.25 * values
            elif "embed" in name or "wte" in name or "wpe" in name:
                values *= 0.8 if not model.config.tie_word_embeddings else 1.5 / parameter.shape[1] ** 0.5
            else:
                values *= 1.3 / min(parameter.shape) ** 0.5 if parameter.ndim == 2 else 0.3
            parameter.copy_(torch.from_numpy(values))
        for name, buffer in model.named_buffers():
            if name.endswith(LEARNED_BUFFERS):
                center = 0.0 if name.endswith("bias") else 1.0
                buffer.copy_(torch.from_numpy(center + 0.2 * generator.standard_normal(tuple(buffer.shape))))


def draw(family, seed):
    """The random numbers that go on, the config's members, the model."""
    r = random.Random(f"{family} {seed}")
    stem, configs = FAMILIES[family]
    members = configs(r)
    # Falcon's eager attention adds ALiBi twice, in the mask and beside it
    attention = "sdpa" if members.get("alibi") else "eager"
    config = getattr(transformers, stem + "Config")(attn_implementation=attention, experts_implementation="eager", **members)
    model = getattr(transformers, CLASSES.get(stem, stem + "ForCausalLM"))(config).eval().float()
    return r, members, model


def write(family, seed, folder):
    """The config's members, tokens, and their logits at every position."""
    r, members, model = draw(family, seed)
    fill(model, np.random.Generator(np.random.PCG64(zlib.crc32(f"{family} {seed}".encode()))))
    dtype = r.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])
    with torch.no_grad():  # not its buffers, the frequencies of rope among them
        for parameter in [*model.parameters(), *(buffer for name, buffer in model.named_buffers()
                                                 if name.endswith(LEARNED_BUFFERS))]:
            parameter.copy_(parameter.to(dtype).float())
    model.save_pretrained(folder, state_dict={name: t.to(dtype) for name, t in model.state_dict().items()})
    tokens = [r.randrange(model.config.vocab_size) for _ in range(r.choice([LENGTH, LENGTH, 30]))]
    more = {"output_hidden_states": True} if family.startswith("gemma4") else {}  # else it cuts what isn't there
    with torch.no_grad():
        return members, tokens, model(input_ids=torch.tensor([tokens]), use_cache=False, **more).logits[0].numpy()


def check(program, family, seed, keep):
    folder = keep or tempfile.mkdtemp()
    members, tokens, wanted = write(family, seed, folder)
    run = subprocess.run([program, "--model", folder, "--tokens", ",".join(map(str, tokens)), "--all"],
                         capture_output=True, text=True, timeout=120)
    if not keep:
        shutil.rmtree(folder)
    if run.returncode:
        return "refused: " + run.stderr.strip().replace(folder, ""), members
    got = np.array(json.loads(run.stdout)["logits"], dtype=np.float32)
    difference = float(abs(got - wanted).max()) if got.shape == wanted.shape else float("inf")
    if difference <= TOLERANCE:
        return None, difference
    return f"differs by {difference:.3g} of {abs(wanted).max():.3g}", members


if __name__ == "__main__":
    torch.set_num_threads(1)
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("families", nargs="*")
    arguments.add_argument("--count", type=int, default=30)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--keep")
    a = arguments.parse_args()
    os.environ.setdefault("TRANSFORMER_CPU", "reference")
    for name in a.families or FAMILIES:
        highest, said = 0.0, {}
        for number in range(a.seed, a.seed + a.count):
            try:
                problem, detail = check(a.program, name, number, a.keep)
            except Exception as error:  # transformers refuses this config
                problem, detail = f"transformers: {type(error).__name__}: {str(error)[:150]}", None
            if problem:
                said.setdefault(problem if problem.startswith("transformers") else problem[:160], []).append((number, detail))
            else:
                highest = max(highest, detail)
        print(f"{name}: {a.count - sum(map(len, said.values()))} of {a.count} agree, highest difference {highest:.2e}",
              flush=True)
        for problem, cases in said.items():
            print(f"    {len(cases)}x {problem}; seed {cases[0][0]}: {cases[0][1]}", flush=True)
