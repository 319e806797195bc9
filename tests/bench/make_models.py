#!/usr/bin/env python3
"""Makes the model files that can't be downloaded: the peer's own quantizer makes them from those that can.

usage: PEER_PYTHON make_models.py FOLDER NAME...     exit 1 if one can't be made; what is there, or isn't made, is left

SmolLM2 is requantized with all matrices of one type, where their shapes allow it. Qwen2-0.5B gets random weights and a
made-up vocabulary, both of the real one's sizes: it says how fast it is, not what it says.
"""

import ctypes
import pathlib
import random
import string
import struct
import sys

import llama_cpp
import numpy as np

# file: what it is made from, the type as llama.cpp numbers it, whether all matrices get that type
QUANTIZED = {
    'smollm2-q4_0': ('smollm2', 'MOSTLY_Q4_0', True),
    'smollm2-q4_k': ('smollm2', 'MOSTLY_Q4_K_S', True),
    'smollm2-q6_k': ('smollm2', 'MOSTLY_Q6_K', True),
    'smollm2-q8_0': ('smollm2', 'MOSTLY_Q8_0', True),
    'smollm2-bf16': ('smollm2', 'MOSTLY_BF16', True),
    'smollm2-f16': ('smollm2', 'MOSTLY_F16', True),
    'smollm2-f32': ('smollm2', 'ALL_F32', True),
    'qwen2-0.5b-q4_k_m': ('qwen2-0.5b-f16', 'MOSTLY_Q4_K_M', False),
}

N_LAYERS, N_EMBD, N_HEADS, N_KV_HEADS, N_FF = 24, 896, 14, 2, 4864
N_VOCAB, N_MERGES = 151936, 151387
N_KV = N_KV_HEADS * (N_EMBD // N_HEADS)


def quantize(source, target, kind, pure):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, 'LLAMA_FTYPE_' + kind)
    params.allow_requantize, params.pure = True, pure
    part = target.with_suffix('.part')
    failed = llama_cpp.llama_model_quantize(str(source).encode(), str(part).encode(), ctypes.byref(params))
    if failed:
        part.unlink(missing_ok=True)
        raise OSError(f'llama_model_quantize gave {failed}')
    part.rename(target)  # whole or not at all


# ---- Qwen2-0.5B: GGUF version 3

def packed(text):
    return struct.pack('<Q', len(text.encode())) + text.encode()


def value(v):
    """The number of a value's type, and its bytes."""
    if isinstance(v, list):  # of strings or of token types, which are signed
        element = 8 if isinstance(v[0], str) else 5
        return 9, struct.pack('<IQ', element, len(v)) + b''.join(value(item)[1] for item in v)
    if isinstance(v, str):
        return 8, packed(v)
    number, code = {bool: (7, '<?'), int: (4, '<I'), float: (6, '<f')}[type(v)]
    return number, struct.pack(code, v)


def vocabulary():
    """Tokens in byte-level writing and merges. As in the real one, every token but the bytes and the last few is the
    result of one merge."""
    draw = random.Random(1)
    bytes_ = [chr(b) for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    bytes_ += [chr(256 + i) for i in range(256 - len(bytes_))]
    pool, known, merges = ['\u0120', *string.ascii_letters], set(bytes_), []
    while len(merges) < N_MERGES:
        left, right = (pool[int(len(pool) * draw.random() ** 2)] for _ in range(2))
        if len(left + right) <= 12 and left + right not in known:
            known.add(left + right)
            pool.append(left + right)
            merges.append(f'{left} {right}')
    tokens = bytes_ + [merge.replace(' ', '') for merge in merges]
    tokens += ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
    types = [1] * (len(tokens) - 3) + [3] * 3
    unused = N_VOCAB - len(tokens)
    return tokens + [f'[PAD{i}]' for i in range(unused)], types + [5] * unused, merges


def metadata():
    tokens, types, merges = vocabulary()
    return {
        'general.architecture': 'qwen2', 'general.name': 'Qwen2 0.5B, random weights', 'general.file_type': 1,
        'qwen2.block_count': N_LAYERS, 'qwen2.context_length': 32768, 'qwen2.embedding_length': N_EMBD,
        'qwen2.feed_forward_length': N_FF, 'qwen2.attention.head_count': N_HEADS,
        'qwen2.attention.head_count_kv': N_KV_HEADS, 'qwen2.rope.freq_base': 1e6,
        'qwen2.attention.layer_norm_rms_epsilon': 1e-6,
        'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'qwen2', 'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.token_type': types, 'tokenizer.ggml.merges': merges, 'tokenizer.ggml.add_bos_token': False,
        'tokenizer.ggml.bos_token_id': 151643, 'tokenizer.ggml.padding_token_id': 151643,
        'tokenizer.ggml.eos_token_id': 151645,
    }


def tensors():
    """(name, shape) of all; a vector is f32, a matrix f16."""
    yield 'token_embd.weight', (N_VOCAB, N_EMBD)
    for i in range(N_LAYERS):
        for name, shape in [('attn_norm.weight', (N_EMBD,)),
                            ('attn_q.weight', (N_EMBD, N_EMBD)), ('attn_q.bias', (N_EMBD,)),
                            ('attn_k.weight', (N_KV, N_EMBD)), ('attn_k.bias', (N_KV,)),
                            ('attn_v.weight', (N_KV, N_EMBD)), ('attn_v.bias', (N_KV,)),
                            ('attn_output.weight', (N_EMBD, N_EMBD)), ('ffn_norm.weight', (N_EMBD,)),
                            ('ffn_gate.weight', (N_FF, N_EMBD)), ('ffn_up.weight', (N_FF, N_EMBD)),
                            ('ffn_down.weight', (N_EMBD, N_FF))]:
            yield f'blk.{i}.{name}', shape
    yield 'output_norm.weight', (N_EMBD,)


def write_qwen2(path):
    draw, keys, names = np.random.default_rng(1), metadata(), list(tensors())
    part = path.with_suffix('.part')
    with part.open('wb') as out:
        out.write(b'GGUF' + struct.pack('<IQQ', 3, len(names), len(keys)))
        for key, v in keys.items():
            number, data = value(v)
            out.write(packed(key) + struct.pack('<I', number) + data)
        offset = 0
        for name, shape in names:  # every size is a multiple of the alignment, 32
            out.write(packed(name) + struct.pack(f'<I{len(shape)}Q', len(shape), *reversed(shape)))
            out.write(struct.pack('<IQ', len(shape) - 1, offset))
            offset += int(np.prod(shape)) * (4 if len(shape) == 1 else 2)
        out.write(bytes(-out.tell() % 32))
        for name, shape in names:
            x = draw.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            if name.endswith('norm.weight'):
                x += 1
            out.write(x.tobytes() if len(shape) == 1 else x.astype(np.float16).tobytes())
    part.rename(path)


def make(folder, name):
    origin, kind, pure = QUANTIZED[name]
    source, target = folder / f'{origin}.gguf', folder / f'{name}.gguf'
    if target.exists():
        return
    print('making', target.name, flush=True)
    if origin == 'qwen2-0.5b-f16':
        write_qwen2(source)
    try:
        quantize(source, target, kind, pure)
    finally:
        if origin == 'qwen2-0.5b-f16':
            source.unlink()


def main():
    folder, wrong = pathlib.Path(sys.argv[1]), 0
    quiet = llama_cpp.llama_log_callback(lambda level, text, user: None)
    llama_cpp.llama_log_set(quiet, None)
    llama_cpp.llama_backend_init()
    for name in QUANTIZED.keys() & sys.argv[2:]:
        try:
            make(folder, name)
        except OSError as error:
            print(f'{name}: {error}')
            wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
