#!/usr/bin/env python3
"""The package on SmolLM2, where TEST_MODELS or the cache has it."""
import asyncio
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import unittest

import environment

environment.prepare()
import numpy as np  # noqa: E402

import libtransformer as t  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "libtransformer/models"
MODELS = pathlib.Path(os.environ.get("TEST_MODELS") or CACHE)
SMOLLM2 = MODELS / "smollm2.gguf"
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


class SmolLM2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = t.Model(SMOLLM2)

    def program(self, name, *arguments):
        done = subprocess.run([environment.BUILD / "examples" / name, "--model", SMOLLM2, *map(str, arguments)],
                              capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def test_generates(self):
        prompt = "The capital of France is"
        expected = self.program("generate", "--prompt", prompt, "--max-tokens", 16)[:-1]
        self.assertIn("Paris", expected)
        self.assertEqual(self.model.generate(prompt, max_tokens=16).read(), expected)
        self.assertEqual(asyncio.run(self.model.generate(prompt, max_tokens=16).read_async()), expected)

    def test_chats(self):
        generation = self.model.chat(MESSAGES, max_tokens=40)
        text = generation.read()
        self.assertEqual(text, self.program("chat", "--message", MESSAGES[0]["content"], "--max-tokens", 40)[:-1])

    def test_logits(self):
        tokens = self.model.tokenize("Once upon a time")
        rows = json.loads(self.program("logits", "--tokens", ",".join(map(str, tokens))))["logits"]
        with self.model.context(kv_type=t.KVType.F32) as context:
            sequence = context.sequence()
            sequence.append(tokens)
            context.decode()
            np.testing.assert_allclose(sequence.logits(), rows[-1], rtol=1e-4, atol=1e-4)

    def test_interrupt(self):
        """A prompt of minutes ends at once."""
        main = threading.get_ident()
        with self.model.context(max_sequence_tokens=2048, max_step_tokens=2048, n_threads=1) as context:
            sequence = context.sequence()
            sequence.append([100 + i for i in range(2000)])
            threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
            start = time.monotonic()
            with self.assertRaises(KeyboardInterrupt):
                context.decode()
            self.assertLess(time.monotonic() - start, 5)
            sequence.truncate(4)
            self.assertEqual(context.decode().n_rows, 4)


if __name__ == "__main__":
    if not SMOLLM2.exists():
        environment.skip(f"no {SMOLLM2}")
    if not (environment.BUILD / "examples/generate").exists():
        environment.skip(f"{environment.BUILD} has no examples")
    environment.main()
