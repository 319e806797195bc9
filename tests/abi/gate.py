#!/usr/bin/env python3
"""The ABI gate: does a library still serve what was built against the baseline?

usage: gate.py BASELINE LIBRARY INCLUDE     exit 0: yes; 1: no, with the reasons; 77: can't be told here

abidiff tells every difference in the public headers' view. New functions are fine, and so are members at the end
of a struct that begins with struct_size; anything else is a break.
"""

import re
import shutil
import subprocess
import sys

import public_header

ABIDIFF = ['abidiff', '--leaf-changes-only', '--harmless', '--no-show-locs', '--no-added-syms', '--fail-no-debug-info',
           '--drop-private-types']


def breaks(report, growing):
    """Lines of abidiff's leaf report that are not an append; growing: the structs that may grow."""
    struct, old_size = None, 0
    for line in report.splitlines():
        text = line.strip()
        grown = re.fullmatch(r"'struct (\w+)' changed:", text)
        size = re.fullmatch(r'type size changed from (\d+) to (\d+) \(in bits\)', text)
        inserted = re.fullmatch(r"'.+', at offset (\d+) \(in bits\)", text)
        if not text or re.match(r'(Leaf changes|Changed leaf types|Removed/Changed/Added \w+) summary:', text):
            continue
        if grown and not line.startswith(' '):
            struct = grown.group(1)
            if struct not in growing:
                yield f'{struct} may not change'
        elif size and line.startswith('  type') and struct:
            old_size = int(size.group(1))
            if int(size.group(2)) < old_size:
                yield f'{struct} became smaller'
        elif struct and re.fullmatch(r'  \d+ data member insertions?:', line):
            continue
        elif struct and inserted and line.startswith("    '"):
            if old_size == 0 or int(inserted.group(1)) < old_size:
                yield f'{struct}: not at its end: {text}'
        else:
            yield f'{struct or "the library"}: {text}'


def main():
    baseline, library, include = sys.argv[1:4]
    if not shutil.which('abidiff'):
        print('skipped: there is no abidiff')
        return 77
    sections = subprocess.run(['readelf', '-SW', library], capture_output=True, text=True, check=True).stdout
    if '.debug_info' not in sections:
        print(f'skipped: {library} was built without -g')
        return 77
    result = subprocess.run(ABIDIFF + ['--headers-dir2', include, baseline, library], capture_output=True, text=True)
    if result.returncode & 3:  # abidiff itself failed
        print(result.stdout + result.stderr)
        return 1
    growing = {name for name, members in public_header.structs(include).items() if members[0][0] == 'struct_size'}
    found = list(breaks(result.stdout, growing))
    if result.returncode & 8 and not found:
        found = [result.stdout]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
