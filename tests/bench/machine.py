"""What the figures were measured on: the processor, what it can read and multiply, compiler and versions."""

import ctypes
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import subprocess

FEATURES = set('''avx2 fma f16c avx_vnni avx512f avx512bw avx512vl avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16
    asimd asimddp asimdhp i8mm bf16 sve sve2'''.split())


def processor():
    """Name and those of its features that matter here."""
    text = pathlib.Path('/proc/cpuinfo').read_text()

    def field(*names):
        return next((found.group(1).strip() for name in names
                     if (found := re.search(rf'^{name}\s*: (.*)$', text, re.MULTILINE))), '')

    name = field('model name', 'CPU part') or platform.machine()
    family = ', '.join(f'{key} {field(key)}' for key in ('cpu family', 'model') if field(key))
    features = field('flags', 'Features').split()
    return {'name': name, 'kind': family, 'count': os.cpu_count(),
            'features': [feature for feature in features if feature in FEATURES]}


def peaks(kernels_test):
    """{number of threads: {what: figure}}, the best of a moment; nothing where the program can't measure it."""
    text = subprocess.run([kernels_test, '--bench', 'machine'], check=True, capture_output=True, text=True).stdout
    figures = {}
    for threads, what, figure in re.findall(r'machine, (\d+) threads?: (.+) ([\d.]+) G(?:B|MAC)/s', text):
        figures.setdefault(threads, {})[what] = float(figure)
    return figures


def best(before, after):
    return {threads: {name: max(value, after[threads][name]) for name, value in figures.items()}
            for threads, figures in before.items()}


def compiler(build):
    command = json.loads((build / 'compile_commands.json').read_text())[0]['command']
    program = next(word for word in shlex.split(command) if not word.endswith('ccache'))
    return subprocess.run([program, '--version'], capture_output=True, text=True).stdout.partition('\n')[0]


def library(build):
    """What the built library says of itself, and the commit it was built from, where git knows."""
    shared = ctypes.CDLL(str(build / 'lib' / 'libtransformer.so'))
    shared.transformer_build_info.restype = ctypes.c_char_p
    info = dict(line.split(': ', 1) for line in shared.transformer_build_info().decode().strip().split('\n'))
    git = subprocess.run(['git', 'describe', '--always', '--dirty'], capture_output=True, text=True)
    return info | {'commit': git.stdout.strip()}


def describe(build):
    return {'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
            'processor': processor(), 'system': platform.platform(), 'load_average': os.getloadavg()[0],
            'compiler': compiler(build), 'library': library(build)}
