#!/usr/bin/env python3
"""Makes tests/goldens/data/vocabularies: small vocabularies in the files that models have them in, and the ids that the
programs they are of give for the generated texts (generated_text.py): hashes of blocks of 100, and samples.

usage: make_vocabularies.py            needs sentencepiece, tokenizers, transformers, tiktoken, gguf
       make_vocabularies.py llama.cpp  needs llama-cpp-python: the ids of the GGUF files
       make_vocabularies.py separate   marian-separate alone, of the models of marian
"""
import base64
import itertools
import json
import os
import shutil
import sys
import unicodedata

import generated_text as generated

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "vocabularies")
SAMPLES = (1, 3, 8, 11, 21, 96, 111, 203, 318, 465)


def write_ids(name, encode, special=0, skip=()):
    """encode: of a text, as it is repaired. skip: texts that the programs differ in for known reasons."""
    with open(os.path.join(DATA, name + ".ids"), "w") as out:
        out.write("special %d\n" % special)
        for index in sorted(skip):
            out.write("skip %d\n" % index)
        for begin in range(0, 10000, generated.BLOCK):
            h = generated.FNV_START
            for i in range(begin, begin + generated.BLOCK):
                if i in skip:
                    continue
                ids = encode(generated.repaired(generated.text(i)))
                h = generated.fnv(h, [len(ids)] + list(ids))
            out.write("hash %016x\n" % h)
        for i in SAMPLES:
            if i not in skip:
                ids = encode(generated.repaired(generated.text(i)))
                out.write("text %d%s\n" % (i, "".join(" %d" % id_ for id_ in ids)))
    print(name)


def fresh(name):
    path = os.path.join(DATA, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def put(path, name, value):
    with open(os.path.join(path, name), "w", encoding="utf-8") as out:
        out.write(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def training_texts():
    """Mostly words: the alphabet must stay small."""
    r = generated.Random(3)
    for i in range(6000):
        text = " ".join(generated.WORDS[r.below(len(generated.WORDS))] for _ in range(1 + r.below(12)))
        if i % 40 == 0:
            text += " " + generated.repaired(generated.text(i, seed=2))
        text = text.replace("\0", "").replace("\n", " ").replace("\r", " ")
        yield "".join(c for c in text if unicodedata.category(c) not in ("Cs", "Cn"))


def train(work, name, kind, **options):
    import sentencepiece

    rules = os.path.join(work, "rules.tsv")
    with open(rules, "w") as out:  # a part of NFKC, so that the map is small
        for c in itertools.chain(range(0xA0, 0x180), range(0x2000, 0x2070), range(0x2460, 0x2480), range(0x3300, 0x3320),
                                 range(0xFB00, 0xFB07), range(0xFF00, 0xFF60)):
            to = unicodedata.normalize("NFKC", chr(c))
            if to != chr(c):
                out.write("%X\t%s\n" % (c, " ".join("%X" % ord(x) for x in to)))
            decomposed = unicodedata.normalize("NFD", chr(c))
            if len(decomposed) == 2 and ord(decomposed[0]) < 128:
                out.write("%X %X\t%X\n" % (ord(decomposed[0]), ord(decomposed[1]), c))
        for c in (1, 2, 8, 0x200B, 0x200E, 0xAD):
            out.write("%X\t\n" % c)
        out.write("9\t20\nA\t20\nD\t20\n2581\t20\n")
    texts = os.path.join(work, "texts.txt")
    with open(texts, "w") as out:
        out.write("\n".join(training_texts()))
    if options.pop("map", True):
        options["normalization_rule_tsv"] = rules
    else:
        options["normalization_rule_name"] = "identity"
    sentencepiece.SentencePieceTrainer.train(
        input=texts, model_prefix=os.path.join(work, name), model_type=kind, character_coverage=0.98,
        hard_vocab_limit=False, minloglevel=2, max_sentence_length=100000, num_threads=1, **options)
    return os.path.join(work, name + ".model")


def sentencepiece_folders(models):
    import sentencepiece

    def folder(name, model, file, config, around=lambda ids: ids, special=0):
        path = fresh(name)
        shutil.copy(models[model], os.path.join(path, file))
        if config:
            put(path, "tokenizer_config.json", config)
        sp = sentencepiece.SentencePieceProcessor(model_file=models[model])
        write_ids(name, lambda text: around(sp.encode(text)), special)

    folder("spm-unigram", "unigram", "tokenizer.model", None)
    folder("spm-unigram-bytes", "unigram-bytes", "tokenizer.model", None)
    folder("spm-unigram-suffix", "unigram-suffix", "spm.model", None)
    folder("spm-bpe", "bpe", "tokenizer.model", None)
    folder("llama", "bpe-bytes", "tokenizer.model", {"tokenizer_class": "LlamaTokenizer"}, lambda ids: [1] + ids, 1)
    folder("t5", "t5", "spiece.model", {"tokenizer_class": "T5Tokenizer", "extra_ids": 10}, lambda ids: ids + [1], 1)

    def fairseq(offset, unknown):
        return lambda ids: [i + offset if i else unknown for i in ids]

    renumber, renumber4 = fairseq(1, 3), fairseq(4, 3)
    folder("xlm-roberta", "unigram", "sentencepiece.bpe.model", {"tokenizer_class": "XLMRobertaTokenizer"},
           lambda ids: [0] + renumber(ids) + [2], 1)
    folder("camembert", "unigram", "sentencepiece.bpe.model", {"tokenizer_class": "CamembertTokenizerFast"},
           lambda ids: [5] + renumber4(ids) + [6], 1)
    n = sentencepiece.SentencePieceProcessor(model_file=models["unigram"]).get_piece_size()
    folder("mbart", "unigram", "sentencepiece.bpe.model", {"tokenizer_class": "MBartTokenizer", "src_lang": "cs_CZ"},
           lambda ids: renumber(ids) + [2, n + 1 + 1], 1)
    n = sentencepiece.SentencePieceProcessor(model_file=models["bpe"]).get_piece_size()
    folder("nllb", "bpe", "sentencepiece.bpe.model", {"tokenizer_class": "NllbTokenizer", "src_lang": "ace_Latn"},
           lambda ids: [n + 1 + 1] + renumber(ids) + [2], 1)


def translation_folders(models):
    import sentencepiece
    from transformers import M2M100Tokenizer, MarianTokenizer

    path = fresh("marian")
    shutil.copy(models["unigram"], os.path.join(path, "source.spm"))
    shutil.copy(models["bpe"], os.path.join(path, "target.spm"))
    vocab = {text: i for i, text in enumerate(["</s>", "<unk>", ">>fra<<", ">>deu_Latn<<"])}
    for model in ("unigram", "bpe"):
        sp = sentencepiece.SentencePieceProcessor(model_file=models[model])
        for i in range(sp.get_piece_size()):
            if not sp.is_control(i) and not sp.is_unknown(i) and i % 17 != 3:  # some pieces are no tokens
                vocab.setdefault(sp.id_to_piece(i), len(vocab))
    vocab["<pad>"] = len(vocab)
    put(path, "vocab.json", vocab)
    put(path, "tokenizer_config.json", {"source_lang": "en", "target_lang": "fr", "tokenizer_class": "MarianTokenizer"})
    marian = MarianTokenizer.from_pretrained(path)
    write_ids("marian", lambda text: marian(text)["input_ids"], 1)

    separate_folder(MarianTokenizer)

    path = fresh("m2m-100")
    shutil.copy(models["bpe"], os.path.join(path, "sentencepiece.bpe.model"))
    vocab = {text: i for i, text in enumerate(["<s>", "<pad>", "</s>", "<unk>"])}
    sp = sentencepiece.SentencePieceProcessor(model_file=models["bpe"])
    for i in range(sp.get_piece_size()):
        if not sp.is_control(i) and not sp.is_unknown(i) and i % 23 != 5:
            vocab.setdefault(sp.id_to_piece(i), len(vocab))
    put(path, "vocab.json", vocab)
    put(path, "tokenizer_config.json", {"src_lang": "fr", "tokenizer_class": "M2M100Tokenizer"})
    m2m = M2M100Tokenizer.from_pretrained(path)
    write_ids("m2m-100", lambda text: m2m(text)["input_ids"], 1)


def separate_folder(MarianTokenizer):
    """The models of `marian`, with a vocabulary for each: what a text becomes is of the source's."""
    import sentencepiece

    path = fresh("marian-separate")
    for name, file, special, step in (("source", "vocab.json", ["</s>", "<unk>", ">>fra<<"], 17),
                                      ("target", "target_vocab.json", ["<unk>", "<pad>", "</s>"], 11)):
        shutil.copy(os.path.join(DATA, "marian", name + ".spm"), path)
        sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(path, name + ".spm"))
        vocab = {text: i for i, text in enumerate(special)}
        for i in range(sp.get_piece_size()):
            if not sp.is_control(i) and not sp.is_unknown(i) and i % step != 3:
                vocab.setdefault(sp.id_to_piece(i), len(vocab))
        vocab.setdefault("<pad>", len(vocab))
        put(path, file, vocab)
    put(path, "tokenizer_config.json", {"source_lang": "en", "target_lang": "fr", "tokenizer_class": "MarianTokenizer",
                                        "separate_vocabs": True})
    marian = MarianTokenizer.from_pretrained(path)
    write_ids("marian-separate", lambda text: marian(text)["input_ids"], 1)


def list_folders(work):
    import tokenizers
    from transformers import BertTokenizer, GPT2Tokenizer, Qwen2Tokenizer, RobertaTokenizer

    texts = list(training_texts())
    bert = tokenizers.BertWordPieceTokenizer()
    bert.train_from_iterator(texts, vocab_size=1500, limit_alphabet=600, show_progress=False)
    # tokenizers' tables of punctuation, marks and controls are Unicode 8's, where others have newer ones
    newer = [c for c in range(0x110000) if unicodedata.category(chr(c)) in ("Mn", "Cf") or unicodedata.category(chr(c))[0] == "P"]
    split = tokenizers.pre_tokenizers.BertPreTokenizer()
    clean = tokenizers.normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    differ = {"\u0ece"}  # a mark since Unicode 15, which Python's own tables may not know
    for c in newer:
        kind = unicodedata.category(chr(c))
        if kind[0] == "P" and len(split.pre_tokenize_str("a" + chr(c) + "b")) != 3 or kind in ("Mn", "Cf") and clean.normalize_str(chr(c)):
            differ.add(chr(c))
    skip = [i for i in range(10000) if any(c in differ for c in unicodedata.normalize("NFD", generated.repaired(generated.text(i))))]
    for name, options in (("bert", {}), ("bert-cased", {"do_lower_case": False}), ("bert-accents", {"strip_accents": False}),
                          ("bert-words", {"tokenize_chinese_chars": False})):
        path = fresh(name)
        bert.save_model(path)
        put(path, "tokenizer_config.json", dict(options, tokenizer_class="BertTokenizer"))
        reference = BertTokenizer.from_pretrained(path)
        write_ids(name, lambda text: reference(text)["input_ids"], 1, skip)

    bpe = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    bpe.train_from_iterator(texts, vocab_size=900, show_progress=False, special_tokens=special)
    for name, class_, options in (("gpt2", GPT2Tokenizer, {"add_prefix_space": True}), ("roberta", RobertaTokenizer, {}),
                                  ("qwen2", Qwen2Tokenizer, {})):
        path = fresh(name)
        bpe.save_model(path)
        put(path, "tokenizer_config.json", dict(options, tokenizer_class=class_.__name__))
        tokenizer = class_.from_pretrained(path)
        write_ids(name, lambda text: tokenizer(text)["input_ids"], 1)
    return os.path.join(DATA, "roberta"), special


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def tiktoken_folders(bpe, special):
    import tiktoken

    def byte_of(c):
        c = ord(c)
        return c - 256 if 256 <= c < 289 else c - 289 + 127 if 289 <= c < 323 else 173 if c == 323 else c

    vocab = json.load(open(os.path.join(bpe, "vocab.json"), encoding="utf-8"))
    ranks = {}
    for text, _ in sorted(vocab.items(), key=lambda item: item[1]):
        if text not in special:
            ranks[bytes(byte_of(c) for c in text)] = len(ranks)
    lines = "".join("%s %d\n" % (base64.b64encode(token).decode(), rank) for token, rank in ranks.items())

    path = fresh("tiktoken-llama3")
    put(path, "tokenizer.model", lines)
    added = {"<|begin_of_text|>": len(ranks), "<|end_of_text|>": len(ranks) + 1}
    put(path, "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>",
        "added_tokens_decoder": {str(i): {"content": text, "special": True} for text, i in added.items()}})
    llama = tiktoken.Encoding("llama3", pat_str=CONTRACTIONS + r"\p{N}{1,3}" + REST, mergeable_ranks=ranks, special_tokens=added)
    write_ids("tiktoken-llama3", lambda text: [len(ranks)] + llama.encode(text, disallowed_special=()), 1)

    path = fresh("tiktoken-qwen")
    put(path, "qwen.tiktoken", lines)
    put(path, "tokenizer_config.json", {"tokenizer_class": "QWenTokenizer"})
    qwen = tiktoken.Encoding("qwen", pat_str=CONTRACTIONS + r"\p{N}" + REST, mergeable_ranks=ranks, special_tokens={})
    write_ids("tiktoken-qwen", lambda text: qwen.encode(unicodedata.normalize("NFC", text), disallowed_special=()), 1)


def gguf_files(models, bpe, special):
    import gguf
    from sentencepiece import sentencepiece_model_pb2

    def model(name):
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(open(models[name], "rb").read())
        return proto

    def start(name, kind, pre=None):
        writer = gguf.GGUFWriter(os.path.join(DATA, name + ".gguf"), "llama")
        writer.add_context_length(8)
        writer.add_embedding_length(8)
        writer.add_block_count(1)
        writer.add_feed_forward_length(8)
        writer.add_head_count(1)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model(kind)
        if pre:
            writer.add_tokenizer_pre(pre)
        return writer

    def finish(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    proto = model("unigram")
    writer = start("ggml-t5", "t5", "default")
    writer.add_token_list([p.piece for p in proto.pieces])
    writer.add_token_scores([p.score for p in proto.pieces])
    writer.add_token_types([p.type for p in proto.pieces])
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
    writer.add_unk_token_id(0)
    writer.add_eos_token_id(2)
    finish(writer)

    proto = model("unigram-bytes")
    writer = start("ggml-plamo2", "plamo2", "default")
    writer.add_token_list([p.piece for p in proto.pieces])
    writer.add_token_scores([p.score for p in proto.pieces])
    writer.add_token_types([1 if p.type == 4 else p.type for p in proto.pieces])
    finish(writer)

    def escaped(token):
        out = ""
        for byte in token:
            c = chr(byte)
            out += {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(c, c if 32 <= byte < 127 else "\\x%02x" % byte)
        return out

    tokens = [bytes([i]) for i in range(256)]
    for piece in model("bpe").pieces:
        token = piece.piece.replace("\u2581", " ").encode()
        if piece.type == 1 and token not in tokens:
            tokens.append(token)
    writer = start("ggml-rwkv", "rwkv")
    writer.add_token_list(["<s>"] + [escaped(token) for token in tokens])
    writer.add_token_types([3] + [1] * len(tokens))
    finish(writer)

    proto = model("bpe-bytes")
    scores = {p.piece: p.score for p in proto.pieces if p.type == 1}
    merges = []
    for piece in sorted(scores, key=lambda p: -scores[p]):
        splits = [(max(-scores[piece[:i]], -scores[piece[i:]]), i) for i in range(1, len(piece))
                  if piece[:i] in scores and piece[i:] in scores]
        if splits:
            i = min(splits)[1]
            merges.append(piece[:i] + " " + piece[i:])
    newlines = ["\n", "\n\n", "\n\n\n"]
    for name, kind, pre in (("ggml-gemma4", "gemma4", None), ("ggml-sarvam-moe", "gpt2", "sarvam-moe"),
                            ("ggml-whitespace", "whitespace", "whitespace")):
        writer = start(name, kind, pre)
        writer.add_token_list([p.piece for p in proto.pieces] + newlines)
        writer.add_token_types([p.type for p in proto.pieces] + [1] * len(newlines))
        writer.add_token_merges(merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        if kind == "whitespace":
            writer.add_bool("tokenizer.ggml.normalizer.lowercase", True)
        finish(writer)

    vocab = json.load(open(os.path.join(bpe, "vocab.json"), encoding="utf-8"))
    merges = open(os.path.join(bpe, "merges.txt"), encoding="utf-8").read().split("\n")
    tokens = [text for text, _ in sorted(vocab.items(), key=lambda item: item[1])] + ["<dna>", "</dna>", "<oov>"]
    tokens += ["".join(bases) + "\ue000" for bases in itertools.islice(itertools.product("ACGT", repeat=6), 0, 64)]
    for name, kind, pre in (("ggml-hybriddna", "hybriddna", "gpt-2"), ("ggml-glm5", "gpt2", "glm5")):
        writer = start(name, kind, pre)
        writer.add_token_list(tokens)
        writer.add_token_types([3 if text in special else 1 for text in tokens])
        writer.add_token_merges([line for line in merges if line and not line.startswith("#version")])
        writer.add_bos_token_id(5)
        writer.add_eos_token_id(5)
        finish(writer)


def llama_cpp_ids():
    import ctypes

    import llama_cpp

    @llama_cpp.llama_log_callback
    def quiet(level, text, user):
        pass

    llama_cpp.llama_backend_init()
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p())
    buffer = (llama_cpp.llama_token * 100000)()
    for file in sorted(os.listdir(DATA)):
        if not file.endswith(".gguf"):
            continue
        options = llama_cpp.llama_model_default_params()
        options.vocab_only = True
        model = llama_cpp.llama_model_load_from_file(os.path.join(DATA, file).encode(), options)
        vocab = llama_cpp.llama_model_get_vocab(model)

        def encode(text):
            data = text.encode()
            return buffer[: llama_cpp.llama_tokenize(vocab, data, len(data), buffer, len(buffer), False, False)]

        write_ids(file[: -len(".gguf")], encode)


def main():
    if sys.argv[1:] == ["llama.cpp"]:
        return llama_cpp_ids()
    if sys.argv[1:] == ["separate"]:
        from transformers import MarianTokenizer

        return separate_folder(MarianTokenizer)
    import tempfile

    os.makedirs(DATA, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        defined = ["<sep>", "foo_bar", "--"]
        models = {
            "unigram": train(work, "unigram", "unigram", vocab_size=1000),
            "unigram-bytes": train(work, "unigram-bytes", "unigram", vocab_size=1000, map=False, byte_fallback=True,
                                   remove_extra_whitespaces=False, user_defined_symbols=defined),
            "unigram-suffix": train(work, "unigram-suffix", "unigram", vocab_size=1000, treat_whitespace_as_suffix=True),
            "bpe": train(work, "bpe", "bpe", vocab_size=1000),
            "bpe-bytes": train(work, "bpe-bytes", "bpe", vocab_size=1000, map=False, byte_fallback=True,
                               remove_extra_whitespaces=False, user_defined_symbols=defined),
            "t5": train(work, "t5", "unigram", vocab_size=1000, pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
        }
        sentencepiece_folders(models)
        translation_folders(models)
        bpe, special = list_folders(work)
        tiktoken_folders(bpe, special)
        gguf_files(models, bpe, special)


if __name__ == "__main__":
    main()
