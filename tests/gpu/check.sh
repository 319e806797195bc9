#!/bin/sh
# Checks and measures libtransformer on a machine with a GPU and little more than its driver: no network, nothing is
# installed. tests/gpu/pack.sh makes the folder that this runs in from a build.
#
#     sh check.sh [--emulated FOLDER] [SECTION...]       without sections, all of them, within 10 minutes
#
# SECTION is a number or a name: 1 device, 2 law, 3 bandwidth, 4 kernels, 5 goldens, 6 speed, 7 faults, 8 sanitizer.
# Every program is a process of its own with a time limit. What is found is written as it comes to $OUT, or gpu-results:
#     results.json   one array of records       table.txt   the same to be read       log.txt   what the programs said
# MOST_SECONDS, 590 if it is not set, bounds the whole; SEED repeats a run's random inputs.
# --emulated FOLDER: with the libcuda.so.1 of the emulator that lies there; only the script is tested by that.
# TEST_MODELS, a folder, adds its *.gguf to section 5. Models of random weights in the shapes of larger ones are made in
# memory: section 6 takes up to 8 GB of it.
# The exit code is 0 if nothing failed.
set -u
cd "$(dirname "$0")" || exit 1
here=$(pwd)
out=${OUT:-gpu-results}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
seed=${SEED:-$(date +%s)}

emulated=
if [ "${1:-}" = --emulated ]; then
    emulated=$(cd "$2" && pwd) || exit 1
    shift 2
fi
export LD_LIBRARY_PATH="${emulated:+$emulated:}$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export GPU_RESULTS="$out/records.jsonl"
goldens=$here/goldens
[ ! -e goldens.txt ] || goldens=$(cat goldens.txt)
export TEST_GOLDENS="$goldens" TEST_DEVICE=1 GPU_TEST_KERNELS="$here/kernels"
PATH=$PATH:/usr/local/cuda/bin:/opt/cuda/bin
log=$out/log.txt
rm -f "$out/results.json" "$out/table.txt"
: >"$GPU_RESULTS"
: >"$log"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
: >"$work/programs"

# Section, seconds at most, program of bin/ and its arguments; SEED stands for a fresh one, HOPPER before a program for
# TRANSFORMER_CUDA_WARPGROUPS=1: the kernels that use wgmma, where the device has them; FP8 for TRANSFORMER_CUDA_FP8 as
# well: e4m3 weights are multiplied with e4m3 activations; PERSISTENT for TRANSFORMER_CUDA_PERSISTENT=1: decode steps as
# one launch. The one list of them, and their order: what is right before what is fast, so that what time does not
# suffice for matters least.
programs() {
    if [ -n "${CHECK_PROGRAMS:-}" ]; then
        cat "$CHECK_PROGRAMS"
        return
    fi
    cat <<'END'
device      20 gpu_ceilings device
device      20 gpu_names
law         30 gpu_law SEED
law         30 gpu_law_chains SEED
kernels     20 gpu_emulator SEED
kernels     20 gpu_hopper SEED
kernels     90 gpu_gemm SEED
kernels     60 gpu_gemm_hopper SEED
kernels     90 gpu_attention SEED
kernels     60 gpu_attention_hopper SEED
kernels     30 gpu_rope_store SEED
kernels     30 gpu_elementwise SEED
kernels     30 gpu_adapter SEED
kernels     30 gpu_pool_experts SEED
kernels     30 gpu_sampling_device SEED
kernels     30 gpu_repeats SEED
kernels     30 HOPPER gpu_repeats SEED
goldens     60 test_golden small
goldens     60 HOPPER test_golden small
goldens     30 FP8 test_golden fp8 activations
goldens     60 PERSISTENT test_golden small
goldens     45 gpu_models small SEED
goldens     90 test_golden real
goldens     90 gpu_models real SEED
goldens     60 gpu_adapted SEED
goldens     60 HOPPER gpu_adapted SEED
faults      50 gpu_rounds
bandwidth   40 gpu_ceilings product
bandwidth   60 gpu_ceilings read
speed       60 gpu_models made Q4_K 1B SEED
speed       60 PERSISTENT gpu_models made Q4_K 1B SEED
speed       60 gpu_speed SEED
speed       60 HOPPER gpu_speed SEED
speed       45 HOPPER gpu_speed fp8 SEED
speed       60 HOPPER gpu_models made BF16 1B SEED
speed       45 gpu_speed_kernels attention SEED
speed       45 HOPPER gpu_speed_kernels attention SEED
speed       20 gpu_speed_kernels elementwise SEED
speed       60 gpu_models made BF16 1B SEED
speed       60 PERSISTENT gpu_models made BF16 1B SEED
speed       60 gpu_models made Q4_K 8B SEED
speed       60 gpu_models made Q8_0 1B SEED
speed       60 gpu_models made BF16 8B SEED
speed       60 gpu_models made Q8_0 8B SEED
bandwidth   60 gpu_speed splits
bandwidth   60 HOPPER gpu_speed splits
sanitizer   60 SANITIZER memcheck gpu_gemm SEED
sanitizer   60 SANITIZER racecheck gpu_attention SEED
END
}

n_failed=0
begun=$(date +%s) most_seconds=${MOST_SECONDS:-590}
quoted() { printf '%s' "$1" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g'; }
# The records so far as one array, and as a table.
flush() {
    {
        printf '[\n'
        sed '$!s/$/,/' "$GPU_RESULTS"
        printf ']\n'
    } >"$out/results.json"
    {
        [ -z "$emulated" ] || printf 'EMULATED: the figures say nothing\n'
        printf '%-12s %-40s %-9s %s\n' section program result seconds
        cat "$work/programs"
        grep -E '^(device|law|ceilings|models|speed|faults) {2,}' "$log"
    } >"$out/table.txt"
}
record() { # SECTION PROGRAM RESULT SECONDS REASON
    printf '{"section": "%s", "program": "%s", "result": "%s", "seconds": %s, "reason": "%s"}\n' \
        "$1" "$(quoted "$2")" "$3" "$4" "$(quoted "$5")" >>"$GPU_RESULTS"
    printf '%-12s %-40s %-9s %s %s\n' "$1" "$2" "$3" "$4" "$5" >>"$work/programs"
    printf '%-12s %-40s %-9s %s s %s\n' "$1" "$2" "$3" "$4" "$5"
    flush
}

# Programs write to one log; what the last of them wrote begins at log_at.
begin_log() { # NAME
    printf '\n==== %s\n' "$1" >>"$log"
    log_at=$(wc -c <"$log")
}
said() { tail -c "+$((log_at + 1))" "$log"; }

run() { # SECTION LIMIT PROGRAM ARGUMENT...
    section=$1 limit=$2
    shift 2
    around= variables= with=
    if [ "$1" = HOPPER ]; then
        variables=TRANSFORMER_CUDA_WARPGROUPS=1 with=', wgmma'
        shift
    elif [ "$1" = FP8 ]; then
        variables='TRANSFORMER_CUDA_WARPGROUPS=1 TRANSFORMER_CUDA_FP8=activations' with=', wgmma of e4m3'
        shift
    elif [ "$1" = PERSISTENT ]; then
        variables='TRANSFORMER_CUDA_PERSISTENT=1 EMULATED_MULTIPROCESSORS=2' with=', persistent'
        shift
    fi
    what=$(printf '%s ' "$@" | sed 's/SEED/'"$seed"'/; s/ $//')$with
    if [ "$1" = SANITIZER ]; then
        if ! command -v compute-sanitizer >/dev/null; then
            record "$section" "$what" skipped 0 "there is no compute-sanitizer"
            return
        fi
        around="compute-sanitizer --tool $2 --error-exitcode 9"
        shift 2
    fi
    program=$1
    shift
    left=$((begun + most_seconds - $(date +%s)))
    if [ "$left" -lt 3 ]; then
        record "$section" "$what" skipped 0 "$most_seconds s are over"
        return
    fi
    # The emulator is slow, and machines that run it are busy.
    [ -z "$emulated" ] || [ -n "${CHECK_PROGRAMS:-}" ] || limit=$((limit * 5))
    [ "$limit" -le "$left" ] || limit=$left
    if [ ! -x "bin/$program" ]; then
        record "$section" "$what" skipped 0 "the folder has no $program"
        return
    fi
    begin=$(date +%s)
    begin_log "$section $what"
    # shellcheck disable=SC2086,SC2046 # words of a command
    env $variables timeout -k 5 "$limit" $line_by_line $around "bin/$program" $(printf '%s ' "$@" | sed "s/SEED/$seed/") >>"$log" 2>&1
    code=$?
    seconds=$(($(date +%s) - begin))
    case $code in
    0) record "$section" "$what" passed $seconds "" ;;
    77) record "$section" "$what" skipped $seconds "$(said | grep -m 1 -o 'skipped:.*' | cut -c10-)" ;;
    124 | 137)
        record "$section" "$what" timeout $seconds "after $limit s"
        n_failed=$((n_failed + 1))
        ;;
    *)
        record "$section" "$what" failed $seconds "exit code $code: $(said | grep -v '^ *$' | tail -n 1)"
        n_failed=$((n_failed + 1))
        ;;
    esac
}

# A line of a log is there when it was printed, even if the program dies.
line_by_line=
command -v stdbuf >/dev/null && line_by_line='stdbuf -oL'

machine() {
    printf '{"section": "machine", "item": "date", "text": "%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    printf '{"section": "machine", "item": "kernel", "text": "%s"}\n' "$(quoted "$(uname -srm)")"
    printf '{"section": "machine", "item": "seed", "text": "%s"}\n' "$seed"
    printf '{"section": "machine", "item": "emulated", "text": "%s"}\n' "$([ -n "$emulated" ] && echo yes || echo no)"
    [ ! -e version.txt ] || printf '{"section": "machine", "item": "library", "text": "%s"}\n' "$(quoted "$(cat version.txt)")"
    if command -v nvidia-smi >/dev/null; then
        said=$(timeout 20 nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit \
            --format=csv,noheader 2>&1)
        printf '{"section": "machine", "item": "nvidia-smi", "text": "%s"}\n' "$(quoted "$said")"
    fi
}
# With a compiler on the machine the probes are built by it too: what it gives must be loadable.
compile() {
    command -v nvcc >/dev/null && [ -d source ] || return 0
    printf '{"section": "machine", "item": "nvcc", "text": "%s"}\n' "$(quoted "$(nvcc --version | tail -n 1)")" >>"$GPU_RESULTS"
    begin=$(date +%s)
    begin_log nvcc
    if timeout 60 nvcc -fatbin '-gencode=arch=compute_80,code=[compute_80,sm_80]' -O3 -std=c++17 -fmad=false -Isource -Isource/lib -Isource/include \
        -o "$work/probe.fatbin" source/tests/gpu/probe.cu >>"$log" 2>&1; then
        record device nvcc passed $(($(date +%s) - begin)) ""
    else
        record device nvcc failed $(($(date +%s) - begin)) "$(said | tail -n 1)"
        n_failed=$((n_failed + 1))
    fi
}

names='device law bandwidth kernels goldens speed faults sanitizer'
wanted=
for section in "$@"; do
    number=0
    for name in $names; do
        number=$((number + 1))
        if [ "$section" = "$number" ] || [ "$section" = "$name" ]; then wanted="$wanted $name"; fi
    done
    case $section in
    [1-8] | device | law | bandwidth | kernels | goldens | speed | faults | sanitizer) ;;
    *)
        echo "there is no section $section: $names" >&2
        exit 2
        ;;
    esac
done
machine >>"$GPU_RESULTS"
flush
wanted=" ${wanted:-$names} "
case $wanted in *" device "*) [ -n "$emulated" ] || compile ;; esac
programs >"$work/list"
while read -r section limit command <&3; do
    # shellcheck disable=SC2086 # words of a command
    case $wanted in *" $section "*) run "$section" "$limit" $command ;; esac
done 3<"$work/list"
flush
echo "$n_failed failed; $out/results.json, $out/table.txt"
[ "$n_failed" = 0 ]
