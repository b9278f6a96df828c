# A run that was killed, or asked to stop, and goes on with --resume auto ends with the same metrics and the same encoder as
# one without a pause. RESUME_ROUNDS=N does it N times.
. "$(dirname "$0")/programs.sh"
rounds=${RESUME_ROUNDS:-1}
small="--recipe quick:arch=cifar_resnet20,epochs=6,batch_size=16,queue_size=64 --data synthetic:count=160,size=12
       --test-count 16 --knn-bank 32 --knn-every 2 --save-every 7 --threads 1"

# The lines without what depends on the clock or on one process's life.
lines() {
    grep -v '"kind": "progress"' "$1/metrics.jsonl" |
        sed -E 's/, "(images_per_second|wait_share|load_seconds|augment_seconds|cache_bytes)": [^,}]*//g'
}
same_as_whole() {
    lines "$1" >"$work/lines"
    cmp "$work/lines" "$work/whole.lines" || fail "$2: other lines than without a pause"
    cmp "$1/encoder.safetensors" "$work/whole/encoder.safetensors" || fail "$2: another encoder than without a pause"
    cmp "$1/encoder/model.safetensors" "$work/whole/encoder/model.safetensors" || fail "$2: another folder for timm"
    grep -q '"state": "completed"' "$1/status.json" || fail "$2: status.json does not say that it is completed"
}
steps() { cat "$1/metrics.jsonl" 2>/dev/null | grep -c '"kind": "step"' || true; }
# stopped_by SIGNAL STEPS: the run goes on, and gets the signal once it has made so many steps. Not 0 where it was over before
# that, which a busy machine can bring about.
stopped_by() {
    # shellcheck disable=SC2086
    "$bin/pretrain" $small --out "$run" --resume auto >"$work/output" 2>&1 &
    process=$!
    while [ "$(steps "$run")" -lt "$2" ] && kill -0 $process 2>/dev/null; do :; done
    kill "-$1" $process 2>/dev/null || true
    code=0
    wait $process 2>/dev/null || code=$?
    ! grep -q "steps in .* wrote" "$work/output" || grep -q "stopped after step" "$work/output"
}

# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$work/whole"
reads_encoders "$work/whole/encoder.safetensors"
lines "$work/whole" >"$work/whole.lines"
[ "$(steps "$work/whole")" = 60 ] || fail "60 steps were to be made"
grep -q '"knn_top1"' "$work/whole.lines" || fail "no kNN was measured"
ls "$work/whole/checkpoints" >"$work/files"
printf 'best.safetensors\nstep-56.safetensors\nstep-60.safetensors\n' | cmp - "$work/files" ||
    fail "--keep 2 leaves other checkpoints than the best and the last two"
for key in encoder.bn_eps optimizer.nesterov augment.crop_min knn_k save_every test_data; do
    grep -q "\"$key\": " "$work/whole/config.json" || fail "config.json has no $key"
done

run=$work/run
for round in $(seq "$rounds"); do
    rm -rf "$run"
    # Killed twice, at steps that differ from round to round; SIGTERM and SIGUSR1 end with 0, and the run goes on.
    stops=0
    if stopped_by KILL $((8 + round * 7 % 12)); then
        [ "$code" = 137 ] || fail "a killed run ended with $code"
        stops=1
    fi
    if stopped_by KILL $(($(steps "$run") + 2 + round * 5 % 9)); then
        said "resumed   after step"
        stops=$((stops + 1))
    fi
    for signal in TERM USR1; do
        stopped_by $signal $(($(steps "$run") + 3)) || continue
        [ "$code" = 0 ] || fail "SIG$signal ended it with $code"
        said "stopped after step"
        grep -q '"state": "interrupted"' "$run/status.json" || fail "status.json does not say that it was interrupted"
        stops=$((stops + 1))
    done
    echo "round $round: stopped $stops times"
    # shellcheck disable=SC2086
    expect 0 "$bin/pretrain" $small --out "$run" --resume auto
    [ $stops = 0 ] || said "resumed   after step"
    same_as_whole "$run" "round $round"
done
ls -A "$run" "$run/checkpoints" >"$work/files"
grep -q 'moco-tmp\|[.]new$' "$work/files" && fail "temporary files are left"

# From an older checkpoint by its name: what came after it is forgotten. From the one before where the last is damaged.
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$run" --resume "$run/checkpoints/step-56.safetensors"
said "resumed   after step 56"
same_as_whole "$run" "from an older checkpoint"
printf x | dd of="$run/checkpoints/step-60.safetensors" bs=1 seek=200000 conv=notrunc 2>/dev/null
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$run" --resume auto
said "is damaged"
said "resumed   after step 56"
same_as_whole "$run" "from the checkpoint before a damaged one"

# Into another folder; and of other settings, which are named.
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$work/copy" --resume "$run/checkpoints/step-56.safetensors"
cmp "$work/copy/encoder.safetensors" "$work/whole/encoder.safetensors" || fail "resumed elsewhere: another encoder"
[ "$(steps "$work/copy")" = 4 ] || fail "resumed elsewhere: other steps than the last four"
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$run" --resume auto --queue-size 32
said "= 64, where this trainer has 32"
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$run" --resume auto --overwrite
said "give one of them"
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$run" --save-every 7weeks
said '--save-every is "7weeks"'
rm -r "$run/checkpoints"
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $small --out "$run" --resume auto
said "without a checkpoint to go on from"

# Weights alone: a new run, whose untrained encoder is the old run's.
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $small --out "$work/warm" --init "$work/whole/encoder.safetensors" --max-steps 1
said "weights   from"
[ "$(grep '"kind": "knn"' "$work/warm/metrics.jsonl" | sed 's/.*"knn_top1": \([0-9.]*\).*/\1/')" = \
  "$(grep '"kind": "epoch", "epoch": 5' "$work/whole/metrics.jsonl" | sed 's/.*"knn_top1": \([0-9.]*\).*/\1/')" ] ||
    fail "--init does not begin with the old run's encoder"
# shellcheck disable=SC2086
expect 1 "$bin/pretrain" $small --out "$work/cold" --init "$work/whole/encoder.safetensors" --dim 32
said "shape"
