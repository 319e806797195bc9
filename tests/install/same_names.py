#!/usr/bin/env python3
"""Writes a C file that defines every internal function of the archive, as a host with the same names might.

usage: same_names.py CORE_ARCHIVE > same_names.c
Each of them ends the program with a message: none may ever be reached from the library.
"""

import re
import subprocess
import sys

# Names that C gives a meaning of its own; the library has none of them.
RESERVED = re.compile(r'transformer_\w+|_.*|main')


def main():
    listing = subprocess.run(['nm', '--defined-only', '--extern-only', sys.argv[1]],
                             check=True, capture_output=True, text=True).stdout
    names = sorted({line.split()[2] for line in listing.splitlines()
                    if len(line.split()) == 3 and not RESERVED.fullmatch(line.split()[2])})
    print('#include <stdio.h>\n#include <stdlib.h>')
    for name in names:
        print(f'void {name}(void);\nvoid {name}(void) {{\n    puts("the host\'s {name} was called");\n    exit(1);\n}}')
    print(f'int host_names(void);\nint host_names(void) {{\n    return {len(names)};\n}}')


if __name__ == '__main__':
    main()
