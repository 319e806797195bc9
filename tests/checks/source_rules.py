#!/usr/bin/env python3
"""The rules that the sources keep: who includes whom, lengths, nothing left out of the build.

usage: source_rules.py RULE [ROOT]      RULE: includes, lengths, listed, casts, top
"""

import pathlib
import re
import sys

from source_text import blocks, without_comments

MAX_FUNCTION = 150
MAX_FILE = 1000  # lines; tables (initialisers at file scope) don't count

# Folder of lib/ -> what it may include of the others, and of the headers that lie in lib/ itself.
FORMATS = {'base', 'format', 'quant', 'tokenizer', 'chat'}
PROGRAM = FORMATS | {'arch', 'program'}
MAY_INCLUDE = {
    'base': set(),
    'quant': {'base'},
    'format': {'base', 'quant'},
    'tokenizer': {'base', 'quant', 'format'},
    'chat': {'base', 'quant', 'format', 'tokenizer'},
    'arch': FORMATS,
    'program': FORMATS | {'arch'},
    'sampling': {'base'},
    'grammar': {'base', 'quant', 'format'},
    'kv': PROGRAM | {'backend.h'},
    'engine': PROGRAM | {'kv', 'sampling', 'grammar', 'backend.h'},
    'cpu': {'base', 'quant', 'program', 'backend.h'},
    'cuda': {'base', 'quant', 'program', 'backend.h'},
    'api': PROGRAM | {'kv', 'engine', 'sampling', 'grammar', 'backend.h'},
    'backend.h': PROGRAM | {'kv'},
}
TOP = set('''lib include cuda examples tests pkgconfig meson.build meson_options.txt CHANGELOG.md LICENSE
    README.md SECURITY.md .ci .clang-format .gitignore docs .git'''.split())


def c_files(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob('*')):
            if path.suffix in ('.c', '.h', '.cu', '.cuh', '.cpp', '.inc'):
                yield path


def part_of(root, path):
    """'cpu' for lib/cpu/kernels/avx2.c, 'backend.h' for lib/backend.h, 'cuda' for cuda/…"""
    names = path.relative_to(root).parts
    return names[1] if names[0] == 'lib' else names[0]


def check_includes(root):
    for path in c_files(root, 'lib', 'cuda'):
        part = part_of(root, path)
        where = path.relative_to(root)
        if part not in MAY_INCLUDE:
            yield f'{where}: the folder has no place in the order of the parts'
            continue
        text = without_comments(path.read_text())
        for line, found in enumerate(text.split('\n'), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', found)
            if not match:
                continue
            target = match.group(1).split('/')[0]
            if match.group(1) in ('transformer.h', 'transformer_version.h') or target == part:
                continue
            if re.match('cuda/kernels/ptx[a-z_]*.cuh$', where.as_posix()) and match.group(1).endswith('_emulated.h'):
                continue  # the second body, of the tests
            if not (root / 'lib' / match.group(1)).exists() and not (root / match.group(1)).exists():
                yield f'{where}:{line}: "{match.group(1)}" is not named from lib/'
            elif target not in MAY_INCLUDE[part]:
                yield f'{where}:{line}: {part} may not include "{match.group(1)}"'
    # What a host sees is one header and the version.
    for path in c_files(root, 'examples'):
        for line, found in enumerate(without_comments(path.read_text()).split('\n'), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', found)
            if match and not (path.parent / match.group(1)).exists() \
                    and not (root / 'include' / match.group(1)).exists() \
                    and not (root / 'examples' / match.group(1)).exists():
                yield f'{path.relative_to(root)}:{line}: "{match.group(1)}" is not of the public API'


def check_lengths(root):
    for path in c_files(root, 'lib', 'cuda', 'include', 'examples', 'tests'):
        where, text = path.relative_to(root), path.read_text()
        found = blocks(text)
        tables = sum(last - first + 1 for kind, _, first, last in found if kind == 'data')
        # Generated assertions are a table too.
        asserts = sum(line.startswith(('_Static_assert', 'PIN')) for line in text.split('\n'))
        lines = text.count('\n') - tables - asserts
        if lines > MAX_FILE:
            yield f'{where}: {lines} lines, the most is {MAX_FILE}'
        for kind, name, first, last in found:
            if kind == 'function' and last - first + 1 > MAX_FUNCTION:
                yield f'{where}:{first}: {name} has {last - first + 1} lines, the most is {MAX_FUNCTION}'
    for pattern in ('tests/**/*.py', 'tests/**/*.sh', 'examples/**/*.py', 'examples/**/*.rs', 'examples/**/*.sh'):
        for path in sorted(root.glob(pattern)):
            lines = path.read_text().count('\n')
            if lines > MAX_FILE:
                yield f'{path.relative_to(root)}: {lines} lines, the most is {MAX_FILE}'
    for path in sorted((root / 'examples').glob('*/*')) + sorted((root / 'examples').glob('*')):
        if path.suffix in ('.c', '.cpp', '.py', '.rs') and path.read_text().count('\n') >= 200:
            yield f'{path.relative_to(root)}: an example has under 200 lines'


def check_listed(root):
    """A source that no build file names would never be compiled, a test never run."""
    lib = (root / 'lib' / 'meson.build').read_text()
    for path in sorted((root / 'lib').rglob('*.c')):
        name = path.relative_to(root / 'lib').as_posix()
        if f"'{name}'" not in lib:
            yield f'lib/{name} is not in lib/meson.build'
    for path in sorted((root / 'cuda').rglob('*.c*')):
        name = path.relative_to(root / 'cuda').as_posix()
        if path.suffix in ('.c', '.cu') and f"'{name}'" not in (root / 'cuda' / 'meson.build').read_text():
            yield f'cuda/{name} is not in cuda/meson.build'
    tests = ''.join(path.read_text() for path in sorted((root / 'tests').rglob('meson.build')))
    for path in sorted((root / 'tests').rglob('*.c')):
        relative = path.relative_to(root / 'tests')
        if relative.parts[0] in ('abi', 'install'):
            continue  # compiled by the scripts beside them
        name = path.stem.removeprefix('test_').removeprefix('fuzz_')
        if f"'{name}'" not in tests and f'{path.name}\'' not in tests:
            yield f'tests/{relative} is not in tests/meson.build'


def check_casts(root):
    """A pointer to some type of pointer isn't a void **: what is written through it has another type. MEMORY_TAKE."""
    for path in c_files(root, 'lib', 'cuda'):
        where = path.relative_to(root).as_posix()
        for line, found in enumerate(without_comments(path.read_text()).split('\n'), 1):
            if re.search(r'\(\s*(const\s+)?void\s*\*\s*\*\s*\)', found):
                yield f'{where}:{line}: a cast to void **'


def check_top(root):
    for path in sorted(root.iterdir()):
        if path.name not in TOP and not path.name.startswith('build'):
            yield f'{path.name} has no place at the top level'


def main():
    rule = sys.argv[1]
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parents[2]).resolve()
    checks = {name[6:]: check for name, check in globals().items() if name.startswith('check_')}
    problems = list(checks[rule](root))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
