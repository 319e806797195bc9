#!/bin/sh
# Makes libtransformer.a: one object whose internals are local, so that a host may have names of its own.
# usage: archive.sh OUT OBJCOPY AR INPUT LINKER... -- [LIBRARY...]
#   LIBRARY  -lname of an archive that goes in too, its names made local as well
set -eu
out=$1 objcopy=$2 ar=$3 input=$4
shift 4
linker=
while [ "$1" != -- ]; do
    linker="$linker $1"
    shift
done
shift
rm -f "$out" "$out.o"
$linker -o "$out.o" -Wl,--whole-archive "$input" -Wl,--no-whole-archive -Wl,-Bstatic "$@"
$objcopy --localize-hidden "$out.o"
$objcopy --wildcard --keep-global-symbol='transformer_*' "$out.o"
$ar rcs "$out" "$out.o"
rm -f "$out.o"
