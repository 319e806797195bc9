#!/bin/sh
# Builds for AArch64 and runs the kernels' tests and the small golden models under qemu, in build-test-aarch64. On
# Debian, as root, it installs the cross compiler and qemu; the two libraries go into the build folder, so that nothing
# of another architecture is installed. Exit code 77: the tools can't be had, and the last line says which.
#
# usage: sh tests/cross/aarch64.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$PWD/build-test-aarch64
sysroot=$build/sysroot log=$build/log
mkdir -p "$build" || exit 1

say() { printf '%s\n' "$*"; }
skip() {
    say "skipped: $*"
    exit 77
}

# ---- what is needed
missing=
need() { # PACKAGE COMMAND...: without the package the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
look() {
    missing=
    need gcc-aarch64-linux-gnu command -v aarch64-linux-gnu-gcc
    need libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
    need qemu-user command -v qemu-aarch64
    need meson command -v meson
    need ninja-build command -v ninja
    need pkg-config command -v pkg-config
}
look
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null 2>&1
    # shellcheck disable=SC2086 # one word for each package
    apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1
    look
fi
[ -z "$missing" ] || skip "not installed:$missing"

# apt with state of its own, for which this is an arm64 machine
foreign_apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User="$(id -un)" \
        -o Dir::State::Lists="$build/apt/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$build/apt/cache" "$@"
}
libraries() (
    mkdir -p "$build/apt/lists/partial" "$build/apt/cache/archives/partial" "$sysroot" && cd "$build/apt" &&
        foreign_apt update && foreign_apt download libpcre2-dev libpcre2-8-0 libutf8proc-dev libutf8proc2 \
            libxxhash-dev || exit 1
    for package in *.deb; do dpkg-deb -x "$package" "$sysroot" || exit 1; done
)
if [ ! -e "$sysroot/usr/include/pcre2.h" ] || [ ! -e "$sysroot/usr/include/utf8proc.h" ] || [ ! -e "$sysroot/usr/include/xxhash.h" ]; then
    libraries >"$log" 2>&1 || skip "no arm64 packages of PCRE2, utf8proc and xxhash, see $log"
fi
cat >"$build/libraries.ini" <<END
[properties]
sys_root = '$sysroot'
pkg_config_libdir = '$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig'
END

# ---- the build
if [ ! -e "$build/meson/build.ninja" ]; then
    meson setup "$build/meson" --werror -Dcuda=disabled --cross-file tests/cross/aarch64.ini --cross-file "$build/libraries.ini" \
        >"$log" 2>&1 || {
        tail -n 30 "$log"
        say "FAILED: meson setup"
        exit 1
    }
fi
ninja -C "$build/meson" >"$log" 2>&1 || {
    grep -E -A8 'error|warning|FAILED' "$log" | head -n 60
    say "FAILED: the build"
    exit 1
}

# ---- the runs
n_passed=0 n_failed=0
check() { # NAME COMMAND...
    name=$1
    shift
    if "$@"; then
        n_passed=$((n_passed + 1))
    else
        say "FAILED $name"
        n_failed=$((n_failed + 1))
    fi
}
emulate() { # PROCESSOR PROGRAM ARGUMENT...
    processor=$1 program=$build/meson/$2
    shift 2
    qemu-aarch64 -cpu "$processor" -L /usr/aarch64-linux-gnu "$program" "$@"
}
golden() { # PATH
    TRANSFORMER_CPU=$1 emulate max tests/test_golden small >"$log" 2>&1 || {
        cat "$log"
        false
    }
}
logits() { # PATH MODEL
    TRANSFORMER_CPU=$1 emulate max examples/logits --model "$2" --tokens 1,2,3,4,5,6,7,8 --all
}
same_logits() { # MODEL
    bytes=$(logits neon "$1") && dots=$(logits neon_dotprod "$1") && matrices=$(logits neon_i8mm "$1") &&
        [ -n "$bytes" ] && [ "$bytes" = "$dots" ] && [ "$dots" = "$matrices" ]
}

for seed in 1 2; do
    check "kernels, seed $seed" emulate max tests/kernels_test --seed "$seed"
done
check "kernels of a processor without sdot" emulate cortex-a53 tests/kernels_test --seed 3
check "kernels of a processor without smmla" emulate cortex-a76 tests/kernels_test --seed 4
for path in reference neon neon_dotprod neon_i8mm; do
    check "small golden models, $path" golden "$path"
done
# All paths add the same integers.
for model in tests/goldens/data/quantized/*.gguf; do
    check "$model: the same logits with sdot, with smmla and without" same_logits "$model"
done

say "$n_passed passed, $n_failed failed, 0 skipped"
[ "$n_failed" = 0 ]
