"""Converts the folders of data/hf and data/hf_quantized (or those named) to GGUF and loads the files with llama.cpp: the ten
likeliest tokens must be those of the library, ties aside. Not a part of the tests' run: it needs llama-cpp-python.

Run: python3 check_convert.py BUILD [--type TYPE] [FOLDER ...]"""

import json
import os
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
# What llama.cpp has not: biases of gemma3's attention; qwen2 with other heads than n_embd / n_heads;
# a window and betas of yarn of llama.
NOT_THERE = {"gemma3-no-window", "qwen2-rope-yarn", "llama-window", "llama-rope-yarn"}
TOLERANCE = 2e-2
QUANTIZED = 2e-1  # llama.cpp rounds activations to 8 bits then; the library's reference kernels don't


def run(build, program, *arguments):
    command = [os.path.join(build, "examples", program), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TRANSFORMER_CPU": "reference"}).stdout


def check(build, folder, options):
    tolerance = QUANTIZED if options or "hf_quantized" in folder else TOLERANCE
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "model.gguf")
        run(build, "convert", "--model", folder, "--output", path, *options)
        n_vocab = 30
        tokens = [int(t) for t in np.random.default_rng(7).integers(0, n_vocab, 24)]
        ours = np.array(json.loads(run(build, "logits", "--model", path, "--tokens", ",".join(map(str, tokens))))["logits"])[0]
        model = llama_cpp.Llama(path, n_ctx=64, logits_all=True, verbose=False, n_threads=1, flash_attn=False,
                                type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, yarn_beta_fast=-1, yarn_beta_slow=-1,
                                yarn_attn_factor=-1)
        model.eval(tokens)
        theirs = np.array(model.scores[len(tokens) - 1])
    top, other = np.argsort(-ours)[:10], np.argsort(-theirs)[:10]
    difference = float(np.abs(ours - theirs).max())
    # Where the order differs the two tokens are as good as equally likely.
    same = all(a == b or abs(ours[a] - ours[b]) < 2 * tolerance for a, b in zip(top, other))
    verdict = "the same" if list(top) == list(other) else "the same but for near ties" if same else "NOT the same"
    print(f"{os.path.basename(folder):32} highest difference {difference:.2e}, top ten {verdict}")
    return same and difference < tolerance


if __name__ == "__main__":
    arguments = sys.argv[2:]
    type_options = []
    if arguments[:1] == ["--type"]:
        type_options, arguments = arguments[:2], arguments[2:]
    if not arguments:
        for kind in ("hf", "hf_quantized"):
            base = os.path.join(HERE, "data", kind)
            arguments += [os.path.join(base, name) for name in sorted(os.listdir(base)) if "." not in name]
    folders = [folder for folder in arguments if os.path.basename(folder) not in NOT_THERE]
    sys.exit(0 if all([check(sys.argv[1], folder, type_options) for folder in folders]) else 1)
