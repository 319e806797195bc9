#!/usr/bin/env python3
"""Writes corpus/vocabulary: small vocabularies in the files that folders and GGUF have them in, right and wrong."""
import base64
import json
import os
import struct

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "vocabulary")


def write(name, files):
    with open(os.path.join(CORPUS, name), "wb") as out:
        for file, data in files.items():
            data = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
            out.write(b"%s\n%d\n" % (file.encode(), len(data)) + data)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def charsmap():
    """A becomes a, e with an acute accent is composed."""
    units = [0] * 0x200
    texts = b"a\0\xc3\xa9\0"

    def leaf(node, label, leaf_at, value, to=0):
        units[node] = label | 1 << 8 | (node ^ leaf_at ^ to) << 10
        units[leaf_at ^ to] = 1 << 31 | value

    leaf(0x41, 0x41, 0x42, 0)
    units[0x65] = 0x65 | (0x65 ^ 0x100) << 10  # e, then cc 81
    units[0x100 ^ 0xCC] = 0xCC | (0x100 ^ 0xCC ^ 0x180) << 10
    leaf(0x180 ^ 0x81, 0x81, 0x1F0, 2)
    array = struct.pack("<%dI" % len(units), *units)
    return struct.pack("<I", len(array)) + array + texts


SPACE = "\u2581"
PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), (SPACE, -2.0, 1), ("a", -3.0, 1), ("l", -3.5, 1), ("o", -3.25, 1),
          ("ll", -2.5, 1), (SPACE + "He", -4.0, 1), ("H", -5.0, 1), ("e", -5.0, 1), ("12", 0.0, 4), ("w\u00f6", -4.5, 1)]
BYTES = [("<0x%02X>" % i, 0.0, 6) for i in range(256)]


def model(kind, pieces, trainer=b"", normalizer=b"", more=b""):
    out = b"".join(field(1, field(1, text) + field(2, score) + field(3, type_)) for text, score, type_ in pieces)
    return out + field(2, field(3, kind) + trainer) + field(3, normalizer) + more


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, str):
        data = value.encode()
        return struct.pack("<IQ", 8, len(data)) + data
    if isinstance(value, bytes):
        return struct.pack("<IIQ", 9, 0, len(value)) + value
    kind = 8 if isinstance(value[0], str) else 6 if isinstance(value[0], float) else 5
    out = struct.pack("<IIQ", 9, kind, len(value))
    for item in value:
        out += gguf_value(item)[4:] if kind == 8 else struct.pack("<f" if kind == 6 else "<i", item)
    return out


def gguf(kind, tokens, others=None, **more):
    keys = {"tokenizer.ggml.model": kind, "tokenizer.ggml.tokens": [t[0] for t in tokens],
            "tokenizer.ggml.scores": [t[1] for t in tokens], "tokenizer.ggml.token_type": [t[2] for t in tokens]}
    keys.update({"tokenizer.ggml." + name: value for name, value in more.items()})
    keys.update(others or {})
    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys))
    for key, value in keys.items():
        out += struct.pack("<Q", len(key)) + key.encode() + gguf_value(value)
    return out


def main():
    os.makedirs(CORPUS, exist_ok=True)
    unigram = model(1, PIECES, normalizer=field(2, charsmap()))
    merges = model(2, PIECES + BYTES, trainer=field(35, 1), normalizer=field(3, 0) + field(4, 0))
    text = "Hello  A e\u0301 wo\u0308 12 zz"
    write("ok_unigram", {"tokenizer.model": unigram, "text": text})
    write("ok_merges", {"tokenizer.model": merges, "text": text})
    write("ok_suffix", {"spiece.model": model(1, PIECES, trainer=field(24, 1), normalizer=field(5, 0)), "text": text})
    write("ok_t5", {"spiece.model": unigram, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "extra_ids": 3}})
    write("ok_fairseq", {"sentencepiece.bpe.model": unigram,
                         "tokenizer_config.json": {"tokenizer_class": "MBartTokenizer", "src_lang": "de_DE", "eos_token": {"content": "</s>"}}})
    vocab = {"</s>": 0, "<unk>": 1, "<pad>": 6, SPACE: 2, "ll": 3, SPACE + "He": 4, ">>fra<<": 5}
    write("ok_marian", {"source.spm": unigram, "target.spm": merges, "vocab.json": vocab, "text": ">>fra<<Hello"})
    separate = {"tokenizer_config.json": {"separate_vocabs": True, "added_tokens_decoder": {"5": {"content": ">>fra<<", "special": True}}}}
    of_target = {"<unk>": 0, "</s>": 1, SPACE + "He": 2, "<0x41>": 3, "<pad>": 4}
    models = {"source.spm": unigram, "target.spm": merges, "vocab.json": vocab, "text": ">>fra<<Hello </s>"}
    write("ok_marian_separate", {**models, **separate, "target_vocab.json": of_target})
    write("marian_no_target", {**models, **separate})
    write("marian_far_target", {**models, **separate, "target_vocab.json": {"a": 2 ** 31}})
    tokens = [("<unk>", 0.0, 2), ("a", -1.0, 1)]
    of_sources = {"tokenizer.source_vocabulary.tokens": ["<unk>", "a", "b"]}
    pieces = {"tokenizer.source.model": "t5", "tokenizer.source.tokens": ["a", "b", "c"],
              "tokenizer.source.scores": [-1.0, -2.0, -3.0], "tokenizer.source.token_type": [1, 1, 1]}
    write("gguf_sources", {"model.gguf": gguf("t5", tokens, {**of_sources, **pieces,
                                                            "tokenizer.source_vocabulary.suffix_tokens": [2]}), "text": "abcd"})
    write("gguf_sources_no_pieces", {"model.gguf": gguf("t5", tokens, of_sources)})
    write("gguf_sources_far_suffix", {"model.gguf": gguf("t5", tokens, {
        **of_sources, **pieces, "tokenizer.source_vocabulary.suffix_tokens": [3]})})
    write("ok_m2m", {"sentencepiece.bpe.model": merges, "vocab.json": vocab,
                     "tokenizer_config.json": {"tokenizer_class": "M2M100Tokenizer", "src_lang": "fr"}})
    words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nw\n##o\n##rld\n,\n"
    write("ok_wordpiece", {"vocab.txt": words, "text": text})
    write("ok_wordpiece_signs", {"vocab.txt": words + SPACE + "\n##" + SPACE + "\n",
                                 "tokenizer_config.json": {"do_lower_case": False, "tokenize_chinese_chars": False}})
    pairs = {"H": 0, "e": 1, "l": 2, "o": 3, "ll": 4, "He": 5, "Hell": 6, "\u0120": 7, "<|endoftext|>": 8}
    bpe = {"vocab.json": pairs, "merges.txt": "#version: 0.2\nl l\nH e\nHe ll\n"}
    write("ok_gpt2", dict(bpe, **{"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}}))
    write("ok_qwen2", dict(bpe, **{"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}, "text": text}))
    ranks = b"".join(base64.b64encode(token) + b" %d\n" % i for i, token in enumerate([b"H", b"e", b"l", b"o", b"ll", b"\xc3", b"\xc3\xb6", b" "]))
    write("ok_qwen", {"qwen.tiktoken": ranks, "tokenizer_config.json": {"tokenizer_class": "QWenTokenizer"}})
    write("ok_llama3", {"tokenizer.model": ranks, "tokenizer_config.json": {
        "tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {"8": {"content": "<s>", "special": True}}}})
    write("ok_added", {"tokenizer.model": merges, "added_tokens.json": {"<x>": 300}, "special_tokens_map.json": {"bos_token": "<x>"},
                       "tokenizer_config.json": {"additional_special_tokens": ["<y>", {"content": "<z>"}], "add_bos_token": True}, "text": "<x>a<y>"})

    write("word", {"tokenizer.model": model(3, PIECES)})
    write("no_unknown", {"tokenizer.model": model(1, PIECES[1:])})
    write("two_unknown", {"tokenizer.model": model(1, PIECES + [("u", 0.0, 2)])})
    write("cut", {"tokenizer.model": unigram[:-5]})
    write("type_9", {"tokenizer.model": model(1, PIECES + [("u", 0.0, 9)])})
    write("group", {"tokenizer.model": unigram + b"\x0b\x0c"})
    write("long_number", {"tokenizer.model": unigram + b"\x08" + b"\xff" * 10})
    write("map_cut", {"tokenizer.model": model(1, PIECES, normalizer=field(2, charsmap()[:40]))})
    write("map_offsets", {"tokenizer.model": model(1, PIECES, normalizer=field(2, struct.pack("<I", 512) + b"\xff" * 600)), "text": text})
    write("denormalizer", {"tokenizer.model": model(1, PIECES, more=field(5, field(2, charsmap())))})
    write("unused_merges", {"tokenizer.model": model(2, PIECES + [("u", 0.0, 5)])})
    write("albert", {"spiece.model": unigram, "tokenizer_config.json": {"tokenizer_class": "AlbertTokenizer"}})
    write("far_id", {"vocab.json": {"a": 16000000}, "merges.txt": "a a\n", "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}})
    write("rank_cut", {"qwen.tiktoken": b"QQ== 0\nQg=", "tokenizer_config.json": {"tokenizer_class": "QWenTokenizer"}})

    write("gguf_t5", {"model.gguf": gguf("t5", PIECES, add_space_prefix=True, remove_extra_whitespaces=True,
                                         precompiled_charsmap=charsmap(), unknown_token_id=0, eos_token_id=2), "text": text})
    write("gguf_plamo2", {"model.gguf": gguf("plamo2", PIECES + BYTES), "text": "\ufeff" + text})
    rwkv = [("<s>", 0.0, 3)] + [(t, 0.0, 1) for t in ("\\n", "\\x00", "H", "He", "l", "\\xc3\\xb6", "\\\\", "lo ", "\\")]
    write("gguf_rwkv", {"model.gguf": gguf("rwkv", rwkv), "text": text + "\n\\"})
    tokens = [(t, 0.0, 1) for t in pairs] + [(SPACE, 0.0, 1), ("\n\n", 0.0, 1)] + BYTES
    write("gguf_gemma4", {"model.gguf": gguf("gemma4", tokens, merges=["l l", "H e", "He ll"], bos_token_id=8), "text": text + "\n\n"})
    write("gguf_whitespace", {"model.gguf": gguf("whitespace", tokens, pre="whitespace", merges=["l l", "H e"]), "text": text})
    dna = tokens + [("<dna>", 0.0, 1), ("</dna>", 0.0, 1), ("<oov>", 0.0, 1), ("ACGTAC\ue000", 0.0, 1)]
    write("gguf_dna", {"model.gguf": gguf("hybriddna", dna, pre="gpt-2", merges=["l l"]), "text": "He<dna>acgtacNN</dna>l<dna>"})


if __name__ == "__main__":
    main()
