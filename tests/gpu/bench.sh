#!/bin/sh
# Measures what docs/gpu.md promises, in one run: products, attention and whole models, beside reading, cuBLAS and what
# is known of others. Lies in the folder that tests/gpu/pack.sh makes, beside check.sh, which runs the programs.
#
#     sh bench.sh [--emulated FOLDER]      results.json, log.txt, bench.md, bench.svg in $OUT, or gpu-results
#
# The table and the chart need python3; without it bench_table.py makes them elsewhere of results.json.
# The exit code is 0 if nothing failed.
set -u
cd "$(dirname "$0")" || exit 1
OUT=${OUT:-gpu-results}
mkdir -p "$OUT" || exit 1
OUT=$(cd "$OUT" && pwd)
export OUT
CHECK_PROGRAMS=$OUT/bench-programs
export CHECK_PROGRAMS
cat >"$CHECK_PROGRAMS" <<'END'
device      20 gpu_ceilings device
bandwidth   30 gpu_ceilings product
bandwidth   60 gpu_ceilings read
speed      120 HOPPER gpu_speed table SEED
speed       60 HOPPER gpu_speed fp8 SEED
speed       60 HOPPER gpu_speed_kernels attention SEED
speed       60 HOPPER gpu_models made BF16 1B SEED
speed       60 HOPPER gpu_models made BF16 8B SEED
speed       60 HOPPER gpu_models made Q8_0 8B SEED
speed       60 HOPPER gpu_models made Q4_K 8B SEED
speed      120 gpu_speed table SEED
speed       60 gpu_speed_kernels attention SEED
speed       60 gpu_models made BF16 1B SEED
speed       60 gpu_models made BF16 8B SEED
speed       60 gpu_models made Q8_0 8B SEED
speed       60 gpu_models made Q4_K 8B SEED
speed       60 PERSISTENT gpu_models made BF16 1B SEED
speed       60 PERSISTENT gpu_models made BF16 8B SEED
speed       60 PERSISTENT gpu_models made Q8_0 8B SEED
speed       60 PERSISTENT gpu_models made Q4_K 8B SEED
END
sh ./check.sh "$@"
code=$?
rm -f "$CHECK_PROGRAMS"
if command -v python3 >/dev/null; then
    python3 bench_table.py "$OUT/results.json" "$OUT/bench.md" "$OUT/bench.svg" && cat "$OUT/bench.md" || code=1
fi
exit $code
