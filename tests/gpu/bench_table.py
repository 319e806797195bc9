#!/usr/bin/env python3
"""The table and the chart of a run of bench.sh: what was reached, beside what is known of others and what is wanted.

usage: bench_table.py results.json bench.md bench.svg
"""

import json
import pathlib
import re
import sys
from dataclasses import dataclass
from html import escape
from statistics import median

# Bits of a weight as it lies in memory.
BITS = {'BF16': 16, 'F16': 16, 'Q8_0': 8.5, 'Q4_K': 4.625, 'Q4_0': 4.5, 'Q6_K': 6.5625, 'F32': 32, 'FP8': 8.5,
        'FP8_FP8': 8.5}


@dataclass
class Product:
    """One measured product; of the two families of kernels the one that did better counts."""
    type: str
    shape: str
    n_tokens: int
    kernel: str
    splits: bool
    unit: str
    value: float

    @property
    def n_weights(self):
        weights = 1
        for factor in re.findall(r'\d+', self.shape):
            weights *= int(factor)
        return weights

    @property
    def n_cols(self):
        return int(self.shape.split(' x ')[-1])

    @property
    def megabytes(self):
        return self.n_weights * BITS[self.type] / 8 / 1e6


@dataclass
class Row:
    work: str
    known: str
    wanted: str
    unit: str
    values: list  # what was measured
    least: float = None  # that is wanted of all of them


PRODUCT = re.compile(r'(\w+) ([\dx ]+), (\d+) tokens: (\w+), \d+ blocks, splits of (\d+)$')
ATTENTION = re.compile(r'(\w+), (\d+) x (\d+) tokens after (\d+), (\d+) / (\d+) heads of (\d+)(, wgmma)?$')

LATENT_DIM = 576  # keys of latent attention, in which the values lie


def products_of(records):
    best = {}
    for record in records:
        match = PRODUCT.match(record.get('item', ''))
        if not match or record.get('value') is None:
            continue
        kind, shape, n_tokens, kernel, split = match.groups()
        n_cols = int(shape.split(' x ')[-1])
        product = Product(kind, shape, int(n_tokens), kernel, int(split) < n_cols, record['unit'], record['value'])
        key = kind, shape, n_tokens, record['unit']
        if 'apart' not in record['unit'] and (key not in best or best[key].value < product.value):
            best[key] = product
    return list(best.values())


def attention_of(records, unit):
    """(type, heads a KV head, head size, MB of keys and values, tokens at once, value)"""
    best = {}
    for record in records:
        match = ATTENTION.match(record.get('item', ''))
        if match and record.get('unit') == unit and record.get('value') is not None:
            best[match.groups()[:7]] = max(record['value'], best.get(match.groups()[:7], 0))
    for (kind, *numbers), value in best.items():
        n_sequences, n_rows, past, heads, kv_heads, dim = map(int, numbers)
        bytes_each = {'f16': 2, 'q8_0': 1 + 2 / 32}[kind]
        halves = 1 if dim == LATENT_DIM else 2
        megabytes = n_sequences * (past + n_rows) * kv_heads * dim * halves * bytes_each / 1e6
        yield kind, heads // kv_heads, dim, megabytes, n_rows, value


def model_rows(records):
    """Of each made model: one token's share of reading, of the faster family."""
    for name, size, known, least in (('BF16', '1B', '78% (persistent kernel, H100)', 72), ('BF16', '8B', '131 tokens/s (H100)', 78),
                                     ('Q8_0', '8B', '227 tokens/s (fp8, H100)', 70), ('Q4_K', '8B', '255 tokens/s (int4, H100)', 60)):
        values = [record['value'] for record in records
                  if re.match(rf'{size} of {name}\b.* on the GPU: decode of 1 after', record.get('item', ''))
                  and record.get('unit') == '% of reading the weights' and record.get('value') is not None]
        note = ', first 4 layers' if size == '8B' else ''
        yield Row(f'{size} {name}{note}, batch 1', known, f'≥ {least}%', '% of reading', [max(values)] if values else [], least)


def rows_of(records):
    products = products_of(records)

    def chosen(unit, keep):
        return [product.value for product in products if product.unit == unit and keep(product)]

    rows = []
    known = {2048: '', 4096: 'cuBLAS 716, best open 763 TFLOP/s', 8192: 'cuBLAS 795, best open 808 TFLOP/s'}
    for n in known:
        square = f'{n} x {n}'
        rows.append(Row(f'bf16 product {n}³', known[n], '', 'TFLOP/s',
                        chosen('TFLOP/s', lambda p: (p.type, p.shape, p.n_tokens) == ('BF16', square, n))))
        rows.append(Row(f'bf16 product {n}³', 'cuBLAS 100%', '≥ 97%', "% of cuBLAS's speed",
                        chosen("% of cuBLAS's speed", lambda p: (p.type, p.shape, p.n_tokens) == ('BF16', square, n)), 97))
    for splits, least in ((False, 97), (True, 90)):
        rows.append(Row(f'bf16 projections of 1B, 8B, 70B, 512 to 8,192 rows, columns {"split" if splits else "whole"}',
                        'cuBLAS 100%', f'≥ {least}%', "% of cuBLAS's speed",
                        chosen("% of cuBLAS's speed", lambda p: p.n_tokens >= 512 and p.splits == splits), least))
    for kind in ('BF16', 'Q8_0', 'Q4_K', 'FP8_FP8'):
        for name, low, high, least in (('at least 64 MB', 64, 1e9, 85), ('16 to 64 MB', 16, 64, 70)):
            rows.append(Row(f'{kind} product, 1 to 64 rows, {name} of weights', '40–68% (bf16), Marlin 2.2 × fp16', f'≥ {least}%',
                            '% of reading', chosen('% of reading', lambda p: p.type == kind and low <= p.megabytes < high), least))
    for name, low, high, least in (('less than 7,168', 0, 7168, 1100), ('at least 7,168', 7168, 1e9, 1300)):
        rows.append(Row(f'fp8 e4m3 product, scales of 128, 2,048 rows and more, k {name}', 'DeepGEMM 1,358–1,550 TFLOP/s at its best shapes',
                        f'≥ {least:,}', 'TFLOP/s',
                        chosen('TFLOP/s', lambda p: p.type == 'FP8_FP8' and p.n_tokens >= 2048 and low <= p.n_cols < high), least))
    for dim in (128, 64):
        rows.append(Row(f'attention, prompt of 8,192, causal, heads of {dim}', 'FlashAttention-3 550–630 TFLOP/s' if dim == 128 else '',
                        '≥ 550' if dim == 128 else '', 'TFLOP/s',
                        [v for kind, _, d, _, n, v in attention_of(records, 'TFLOP/s') if (kind, d, n) == ('f16', dim, 8192)],
                        550 if dim == 128 else None))
    for kind in ('f16', 'q8_0'):
        for name, low, high, least in (('at least 256 MB', 256, 1e9, 85), ('32 to 256 MB', 32, 256, 60)):
            least = 60 if kind == 'q8_0' else least
            rows.append(Row(f'attention, one token, {kind}, {name} of keys and values', 'FlashMLA 90%, FlashAttention paged 54%', f'≥ {least}%',
                            '% of reading', [v for k, _, d, mb, n, v in attention_of(records, '% of reading')
                                             if k == kind and n == 1 and low <= mb < high and d != LATENT_DIM], least))
    for heads in (16, 128):
        for unit, known in (('% of reading', 'FlashMLA 90%'), ('TFLOP/s', '')):
            name = 'one token' if unit == '% of reading' else 'prompt of 2,048'
            rows.append(Row(f'latent attention (512 + 64), {name}, {heads} heads', known, '', unit,
                            [v for _, h, d, _, _, v in attention_of(records, unit) if (h, d) == (heads, LATENT_DIM)]))
    return rows + list(model_rows(records))


def number(value):
    return f'{value:.0f}' if value >= 10 else f'{value:.2g}'


def reached(row):
    if not row.values:
        return 'not measured'
    low, high = number(min(row.values)), number(max(row.values))
    return low if low == high else f'{low}–{high}, median {number(median(row.values))}'


def verdict(row):
    if row.least is None or not row.values:
        return ''
    return 'yes' if min(row.values) >= row.least else f'{sum(value >= row.least for value in row.values)} of {len(row.values)}'


def machine_of(records):
    texts = {record['item']: record.get('text', record.get('value')) for record in records if 'item' in record and record['section'] in ('machine', 'device')}
    emulated = ' EMULATED: the figures say nothing.' if texts.get('emulated') == 'yes' else ''
    return (f'{texts.get("name", "?")}, driver of CUDA {texts.get("newest CUDA of the driver", "?")}'
            + (f' ({texts["nvidia-smi"]})' if 'nvidia-smi' in texts else '') + f', {texts.get("date", "?")}.{emulated}')


def markdown(records, rows):
    lines = [machine_of(records), '', '| work | best known | wanted | reached | unit | all as wanted |', '|---|---|---|---|---|---|']
    lines += [f'| {row.work} | {row.known} | {row.wanted} | {reached(row)} | {row.unit} | {verdict(row)} |' for row in rows]
    return '\n'.join(lines) + '\n'


WIDTH, LEFT, RIGHT, TOP, STEP = 980, 470, 90, 64, 22
STYLE = '''
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 15px; font-weight: 600 } .soft { fill: #59636e }
.end { text-anchor: end } .bar { fill: #2f81d0 } .wanted { stroke: #d9822b; stroke-width: 2 } .range { stroke: #1f2328 } .page { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .soft { fill: #9198a1 } .bar { fill: #4493f8 } .wanted { stroke: #e3993f }
  .range { stroke: #e6edf3 } .page { fill: #0d1117 } }'''


def chart(records, rows):
    """Bars are medians, lines across them the least to the most, upright marks what is wanted."""
    rows = [row for row in rows if row.values]
    most = {unit: 1.15 * max(max(row.values) for row in rows if row.unit == unit) for unit in {row.unit for row in rows}}
    for row in rows:
        if row.unit.startswith('%'):
            most[row.unit] = max(most[row.unit], 110)
    height = TOP + STEP * len(rows) + 16
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><title>Speeds of the CUDA backend</title>'
           f'<style>{STYLE}</style><rect class="page" width="100%" height="100%"/>',
           '<text class="title" x="16" y="26">Speeds of the CUDA backend</text>',
           f'<text class="soft" x="16" y="46">{escape(machine_of(records))}</text>']
    for i, row in enumerate(rows):
        y, scale = TOP + STEP * i, (WIDTH - LEFT - RIGHT) / most[row.unit]
        end = LEFT + median(row.values) * scale
        out.append(f'<text class="end" x="{LEFT - 10}" y="{y + 12}">{escape(row.work)}</text>'
                   f'<rect class="bar" x="{LEFT}" y="{y + 1}" width="{end - LEFT:.1f}" height="14"/>'
                   f'<line class="range" x1="{LEFT + min(row.values) * scale:.1f}" x2="{LEFT + max(row.values) * scale:.1f}" y1="{y + 8}" y2="{y + 8}"/>'
                   f'<text x="{LEFT + max(row.values) * scale + 8:.1f}" y="{y + 12}">{number(median(row.values))}'
                   f'<tspan class="soft"> {escape(row.unit)}</tspan></text>')
        if row.least is not None:
            x = LEFT + row.least * scale
            out.append(f'<line class="wanted" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 1}" y2="{y + 17}"/>')
    return '\n'.join(out + ['</svg>']) + '\n'


def main():
    source, table, drawing = (pathlib.Path(path) for path in sys.argv[1:4])
    records = json.loads(source.read_text())
    rows = rows_of(records)
    table.write_text(markdown(records, rows))
    drawing.write_text(chart(records, rows))


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main()
