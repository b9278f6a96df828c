#!/bin/sh
# The whole of what ctest has a little of: 20 random places for each backend and type, 300 kills of a process that saves
# without end, and pretrain killed and resumed 10 times. Some minutes.
#   tests/resume/run_resume.sh [BUILD [SEED]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-build/work}
seed=${2:-$(date +%s)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "seed $seed"
OMP_WAIT_POLICY=passive "$build/tests/test_resume_runs" full 20 300 "$seed"
"$build/tests/test_write_faults"
OMP_WAIT_POLICY=passive RESUME_ROUNDS=10 sh "$here/../programs/check_resume.sh" "$build/bin" "$work/pretrain"
echo "pretrain: 10 of 10 runs, killed and stopped, ended with the metrics and the encoder of one without a pause"
