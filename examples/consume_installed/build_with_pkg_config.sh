#!/bin/sh
# Builds and runs the same program with nothing but a compiler and pkg-config:
#
#   PKG_CONFIG_PATH=/where/libmoco/is/installed/lib/pkgconfig examples/consume_installed/build_with_pkg_config.sh OUT_DIR
#
# With a second argument `static` it links libmoco.a and all that this needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build_with_pkg_config.sh OUT_DIR [static]}
mkdir -p "$out"

libdir=$(pkg-config --variable=libdir moco)
if [ "${2:-shared}" = static ]; then
    # The linker prefers a shared library of the same name: take ours by its file, the rest as pkg-config says.
    libraries=$(pkg-config --static --libs moco | sed "s|-lmoco |$libdir/libmoco.a |")
else
    libraries="$(pkg-config --libs moco) -Wl,-rpath,$libdir"
fi
# Flags are words: they are to be split.
# shellcheck disable=SC2046,SC2086
${CC:-cc} -std=c11 -O2 ${CFLAGS:-} $(pkg-config --cflags moco) -o "$out/pkg_config_consumer" \
    "$here/installed_consumer.c" $libraries ${LDFLAGS:-}
"$out/pkg_config_consumer"
