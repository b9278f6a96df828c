# Messages speak of the options that were typed, not of the library's fields.
. "$(dirname "$0")/programs.sh"

# The first line begins "PROGRAM: --OPTION" and has no word that only a programmer knows.
about() { # OPTION PROGRAM ARGUMENTS...
    option=$1 program=$2
    shift 2
    expect 2 "$bin/$program" "$@"
    grep -q -e "^$program: $option[ :]" "$work/output" || fail "$program $*: the message is not about $option"
    if grep -v -e '^Try' "$work/output" | sed 's/^[a-z_]*: //; s/"[^"]*"//g; s/cifar_resnet[D0-9]*//g; s/[a-z0-9]*resnet[0-9x_a-z]*//g' |
        grep -E -e '[a-z]_[a-z]|MOCO_|(encoder|loader|augment|queue|optimizer|schedule|trainer)\.[a-z]' >"$work/words"; then
        fail "$program $*: the message has a word of the library's: $(cat "$work/words")"
    fi
}

# What the library says about a setting, about a part that is made, and what the programs see themselves.
while read -r option value; do
    about "$option" pretrain --data synthetic:count=64 --out "$work/run" "$option" "$value"
done <<END
--augment foo
--arch foo
--backend foo
--batch-size 0
--batch-size 100
--bn-groups x
--bn-groups 65
--bn-layout foo
--cache foo
--cache-bytes -1
--compute foo
--data foo
--dim 0
--drop-last 2
--epochs 0.5
--head foo
--keep 0
--knn-bank -1
--knn-output pixels
--lr -1
--max-broken 3
--momentum 2
--momentum-end 3
--queue-size 0
--queue-start foo
--queue-storage f16
--save-every foo
--schedule foo
--seed x
--sgd-momentum 1
--sgd-momentum 2
--size 99999
--stem foo
--temperature 0
--test-count 0
--test-data foo
--threads x
--warmup-epochs -1
--weight-decay -1
--workers 1000
END
expect 2 "$bin/pretrain" --data synthetic:count=64 --out "$work/run" --batch-size 100
said "--drop-last would leave no batch; make the batch smaller or --drop-last 0"
expect 2 "$bin/pretrain" --data synthetic:count=64 --out "$work/run" --recipe quick:foo=1
not_said "moco_recipe_key"
expect 2 "$bin/pretrain" --data synthetic:count=65 --out "$work/run" --batch-size 20 --drop-last 0 --bn-groups 8
said "--drop-last is 0, and the last batch of an epoch has 5 images: --bn-groups is 8; it must be at most"
not_said "kNN" # at once
[ ! -e "$work/run" ] || fail "a mistake on the command line made a folder"

# Values by their names, too.
if [ "$("$bin/pretrain" --backend reference --compute bf16-required --data synthetic:count=64 --out "$work/run" 2>&1 |
    grep -c -e '^pretrain: --compute is bf16-required, but')" != 1 ]; then
    fail "a value of --compute is not called what was typed"
fi

# A limit that a run meets: six of eight images are broken.
if [ -x "$bin/preview" ]; then
    mkdir "$work/images"
    for i in 1 2 3 4 5 6 7 8; do
        if [ $i -gt 6 ]; then
            expect 0 "$bin/preview" --data synthetic:count=8 --count 1 --size 16 --out "$work/images/$i.png"
        else
            echo "no image" >"$work/images/$i.png"
        fi
    done
    expect 1 "$bin/pretrain" --data "folder:$work/images" --size 8 --batch-size 4 --bn-groups 1 --max-broken 0.1 \
        --out "$work/broken"
    said "--max-broken"
    not_said "max_broken_fraction"
fi

# shellcheck disable=SC2086
expect 0 "$bin/pretrain" $quick --out "$work/run"
encoder=$work/run/encoder.safetensors
reads_encoders "$encoder"
about --data knn_eval "$encoder" --data foo
about --test-data knn_eval "$encoder" --test-data foo
about --augment knn_eval "$encoder" --augment foo
about --bank knn_eval "$encoder" --bank -1
about --k knn_eval "$encoder" --k 0
about --data embed "$encoder" --data foo
about --augment embed "$encoder" --augment foo
about --count embed "$encoder" --count -1
if [ -x "$bin/preview" ]; then
    about --data preview --data foo
    about --augment preview --augment foo
fi

# What there is no memory for.
# The address sanitizer would end the program at so large a size, where the C library answers NULL.
expect 1 env ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}allocator_may_return_null=1" \
    "$bin/pretrain" --data synthetic:count=64 --out "$work/fresh" --queue-size 99999999999999
said "out of memory: --queue-size is 99999999999999"
