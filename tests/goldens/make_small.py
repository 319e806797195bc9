"""Writes data/small: small random models in f32 and their logits. Run: python3 make_small.py [NAME ...]"""

import os
import sys

import gguf
import torch

import golden_file
import gguf_model
import random_model
import small_tokenizers
from small_models import BASE, MODELS

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "small")

TOKENIZERS = {"llama-gqa": small_tokenizers.byte_level, "gemma3-mqa": small_tokenizers.sentencepiece}


def recorded_positions(n):
    """All of a short sequence; of a longer one its end and where pages, windows and attention's splits begin."""
    if n <= 40:
        return list(range(n))
    edges = [0, 8, 9, 10, 23, 24, 25, 63, 64, 65, 127, 128, 511, 512, 513, 1023, 1024]
    return sorted({p for p in edges if p < n} | set(range(n - 8, n)))


def as_f16(family, model):
    """Rounds the matrices to F16: {GGUF name: (type, values)}."""
    encoded, state = {}, model.state_dict()
    for source, target in gguf_model.tensor_names(family, model.config.num_hidden_layers):
        if source in state and state[source].ndim == 2:
            state[source].copy_(state[source].half().float())
            values = gguf_model.to_gguf_values(family, model.config, target, state[source].numpy())
            encoded[target] = (gguf.GGMLQuantizationType.F16, values.astype("<f2"))
    return encoded


def make(name):
    family = name.split("-")[0]
    changes, options, lengths = MODELS[name]
    config = {**BASE[family], **changes}
    model = random_model.build(name, family, options, **config)
    encoded = as_f16(family, model) if options.get("f16") else {}
    tokenizer = None
    if name in TOKENIZERS:
        tokenizer = TOKENIZERS[name](config["vocab_size"])
        tokenizer.write_texts(os.path.join(FOLDER, name + ".texts"))
    gguf_model.write_model(os.path.join(FOLDER, name + ".gguf"), name, family, model, options, tokenizer,
                           encoded)
    random = random_model.generator(name + " tokens")
    sequences = []
    for n in lengths:
        tokens = random.integers(0, config["vocab_size"], n).tolist()
        positions = recorded_positions(n)
        sequences.append((tokens, positions, random_model.logits(model, tokens, positions)))
    golden_file.write_logits(os.path.join(FOLDER, name + ".logits"), sequences)
    rows = sequences[-1][2]
    print(f"{name}: logits deviate by {rows.std():.2f}, highest {abs(rows).max():.2f}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    os.makedirs(FOLDER, exist_ok=True)
    for model_name in sys.argv[1:] or MODELS:
        make(model_name)
