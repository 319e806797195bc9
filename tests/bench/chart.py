#!/usr/bin/env python3
"""Draws the ratios of compare.json: a bar for each line of the table, whiskers from the least to the most of the rounds.

usage: chart.py compare.json compare.svg
"""

import json
import math
import pathlib
import sys
from html import escape
from statistics import median

from table import lines_of, name_of, ratios, what_of

WIDTH, LEFT, RIGHT, TOP = 940, 440, 60, 78
BAR, GAP = 14, 6
STYLE = '''
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 15px; font-weight: 600 }
.soft { fill: #59636e } .end { text-anchor: end } .middle { text-anchor: middle }
.prefill { fill: #2f81d0 } .decode { fill: #d9822b } .grid { stroke: #d1d9e0 } .one { stroke: #1f2328; stroke-width: 1.5 }
.range { stroke: #1f2328; fill: none } .page { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft { fill: #9198a1 } .grid { stroke: #3d444d } .one, .range { stroke: #e6edf3 }
  .prefill { fill: #4493f8 } .decode { fill: #e3993f } .page { fill: #0d1117 }
}'''


def bars_of(report):
    """(label, speed, ratios) of each bar."""
    for row, speed in lines_of(report):
        values = ratios(row, speed)
        if row['rival'] == 'peer' and values:
            yield f'{name_of(row, report)}: {what_of(row, speed)}', speed, values


def ticks(most):
    step = next((step for step in (0.5, 1, 2, 5, 10) if most / step <= 10), most)
    return [i * step for i in range(math.ceil(most / step) + 1)]


def draw(report, bars):
    marks = ticks(max(max(values) for _, _, values in bars))
    bottom = TOP + len(bars) * (BAR + GAP)

    def x_of(ratio):
        return LEFT + (WIDTH - LEFT - RIGHT) * ratio / marks[-1]

    processor = report['processor']
    notes = f'{processor["name"]} ({processor["kind"]}), {report["threads"]} threads, {report["date"].partition(" ")[0]}'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 46}" role="img">',
           f'<title>Speed of libtransformer in proportion to llama.cpp, {escape(notes)}</title><style>{STYLE}</style>',
           '<rect class="page" width="100%" height="100%"/>',
           '<text class="title" x="16" y="26">Tokens per second in proportion to llama.cpp</text>',
           f'<text class="soft" x="16" y="46">{escape(notes)}</text>',
           f'<rect class="prefill" x="{WIDTH - 180}" y="16" width="12" height="12"/>'
           f'<text x="{WIDTH - 162}" y="26">prefill</text>',
           f'<rect class="decode" x="{WIDTH - 100}" y="16" width="12" height="12"/>'
           f'<text x="{WIDTH - 82}" y="26">decode</text>']
    for mark in marks:
        out += [f'<line class="grid" x1="{x_of(mark):.1f}" x2="{x_of(mark):.1f}" y1="{TOP - 8}" y2="{bottom}"/>',
                f'<text class="soft middle" x="{x_of(mark):.1f}" y="{bottom + 16}">{mark:g}×</text>']
    for i, (label, speed, values) in enumerate(bars):
        y, ratio = TOP + i * (BAR + GAP), median(values)
        low, high, centre = x_of(min(values)), x_of(max(values)), y + BAR / 2
        beside = (x_of(1) if high < x_of(1) < high + 42 else high) + 6  # the line doesn't cross the figure
        out += [f'<text class="end" x="{LEFT - 8}" y="{y + 11}">{escape(label)}</text>',
                f'<rect class="{speed}" x="{LEFT}" y="{y}" width="{x_of(ratio) - LEFT:.1f}" height="{BAR}"/>',
                f'<path class="range" d="M{low:.1f} {centre}H{high:.1f}M{low:.1f} {y + 4}v6M{high:.1f} {y + 4}v6"/>',
                f'<text x="{beside:.1f}" y="{y + 11}">{ratio:.2f}×</text>']
    out += [f'<line class="one" x1="{x_of(1):.1f}" x2="{x_of(1):.1f}" y1="{TOP - 8}" y2="{bottom}"/>',
            f'<text class="soft" x="16" y="{bottom + 36}">Rounds: {report["rounds"]}, in pairs. Bars are medians, whiskers go '
            'from the least to the most. In brackets: the types that a file really has.</text>', '</svg>']
    return '\n'.join(out) + '\n'


def main():
    report = json.loads(pathlib.Path(sys.argv[1]).read_text())
    bars = list(bars_of(report))
    if not bars:
        print('no chart: there is nothing that both sides ran')
        return
    pathlib.Path(sys.argv[2]).write_text(draw(report, bars), encoding='utf-8')


if __name__ == '__main__':
    main()
