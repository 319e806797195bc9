"""What the tests beside this file share: the package of this checkout with the library of a build, and numpy.

usage of each: test_NAME.py BUILD [TEST...]
"""
import contextlib
import fcntl
import gc
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
PACKAGE = ROOT / "examples/python"
SMALL = ROOT / "tests/goldens/data/small"
LLAMA = SMALL / "llama-gqa.gguf"
LIBRARY = BUILD / "lib/libtransformer.so.0"
PACKAGES = BUILD / "python-packages"  # what the tests install, for all of them
SKIPPED = 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def install(*packages):
    """From PyPI to where only these tests look. False if that can't be."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with open(PACKAGES / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run at the same time
        missing = [name for name in packages if not (PACKAGES / name).exists()]
        if not missing:
            return True
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade",
                   "--root-user-action=ignore", "--target", str(PACKAGES), *missing]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            return subprocess.run(command, capture_output=True, timeout=300).returncode == 0
        return False


def why_not():
    """Why the package can't be used here; None where it can be imported now, in child processes too."""
    if not LIBRARY.exists():
        return f"{BUILD} has no lib/{LIBRARY.name}"
    undefined = subprocess.run(["nm", "-D", "--undefined-only", str(LIBRARY)], capture_output=True).stdout
    if any(name in undefined for name in (b"__asan_", b"__tsan_", b"__ubsan_")):
        return "the library is built with a sanitizer, whose run time Python doesn't have"
    try:
        import numpy  # noqa: F401
    except ImportError:
        if not install("numpy"):
            return "numpy is not installed and can't be downloaded"
    paths = [str(PACKAGE / "src"), str(PACKAGES)]
    sys.path[1:1] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(paths + [p for p in [os.environ.get("PYTHONPATH")] if p])
    os.environ["LIBTRANSFORMER_LIBRARY"] = str(LIBRARY)
    return None


def prepare():
    """The package can be imported afterwards, or the test is skipped."""
    reason = why_not()
    if reason:
        skip(reason)


def python(source, *arguments, timeout=120, **keywords):
    """A child that runs this source."""
    return subprocess.run([sys.executable, "-c", source, *map(str, arguments)], capture_output=True, timeout=timeout,
                          **keywords)


def resident_bytes():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
