#!/bin/bash
# Fuzzes one target for so many seconds of processor time, from the zoo's seeds and what is in corpus/:
#
#   tests/fuzz/run_fuzz.sh jpeg 600      # jpeg, png, webp, image, exif, tar, tarset, list, label, safetensors, zip, unpickler, legacy or recipe
#   tests/fuzz/run_fuzz.sh tiff 600      # bmp, pnm, tiff or xmp
#
# Needs clang with its runtime library (Debian: clang libclang-rt-14-dev). Builds in build/fuzz; keeps what it learns in
# build/fuzz/corpus/TARGET and findings in build/fuzz/findings/TARGET. Ends with 1 where it found something: minimise it by
#   build/fuzz/tests/fuzz/fuzz_TARGET -minimize_crash=1 -max_total_time=60 FINDING
# mend the code, and put the smallest file (at most 4 KiB) into tests/fuzz/corpus/TARGET, where ctest replays it.
set -euo pipefail
if [ $# -ne 2 ]; then
    echo "usage: tests/fuzz/run_fuzz.sh TARGET SECONDS" >&2
    exit 2
fi
target=$1 seconds=$2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=build/fuzz
cmake -S . -B $build -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DMOCO_FUZZ=ON -DMOCO_BUILD_SHARED=OFF -DMOCO_BUILD_EXAMPLES=OFF -DMOCO_WITH_ONEDNN=OFF -DMOCO_WITH_OPENMP=OFF >/dev/null
cmake --build $build -j "$(nproc)" --target "fuzz_$target" make_fuzz_seeds >/dev/null

mkdir -p $build/{corpus,findings,seeds}/"$target" tests/fuzz/corpus/"$target"
$build/tests/fuzz/make_fuzz_seeds $build/seeds
# libFuzzer times inputs by the wall clock: on a busy machine, an innocent one may wait long for the processor.
dictionary=()
if [ -e "tests/fuzz/dictionaries/$target.dict" ]; then dictionary=(-dict="tests/fuzz/dictionaries/$target.dict"); fi
$build/tests/fuzz/fuzz_"$target" -rss_limit_mb=2048 -timeout=300 -report_slow_units=300 -max_len=12288 -handle_usr1=1 -print_final_stats=1 \
    -artifact_prefix=$build/findings/"$target"/ "${dictionary[@]}" \
    $build/corpus/"$target" $build/seeds/"$target" tests/fuzz/corpus/"$target" &
fuzzer=$!
# Fields 14 and 15 of its stat are ticks of processor time; libFuzzer ends in good order on SIGUSR1.
ticks=$(getconf CLK_TCK)
while spent=$(awk '{print int(($14 + $15) / '"$ticks"')}' /proc/$fuzzer/stat 2>/dev/null); do
    if [ "${spent:-0}" -ge "$seconds" ]; then
        kill -USR1 $fuzzer
        break
    fi
    sleep 1
done
wait $fuzzer
