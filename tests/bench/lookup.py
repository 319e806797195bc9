#!/usr/bin/env python3
"""Decode speed with prompt lookup and without, in turn, on texts that repeat their prompt.

usage: lookup.py GENERATE MODEL [--rounds N] [--tokens N] [--lookup N] [--threads N] [--draft MODEL]

GENERATE is the program of examples/. Prints tokens per second of both, the ratio's median and range over the rounds, and
how many proposals were right. The texts of both are compared: they must be equal.
"""

import argparse
import json
import statistics
import subprocess

REPORT = """The harbour of Vell was built in 1684 by order of the council. The first wall, of granite, was 212 metres long. A storm
broke it in 1691, and the council had it built again, 9 metres broad. The lighthouse of Vell was lit in 1702. It is 31
metres high and its light is seen from 14 miles. In 1755 the harbour had 61 ships; in 1801 it had 118. The fishermen of
Vell own 44 boats today. The granite for the wall came from the quarry of Orm, 3 miles inland, by a road of its own."""

TASKS = {
    'copy': f'Text:\n{REPORT}\n\nThe same text again:\n{REPORT.split(".")[0]}.',
    'summary': f'Text:\n{REPORT}\n\nSummary in sentences of the text:\nThe harbour of Vell was built in 1684 by order of the council.',
    'list': 'for i in range(10):\n    print(i)\nfor i in range(11):\n    print(i)\nfor i in range(12):\n    print(i)\n',
}


def run(arguments, prompt, extra):
    command = [arguments.generate, '--model', arguments.model, '--prompt', prompt, '--max-tokens', str(arguments.tokens),
               '--threads', str(arguments.threads), '--stats'] + extra
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout, json.loads(done.stderr)


def speed(stats):
    return (stats['tokens'] - 1) / stats['generate_s']


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('generate')
    parser.add_argument('model')
    for name, default in [('rounds', 5), ('tokens', 160), ('lookup', 10), ('threads', 0)]:
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--draft')
    arguments = parser.parse_args()
    extra = ['--draft', arguments.draft] if arguments.draft else ['--lookup', str(arguments.lookup)]
    for name, prompt in TASKS.items():
        ratios, without, with_it = [], [], []
        for _ in range(arguments.rounds):
            text, plain = run(arguments, prompt, [])
            other, proposed = run(arguments, prompt, extra)
            if text != other:
                raise SystemExit(f'{name}: the texts differ')
            without.append(speed(plain))
            with_it.append(speed(proposed))
            ratios.append(with_it[-1] / without[-1])
        print(f'{name:8} {statistics.median(without):7.1f} tokens/s, with proposals {statistics.median(with_it):7.1f}: '
              f'{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f}); '
              f'{proposed["tokens"]} tokens in {proposed["steps"]} steps, {proposed["accepted"]} of {proposed["proposed"]} right')


if __name__ == '__main__':
    main()
