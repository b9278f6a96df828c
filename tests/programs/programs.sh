# What the checks of programs share; they say `. "$(dirname "$0")/programs.sh"` and get the folder of the programs as $bin
# and an empty one as $work.
set -eu
bin=$1 work=$2 meddling=${3:-}
rm -rf "$work"
mkdir -p "$work"

fail() {
    echo "FAILED: $*" >&2
    [ ! -f "$work/output" ] || sed 's/^/    /' "$work/output" >&2
    exit 1
}

# expect CODE COMMAND...: the command ends with CODE; what it prints is in $work/output.
expect() {
    wanted=$1
    shift
    code=0
    "$@" >"$work/output" 2>&1 || code=$?
    [ "$code" = "$wanted" ] || fail "$* ended with $code, not $wanted"
}

# said TEXT / not_said TEXT: in the output of the last expect.
said() { grep -q -F -e "$1" "$work/output" || fail "nothing says \"$1\""; }
not_said() { ! grep -q -F -e "$1" "$work/output" || fail "something says \"$1\""; }

# meddled NAME=VALUE COMMAND...: the command as meddling.c says.
meddled() {
    how=$1
    shift
    env "$how" LD_PRELOAD="$meddling" ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" "$@"
}

# reads_encoders FILE: the check ends here as skipped where this build can't read encoders' files.
reads_encoders() {
    "$bin/knn_eval" "$1" --data synthetic:count=8,size=8 --test-count 1 --k 1 >"$work/output" 2>&1 && return
    grep -q "without Jansson" "$work/output" || fail "$1 cannot be read"
    echo "skipped from here: $(cat "$work/output")"
    exit 77
}

# Few images of few pixels: a run of a second.
quick="--data synthetic:count=64,size=8 --test-count 8 --batch-size 16 --queue-size 64 --bn-groups 2 --knn-every 0 --max-steps 2"
