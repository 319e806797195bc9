#!/usr/bin/env python3
"""One thread's speed of vocabularies' files against sentencepiece, transformers' tokenizers and tiktoken, line by line.

usage: vocabularies.py BUILD TEXT [SECONDS [NAME ...]]    needs sentencepiece, tokenizers, transformers, tiktoken; the vocabularies are
                                               those of tests/goldens/data/vocabularies
"""
import base64
import json
import os
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.pop(0)  # tokenizers.py lies beside this file
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "goldens", "data", "vocabularies")


def peer(name):
    path = os.path.join(DATA, name)
    if name.startswith(("spm", "t5", "llama")):
        import sentencepiece

        file = next(f for f in os.listdir(path) if f.endswith(".model"))
        return "sentencepiece", sentencepiece.SentencePieceProcessor(model_file=os.path.join(path, file)).encode
    if name.startswith("tiktoken"):
        import tiktoken

        file = next(f for f in os.listdir(path) if f.endswith(".tiktoken"))
        ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in open(os.path.join(path, file))}
        pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                   r"|\s+(?!\S)|\s+")
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        return "tiktoken", encoding.encode_ordinary
    import transformers

    class_ = json.load(open(os.path.join(path, "tokenizer_config.json")))["tokenizer_class"]
    backend = getattr(transformers, class_).from_pretrained(path).backend_tokenizer
    return "tokenizers", lambda text: backend.encode(text, add_special_tokens=False).ids


def main():
    build, text_path = sys.argv[1], sys.argv[2]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 3
    data = open(text_path, "rb").read()
    lines = data.decode().split("\n")
    print("| vocabulary | MB/s | peer | its MB/s | ratio |\n|---|---|---|---|---|")
    names = sys.argv[4:] or ["spm-unigram", "spm-bpe", "t5", "llama", "bert", "roberta", "qwen2", "tiktoken-qwen"]
    for name in names:
        who, encode = peer(name)
        program = os.path.join(build, "tests", "test_vocabularies")
        ours = float(subprocess.run([program, "-b", os.path.join(DATA, name), text_path, str(seconds)],
                                    stdout=subprocess.PIPE, check=True).stdout.split()[0])
        best, spent = 1e9, 0
        while spent < seconds:
            start = time.process_time()
            for line in lines:
                encode(line)
            took = time.process_time() - start
            best, spent = min(best, took), spent + took
        size = len(data) / 1e6
        print("| %s | %.1f | %s | %.1f | %.2f |" % (name, size / ours, who, size / best, best / ours), flush=True)


if __name__ == "__main__":
    main()
