#!/usr/bin/env python3
"""Runs libtransformer and the peer in turn, never at the same time, and writes all figures to OUT/compare.json.

Each measurement is a process of its own that does the work twice; the second time counts. tests/bench/compare.sh
prepares what this needs.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import machine
import rows

BENCH = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    pass


def progress(text):
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)


def run(command):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=3600)
    except subprocess.TimeoutExpired as error:
        raise Failed('took more than an hour') from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().split('\n')
        raise Failed(f'exit code {done.returncode}: {lines[-1]}')
    return done.stdout


def commands(args, row, model):
    """Of both sides; None for a peer that is absent."""
    ours = [args.build / 'examples' / 'bench', '--json']
    work = ['--model', model, '--prompt', row.prompt, '--generate', row.generate, '--batch', row.batch, '--rounds', 2]
    if row.rival == 'one thread':
        rival = ours + work + ['--threads', 1]
    else:
        rival = args.peer and [args.peer, '-B', BENCH / 'peer.py'] + work + ['--threads', args.threads]
    return ours + work + ['--threads', args.threads], rival


def second_round(text):
    """The figures of a process, without those of its first round."""
    return {name: value[-1] if isinstance(value, list) else value for name, value in json.loads(text).items()}


def measure(args, row, model):
    result = row._asdict() | {'title': rows.TITLES[row.model], 'threads': args.threads, 'sides': {}}
    sides = {side: command for side, command in zip(('ours', 'rival'), commands(args, row, model)) if command}
    for round_ in range(args.rounds):
        for side, command in list(sides.items()):
            progress(f'{row.name}: round {round_ + 1} of {args.rounds}, {side}')
            try:
                figures = second_round(run(command))
            except Failed as error:
                progress('')
                print(f'{row.name}: {side} failed: {error}', flush=True)
                result['sides'][side] = {'error': str(error)}
                del sides[side]
                continue
            raw = result['sides'].setdefault(side, {})
            for name, value in figures.items():
                if isinstance(value, str) or name == 'weight_bytes_per_token':
                    raw[name] = value
                else:
                    raw.setdefault(name, []).append(value)
    progress('')
    return result


def weight_types(args, model):
    text = run([args.build / 'examples' / 'inspect', '--model', model])
    return next(line.partition('types')[2].strip() for line in text.split('\n') if line.startswith('weight types'))


def write(report, out):
    """After each row, so that a run that is stopped leaves what it has."""
    out.mkdir(parents=True, exist_ok=True)
    (out / 'compare.json').write_text(json.dumps(report, indent=1) + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--models', type=pathlib.Path, required=True)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--peer', default='', help='a Python with llama_cpp')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rows', default='')
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1:
        parser.error('--rounds and --threads are at least 1')
    args.build = args.build.resolve()

    kernels_test = args.build / 'tests' / 'kernels_test'
    report = machine.describe(args.build) | {'threads': args.threads, 'rounds': args.rounds,
                                             'machine': machine.peaks(kernels_test), 'types': {}, 'rows': []}
    for row in rows.chosen(args.rows):
        model = args.models / f'{row.model}.gguf'
        if not model.exists():
            print(f'{row.name}: absent, there is no {model.name}', flush=True)
            continue
        try:
            report['types'][row.model] = weight_types(args, model)
        except Failed as error:
            print(f'{row.name}: libtransformer cannot open {model.name}: {error}', flush=True)
            continue
        report['rows'].append(measure(args, row, model))
        write(report, args.out)
    report['machine'] = machine.best(report['machine'], machine.peaks(kernels_test))
    write(report, args.out)


if __name__ == '__main__':
    main()
