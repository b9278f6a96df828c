#!/bin/bash
# Builds libmoco in seven ways and runs every test that each of them has. On a bare Debian machine it installs what is
# missing first. From anywhere, as often as you like:
#
#   tests/run.sh            # everything
#   tests/run.sh gcc        # only these: gcc, clang, sanitizers, threads, minimal, i386, i386-sse2
#
# Build folders are build/tests-*, logs build/test-logs/*.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
started=$SECONDS
jobs=$(nproc)
# Tests run side by side; threads that wait by spinning would take the processor from each other.
export OMP_WAIT_POLICY=passive

cmake/install_missing.sh gcc libc6-dev g++ cmake ninja-build pkgconf libopenblas-openmp-dev libcmocka-dev libjansson-dev \
    -- libdnnl-dev libjpeg62-turbo-dev libpng-dev libwebp-dev libtiff-dev dpkg-dev file python3 python3-numpy doxygen clang \
    libomp-dev clang-format-14 abigail-tools locales

# How a build is made, and which tests of it are run (what ctest is told; empty: all).
i386="-DCMAKE_TOOLCHAIN_FILE=tests/abi/i386_toolchain.cmake -DMOCO_BUILD_EXAMPLES=OFF -DMOCO_WERROR=OFF -DCMAKE_C_FLAGS_RELEASE=-O1"
declare -A options=(
    [gcc]="-DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=Release"
    [clang]="-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Release"
    [sanitizers]="-DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMOCO_SANITIZE=address;undefined"
    [threads]="-DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMOCO_SANITIZE=thread -DMOCO_WITH_OPENMP=OFF -DMOCO_WITH_ONEDNN=OFF"
    [minimal]="-DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=Release -DMOCO_WITH_OPENMP=OFF -DMOCO_WITH_JANSSON=OFF -DMOCO_WITH_ONEDNN=OFF -DMOCO_WITH_JPEG=OFF -DMOCO_WITH_PNG=OFF -DMOCO_WITH_WEBP=OFF -DMOCO_WITH_TIFF=OFF"
    [i386]="$i386"
    [i386-sse2]="$i386 -DMOCO_I386_SSE2=ON"
)
declare -A about=(
    [gcc]="gcc, all options, all tests"
    [clang]="clang, all options"
    [sanitizers]="gcc with the address and undefined-behaviour sanitizers"
    [threads]="gcc with the thread sanitizer: the tests of the loader and the data"
    [minimal]="gcc, CBLAS alone: no OpenMP, Jansson, oneDNN or image formats"
    [i386]="gcc for 32 bits and the x87's arithmetic: the unit tests"
    [i386-sse2]="gcc for 32 bits and SSE2: the unit tests"
)
declare -A select=([gcc]="" [clang]="" [sanitizers]="" [threads]="-R ^test_(loader|sample_cache|extract|folder)" [minimal]="" [i386]="-L unit" [i386-sse2]="-L unit")
order=(sanitizers threads minimal i386 i386-sse2 clang gcc)

wanted=("$@")
if [ ${#wanted[@]} -eq 0 ]; then wanted=("${order[@]}"); fi
for name in "${wanted[@]}"; do
    if [ -z "${options[$name]+known}" ]; then
        echo "usage: tests/run.sh [gcc] [clang] [sanitizers] [threads] [minimal] [i386] [i386-sse2]" >&2
        exit 2
    fi
done

passed=0
failed=0
broken=()
summary=()
mkdir -p build/test-logs

# Shows a log's end where its command fails.
logged() {
    local log=$1
    shift
    if "$@" >"$log" 2>&1; then return 0; fi
    tail -n 60 "$log" >&2
    echo "(whole log: $log)" >&2
    return 1
}

check() {
    local name=$1 dir=build/tests-$1 log=build/test-logs/$1 from=$SECONDS status=0 line
    echo
    echo "== $name: ${about[$name]}"
    local -a arguments tests target=()
    read -r -a arguments <<<"${options[$name]}"
    read -r -a tests <<<"${select[$name]}"
    if [[ $name = i386* ]]; then
        if ! tests/abi/fetch_i386.sh build/i386-root; then
            echo "left out"
            return
        fi
        target=(--target unit_tests)
    fi
    if ! logged "$log-configure.log" cmake -S . -B "$dir" -G Ninja -DMOCO_BUILD_TESTS=ON -DMOCO_WERROR=ON "${arguments[@]}" ||
        ! logged "$log-build.log" cmake --build "$dir" -j "$jobs" "${target[@]}"; then
        broken+=("$name does not build")
        return
    fi
    echo "built in $((SECONDS - from)) s"
    from=$SECONDS
    ctest --test-dir "$dir" --output-on-failure --no-tests=error -j "$jobs" "${tests[@]}" 2>&1 |
        tee "$log-tests.log" || status=$?
    line=$(grep -E '^[0-9]+% tests passed' "$log-tests.log" || true)
    if [[ $line =~ ([0-9]+)\ tests?\ failed\ out\ of\ ([0-9]+) ]]; then
        passed=$((passed + BASH_REMATCH[2] - BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[1]))
        summary+=("$(printf '%-11s %4d tests, %d failed, %4d s' "$name" "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}" \
            $((SECONDS - from)))")
    fi
    if [ "$status" -ne 0 ]; then broken+=("$name has failing tests"); fi
}

for name in "${wanted[@]}"; do
    if [ "$name" = clang ] && ! command -v clang >/dev/null; then
        echo
        echo "== clang: not installed, left out"
        continue
    fi
    check "$name"
done

echo
echo "== Summary"
if [ ${#summary[@]} -gt 0 ]; then printf '%s\n' "${summary[@]}"; fi
if [ ${#broken[@]} -gt 0 ]; then printf 'FAILED: %s\n' "${broken[@]}"; fi
echo "$((passed + failed)) tests in $((SECONDS - started)) s, installing and building included"
echo "$passed passed, $failed failed"
[ ${#broken[@]} -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
