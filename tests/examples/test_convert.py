"""Folders as GGUF files: BUILD [TEST...]"""
import os
import pathlib
import stat
import subprocess

import programs

DATA = programs.ROOT / "tests/goldens/data"


class Convert(programs.Case):
    def logits(self, path, *arguments):
        return self.output("logits", "--model", path, "--tokens", "1,2,3,5,8,13,21", "--all", *arguments)

    def folders(self):
        for kind in ("hf", "hf_quantized"):
            for folder in sorted((DATA / kind).iterdir()):
                if folder.is_dir():
                    yield folder

    def test_the_same_model(self):
        """As it is, and quantized while it is loaded or before: bit for bit, as text shows every digit."""
        with programs.temporary_folder() as scratch:
            for folder in self.folders():
                for options in ((), ("--type", "Q8_0"), ("--type", "Q4_K")):
                    path = scratch + "/model.gguf"
                    self.assertEqual(self.output("convert", "--model", folder, "--output", path, *options), b"")
                    expected = self.logits(folder, *options)
                    self.assertTrue(self.logits(path) == expected, (folder.name, options))
                    if options == ("--type", "Q4_K"):
                        self.assertTrue(expected != self.logits(folder), folder.name)

    def test_weights_that_share_a_tensor(self):
        """Each family's parts of tensors, experts and heads."""
        with programs.temporary_folder() as scratch:
            for source in sorted((DATA / "families").glob("*.gguf")):
                path = scratch + "/model.gguf"
                self.output("convert", "--model", source, "--output", path, "--type", "Q8_0")
                self.assertTrue(self.logits(path) == self.logits(source, "--type", "Q8_0"), source.name)

    def test_a_gguf_file_again(self):
        with programs.temporary_folder() as scratch:
            for name in ("llama-gqa", "gemma3-mqa"):
                source, first, second = DATA / "small" / (name + ".gguf"), scratch + "/1", scratch + "/2"
                self.output("convert", "--model", source, "--output", first)
                self.output("convert", "--model", first, "--output", second)
                self.assertEqual(*(pathlib.Path(path).read_bytes() for path in (first, second)))
                self.assertTrue(self.logits(source) == self.logits(first))
                text = "the river 12 x".encode()
                self.assertEqual(self.output("tokenize", "--model", source, text=text),
                                 self.output("tokenize", "--model", first, text=text))

    def test_text(self):
        """Tokens, templates and what ends a generation come along, and again from the file that was made."""
        folder = DATA / "folder"
        text = "the river flows\n under 3 bridges <|im_end|> e\u0301 \U0001f600".encode()
        with programs.temporary_folder() as scratch:
            first, second = scratch + "/1.gguf", scratch + "/2.gguf"
            self.output("convert", "--model", folder, "--output", first)
            self.output("convert", "--model", first, "--output", second)
            self.assertEqual(*(pathlib.Path(path).read_bytes() for path in (first, second)))
            for options in ((), ("--special",)):
                wanted = self.output("tokenize", "--model", folder, *options, text=text)
                self.assertEqual(self.output("tokenize", "--model", first, *options, text=text), wanted)
                self.assertEqual(self.output("tokenize", "--model", first, "--decode", "--special", text=wanted),
                                 self.output("tokenize", "--model", folder, "--decode", "--special", text=wanted))
            metadata = pathlib.Path(first).read_bytes()
            for key in (b"tokenizer.huggingface.json", b"tokenizer.chat_template", b"tokenizer.end_tokens", b"tokenizer.ggml.merges"):
                self.assertIn(key, metadata)
            generate = ("generate", "--prompt", "the river", "--max-tokens", "20", "--chat")
            self.assertEqual(self.output(*generate, "--model", first), self.output(*generate, "--model", folder))

    def test_not_a_regular_file(self):
        """A device or a pipe is written to, not replaced."""
        folder = DATA / "hf/llama-tiny-heads"
        with programs.temporary_folder() as scratch:
            path, pipe, link = scratch + "/model.gguf", scratch + "/pipe", scratch + "/link"
            self.output("convert", "--model", folder, "--output", path)
            wanted = pathlib.Path(path).read_bytes()
            self.assertEqual(self.output("convert", "--model", folder, "--output", "/dev/stdout"), wanted)
            os.mkfifo(pipe)
            with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
                self.output("convert", "--model", folder, "--output", pipe)
                self.assertEqual(reader.communicate(timeout=60)[0], wanted)
            self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))
            os.symlink("/dev/null", link)
            self.output("convert", "--model", folder, "--output", link)
            self.assertTrue(os.path.islink(link) and stat.S_ISCHR(os.stat(link).st_mode))
            self.fails(1, programs.run("convert", "--model", folder, "--output", scratch), scratch)
            self.assertEqual(sorted(os.listdir(scratch)), ["link", "model.gguf", "pipe"])

    def test_adapter(self):
        """A folder's and a file's are the same, on the folder and on the file made of it."""
        with programs.temporary_folder() as scratch:
            folder, path = DATA / "hf/llama-rope-llama3", scratch + "/model.gguf"
            self.output("convert", "--model", folder, "--output", path)
            found = {self.logits(model, "--adapter", DATA / "adapters" / adapter)
                     for model in (folder, path) for adapter in ("llama-all", "llama-all.gguf")}
            self.assertEqual(len(found), 1)
            self.assertNotIn(self.logits(folder), found)
            self.assertNotIn(self.logits(folder, "--adapter", DATA / "adapters/llama-all", "--adapter-scale", 0.5), found)

    def test_failures(self):
        with programs.temporary_folder() as scratch:
            folder = DATA / "hf/llama-tiny-heads"
            quiet = programs.LEAKS_ALLOWED
            self.fails(2, programs.run("convert", "--model", folder, "--output", scratch + "/x", "--type", "Q9_9"), "Q9_9")
            self.fails(1, programs.run("convert", "--model", folder, "--output", scratch + "/none/x", environment=quiet),
                       "none/x")
            self.fails(1, programs.run("convert", "--model", scratch, "--output", scratch + "/x", environment=quiet),
                       "config.json")
            self.assertEqual(os.listdir(scratch), [])


if __name__ == "__main__":
    programs.main("convert")
