#!/usr/bin/env python3
"""Runs a test of the server in a Python environment that has what it needs, made once and kept in the cache.

usage: run.py BUILD TEST [ARGUMENT...]      TEST: a file beside this one; 77 where the packages can't be had
"""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ['fastapi>=0.110', 'uvicorn>=0.27', 'pydantic>=2.6', 'prometheus-client>=0.19', 'openai>=1.40',
            'httpx>=0.27', 'numpy>=1.24', 'playwright>=1.40']
RAY = ['ray[serve]>=2.44']
SKIPPED = 77


def environment(packages):
    """The Python of a virtual environment with these packages; raises where it can't be made."""
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'libtransformer'
    name = hashlib.sha256(repr((sys.version_info[:2], packages)).encode()).hexdigest()[:12]
    folder = cache / 'environments' / f'serve-{name}'
    python, whole = folder / 'bin' / 'python', folder / 'whole'
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may begin at the same time
        if not whole.exists():
            quiet = {'check': True, 'timeout': 900, 'stdout': subprocess.DEVNULL}
            subprocess.run([sys.executable, '-m', 'venv', folder], **quiet)
            subprocess.run([python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *packages],
                           **quiet)
            whole.touch()
    return python


def main():
    build, test, *arguments = sys.argv[1:]
    needed = PACKAGES + (RAY if test.startswith('ray') else [])
    if sys.version_info < (3, 10):
        print('skipped: the server is for Python 3.10 and later')
        return SKIPPED
    try:
        python = environment(needed)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: the server's Python packages can't be installed: {error}")
        return SKIPPED
    paths = [ROOT / 'examples/serve', ROOT / 'examples/python/src', ROOT / 'tests/serve']
    os.environ.update(
        PYTHONPATH=os.pathsep.join(map(str, paths)), PYTHONDONTWRITEBYTECODE='1',
        LIBTRANSFORMER_LIBRARY=str(pathlib.Path(build).resolve() / 'lib/libtransformer.so.0'))
    return subprocess.run([python, ROOT / 'tests/serve' / test, *arguments]).returncode


if __name__ == '__main__':
    sys.exit(main())
