#!/bin/sh
# Compiles kernels and keeps what the compiler says of each (registers, stack frames, spills, lost performance) beside
# OUT, as NAME.ptxas; tests/gpu/compiler_gate.py reads it. Warnings and errors are shown.
# usage: compile.sh OUT NVCC ARGUMENT...
set -u
out=$1
shift
report=${out%.*}.ptxas
"$@" -Xptxas -v -o "$out" 2>"$report.part"
result=$?
if [ $result != 0 ]; then
    cat "$report.part" >&2
    rm -f "$report.part" "$out"
    exit $result
fi
grep -v -E '^$|^ptxas info|bytes stack frame' "$report.part" >&2
mv "$report.part" "$report"
