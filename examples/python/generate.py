#!/usr/bin/env python3
"""Continues a prompt, from Python: the header's structs and calls through ctypes, nothing else.

usage: generate.py --model FILE --prompt TEXT [--max-tokens N] [--library libtransformer.so.0]
"""
import argparse
import ctypes
import os
import sys
from ctypes import (POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_uint32, c_uint64,
                    c_void_p)

OK, BUFFER_TOO_SMALL, ON = 0, 10, 2


class Sized(ctypes.Structure):
    """An options or output struct: zero but for its size, and what the caller names."""

    def __init__(self, **values):
        super().__init__(struct_size=ctypes.sizeof(self), **values)


class ModelOptions(Sized):
    _fields_ = [("struct_size", c_uint64), ("path", c_char_p), ("data", c_void_p),
                ("data_size", c_uint64), ("reader", c_void_p), ("allocator", c_void_p),
                ("progress", c_void_p), ("progress_user", c_void_p), ("log", c_void_p),
                ("log_user", c_void_p), ("device", c_int32), ("load_mode", c_uint32),
                ("copy", c_uint32), ("cpu_amx", c_uint32)]


class ModelDetails(Sized):
    """A shorter struct than the library's is fine: it writes what fits."""
    _fields_ = [("struct_size", c_uint64), ("format", c_char_p), ("architecture", c_char_p),
                ("name", c_char_p), ("weight_types", c_char_p), ("end_tokens", POINTER(c_int32)),
                ("n_end_tokens", c_int64)] + [
                    (name, c_int64)
                    for name in ("n_vocab", "n_embd", "n_layers", "n_heads", "n_kv_heads",
                                 "head_dim", "context_length", "n_parameters")] + [
                    (name, c_uint64)
                    for name in ("file_bytes", "weight_bytes", "weight_bytes_per_token",
                                 "host_bytes")] + [
                    ("has_tokenizer", c_uint32), ("device", c_int32)]


class TokenizeOptions(Sized):
    _fields_ = [("struct_size", c_uint64), ("add_special", c_uint32), ("parse_special", c_uint32)]


class DecodeResult(Sized):
    _fields_ = [("struct_size", c_uint64), ("n_rows", c_int64), ("n_ready", c_int64),
                ("n_pending", c_int64), ("n_refused", c_int64), ("n_sampled", c_int64)]


class SamplerOptions(Sized):
    _fields_ = [("struct_size", c_uint64), ("seed", c_uint64), ("logit_bias", c_void_p),
                ("n_logit_bias", c_int64), ("penalty_window", c_int64),
                ("repetition_penalty", c_float), ("frequency_penalty", c_float),
                ("presence_penalty", c_float), ("temperature", c_float), ("top_k", c_int32),
                ("top_p", c_float), ("min_p", c_float), ("reserved", c_uint32)]


SIGNATURES = {  # name: arguments; every one of them returns a status
    "model_open": [POINTER(ModelOptions), POINTER(c_void_p)],
    "model_info": [c_void_p, POINTER(ModelDetails)],
    "tokenize": [c_void_p, c_char_p, c_int64, POINTER(TokenizeOptions), POINTER(c_int32), c_int64,
                 POINTER(c_int64)],
    "context_create": [c_void_p, c_void_p, POINTER(c_void_p)],
    "sequence_create": [c_void_p, c_void_p, POINTER(c_void_p)],
    "sequence_append": [c_void_p, POINTER(c_int32), c_int64, c_void_p],
    "decode": [c_void_p, c_void_p, POINTER(DecodeResult)],
    "sampler_create": [c_void_p, POINTER(SamplerOptions), POINTER(c_void_p)],
    "sampler_sample": [c_void_p, c_void_p, c_void_p, POINTER(c_int32)],
    "text_stream_create": [c_void_p, c_void_p, POINTER(c_void_p)],
    "text_stream_push": [c_void_p, c_int32, POINTER(c_void_p), POINTER(c_int64)],
    "text_stream_finish": [c_void_p, POINTER(c_void_p), POINTER(c_int64)],
}


class Library:
    def __init__(self, path):
        self._library = ctypes.CDLL(path)
        for name, arguments in SIGNATURES.items():
            getattr(self._library, "transformer_" + name).argtypes = arguments
        self._library.transformer_last_error.restype = c_char_p
        for name in ("model_close", "context_destroy", "sequence_destroy", "sampler_destroy",
                     "text_stream_destroy"):
            function = getattr(self._library, "transformer_" + name)
            function.argtypes, function.restype = [c_void_p], None
            setattr(self, name, function)

    def call(self, name, *arguments, also_accept=OK):
        status = getattr(self._library, "transformer_" + name)(*arguments)
        if status not in (OK, also_accept):
            raise RuntimeError(self._library.transformer_last_error().decode())

    def make(self, name, *arguments):
        handle = c_void_p()
        self.call(name, *arguments, byref(handle))
        return handle

    def tokenize(self, model, text):
        options = TokenizeOptions(parse_special=ON)
        data, count = text.encode(), c_int64()
        self.call("tokenize", model, data, len(data), byref(options), None, 0, byref(count),
                  also_accept=BUFFER_TOO_SMALL)
        tokens = (c_int32 * count.value)()
        self.call("tokenize", model, data, len(data), byref(options), tokens, count, byref(count))
        return tokens


def generate(library, path, prompt, max_tokens):
    """Yields the text piece by piece."""
    model = library.make("model_open", byref(ModelOptions(path=os.fsencode(path))))
    details = ModelDetails()
    library.call("model_info", model, byref(details))
    end_tokens = details.end_tokens[:details.n_end_tokens]
    context = library.make("context_create", model, None)
    sequence = library.make("sequence_create", context, None)
    sampler = library.make("sampler_create", model, byref(SamplerOptions()))
    stream = library.make("text_stream_create", model, None)
    tokens = library.tokenize(model, prompt)
    text, length = c_void_p(), c_int64()
    for _ in range(max_tokens):
        library.call("sequence_append", sequence, tokens, len(tokens), None)
        result = DecodeResult(n_pending=1)
        while result.n_pending > 0:
            library.call("decode", context, None, byref(result))
        tokens = (c_int32 * 1)()
        library.call("sampler_sample", sampler, sequence, None, tokens)
        if tokens[0] in end_tokens:
            break
        library.call("text_stream_push", stream, tokens[0], byref(text), byref(length))
        yield ctypes.string_at(text, length.value) if length.value else b""
    library.call("text_stream_finish", stream, byref(text), byref(length))
    yield ctypes.string_at(text, length.value) if length.value else b""
    library.text_stream_destroy(stream)  # any order will do
    library.sampler_destroy(sampler)
    library.sequence_destroy(sequence)
    library.context_destroy(context)
    library.model_close(model)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def positive(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 1 or more")
    return int(text)


def main():
    parser = Parser(description="Continues a text.", allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--max-tokens", type=positive, default=64)
    parser.add_argument("--library", default="libtransformer.so.0")
    arguments = parser.parse_args()
    if not os.access(arguments.model, os.R_OK):
        parser.error(f"cannot open '{arguments.model}'")
    try:
        library = Library(arguments.library)
        for piece in generate(library, arguments.model, arguments.prompt, arguments.max_tokens):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    except (OSError, RuntimeError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        os._exit(1)  # past a second flush of a stdout that is gone


if __name__ == "__main__":
    main()
