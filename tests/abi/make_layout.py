#!/usr/bin/env python3
"""Writes layout.c: size of every public struct, offset and size of every member, value of every constant.

usage: make_layout.py > layout.c
Run it when something is appended; its output may gain lines but never change one (docs/abi.md).
"""

import subprocess
import sys
import tempfile
import pathlib

import public_header

INCLUDE = public_header.ROOT / 'include'

HEAD = '''/* The ABI's numbers as they were shipped; made by make_layout.py. */
#include <stddef.h>

#include "transformer.h"

#define PIN(type, member, offset, size)                    \\
    _Static_assert(offsetof(type, member) == (offset) &&   \\
                       sizeof(((type *)0)->member) == (size), \\
                   #type "." #member)
/* Members are appended, so a later release's struct may be larger. */
#define PIN_SIZE(type, size) _Static_assert(sizeof(type) >= (size), #type)
/* Elements of arrays, and what a host fills in without a size: frozen for ever. */
#define PIN_FROZEN(type, size) _Static_assert(sizeof(type) == (size), #type)
#define PIN_VALUE(name, value) _Static_assert((name) == (value), #name)'''


def measure():
    """struct -> (size, {member: (offset, size)}), as the compiler sees them."""
    lines = ['#include <stdio.h>', '#include <stddef.h>', '#include "transformer.h"', 'int main(void) {']
    for struct, members in public_header.structs(INCLUDE).items():
        lines.append(f'printf("{struct} - %zu 0\\n", sizeof({struct}));')
        for member, _ in members:
            lines.append(f'printf("{struct} {member} %zu %zu\\n", offsetof({struct}, {member}), '
                         f'sizeof((({struct} *)0)->{member}));')
    lines.append('return 0; }')
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / 'measure'
        subprocess.run(['cc', '-x', 'c', '-std=c11', '-I', str(INCLUDE), '-o', str(program), '-'],
                       input='\n'.join(lines), text=True, check=True)
        return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout


def main():
    out = [HEAD]
    frozen = [name for name, members in public_header.structs(INCLUDE).items() if members[0][0] != 'struct_size']
    for line in measure().splitlines():
        struct, member, offset, size = line.split()
        if member == '-':
            out.append('')
            out.append(f'{"PIN_FROZEN" if struct in frozen else "PIN_SIZE"}({struct}, {offset});')
        else:
            out.append(f'PIN({struct}, {member}, {offset}, {size});')
    out.append('')
    out += [f'PIN_VALUE({name}, {value});' for name, value in public_header.constants(INCLUDE).items()]
    sys.stdout.write('\n'.join(out) + '\n')


if __name__ == '__main__':
    main()
