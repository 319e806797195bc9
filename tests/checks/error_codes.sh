#!/bin/sh
# docs/errors.md lists the header's error codes, and docs/debugging.md the environment variables that
# the sources read: no more, no less.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

compare() { # compare WHAT DOCUMENTED FROM_SOURCE
    if [ ! -s "$3" ]; then
        echo "$1: nothing found in the sources; this check no longer reads them right"
        failed=1
    elif ! diff "$2" "$3" >"$work/difference"; then
        echo "$1: the document (<) and the sources (>) differ:"
        cat "$work/difference"
        failed=1
    fi
}

# The enum after the typedef, comments and line breaks gone: "0 OK" a line.
{ tr '\n' ' ' <"$root/include/transformer.h" && echo; } |
    sed 's|.*typedef int32_t transformer_status; *enum {||; s|}.*||; s|/\*[^*]*\*/||g' | tr ',' '\n' |
    sed -n 's/^ *TRANSFORMER_\([A-Z_]*\) *= *\([0-9]*\) *$/\2 \1/p' >"$work/header"
sed -n 's/^| *\([0-9][0-9]*\) | \([A-Z_]*\) |.*/\1 \2/p' "$root/docs/errors.md" >"$work/errors"
compare docs/errors.md "$work/errors" "$work/header"

grep -rhoE 'environment_read\("[A-Z0-9_]+"\)' "$root/lib" "$root/cuda" --include='*.c' |
    sed 's/.*("\(.*\)")/TRANSFORMER_\1/' | sort -u >"$work/read"
# shellcheck disable=SC2016 # the backticks are the table's
sed -n 's/^| `\(TRANSFORMER_[A-Z0-9_]*\)` .*/\1/p' "$root/docs/debugging.md" | sort >"$work/variables"
compare docs/debugging.md "$work/variables" "$work/read"

exit "$failed"
