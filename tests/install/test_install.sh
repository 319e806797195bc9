#!/bin/sh
# Installs into a DESTDIR and builds hosts against what lies there: by pkg-config, by CMake, with the shared
# library and with the archive.
# usage: test_install.sh MESON BUILD PREFIX LIBDIR CORE_ARCHIVE CC...
set -eu
meson=$1 build=$2 prefix=$3 libdir=$4 core=$5
shift 5
here=$(cd "$(dirname "$0")" && pwd)
work=$build/install-test
rm -rf "$work"
mkdir -p "$work"
root=$work/root
lib=$root$prefix/$libdir

$meson install -C "$build" --no-rebuild --quiet --destdir "$root"

missing=0
for file in include/transformer.h include/transformer_version.h "$libdir/libtransformer.so" \
    "$libdir/libtransformer.so.0" "$libdir/libtransformer.a" "$libdir/pkgconfig/transformer.pc" \
    "$libdir/cmake/transformer/transformer-config.cmake" \
    "$libdir/cmake/transformer/transformer-config-version.cmake" \
    share/doc/transformer/LICENSE share/doc/transformer/notices/xxhash.txt; do
    [ -f "$root$prefix/$file" ] || { echo "not installed: $file"; missing=1; }
done
for file in $(cd "$root$prefix" && find . -type f); do
    case $file in
    ./include/transformer*.h | ./"$libdir"/libtransformer.* | ./"$libdir"/pkgconfig/* | ./"$libdir"/cmake/transformer/*) ;;
    ./share/doc/transformer/*) ;;
    *) echo "installed, but not expected: $file"; missing=1 ;;
    esac
done
[ $missing = 0 ]

run() {
    echo "$1"
    LD_LIBRARY_PATH=$lib "$work/$1" || { echo "$1 failed"; exit 1; }
}

export PKG_CONFIG_LIBDIR="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
flags=$(pkg-config --cflags transformer)
"$@" -std=c99 -Wall -Wextra -pedantic -Werror $flags "$here/consumer.c" -o "$work/shared" $(pkg-config --libs transformer)
run shared

archive=$(pkg-config --static --libs transformer | sed 's/-ltransformer/-l:libtransformer.a/')
"$@" $flags "$here/consumer.c" -o "$work/static" $archive
run static

# A host whose own functions have the names of our internals: neither the linker nor the library mixes them up.
${PYTHON:-python3} "$here/same_names.py" "$core" >"$work/same_names.c"
[ "$(grep -c '^void fail(void);' "$work/same_names.c")" = 1 ]
"$@" -w $flags "$here/consumer.c" "$work/same_names.c" -o "$work/same_names" $archive
run same_names
"$@" -w $flags "$here/consumer.c" "$work/same_names.c" -o "$work/same_names_shared" -rdynamic -L"$lib" -ltransformer
run same_names_shared

if ! command -v cmake >/dev/null || ! command -v c++ >/dev/null; then
    echo "skipped: the CMake hosts: cmake or a C++ compiler is not installed"
    exit 0
fi
# Moved elsewhere, as a package may be.
mv "$root$prefix" "$work/moved"
lib=$work/moved/$libdir
cmake -S "$here" -B "$work/cmake" -DCMAKE_C_COMPILER="$1" -DCMAKE_PREFIX_PATH="$work/moved" >"$work/cmake.log" 2>&1 &&
    cmake --build "$work/cmake" >>"$work/cmake.log" 2>&1 || { cat "$work/cmake.log"; exit 1; }
for program in dynamic_c dynamic_cpp static_c; do
    run "cmake/$program"
done
if cmake -S "$here" -B "$work/cmake-later" -DCMAKE_PREFIX_PATH="$work/moved" \
    -DCMAKE_PROJECT_consumer_INCLUDE="$here/ask_later.cmake" >/dev/null 2>&1; then
    echo "CMake took this version for version 99"
    exit 1
fi
