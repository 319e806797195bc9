#!/usr/bin/env python3
"""The wheel in a virtual environment of its own, as a user has it; and its types by mypy. Needs PyPI."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

import environment

environment.prepare()

PROGRAM = """
import sys, libtransformer, libtransformer._library as library
assert library._path().startswith(sys.prefix), library._path()
with libtransformer.Model(sys.argv[1]) as model:
    print(model.generate("the river holds", max_tokens=16).read())
"""


class Wheel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="transformer-wheel-")
        cls.addClassCleanup(cls.folder.cleanup)
        root = pathlib.Path(cls.folder.name)
        cls.python = root / "venv/bin/python"
        # Only what the package asks for: nothing of this process's paths, and not the library's either.
        cls.environment = {name: value for name, value in os.environ.items()
                           if name not in ("PYTHONPATH", "LIBTRANSFORMER_LIBRARY")}
        building = {**cls.environment, "LIBTRANSFORMER_LIBRARY": str(environment.LIBRARY)}
        for command in ([sys.executable, "-m", "venv", str(root / "venv")],
                        cls.pip("wheel", "--no-deps", "--wheel-dir", str(root), str(environment.PACKAGE)),
                        cls.pip("install", "--find-links", str(root), "libtransformer", "mypy")):
            try:
                done = subprocess.run(command, capture_output=True, timeout=300, env=building)
            except subprocess.TimeoutExpired:
                raise unittest.SkipTest(f"{' '.join(command[2:5])} takes too long") from None
            if done.returncode:
                said = (done.stderr or done.stdout).decode().strip().splitlines()[-1:]
                if any(word in done.stderr.decode() for word in ("No matching distribution", "Could not find a version",
                                                                 "Connection", "ensurepip", "Temporary failure")):
                    raise unittest.SkipTest(f"no virtual environment with the wheel: {' '.join(said)}")
                raise AssertionError((done.stdout + done.stderr).decode())
        cls.wheel, = root.glob("libtransformer-*.whl")

    @classmethod
    def pip(cls, *arguments):
        return [str(cls.python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]

    def run_there(self, *arguments):
        done = subprocess.run([str(self.python), *map(str, arguments)], capture_output=True, timeout=300,
                              env=self.environment, cwd=self.folder.name)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        return done.stdout.decode()

    def test_runs(self):
        import libtransformer
        with libtransformer.Model(environment.LLAMA) as model:
            expected = model.generate("the river holds", max_tokens=16).read()
        self.assertEqual(self.run_there("-c", PROGRAM, environment.LLAMA), expected + "\n")

    def test_what_is_in_it(self):
        files = {name: name for name in zipfile.ZipFile(self.wheel).namelist()}
        ours = {f"libtransformer/{path.name}" for path in (environment.PACKAGE / "src/libtransformer").iterdir()
                if path.suffix in (".py", ".typed")}
        self.assertEqual({name for name in files if not name.split("/")[0].endswith(".dist-info")},
                         ours | {"libtransformer/libtransformer.so.0"})
        self.assertRegex(self.wheel.name, r"^libtransformer-[0-9.]+-py3-none-linux_\w+\.whl$")
        self.assertEqual(zipfile.ZipFile(self.wheel).read("libtransformer/libtransformer.so.0"), environment.LIBRARY.read_bytes())

    def test_types(self):
        self.run_there("-m", "mypy", "--strict", environment.ROOT / "tests/python/typed.py")
        self.run_there("-m", "mypy", "--strict", "-p", "libtransformer")
        self.assertIn("(380,)", self.run_there(environment.ROOT / "tests/python/typed.py", environment.LLAMA))

    def test_types_can_be_wrong(self):
        wrong = pathlib.Path(self.folder.name) / "wrong.py"
        wrong.write_text("import libtransformer\n"
                         "with libtransformer.Model('x') as model:\n"
                         "    model.generate('a', temprature=1.0)\n"
                         "    n: int = model.generate('a').read()\n")
        done = subprocess.run([str(self.python), "-m", "mypy", "--strict", str(wrong)], capture_output=True, timeout=300,
                              env=self.environment, cwd=self.folder.name)
        self.assertIn(b"temprature", done.stdout)
        self.assertIn(b"Incompatible types", done.stdout)


if __name__ == "__main__":
    environment.main()
