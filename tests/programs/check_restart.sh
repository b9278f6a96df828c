# What else --resume auto meets after a process was killed: no checkpoint yet, the best one alone, temporary files, a log that
# lost its end, a checkpoint that can't be read.
. "$(dirname "$0")/programs.sh"
small="--recipe quick:arch=cifar_resnet8,epochs=100000,batch_size=16,queue_size=64 --data synthetic:count=64,size=8
       --test-count 8 --knn-bank 32 --threads 1"
steps() { sed -E 's/, "images_per_second": [^,}]*//' "$1/metrics.jsonl" | grep '"kind": "step"' || true; }
# killed_after STEPS ARGUMENT...
killed_after() {
    wanted=$1
    shift
    # shellcheck disable=SC2086
    "$bin/pretrain" $small "$@" >"$work/output" 2>&1 &
    process=$!
    while [ "$(steps "$run" 2>/dev/null | wc -l)" -lt "$wanted" ]; do
        kill -0 $process 2>/dev/null || fail "the run ended by itself"
    done
    kill -KILL $process
    wait $process 2>/dev/null || true
}

# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$work/whole" --max-steps 10 --save-every 0
reads_encoders "$work/whole/encoder.safetensors"
steps "$work/whole" >"$work/whole.steps"

# Killed before its first checkpoint: the same command begins anew, and says so.
run=$work/run
killed_after 2 --out "$run" --resume auto --knn-every 0
[ -z "$(ls -A "$run/checkpoints")" ] || fail "there is a checkpoint already"
cp -r "$run" "$work/killed"
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$run" --max-steps 10 --resume auto --knn-every 2
said "ended before its first checkpoint, and begins anew"
steps "$run" | cmp - "$work/whole.steps" || fail "begun anew: other steps"
cmp "$run/encoder.safetensors" "$work/whole/encoder.safetensors" || fail "begun anew: another encoder"
# Only that: not without --resume, nor where its checkpoints went away, nor where it was told to save none.
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$work/killed"
said "holds another run"
for change in 's/"checkpoint": null/"checkpoint": "step-7.safetensors"/' 's/"state": "running"/"state": "completed"/'; do
    rm -rf "$work/other"
    cp -r "$work/killed" "$work/other"
    sed -i "$change" "$work/other/status.json"
    # shellcheck disable=SC2086
    expect 2 "$bin/pretrain" $small --out "$work/other" --resume auto
    said "without a checkpoint to go on from"
done
sed -i 's/"save_every": "10min"/"save_every": "0"/' "$work/killed/config.json"
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$work/killed" --resume auto
said "without a checkpoint to go on from"

# The best checkpoint is one to go on from where it is the only one, or the only one that can be read.
mv "$run/checkpoints" "$work/all"
mkdir "$run/checkpoints"
cp "$work/all/best.safetensors" "$run/checkpoints"
mkdir "$run/checkpoints/step-9.safetensors"
# What killed saves have left goes, and a file of the user's stays.
touch "$run/checkpoints/.moco-tmp-0123456789abcdef-1-2" "$run/.moco-tmp-0123456789abcdef-1-3" \
    "$run/encoder/.moco-tmp-0123456789abcdef-1-4" "$run/checkpoints/notes"
# A log that lost its end, within a line.
head -c 700 "$run/metrics.jsonl" >"$work/cut"
cp "$work/cut" "$run/metrics.jsonl"
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$run" --max-steps 10 --resume auto
said "step-9.safetensors"
said "best.safetensors"
said "has lost the lines"
cmp "$run/encoder.safetensors" "$work/whole/encoder.safetensors" || fail "from the best one: another encoder"
ls -A "$run" "$run/checkpoints" "$run/encoder" >"$work/files"
! grep moco-tmp "$work/files" || fail "temporary files are left"
[ -f "$run/checkpoints/notes" ] || fail "a user's file was removed"
! grep -v '^{.*}$' "$run/metrics.jsonl" || fail "a line of metrics.jsonl is broken"
! grep '}.*{' "$run/metrics.jsonl" || fail "two lines of metrics.jsonl became one"

# Settings that the library has for state are those that the run began with, and config.json says so.
cp "$run/config.json" "$work/config.json"
for setting in "--momentum 0.9" "--temperature 0.3"; do
    # shellcheck disable=SC2086
    expect 2 "$bin/pretrain" $small --out "$run" --resume auto $setting
    said "${setting% *} is ${setting#* }, but the run"
done
said "has 0.1 and goes on with that"
# shellcheck disable=SC2046
expect 2 "$bin/pretrain" $(echo "$small" | sed 's/epochs=1000/epochs=100000,queue.seed=77/') --out "$run" --resume auto
said "queue.seed is 77"
cmp "$run/config.json" "$work/config.json" || fail "a refused setting is in config.json"

# On another backend, and with oneDNN on another number of threads, the bits are others, which is told.
cp -r "$run" "$work/moved"
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$work/moved" --resume auto --max-steps 11
not_said "not to the same bits"
backend=$(sed -n 's/.*backend \([^,]*\),.*/\1/p' "$work/output")
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$work/moved" --resume auto --max-steps 12 --threads 2
[ "$backend" != onednn ] || said "with a thread count of 1, and this one computes with a thread count of 2"
[ "$backend" = onednn ] || not_said "not to the same bits"
if [ "$backend" != reference ]; then
    # shellcheck disable=SC2086
    expect 0 "$bin/pretrain" $small --out "$work/moved" --resume auto --max-steps 13 --backend reference
    said "on backend $backend, and this one computes on backend reference"
fi

# What can't be gone on from leaves no folder.
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$work/new/folder" --resume "$work/nowhere"
[ ! -e "$work/new" ] || fail "a failed --resume made a folder"

# SIGTERM while the images are looked for: there is nothing to save.
echo "missing.jpg 1" >"$work/list"
for signal in 15 10; do
    expect 0 meddled "MEDDLE_RAISE=$signal $work/list" "$bin/pretrain" --data "filelist:$work/list" --out "$work/new"
    said "stopped before the first step"
    [ ! -e "$work/new" ] || fail "a run that did not begin made a folder"
done

# A disk with room for two checkpoints: the oldest is given up, and so the run is saved to its end; the last one never is.
# shellcheck disable=SC2086
expect 0 meddled MEDDLE_ROOM=2 "$bin/pretrain" $small --out "$work/full" --max-steps 10 --save-every 1
said "is given up for room"
[ -f "$work/full/checkpoints/step-10.safetensors" ] || fail "the last step was not saved on a full disk"
grep -q '"state": "completed"' "$work/full/status.json" || fail "the run on a full disk is not completed"
# shellcheck disable=SC2086
expect 1 meddled MEDDLE_ROOM=1 "$bin/pretrain" $small --out "$work/fuller" --max-steps 10 --save-every 1
not_said "is given up for room"
[ "$(ls "$work/fuller/checkpoints" | grep -c step-)" = 1 ] || fail "the only checkpoint on a full disk is gone"

# One that somebody has locked is in use.
if command -v flock >"$work/output"; then
    rm -r "$run/checkpoints/step-9.safetensors"
    touch "$run/checkpoints/.moco-tmp-0123456789abcdef-1-2" "$run/checkpoints/.moco-tmp-0123456789abcdef-1-3"
    # shellcheck disable=SC2086
    expect 0 flock -o "$run/checkpoints/.moco-tmp-0123456789abcdef-1-2" \
        "$bin/pretrain" $small --out "$run" --max-steps 4 --overwrite
    [ -f "$run/checkpoints/.moco-tmp-0123456789abcdef-1-2" ] || fail "a temporary file in use was removed"
    [ ! -f "$run/checkpoints/.moco-tmp-0123456789abcdef-1-3" ] || fail "--overwrite left a temporary file"
fi
