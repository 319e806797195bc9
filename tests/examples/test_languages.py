"""The C++, Python and Rust examples and the README's program, on a small model: BUILD [TEST...]

Each greedily continues the same prompt and must print what `generate` prints."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import programs

MODEL = str(programs.SMALL / "llama-gqa.gguf")
PROMPT = ["--prompt", "the <|im_start|> river holds", "--max-tokens", "16"]
LIBRARY = programs.BUILD / "lib"
LINKED = [f"-L{LIBRARY}", "-ltransformer", f"-Wl,-rpath,{LIBRARY}"]


def run(command, **keywords):
    return subprocess.run([str(c) for c in command], capture_output=True, timeout=600, **keywords)


class Languages(programs.Case):
    def check_program(self, program):
        expected = self.output("generate", "--model", MODEL, *PROMPT)
        done = run([*program, "--model", MODEL, *PROMPT])
        self.assertEqual((done.returncode, done.stderr, done.stdout), (0, b"", expected))
        for wrong in (["--no-such-flag"], ["--model", "no-file", *PROMPT], ["--prompt", "x"],
                      ["--model", MODEL, "--prompt"],
                      ["--model", MODEL, "--prompt", "x", "--max-tokens", "12x"]):
            self.fails(2, run([*program, *wrong]))
        self.fails(1, run([*program, "--model", __file__, *PROMPT]))
        self.assertEqual(run([*program, "--help"]).returncode, 0)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([*program, "--model", MODEL, *PROMPT], stdout=full,
                                  stderr=subprocess.PIPE, timeout=300)
        self.fails(1, done)

    def test_cpp(self):
        program = programs.BUILD / "examples/generate-cpp"
        if not program.exists():
            self.skipTest("built without a C++ compiler")
        self.check_program([str(program)])

    def test_python(self):
        sys.path.append(str(programs.ROOT / "tests/python"))
        import environment
        reason = environment.why_not()
        if reason:
            self.skipTest(reason)
        self.check_program([sys.executable, str(programs.ROOT / "examples/python/generate.py")])

    def test_rust(self):
        self.skip_if_sanitized()
        if not shutil.which("cargo"):
            self.skipTest("no cargo")
        crate = programs.ROOT / "examples/rust"
        done = run([sys.executable, crate / "make_ffi.py", "--check"])
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        # Beside the build: what is built once is there the next time.
        environment = {**os.environ, "LIBTRANSFORMER_DIR": str(LIBRARY), "TEST_MODEL_FOLDER": str(programs.SMALL),
                       "CARGO_TARGET_DIR": str(programs.BUILD / "rust")}
        cargo = ["cargo", "--offline", "--quiet"]
        manifest = ["--manifest-path", crate / "Cargo.toml"]
        done = run([cargo[0], "test", *cargo[1:], *manifest], env=environment)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        made = run([cargo[0], "build", *cargo[1:], "--example", "generate", *manifest], env=environment)
        self.assertEqual(made.returncode, 0, made.stderr.decode())
        self.check_program([programs.BUILD / "rust/debug/examples/generate"])

    def test_readme(self):
        self.skip_if_sanitized()
        compiler = (os.environ.get("CC") or "cc").split()
        readme = (programs.ROOT / "README.md").read_text(encoding="utf-8")
        source = re.search(r"```c\n(.*?)```", readme, re.S).group(1)
        with programs.temporary_folder() as folder:
            with open(folder + "/readme.c", "w", encoding="utf-8") as file:
                file.write(source)
            made = run([*compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", folder + "/readme.c",
                        "-o", folder + "/readme", f"-I{programs.ROOT / 'include'}", *LINKED])
            self.assertEqual(made.returncode, 0, made.stderr.decode())
            done = run([folder + "/readme", MODEL, "the river holds"])
            expected = self.output("generate", "--model", MODEL, "--prompt", "the river holds",
                                   "--max-tokens", "64")
            self.assertEqual((done.returncode, done.stdout), (0, expected[:-1]), done.stderr)
            done = run([folder + "/readme", "no-file", "text"])
            self.fails(1, done, "no-file")
            self.assertEqual(run([folder + "/readme"]).returncode, 2)

    def skip_if_sanitized(self):
        """Programs that this test compiles, and Python's, don't bring the sanitizers' run time."""
        needs = run(["ldd", LIBRARY / "libtransformer.so.0"]).stdout
        undefined = run(["nm", "-D", "--undefined-only", LIBRARY / "libtransformer.so.0"]).stdout
        if b"__asan_" in undefined or b"__tsan_" in undefined or b"asan" in needs:
            self.skipTest("the library is built with a sanitizer")


if __name__ == "__main__":
    programs.main()
