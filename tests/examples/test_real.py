"""The examples on real models, from the folder that TEST_MODELS names: BUILD [TEST...]"""
import os
import sys
import unittest
from pathlib import Path

import programs

MODEL = Path(os.environ.get("TEST_MODELS", "/nonexistent")) / "smollm2.gguf"
QUESTION = ("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
            "<|im_start|>assistant\n")


class SmolLM2(programs.Case):
    def test_answers(self):
        text = self.output("generate", "--model", MODEL, "--prompt", QUESTION, "--max-tokens", 48)
        self.assertIn("Paris", text.decode())

    def test_text_is_its_ids(self):
        arguments = ["--model", MODEL, "--prompt", "Once upon a time", "--max-tokens", 32]
        ids = self.output("generate", *arguments, "--ids")
        text = self.output("generate", *arguments)
        self.assertEqual(self.output("tokenize", "--model", MODEL, "--decode", text=ids) + b"\n", text)
        self.assertEqual(self.ids("tokenize", "--model", MODEL, text=text[:-1]),
                         [int(i) for i in ids.split()])

    def test_random_text(self):
        def text(seed, threads):
            return self.output("generate", "--model", MODEL, "--prompt", QUESTION, "--max-tokens", 24,
                               "--temperature", 1.2, "--top-p", 0.95, "--seed", seed, "--threads",
                               threads)
        self.assertEqual(text(5, 1), text(5, 2))
        self.assertGreater(len({text(seed, 0) for seed in (5, 6, 7)}), 1)

    def test_inspect(self):
        said = self.output("inspect", "--model", MODEL).decode()
        for word in ("llama", "Q4_1", "49152", "GGUF v3"):
            self.assertIn(word, said)

    def test_bench(self):
        result = self.json("bench", "--model", MODEL, "--prompt", 64, "--generate", 4, "--rounds", 1,
                           "--json")
        self.assertEqual(len(result["decode_tokens_per_s"]), 1)


if __name__ == "__main__":
    if not MODEL.exists():
        print("skipped: TEST_MODELS names no folder with smollm2.gguf")
        sys.exit(programs.SKIPPED)
    programs.main()
