# convert --inspect: what a file says about itself reaches the terminal as text.
. "$(dirname "$0")/programs.sh"

# A safetensors file of one byte of data.
header='{"\u001b[31mred":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a\nb\u009bc":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},"__metadata__":{"key\u001b[2J":"one\ntwo\u0007","umlaut":"\u00fc"}}'
length=$(printf %s "$header" | wc -c)
{
    printf "\\$(printf %o "$length")\\0\\0\\0\\0\\0\\0\\0"
    printf '%s\0' "$header"
} >"$work/hostile.safetensors"
"$bin/convert" --inspect "$work/hostile.safetensors" >"$work/output" 2>&1 || {
    grep -q "without Jansson" "$work/output" || fail "a hostile file"
    echo "skipped: this build reads no safetensors files"
    exit 77
}
said '\x1b[31mred'
said 'a\nb\x9bc'
said 'key\x1b[2J = one\ntwo\x07'
said 'umlaut = ü'
[ "$(tr -d '\012\040-\176\303\274' <"$work/output" | wc -c)" = 0 ] || fail "the output has control characters"
[ "$(wc -l <"$work/output")" = 8 ] || fail "a name makes a line of its own"

# Sentences of the library, too: they quote a name, here of a tensor that does not fit.
expect 2 "$bin/convert" "$work/hostile.safetensors" "$work/out" --to torch
said '\x1b[31mred'
[ "$(tr -d '\012\040-\176\303\274' <"$work/output" | wc -c)" = 0 ] || fail "the message has control characters"
