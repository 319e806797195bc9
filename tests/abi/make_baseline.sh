#!/bin/sh
# Makes the ABI baseline of this minor release from a library built with -g: the public headers' view of it.
# Once a release has a date in CHANGELOG.md its baseline is never made again (docs/abi.md).
# usage: make_baseline.sh LIBRARY VERSION        e.g. make_baseline.sh build/lib/libtransformer.so 0.1
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$1 version=$2
if grep -Eq "^## \[$version\.0\] - [0-9]{4}-" "$here/../../CHANGELOG.md"; then
    echo "$version is released: its baseline stays as it is" >&2
    exit 1
fi
abidw --headers-dir "$here/../../include" --drop-private-types --exported-interfaces-only --drop-undefined-syms \
    --no-corpus-path --no-comp-dir-path --no-elf-needed --no-parameter-names \
    --out-file "$here/baseline-$version.xml" "$library"
# Where the sources lay is nobody's business.
root=$(cd "$here/../.." && pwd)
sed -i "s|filepath='\(\.\./\)*|filepath='|; s|filepath='$root/|filepath='|" "$here/baseline-$version.xml"
cp "$here"/../../include/*.h "$here/client_$(echo "$version" | tr . _)/include/"
