"""Converts folders that have a tokenizer.json (make_text_folders.py makes some) to GGUF. The library must give the same tokens
for the file as for the folder, llama.cpp the same for what it has a tokenizer for. Not a part of the tests' run: it needs
llama-cpp-python.

Run: python3 check_convert_text.py BUILD FOLDER ..."""

import os
import random
import subprocess
import sys
import tempfile
import unicodedata

import llama_cpp

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = 1500


def texts():
    with open(os.path.join(HERE, "tokenizer_json", "atoms.txt")) as file:
        atoms = [bytes.fromhex(line.strip()) for line in file]
    atoms = [a for a in atoms if b"\0" not in a and is_valid(a)]
    words = open(os.path.join(HERE, "..", "..", "docs", "formats.md"), "rb").read().split()
    rng = random.Random(11)
    for i in range(TEXTS):
        parts = [rng.choice(words if rng.random() < 0.5 else atoms) for _ in range(rng.randrange(1, 12))]
        yield (b" " if rng.random() < 0.5 else b"").join(parts)


def is_valid(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def ours(build, path, text, special=False):
    command = [os.path.join(build, "examples", "tokenize"), "--model", path] + (["--special"] if special else [])
    return [int(t) for t in subprocess.run(command, input=text, check=True, capture_output=True).stdout.split()]


def check(build, folder, scratch):
    path = os.path.join(scratch, os.path.basename(folder) + ".gguf")
    subprocess.run([os.path.join(build, "examples", "convert"), "--model", folder, "--output", path], check=True)
    theirs = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    model, pre = theirs.metadata["tokenizer.ggml.model"], theirs.metadata.get("tokenizer.ggml.pre")
    corpus = list(texts())
    together = b"\n".join(corpus)
    same = ours(build, folder, together) == ours(build, path, together)
    same = same and ours(build, folder, together, True) == ours(build, path, together, True)
    verdict = f"{os.path.basename(folder):14} {model}{'/' + pre if pre else ''}: the file's tokens are the folder's: {same}"
    if model == "none":
        print(verdict + "; none for llama.cpp")
        return same
    n_wrong = 0
    for text in corpus:
        wanted = ours(build, folder, text)
        if pre == "qwen2":  # llama.cpp doesn't compose
            text = unicodedata.normalize("NFC", text.decode()).encode()
        found = list(theirs.tokenize(text, add_bos=False, special=False))
        # llama.cpp parts words at control characters that are white space, where BERT's own tokenizer drops them
        if found != wanted and not (model == "bert" and set(text) & set(b"\x0b\x0c\x1c\x1d\x1e\x1f\x85")):
            n_wrong += 1
            if n_wrong == 1:
                print("  first:", text, wanted, found)
    print(verdict + f"; llama.cpp's too but for {n_wrong} of {len(corpus)} texts")
    # SentencePiece's and BERT's tokenizer.json differ from what they were made of in combining marks and written-out special
    # pieces, which llama.cpp follows.
    return same and n_wrong <= (TEXTS // 25 if model in ("t5", "bert") else 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        results = [check(sys.argv[1], folder, directory) for folder in sys.argv[2:]]
    sys.exit(0 if all(results) else 1)
