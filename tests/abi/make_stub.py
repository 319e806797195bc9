#!/usr/bin/env python3
"""Writes a C file that defines every function of a transformer.h, empty: what a mutated header is built with.

usage: make_stub.py INCLUDE > stub.c
"""

import re
import sys

import public_header


def main():
    print('#include "transformer.h"')
    for declaration in public_header.functions(sys.argv[1]).values():
        result = re.match(r'(.*?)\btransformer_\w+\s*\(', declaration).group(1).strip()
        print(f'{declaration} {{ {"" if result == "void" else "return 0;"} }}')


if __name__ == '__main__':
    main()
