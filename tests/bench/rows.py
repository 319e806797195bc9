#!/usr/bin/env python3
"""What is measured: the model files and the rows of the comparison.

usage: rows.py PATTERNS     prints the names of the model files of the rows that match
"""

import fnmatch
import sys
import typing

# Name of the file in the models folder, without .gguf: what the table calls it.
TITLES = {
    'smollm2': 'SmolLM2-135M Q4_1',
    'gemma3-270m': 'Gemma 3 270M Q4_K_M',
    'qwen2-0.5b-q4_k_m': 'Random Qwen2-0.5B Q4_K_M',
    'smollm2-q4_0': 'SmolLM2-135M Q4_0',
    'smollm2-q4_k': 'SmolLM2-135M Q4_K',
    'smollm2-q6_k': 'SmolLM2-135M Q6_K',
    'smollm2-q8_0': 'SmolLM2-135M Q8_0',
    'smollm2-bf16': 'SmolLM2-135M BF16',
    'smollm2-f16': 'SmolLM2-135M F16',
    'smollm2-f32': 'SmolLM2-135M F32',
}


class Row(typing.NamedTuple):
    name: str
    model: str
    prompt: int = 512
    generate: int = 96
    batch: int = 1
    speeds: tuple = ('prefill', 'decode')  # those shown; both are measured
    rival: str = 'peer'  # or 'one thread': ours again, with a team of one


# 64 tokens before a batch decodes: the row is about the steps, not about filling the cache.
ROWS = [Row('smollm2-q4_1' if model == 'smollm2' else model, model) for model in TITLES] + [
    Row('batch-8', 'smollm2', prompt=64, batch=8, speeds=('decode',)),
    Row('batch-32', 'smollm2', prompt=64, batch=32, speeds=('decode',)),
    Row('long-smollm2', 'smollm2', prompt=4096),
    Row('long-gemma3-270m', 'gemma3-270m', prompt=4096),
    Row('threads', 'smollm2', generate=1, speeds=('prefill',), rival='one thread'),
]


def chosen(patterns):
    """The rows that one of the patterns, separated by commas, matches; all without a pattern."""
    patterns = [pattern for pattern in patterns.split(',') if pattern] or ['*']
    rows = [row for row in ROWS if any(fnmatch.fnmatchcase(row.name, pattern) for pattern in patterns)]
    if not rows:
        raise SystemExit('no row is called ' + ', '.join(patterns) + '; there are ' + ', '.join(row.name for row in ROWS))
    return rows


if __name__ == '__main__':
    print(*dict.fromkeys(row.model for row in chosen(sys.argv[1])))
