#!/bin/sh
# Makes FOLDER a root of Debian's i386 libraries, with which i386_toolchain.cmake builds for plain i386. Nothing is installed:
# the packages are downloaded by apt with lists of its own, and unpacked. What stands in the way is said, and fails.
#
#   tests/abi/fetch_i386.sh FOLDER
set -eu
root=${1:?usage: fetch_i386.sh FOLDER}
if [ -e "$root/complete" ]; then exit 0; fi

give_up() {
    echo "no i386 here: $*" >&2
    exit 1
}
for program in gcc apt-get dpkg-deb; do
    command -v $program >/dev/null 2>&1 || give_up "there is no $program"
done
[ "$(gcc -dumpmachine)" = x86_64-linux-gnu ] || give_up "gcc is not x86-64's of Debian"

mkdir -p "$root" "$root.apt/lists/partial" "$root.apt/archives/partial"
root=$(cd "$root" && pwd)
cd "$root.apt"
apt="apt-get -qq -o APT::Sandbox::User=$(id -un) -o APT::Architectures::=amd64 -o APT::Architectures::=i386
    -o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD"
packages=
for package in libc6 libc6-dev linux-libc-dev libgcc-s1 "libgcc-$(gcc -dumpversion)-dev" libgomp1 libgfortran5 libquadmath0 \
    libopenblas0-openmp libopenblas-openmp-dev libcmocka0 libcmocka-dev libjansson4 libjansson-dev libjpeg62-turbo \
    libjpeg62-turbo-dev libpng16-16 libpng-dev zlib1g zlib1g-dev libwebp7 libwebp-dev; do
    packages="$packages $package:i386"
done
# An index that fails is told by the packages that are then not found.
$apt update >update.log 2>&1 || true
# shellcheck disable=SC2086
$apt download $packages >download.log 2>&1 || give_up "$(tail -n 1 download.log)"
for package in *.deb; do dpkg-deb -x "$package" "$root"; done
# Links that mean this root, not the system's.
find "$root" -type l -lname '/*' | while read -r link; do ln -sfn "$root$(readlink "$link")" "$link"; done
# With -fopenmp, gcc links these two, which i386's own gcc has not: there is nothing to offload.
for object in crtoffloadbegin crtoffloadend; do
    gcc -m32 -x c -c /dev/null -o "$(echo "$root"/usr/lib/gcc/i686-linux-gnu/*)/$object.o"
done
"$root/lib/ld-linux.so.2" --version >/dev/null 2>&1 || give_up "the system runs no programs of 32 bits"
touch "$root/complete"
cd "$root"
rm -rf "$root.apt"
