"""examples/translate makes what Hugging Face transformers' generate makes, greedily and with four beams: the ids that are
in tests/goldens/data/encoder_decoders; and of a model with two vocabularies the texts that are in its folder, which a GGUF
file made of it gives too. Run: test_translate.py TRANSLATE CONVERT SOURCE_ROOT"""

import json
import os
import subprocess
import sys
import tempfile

program, convert, root = sys.argv[1:4]
sys.path.insert(0, os.path.join(root, "tests", "goldens"))
import sources  # noqa: E402

FOLDER = os.path.join(root, "tests", "goldens", "data", "encoder_decoders")
COMMON = {"marian": ["--end", "0", "--forced-last", "0"], "bart": ["--end", "2", "--forced-last", "2"],
          "marian-vocabularies": ["--end", "1", "--forced-last", "1"], "mbart": ["--end", "2", "--forced-last", "2"], "m2m_100": ["--end", "2"], "t5": ["--end", "1"],
          "umt5": ["--end", "1"]}
# As make_encoder_decoders.py tells generate.
OPTIONS = {"marian": ["--never", "60"], "m2m_100": ["--forced-first", "9"],
           "bart": ["--forced-first", "0", "--length-penalty", "2", "--min-length", "6"],
           "bart-scale": ["--early-stopping"], "mbart": ["--forced-first", "11"], "t5-1.1": ["--length-penalty", "0.6"]}


def translate(model, source, *options):
    ids = ",".join(map(str, source))
    ran = subprocess.run([program, "--model", model, "--ids", ids, "--kv", "f32", "--threads", "1", *options],
                         capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return [int(token) for token in ran.stdout.strip().split(",")]


def without_padding(tokens, end):
    while len(tokens) > 2 and tokens[-1] == tokens[-2] == end:
        tokens = tokens[:-1]
    return tokens


def translated(model, lines, *options):
    ran = subprocess.run([program, "--model", model, "--kv", "f32", "--threads", "1", *options], text=True, timeout=120,
                         input="".join(line["text"] + "\n" for line in lines), capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return [line.strip() for line in ran.stdout.splitlines()]


n_checked, n_wrong = 0, 0
names = sorted(file[:-len(".sources")] for file in os.listdir(FOLDER) if file.endswith(".sources"))
assert len(names) >= 14
for name in names:
    family = name.split("-")[0]
    options = COMMON.get(name, COMMON[family]) + OPTIONS.get(name, [])
    for model in (name + ".gguf", name):
        for source, _, greedy, beam in sources.read(os.path.join(FOLDER, name + ".sources")):
            for golden, more in ((greedy, ["--beams", "1", "--max-tokens", "16"]),
                                 (beam, ["--beams", "4", "--max-tokens", "14"])):
                got = translate(os.path.join(FOLDER, model), source, *options, *more)
                n_checked += 1
                if got != golden:
                    n_wrong += 1
                    print(f"{model} {' '.join(more)}: {got} instead of {golden}")
folder = os.path.join(FOLDER, "marian-vocabularies")
with open(os.path.join(folder, "texts.json")) as file:
    lines = json.load(file)
with tempfile.TemporaryDirectory() as made:
    file = os.path.join(made, "model.gguf")
    subprocess.run([convert, "--model", folder, "--output", file], check=True, capture_output=True, timeout=120)
    for model in (folder, file):
        for key, more in (("greedy", ["--beams", "1", "--max-tokens", "16"]), ("beam", ["--beams", "4", "--max-tokens", "14"])):
            got, golden = translated(model, lines, *more), [line[key] for line in lines]
            n_checked += len(lines)
            if got != golden:
                n_wrong += 1
                print(f"{model} {' '.join(more)}: {got} instead of {golden}")
print(f"{n_checked} checked, {n_wrong} wrong")
sys.exit(1 if n_wrong else 0)
