#!/usr/bin/env python3
"""Writes src/libtransformer/_header.py: the structs, constants and calls of include/transformer.h for ctypes.

usage: make_header.py > src/libtransformer/_header.py
Run it when something is added to the header; tests/python/test_header.py compares.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/abi"))
import public_header  # noqa: E402

INCLUDE = ROOT / "include"

# C's: what ctypes has, what a member of it is in Python
NUMBERS = {"int32_t": ("c_int32", "int"), "uint32_t": ("c_uint32", "int"), "int64_t": ("c_int64", "int"),
           "uint64_t": ("c_uint64", "int"), "uint8_t": ("c_uint8", "int"), "float": ("c_float", "float"),
           "double": ("c_double", "float"), "transformer_status": ("c_int32", "int")}

HEAD = '''"""The structs, constants and calls of transformer.h; made by make_header.py."""
from __future__ import annotations

import ctypes
from typing import Any, Dict, List, Optional, Tuple, Type

c_char_p, c_float, c_int32, c_int64 = ctypes.c_char_p, ctypes.c_float, ctypes.c_int32, ctypes.c_int64
c_uint8, c_uint32, c_uint64, c_void_p = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class Sized(ctypes.Structure):
    """An options or output struct: zero but for its size and what the caller names."""

    struct_size: int

    def __init__(self, **values: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(self), **values)

'''


def short(name):
    """transformer_model_options -> ModelOptions"""
    return "".join(word.capitalize() for word in name.removeprefix("transformer_").split("_"))


def words_of(declaration):
    """The declaration's type without its name, const and spaces about stars."""
    text = re.sub(r"\bconst\b|\bstruct\b|TRANSFORMER_API", " ", declaration)
    return re.sub(r"\s*\*\s*", "*", " ".join(text.split()))


def c_type(text, structs):
    """ctypes' and Python's type of a C type as words_of gives it."""
    base, stars = text.rstrip("*"), len(text) - len(text.rstrip("*"))
    if stars == 0:
        if base in NUMBERS:
            return NUMBERS[base]
        return short(base), short(base)
    if base == "char" and stars == 1:
        return "c_char_p", "Optional[bytes]"
    if base in NUMBERS and stars == 1:
        return f"ctypes.POINTER({NUMBERS[base][0]})", "Any"
    if base in structs and stars == 1:
        return f"ctypes.POINTER({short(base)})", "Any"
    if base == "char" or base in NUMBERS:
        return "ctypes.POINTER(c_void_p)", "Any"
    return ("c_void_p" if stars == 1 else "ctypes.POINTER(c_void_p)"), "Any"


def callback(result, arguments):
    """CFUNCTYPE(...) of a C function type; pointers are addresses."""
    returned = words_of(result)
    out = ["None" if returned == "void" else "c_void_p" if returned.endswith("*") else NUMBERS[returned][0]]
    for argument in split(arguments):
        name = public_header.member_name(argument)
        kind = words_of(re.sub(rf"\b{name}\b\s*(?=$|\[)", "", argument, count=1))
        if "(" in argument or kind.endswith("*"):
            out.append("c_char_p" if kind == "char*" and name in ("name", "line") else "c_void_p")
        else:
            out.append(NUMBERS[kind][0])
    return f"ctypes.CFUNCTYPE({', '.join(out)})"


def split(arguments):
    """At the commas that no parenthesis holds."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip() not in ("", "void")]


def named_callbacks(text):
    """transformer_NAME -> CFUNCTYPE(...) of each function typedef."""
    found = re.findall(r"typedef\s+(\w+)\s*\(\s*\*\s*(transformer_\w+)\s*\)\s*\(([^;]*)\)\s*;", text)
    return {name: callback(result, " ".join(arguments.split())) for result, name, arguments in found}


def member(struct, name, declaration, structs, callbacks, out):
    """(ctypes type, Python type); a function's type of its own goes to `out` first."""
    function = re.match(r"(\w[\w *]*?)\s*\(\s*\*\s*\w+\s*\)\s*\((.*)\)$", declaration)
    if function:
        kind = short(struct) + short(name) + "Function"
        out.append(f"{kind} = {callback(*function.groups())}")
        return kind, "Any"
    kind = words_of(re.sub(rf"\b{name}\b$", "", declaration.strip(), count=1))
    if kind in callbacks:
        return short(kind), "Any"
    return c_type(kind, structs)


def write_struct(name, members, structs, callbacks):
    before, fields, typed = [], [], []
    for member_name, declaration in members:
        kind, python = member(name, member_name, declaration, structs, callbacks, before)
        fields.append(f'        ("{member_name}", {kind}),')
        if member_name != "struct_size":
            typed.append(f"    {member_name}: {python}")
    sized = members[0][0] == "struct_size"
    lines = ["", *before, *(["", ""] if before else [""]), f"class {short(name)}({'Sized' if sized else 'ctypes.Structure'}):",
             f'    """{name}"""', "", *typed, "", "    _fields_ = [", *fields, "    ]"]
    return "\n".join(lines)


def write_function(name, declaration, structs):
    result, arguments = re.match(rf"(.*?)\b{name}\s*\((.*)\)$", declaration).groups()
    kinds = []
    for argument in split(arguments):
        at = public_header.member_name(argument)
        kind = words_of(re.sub(rf"\b{at}\b\s*$", "", argument, count=1))
        kinds.append(short(kind) if kind.endswith("_function") else
                     "c_void_p" if kind == "char*" and at == "buffer" else c_type(kind, structs)[0])
    result = words_of(result)
    returned = "None" if result == "void" else c_type(result, structs)[0]
    return f'    "{name}": ({returned}, [{", ".join(kinds)}]),'


def main():
    text = public_header.text(INCLUDE)
    structs, callbacks = public_header.structs(INCLUDE), named_callbacks(text)
    out = [HEAD]
    version = re.search(r'TRANSFORMER_VERSION_TEXT "(.*)"', (INCLUDE / "transformer_version.h").read_text()).group(1)
    out.append(f'VERSION = "{version}"\n')
    for name, value in public_header.constants(INCLUDE).items():
        out.append(f"{name.removeprefix('TRANSFORMER_')} = {value}")
    out.append("")
    out += [f"{short(name)} = {kind}" for name, kind in callbacks.items()]
    out += [write_struct(name, members, structs, callbacks) for name, members in structs.items()]
    out += ["", ""]
    out.append("# C name of each struct that is here\nSTRUCTS: Dict[str, Type[ctypes.Structure]] = {")
    out += [f'    "{name}": {short(name)},' for name in structs]
    out.append("}\n")
    out.append("# name: what it returns, its arguments\nFUNCTIONS: Dict[str, Tuple[Optional[Any], List[Any]]] = {")
    functions = public_header.functions(INCLUDE)
    out += [write_function(name, declaration, structs) for name, declaration in functions.items()]
    out.append("}")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
