"""Writes data/real/minilm.pooled: token ids of 20 sentences and their vectors by Hugging Face transformers, the mean of
the hidden states divided by its length, as the model's modules say.
Run: python3 make_minilm.py FOLDER        of the model, which tests/get_models.py brings"""

import os
import sys

import numpy as np
import torch
import transformers

import golden_file

SENTENCES = [
    "The river rose overnight and took the bridge with it.",
    "A bridge was carried away by the flood.",
    "How do I change a bicycle tyre?",
    "Instructions for replacing the inner tube of a bike wheel",
    "She plays the cello in a small orchestra.",
    "The capital of Australia is Canberra.",
    "Which city is Australia's seat of government?",
    "Prices rose by 3.5% in the second quarter of 2023.",
    "Il fait froid ce matin, n'est-ce pas ?",
    "def add(a, b): return a + b",
    "Ein Satz auf Deutsch mit Umlauten: schön, größer, über.",
    "東京は日本の首都です。",
    "Yes.",
    "no",
    "I would like to cancel my subscription, please, as soon as possible!",
    "The cat sat on the mat while the dog slept by the door, and nobody in the house noticed the mouse that ran along "
    "the wall, behind the curtain, over the windowsill and out into the garden.",
    "e = mc^2",
    "UPPER CASE, lower case and MiXeD",
    "    spaces   and\ttabs  ",
    "emoji 🙂 and an uncommon word: antidisestablishmentarianism",
]


def main(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval().float()
    rows = []
    for sentence in SENTENCES:
        tokens = tokenizer(sentence)["input_ids"]
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([tokens])).last_hidden_state[0].numpy()
        vector = hidden.mean(axis=0, keepdims=True)
        rows.append((tokens, [len(tokens) - 1], vector / np.linalg.norm(vector)))
    here = os.path.dirname(os.path.abspath(__file__))
    golden_file.write_logits(os.path.join(here, "data", "real", "minilm.pooled"), rows)
    with open(os.path.join(here, "data", "real", "minilm.sentences"), "w") as file:
        file.write("".join(sentence.encode().hex() + "\n" for sentence in SENTENCES))


if __name__ == "__main__":
    main(sys.argv[1])
