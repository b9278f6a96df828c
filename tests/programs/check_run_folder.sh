# A folder that holds a run is not written over unless the user says so, nor while its run goes on.
. "$(dirname "$0")/programs.sh"
run=$work/deep/run

# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $quick --out "$run"
cp "$run/metrics.jsonl" "$run/encoder.safetensors" "$work"
echo mine >"$run/notes.txt"

# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $quick --out "$run" --seed 7
said "holds another run (metrics.jsonl)"
said "--overwrite"
not_said "kNN" # refused before anything is opened or measured
cmp "$run/metrics.jsonl" "$work/metrics.jsonl" || fail "a refused run changed metrics.jsonl"
cmp "$run/encoder.safetensors" "$work/encoder.safetensors" || fail "a refused run changed the encoder"

# Half of a run is one, too.
mkdir "$work/half"
cp "$work/encoder.safetensors" "$work/half"
# shellcheck disable=SC2086
expect 2 "$bin/pretrain" $quick --out "$work/half"
said "holds another run (encoder.safetensors)"

# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $quick --out "$run" --seed 7 --overwrite
cmp -s "$run/encoder.safetensors" "$work/encoder.safetensors" && fail "--overwrite left the other run's encoder"
[ "$(grep -c '"kind": "start"' "$run/metrics.jsonl")" = 1 ] || fail "--overwrite left lines of the other run"
[ "$(cat "$run/notes.txt")" = mine ] || fail "--overwrite touched a file that is no run's"

# A folder that only holds other files is nobody's run.
mkdir "$work/other"
echo log >"$work/other/log.txt"
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $quick --out "$work/other"

# What a run would write over, or remove, is not lost, though it is no run's.
for file in config.json status.json metrics.jsonl encoder/config.json encoder/build_model.py; do
    rm -rf "$work/foreign"
    mkdir -p "$work/foreign/encoder"
    echo '{"of": "somebody else"}' >"$work/foreign/$file"
    for resume in "" "--resume auto"; do
        # shellcheck disable=SC2086
        expect 2 "$bin/pretrain" $quick --out "$work/foreign" $resume
        said "$file"
    done
    grep -q somebody "$work/foreign/$file" || fail "somebody's $file was written over"
done

# A run that ended before its first step leaves nothing that could be lost.
mkdir "$work/early"
head -n 2 "$work/metrics.jsonl" >"$work/early/metrics.jsonl"
cp "$run/config.json" "$run/status.json" "$work/early"
grep -q '"step"' "$work/early/metrics.jsonl" || fail "the first two lines are others than this check thinks"
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $quick --out "$work/early"

# A second process is kept out while the first goes on. (It measures kNN for minutes, until it is stopped.)
"$bin/pretrain" --data synthetic:count=60000 --out "$work/long" >"$work/long.output" 2>&1 &
long=$!
while ! grep -q start "$work/long/metrics.jsonl" 2>/dev/null; do
    kill -0 $long 2>/dev/null || fail "the long run ended by itself"
    sleep 0.05
done
# shellcheck disable=SC2086
expect 1 "$bin/pretrain" $quick --out "$work/long" --overwrite
said "another process is writing its run"

# Ctrl-C works in a kNN evaluation, and nothing that was never trained is saved.
kill -INT $long
code=0
wait $long || code=$?
cp "$work/long.output" "$work/output"
[ "$code" = 130 ] || fail "Ctrl-C in an evaluation ended with $code, not 130"
said "stopped before the first step"
[ ! -e "$work/long/encoder.safetensors" ] || fail "an untrained encoder was saved"
