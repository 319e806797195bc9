#!/usr/bin/env python3
"""The library exports what the header declares, each symbol under the node of its release, and nothing else.

usage: test_exports.py LIBRARY
"""

import re
import subprocess
import sys

import public_header

NODE = 'LIBTRANSFORMER_'


def main():
    declared = set(public_header.functions(public_header.ROOT / 'include'))
    named = re.findall(r'^\s+(transformer_\w+);$', (public_header.ROOT / 'lib' / 'transformer.map').read_text(), re.M)
    output = subprocess.run(['nm', '-D', '--defined-only', sys.argv[1]], check=True, capture_output=True, text=True)
    problems, exported = [], set()
    for line in output.stdout.splitlines():
        kind, symbol = line.split()[-2:]
        if kind == 'A' and symbol.startswith(NODE):
            continue  # the node itself
        name, _, node = symbol.partition('@@')
        exported.add(name)
        if kind != 'T':
            problems.append(f'{name} is exported, but no function: {kind}')
        if not node.startswith(NODE):
            problems.append(f'{name} has no version: "{symbol}"')
    problems += [f'{name} is declared but not exported' for name in sorted(declared - exported)]
    problems += [f'{name} is exported but not declared' for name in sorted(exported - declared)]
    problems += [f'{name} is in transformer.map but not declared' for name in sorted(set(named) - declared)]
    problems += [f'{name} is twice in transformer.map' for name in sorted(set(named)) if named.count(name) > 1]
    for problem in problems:
        print(problem)
    print(f'{len(exported)} symbols exported, {len(declared)} declared')
    return 1 if problems or not declared else 0


if __name__ == '__main__':
    sys.exit(main())
