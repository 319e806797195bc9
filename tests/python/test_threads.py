#!/usr/bin/env python3
"""Threads, asyncio, signals, and the end of the interpreter."""
import asyncio
import os
import random
import signal
import sys
import threading
import time
import unittest

import environment

environment.prepare()
import libtransformer as t  # noqa: E402

LONG = [1 + i % 300 for i in range(2000)]  # a prompt whose step takes a while
LARGE = environment.SMALL / "gemma3-62-layers.gguf"


class Threads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = t.Model(environment.LLAMA)

    def test_a_context_each(self):
        expected = [self.model.generate("the river", max_tokens=24, temperature=1.0, seed=i).read() for i in range(8)]
        texts, errors = [None] * 8, []

        def work(i):
            try:
                for _ in range(3):
                    texts[i] = self.model.generate("the river", max_tokens=24, temperature=1.0, seed=i, n_threads=1).read()
            except BaseException as error:
                errors.append(error)
        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((errors, texts), ([], expected))

    def test_busy_and_cancel(self):
        with t.Model(LARGE) as model, model.context(max_sequence_tokens=2048, n_threads=1, max_step_tokens=2048) as context:
            sequence = context.sequence()
            for _ in range(20):
                sequence.truncate(0)
                sequence.append([1 + i % 50 for i in range(2000)])
                outcome, busy = [], 0

                def decode():
                    try:
                        outcome.append(context.decode())
                    except t.Error as error:
                        outcome.append(error)
                thread = threading.Thread(target=decode)
                thread.start()
                while thread.is_alive() and not busy:
                    try:
                        context.stats()
                    except t.BusyError:
                        busy += 1
                context.cancel()
                thread.join()
                if busy:
                    break
            self.assertTrue(busy, "the GIL was held during a decode")
            if not isinstance(outcome[0], t.Cancelled):  # it ended just then; the next one is told
                self.assertRaises(t.Cancelled, context.decode)
            while context.decode().n_pending:
                pass
            self.assertEqual(sequence.n_computed, 2000)

    def test_close_during_a_decode(self):
        for _ in range(20):
            context = self.model.context(max_sequence_tokens=2048, n_threads=1)
            sequence = context.sequence()
            sequence.append(LONG)
            errors, started = [], threading.Event()

            def work():
                try:
                    started.set()
                    while context.decode().n_pending:
                        pass
                except t.StateError:
                    pass
                except BaseException as error:
                    errors.append(error)
            thread = threading.Thread(target=work)
            thread.start()
            started.wait()
            time.sleep(random.random() * 0.01)
            context.close()
            sequence.close()
            thread.join()
            self.assertEqual(errors, [])

    def test_a_fork_of_the_process(self):
        text = self.model.generate("the river", max_tokens=8).read()
        child = os.fork()
        if child == 0:
            same = self.model.generate("the river", max_tokens=8).read() == text
            os._exit(0 if same else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


class Asyncio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = t.Model(environment.LLAMA)

    def test_streams(self):
        expected = [self.model.generate("the river", max_tokens=24, temperature=1.0, seed=i).read() for i in range(6)]

        async def one(i):
            async with self.model.generate("the river", max_tokens=24, temperature=1.0, seed=i, n_threads=1) as generation:
                return "".join([piece async for piece in generation])

        async def ticks(counts):
            while True:
                counts.append(1)
                await asyncio.sleep(0)

        async def main():
            counts = []
            ticking = asyncio.create_task(ticks(counts))
            texts = await asyncio.gather(*(one(i) for i in range(6)))
            ticking.cancel()
            self.assertGreater(len(counts), 24)  # the loop was free
            self.assertEqual(await self.model.generate("the river", max_tokens=24, temperature=1.0, seed=0).read_async(),
                             expected[0])
            return texts
        self.assertEqual(asyncio.run(main()), expected)

    def test_cancelled_tasks_lose_nothing(self):
        expected = self.model.generate("the river", max_tokens=40, temperature=1.0, seed=1).read()

        async def main():
            text, cancelled = "", 0
            generation = self.model.generate("the river", max_tokens=40, temperature=1.0, seed=1, n_threads=1)
            while generation.finish_reason is None:
                task = asyncio.ensure_future(generation.__anext__())
                await asyncio.sleep(random.random() * 0.0003)
                task.cancel()
                try:
                    text += await task
                except asyncio.CancelledError:
                    cancelled += 1
                except StopAsyncIteration:
                    break
                if cancelled > 200:
                    break
            return text + await generation.read_async(), cancelled
        text, cancelled = asyncio.run(main())
        self.assertEqual(text, expected)
        self.assertGreater(cancelled, 0)

    def test_cancel_stops_a_step(self):
        async def main():
            with t.Model(LARGE) as model, model.context(max_sequence_tokens=2048, n_threads=1, max_step_tokens=2048) as context:
                sequence = context.sequence()
                sequence.append([1 + i % 50 for i in range(2000)])
                start = time.monotonic()
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(context.decode_async(), 0.005)
                stopped = time.monotonic() - start
                self.assertEqual(sequence.n_computed, 0)
                start = time.monotonic()
                self.assertEqual((await context.decode_async()).n_rows, 2000)
                whole = time.monotonic() - start
                self.assertLess(stopped, whole)
        asyncio.run(main())


class Signals(unittest.TestCase):
    def test_interrupt_stops_a_step(self):
        done = environment.python("""
import os, signal, sys, threading, time
import libtransformer as t
with t.Model(sys.argv[1]) as model, model.context(max_sequence_tokens=2048, n_threads=1, max_step_tokens=2048) as context:
    sequence = context.sequence()
    sequence.append([1 + i % 50 for i in range(2000)])
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        context.decode()
    except KeyboardInterrupt:
        print("interrupted", sequence.n_computed)
    print(context.decode().n_rows, sequence.n_computed)
""", LARGE)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(done.stdout.decode().split(), ["interrupted", "0", "2000", "2000"])

    def test_handlers_run_during_a_step(self):
        calls = []
        before = signal.signal(signal.SIGALRM, lambda *_: calls.append(time.monotonic()))
        try:
            with t.Model(LARGE) as model, model.context(max_sequence_tokens=2048, n_threads=1, max_step_tokens=2048) as context:
                sequence = context.sequence()
                sequence.append([1 + i % 50 for i in range(2000)])
                signal.setitimer(signal.ITIMER_REAL, 0.005)
                context.decode()
                end = time.monotonic()
            self.assertEqual(len(calls), 1)
            self.assertLess(calls[0], end)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def test_interrupts_anywhere(self):
        """Ctrl-C at random moments of a generation: the interpreter ends as it should, nothing hangs or crashes."""
        source = """
import sys
import libtransformer as t
model = t.Model(sys.argv[1])
print("ready", flush=True)
while True:
    for piece in model.generate("the river", max_tokens=30, temperature=1.0, n_threads=2):
        pass
"""
        import subprocess
        for _ in range(4):
            child = subprocess.Popen([sys.executable, "-c", source, str(environment.LLAMA)], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            self.assertEqual(child.stdout.readline(), b"ready\n")
            time.sleep(random.random() * 0.1)
            child.send_signal(signal.SIGINT)
            _, stderr = child.communicate(timeout=60)
            self.assertEqual(child.returncode, -signal.SIGINT, stderr)
            self.assertIn(b"KeyboardInterrupt", stderr)


class End(unittest.TestCase):
    """Of the interpreter, with objects left in every order, cycles and running threads."""

    BEGIN = """
import sys, threading
import libtransformer as t
model = t.Model(sys.argv[1], log=lambda level, line: None)
context = model.context(n_threads=2, log=lambda level, line: None)
sequence = context.sequence(sampler=t.Sampler(model))
sequence.append([1, 2, 3])
context.decode()
"""

    def ends_well(self, source):
        done = environment.python(self.BEGIN + source, environment.LLAMA)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_left_open(self):
        self.ends_well("view = sequence.logits(2); stream = t.TextStream(model); generation = context.generate('a')")
        self.ends_well("generation = iter(model.generate('a')); next(generation)")

    def test_any_order(self):
        self.ends_well("del model; del context; view = sequence.logits(2); del sequence; view[0]; del view")
        self.ends_well("model.close(); context.close(); sequence.close()")
        self.ends_well("sequence.close(); model.close(); del model, sequence; context.decode(); del context")

    def test_cycles(self):
        self.ends_well("""
class Node: pass
import gc
for _ in range(50):
    a = Node(); a.model = t.Model(sys.argv[1]); a.context = a.model.context(n_threads=1); a.context.node = a
    a.sequence = a.context.sequence(); a.sequence.node = a; a.sequence.append(1); a.context.decode()
    a.view = a.sequence.logits(); a.generation = a.context.generate([1]); next(a.generation)
    del a; gc.collect()
""")

    def test_a_thread_computes(self):
        self.ends_well("""
def work():
    while True:
        sequence.append([1] * 500)
        context.decode()
        sequence.truncate(0)
threading.Thread(target=work, daemon=True).start()
import time; time.sleep(0.02)
""")

    def test_subclass_that_fails(self):
        self.ends_well("""
class Mine(t.Sampler):
    def __init__(self): pass
Mine()
try: t.Model("none")
except t.NotFoundError: pass
""")


class Import(unittest.TestCase):
    """One version, one library."""

    def fails(self, library, *words):
        done = environment.python("import libtransformer", env={**os.environ, "LIBTRANSFORMER_LIBRARY": str(library)})
        last = done.stderr.decode().strip().splitlines()[-1]
        self.assertEqual(done.returncode, 1)
        for word in ("ImportError", *words):
            self.assertIn(word, last)

    def test_wrong_library(self):
        self.fails("/no/such/file.so", "/no/such/file.so", "LIBTRANSFORMER_LIBRARY")
        self.fails(__file__, "LIBTRANSFORMER_LIBRARY")
        self.fails("libm.so.6", "libm.so.6 is another libtransformer", "transformer_")

    def test_another_version(self):
        done = environment.python("""
import sys, os, types
package = next(p for p in sys.path if os.path.exists(os.path.join(p, "libtransformer/_header.py")))
module = types.ModuleType("libtransformer"); module.__path__ = [os.path.join(package, "libtransformer")]
sys.modules["libtransformer"] = module
import libtransformer._header as header
header.VERSION = "99.0.0"
import libtransformer._library
""")
        self.assertEqual(done.returncode, 1)
        self.assertIn("this package is for 99.0.0", done.stderr.decode().strip().splitlines()[-1])


if __name__ == "__main__":
    environment.main()
