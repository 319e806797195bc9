#!/bin/sh
# Fuzzes for real: builds the library and one target with clang's libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer in
# build-fuzz/ and runs the target from its corpus; what is found lies in build-fuzz/NAME-crash-*.
#
# usage: sh tests/fuzz/live.sh NAME [SECONDS] [libFuzzer argument...]     NAME: chat gguf_head hf model options snapshot tokenizer tokenizer_json vocabulary
set -eu
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2 && exit 2; }
cd "$(dirname "$0")/../.."
name=$1 seconds=${2:-300}
shift
[ $# -eq 0 ] || shift
case $name in
gguf_head | model) corpus=tests/fuzz/corpus/gguf seeds=tests/goldens/data/small length=200000 ;;
tokenizer_json) corpus=tests/fuzz/corpus/tokenizer_json seeds='' length=20000 ;;
options) corpus=tests/fuzz/corpus/gguf seeds='' length=4096 ;;
snapshot) corpus=tests/fuzz/corpus/snapshot seeds='' length=20000 ;;
*) corpus=tests/fuzz/corpus/$name seeds='' length=4096 ;;
esac
[ -f "tests/fuzz/fuzz_$name.c" ] && [ -d "$corpus" ] || { echo "no target $name" >&2 && exit 2; }

build=build-fuzz
mkdir -p $build
sanitizers=address,undefined
[ -e $build/build.ninja ] ||
    CC=clang meson setup $build -Db_sanitize=$sanitizers -Db_lundef=false -Dbuildtype=debugoptimized -Doptimization=1 \
        -Dopenmp=disabled -Dexamples=false -Dtests=false \
        -Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" >$build/log.txt
ninja -C $build lib/libtransformer-core.a >>$build/log.txt
clang -std=c11 -g -O1 -fsanitize=$sanitizers,fuzzer -fno-sanitize-recover=all -DSOURCE_ROOT="\"$PWD\"" -Iinclude -Ilib -I. \
    "tests/fuzz/fuzz_$name.c" -Wl,--whole-archive $build/lib/libtransformer-core.a -Wl,--no-whole-archive \
    -lutf8proc -lpcre2-8 -lm -lpthread -o "$build/fuzz_$name"
mkdir -p "$build/found_$name"
# shellcheck disable=SC2086 # no seeds are no word
exec "$build/fuzz_$name" -max_total_time="$seconds" -max_len=$length -timeout=60 -rss_limit_mb=4096 \
    -artifact_prefix="$build/$name-" "$@" "$build/found_$name" "$corpus" $seeds
