#!/bin/sh
# Writes assembler that puts the kernels' code into the library as read-only data (cuda/image.h), as many bytes as the
# compiler made and no code that runs.
# usage: embed.sh OUT TOOLKIT ARCHS N-HOPPER [FATBIN...]
#   TOOLKIT   1000 * major + 10 * minor of the CUDA that made them
#   N-HOPPER  how many of the last ones are for sm_90a alone
set -eu
out=$1 toolkit=$2 archs=$3 n_hopper=$4
shift 4
quoted() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
symbol() { # NAME: visible inside the library only
    printf '    .globl %s\n    .hidden %s\n    .type %s, %%object\n%s:\n' "$1" "$1" "$1" "$1"
}
{
    printf '    .section .rodata\n'
    n=0
    for file in "$@"; do
        printf '    .balign 64\n.Lbegin%d:\n    .incbin "%s"\n.Lend%d:\n' $n "$(quoted "$(readlink -f "$file")")" $n
        n=$((n + 1))
    done
    printf '    .balign 4\n'
    symbol image_n_parts
    printf '    .long %d\n    .size image_n_parts, 4\n' $n
    symbol image_n_hopper
    printf '    .long %d\n    .size image_n_hopper, 4\n' "$n_hopper"
    symbol image_toolkit
    printf '    .long %d\n    .size image_toolkit, 4\n' "$toolkit"
    symbol image_archs
    printf '    .asciz "%s"\n    .size image_archs, . - image_archs\n' "$(quoted "$archs")"
    # Addresses: read-only once the loader has relocated them.
    printf '    .section .data.rel.ro.local, "aw", %%progbits\n    .balign 8\n'
    symbol image_parts
    i=0
    while [ $i -lt $n ]; do
        printf '    .quad .Lbegin%d, .Lend%d\n' $i $i
        i=$((i + 1))
    done
    printf '    .quad 0, 0\n    .size image_parts, . - image_parts\n'
    printf '    .section .note.GNU-stack, "", %%progbits\n'
} >"$out"
