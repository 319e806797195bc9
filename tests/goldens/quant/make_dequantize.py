#!/usr/bin/env python3
"""Random blocks of every weight type and their values as the gguf package dequantizes them.

    python3 tests/goldens/quant/make_dequantize.py       writes dequantize.bin beside itself

Needs numpy and gguf. A record is: name (8 bytes, padded with NUL), u32 elements, u32 bytes of the
blocks, the blocks, the elements as f32. Everything is little-endian. test_quant.c reads it.
"""
import pathlib
import struct

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Where a block's half-precision factors are: offsets of 2 bytes each.
FACTORS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
# The newer types, after the others so that those keep their random blocks.
LATER = {
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "NVFP4": [], "TQ1_0": [52], "TQ2_0": [64], "IQ1_S": [0], "IQ1_M": [],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
}
# Ordinary, subnormal, smallest normal, largest, negative zero, infinite.
EXTREMES = [None, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x8000, 0x7C00]


def blocks_of(random, name, block_bytes, count):
    blocks = random.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for i in range(count):
        for at in {**FACTORS, **LATER}.get(name, []):
            factor = EXTREMES[i % len(EXTREMES)]
            if factor is None or random.random() < 0.3:
                factor = int(np.float16(random.normal() * 0.02).view(np.uint16))
            blocks[i, at:at + 2] = np.frombuffer(struct.pack("<H", factor), np.uint8)
        if name in ("MXFP4", "NVFP4"):  # every kind of scale: the lowest, the highest, no number
            blocks[i, 0] = [0, 1, 2, 255, 254, 127, 7, 8, 126, 128, 121, 124][i]
        if name == "IQ1_M":  # the half in the top nibbles of four words
            blocks[i, 49::2] &= 15
            half = EXTREMES[i] or 0x1234
            blocks[i, 49::2] |= np.array([half >> 4 * k & 15 for k in range(4)], np.uint8) << 4
        if name == "Q8_K":
            scale = [0.013, 1e-40, 3e38, -2.5, 0.0][i % 5]
            blocks[i, :4] = np.frombuffer(struct.pack("<f", scale), np.uint8)
    return blocks


def main():
    random = np.random.default_rng(20240607)
    out = bytearray()
    for name in ["F32", "F16", "BF16", *FACTORS, "Q8_K", *LATER]:
        kind = GGMLQuantizationType[name]
        block, block_bytes = GGML_QUANT_SIZES[kind]
        count = {1: 64, 32: 12, 64: 12, 256: 5}[block]
        blocks = blocks_of(random, name, block_bytes, count)
        with np.errstate(all="ignore"):
            if name == "Q8_K":  # f32 scale times int8; the package has no Q8_K
                values = blocks[:, :4].copy().view("<f4") * blocks[:, 4:260].view(np.int8).astype("<f4")
            else:
                values = quants.dequantize(blocks.reshape(1, -1), kind)
        values = np.ascontiguousarray(values, dtype="<f4")
        assert values.size == count * block, name
        out += struct.pack("<8sII", name.encode(), values.size, blocks.size)
        out += blocks.tobytes() + values.tobytes()
    pathlib.Path(__file__).with_name("dequantize.bin").write_bytes(out)


if __name__ == "__main__":
    main()
