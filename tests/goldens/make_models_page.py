#!/usr/bin/env python3
"""Writes docs/models.md: every family with what the golden tests found of it.

usage: make_models_page.py BUILD       a build in which `meson test --suite golden --suite gpu` has run
       make_models_page.py --check     only tells whether the page has every family that goldens are of

Reads what the tests printed (BUILD/meson-logs/testlog.json): highest difference from Hugging Face transformers with the
reference kernels, mean divergence with this machine's and with the emulated GPU's. What a golden is a model of, it says
itself: model_type of a folder's config.json, general.architecture of a GGUF file; goldens of one name in both forms
tell which model_type goes with which architecture. model_families.json has what no test prints: what models of a family
are published with.
"""

import collections
import json
import math
import pathlib
import re
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / 'tests' / 'goldens' / 'data'
NUMBER = r'([\d.]+(?:e[+-]?\d+)?|inf|nan)'
LINE = re.compile(rf'^(\S+?),? .*?(?:highest difference|within) {NUMBER}(?:.*mean divergence {NUMBER})?', re.M)


def gguf_architecture(path):
    """The string value of the key general.architecture, which is among the first of a file."""
    head = path.read_bytes()[:65536]
    key = b'general.architecture'
    at = head.find(struct.pack('<Q', len(key)) + key)
    if at < 0:
        return None
    at += 8 + len(key) + 4  # behind the kind
    size, = struct.unpack_from('<Q', head, at)
    return head[at + 8:at + 8 + size].decode()


def goldens():
    """(name, is a folder) -> model_type or architecture"""
    found = {}
    for path in sorted(DATA.rglob('config.json')):
        found[path.parent.name, True] = json.loads(path.read_text()).get('model_type')
    for path in sorted(DATA.rglob('*.gguf')):
        found[path.stem, False] = gguf_architecture(path)
    return found


class Found:
    """Of a family in one form."""

    def __init__(self):
        self.names = set()
        self.difference = self.divergence = self.device = math.nan

    def add(self, test, name, difference, divergence):
        self.names.add(name)
        if 'gpu' in test:
            self.device = largest(self.device, divergence if divergence is not None else difference)
        elif 'reference' in test:
            self.difference = largest(self.difference, difference)
        else:
            self.divergence = largest(self.divergence, divergence if divergence is not None else difference)


def largest(a, b):
    return b if math.isnan(a) else max(a, b)


def results(build, families):
    """(family, is a folder) -> Found"""
    found = collections.defaultdict(Found)
    for line in (build / 'meson-logs' / 'testlog.json').read_text().splitlines():
        test = json.loads(line)
        title = test['name'].split(' / ')[-1]
        if 'golden' not in title and 'encoders' not in title:
            continue
        if test['result'] != 'OK':
            sys.exit(f'{title}: {test["result"]}')
        for name, difference, divergence in LINE.findall(re.sub(r'.* with KV of f16\n', '', test.get('stdout') or '')):
            folder = not name.endswith('.gguf') and ((name, False) not in families or '-hf' in title
                                                     or 'sources' in title)
            name = name.removesuffix('.gguf')
            family = families.get((name, folder))
            if family:
                found[family, folder].add(title, name, float(difference), float(divergence) if divergence else None)
    return found


def cell(number):
    return '' if math.isnan(number) else f'{number:.0e}'


def page(found, families):
    published = json.loads((pathlib.Path(__file__).parent / 'model_families.json').read_text())
    pairs = collections.defaultdict(set)  # architecture -> model_types
    for (name, folder), family in families.items():
        if folder and (name, False) in families:
            pairs[families[name, False]].add(family)
    rows = {}
    for family, folder in found:
        if folder:
            architectures = {a for a, types in pairs.items() if family in types}
            rows[family] = architectures or {family}
    for family, folder in found:
        if not folder and not any(family in architectures for architectures in rows.values()):
            rows[family] = {family}
    nothing = Found()
    text = ['# Models', '']
    text += ['Made by `tests/goldens/make_models_page.py` from the tests\' own results; a family is a line. **Folder** '
             'and **GGUF**: how many random models of it are compared with Hugging Face transformers, every position, '
             'and the largest difference of a number with the reference kernels (the bound is 2e-3). **CPU**: the '
             'largest mean divergence, in nats, with the fastest kernels of the machine that ran the tests; for models '
             'that give hidden states, their largest difference. **CUDA**: the same on the emulated GPU, *unverified* '
             'on a real one. Tokenizers and templates are what models of the family are published with.', '']
    text += ['| family | GGUF architecture | folder | GGUF | CPU | CUDA | tokenizer | template |', '|' + '---|' * 8]
    for family in sorted(rows):
        architecture = sorted(rows[family])
        forms = [found.get((family, True), nothing)] + [found.get((a, False), nothing) for a in architecture]
        folder, files = forms[0], forms[1:]
        count, worst = sum(len(f.names) for f in files), math.nan
        for f in files:
            worst = f.difference if math.isnan(worst) else largest(worst, f.difference) if not math.isnan(
                f.difference) else worst
        fast = [f.divergence for f in forms if not math.isnan(f.divergence)]
        device = [f.device for f in forms if not math.isnan(f.device)]
        about = published.get(family) or published.get(architecture[0]) or {}
        text.append('| ' + ' | '.join([
            f'`{family}`', ', '.join(f'`{a}`' for a in architecture if count),
            f'{len(folder.names)}: {cell(folder.difference)}' if folder.names else '',
            f'{count}: {cell(worst)}' if count else '', cell(max(fast, default=math.nan)),
            cell(max(device, default=math.nan)), about.get('tokenizer', ''), about.get('template', '')]) + ' |')
    return '\n'.join(text) + '\n'


def check(families):
    text = (ROOT / 'docs' / 'models.md').read_text()
    missing = sorted({family for family in families.values() if family and f'`{family}`' not in text})
    if missing:
        sys.exit(f'docs/models.md lacks {", ".join(missing)}: make_models_page.py')


def main():
    families = goldens()
    if sys.argv[1] == '--check':
        check(families)
        return
    found = results(pathlib.Path(sys.argv[1]), families)
    missing = sorted({family for family in families.values() if family} - {family for family, _ in found})
    if missing:
        sys.exit(f'no result of {", ".join(missing)}')
    (ROOT / 'docs' / 'models.md').write_text(page(found, families))


if __name__ == '__main__':
    main()
