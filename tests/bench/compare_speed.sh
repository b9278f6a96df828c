#!/bin/bash
# Times a training step of this working tree and of another commit, in turns, and prints the ratio: for a change that
# should cost nothing. Leave the machine alone meanwhile.
#
#   tests/bench/compare_speed.sh [BASE] [WORK_DIR]     # ef3946c, build/compare-speed
#
# ROUNDS=8 is how often each side runs each case, REPS=5 how many steps a run takes its median of; CASES names fewer, as
# ARCHITECTURE:STEM:N:SIZE:DTYPE:BACKEND. A side's figure is the least of its runs' medians, and the median of them stands beside.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
base=${1:-ef3946c}
work=$(mkdir -p "${2:-build/compare-speed}" && cd "${2:-build/compare-speed}" && pwd)
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
cases=${CASES:-"resnet50:imagenet:16:224:f32:onednn resnet50:imagenet:16:224:bf16:onednn resnet18:cifar:64:32:f32:onednn
    resnet18:cifar:64:32:bf16:onednn cifar_resnet20:cifar:256:32:f32:onednn"}

if [ ! -d "$work/base" ]; then
    mkdir "$work/base"
    git archive "$base" | tar -x -C "$work/base"
fi
build() { # SOURCE BUILD
    cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$2.log" 2>&1 &&
        cmake --build "$2" --target bench_step >>"$2.log" 2>&1 || { tail -n 30 "$2.log" >&2; exit 1; }
}
build "$work/base" "$work/build-base"
build . "$work/build-this"

python3 - "$work" "${ROUNDS:-8}" "${REPS:-5}" $cases <<'PY'
import json, statistics, subprocess, sys

work, rounds, reps, cases = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]


def step(side, case):
    arch, stem, n, size, dtype, backend = case.split(":")
    line = subprocess.run(
        [f"{work}/build-{side}/tests/bench/bench_step", "--arch", arch, "--stem", stem, "--n", n, "--size", size, "--dtype",
         dtype, "--backend", backend, "--reps", reps, "--no-peer"], check=True, capture_output=True, text=True).stdout
    return json.loads(line)["ours_ms"]


print(f"{'case':<44} {'base ms':>9} {'this ms':>9} {'ratio':>6}   of the runs' medians {'base':>8} {'this':>8}", flush=True)
for case in cases:
    times = {"base": [], "this": []}
    for turn in range(rounds):
        for side in ("base", "this") if turn % 2 == 0 else ("this", "base"):
            times[side].append(step(side, case))
    least = {side: min(values) for side, values in times.items()}
    middle = {side: statistics.median(values) for side, values in times.items()}
    print(f"{case:<44} {least['base']:9.1f} {least['this']:9.1f} {least['this'] / least['base']:6.3f} "
          f"{'':>23} {middle['base']:8.1f} {middle['this']:8.1f}", flush=True)
PY
