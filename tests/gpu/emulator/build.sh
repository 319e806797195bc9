#!/bin/sh
# The emulator with kernels of one's choice, without meson: what one wants while writing them.
#
#     sh tests/gpu/emulator/build.sh FOLDER cuda/kernels/gemm/gemm_bf16.cu ...
#     LD_LIBRARY_PATH=FOLDER FOLDER/test_gemm
#
# makes FOLDER/libcuda.so.1; with TEST=tests/gpu/test_gemm.c (and more sources) also FOLDER/test_gemm.
# What is newer than its object is compiled, and everything after a change of a header.
set -e
folder=$1
shift
root=$(cd "$(dirname "$0")/../../.." && pwd)
here=$root/tests/gpu/emulator
mkdir -p "$folder"
flags="-O2 -g1 -fPIC -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Wno-unknown-pragmas -Wno-unused-function
    -I$root -I$root/lib -I$root/include -I$here"
objects=
newest=$(find "$here" "$root/cuda" "$root/lib/quant" -name '*.h' -o -name '*.cuh' | xargs ls -t | head -1)
for source in "$here"/*.cpp "$here"/*.cu "$@"; do
    object=$folder/$(basename "$source" | tr . _).o
    objects="$objects $object"
    { [ "$object" -nt "$source" ] && [ "$object" -nt "$newest" ]; } || ${CXX:-g++} $flags -std=c++17 -x c++ -c "$source" -o "$object"
done
${CXX:-g++} -shared -Wl,-soname,libcuda.so.1 -Wl,-z,defs -o "$folder/libcuda.so.1" $objects -lpthread
[ -z "$TEST" ] || ${CC:-gcc} -std=gnu11 -O2 -g1 -ffp-contract=off -Wall -Wextra -I"$root" -I"$root/lib" -I"$root/include" \
    -I"$root/tests/gpu" $TEST "$root/tests/gpu/gpu_test.c" "$root/cuda/driver.c" "$root/lib/base/status.c" \
    "$root/lib/base/text_format.c" -o "$folder/$(basename "${TEST%%.c*}")" -lm -ldl
