"""Running the built examples: what the tests beside this file share."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
SMALL = ROOT / "tests/goldens/data/small"
SKIPPED = 77

os.environ["LC_ALL"] = "C"
# A program that ends on a failure leaves its memory to the system, which LeakSanitizer would report.
LEAKS_ALLOWED = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def command(name, *arguments):
    return [str(BUILD / "examples" / name), *map(str, arguments)]


def run(name, *arguments, text=b"", environment=None):
    """The finished process, stdout and stderr as bytes."""
    return subprocess.run(command(name, *arguments), input=text, capture_output=True, timeout=300,
                          env={**os.environ, **(environment or {})})


class Case(unittest.TestCase):
    def output(self, name, *arguments, text=b"", environment=None):
        """stdout of a run that must succeed and, its stderr being no terminal, be quiet there."""
        done = run(name, *arguments, text=text, environment=environment)
        self.assertEqual((done.returncode, done.stderr), (0, b""), (name, arguments))
        return done.stdout

    def json(self, name, *arguments, environment=None):
        return json.loads(self.output(name, *arguments, environment=environment))

    def ids(self, name, *arguments, text=b""):
        return [int(word) for word in self.output(name, *arguments, text=text).split()]

    def fails(self, code, done, *words):
        """One line on stderr that holds the words."""
        self.assertEqual(done.returncode, code, done.stderr)
        line = done.stderr.decode()
        self.assertEqual(line.count("\n"), 1, line)
        self.assertTrue(line.endswith("\n"), line)
        for word in words:
            self.assertIn(word, line)


def golden_logits(name):
    """[(tokens, {position: row})] of a .logits file; tests/goldens/README.md has the format."""
    data = (SMALL / (name + ".logits")).read_bytes()
    at = 8

    def take(kind, count):
        nonlocal at
        values = struct.unpack_from(f"<{count}{kind}", data, at)
        at += 4 * count
        return values

    sequences = []
    for _ in range(take("i", 1)[0]):
        n_tokens, n_positions, n_vocab = take("i", 3)
        tokens, positions = take("i", n_tokens), take("i", n_positions)
        sequences.append((tokens, {p: take("f", n_vocab) for p in positions}))
    return sequences


def golden_texts(name):
    """[(bytes, ids)] of a .texts file."""
    lines = (SMALL / (name + ".texts")).read_text().split("\n")
    return [(bytes.fromhex(text), [int(i) for i in ids.split()])
            for text, ids in zip(lines[0::2], lines[1::2])]


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="transformer-examples-")


def main(needs="generate"):
    if not (BUILD / "examples" / needs).exists():
        print(f"skipped: {BUILD} has no examples/{needs}")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
