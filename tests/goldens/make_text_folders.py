"""Makes folders of tiny random models, each with a tokenizer of one of the kinds that people have: what
check_convert_text.py converts. Nothing of it is kept here.

Run: python3 make_text_folders.py OUTPUT (transformers, torch, tokenizers, sentencepiece)"""

import json
import os
import sys
import tempfile

import sentencepiece
import torch
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
OWN = r"\p{L}{1,3}|\p{N}|[^\p{L}\p{N}]"
TEXT = []
for root in (os.path.join(HERE, "..", "..", "docs"), os.path.join(HERE, "..", "..", "include")):
    for name in sorted(os.listdir(root)):
        if name.endswith((".md", ".h")):
            with open(os.path.join(root, name), encoding="utf-8") as file:
                TEXT.append(file.read())
TEXT.append("Übergrößen naïve façade straße Привет мир 你好世界 こんにちは 안녕하세요 سلام दुनिया 😀👍🏽 1234567 3.14 " * 20)


def added(tokenizer, special, plain=()):
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens(list(plain))


def around(tokenizer, single, *tokens):
    pairs = [(token, tokenizer.token_to_id(token)) for token in tokens]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=single + " $B:1", special_tokens=pairs)


def byte_bpe(pattern, normalizer=None, whole=False, prefix_space=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole))
    if normalizer:
        tokenizer.normalizer = normalizer
    last = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=pattern is None)
    tokenizer.pre_tokenizer = last if pattern is None else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), last])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def pieces_bpe(prepend):
    """As the converters of SentencePiece models write them: merges in the order of the pieces' scores."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    steps = [normalizers.Prepend("▁")] if prepend else []
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    cut = Tokenizer(models.BPE())  # the trainer wants words: those that begin with a space
    cut.normalizer = tokenizer.normalizer
    cut.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    cut.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=1200, special_tokens=special))
    model = json.loads(cut.to_str())["model"]
    rank = {left + right: i for i, (left, right) in reversed(list(enumerate(model["merges"])))}
    merges = []
    for piece in sorted(rank, key=rank.get):
        for at in range(1, len(piece)):
            if piece[:at] in model["vocab"] and piece[at:] in model["vocab"]:
                merges.append((piece[:at], piece[at:]))
    tokenizer.model = models.BPE(vocab=model["vocab"], merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
                                          + ([decoders.Strip(" ", 1, 0)] if prepend else []))
    added(tokenizer, ["<unk>", "<s>", "</s>"])
    return tokenizer


def unigram():
    """A SentencePiece model of today's own rules, as T5's and XLM-R's tokenizer.json has one."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "model")
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter("\n".join(TEXT).split("\n")), model_prefix=path, vocab_size=900,
                                                 pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2)
        with open(path + ".model", "rb") as file:
            model = sentencepiece_model_pb2.ModelProto.FromString(file.read())
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    added(tokenizer, ["<pad>", "</s>", "<unk>"])
    around(tokenizer, "$A </s>", "</s>")
    return tokenizer


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=900, special_tokens=special))
    around(tokenizer, "[CLS] $A [SEP]", "[CLS]", "[SEP]")
    return tokenizer


def qwen2():
    tokenizer = byte_bpe(QWEN2, normalizers.NFC())
    added(tokenizer, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<tool_call>"])
    return tokenizer, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def llama3():
    tokenizer = byte_bpe(LLAMA3, whole=True)
    added(tokenizer, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    around(tokenizer, "<|begin_of_text|> $A", "<|begin_of_text|>")
    return tokenizer, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}


def gpt2():
    tokenizer = byte_bpe(None)
    added(tokenizer, ["<|endoftext|>"])
    return tokenizer, {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}


def own_words():
    tokenizer = byte_bpe(OWN)
    added(tokenizer, ["<|endoftext|>"])
    return tokenizer, {"eos_token": "<|endoftext|>"}


def space_first():
    tokenizer = byte_bpe(None, prefix_space=True)
    added(tokenizer, ["<|endoftext|>"])
    return tokenizer, {"eos_token": "<|endoftext|>"}


def llama2():
    tokenizer = pieces_bpe(True)
    around(tokenizer, "<s> $A", "<s>")
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def gemma():
    tokenizer = pieces_bpe(False)
    added(tokenizer, ["<start_of_turn>", "<end_of_turn>"])
    around(tokenizer, "<s> $A", "<s>")
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def t5():
    return unigram(), {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def bert():
    return wordpiece(), {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}


TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def write(folder, make):
    tokenizer, config = make()
    n = tokenizer.get_vocab_size() + 5  # rows that pad the embedding
    torch.manual_seed(5)
    if make is bert:
        model = BertModel(BertConfig(vocab_size=n, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64))
    else:
        model = LlamaForCausalLM(LlamaConfig(vocab_size=n, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                                             intermediate_size=64, max_position_embeddings=512))
    model.save_pretrained(folder)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({**config, "chat_template": [{"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": "T" + TEMPLATE}]}, file)
    end = tokenizer.token_to_id(config.get("eos_token", "")) or 0
    with open(os.path.join(folder, "generation_config.json"), "w") as file:
        json.dump({"eos_token_id": [end, 7], "do_sample": True, "temperature": 0.5, "top_k": 11, "top_p": 0.75}, file)


if __name__ == "__main__":
    for kind in (qwen2, llama3, gpt2, own_words, space_first, llama2, gemma, t5, bert):
        write(os.path.join(sys.argv[1], kind.__name__), kind)
