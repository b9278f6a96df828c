#!/bin/bash
# Holds the arithmetic of this checkout against another commit's, bit for bit: builds the other commit and this working
# tree, trains with both, and compares every tensor that is saved. For a change that should move code and no number:
#
#   tests/bench/compare_bits.sh [BASE] [WORK_DIR]     # ef3946c, build/compare-bits
#
# Runs 20 steps of the CIFAR recipe, of ResNet-18 and of an MLP, and 5 of ResNet-50 at 64 px, for each backend, 1 and 2
# threads, float32 and (with oneDNN) bfloat16. The reference backend is plain loops, so its runs are smaller. BACKENDS
# names fewer: BACKENDS="cblas onednn".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
base=${1:-ef3946c}
work=$(mkdir -p "${2:-build/compare-bits}" && cd "${2:-build/compare-bits}" && pwd)
export OMP_WAIT_POLICY=passive

if [ ! -d "$work/base" ]; then
    mkdir "$work/base"
    git archive "$base" | tar -x -C "$work/base"
fi
build() { # SOURCE BUILD
    cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMOCO_BUILD_TESTS=OFF >"$2.log" 2>&1 &&
        cmake --build "$2" >>"$2.log" 2>&1 || { tail -n 30 "$2.log" >&2; exit 1; }
}
build "$work/base" "$work/build-base"
build . "$work/build-this"

# The saved tensors: a safetensors file is a length, that much header, and the tensors. A header's metadata may differ.
tensors_of() {
    python3 - "$1" <<'PY'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + size])
header.pop("__metadata__", None)
digest = hashlib.sha256()
for name in sorted(header):
    begin, end = header[name]["data_offsets"]
    digest.update(f"{name} {header[name]['dtype']} {header[name]['shape']}".encode())
    digest.update(data[8 + size + begin:8 + size + end])
print(digest.hexdigest())
PY
}

same=0 differ=0
compare() { # LABEL ARGUMENTS...
    local label=$1 side
    shift
    for side in base this; do
        rm -rf "$work/run-$side"
        "$work/build-$side/bin/pretrain" --out "$work/run-$side" --workers 0 --knn-every 0 --knn-bank 16 --test-count 16 "$@" \
            >"$work/run-$side.log" 2>&1 || { printf '%-34s %s fails: %s\n' "$label" "$side" "$(tail -n 1 "$work/run-$side.log")"; differ=$((differ + 1)); return 0; }
    done
    local base_bits this_bits
    base_bits=$(tensors_of "$work/run-base/encoder.safetensors")
    this_bits=$(tensors_of "$work/run-this/encoder.safetensors")
    if [ "$base_bits" = "$this_bits" ]; then
        printf '%-34s same  %.16s\n' "$label" "$this_bits"
        same=$((same + 1))
    else
        printf '%-34s DIFFERS  %.16s  %.16s\n' "$label" "$base_bits" "$this_bits"
        differ=$((differ + 1))
    fi
}

cifar="--data synthetic:count=512 --augment cifar --batch-size 32 --queue-size 1024 --bn-groups 4 --max-steps 20"
photo="--data synthetic:count=64 --augment v2 --size 64 --batch-size 8 --queue-size 256 --bn-groups 2 --max-steps 5"
for backend in ${BACKENDS:-reference cblas onednn}; do
    for dtype in f32 bf16; do
        if [ "$dtype" = bf16 ] && [ "$backend" != onednn ]; then continue; fi # elsewhere bfloat16 falls back to float32
        for threads in 1 2; do
            run="--backend $backend --threads $threads --compute $dtype"
            if [ "$backend" = reference ]; then run="$run --batch-size 8"; fi
            compare "cifar resnet20 $backend $dtype $threads" $cifar --arch cifar_resnet20 $run
            compare "mlp $backend $dtype $threads" $cifar --arch mlp $run
            if [ "$backend" = reference ]; then
                compare "resnet50 at 64 px $backend $dtype $threads" $photo --batch-size 2 --bn-groups 1 --arch resnet50 --stem imagenet $run
            else
                compare "resnet18 $backend $dtype $threads" $cifar --arch resnet18 --stem cifar --head linear $run
                compare "resnet50 at 64 px $backend $dtype $threads" $photo --arch resnet50 --stem imagenet $run
            fi
        done
    done
done
echo "$same same, $differ different"
[ "$differ" -eq 0 ] && [ "$same" -gt 0 ]
