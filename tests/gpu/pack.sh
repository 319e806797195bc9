#!/bin/sh
# Makes the folder that check.sh runs in on a machine with a GPU: programs, the library and what it links, small goldens.
# usage: sh tests/gpu/pack.sh BUILD FOLDER [GOLDENS]     BUILD: of meson, with nvcc and tests; FOLDER must not exist yet
# GOLDENS: where they lie on that machine, in a checkout say; without it they go along.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
folder=$2 elsewhere=${3:-}
most=$((112 * 1024)) # KiB; about half of it as xz
mkdir "$folder"
mkdir "$folder/bin" "$folder/lib" "$folder/goldens" "$folder/kernels" "$folder/source"
cp "$root/tests/gpu/check.sh" "$root/tests/gpu/bench.sh" "$root/tests/gpu/bench_table.py" "$folder/"
if [ -n "$elsewhere" ]; then
    rmdir "$folder/goldens"
    printf '%s\n' "$elsewhere" >"$folder/goldens.txt"
else
    for goldens in adapters small families quantized real; do
        cp -r "$root/tests/goldens/data/$goldens" "$folder/goldens/"
    done
    mkdir -p "$folder/goldens/hf_quantized"
    cp -r "$root"/tests/goldens/data/hf_quantized/*fp8* "$folder/goldens/hf_quantized/"
fi
for program in "$build"/tests/gpu/gpu_* "$build/tests/test_golden"; do
    case $program in
    # of the emulator's driver alone
    */gpu_adapter_faults | */gpu_persistent | */gpu_devices | */gpu_contexts | */gpu_driver) continue ;;
    esac
    if [ -f "$program" ] && [ -x "$program" ]; then strip -o "$folder/bin/$(basename "$program")" "$program"; fi
done
for image in "$build"/tests/gpu/*.fatbin; do [ ! -e "$image" ] || cp "$image" "$folder/bin/"; done
for image in "$build"/cuda/*.fatbin; do [ ! -e "$image" ] || cp "$image" "$folder/kernels/"; done
# What every system has stays; the driver's library is the machine's own.
for program in "$folder"/bin/gpu_* "$build/tests/test_golden"; do ldd "$program" 2>/dev/null || true; done |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    while read -r library; do
        case $(basename "$library") in
        libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | ld-linux* | libcuda.so*) ;;
        *) strip --strip-unneeded -o "$folder/lib/$(basename "$library")" "$library" ;;
        esac
    done
# The probes' source, for a compiler that may be there.
(cd "$root" && find cuda/kernels -name 'ptx*.cuh' && printf '%s\n' tests/gpu/probe.cu tests/gpu/probe_chain.cuh \
    tests/gpu/probe_args.h) |
    while read -r file; do
        mkdir -p "$folder/source/$(dirname "$file")"
        cp "$root/$file" "$folder/source/$file"
    done
git -C "$root" describe --always --dirty >"$folder/version.txt" 2>/dev/null ||
    sed -n 's/.*VERSION_TEXT "\(.*\)"/\1/p' "$root/include/transformer_version.h" >"$folder/version.txt"
size=$(du -sk "$folder" | cut -f 1)
echo "$folder: $size KiB"
if [ "$size" -gt $most ]; then
    echo "more than $most KiB" >&2
    exit 1
fi
