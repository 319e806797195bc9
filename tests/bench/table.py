#!/usr/bin/env python3
"""Prints what compare.json holds.

usage: table.py compare.json
"""

import json
import pathlib
import sys
from statistics import median


def figures(row, side, name):
    return row['sides'].get(side, {}).get(name, [])


def middle(row, side, name):
    values = figures(row, side, name)
    return median(values) if values else None


def ratios(row, speed):
    """Of each round: ours to the rival's."""
    name = f'{speed}_tokens_per_s'
    return [a / b for a, b in zip(figures(row, 'ours', name), figures(row, 'rival', name))]


def cell(value, form):
    return '-' if value is None else format(value, form)


def name_of(row, report):
    """The model, and the types its matrices really have where they are not all of the type in its name."""
    types = [one.partition(' ')[0] for one in report['types'][row['model']].split(', ')]
    types = [one for one in types if one != 'F32' or types == ['F32']]
    title = row['title']
    return title if len(types) == 1 and types[0] in title else f'{title} ({", ".join(types)})'


def what_of(row, speed):
    text = f'{speed} {row["prompt"]}' if speed == 'prefill' else 'decode'
    if row['batch'] > 1:
        text += f', {row["batch"]} sequences'
    elif speed == 'decode' and row['prompt'] != 512:
        text += f' after {row["prompt"]}'
    return text


def lines_of(report):
    """(row, speed) of each line of the table."""
    return [(row, speed) for row in report['rows'] for speed in row['speeds']]


def show(lines, left):
    """Columns as wide as they need; the first `left` are aligned left."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print('  '.join(text.ljust(width) if i < left else text.rjust(width)
                        for i, (text, width) in enumerate(zip(line, widths))).rstrip())


def show_machine(report):
    processor = report['processor']
    print(f'{report["date"]}, {processor["name"]} ({processor["kind"]}), {processor["count"]} processors: '
          + ' '.join(processor['features']))
    for threads, peak in report['machine'].items():
        multiplies = ', '.join(f'{what} {figure}' for what, figure in peak.items() if what != 'read')
        print(f'{threads} thread{"s" * (threads != "1")}: reads {peak["read"]} GB/s'
              + (f'; G multiply-adds/s: {multiplies}' if multiplies else ''))
    library = report['library']
    print(f'libtransformer {library["version"]} {library["commit"]}, {library["cpu path chosen"]} kernels, '
          f'{report["compiler"]}')
    peer = next((row['sides']['rival'] for row in report['rows'] if 'version' in row['sides'].get('rival', {})), None)
    print(f'{peer["version"]}, built for {peer["features"]}' if peer else 'llama.cpp: absent')
    print(f'threads: {report["threads"]}, rounds: {report["rounds"]}, load average at the start: '
          f'{report["load_average"]:.2f}\n')


def show_speeds(report):
    read = report['machine'].get(str(report['threads']), {}).get('read')
    lines = [('tokens/s, medians', '', 'ours', 'peer', 'ratio', '[min - max]', 'ours reads', 'peer reads')]
    for row, speed in lines_of(report):
        if row['rival'] != 'peer':
            continue
        ours, peer = (middle(row, side, f'{speed}_tokens_per_s') for side in ('ours', 'rival'))
        ratio, weights = ratios(row, speed), row['sides'].get('ours', {}).get('weight_bytes_per_token')

        def share(value):
            """Of the read rate, by the weights alone."""
            if speed != 'decode' or row['batch'] > 1 or None in (value, read, weights):
                return '-'
            return f'{value * weights / read / 1e9:.0%}'

        lines.append((name_of(row, report), what_of(row, speed), cell(ours, '.1f'), cell(peer, '.1f'),
                      f'{median(ratio):.2f}' if ratio else '-',
                      f'[{min(ratio):.2f} - {max(ratio):.2f}]' if ratio else '-', share(ours), share(peer)))
    if len(lines) > 1:
        show(lines, 2)


def show_memory(report):
    lines = [('open a cached file, peak memory', 'ours ms', 'peer ms', 'ours MB', 'peer MB')]
    for row in report['rows']:
        if row['rival'] == 'peer':
            numbers = [(name, side, scale) for name, scale in (('load_s', 1e3), ('peak_rss_bytes', 1e-6))
                       for side in ('ours', 'rival')]
            values = [middle(row, side, name) for name, side, _ in numbers]
            lines.append((row['name'], *(cell(value and value * scale, '.0f')
                                         for value, (_, _, scale) in zip(values, numbers))))
    if len(lines) > 1:
        print()
        show(lines, 1)


def show_long(report):
    lines = [('speed kept with a long context', '', 'ours', 'peer')]
    for row in report['rows']:
        short = next((other for other in report['rows'] if other['model'] == row['model'] and other['prompt'] == 512
                      and other['rival'] == 'peer'), None)
        if row['prompt'] <= 512 or not short:
            continue
        for speed in row['speeds']:
            name = f'{speed}_tokens_per_s'
            pairs = [(middle(row, side, name), middle(short, side, name)) for side in ('ours', 'rival')]
            lines.append((row['title'], f'{speed}, {row["prompt"]} to 512',
                          *('-' if None in pair else f'{pair[0] / pair[1]:.0%}' for pair in pairs)))
    if len(lines) > 1:
        print()
        show(lines, 2)


def show_threads(report):
    lines = [('tokens/s, medians', '', f'{report["threads"]} threads', '1 thread', 'ratio', '[min - max]')]
    for row, speed in lines_of(report):
        ratio = ratios(row, speed)
        if row['rival'] == 'one thread' and ratio:
            lines.append((row['title'], f'ours, {what_of(row, speed)}',
                          *(cell(middle(row, side, f'{speed}_tokens_per_s'), '.1f') for side in ('ours', 'rival')),
                          f'{median(ratio):.2f}', f'[{min(ratio):.2f} - {max(ratio):.2f}]'))
    if len(lines) > 1:
        print()
        show(lines, 2)


def main():
    report = json.loads(pathlib.Path(sys.argv[1]).read_text())
    show_machine(report)
    show_speeds(report)
    show_memory(report)
    show_long(report)
    show_threads(report)


if __name__ == '__main__':
    main()
