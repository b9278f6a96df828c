#!/bin/bash
# From a fresh Debian machine to a trained encoder: installs what is missing, builds libmoco, trains on its built-in images
# without their labels, and shows what was learned. A few minutes on two cores; from anywhere, as often as you like.
#
#   examples/quickstart.sh [OPTION...]     # options are pretrain's, such as --epochs 60 or --data cifar10:DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
started=$SECONDS

echo "== 1. What it needs"
"$here/cmake/install_missing.sh" gcc libc6-dev cmake ninja-build pkgconf libopenblas-openmp-dev libjansson-dev \
    -- libdnnl-dev libjpeg62-turbo-dev libpng-dev libwebp-dev
echo "All there."

# In the source tree where it can be written, else in a temporary folder of this user.
work=$here/build/quickstart
if ! mkdir -p "$work" 2>/dev/null || [ ! -w "$work" ]; then
    work=${TMPDIR:-/tmp}/libmoco-quickstart-$(id -u)
    mkdir -p "$work"
fi

echo
echo "== 2. Building (log: $work/build.log)"
from=$SECONDS
if ! {
    cmake -S "$here" -B "$work" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMOCO_BUILD_TESTS=OFF -DMOCO_BUILD_EXAMPLES=ON &&
        cmake --build "$work"
} >"$work/build.log" 2>&1; then
    tail -n 40 "$work/build.log" >&2
    exit 1
fi
echo "Built in $((SECONDS - from)) s."

echo
echo "== 3. Training"
out=$work/run
# Threads that wait by spinning are a little faster on an idle machine and many times slower beside other work.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
"$work/bin/pretrain" --out "$out" "$@"

# Every kNN measurement is a number "knn_top1" in one line of metrics.jsonl; the first line is before training.
echo
echo "== 4. What was learned"
awk '
function number(key,    text) {
    if (!match($0, "\"" key "\": [-0-9.e+]+")) return -1
    text = substr($0, RSTART, RLENGTH)
    sub(/.*: /, "", text)
    return text + 0
}
function bar(label, value,    line, i) {
    line = ""
    for (i = 1; i <= value * 50 + 0.5; ++i) line = line "#"
    printf "  %-18s %5.1f %%  %s\n", label, 100 * value, line
}
number("pixels_knn_top1") >= 0 { pixels = number("pixels_knn_top1"); untrained = number("knn_top1"); next }
number("knn_top1") >= 0 { trained = number("knn_top1"); bars[++count] = trained; epochs[count] = number("epoch") + 1 }
END {
    if (!count) { print "  no measurement: the run stopped too early"; exit }
    print "Test images whose class their nearest training images tell (kNN), by what is compared:"
    bar("raw pixels", pixels)
    bar("untrained encoder", untrained)
    for (i = 1; i < count; ++i) bar("epoch " epochs[i], bars[i])
    bar("trained encoder", trained)
    better = pixels > untrained ? pixels : untrained
    printf "  gain: %+.1f points over the better of the first two\n", 100 * (trained - better)
}' "$out/metrics.jsonl"

cat <<END

The encoder, under torchvision's names; every step and epoch as a JSON object; the programs, each of which has --help:
  $out/encoder.safetensors
  $out/metrics.jsonl
  $work/bin

Next: the accuracy again; training on the CIFAR-10 binary files in DIR
  $work/bin/knn_eval $out/encoder.safetensors
  $work/bin/pretrain --data cifar10:DIR

The library for programs of your own: examples/howto/building.md. The guide: examples/README.md

$((SECONDS - started)) s in all.
END
