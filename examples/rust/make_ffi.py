#!/usr/bin/env python3
"""Writes src/ffi.rs, the declarations of include/transformer.h as Rust has them.

usage: make_ffi.py [--check]
--check compares and writes nothing. The crate needs no generator and no C compiler where it is built.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / 'tests/abi'))

import make_layout  # noqa: E402
import public_header  # noqa: E402

INCLUDE = public_header.ROOT / 'include'
OUTPUT = HERE / 'src/ffi.rs'
NUMBERS = {'int32_t': 'i32', 'uint32_t': 'u32', 'int64_t': 'i64', 'uint64_t': 'u64', 'uint8_t': 'u8', 'int8_t': 'i8',
           'float': 'f32', 'double': 'f64', 'char': 'c_char', 'void': 'c_void', 'transformer_status': 'i32'}

HEAD = '''//! The declarations of transformer.h; made by make_ffi.py. What they mean is told there.
#![allow(non_camel_case_types)]
#![cfg_attr(rustfmt, rustfmt_skip)]

use std::ffi::c_void;
use std::os::raw::c_char;
'''


def split_parameters(text):
    """At the commas outside of parentheses."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == '(') - (c == ')')
        if c == ',' and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip() not in ('', 'void')]


def function_type(returns, parameters):
    arguments = ', '.join(rust_type(*split_name(parameter)) for parameter in split_parameters(parameters))
    result = '' if returns.strip() == 'void' else f' -> {rust_type(returns)}'
    return f'({arguments}){result}'


FUNCTION_POINTER = re.compile(r'(.*?)\(\s*\*\s*(\w*)\s*\)\s*\((.*)\)$')


def split_name(declaration):
    """'const char *path' -> ('const char *', 'path'); a function pointer keeps its shape, without the name"""
    pointer = FUNCTION_POINTER.match(declaration)
    if pointer:
        return f'{pointer[1]}(*)({pointer[3]})', pointer[2]
    parts = re.match(r'(.*?[\s*])(\w+)$', declaration)
    return parts[1].strip(), parts[2]


def rust_type(declaration, _name=None):
    pointer = FUNCTION_POINTER.match(declaration)
    if pointer:
        return f'Option<unsafe extern "C" fn{function_type(pointer[1], pointer[3])}>'
    words = declaration.replace('*', ' * ').split()
    base = next(word for word in words if word not in ('const', '*'))
    if base in public_header.callbacks(INCLUDE):
        return base
    made = NUMBERS.get(base, base)
    # `const T *const *`: each star is const if the word before its level is.
    constant = 'const' in words[:words.index(base) + 2] and words.index('const') < (words + ['*']).index('*')
    rest = words[words.index(base) + 1:]
    for i, word in enumerate(rest):
        if word == '*':
            made = f'{"*const" if constant else "*mut"} {made}'
            constant = i + 1 < len(rest) and rest[i + 1] == 'const'
    return made


def escaped(name):
    return {'type': 'r#type', 'match': 'r#match'}.get(name, name)


def ffi():
    lines = [HEAD]
    for name, value in public_header.constants(INCLUDE).items():
        kind = 'u32' if re.match(r'TRANSFORMER_(DEFAULT|OFF|ON|LOAD|WEIGHTS|KV|POOLING|LOGITS)', name) else 'i32'
        lines.append(f'pub const {name}: {kind} = {value};')
    for name in public_header.handles(INCLUDE):
        lines.append(f'\n#[repr(C)]\npub struct {name} {{\n    _private: [u8; 0],\n}}')
    for name, declaration in public_header.callbacks(INCLUDE).items():
        lines.append(f'\npub type {name} =\n    {rust_type(split_name(declaration)[0])};')
    for name, members in public_header.structs(INCLUDE).items():
        lines.append(f'\n#[repr(C)]\n#[derive(Clone, Copy)]\npub struct {name} {{')
        lines += [f'    pub {escaped(member)}: {rust_type(*split_name(declaration))},' for member, declaration in members]
        lines.append('}')
    lines.append('\nextern "C" {')
    for name, declaration in public_header.functions(INCLUDE).items():
        returns, parameters = re.match(rf'(.*?)\b{name}\s*\((.*)\)$', declaration).groups()
        arguments = [split_name(parameter) for parameter in split_parameters(parameters)]
        inside = ''.join(f'\n        {escaped(argument)}: {rust_type(kind)},' for kind, argument in arguments)
        result = '' if returns.strip() == 'void' else f' -> {rust_type(returns)}'
        lines.append(f'    pub fn {name}({inside}{chr(10) + "    " if inside else ""}){result};')
    lines.append('}')
    lines.append('')
    for line in make_layout.measure().splitlines():
        struct, member, size, _ = line.split()
        if member == '-':
            lines.append(f'const _: () = assert!(std::mem::size_of::<{struct}>() == {size});')
    return '\n'.join(lines) + '\n'


def main():
    made = ffi()
    if sys.argv[1:] == ['--check']:
        if OUTPUT.read_text() != made:
            sys.exit(f'{OUTPUT} is not what make_ffi.py makes of transformer.h')
    else:
        OUTPUT.write_text(made)


if __name__ == '__main__':
    main()
