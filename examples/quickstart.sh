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
    -- libdnnl-dev libjpeg62-turbo-dev libpng-dev libwebp-dev libtiff-dev
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
# A run of its own, which the next one replaces, unless it is to go on; a folder that you name is for pretrain to look at.
out=$work/run
options=(--overwrite)
for argument in "$@"; do
    case ${previous:-} in --out) out=$argument ;; esac
    case $argument in --out=*) out=${argument#--out=} ;; esac
    case $argument in --out | --out=* | --resume | --resume=*) options=() ;; esac
    previous=$argument
done
# Threads that wait by spinning are a little faster on an idle machine and many times slower beside other work.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
"$work/bin/pretrain" --out "$out" "${options[@]}" "$@"

echo
echo "== 4. What was learned"
awk -f "$here/examples/pretrain/learning_bars.awk" "$out/metrics.jsonl"

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
