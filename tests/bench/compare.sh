#!/bin/sh
# Measures libtransformer and llama.cpp in turn on the same model files and prints how they compare; docs/benchmarks.md.
#
# usage: sh tests/bench/compare.sh [--rounds N] [--threads N] [--rows LIST] [--models FOLDER] [--out FOLDER]
#   --rounds   of each row, default 5
#   --threads  of both sides, default 2
#   --rows     names or shell patterns separated by commas, as in 'smollm2-q*,batch-8'; default all
#   --models   folder of the model files, default ~/.cache/libtransformer/models; what is missing is brought or made
#   --out      folder for compare.json and compare.svg, default build-bench/compare
# PEER_PYTHON  a Python that has llama-cpp-python and numpy, or "none". By default one is made in ~/.cache/libtransformer,
#              built from source for this processor, which takes 10 to 30 minutes once
set -u
here=$PWD
cd "$(dirname "$0")/../.." || exit 1
version=0.3.36
cache=${XDG_CACHE_HOME:-${HOME:-$PWD/build-bench}/.cache}/libtransformer
build=$PWD/build-bench
rounds=5 threads=2 rows='' models=$cache/models out=$build/compare

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' tests/bench/compare.sh; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}
from_here() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$here/$1" ;; esac }
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage && exit 0 ;;
    --rounds | --threads | --rows | --models | --out) [ $# -gt 1 ] || fail "$1 needs a value" ;;
    *) usage >&2 && exit 2 ;;
    esac
    case $1 in
    --rounds) rounds=$2 ;;
    --threads) threads=$2 ;;
    --rows) rows=$2 ;;
    --models) models=$(from_here "$2") ;;
    --out) out=$(from_here "$2") ;;
    esac
    shift 2
done

wanted=$(python3 -B tests/bench/rows.py "$rows") || exit 1

# ---- ours
for program in gcc meson ninja python3; do
    command -v "$program" >/dev/null || fail "$program is missing; sh tests/run.sh installs what a build needs"
done
mkdir -p "$build" "$out" || exit 1
rm -f "$out/compare.json" "$out/compare.svg"
if [ ! -e "$build/build.ninja" ]; then
    CC=gcc CXX=g++ meson setup "$build" >"$build/setup.log" 2>&1 || fail "meson setup failed: $build/setup.log"
fi
ninja -C "$build" examples/bench examples/inspect tests/kernels_test >"$build/build.log" 2>&1 ||
    fail "the build failed: $build/build.log"

# ---- the peer
has_peer() { "$1" -c 'import llama_cpp, numpy' >/dev/null 2>&1; }
peer=${PEER_PYTHON:-$cache/peer-$version/bin/python}
case $peer in */*) peer=$(from_here "$peer") ;; esac
if [ -z "${PEER_PYTHON:-}" ] && ! has_peer "$peer"; then
    echo "building llama-cpp-python $version, which takes a while: $cache/peer-$version.log"
    mkdir -p "$cache" && {
        python3 -m venv "$cache/peer-$version" &&
            CMAKE_ARGS=-DGGML_NATIVE=ON "$peer" -m pip install --disable-pip-version-check \
                --no-binary llama-cpp-python "llama-cpp-python==$version"
    } >"$cache/peer-$version.log" 2>&1
fi
if [ "$peer" = none ]; then
    peer=
    echo "llama.cpp: absent, PEER_PYTHON says so"
elif ! has_peer "$peer"; then
    echo "llama.cpp: absent, $peer cannot import llama_cpp and numpy"
    peer=
fi

# ---- models; a row without its file says so
python3 tests/get_models.py "$models"
if [ -n "$peer" ]; then
    # shellcheck disable=SC2086 # one word for each model
    "$peer" -B tests/bench/make_models.py "$models" $wanted
fi

python3 -B tests/bench/compare.py --build "$build" --models "$models" --out "$out" --peer "$peer" \
    --rounds "$rounds" --threads "$threads" --rows "$rows" || exit 1
python3 -B tests/bench/table.py "$out/compare.json" && python3 -B tests/bench/chart.py "$out/compare.json" "$out/compare.svg"
