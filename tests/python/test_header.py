#!/usr/bin/env python3
"""The package's mirror of transformer.h: made from the header of today, laid out as the C compiler lays it out."""
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import environment

environment.prepare()
from libtransformer import _header, errors, options  # noqa: E402

sys.path.append(str(environment.ROOT / "tests/abi"))
import public_header  # noqa: E402

INCLUDE = environment.ROOT / "include"


def measured():
    """struct -> (size, {member: (offset, size)}) of the C compiler."""
    lines = ["#include <stdio.h>", "#include <stddef.h>", '#include "transformer.h"', "int main(void) {"]
    for struct, members in public_header.structs(INCLUDE).items():
        lines.append(f'printf("{struct} - %zu 0\\n", sizeof({struct}));')
        lines += [f'printf("{struct} {m} %zu %zu\\n", offsetof({struct}, {m}), sizeof((({struct} *)0)->{m}));'
                  for m, _ in members]
    lines.append("return 0; }")
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "measure"
        subprocess.run([*(os.environ.get("CC") or "cc").split(), "-x", "c", "-std=c11", "-I", str(INCLUDE), "-o", str(program), "-"],
                       input="\n".join(lines), text=True, check=True)
        out = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        struct, member, a, b = line.split()
        if member == "-":
            found[struct] = (int(a), {})
        else:
            found[struct][1][member] = (int(a), int(b))
    return found


class Header(unittest.TestCase):
    def test_made_from_the_header(self):
        made = subprocess.run([sys.executable, environment.PACKAGE / "make_header.py"], check=True, capture_output=True,
                              text=True).stdout
        there = (environment.PACKAGE / "src/libtransformer/_header.py").read_text(encoding="utf-8")
        self.assertEqual(made, there, "run examples/python/make_header.py > .../_header.py")

    def test_layout(self):
        expected = measured()
        self.assertEqual(set(expected), set(_header.STRUCTS))
        for name, kind in _header.STRUCTS.items():
            size, members = expected[name]
            ours = {member: (getattr(kind, member).offset, getattr(kind, member).size) for member, *_ in kind._fields_}
            self.assertEqual((ctypes.sizeof(kind), ours), (size, members), name)

    def test_every_call_is_declared(self):
        declared = public_header.functions(INCLUDE)
        self.assertEqual(set(declared), set(_header.FUNCTIONS))
        for name, declaration in declared.items():
            arguments = declaration[declaration.index("(") + 1:declaration.rindex(")")]
            count = 0 if arguments.strip() == "void" else arguments.count(",") + 1
            self.assertEqual(len(_header.FUNCTIONS[name][1]), count, name)

    def test_every_constant_has_its_enum(self):
        classes = {"LOG": options.LogLevel, "LOAD": options.Load, "WEIGHTS": options.WeightType, "TOKEN": options.SpecialToken,
                   "KV": options.KVType, "POOLING": options.Pooling, "LOGITS": options.Logits, "FINISH": options.FinishReason,
                   "MATCH": getattr(options, "Match", None)}
        for name, value in public_header.constants(INCLUDE).items():
            kind, _, rest = name.removeprefix("TRANSFORMER_").partition("_")
            if kind in classes:
                self.assertEqual(classes[kind][rest], value)
            elif name.removeprefix("TRANSFORMER_") not in ("OK", "DEFAULT", "OFF", "ON"):
                self.assertIn(value, errors.CLASSES, name)  # a status
        self.assertEqual(len(errors.CLASSES), 13)

    def test_records_have_every_member(self):
        import dataclasses
        for record, kind in ((options.ModelInfo, _header.ModelDetails), (options.MemoryEstimate, _header.MemoryEstimate),
                             (options.ContextStats, _header.ContextStatistics), (options.StepResult, _header.DecodeResult),
                             (options.Device, _header.DeviceDetails)):
            theirs = {n for n, *_ in kind._fields_} - {"struct_size", "reserved", "n_end_tokens"}
            self.assertEqual(theirs - {f.name for f in dataclasses.fields(record)}, set(), record)


if __name__ == "__main__":
    environment.main()
