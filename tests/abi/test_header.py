#!/usr/bin/env python3
"""The header alone: compiles as C99, C11 and C++17, has the layout that was shipped, keeps the struct rules.

usage: test_header.py
"""

import re
import shutil
import subprocess
import sys

import make_layout
import public_header

INCLUDE = public_header.ROOT / 'include'
WARN = ['-Wall', '-Wextra', '-pedantic', '-Werror', '-fsyntax-only', f'-I{INCLUDE}']
MEMBER = re.compile(r'(?:const )?(?:u?int(?:8|32|64)_t|float|double) \w+'          # fixed-width scalars
                    r'|transformer_\w+_function \w+'                                # pointers to functions
                    r'|[\w *]+\(\*\w+\)\(.*\)'
                    r'|(?:const )?\w+ ?(?:\*(?:const )?)+ ?\w+')                        # pointers


def compiles():
    seen = 0
    for compiler, language, standard in [
            ('gcc', 'c', 'c99'), ('gcc', 'c', 'c11'), ('g++', 'c++', 'c++17'),
            ('clang', 'c', 'c99'), ('clang', 'c', 'c11'), ('clang++', 'c++', 'c++17')]:
        if not shutil.which(compiler):
            print(f'skipped: the header with {compiler} as {standard}: it is not installed')
            continue
        for header in ('transformer.h', 'transformer_version.h'):
            result = subprocess.run([compiler, '-x', language, f'-std={standard}', *WARN, '-'],
                                    input=f'#include "{header}"\n#include "{header}"\ntypedef int something;\n',
                                    text=True, capture_output=True)
            if result.returncode:
                yield f'{compiler} {standard} {header}: {result.stderr}'
            seen += 1
    if seen < 3:
        yield 'no compiler was found'
    layout = public_header.ROOT / 'tests' / 'abi' / 'layout.c'
    for compiler in ('gcc', 'clang'):
        if shutil.which(compiler):
            result = subprocess.run([compiler, '-std=c11', *WARN, str(layout)], text=True, capture_output=True)
            if result.returncode:
                yield f'{compiler} layout.c: {result.stderr}'


def pinned():
    """layout.c pins every member of every struct and every constant."""
    text = (public_header.ROOT / 'tests' / 'abi' / 'layout.c').read_text()
    for struct, members in public_header.structs(INCLUDE).items():
        if not re.search(rf'PIN_(SIZE|FROZEN)\({struct},', text):
            yield f'layout.c does not pin the size of {struct}'
        for member, _ in members:
            if f'PIN({struct}, {member},' not in text:
                yield f'layout.c does not pin {struct}.{member}'
    for name in public_header.constants(INCLUDE):
        if f'PIN_VALUE({name},' not in text:
            yield f'layout.c does not pin {name}'


def struct_rules():
    """struct_size first or frozen; fixed-width scalars and pointers only; padding is explicit."""
    text = public_header.text(INCLUDE)
    raw = (INCLUDE / 'transformer.h').read_text()
    for struct, members in public_header.structs(INCLUDE).items():
        comment = re.search(rf'/\*((?:(?!\*/).)*)\*/\s*typedef struct {struct}\b', raw, re.S)
        frozen = comment and re.search(r'Frozen[\s*]+for[\s*]+ever', comment.group(1))
        if members[0][1] != 'uint64_t struct_size' and not frozen:
            yield f'{struct} neither begins with uint64_t struct_size nor is it frozen'
        for name, declaration in members:
            if not MEMBER.fullmatch(declaration):
                yield f'{struct}.{name} is no fixed-width scalar and no pointer: {declaration}'
    expected, owner = 0, None
    for line in make_layout.measure().splitlines() + ['- - 0 0']:
        struct, member, offset, size = line.split()
        if member == '-':
            if owner and expected != whole:
                yield f'{owner} ends in padding that is not written out'
            owner, whole, expected = struct, int(offset), 0
        else:
            if int(offset) != expected:
                yield f'{struct}.{member} comes after padding that is not written out'
            expected = int(offset) + int(size)
    if re.search(r'\bbool\b|\blong\b|\bsize_t\b|\bunsigned\b|:\s*\d+\s*;', text):
        yield 'a type whose width depends on the platform, or a bit-field'


def main():
    problems = [problem for check in (compiles, pinned, struct_rules) for problem in check()]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
