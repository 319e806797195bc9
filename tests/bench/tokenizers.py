"""Speed of tokenizer.json against Hugging Face tokenizers, both on one thread, over the lines of a text in turn.

    python3 tests/bench/tokenizers.py LIBRARY TEXT [TOKENIZER.json ...]

LIBRARY: libtransformer.so. Without files, vocabularies of 30,000 tokens are trained on the text: GPT-2's kind, Llama 3's,
BERT's, and a Unigram one of 8,000. Each side encodes every line, 5 times in turn, theirs in one batch, the way that is fastest; printed are medians in MB/s and the ratio with its range.
The ids are compared first. Needs tokenizers.
"""
import ctypes
import json
import os
import pathlib
import statistics
import struct
import sys
import tempfile
import time

os.environ['RAYON_NUM_THREADS'] = '1'
os.environ['TOKENIZERS_PARALLELISM'] = 'false'

sys.path.pop(0)  # this file has the name of the package
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

LLAMA3 = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
          "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
ROUNDS = 5


def trained(lines):
    def make(model, trainer, pre, normalizer=None):
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.train_from_iterator(lines, trainer)
        return tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe = trainers.BpeTrainer(vocab_size=30000, initial_alphabet=alphabet, show_progress=False)
    yield 'GPT-2', make(models.BPE(), bpe, pre_tokenizers.ByteLevel(add_prefix_space=False))
    yield 'Llama 3', make(models.BPE(ignore_merges=True), bpe, pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), 'isolated'), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    yield 'BERT', make(models.WordPiece(unk_token='[UNK]'),
                       trainers.WordPieceTrainer(vocab_size=30000, show_progress=False, special_tokens=['[UNK]', '[CLS]', '[SEP]']),
                       pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer())
    yield 'Unigram', make(models.Unigram(), trainers.UnigramTrainer(vocab_size=8000, show_progress=False, unk_token='<unk>',
                                                                    special_tokens=['<unk>']), pre_tokenizers.Metaspace(), normalizers.NFKC())


class Options(ctypes.Structure):
    _fields_ = [('size', ctypes.c_uint64), ('path', ctypes.c_char_p), ('rest', ctypes.c_uint8 * 80)]


class Tokenize(ctypes.Structure):
    _fields_ = [('size', ctypes.c_uint64), ('add_special', ctypes.c_uint32), ('parse_special', ctypes.c_uint32)]


def write_folder(folder, file):
    """A model around the tokenizer: one layer of nothing."""
    tokenizer = Tokenizer.from_str(file)
    n_vocab = tokenizer.get_vocab_size(with_added_tokens=True) + 64
    (folder / 'tokenizer.json').write_text(file)
    (folder / 'config.json').write_text(json.dumps({
        'model_type': 'llama', 'hidden_size': 2, 'intermediate_size': 2, 'num_hidden_layers': 1, 'num_attention_heads': 1,
        'vocab_size': n_vocab, 'tie_word_embeddings': True}))
    shapes = {'model.embed_tokens.weight': [n_vocab, 2], 'model.norm.weight': [2]}
    for name in ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.up_proj',
                 'mlp.down_proj', 'input_layernorm', 'post_attention_layernorm']:
        shapes[f'model.layers.0.{name}.weight'] = [2] if 'norm' in name else [2, 2]
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {'dtype': 'F16', 'shape': shape, 'data_offsets': [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    (folder / 'model.safetensors').write_bytes(struct.pack('<Q', len(text)) + text + bytes(at))


def compare(library, name, file, lines):
    with tempfile.TemporaryDirectory() as folder:
        write_folder(pathlib.Path(folder), file)
        model = ctypes.c_void_p()
        options = Options(ctypes.sizeof(Options), folder.encode())
        if library.transformer_model_open(ctypes.byref(options), ctypes.byref(model)):
            sys.exit(library.transformer_last_error().decode())
        theirs = Tokenizer.from_str(file)
        raw = [line.encode() for line in lines]
        ids = (ctypes.c_int32 * 100000)()
        count = ctypes.c_int64()
        tokenize, how = library.transformer_tokenize, Tokenize(16, 0, 2)

        def ours(line):
            if tokenize(model, line, len(line), ctypes.byref(how), ids, 100000, ctypes.byref(count)):
                sys.exit(library.transformer_last_error().decode())
        for line, text in zip(raw, lines):
            ours(line)
            if ids[:count.value] != theirs.encode(text).ids:
                sys.exit(f'{name}: other ids for {text!r}')
        size = sum(map(len, raw)) / 1e6
        speeds = ([], [])
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for line in raw:
                ours(line)
            middle = time.perf_counter()
            theirs.encode_batch_fast(lines)
            end = time.perf_counter()
            speeds[0].append(size / (middle - start))
            speeds[1].append(size / (end - middle))
        library.transformer_model_close(model)
    ratios = [a / b for a, b in zip(*speeds)]
    print(f'| {name} | {statistics.median(speeds[0]):.1f} | {statistics.median(speeds[1]):.1f} | {statistics.median(ratios):.1f} '
          f'({min(ratios):.1f}–{max(ratios):.1f}) |', flush=True)


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.transformer_last_error.restype = ctypes.c_char_p
    library.transformer_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p,
                                             ctypes.c_int64, ctypes.c_void_p]
    lines = [line for line in pathlib.Path(sys.argv[2]).read_text(encoding='utf-8').splitlines() if line.strip()]
    print('| tokenizer | libtransformer, MB/s | tokenizers, MB/s | ratio (range) |\n|---|---|---|---|')
    files = [(pathlib.Path(path).name, pathlib.Path(path).read_text()) for path in sys.argv[3:]]
    for name, file in files or ((name, tokenizer.to_str()) for name, tokenizer in trained(lines)):
        compare(library, name, file, lines)


if __name__ == '__main__':
    main()
