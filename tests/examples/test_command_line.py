"""What the examples say to a wrong command line and to a stdout that fails: BUILD [TEST...]"""
import os
import subprocess
import unittest

import programs

MODEL = programs.SMALL / "llama-gqa.gguf"
NEEDED = {
    "generate": [],
    "logits": ["--tokens", "1,2,3"],
    "tokenize": [],
    "perplexity": ["--file", __file__],
    "bench": ["--prompt", "4", "--generate", "2", "--rounds", "1"],
    "inspect": [],
}
OF_GENERATE = ["--prompt", "river", "--max-tokens", "4"]


class CommandLine(programs.Case):
    def test_help(self):
        for name in NEEDED:
            out = self.output(name, "--help").decode()
            self.assertTrue(out.startswith(f"usage: {name} --model FILE"), out)

    def test_wrong_flag(self):
        for name, needed in NEEDED.items():
            done = programs.run(name, "--model", MODEL, *needed, "--no-such-flag")
            self.fails(2, done, name, "--no-such-flag")

    def test_missing_model(self):
        for name, needed in NEEDED.items():
            self.fails(2, programs.run(name, *needed), "--model is missing")
            self.fails(2, programs.run(name, *needed, "--model"), "--model needs a value")
            done = programs.run(name, *needed, "--model", "no/such/file.gguf")
            self.fails(2, done, "no/such/file.gguf", "No such file")

    def test_missing_arguments(self):
        self.fails(2, programs.run("logits", "--model", MODEL), "--tokens is missing")
        self.fails(2, programs.run("perplexity", "--model", MODEL), "--file is missing")
        self.fails(2, programs.run("perplexity", "--model", MODEL, "--file", "no-text"), "no-text")
        self.fails(2, programs.run("generate", "--model", MODEL, "--prompt-file", "no-text"),
                   "no-text")
        self.fails(2, programs.run("generate", "--model", MODEL, "--prompt", "a", "--prompt-file",
                                   __file__), "--prompt-file")
        self.fails(2, programs.run("generate", "--model", MODEL, "--seed", "1", "--seed", "2"),
                   "--seed", "twice")

    def test_bad_numbers(self):
        for name, flag, values in [
            ("generate", "--max-tokens", ["12x", "-1", "", " 1", "+1", "1.5", "9223372036854775808"]),
            ("generate", "--threads", ["-2", "two", "2147483648"]),
            ("generate", "--seed", ["-1", "0x10", "18446744073709551616"]),
            ("generate", "--temperature", ["-0.5", "hot", "nan", "inf", "1e999", "1,5", "0x1p3"]),
            ("generate", "--top-k", ["-1", "3000000000"]),
            ("generate", "--top-p", ["1.01", "-0.1", "50%"]),
            ("generate", "--min-p", ["2", "."]),
            ("generate", "--kv", ["f64", "F16", ""]),
            ("generate", "--device", ["gpu", "1", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:2147483647"]),
            ("logits", "--threads", ["x"]),
            ("perplexity", "--context", ["0", "1", "512k"]),
            ("perplexity", "--chunks", ["-3"]),
            ("bench", "--rounds", ["0"]),
            ("bench", "--batch", ["0", "9999999999"]),
            ("inspect", "--context", ["-1"]),
        ]:
            for value in values:
                done = programs.run(name, "--model", MODEL, *NEEDED[name], flag, value)
                if flag in NEEDED[name]:
                    self.fails(2, done, "twice")
                else:
                    self.fails(2, done, flag)

    def test_bad_token_ids(self):
        for ids in ["", "1,,2", "1,2,", ",1", "1 2", "-1", "1,x", "2147483648", "99999999999999999999"]:
            done = programs.run("logits", "--model", MODEL, "--tokens", ids)
            self.fails(2, done, "--tokens")
        for ids in [b"1 x", b"-4", b"1,2", b"7 \0 8"]:
            done = programs.run("tokenize", "--model", MODEL, "--decode", text=ids)
            self.fails(2, done, "stdin")
        done = programs.run("logits", "--model", MODEL, "--tokens", "1,2147483647")
        self.fails(1, done, "INVALID_ARGUMENT")

    def test_library_errors(self):
        for name, needed in NEEDED.items():
            self.fails(1, programs.run(name, "--model", __file__, *needed), "FORMAT")

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        for name, needed in NEEDED.items():
            needed = {"generate": OF_GENERATE, "perplexity": needed + ["--context", "8"]}.get(name, needed)
            with open("/dev/full", "wb") as full:
                done = subprocess.run(programs.command(name, "--model", MODEL, *needed),
                                      input=b"text", stdout=full, stderr=subprocess.PIPE, timeout=300)
            self.fails(1, done, "stdout")

    def test_closed_pipe(self):
        for name, arguments in [("generate", OF_GENERATE), ("inspect", [])]:
            reading, writing = os.pipe()
            os.close(reading)
            done = subprocess.run(programs.command(name, "--model", MODEL, *arguments),
                                  stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE,
                                  timeout=300)
            os.close(writing)
            self.fails(1, done, "stdout")


if __name__ == "__main__":
    os.environ.update(programs.LEAKS_ALLOWED)
    programs.main()
