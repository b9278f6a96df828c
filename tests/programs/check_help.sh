# --help ends well, and has every option that the documents name.
. "$(dirname "$0")/programs.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
# Lines that go on after a backslash are one.
for document in "$root"/README.md "$root"/CHANGELOG.md "$root"/examples/*.md "$root"/examples/howto/*.md "$root"/tests/bench/README.md; do
    sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$document"
done >"$work/text"
found=0
for program in pretrain knn_eval embed preview; do
    [ -x "$bin/$program" ] || continue # preview needs libpng
    expect 0 "$bin/$program" --help
    said "Usage: $program "
    cp "$work/output" "$work/help"
    expect 0 "$bin/$program" -h
    cmp "$work/output" "$work/help" || fail "$program -h is not --help"
    expect 0 "$bin/$program" --version
    # What follows a program's name, up to a # or a backquote, are its options.
    sed -n "s/.*\(\`\|bin\/\|^ *\)$program \([^#\`]*\).*/\2/p" "$work/text" | grep -o -e '--[a-z][a-z-]*' |
        sort -u >"$work/options" || true
    while read -r option; do
        found=$((found + 1))
        grep -q -e "^  $option\( \|\$\)" "$work/help" || [ "$option" = --help ] || fail "$program has no $option, which the documents name"
    done <"$work/options"
done
[ $found -gt 10 ] || fail "only $found options found in the documents: this check reads them wrongly"
echo "$found options of the documents are in --help"
