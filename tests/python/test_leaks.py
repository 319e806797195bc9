#!/usr/bin/env python3
"""10,000 rounds of making and closing each kind of object (1,000 of the slow ones) leave the process as large as it was."""
import gc
import threading
import unittest

import environment

environment.prepare()
import libtransformer as t  # noqa: E402

ROUNDS, WARM = 10_000, 1_000
MORE_BYTES = 1 << 20  # what an allocator may do in 9,000 rounds; 120 bytes a round would be seen


class Leaks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = t.Model(environment.LLAMA)
        cls.context = cls.model.context(max_sequence_tokens=64, kv_tokens=512, n_threads=1)
        cls.sequence = cls.context.sequence()
        cls.sequence.append([1, 2, 3])
        cls.context.decode()

    def flat(self, one, rounds=ROUNDS):
        warm = min(WARM, rounds // 5)
        for _ in range(warm):
            one()
        before = environment.resident_bytes()
        for _ in range(rounds - warm):
            one()
        grown = environment.resident_bytes() - before
        self.assertLess(grown, MORE_BYTES)
        stats = self.context.stats()
        self.assertEqual((stats.n_sequences, stats.kv_pages - stats.kv_pages_free), (1, 1))

    def test_models(self):
        self.flat(lambda: t.Model(environment.LLAMA).close())

    def test_models_that_fail(self):
        def one():
            try:
                t.Model(environment.LLAMA, device=77)
            except t.Error:
                pass
        self.flat(one)

    def test_models_from_a_reader_forgotten(self):
        data = environment.LLAMA.read_bytes()

        class Files:
            def size(self, name):
                return len(data)

            def read(self, name, offset, n):
                return data[offset:offset + n]
        self.flat(lambda: t.Model.from_reader(Files(), "x", log=lambda level, line: None), rounds=3000)

    def test_contexts(self):
        self.flat(lambda: t.Context(self.model, max_sequence_tokens=64, n_threads=1).close())

    def test_contexts_with_threads(self):
        self.flat(lambda: t.Context(self.model, max_sequence_tokens=64, n_threads=2).close(), rounds=2000)

    def test_sequences_forgotten(self):
        def one():
            sequence = self.context.sequence()
            sequence.append([1, 2])
            sequence.fork().append([3])
        self.flat(one)

    def test_grammars(self):
        self.flat(lambda: t.Grammar(self.model, regex="[a-z]+x").close(), rounds=1000)  # each is milliseconds

    def test_snapshots(self):
        data = self.sequence.save()
        self.flat(lambda: self.context.restore(data).save())

    def test_samplers(self):
        self.flat(lambda: t.Sampler(self.model, temperature=1.0, logit_bias={1: 1.0, 2: 2.0}).clone().close())

    def test_streams(self):
        def one():
            with t.TextStream(self.model) as stream:
                stream.push(5)
        self.flat(one)

    def test_views(self):
        with self.model.context(max_sequence_tokens=64, n_threads=1) as context:
            sequence = context.sequence()
            sequence.append([1, 2, 3])
            context.decode()

            def one():
                view = sequence.logits()
                view[:10] + 1
            self.flat(one)

    def test_texts(self):
        self.flat(lambda: self.model.detokenize(self.model.tokenize("the river holds")))

    def test_generations(self):
        self.flat(lambda: self.context.generate([1, 2], max_tokens=2).read())

    def test_generations_left_early(self):
        def one():
            next(self.context.generate([1, 2], temperature=1.0), None)
        self.flat(one)

    def test_cycles(self):
        def one():
            node = [self.context.sequence()]
            node.append(node)
        gc.disable()
        try:
            def rounds():
                for _ in range(5):
                    one()
                gc.collect(0)
            self.flat(rounds, rounds=2000)
        finally:
            gc.enable()

    def test_threads(self):
        def one():
            thread = threading.Thread(target=lambda: t.Sampler(self.model).close())
            thread.start()
            thread.join()
        self.flat(one, rounds=3000)


if __name__ == "__main__":
    environment.main()
