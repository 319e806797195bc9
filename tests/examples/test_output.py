"""What the examples print, on small random models: BUILD [TEST...]"""
import math
import pathlib
import unittest

import programs

BPE, SENTENCEPIECE = "llama-gqa", "gemma3-mqa"
REFERENCE = {"TRANSFORMER_CPU": "reference"}


def model(name):
    return programs.SMALL / (name + ".gguf")


def comma(ids):
    return ",".join(map(str, ids))


def nll(row, token):
    highest = max(row)
    return math.log(math.fsum(math.exp(x - highest) for x in row)) + highest - row[token]


class Logits(programs.Case):
    def rows(self, name, tokens, *arguments):
        return self.json("logits", "--model", model(name), "--tokens", comma(tokens), *arguments,
                         environment=REFERENCE)["logits"]

    def test_as_the_reference_computes_them(self):
        for name in (BPE, SENTENCEPIECE):
            for tokens, expected in programs.golden_logits(name):
                rows = self.rows(name, tokens, "--all")
                self.assertEqual(len(rows), len(tokens))
                for position, row in expected.items():
                    self.assertEqual(len(rows[position]), len(row))
                    error = max(abs(a - b) for a, b in zip(rows[position], row))
                    self.assertLessEqual(error, 2e-3, (name, position))

    def test_last_is_the_last_of_all(self):
        tokens = programs.golden_logits(BPE)[1][0]
        every = self.rows(BPE, tokens, "--all")
        # assertTrue: the rows themselves would make a message of a megabyte
        self.assertTrue(self.rows(BPE, tokens) == [every[-1]])
        self.assertTrue(self.rows(BPE, tokens[:7], "--threads", 1) == [every[6]])
        self.assertTrue(self.rows(BPE, tokens, "--kv", "f32", "--all") == every)
        self.assertTrue(self.rows(BPE, tokens, "--kv", "f16", "--all") != every)


class Encoders(programs.Case):
    def path(self, name):
        return programs.ROOT / "tests/goldens/data/encoders" / name

    def test_hidden_and_score(self):
        tokens = ("--tokens", "5,6,7,8")
        every = self.json("logits", "--model", self.path("bert"), *tokens, "--all")["hidden"]
        last = self.json("logits", "--model", self.path("bert"), *tokens)["hidden"]
        self.assertEqual([len(row) for row in every], [32] * 4)
        self.assertEqual(last, [every[-1]])
        score = self.json("logits", "--model", self.path("bert-score"), *tokens)["score"]
        self.assertEqual(len(score), 3)
        self.assertEqual(score, self.json("logits", "--model", self.path("bert-score.gguf"), *tokens)["score"])

    def test_embed(self):
        arguments = ["embed", "--model", self.path("bert-sentence"), "--ids", "--cosine"]
        with programs.temporary_folder() as folder:
            lines = pathlib.Path(folder) / "lines"
            lines.write_text("1,2,3\n\n4,5,6,7\n1,2,3\n")
            said = self.json(*arguments, "--texts", lines)
            first = self.json(*arguments, "--texts", lines, "--pooling", "first")["embeddings"]
        vectors, cosines = said["embeddings"], said["cosine"]
        self.assertEqual([len(vector) for vector in vectors], [32] * 3)
        self.assertEqual(vectors[0], vectors[2])
        self.assertNotEqual(vectors, first)
        self.assertAlmostEqual(math.fsum(x * x for x in vectors[1]), 1, places=5)
        self.assertAlmostEqual(cosines[0][1], math.fsum(a * b for a, b in zip(*vectors[:2])), places=5)
        self.assertEqual(cosines[0][2], 1)

    def test_embed_fails_whole(self):
        """A text that can't be done leaves nothing of the line."""
        done = programs.run("embed", "--model", self.path("bert-sentence"), "--ids", text=b"1,2,3\n4,99999\n",
                            environment=programs.LEAKS_ALLOWED)
        self.fails(1, done, "99999")
        self.assertEqual(done.stdout, b"")

    def test_rerank(self):
        with programs.temporary_folder() as folder:
            lines = pathlib.Path(folder) / "lines"
            lines.write_text("7,8\n9,10,11\n12\n")
            said = self.json("rerank", "--model", self.path("bert-score"), "--ids", "--query", "1,2",
                             "--documents", lines)
        scores = [row[-1] for row in said["scores"]]
        self.assertEqual(said["order"], sorted(range(3), key=lambda i: -scores[i]))

    def test_best_of(self):
        arguments = ["best_of", "--model", model("llama-gqa"), "--reward", self.path("llama-score"), "--ids",
                     "--prompt", "1,2,3", "--n", 3, "--max-tokens", 4, "--temperature", 2]
        reward = self.json(*arguments, "--all")
        scores = [answer["score"] for answer in reward["answers"]]
        self.assertEqual(scores[reward["best"]], max(scores))
        self.assertGreater(len({tuple(answer["tokens"]) for answer in reward["answers"]}), 1)
        self.assertEqual(self.output(*arguments), (comma(reward["answers"][reward["best"]]["tokens"]) + "\n").encode())


class Tokenize(programs.Case):
    def test_ids_and_back(self):
        for name in (BPE, SENTENCEPIECE):
            for text, ids in programs.golden_texts(name):
                self.assertEqual(self.ids("tokenize", "--model", model(name), text=text), ids)
                listed = " \n".join(map(str, ids)).encode()
                back = self.output("tokenize", "--model", model(name), "--decode", text=listed)
                self.assertEqual(back, text)

    def test_one_line(self):
        out = self.output("tokenize", "--model", model(BPE), text=b"two\nlines")
        self.assertEqual(out.count(b"\n"), 1)
        self.assertEqual(self.output("tokenize", "--model", model(BPE)), b"\n")
        self.assertEqual(self.output("tokenize", "--model", model(BPE), "--decode"), b"")

    def test_special(self):
        text = b"<|im_start|>river<|im_end|>"
        plain = self.ids("tokenize", "--model", model(BPE), text=text)
        special = self.ids("tokenize", "--model", model(BPE), "--special", text=text)
        self.assertLess(len(special), len(plain))
        listed = comma(special).replace(",", " ").encode()
        self.assertEqual(self.output("tokenize", "--model", model(BPE), "--decode", text=listed),
                         b"river")
        self.assertEqual(self.output("tokenize", "--model", model(BPE), "--decode", "--special",
                                     text=listed), text)


class Generate(programs.Case):
    def test_beams(self):
        """The ids of Hugging Face transformers' generate(num_beams=N, max_new_tokens=12) on the same folder."""
        folder = str(programs.ROOT / "tests/goldens/data/folder")
        prompt = ["generate", "--model", folder, "--prompt", "the river holds", "--max-tokens", "12", "--kv", "f32"]
        greedy = b"274 264 264 264 308 313 313 313 313 313 313 313\n"
        best = b"274 264 264 308 308 313 313 313 313 313 313 313\n"
        for beams, expected in (("1", greedy), ("2", best), ("4", best)):
            self.assertEqual(self.output(*prompt, "--ids", "--beams", beams), expected)
        self.assertEqual(len(self.output(*prompt, "--beams", "3").splitlines()), 1)
        self.fails(2, programs.run(*prompt, "--beams", "2", "--stop", "x"))

    prompt = ["--prompt", "the river holds", "--max-tokens", 24]
    random = ["--temperature", 1.5, "--top-k", 200, "--top-p", 0.99, "--min-p", 0.0001]

    def generate(self, *arguments, name=BPE):
        return self.output("generate", "--model", model(name), *self.prompt, *arguments)

    def test_ids_spell_the_text(self):
        for name in (BPE, SENTENCEPIECE):
            for arguments in ([], [*self.random, "--seed", 3]):
                ids = self.generate("--ids", *arguments, name=name)
                self.assertEqual(ids.count(b"\n"), 1)
                self.assertLessEqual(len(ids.split()), 24)
                spelt = self.output("tokenize", "--model", model(name), "--decode", text=ids)
                text = self.generate(*arguments, name=name)
                self.assertEqual(text.decode(), spelt.decode(errors="replace") + "\n")

    def test_greedy_takes_the_highest_logit(self):
        prompt = self.ids("tokenize", "--model", model(BPE), text=b"the river holds")
        ids = [int(i) for i in self.generate("--ids", "--kv", "f32").split()]
        self.assertGreater(len(ids), 0)
        rows = self.json("logits", "--model", model(BPE), "--tokens", comma(prompt + ids), "--all")
        highest = [row.index(max(row)) for row in rows["logits"][len(prompt) - 1:-1]]
        self.assertEqual(ids, highest)
        self.assertEqual(self.generate("--temperature", 1, "--top-k", 1), self.generate())

    def test_seed(self):
        first = self.generate("--ids", *self.random, "--seed", 7)
        for threads in (1, 2, 5):
            self.assertEqual(self.generate("--ids", *self.random, "--seed", 7, "--threads",
                                           threads), first)
        others = {self.generate("--ids", *self.random, "--seed", seed) for seed in range(4)}
        self.assertGreater(len(others), 1)

    def test_prompts(self):
        with programs.temporary_folder() as folder:
            path = folder + "/prompt"
            with open(path, "w", encoding="utf-8") as file:
                file.write("the river holds")
            from_file = self.output("generate", "--model", model(BPE), "--prompt-file", path,
                                    "--max-tokens", 24, "--device", "cpu")
        self.assertEqual(from_file, self.generate())
        for kv in ("f32", "f16", "bf16", "q8_0"):
            self.generate("--kv", kv)
        self.output("generate", "--model", model(SENTENCEPIECE), "--max-tokens", 3)

    def test_save_and_load(self):
        whole = self.generate("--ids").split()
        with programs.temporary_folder() as folder:
            path = folder + "/snapshot"
            first = self.output("generate", "--model", model(BPE), *self.prompt[:2], "--max-tokens", 9, "--ids",
                                "--save", path).split()
            rest = self.output("generate", "--model", model(BPE), "--load", path, "--max-tokens", len(whole) - 9,
                               "--ids").split()
            self.assertEqual(first + rest, whole)
            self.fails(1, programs.run("generate", "--model", model(BPE), "--load", __file__, environment=programs.LEAKS_ALLOWED), "no snapshot")
            self.fails(1, programs.run("generate", "--model", model(SENTENCEPIECE), "--load", path, environment=programs.LEAKS_ALLOWED),
                       "another model")
            self.fails(1, programs.run("generate", "--model", model(BPE), *self.prompt, "--save",
                                       folder + "/no/such", environment=programs.LEAKS_ALLOWED), "can't be written")

    def test_no_tokenizer(self):
        self.fails(1, programs.run("generate", "--model", model("qwen2-mha"), *self.prompt,
                                   environment=programs.LEAKS_ALLOWED), "STATE")


class Perplexity(programs.Case):
    text = b"the river was older than the town, and each morning it holds the keys of that page. " * 4

    def measure(self, *arguments):
        with programs.temporary_folder() as folder:
            with open(folder + "/text", "wb") as file:
                file.write(self.text)
            return self.json("perplexity", "--model", model(BPE), "--file", folder + "/text",
                             *arguments)

    def expected(self, chunk):
        rows = self.json("logits", "--model", model(BPE), "--tokens", comma(chunk), "--all", "--kv",
                         "f16")["logits"]
        half = len(chunk) // 2
        return math.fsum(nll(rows[i - 1], chunk[i]) for i in range(half, len(chunk))) / (len(chunk) - half)

    def test_chunks(self):
        ids = self.ids("tokenize", "--model", model(BPE), text=self.text)
        for context in (8, 15, 32):
            result = self.measure("--context", context)
            self.assertEqual(len(result["nll_chunks"]), len(ids) // context)
            for i, found in enumerate(result["nll_chunks"]):
                self.assertAlmostEqual(found, self.expected(ids[context * i:context * (i + 1)]), 6)
            mean = sum(result["nll_chunks"]) / len(result["nll_chunks"])
            self.assertAlmostEqual(result["ppl"], math.exp(mean), delta=1e-6 * result["ppl"])

    def test_begin_token_and_number(self):
        begin = self.ids("tokenize", "--model", model(BPE), "--special", text=b"<|endoftext|>")
        ids = self.ids("tokenize", "--model", model(BPE), text=self.text)
        done = programs.run("perplexity", "--model", model(BPE), "--file", __file__, "--bos",
                            "--context", 16, "--chunks", 1, environment=programs.LEAKS_ALLOWED)
        if b"NOT_FOUND" in done.stderr:
            self.skipTest("the model names no begin token")
        result = self.measure("--context", 16, "--chunks", 2, "--bos")
        self.assertEqual(len(result["nll_chunks"]), 2)
        for i, found in enumerate(result["nll_chunks"]):
            chunk = ids[16 * i:16 * (i + 1)]
            candidates = [self.expected([b] + chunk[1:]) for b in begin + [1, 2]]
            self.assertLess(min(abs(found - c) for c in candidates), 1e-6)

    def test_short_text(self):
        with programs.temporary_folder() as folder:
            open(folder + "/text", "wb").close()
            done = programs.run("perplexity", "--model", model(BPE), "--file", folder + "/text",
                                environment=programs.LEAKS_ALLOWED)
        self.fails(1, done, "0 tokens", "512")


class BenchAndInspect(programs.Case):
    def test_bench(self):
        arguments = ["--model", model(BPE), "--prompt", 70, "--generate", 5, "--batch", 3,
                     "--rounds", 2]
        result = self.json("bench", *arguments, "--json")
        self.assertEqual(list(result), ["prefill_tokens_per_s", "decode_tokens_per_s", "load_s",
                                        "weight_bytes_per_token", "peak_rss_bytes"])
        for key in ("prefill_tokens_per_s", "decode_tokens_per_s"):
            self.assertEqual(len(result[key]), 2)
            self.assertGreater(min(result[key]), 0)
        self.assertGreater(result["load_s"], 0)
        self.assertGreater(result["weight_bytes_per_token"], 0)
        self.assertGreater(result["peak_rss_bytes"], 1 << 20)
        table = self.output("bench", *arguments).decode()
        for word in ("prefill", "decode", "load", "weights", "memory"):
            self.assertIn(word, table)

    def test_inspect(self):
        for name in (BPE, SENTENCEPIECE, "qwen2-mha"):
            small = self.output("inspect", "--model", model(name), "--context", 64).decode()
            large = self.output("inspect", "--model", model(name), "--context", 256).decode()
            said = dict(line.split(None, 1) for line in small.splitlines() if line)
            self.assertEqual(said["architecture"], name.split("-")[0])
            self.assertIn(f"{model(name).stat().st_size} (", said["file"])
            kv = [int(text.split("of it KV cache")[1].split()[0]) for text in (small, large)]
            self.assertLess(kv[0], kv[1])


if __name__ == "__main__":
    programs.main()
