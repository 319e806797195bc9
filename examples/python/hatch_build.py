"""Puts the shared library into the wheel: LIBTRANSFORMER_LIBRARY, or built here with meson so that it needs libc alone."""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile
from typing import Any, Dict, List

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "libtransformer.so.0"
SOURCES = ("meson.build", "meson_options.txt", "LICENSE", "README.md", "CHANGELOG.md", "include", "lib", "cuda", "pkgconfig",
           "docs/notices")


class Library(BuildHookInterface):  # type: ignore[misc, unused-ignore]
    """hatchling's hook."""

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        """Before a wheel or an sdist is put together."""
        root = pathlib.Path(self.root)
        checkout = root.parent.parent
        source = root / "library" if (root / "library/meson.build").exists() else checkout
        if self.target_name == "sdist":
            for name in SOURCES:
                build_data["force_include"][str(source / name)] = f"library/{name}"
            return
        if version == "editable":
            return  # LIBTRANSFORMER_LIBRARY, or the system, has the library when it runs
        self._folder = tempfile.TemporaryDirectory(prefix="libtransformer-")
        library = os.environ.get("LIBTRANSFORMER_LIBRARY") or build(source, pathlib.Path(self._folder.name))
        build_data["force_include"][str(pathlib.Path(library).resolve())] = f"libtransformer/{NAME}"
        build_data["pure_python"] = False
        # Not manylinux: what glibc it needs is that of this machine. auditwheel repair finds it out.
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")

    def finalize(self, version: str, build_data: Dict[str, Any], artifact_path: str) -> None:
        """After it."""
        folder = getattr(self, "_folder", None)
        if folder:
            folder.cleanup()


def build(source: pathlib.Path, folder: pathlib.Path) -> str:
    """The library, stripped, in a folder."""
    if not (source / "meson.build").exists():
        raise RuntimeError(f"{source} has no sources of libtransformer: build from a checkout or an sdist, or name the "
                           "shared library by LIBTRANSFORMER_LIBRARY")
    meson = shutil.which("meson")
    if not meson:
        raise RuntimeError("meson is not installed")
    out = folder / "build"
    run(meson, "setup", str(out), str(source), "-Dprefer_static=true", "-Dtests=false", "-Dexamples=false", "--strip",
        "--prefix", str(folder / "out"), "--libdir", "lib", *words("LIBTRANSFORMER_MESON_SETUP"))
    run(meson, "compile", "-C", str(out), *words("LIBTRANSFORMER_MESON_COMPILE"))
    run(meson, "install", "-C", str(out), "--no-rebuild")
    return str(folder / "out/lib" / NAME)


def words(variable: str) -> List[str]:
    """More arguments, of a variable of the environment: "-Dcuda=disabled" of the one, "-j2" of the other."""
    return os.environ.get(variable, "").split()


def run(*command: str) -> None:
    """Fails with what the command printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(" ".join(command) + "\n" + done.stdout.decode(errors="replace"))
