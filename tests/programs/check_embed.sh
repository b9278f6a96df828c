# embed's labels have a meaning: the names of the classes are beside them, whatever the folders are called.
. "$(dirname "$0")/programs.sh"
# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $quick --out "$work/run"
encoder=$work/run/encoder.safetensors
reads_encoders "$encoder"

expect 0 "$bin/embed" "$encoder" --count 8 --out "$work/some.npy"
said "classes.json: the 10 classes' names, by label"
[ "$(head -c 1 "$work/some.classes.json")" = "[" ] || fail "the names are no JSON array"
[ "$(grep -c '^[[ ]".*"[],]' "$work/some.classes.json")" = 10 ] || fail "the synthetic images' ten classes have no names"

# A file has its name once it is whole; one that is stopped leaves what was there, and nothing else.
for format in npy faiss csv jsonl projector; do
    out=$work/stopped.$format
    file=$out
    [ $format != projector ] || file=$out/tensors.tsv
    mkdir -p "$(dirname "$file")"
    echo old >"$file"
    "$bin/embed" "$encoder" --data synthetic:count=100000000,size=8 --format $format --out "$out" >"$work/output" 2>&1 &
    pid=$!
    trap 'kill $pid 2>/dev/null || :' EXIT
    waited=0
    while [ ! -e "$file.part" ]; do
        kill -0 $pid 2>/dev/null || fail "embed --format $format has ended"
        waited=$((waited + 1))
        [ $waited -lt 600 ] || fail "embed --format $format writes nothing"
        sleep 0.1
    done
    kill $pid
    code=0
    wait $pid || code=$?
    trap - EXIT
    [ $code = 143 ] || fail "embed that was stopped ended with $code"
    [ "$(cat "$file")" = old ] || fail "embed --format $format that was stopped has changed $file"
done
[ -z "$(find "$work" -name '*.part')" ] || fail "embed that was stopped left $(find "$work" -name '*.part')"
[ ! -e "$work/stopped.labels.npy" ] || fail "embed that was stopped left labels"
expect 0 "$bin/embed" "$encoder" --count 3 --format csv --out "$work/stopped.csv"
[ "$(grep -c , "$work/stopped.csv")" = 4 ] || fail "the rows of three images are not there"
ln -s some.npy "$work/link.npy"
expect 0 "$bin/embed" "$encoder" --count 5 --out "$work/link.npy"
[ -L "$work/link.npy" ] && head -c 128 "$work/some.npy" | grep -q -a "(5, " || fail "a link to a file is not followed"
expect 0 "$bin/embed" "$encoder" --count 3 --format csv --out /dev/null
[ -c /dev/null ] || fail "/dev/null was written over"

# Folders with odd names: quotes, a backslash, a line break, letters of other scripts, bytes that are no UTF-8.
if [ ! -x "$bin/preview" ]; then
    echo "without preview, which makes the PNG files, only the built-in images were tried"
    exit 0
fi
expect 0 "$bin/preview" --count 1 --size 8 --out "$work/image.png"
odd=$(printf 'b"q\\s\nz|')
for name in "a" "${odd%|}" "$(printf 'c\303\251')" "$(printf 'd\377')"; do
    mkdir -p "$work/images/$name"
    cp "$work/image.png" "$work/images/$name/1.png"
done
expect 0 "$bin/embed" "$encoder" --data "folder:$work/images" --out "$work/odd.npy"
printf '["a",\n "b\\"q\\\\s\\u000az",\n "c\303\251",\n "d\\udcff"]\n' >"$work/expected.json"
cmp "$work/odd.classes.json" "$work/expected.json" || fail "the names of odd folders are not as they should be"

# Without classes there are no names, nor those of an earlier file.
mkdir "$work/flat"
cp "$work/image.png" "$work/flat"
expect 0 "$bin/embed" "$encoder" --data "folder:$work/flat" --out "$work/odd.npy"
not_said classes.json
[ ! -e "$work/odd.classes.json" ] || fail "names of an earlier file were left beside images without classes"
