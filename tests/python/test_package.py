#!/usr/bin/env python3
"""The package on small models: every class, against golden numbers and the C examples."""
import asyncio
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import environment

environment.prepare()
import numpy as np  # noqa: E402

import libtransformer as t  # noqa: E402

sys.path.append(str(environment.ROOT / "tests/examples"))
import programs  # noqa: E402

PROMPT = "the <|im_start|> river holds"
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"


def program(name, *arguments, text=b""):
    done = subprocess.run([environment.BUILD / "examples" / name, *map(str, arguments)], input=text, capture_output=True,
                          timeout=120)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = t.Model(environment.LLAMA)

    @classmethod
    def tearDownClass(cls):
        cls.model.close()


class Models(Case):
    def test_info(self):
        info = self.model.info
        self.assertEqual((info.architecture, info.n_vocab, info.has_tokenizer, info.device), ("llama", 380, True, 0))
        self.assertEqual(info.pooling, t.Pooling.NONE)
        self.assertIs(info.needs_source, False)
        self.assertTrue(all(isinstance(token, int) for token in info.end_tokens) and info.end_tokens)
        self.assertGreater(self.model.host_bytes(), 0)
        self.assertEqual(self.model.metadata("general.architecture"), "llama")
        with self.assertRaises(t.NotFoundError):
            self.model.metadata("no.such.key")

    def test_build_info_and_devices(self):
        self.assertIn("compiler", t.build_info())
        self.assertEqual(t.devices()[0].kind, "cpu")
        self.assertRegex(t.__version__, r"^\d+\.\d+\.\d+$")

    def test_errors(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(b"GGUF" + b"\xff" * 100)
            file.flush()
            with self.assertRaises(t.Error) as caught:
                t.Model(file.name)
            self.assertIn(pathlib.Path(file.name).name, str(caught.exception))
        with self.assertRaises(t.NotFoundError) as caught:
            t.Model("no-such-file")
        self.assertIsInstance(caught.exception, LookupError)
        self.assertIn("no-such-file", str(caught.exception))
        self.assertEqual(caught.exception.status, 9)
        for wrong in (lambda: t.Model(environment.LLAMA, device=99), lambda: t.Model(environment.LLAMA, device=1 << 40),
                      lambda: t.Model("a\0b"), lambda: t.Sampler(self.model, seed=-1), lambda: t.Sampler(self.model, seed=1 << 64),
                      lambda: t.Sampler(self.model, temperature=math.nan), lambda: t.Sampler(self.model, top_p=2.0),
                      lambda: t.Sampler(self.model, logit_bias={1 << 40: 1.0}), lambda: t.Sampler(self.model, logit_bias={-1: 1.0}),
                      lambda: self.model.context(n_threads=1 << 33), lambda: self.model.context(kv_type=77),
                      lambda: self.model.detokenize([1 << 40]), lambda: self.model.detokenize([0.5]),
                      lambda: self.model.detokenize([[1]]), lambda: self.model.token_text(10 ** 6),
                      lambda: self.model.generate("x", max_tokens=-1), lambda: self.model.generate([], max_tokens=1),
                      lambda: self.model.generate("x", answer=[1])):
            self.assertRaises(t.Error, wrong)
        self.assertRaises(TypeError, lambda: self.model.context(no_such_option=1))
        self.assertRaises(TypeError, lambda: t.Model(environment.LLAMA, no_such_option=1))
        self.assertRaises(TypeError, lambda: t.Sampler(self.model, temp=1.0))
        self.assertRaises(TypeError, lambda: self.model.generate("x", temprature=1.0))

    def test_closed(self):
        model = t.Model(environment.LLAMA)
        context = model.context(n_threads=1)
        sequence = context.sequence()
        model.close()
        model.close()
        self.assertTrue(model.closed)
        with self.assertRaisesRegex(t.StateError, "model is closed"):
            model.tokenize("x")
        sequence.append([1, 2])  # what was made of it goes on
        self.assertEqual(context.decode().n_rows, 2)
        context.close()
        for use in (context.decode, context.stats, context.cancel, lambda: context.sequence()):
            self.assertRaises(t.StateError, use)
        self.assertRaises(t.StateError, sequence.logits)
        sequence.close()

    def test_bytes(self):
        data = environment.LLAMA.read_bytes()
        for copy in (False, True):
            for form in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
                with t.Model.from_bytes(form, copy=copy) as model:
                    self.assertEqual(model.info, dataclass_with(self.model.info, host_bytes=model.info.host_bytes))
                    self.assertEqual(model.tokenize(PROMPT), self.model.tokenize(PROMPT))
        held = bytearray(data)
        model = t.Model.from_bytes(held)
        with self.assertRaises(BufferError):  # in use: it can't be moved away
            held.extend(b"x")
        model.close()
        with self.assertRaises(t.Error):
            t.Model.from_bytes(b"")

    def test_reader(self):
        class Files:
            def __init__(self):
                self.data, self.raises = environment.LLAMA.read_bytes(), None

            def size(self, name):
                return len(self.data) if name == "there.gguf" else None

            def read(self, name, offset, n):
                if self.raises:
                    raise self.raises
                return memoryview(self.data)[offset:offset + n]

        files = Files()
        with t.Model.from_reader(files, "there.gguf") as model:
            self.assertEqual(model.generate("the", max_tokens=8).read(), self.model.generate("the", max_tokens=8).read())
        with self.assertRaises(t.Error):
            t.Model.from_reader(files, "not-there.gguf")
        for raised in (RuntimeError("the reader's own"), KeyboardInterrupt()):
            files.raises = raised
            with self.assertRaises(type(raised)) as caught:
                t.Model.from_reader(files, "there.gguf")
            self.assertIs(caught.exception, raised)

    def test_progress_and_log(self):
        seen, lines = [], []
        with t.Model(environment.LLAMA, load=t.Load.READ, progress=lambda done, total: seen.append((done, total)),
                     log=lambda level, line: lines.append((level, line))):
            self.assertTrue(seen)
        self.assertEqual(seen[-1][0], seen[-1][1])
        for level, line in lines:
            self.assertIsInstance(level, t.LogLevel)
            self.assertIsInstance(line, str)
        with self.assertRaises(t.Cancelled):
            t.Model(environment.LLAMA, load=t.Load.READ, progress=lambda done, total: True)
        with self.assertRaises(ZeroDivisionError):
            t.Model(environment.LLAMA, load=t.Load.READ, progress=lambda done, total: 1 // 0)

    def test_estimate(self):
        estimate = t.Model.estimate(environment.LLAMA, {"max_sequence_tokens": 64, "n_threads": 1})
        self.assertEqual(estimate.model_host_bytes, self.model.host_bytes())
        self.assertGreater(estimate.context_kv_bytes, 0)

    def test_convert(self):
        with tempfile.TemporaryDirectory() as folder:
            output = pathlib.Path(folder) / "out.gguf"
            t.convert(environment.LLAMA, output, weight_type=t.WeightType.F16)
            self.assertEqual(os.listdir(folder), ["out.gguf"])
            with t.Model(output) as model, t.Model(environment.LLAMA, weight_type=t.WeightType.F16) as loaded:
                self.assertIn("F16", model.info.weight_types)
                self.assertEqual(model.generate("the", max_tokens=8).read(), loaded.generate("the", max_tokens=8).read())
            pieces = []
            t.convert(environment.LLAMA, pieces.append, weight_type=t.WeightType.F16)
            self.assertEqual(b"".join(pieces), output.read_bytes())

            def fails(data):
                raise OSError("disk full")
            with self.assertRaisesRegex(OSError, "disk full"):
                t.convert(environment.LLAMA, fails)
            with self.assertRaises(t.NotFoundError):
                t.convert("no-such-file", pathlib.Path(folder) / "other.gguf")
            self.assertEqual(os.listdir(folder), ["out.gguf"])


def dataclass_with(record, **values):
    import dataclasses
    return dataclasses.replace(record, **values)


class Texts(Case):
    def test_tokens_of_golden_texts(self):
        for text, ids in programs.golden_texts("llama-gqa"):
            self.assertEqual(self.model.tokenize(text, add_special=False), ids)
            self.assertEqual(self.model.detokenize_bytes(ids).decode("utf-8", "replace"),
                             self.model.detokenize(np.array(ids, np.int64)))

    def test_special_tokens(self):
        end = self.model.special_token(t.SpecialToken.END)
        self.assertIn(end, self.model.info.end_tokens)
        self.assertIsNone(self.model.special_token(t.SpecialToken.MASK))
        plain, parsed = (self.model.tokenize(PROMPT, parse_special=parse) for parse in (False, True))
        self.assertLess(len(parsed), len(plain))
        self.assertEqual(self.model.detokenize(parsed, special=True).strip(), PROMPT)
        self.assertIn(b"<|im_start|>", [self.model.token_text(token) for token in parsed])

    def test_long_and_odd_texts(self):
        text = "river \0 \U0001f9a0 " * 5000
        self.assertEqual(self.model.detokenize(self.model.tokenize(text, add_special=False)), text)
        self.assertEqual(self.model.tokenize(""), self.model.tokenize(b""))
        self.assertRaises(UnicodeEncodeError, self.model.tokenize, "\ud800")

    def test_stream(self):
        text = "the \U0001f9a0 river \u00e9"
        tokens = self.model.tokenize(text, add_special=False)
        with t.TextStream(self.model) as stream:
            pieces = [stream.push(token) for token in tokens]
            self.assertEqual("".join(pieces) + stream.finish(), text)
            first = next(i for i, token in enumerate(tokens) if b"\xf0" in self.model.token_text(token))
            self.assertNotIn("\U0001f9a0", "".join(pieces[:first + 1]))
            stream.push(tokens[first])
            self.assertEqual(stream.finish(), "\ufffd")
            self.assertRaises(t.InvalidArgumentError, stream.push, 1 << 31)

    def test_chat_format(self):
        messages = [{"role": "user", "content": "a\0b \u00e9 \"q\""}, {"role": "assistant", "content": None}]
        self.assertEqual(self.model.chat_format(messages, template_text=TEMPLATE), "<user>a\0b \u00e9 \"q\"<assistant>None<a>")
        self.assertEqual(self.model.chat_format(messages[:1], template_text=TEMPLATE, add_generation_prompt=False),
                         "<user>a\0b \u00e9 \"q\"")
        self.assertEqual(self.model.chat_format([], template_text="{{ tools[0].name }}{{ x }}", tools=[{"name": "f"}],
                                                variables={"x": 3}), "f3")
        with self.assertRaisesRegex(t.InvalidArgumentError, "no such role"):
            self.model.chat_format(messages, template_text="{{ raise_exception('no such role') }}")
        with self.assertRaises(t.FormatError):
            self.model.chat_format(messages, template_text="{% if %}")
        self.assertRaises(ValueError, self.model.chat_format, [{"role": "user", "content": math.inf}], template_text=TEMPLATE)


class Sequences(Case):
    def test_golden_logits(self):
        with self.model.context(kv_type=t.KVType.F32, max_logit_rows=2048, max_step_tokens=2048) as context:
            for tokens, rows in programs.golden_logits("llama-gqa"):
                with context.sequence() as sequence:
                    sequence.append(tokens, keep=[position in rows for position in range(len(tokens))])
                    while context.decode().n_pending:
                        self.fail("one step is enough")
                    for position, row in rows.items():
                        np.testing.assert_allclose(sequence.logits(position), row, rtol=0, atol=2e-3)
                        self.assertEqual(sequence.logits(position).argmax(), np.argmax(row))

    def test_tokens(self):
        context = self.model.context(n_threads=1)
        sequence = context.sequence()
        sequence.append(iter([1, 2]))
        sequence.append(3)
        sequence.append(np.array([4, 5], np.int64))
        self.assertEqual(sequence.tokens.tolist(), [1, 2, 3, 4, 5])
        self.assertEqual((len(sequence), sequence.n_computed), (5, 0))
        result = context.decode(max_tokens=2)
        self.assertEqual((result.n_rows, result.n_pending, sequence.n_computed), (2, 1, 2))
        while context.decode().n_pending:
            pass
        fork = sequence.fork()
        np.testing.assert_array_equal(fork.logits(), sequence.logits())
        sequence.truncate(3)
        self.assertEqual((sequence.tokens.tolist(), len(fork)), ([1, 2, 3], 5))
        for wrong in (lambda: sequence.append([380]), lambda: sequence.append([-1]), lambda: sequence.append([1 << 32]),
                      lambda: sequence.append([True]), lambda: sequence.append([0.0]), lambda: sequence.truncate(9),
                      lambda: sequence.truncate(1 << 70), lambda: sequence.append([1, 2], keep=[True]),
                      lambda: sequence.append([1], token_type=5), lambda: sequence.append([1], logits=9),
                      lambda: context.sequence(stream=-1)):
            self.assertRaises((t.InvalidArgumentError, t.UnsupportedError), wrong)
        self.assertRaises(t.NotFoundError, lambda: fork.logits(0))
        self.assertRaises(t.UnsupportedError, sequence.score)
        self.assertRaises(t.UnsupportedError, sequence.pooled)
        self.assertRaises(t.UnsupportedError, lambda: sequence.set_source([1]))
        self.assertTrue(sequence)

    def test_limits(self):
        with self.model.context(max_sequences=1, max_sequence_tokens=8, n_threads=1) as context:
            sequence = context.sequence()
            self.assertRaises(t.LimitError, context.sequence)
            self.assertRaises(t.LimitError, lambda: sequence.append([1] * 9))
        with self.model.context(max_sequences=2, max_sequence_tokens=128, kv_tokens=64, n_threads=1) as context:
            first, second = context.sequence(), context.sequence()
            for sequence in (first, second):
                sequence.append([1] * 64)
                with self.subTest():
                    try:
                        context.decode()
                    except t.LimitError as error:
                        self.assertIs(sequence, second)
                        self.assertEqual(error.result.n_refused, 1)
                    else:
                        self.assertIs(sequence, first)

    def test_own_sampler_and_sampling(self):
        with self.model.context(n_threads=1) as context:
            sampler = t.Sampler(self.model, temperature=1.0, top_k=50, seed=7)
            own, other = context.sequence(sampler=sampler, stream=3), context.sequence(stream=3)
            own.append([1, 2, 3])
            for _ in range(10):
                context.decode()
            other.append([1, 2, 3])
            clone = sampler.clone()
            for _ in range(10):
                context.decode()
                clone.sample(other, append=True)
            self.assertEqual(own.tokens[:13].tolist(), other.tokens.tolist())
            biased = t.Sampler(self.model, logit_bias={5: 1000.0})
            context.decode()
            self.assertEqual(biased.sample(other), 5)
            self.assertEqual(len(other), 13)
            self.assertRaises(t.StateError, lambda: biased.sample(context.sequence()))

    def test_views(self):
        context = self.model.context(n_threads=1, max_logit_rows=8)
        sequence = context.sequence()
        sequence.append([1, 2, 3], logits=t.Logits.ALL)
        context.decode()
        view, hidden = sequence.logits(), sequence.embedding(0)
        self.assertIsInstance(view, np.ndarray)
        self.assertEqual((view.shape, view.dtype, hidden.shape), ((380,), np.float32, (48,)))
        self.assertFalse(view.flags.owndata or view.flags.writeable)
        self.assertEqual(view.__array_interface__["data"][0], sequence.logits().__array_interface__["data"][0])
        with self.assertRaises(ValueError):
            view[0] = 1
        with self.assertRaises(ValueError):
            view.flags.writeable = True
        kept, part = view.copy(), view[10:20]
        self.assertNotIsInstance(kept, t.View)
        self.assertNotIsInstance(view + 1, t.View)
        self.assertIsInstance(part, t.View)
        self.assertEqual(float(view.max()), float(np.max(view)))
        self.assertEqual(list(view), kept.tolist())
        self.assertFalse(view.stale)
        sequence.append([4])
        self.assertFalse(view.stale)
        context.decode()
        for use in (lambda: view[0], lambda: view + 1, lambda: np.argmax(view), lambda: view.argmax(), lambda: part.sum(),
                    lambda: list(view), lambda: view.copy(), lambda: np.stack([view, kept]), lambda: kept + part,
                    lambda: view.tolist(), lambda: view.shape, lambda: part[0], lambda: view.tobytes()):
            self.assertRaises(t.StaleViewError, use)
        self.assertTrue(view.stale and part.stale)
        self.assertIn("stale", repr(view))
        fresh = sequence.logits()
        sequence.truncate(2)
        self.assertRaises(t.StaleViewError, lambda: fresh[0])
        sequence.append([4])
        context.decode()
        fresh = sequence.logits()
        sequence.close()
        self.assertRaises(t.StaleViewError, lambda: fresh[0])

    def test_a_view_keeps_its_memory(self):
        context = self.model.context(n_threads=1)
        sequence = context.sequence()
        sequence.append([1])
        context.decode()
        hidden = np.asarray(sequence.logits()).view(np.ndarray)  # past the checks
        before = hidden.copy()
        sequence.close()
        context.close()
        del sequence, context
        other = self.model.context(n_threads=1)  # would take the memory that was freed
        np.testing.assert_array_equal(hidden, before)
        other.close()


class OtherModels(unittest.TestCase):
    """Adapters, encoder-decoders, score heads."""

    DATA = environment.ROOT / "tests/goldens/data"

    def test_adapter(self):
        # The golden of an adapter is of the model with it.
        with t.Model(self.DATA / "hf/llama-rope-llama3") as model, model.context(kv_type=t.KVType.F32,
                                                                                 max_logit_rows=512) as context:
            path = self.DATA / "adapters/llama-all"
            with t.Adapter(model, path) as adapter:
                plain, adapted = context.sequence(), context.sequence(adapter=adapter)
                double = context.sequence(adapter=adapter, adapter_scale=2.0)
            for sequence in (plain, adapted, double):
                sequence.append([1, 2, 3])
            context.decode()
            rows = [sequence.logits().copy() for sequence in (plain, adapted, double)]
            self.assertGreater(np.abs(rows[0] - rows[1]).max(), 1e-3)
            self.assertGreater(np.abs(rows[1] - rows[2]).max(), 1e-3)
            for tokens, golden in programs.golden_logits("../adapters/llama-all"):
                with t.Adapter(model, path) as adapter:
                    sequence = context.sequence(adapter=adapter)
                sequence.append(tokens, keep=[position in golden for position in range(len(tokens))])
                context.decode()
                for position, row in golden.items():
                    np.testing.assert_allclose(sequence.logits(position), row, rtol=0, atol=2e-3)
            self.assertRaises(t.InvalidArgumentError, lambda: context.sequence(adapter=adapter, adapter_scale=0.0))
            self.assertRaises(t.StateError, lambda: context.sequence(adapter=adapter))  # closed
            self.assertRaises(t.NotFoundError, t.Adapter, model, "no-such-file")

    def test_encoder_decoders(self):
        sys.path.append(str(environment.ROOT / "tests/goldens"))
        import sources
        for name in ("t5", "marian"):
            checked = 0
            with t.Model(self.DATA / "encoder_decoders" / f"{name}.gguf") as model:
                with model.context(kv_type=t.KVType.F32, max_sequence_tokens=32, n_threads=1) as context:
                    for source, _, greedy, _ in sources.read(str(self.DATA / "encoder_decoders" / f"{name}.sources")):
                        never = {60: -math.inf} if name == "marian" else {}
                        end = {"t5": 1, "marian": 0}[name]
                        expected = greedy[1:greedy.index(end, 1)] if end in greedy[1:] else greedy[1:]
                        if name == "marian" and expected == greedy[1:]:
                            expected = expected[:-1]  # the last one was forced
                        generation = context.generate(source, max_tokens=len(expected), logit_bias=never)
                        generation.read()
                        self.assertEqual(generation.tokens, list(expected), name)
                        checked += len(expected)
                forced = model.generate(source, max_tokens=3, answer=[5, 6])
                forced.read()
                self.assertLessEqual(len(forced.tokens), 3)
            self.assertGreater(checked, 8)

    def test_rerank(self):
        import shutil
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *("abcdefghijklmnopqrstuvwxyz"), *(f"##{x}" for x in "abcdefghijklmnopqrstuvwxyz")]
        words += [f"[unused{i}]" for i in range(61 - len(words))]
        with tempfile.TemporaryDirectory() as folder:
            model_folder = shutil.copytree(self.DATA / "encoders/bert-score", pathlib.Path(folder) / "model")
            (model_folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
            documents = ["a b c", "d", "hello there", "x y z " * 10]
            lines = "\n".join(documents).encode() + b"\n"
            expected = json.loads(program("rerank", "--model", model_folder, "--query", "who is there", text=lines))["scores"]
            with t.Model(model_folder) as model:
                tokens, types = model.tokenize_pair("a", "b c")
                self.assertEqual((len(tokens), sorted(set(types))), (len(types), [0, 1]))
                scores = model.rerank("who is there", documents)
                np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
                self.assertEqual(model.rerank("a", []).shape, (0, 3))
                self.assertRaises(t.UnsupportedError, model.generate, "a b", max_tokens=1)


class Snapshots(Case):
    def test_goes_on(self):
        with self.model.context(n_threads=1) as context, self.model.context(n_threads=2) as other:
            sequence = context.sequence(sampler=t.Sampler(self.model, temperature=1.0, seed=4), stream=9)
            sequence.append([1, 2, 3])
            for _ in range(5):
                context.decode()
            data, pieces = sequence.save(), []
            self.assertEqual(sequence.save(pieces.append), b"")
            self.assertEqual(b"".join(pieces), data)
            at = 0

            def read(n):
                nonlocal at
                part = data[at:at + min(n, 100)]
                at += len(part)
                return part
            restored = [other.restore(form, sampler=t.Sampler(self.model, temperature=1.0, seed=4))
                        for form in (data, bytearray(data), memoryview(data), read)]
            for _ in range(5):
                context.decode()
                other.decode()
            for again in restored:
                self.assertEqual(again.tokens.tolist(), sequence.tokens.tolist())
                self.assertEqual(len(again), 13)

    def test_what_is_wrong(self):
        with self.model.context(n_threads=1) as context:
            sequence = context.sequence()
            sequence.append([1, 2, 3])
            context.decode()
            data = sequence.save()
            for wrong in (b"", data[:-1], data + b"x", data[:50] + bytes([data[50] ^ 1]) + data[51:], b"x" * 1000):
                self.assertRaises(t.Error, context.restore, wrong)

            def fails(_):
                raise ZeroDivisionError
            self.assertRaises(ZeroDivisionError, context.restore, fails)
            self.assertRaises(ZeroDivisionError, sequence.save, fails)
            self.assertRaises(ValueError, context.restore, lambda n: data + b"x" * n)
            self.assertRaises(TypeError, lambda: context.restore(data, no_such_option=1))
            self.assertEqual(context.stats().n_sequences, 1)


class Scheduling(Case):
    def test_prefixes_are_reused(self):
        prompt = [1 + i % 300 for i in range(200)]
        for on, hits in ((True, 192), (False, 0), (None, 192)):
            options = {} if on is None else {"prefix_cache": on}
            with self.model.context(n_threads=1, kv_tokens=1024, **options) as context:
                rows = []
                for domain in (1, 1, 2):
                    with context.sequence(cache_domain=domain) as sequence:
                        sequence.append(prompt)
                        while context.decode().n_pending:
                            pass
                        rows.append(sequence.logits().copy())
                np.testing.assert_array_equal(rows[0], rows[1])
                np.testing.assert_array_equal(rows[0], rows[2])
                stats = context.stats()
                self.assertEqual(stats.prefix_hit_tokens, hits)
                self.assertGreater(stats.step_nanoseconds_p99, 0)

    def test_priorities(self):
        with self.model.context(n_threads=1, max_step_tokens=16) as context:
            low, high = context.sequence(priority=-5), context.sequence()
            for sequence in (low, high):
                sequence.append([1] * 32)
            context.decode()
            self.assertEqual((low.n_computed, high.n_computed), (0, 16))
            low.set_priority(7)
            context.decode()
            self.assertEqual((low.n_computed, high.n_computed), (16, 16))
            self.assertRaises(t.InvalidArgumentError, low.set_priority, 1 << 31)

    def test_preemption(self):
        with self.model.context(n_threads=1, max_sequence_tokens=128, kv_tokens=64, preemption=True) as context:
            low, high = context.sequence(priority=-1), context.sequence(priority=1)
            low.append([1] * 32)
            context.decode()
            high.append([2] * 32)
            result = context.decode()
            self.assertEqual((result.n_preempted, low.n_computed, high.n_computed), (1, 0, 32))
            self.assertEqual(context.stats().n_preempted, 1)


class Speculation(Case):
    def test_proposals_change_nothing(self):
        options = {"temperature": 0.7, "seed": 3}
        with self.model.context(n_threads=1, max_logit_rows=8) as context:
            plain = context.sequence(sampler=t.Sampler(self.model, **options))
            plain.append([1, 2, 3])
            for _ in range(12):
                context.decode()
            tokens = plain.tokens.tolist()
            plain.close()
            guessed = context.sequence(sampler=t.Sampler(self.model, **options))
            guessed.append([1, 2, 3])
            guessed.propose(tokens[3:6] + [tokens[6] + 1, tokens[7]])
            result = context.decode()
            self.assertEqual((result.n_proposed, result.n_accepted), (5, 3))
            self.assertEqual(guessed.tokens.tolist(), tokens[:7])
            rows = [guessed.logits(position).copy() for position in range(2, 6)]
            for position, row in zip(range(2, 6), rows):
                exact = row.astype(np.float64) - row.max()
                exact -= np.log(np.exp(exact).sum())
                found = guessed.log_probabilities(position, [tokens[position + 1], 5], top=3)
                np.testing.assert_allclose(found.values, exact[[tokens[position + 1], 5]], atol=1e-5)
                self.assertEqual([token for token, _ in found.top], np.argsort(-exact, kind="stable")[:3].tolist())
            self.assertEqual(context.stats().n_accepted, 3)
            self.assertEqual(guessed.log_probabilities(2).values, ())
            for wrong in (lambda: guessed.log_probabilities(2, [380]), lambda: guessed.log_probabilities(2, top=381),
                          lambda: guessed.log_probabilities(2, top=-1), lambda: guessed.propose([380])):
                self.assertRaises(t.InvalidArgumentError, wrong)
            self.assertRaises(t.NotFoundError, guessed.log_probabilities, 0)
            self.assertRaises(t.StateError, context.sequence().propose, [1])

    def test_lookup_changes_nothing(self):
        for seed in range(4):
            options = {"max_tokens": 60, "temperature": 0.3, "top_k": 3, "seed": seed}
            self.assertEqual(self.model.generate("the river the river", lookup_tokens=4, **options).read(),
                             self.model.generate("the river the river", **options).read())

    def test_draft_changes_nothing(self):
        """A draft that is always right, one that is sometimes, one that never is; greedy, sampled, constrained."""
        biased = {"logit_bias": {30: 9.0}}
        with t.Model(environment.LLAMA) as other, self.model.context(max_sequences=4, max_logit_rows=8) as context:
            for options in ({"max_tokens": 60}, {"max_tokens": 60, "temperature": 0.9, "seed": 3, **biased},
                            {"max_tokens": 60, "temperature": 0.5, "seed": 2, "stop": ["e"]}, {"max_tokens": 0, "stream": 4,
                                                                                           "temperature": 1.0}):
                plain = self.model.generate("the river the", **options).read()
                self.assertEqual(self.model.generate("the river the", draft=other, **options).read(), plain)
                with other.context(max_sequences=2) as guesses:
                    for _ in range(2):
                        self.assertEqual(context.generate("the river the", draft=guesses, **options).read(), plain)
                    self.assertEqual(guesses.stats().n_sequences, 0)
                with other.context(max_sequence_tokens=20) as short:  # full before the text ends
                    self.assertEqual(context.generate("the river the", draft=short, **options).read(), plain)
            before = context.stats()
            context.generate("the river", draft=other, max_tokens=40).read()
            after = context.stats()
            self.assertGreater(after.n_accepted, before.n_accepted)
            self.assertLess(after.steps - before.steps, 20)  # the same model is right each time
            grammar = t.Grammar(self.model, regex="[a-z]{4,30}")
            constrained = {"grammar": grammar, "close": True, "max_tokens": 30, "temperature": 1.0, "seed": 9}
            self.assertEqual(context.generate("the", draft=other, **constrained).read(),
                             context.generate("the", **constrained).read())
            self.assertRaises(t.InvalidArgumentError, context.generate, "the", draft=context)
            with self.model.context(max_sequences=1) as narrow:
                self.assertRaises(t.InvalidArgumentError, narrow.generate, "the", draft=other)
            with t.Model(environment.ROOT / 'tests/goldens/data/encoder_decoders/t5.gguf') as wrong:
                self.assertRaises(t.UnsupportedError, context.generate, 'the', draft=wrong)
            self.assertEqual(context.stats().n_sequences, 0)

    def test_draft_in_asyncio(self):
        async def run():
            with t.Model(environment.LLAMA) as other, self.model.context(max_sequences=2, max_logit_rows=8) as context:
                generation = context.generate("the river", max_tokens=40, draft=other)
                return await generation.read_async()
        self.assertEqual(asyncio.run(run()), self.model.generate("the river", max_tokens=40).read())

    def test_stop_strings(self):
        options = {"max_tokens": 32, "temperature": 1.0, "seed": 3}
        text = self.model.generate("the river", **options).read()
        for stop in ([text[5:8]], [text[3:9], text[4:6]], ["never seen", text[7]]):
            generation = self.model.generate("the river", stop=stop, **options)
            ends = {text.find(one) + len(one): one for one in stop if one in text}
            first = ends[min(ends)]
            self.assertEqual(generation.read(), text[:text.find(first)])
            self.assertEqual((generation.finish_reason, generation.stop_string), (t.FinishReason.STOP_STRING, first))
        generation = self.model.generate("the river", stop=["never seen"], **options)
        self.assertEqual((generation.read(), generation.stop_string), (text, None))
        for wrong in ([""], ["a\0b"]):
            self.assertRaises(t.InvalidArgumentError, self.model.generate, "a", stop=wrong)
        self.assertRaises(TypeError, self.model.generate, "a", stop="abc")
        with t.TextStream(self.model, stop=["r h"]) as stream:
            pieces = [stream.push(token) for token in self.model.tokenize("the river holds", add_special=False)]
            self.assertEqual(("".join(pieces), stream.stopped), ("the rive", 0))


class Grammars(Case):
    SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}, "required": ["a", "b"],
              "additionalProperties": False}

    def test_match(self):
        with t.Grammar(self.model, json_schema=self.SCHEMA) as grammar:
            self.assertEqual([grammar.match(text) for text in ('{"a":1,"b":true}', '{"a":', '{"c"', "")],
                             [t.Match.WHOLE, t.Match.PREFIX, t.Match.NONE, t.Match.PREFIX])
        self.assertEqual(t.Grammar(self.model, regex="[a-c]+").match("abc"), t.Match.WHOLE)
        self.assertEqual(t.Grammar(self.model, ebnf='root ::= "x" root | "y"').match("xx"), t.Match.PREFIX)
        for wrong in (lambda: t.Grammar(self.model), lambda: t.Grammar(self.model, regex="a", ebnf="b"),
                      lambda: t.Grammar(self.model, regex="(")):
            self.assertRaises(t.InvalidArgumentError, wrong)
        with self.assertRaises(t.Error):
            t.Grammar(self.model, json_schema="{")

    def test_generations_are_valid(self):
        grammar = t.Grammar(self.model, json_schema=json.dumps(self.SCHEMA))
        for seed in range(8):
            generation = self.model.generate("the river", max_tokens=40, temperature=1.0, seed=seed, grammar=grammar, close=True)
            value = json.loads(generation.read())
            self.assertEqual((set(value), type(value["a"]), type(value["b"])), ({"a", "b"}, int, bool))
        self.assertRaises(t.LimitError, self.model.generate, "the", max_tokens=2, grammar=grammar, close=True)

    def test_sequences(self):
        with self.model.context(n_threads=1) as context:
            sequence = context.sequence(sampler=t.Sampler(self.model, temperature=1.0))
            sequence.append([1])
            sequence.constrain(t.Grammar(self.model, regex="[xyz]{30}"))
            for _ in range(10):
                context.decode()
            self.assertRegex(self.model.detokenize(sequence.tokens[1:]), "^ ?[xyz]+$")
            sequence.constrain(None)
            for _ in range(10):
                context.decode()
            self.assertNotRegex(self.model.detokenize(sequence.tokens[1:]), "^ ?[xyz]+$")


class Generations(Case):
    def test_as_the_c_program(self):
        expected = program("generate", "--model", environment.LLAMA, "--prompt", PROMPT, "--max-tokens", 16)[:-1].decode()
        for generation in (self.model.generate(PROMPT, max_tokens=16, parse_special=True),
                           self.model.generate(self.model.tokenize(PROMPT, parse_special=True), max_tokens=16, n_threads=1)):
            self.assertEqual(generation.read(), expected)
            self.assertEqual(len(generation.tokens), 16)
            self.assertEqual(generation.finish_reason, t.FinishReason.LENGTH)
        sampled = program("generate", "--model", environment.LLAMA, "--prompt", "the", "--max-tokens", 16,
                          "--temperature", 0.9, "--seed", 5)[:-1].decode()
        self.assertEqual(self.model.generate("the", max_tokens=16, temperature=0.9, seed=5, parse_special=True).read(), sampled)

    def test_streams(self):
        with self.model.generate("the river", max_tokens=32, temperature=1.0, seed=3) as generation:
            pieces = list(generation)
            self.assertGreater(len(pieces), 3)
            self.assertEqual(next(generation, None), None)
            text = "".join(pieces)
            self.assertEqual(text, self.model.detokenize(generation.tokens))
        generation = self.model.generate("the river", max_tokens=32, temperature=1.0, seed=3)
        self.assertEqual(next(generation), pieces[0])
        generation.close()
        self.assertEqual(generation.finish_reason, t.FinishReason.STOPPED)
        self.assertEqual(list(generation), [])

    def test_end_token(self):
        end = self.model.info.end_tokens[0]
        generation = self.model.generate("the", max_tokens=5, logit_bias={end: 1e4})
        self.assertEqual((generation.read(), generation.tokens, generation.finish_reason), ("", [], t.FinishReason.END))

    def test_full_context(self):
        for prompt, n in (([1, 2, 3], 6), ([1] * 8, 1)):
            with self.model.context(max_sequence_tokens=8, n_threads=1) as context:
                never_ends = {end: -math.inf for end in self.model.info.end_tokens}
                generation = context.generate(prompt, logit_bias=never_ends)
                generation.read()
                self.assertEqual(generation.finish_reason, t.FinishReason.CONTEXT)
                self.assertEqual(len(generation.tokens), n)

    def test_many_in_one_context(self):
        prompts = ["the river", "a", "what holds the", "the river holds", "one two"]
        alone = [self.model.generate(p, max_tokens=12, temperature=1.0, seed=i).read() for i, p in enumerate(prompts)]
        with self.model.context(n_threads=2) as context:
            generations = [context.generate(p, max_tokens=12, temperature=1.0, seed=i) for i, p in enumerate(prompts)]
            texts = [""] * len(prompts)
            for round_ in range(100):  # in turns, some oftener than others
                for i, generation in enumerate(generations):
                    if round_ % (i + 1) == 0:
                        texts[i] += next(generation, "")
            self.assertEqual([text + g.read() for text, g in zip(texts, generations)], alone)
            self.assertEqual(context.stats().n_sequences, 0)

    def test_full_context_in_turns(self):
        options = {"temperature": 1.0, "logit_bias": {end: -math.inf for end in self.model.info.end_tokens}}
        with self.model.context(max_sequence_tokens=16, n_threads=1) as context:
            alone = context.generate([1, 2, 3], **options)
            expected = alone.read()
        with self.model.context(max_sequence_tokens=16, n_threads=1, kv_tokens=256) as context:
            slow, fast = context.generate([1, 2, 3], **options), context.generate([4], **options)
            fast.read()  # takes the other's rows past its last one
            self.assertEqual(slow.read(), expected)
            self.assertEqual(slow.tokens, alone.tokens)

    def test_chat(self):
        messages = [{"role": "user", "content": "the river"}]
        prompt = self.model.chat_format(messages, template_text=TEMPLATE)
        expected = self.model.generate(prompt, max_tokens=8, add_special=False, parse_special=True).read()
        self.assertEqual(self.model.chat(messages, template_text=TEMPLATE, max_tokens=8).read(), expected)
        with self.model.context() as context:
            self.assertEqual(context.chat(messages, template_text=TEMPLATE, max_tokens=8).read(), expected)
        self.assertRaises(t.NotFoundError, self.model.chat, messages, max_tokens=8, template_name="none")

    def test_embed(self):
        texts = ["the river holds", "a", "what " * 300, "x y z"]
        vectors = self.model.embed(texts)
        self.assertEqual((vectors.shape, vectors.dtype), ((4, 48), np.float32))
        for text, vector in zip(texts, vectors):
            np.testing.assert_array_equal(self.model.embed(text), vector)
            out = json.loads(program("embed", "--model", environment.LLAMA, text=text.encode() + b"\n"))
            np.testing.assert_allclose(out["embeddings"][0], vector, rtol=1e-5, atol=1e-6)
        last = self.model.embed(texts, pooling=t.Pooling.LAST, normalize=True)
        np.testing.assert_allclose(np.linalg.norm(last, axis=1), 1, rtol=1e-5)
        self.assertEqual(self.model.embed([]).shape, (0, 48))
        self.assertRaises(t.InvalidArgumentError, self.model.embed, [[]])


if __name__ == "__main__":
    if not (environment.BUILD / "examples/generate").exists():
        environment.skip(f"{environment.BUILD} has no examples")
    environment.main()
