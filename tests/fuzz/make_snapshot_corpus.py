#!/usr/bin/env python3
"""Writes the inputs of fuzz_snapshot: snapshots of small models in several states, whole, cut and changed.

usage: make_snapshot_corpus.py LIBRARY
"""

import ctypes
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / 'goldens' / 'data'
MODELS = ['small/llama-gqa.gguf', 'encoder_decoders/t5.gguf', 'small/gemma3-mqa.gguf']
KV_F16, KV_Q8_0 = 2, 4
KV_Q8_0_BIT = 4


class Struct(ctypes.Structure):
    def __init__(self, **values):
        super().__init__(**values)
        self.struct_size = ctypes.sizeof(self)


class ModelOptions(Struct):
    _fields_ = [('struct_size', ctypes.c_uint64), ('path', ctypes.c_char_p), ('rest', ctypes.c_uint64 * 10)]


class ContextOptions(Struct):
    _fields_ = [('struct_size', ctypes.c_uint64), ('max_sequence_tokens', ctypes.c_int64), ('kv_tokens', ctypes.c_int64),
                ('max_sequences', ctypes.c_int64), ('max_step_tokens', ctypes.c_int64), ('max_logit_rows', ctypes.c_int64),
                ('pointers', ctypes.c_void_p * 4), ('n_threads', ctypes.c_int32), ('kv_type', ctypes.c_uint32),
                ('rest', ctypes.c_uint64 * 2)]


class SaveOptions(Struct):
    _fields_ = [('struct_size', ctypes.c_uint64), ('write', ctypes.c_void_p), ('user', ctypes.c_void_p),
                ('buffer', ctypes.c_char_p), ('capacity', ctypes.c_uint64)]


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.transformer_last_error.restype = ctypes.c_char_p
    folder = HERE / 'corpus' / 'snapshot'
    folder.mkdir(parents=True, exist_ok=True)

    def call(name, *arguments):
        if getattr(library, 'transformer_' + name)(*arguments):
            sys.exit(library.transformer_last_error().decode())

    def snapshot(model, kv_type, n, n_computed, n_source):
        context, sequence, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
        options = ContextOptions(kv_type=kv_type, n_threads=1, max_step_tokens=32)
        call('context_create', model, ctypes.byref(options), ctypes.byref(context))
        call('sequence_create', context, None, ctypes.byref(sequence))
        tokens = (ctypes.c_int32 * 256)(*[i * 7 % 60 for i in range(256)])
        if n_source:
            call('sequence_set_source', sequence, tokens, ctypes.c_int64(n_source), None)
        call('sequence_append', sequence, tokens, ctypes.c_int64(n_computed), None)
        for _ in range(n_computed // 32 + 2):
            call('decode', context, None, None)
        call('sequence_append', sequence, tokens, ctypes.c_int64(n - n_computed), None)
        call('sequence_save', sequence, None, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        save = SaveOptions(buffer=ctypes.cast(buffer, ctypes.c_char_p), capacity=size.value)
        call('sequence_save', sequence, ctypes.byref(save), ctypes.byref(size))
        library.transformer_sequence_destroy(sequence)
        library.transformer_context_destroy(context)
        return buffer.raw

    for which, path in enumerate(MODELS):
        model = ctypes.c_void_p()
        options = ModelOptions(path=str(DATA / path).encode())
        call('model_open', ctypes.byref(options), ctypes.byref(model))
        states = [(0, 0, 0), (3, 2, 5), (3, 0, 5)] if which == 1 else [(0, 0, 0), (3, 2, 0)]
        if which == 2:
            states.append((83, 82, 0))
        for n, n_computed, n_source in states:
            for bit, kv_type in ((0, KV_F16), (KV_Q8_0_BIT, KV_Q8_0)):
                if n > 80 and not bit:
                    continue
                whole = snapshot(model, kv_type, n, n_computed, n_source)
                name = f'{which}-{n}-{n_computed}-{n_source}-{bit}'
                for how in (bit | 1, bit | 3):
                    (folder / f'{name}-{how}').write_bytes(bytes([which, how]) + whole)
                if not n or n > 80:
                    continue
                changed = bytearray(whole)
                changed[72] = 5  # tokens
                (folder / f'{name}-tokens').write_bytes(bytes([which, bit | 1]) + changed)
                changed = bytearray(whole)
                changed[56] ^= 6  # a source
                (folder / f'{name}-source').write_bytes(bytes([which, bit | 3]) + changed)
                (folder / f'{name}-cut').write_bytes(bytes([which, bit | 1]) + whole[:len(whole) * 3 // 4])
                (folder / f'{name}-sums').write_bytes(bytes([which, bit]) + whole)
        library.transformer_model_close(model)


if __name__ == '__main__':
    main()
