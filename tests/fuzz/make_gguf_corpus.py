#!/usr/bin/env python3
"""Small GGUF files, right and wrong, for the fuzz targets and for every test run to replay.

    python3 tests/fuzz/make_gguf_corpus.py        writes corpus/gguf/*.gguf beside itself

Files named ok_* are valid; the others break one rule each, which their name tells. Names of the form
found_* are inputs that a fuzzer once found trouble with; this script doesn't make those.
"""
import pathlib
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B",
        U64: "<Q", I64: "<q", F64: "<d"}
# number in the file, elements of a block, bytes of a block
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "BF16": (30, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
         "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84),
         "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210),
         "Q8_K": (15, 256, 292), "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136), "MXFP4": (39, 32, 17),
         "NVFP4": (40, 64, 36), "TQ1_0": (34, 256, 54), "TQ2_0": (35, 256, 66), "IQ1_S": (19, 256, 50),
         "IQ1_M": (29, 256, 56), "IQ2_XXS": (16, 256, 66), "IQ2_XS": (17, 256, 74), "IQ2_S": (22, 256, 82),
         "IQ3_XXS": (18, 256, 98), "IQ3_S": (21, 256, 110)}


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    return text(v) if kind == STRING else struct.pack(PACK[kind], v)


def key(name, kind, v):
    return text(name) + struct.pack("<I", kind) + value(kind, v)


def array(name, kind, values, count=None):
    head = struct.pack("<IIQ", ARRAY, kind, len(values) if count is None else count)
    return text(name) + head + b"".join(value(kind, v) for v in values)


def tensor(name, dims, kind, offset):
    return (text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
            + struct.pack("<IQ", kind, offset))


def gguf(keys=(), tensors=(), data=b"", version=3, n_keys=None, n_tensors=None, alignment=32, magic=b"GGUF"):
    head = magic + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors,
                               len(keys) if n_keys is None else n_keys)
    head += b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % alignment) + data


def model(entries, keys):
    """Tensors of (name, dims, type name), laid out one after the other with small random-looking data."""
    infos, data = [], b""
    for name, dims, kind in entries:
        number, block, block_bytes = TYPES[kind]
        n = dims[0] // block * block_bytes
        for d in dims[1:]:
            n *= d
        infos.append(tensor(name, dims, number, len(data)))
        if kind == "F32":
            data += b"".join(struct.pack("<f", ((i * 37 + len(name)) % 19 - 9) / 16) for i in range(n // 4))
        else:  # bytes that make half-precision factors small
            data += bytes((i * 29 + 3) % 40 for i in range(n))
        data += b"\0" * (-len(data) % 32)
    return gguf(keys, infos, data)


ALL_KINDS = [
    key("k.u8", U8, 200), key("k.i8", I8, -100), key("k.u16", U16, 60000), key("k.i16", I16, -30000),
    key("k.u32", U32, 4000000000), key("k.i32", I32, -2000000000), key("k.f32", F32, 0.5), key("k.bool", BOOL, 1),
    key("k.string", STRING, "text"), key("k.u64", U64, 2**64 - 1), key("k.i64", I64, -2**63), key("k.f64", F64, 1e300),
    array("k.u8s", U8, [1, 2, 3]), array("k.bools", BOOL, [0, 1, 1]), array("k.f32s", F32, [1.0, -1.0]),
    array("k.strings", STRING, ["a", "", "c\0d"]), array("k.none", I64, []),
]


def llama():
    """A whole tiny model of the llama family with a byte-level vocabulary."""
    n_embd, n_ff, vocab = 16, 32, ["<s>", "</s>", "a", "b", "c", "ab", "\u0120", "\u0120a"]
    keys = [
        key("general.architecture", STRING, "llama"), key("general.name", STRING, "tiny"),
        key("llama.block_count", U32, 1), key("llama.context_length", U32, 64),
        key("llama.embedding_length", U32, n_embd), key("llama.feed_forward_length", U32, n_ff),
        key("llama.attention.head_count", U32, 2), key("llama.attention.head_count_kv", U32, 1),
        key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), key("llama.rope.freq_base", F32, 10000.0),
        key("llama.rope.dimension_count", U32, 8), key("llama.vocab_size", U32, len(vocab)),
        key("tokenizer.ggml.model", STRING, "gpt2"), key("tokenizer.ggml.pre", STRING, "gpt-2"),
        array("tokenizer.ggml.tokens", STRING, vocab), array("tokenizer.ggml.token_type", I32, [3, 3, 1, 1, 1, 1, 1, 1]),
        array("tokenizer.ggml.merges", STRING, ["a b", "\u0120 a"]),
        key("tokenizer.ggml.bos_token_id", U32, 0), key("tokenizer.ggml.eos_token_id", U32, 1),
    ]
    b = "blk.0."
    entries = [
        ("token_embd.weight", [n_embd, len(vocab)], "F32"), ("output_norm.weight", [n_embd], "F32"),
        (b + "attn_norm.weight", [n_embd], "F32"), (b + "attn_q.weight", [n_embd, 16], "F32"),
        (b + "attn_k.weight", [n_embd, 8], "F16"), (b + "attn_v.weight", [n_embd, 8], "BF16"),
        (b + "attn_output.weight", [16, n_embd], "F32"), (b + "ffn_norm.weight", [n_embd], "F32"),
        (b + "ffn_gate.weight", [n_embd, n_ff], "F32"), (b + "ffn_up.weight", [n_embd, n_ff], "F32"),
        (b + "ffn_down.weight", [n_ff, n_embd], "Q8_0"),
    ]
    return model(entries, keys)


def main():
    files = {
        "ok_empty": gguf(),
        "ok_kinds": gguf(ALL_KINDS),
        "ok_v2": gguf(ALL_KINDS[:3], [tensor("w", [8], 0, 0)], bytes(32), version=2),
        "ok_types": model([("w." + name, [256, 2], name) for name in TYPES], []),
        "ok_four_dims": gguf([], [tensor("w", [2, 3, 4, 5], 0, 0)], bytes(480)),
        "ok_alignment": gguf([key("general.alignment", U32, 1)], [tensor("w", [3], 0, 0), tensor("v", [1], 1, 12)],
                             bytes(14), alignment=1),
        "ok_unordered": gguf([], [tensor("b", [8], 0, 32), tensor("a", [8], 0, 0)], bytes(64)),
        "ok_llama": llama(),
        "empty_file": b"",
        "magic_only": b"GGUF",
        "magic_wrong": gguf(magic=b"GGML"),
        "magic_swapped": gguf(magic=b"FUGG"),
        "version_0": gguf(version=0),
        "version_1": gguf(version=1),
        "version_4": gguf(version=4),
        "version_big_endian": gguf(version=0x03000000),
        "tensors_2_60": gguf(n_tensors=2**60),
        "keys_2_60": gguf(n_keys=2**60),
        "keys_more_than_bytes": gguf([key("a", U8, 1)], n_keys=3, data=bytes(20)),
        "key_twice": gguf([key("a", U8, 1), key("a", U8, 2)]),
        "key_empty": gguf([key("", U8, 1)], data=bytes(32)),
        "key_long": gguf([key("a" * 70000, U8, 1)]),
        "key_nul": gguf([key("a\0b", U8, 1)]),
        "key_beyond_end": gguf([struct.pack("<Q", 2**63) + b"a"], data=bytes(32)),
        "kind_unknown": gguf([text("a") + struct.pack("<IQ", 13, 0)]),
        "bool_2": gguf([key("a", BOOL, 2)]),
        "string_beyond_end": gguf([text("a") + struct.pack("<IQ", STRING, 2**64 - 1)]),
        "string_wraps": gguf([text("a") + struct.pack("<IQ", STRING, 2**64 - 40)]),
        "array_nested": gguf([text("a") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + struct.pack("<IQB", U8, 1, 1)]),
        "array_unknown_kind": gguf([text("a") + struct.pack("<IIQ", ARRAY, 77, 1)]),
        "array_count_wraps": gguf([array("a", U64, [1], count=2**61 + 1)]),
        "array_strings_too_many": gguf([array("a", STRING, ["x"], count=2**60)]),
        "array_strings_cut": gguf([array("a", STRING, ["x", "y"], count=9)], alignment=1),
        "array_bool_2": gguf([array("a", BOOL, [0, 2])]),
        "alignment_0": gguf([key("general.alignment", U32, 0)]),
        "alignment_48": gguf([key("general.alignment", U32, 48)]),
        "alignment_u64": gguf([key("general.alignment", U64, 32)]),
        "alignment_2_31": gguf([key("general.alignment", U32, 2**31)], [tensor("w", [1], 0, 0)], bytes(64)),
        "tensor_twice": gguf([], [tensor("w", [8], 0, 0), tensor("w", [8], 0, 32)], bytes(64)),
        "tensor_name_empty": gguf([], [tensor("", [8], 0, 0)], bytes(64)),
        "tensor_name_long": gguf([], [tensor("n" * 1100, [8], 0, 0)], bytes(64)),
        "tensor_0_dims": gguf([], [tensor("w", [], 0, 0)], bytes(64)),
        "tensor_5_dims": gguf([], [tensor("w", [1, 1, 1, 1, 1], 0, 0)], bytes(64)),
        "tensor_2_31_dims": gguf([], [text("w") + struct.pack("<I", 2**31)], bytes(64)),
        "tensor_dim_0": gguf([], [tensor("w", [8, 0], 0, 0)], bytes(64)),
        "tensor_dim_negative": gguf([], [tensor("w", [2**64 - 1], 0, 0)], bytes(64)),
        "tensor_product_wraps": gguf([], [tensor("w", [2**32, 2**32], 0, 0)], bytes(64)),
        "tensor_bytes_wrap": gguf([], [tensor("w", [2**62], 0, 0)], bytes(64)),
        "tensor_part_block": gguf([], [tensor("w", [33], 8, 0)], bytes(96)),
        "tensor_type_q8_1": gguf([], [tensor("w", [256], 9, 0)], bytes(288)),
        "tensor_type_removed": gguf([], [tensor("w", [32], 4, 0)], bytes(96)),
        "tensor_type_unknown": gguf([], [tensor("w", [32], 2**32 - 1, 0)], bytes(96)),
        "offset_unaligned": gguf([], [tensor("w", [8], 0, 8)], bytes(64)),
        "offset_beyond_end": gguf([], [tensor("w", [8], 0, 64)], bytes(64)),
        "offset_wraps": gguf([], [tensor("w", [8], 0, 2**64 - 32)], bytes(64)),
        "data_cut": gguf([], [tensor("w", [8], 0, 0)], bytes(31)),
        "data_missing": gguf([], [tensor("w", [8], 0, 0)], alignment=1),
        "data_overlaps": gguf([], [tensor("a", [16], 0, 0), tensor("b", [8], 0, 32)], bytes(96)),
        "data_overlaps_unordered": gguf([], [tensor("b", [8], 0, 32), tensor("a", [16], 0, 0)], bytes(96)),
        "head_cut": llama()[:600],
        "split_part_2": gguf([key("split.no", U16, 1), key("split.count", U16, 2)]),
        "split_no_names": gguf([key("split.no", U16, 0), key("split.count", U16, 2)]),
        "split_count_string": gguf([key("split.count", STRING, "2")]),
        "split_count_large": gguf([key("split.count", U32, 2**31)]),
        "split_no_beyond_count": gguf([key("split.no", U16, 3), key("split.count", U16, 2)]),
    }
    folder = pathlib.Path(__file__).parent / "corpus" / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (name + ".gguf")).write_bytes(data)


if __name__ == "__main__":
    main()
