#!/usr/bin/env python3
"""The gate lets an append through and stops every break: shown with libraries built from mutated headers.

usage: test_gate.py BASELINE CC
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import public_header

HERE = pathlib.Path(__file__).parent
MAP = public_header.ROOT / 'lib' / 'transformer.map'

# name, passes, pattern, replacement; a pattern must be found
MUTATIONS = [
    ('nothing changed', True, r'\Z', ''),
    ('a function more', True, r'(TRANSFORMER_API uint32_t transformer_version)',
     r'TRANSFORMER_API int32_t transformer_appended(int64_t a);\n\1'),
    ('a member appended', True, r'(int32_t finish_reason;.*?int32_t reserved;)', r'\1 int64_t more;'),
    ('members appended to options', True, r'(uint32_t preemption;)', r'\1 int64_t more; int32_t x; int32_t y;'),
    ('a member inserted', False, r'(int64_t n_prompt_tokens;)', r'int64_t more; \1'),
    ('a member inserted first', False, r'(uint64_t struct_size;)(\s+int64_t n_prompt_tokens;)', r'int64_t more; \1\2'),
    ('a member appended, another inserted', False, r'(int64_t n_prompt_tokens;)(.*?int32_t reserved;)',
     r'int64_t more; \1\2 int64_t last;'),
    ('a member retyped, same size', False, r'int64_t n_prompt_tokens;', 'double n_prompt_tokens;'),
    ('a member retyped, another size', False, r'int64_t n_prompt_tokens;', 'int32_t n_prompt_tokens;'),
    ('a member appended, another retyped', False, r'int64_t n_prompt_tokens;(.*?int32_t reserved;)',
     r'double n_prompt_tokens;\1 int64_t last;'),
    ('two members swapped', False, r'(int64_t n_prompt_tokens;)(.*?)(int64_t n_generated_tokens;)', r'\3\2\1'),
    ('a member renamed', False, r'int64_t n_prompt_tokens;', 'int64_t n_prompts;'),
    ('a member removed', False, r'int64_t n_prompt_tokens;', ''),
    ('the last member removed', False, r'(int32_t finish_reason;.*?)int32_t reserved;', r'\1'),
    ('a frozen struct grown', False, r'(int32_t n_concurrent;\s*int32_t reserved;)', r'\1 int64_t more;'),
    ('an array element retyped', False, r'float bias;', 'double bias;'),
    ('a callback retyped', False, r'(\(\*release\)\(void \*user, void \*pointer), uint64_t size', r'\1'),
    ('a function removed', False, r'TRANSFORMER_API uint32_t transformer_version\(void\);', ''),
    ('a result retyped', False, r'TRANSFORMER_API uint32_t transformer_version', 'TRANSFORMER_API int64_t transformer_version'),
    ('a parameter added', False, r'(transformer_context_cancel\(transformer_context \*context)', r'\1, int32_t more'),
    ('the status retyped', False, r'typedef int32_t transformer_status;', 'typedef int64_t transformer_status;'),
]


def build(cc, folder, include):
    """A library of that header's functions, empty ones: the gate looks at types and symbols."""
    stub = folder / 'stub.c'
    with stub.open('w') as out:
        subprocess.run([sys.executable, HERE / 'make_stub.py', include], stdout=out, check=True)
    version_script = folder / 'transformer.map'
    version_script.write_text(MAP.read_text().replace('local:', '    transformer_appended;\nlocal:', 1))
    library = folder / 'libtransformer.so'
    subprocess.run(cc + ['-g', '-w', '-shared', '-fPIC', f'-I{include}', f'-Wl,--version-script={version_script}',
                         '-Wl,-soname,libtransformer.so.0', '-o', library, stub], check=True)
    return library


def main():
    baseline, cc = sys.argv[1], sys.argv[2:]
    if not shutil.which('abidiff'):
        print('skipped: there is no abidiff')
        return 77
    header = (public_header.ROOT / 'include' / 'transformer.h').read_text()
    wrong = 0
    for name, passes, pattern, replacement in MUTATIONS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            include = folder / 'include'
            shutil.copytree(public_header.ROOT / 'include', include)
            mutated, n = re.subn(pattern, replacement, header, count=1, flags=re.S)
            (include / 'transformer.h').write_text(mutated)
            library = build(cc, folder, include)
            gate = subprocess.run([sys.executable, HERE / 'gate.py', baseline, library, include],
                                  capture_output=True, text=True)
        right = n == 1 and gate.returncode == (0 if passes else 1)
        wrong += not right
        print(f'{"ok" if right else "WRONG"}: {name}: gate says {gate.returncode}'
              + ''.join(f'\n    {line}' for line in gate.stdout.splitlines()[:2]))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
