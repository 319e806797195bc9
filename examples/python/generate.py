#!/usr/bin/env python3
"""Continues a prompt, with the package libtransformer beside this file.

usage: generate.py --model FILE --prompt TEXT [--max-tokens N] [--temperature T] [--seed N]
Without the package installed: PYTHONPATH=examples/python/src, and LIBTRANSFORMER_LIBRARY names libtransformer.so.0.
"""
import argparse
import os
import sys

from libtransformer import Error, Model


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def positive(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 1 or more")
    return int(text)


def main():
    parser = Parser(description="Continues a text.", allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--max-tokens", type=positive, default=64)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not os.access(arguments.model, os.R_OK):
        parser.error(f"cannot open '{arguments.model}'")
    try:
        with Model(arguments.model) as model:
            for piece in model.generate(arguments.prompt, max_tokens=arguments.max_tokens, parse_special=True,
                                        temperature=arguments.temperature, seed=arguments.seed):
                sys.stdout.buffer.write(piece.encode())
                sys.stdout.buffer.flush()
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    except (OSError, Error) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        os._exit(1)  # past a second flush of a stdout that is gone


if __name__ == "__main__":
    main()
