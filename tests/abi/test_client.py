#!/usr/bin/env python3
"""Hosts of every released header, built with that header and run with the library of today.

usage: test_client.py LIBRARY MODEL CC...
"""

import pathlib
import subprocess
import sys
import tempfile

import public_header

HERE = pathlib.Path(__file__).parent


def main():
    library, model, cc = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    wrong = 0
    for folder in sorted(HERE.glob('client_*')):
        include = folder / 'include'
        with tempfile.TemporaryDirectory() as temporary:
            program = pathlib.Path(temporary) / 'client'
            subprocess.run(cc + ['-std=c99', '-Wall', '-Wextra', '-pedantic', '-Werror', f'-I{include}',
                                 folder / 'client.c', '-o', program, library, f'-Wl,-rpath,{library.parent}'], check=True)
            symbols = subprocess.run(['nm', '-D', '--undefined-only', program], check=True, capture_output=True, text=True)
            wrong += subprocess.run([program, model]).returncode != 0
        used = {line.split()[-1].split('@')[0] for line in symbols.stdout.splitlines()}
        for name in sorted(set(public_header.functions(include)) - used):
            print(f'{folder.name} does not call {name}')
            wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
