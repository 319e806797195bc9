"""What include/transformer.h declares: functions, structs with their members, constants."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def text(include):
    source = (pathlib.Path(include) / 'transformer.h').read_text()
    return re.sub(r'/\*.*?\*/', ' ', source, flags=re.S)


def functions(include):
    """name -> declaration without TRANSFORMER_API."""
    found = re.findall(r'TRANSFORMER_API\s+([^;{}]*?\b(transformer_\w+)\s*\([^;]*\))\s*;', text(include))
    return {name: ' '.join(declaration.split()) for declaration, name in found}


def member_name(declaration):
    pointer = re.match(r'[^()]*\(\s*\*\s*(\w+)\s*\)', declaration)
    return pointer.group(1) if pointer else re.search(r'(\w+)\s*(?:\[[^\]]*\])?\s*$', declaration).group(1)


def structs(include):
    """name -> [(member, declaration)]"""
    found = {}
    for name, body in re.findall(r'typedef\s+struct\s+(\w+)\s*\{(.*?)\}\s*\1\s*;', text(include), re.S):
        members = [' '.join(part.split()) for part in body.split(';') if part.strip()]
        found[name] = [(member_name(member), member) for member in members]
    return found


def constants(include):
    found = {}
    for body in re.findall(r'\benum\s*\{(.*?)\}', text(include), re.S):
        for name, value in re.findall(r'(TRANSFORMER_\w+)\s*=\s*(\d+)', body):
            found[name] = int(value)
    return found


def handles(include):
    """Names of the opaque types."""
    return re.findall(r'typedef\s+struct\s+(\w+)\s+\1\s*;', text(include))


def callbacks(include):
    """name -> declaration of the types of functions that a host may hand in"""
    found = re.findall(r'typedef\s+([^;{}()]*\(\s*\*\s*(\w+)\s*\)\s*\([^;]*\))\s*;', text(include))
    return {name: ' '.join(declaration.split()) for declaration, name in found}
