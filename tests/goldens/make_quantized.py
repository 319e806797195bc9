"""Writes data/quantized: one small llama a weight type, and the logits of its dequantized weights in f32.
Run: python3 make_quantized.py [TYPE ...]"""

import os
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

import golden_file
import gguf_model
import random_model

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "quantized")
TYPES = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K",
         "IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4", "TQ1_0", "IQ1_M", "IQ2_XS", "IQ3_S")
# Where a block has its scale, a half; None: elsewhere.
LEVELS = {"IQ4_NL": 0, "IQ4_XS": 0, "MXFP4": None, "NVFP4": None, "TQ1_0": 52, "IQ1_M": None, "IQ2_XS": 0, "IQ3_S": 0}

CONFIG = dict(vocab_size=251, num_hidden_layers=1, max_position_embeddings=512, rms_norm_eps=1e-5,
              rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
SMALL = dict(hidden_size=96, intermediate_size=160, num_attention_heads=6, num_key_value_heads=2, head_dim=16,
             tie_word_embeddings=False)
# Blocks of 256 weights need rows of 256.
WIDE = dict(hidden_size=256, intermediate_size=256, num_attention_heads=4, num_key_value_heads=1, head_dim=64,
            tie_word_embeddings=True)


def halves(values):
    return np.asarray(values, dtype="<f2").reshape(-1, 1).view(np.uint8)


def random_blocks(weight_type, n, deviation, random):
    """n blocks of random bytes [n][block bytes] whose scales are such that the weights deviate by about `deviation`
    from 0. One scale in eight is negative, which the formats allow."""
    def scales(size):
        spread = deviation * size * random.uniform(0.6, 1.4, n)
        return spread * np.where(random.random(n) < 0.125, -1, 1)

    def bytes_of(count):
        return random.integers(0, 256, (n, count), dtype=np.uint8)

    if weight_type == Type.Q2_K:  # scales[16] (4-bit scale, 4-bit minimum), qs[64], d, dmin: d*s*q - dmin*m
        d = scales(1 / 12)
        return np.hstack([bytes_of(80), halves(d), halves(d * 1.5)])
    if weight_type == Type.Q3_K:  # hmask[32], qs[64], scales[12] (6-bit, less 32), d: d*s*(q - 4)
        return np.hstack([bytes_of(108), halves(scales(1 / 43))])
    if weight_type == Type.Q4_K:  # d, dmin, scales[12], qs[128]
        d = scales(1 / 200)
        return np.hstack([halves(d), halves(d * 7.5), bytes_of(140)])
    if weight_type == Type.Q5_K:  # d, dmin, scales[12], qh[32], qs[128]
        d = scales(1 / 420)
        return np.hstack([halves(d), halves(d * 15.5), bytes_of(172)])
    if weight_type == Type.Q6_K:  # ql[128], qh[64], scales[16] (8-bit), d: d*s*(q - 32)
        return np.hstack([bytes_of(208), halves(scales(1 / 1370))])
    if weight_type == Type.Q8_K:  # d as f32, qs[256], sums of 16 as int16: d*q
        values = random.integers(-127, 128, (n, 256), dtype=np.int8)
        sums = values.reshape(n, 16, 16).sum(-1).astype("<i2").view(np.uint8).reshape(n, 32)
        d = scales(1 / 73).astype("<f4").reshape(n, 1).view(np.uint8)
        return np.hstack([d, values.view(np.uint8), sums])
    raise ValueError(weight_type)


def random_levels(weight_type, n, deviation, random):
    """The same for the types whose values are levels of a table: with scales of 1, then with those that deviate."""
    block_bytes = gguf.GGML_QUANT_SIZES[weight_type][1]
    blocks = random.integers(0, 256, (n, block_bytes), dtype=np.uint8)
    at = LEVELS[weight_type.name]

    def set_scales(scales):
        if weight_type == Type.MXFP4:  # a power of two
            blocks[:, 0] = np.clip(np.round(np.log2(np.abs(scales))) + 127, 0, 254)
        elif weight_type == Type.NVFP4:  # four of e4m3
            for i in range(4):
                blocks[:, i] = gguf.quants.NVFP4.fp32_to_ue4m3(np.abs(scales * random.uniform(0.6, 1.4, n)))
        elif weight_type == Type.IQ1_M:  # a nibble in each of four words
            half = np.asarray(scales, dtype="<f2").view("<u2")
            for i in range(4):
                blocks[:, 49 + 2 * i] = (blocks[:, 49 + 2 * i] & 15) | (half >> 4 * i & 15) << 4
        else:
            blocks[:, at:at + 2] = halves(scales)

    set_scales(np.ones(n))
    unit = gguf.quants.dequantize(blocks, weight_type).std()
    spread = deviation / unit * random.uniform(0.6, 1.4, n)
    set_scales(spread * np.where(random.random(n) < 0.125, -1, 1))
    return blocks


def dequantize(blocks, weight_type):
    if weight_type == Type.Q8_K:  # not in the gguf package
        rows = blocks.reshape(-1, 292)
        d = np.ascontiguousarray(rows[:, :4]).view("<f4")
        return (d * rows[:, 4:260].view(np.int8)).reshape(blocks.shape[0], -1).astype(np.float32)
    return gguf.quants.dequantize(blocks, weight_type)


def encode(weight_type, values, random):
    """Blocks as bytes [rows][bytes] for weights [rows][cols] in the file's layout. The K types and most
    of those with a table of levels have no encoder in the gguf package: their blocks are random, which covers what an encoder would never write too."""
    if weight_type.name.endswith("_K"):
        blocks = random_blocks(weight_type, values.size // 256, values.std(), random)
        return blocks.reshape(values.shape[0], -1)
    if weight_type.name in LEVELS:
        n = values.size // gguf.GGML_QUANT_SIZES[weight_type][0]
        return random_levels(weight_type, n, values.std(), random).reshape(values.shape[0], -1)
    return gguf.quants.quantize(values, weight_type)


def make(type_name):
    weight_type = Type[type_name]
    name = "llama-" + type_name.lower()
    config = {**CONFIG, **(WIDE if gguf.GGML_QUANT_SIZES[weight_type][0] > 32 else SMALL)}
    model = random_model.build(name, "llama", {}, **config)
    random = random_model.generator(name + " blocks")
    state, encoded = model.state_dict(), {}
    with torch.no_grad():
        for source, target in gguf_model.tensor_names("llama", config["num_hidden_layers"]):
            if source not in state or state[source].ndim != 2:
                continue
            if source == "lm_head.weight" and config["tie_word_embeddings"]:
                continue
            values = gguf_model.to_gguf_values("llama", model.config, target, state[source].numpy())
            blocks = encode(weight_type, np.ascontiguousarray(values), random)
            encoded[target] = (weight_type, blocks)
            plain = np.asarray(dequantize(blocks, weight_type), dtype=np.float32).reshape(values.shape)
            plain = gguf_model.from_gguf_values("llama", model.config, target, plain)
            state[source].copy_(torch.from_numpy(np.ascontiguousarray(plain)))
    gguf_model.write_model(os.path.join(FOLDER, name + ".gguf"), name, "llama", model, {}, None, encoded)
    tokens = random_model.generator(name + " tokens").integers(0, config["vocab_size"], 32).tolist()
    positions = list(range(0, 32, 2)) + [31]
    rows = random_model.logits(model, tokens, positions)
    golden_file.write_logits(os.path.join(FOLDER, name + ".logits"), [(tokens, positions, rows)])
    print(f"{name}: logits deviate by {rows.std():.2f}, highest {abs(rows).max():.2f}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    os.makedirs(FOLDER, exist_ok=True)
    for type_name in sys.argv[1:] or TYPES:
        make(type_name)
