"""Writes corpus/tokenizer: a text for each vocabulary of fuzz_tokenizer.c, and some edits of their files."""

import pathlib
import random

FOLDER = pathlib.Path(__file__).parent / "corpus" / "tokenizer"
TEXT = "hello aaab 'LL 1234567 \u00e9\u4e2d\u3042\uac00\U0001f680 <user>er <|im_end|> >\u2581a\t \n\n !? A\u0301b".encode()
N_KINDS = 29

FOLDER.mkdir(parents=True, exist_ok=True)
chosen = random.Random(1)
for kind in range(N_KINDS):
    (FOLDER / f"text-{kind}").write_bytes(bytes([kind]) + TEXT + (b"\xff\xe4" if kind % 2 else b""))
for kind in (26, 27, 28, 1, 4):
    first = next(value for value in range(128, 256) if value % N_KINDS == kind)
    for edit in range(4):
        edits = b"".join(bytes([chosen.randrange(24), chosen.randrange(256), chosen.choice([0, 1, 2, 3, 255, 65]),
                                chosen.randrange(4)]) for _ in range(3))
        (FOLDER / f"edit-{kind}-{edit}").write_bytes(bytes([first, 3]) + edits + TEXT)
