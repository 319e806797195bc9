#!/usr/bin/env python3
"""The code books of the IQ formats and the levels of the four-bit ones, as the gguf package has them.

    python3 tests/goldens/quant/make_codebooks.py       writes lib/quant/codebook_tables.c

Needs numpy and gguf. They are a part of the file format: an index in a block stands for a row of eight (IQ1, IQ2) or
four (IQ3) levels. A row is packed into 16 bits, two or three bits a level, the first level lowest.
"""
import pathlib

from gguf import quants

HEAD = """/* Code books of the IQ formats, by tests/goldens/quant/make_codebooks.py. */
#include "quant/codebook_tables.h"
"""


def table(kind, name, values, form, per_line):
    rows = [values[i:i + per_line] for i in range(0, len(values), per_line)]
    lines = ["    " + ", ".join(form.format(v) for v in row) + "," for row in rows]
    return "\nconst %s codebook_%s[%d] = {\n%s\n};\n" % (kind, name, len(values), "\n".join(lines))


def grid(name):
    cls = getattr(quants, name)
    cls.init_grid()
    rows = cls.grid.reshape(cls.grid_shape).astype(int)
    levels = sorted(set(cls.grid_map))
    bits = 2 if len(levels) <= 4 else 3
    return [sum(levels.index(value) << bits * i for i, value in enumerate(row)) for row in rows], levels


def sixteen(levels):
    return list(levels) + [0] * (16 - len(levels))


def main():
    out = HEAD
    grids = {name: grid(name) for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S")}
    for name, (rows, _) in grids.items():
        out += table("uint16_t", "grid_" + name.lower(), rows, "0x{:04x}", 12)
    e2m1 = list(quants.MXFP4.kvalues)
    assert e2m1 == list(quants.NVFP4.kvalues)
    two = grids["IQ2_XXS"][1]
    assert two == grids["IQ2_XS"][1] == grids["IQ2_S"][1]
    ternary = grids["IQ1_S"][1]
    delta = int(quants.IQ1_S.delta * 8)
    one = [8 * v + delta for v in ternary] + [0] + [8 * v - delta for v in ternary]
    levels = {
        "iq4": list(quants.IQ4_NL.kvalues),
        "e2m1": e2m1,
        "iq3_xxs": [sign * v for sign in (1, -1) for v in grids["IQ3_XXS"][1]],
        "iq3_s": [sign * v for sign in (1, -1) for v in grids["IQ3_S"][1]],
        "iq2": [sign * v for sign in (1, -1) for v in sixteen(two)[:4]],
        "iq1": one,
    }
    for name, values in levels.items():
        out += table("int8_t", "levels_" + name, sixteen(values), "{}", 16)
    for name, by in (("e2m1", 12), ("iq3_s", 15), ("iq1", 9)):
        raised = [v + by for v in sixteen(levels[name])]
        assert min(raised) == 0
        out += table("int8_t", "raised_" + name, raised, "{}", 16)
    root = pathlib.Path(__file__).resolve().parents[3]
    (root / "lib/quant/codebook_tables.c").write_text(out)


if __name__ == "__main__":
    main()
