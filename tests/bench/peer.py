#!/usr/bin/env python3
"""Measures llama.cpp as examples/bench.c measures libtransformer: same work, same tokens, same arguments, same JSON.

The clock runs around calls of the C functions llama_decode and llama_sampler_sample alone: prompts are laid out in batches
before it starts, and what Python does between two decode steps is to store a token and its position for each sequence.
Settings are llama.cpp's defaults (flash attention auto, repacked weights, mapped file) but for the batch of 512 and for
sliding windows' caches, which are as small as its own programs make them.
"""

import argparse
import ctypes
import json
import re
import resource
import time

import llama_cpp
from llama_cpp import llama_decode, llama_sampler_sample, llama_synchronize

MAX_BATCH = 512


def resident_bytes():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def features():
    """Those that it was built with, as 'AVX2 AVX512 REPACK'."""
    return ' '.join(re.findall(r'(\w+) = 1', llama_cpp.llama_print_system_info().decode()))


ERRORS = []  # what llama.cpp has logged as such


@llama_cpp.llama_log_callback
def keep_errors(level, text, user):
    if level == 4:
        ERRORS.append(text.decode(errors='replace').strip())


def fail(what):
    raise SystemExit(f'{what}: {"; ".join(ERRORS)}')


class Random:
    """The tokens of examples/bench.c."""

    def __init__(self, n_vocab):
        self.state, self.n_vocab = 1, n_vocab

    def token(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % self.n_vocab


def make_batch(rows):
    """rows: (token, position, sequence, whether its logits are wanted)"""
    batch = llama_cpp.llama_batch_init(max(len(rows), 1), 0, 1)
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, logits) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.logits[i] = token, position, logits
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
    return batch


class Bench:
    def __init__(self, args):
        self.args = args
        start = time.perf_counter()
        self.model = llama_cpp.llama_model_load_from_file(
            args.model.encode(), llama_cpp.llama_model_default_params())
        self.load_s = time.perf_counter() - start
        if not self.model:
            fail(f'llama.cpp cannot open {args.model}')
        params = llama_cpp.llama_context_default_params()
        longest = (args.prompt + args.generate + 2 + 255) // 256 * 256
        params.n_ctx, params.n_seq_max = longest * args.batch, args.batch
        params.n_batch = params.n_ubatch = MAX_BATCH
        params.n_threads = params.n_threads_batch = args.threads
        params.swa_full = False
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            fail('llama.cpp cannot make a context')
        self.sampler = llama_cpp.llama_sampler_init_greedy()
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.random = Random(llama_cpp.llama_vocab_n_tokens(vocab))

    def decode(self, batch):
        result = llama_decode(self.context, batch)
        if result != 0:
            fail(f'llama_decode gave {result}')

    def forget(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def warm_up(self):
        self.decode(make_batch([(self.random.token(), 0, 0, True)]))
        self.forget()

    def prefill(self):
        last = self.args.prompt - 1
        rows = [(self.random.token(), k, sequence, k == last)
                for sequence in range(self.args.batch) for k in range(self.args.prompt)]
        batches = [make_batch(rows[i:i + MAX_BATCH]) for i in range(0, len(rows), MAX_BATCH)]
        start = time.perf_counter()
        for batch in batches:
            self.decode(batch)
        llama_synchronize(self.context)
        seconds = time.perf_counter() - start
        for batch in batches:
            llama_cpp.llama_batch_free(batch)
        return len(rows) / seconds

    def generate(self):
        n = self.args.batch
        batch = make_batch([(self.random.token(), self.args.prompt, i, True) for i in range(n)])
        context, sampler, token, position = self.context, self.sampler, batch.token, batch.pos
        start = time.perf_counter()
        for _ in range(self.args.generate):
            self.decode(batch)
            for i in range(n):
                token[i] = llama_sampler_sample(sampler, context, i)
                position[i] += 1
        seconds = time.perf_counter() - start
        llama_cpp.llama_batch_free(batch)
        return n * self.args.generate / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--model', required=True)
    for name, default in {'prompt': 512, 'generate': 96, 'batch': 1, 'threads': 2, 'rounds': 5}.items():
        parser.add_argument('--' + name, type=int, default=default)
    args = parser.parse_args()
    llama_cpp.llama_log_set(keep_errors, ctypes.c_void_p())
    llama_cpp.llama_backend_init()
    python_bytes = resident_bytes()
    bench = Bench(args)
    bench.warm_up()
    prefill, decode = [], []
    for _ in range(args.rounds):
        prefill.append(bench.prefill())
        decode.append(bench.generate())
        bench.forget()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({'prefill_tokens_per_s': prefill, 'decode_tokens_per_s': decode, 'load_s': bench.load_s,
                      'peak_rss_bytes': peak - python_bytes,
                      'version': 'llama-cpp-python ' + llama_cpp.__version__,
                      'features': features()}))


if __name__ == '__main__':
    main()
