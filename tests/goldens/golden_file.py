"""The files that tests/golden/test_golden.c reads. Little-endian; README.md beside this file says what is in them."""

import struct

import numpy as np


def _i32(values):
    return np.asarray(values, dtype="<i4").tobytes()


def _f32(values):
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def write_logits(path, sequences):
    """sequences: (tokens [n_tokens], positions [n_positions], logits [n_positions][n_vocab]) each."""
    with open(path, "wb") as file:
        file.write(b"LOGITS1\n" + struct.pack("<i", len(sequences)))
        for tokens, positions, logits in sequences:
            assert logits.shape[0] == len(positions)
            file.write(struct.pack("<iii", len(tokens), len(positions), logits.shape[1]))
            file.write(_i32(tokens) + _i32(positions) + _f32(logits))


def write_prompts(path, prompts):
    """prompts: (tokens, top ids, top logits, greedy tokens, gaps between the two highest logits) each."""
    with open(path, "wb") as file:
        file.write(b"PROMPTS\n" + struct.pack("<i", len(prompts)))
        for tokens, top_ids, top_logits, greedy, gaps in prompts:
            assert len(top_ids) == len(top_logits) and len(greedy) == len(gaps)
            file.write(struct.pack("<iii", len(tokens), len(top_ids), len(greedy)))
            file.write(_i32(tokens) + _i32(top_ids) + _f32(top_logits) + _i32(greedy) + _f32(gaps))


def write_distributions(path, tokens, positions, ids, log_probabilities):
    """ids, log_probabilities: [n_positions][k], the k likeliest tokens after each position."""
    with open(path, "wb") as file:
        file.write(b"DISTRIB\n" + struct.pack("<iii", len(tokens), len(positions), ids.shape[1]))
        file.write(_i32(tokens) + _i32(positions) + _i32(ids) + _f32(log_probabilities))


def write_tokens(path, tokens):
    with open(path, "wb") as file:
        file.write(_i32(tokens))
