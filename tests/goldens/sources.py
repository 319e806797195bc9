"""Reads data/encoder_decoders/NAME.sources; README.md beside this file says what is in them."""

import struct


def read(path):
    """For each case: source, tokens, what generate makes greedily, with four beams."""
    with open(path, "rb") as file:
        assert file.read(8) == b"SOURCES\n"
        count, = struct.unpack("<i", file.read(4))
        for _ in range(count):
            n_source, n_tokens, n_vocab, n_greedy, n_beam = struct.unpack("<iiiii", file.read(20))
            lists = [list(struct.unpack(f"<{n}i", file.read(4 * n))) for n in (n_source, n_tokens, n_greedy, n_beam)]
            file.read(4 * n_tokens * n_vocab)
            yield lists
