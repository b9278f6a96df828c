# What was learned, as bars: awk -f learning_bars.awk RUN/metrics.jsonl
# Every kNN measurement is a number "knn_top1" in one line; the first such line is before training.

function number(key,    text) {
    if (!match($0, "\"" key "\": [-0-9.e+]+")) return -1
    text = substr($0, RSTART, RLENGTH)
    sub(/.*: /, "", text)
    return text + 0
}
function bar(label, value,    line, i) {
    line = ""
    for (i = 1; i <= value * 50 + 0.5; ++i) line = line "#"
    printf "  %-18s %5.1f %%  %s\n", label, 100 * value, line
}
number("pixels_knn_top1") >= 0 { pixels = number("pixels_knn_top1"); untrained = number("knn_top1"); next }
number("knn_top1") >= 0 { trained = number("knn_top1"); bars[++count] = trained; epochs[count] = number("epoch") + 1 }
END {
    if (!count) { print "  no measurement: the run stopped too early"; exit }
    print "Test images whose class their nearest training images tell (kNN), by what is compared:"
    bar("raw pixels", pixels)
    bar("untrained encoder", untrained)
    for (i = 1; i < count; ++i) bar("epoch " epochs[i], bars[i])
    bar("trained encoder", trained)
    better = pixels > untrained ? pixels : untrained
    gain = 100 * (trained - better)
    than = pixels > untrained ? "raw pixels" : "the untrained encoder"
    if (gain == 0) printf "  no better than %s: train longer, or with other settings\n", than
    else if (gain > 0) printf "  %.1f points better than %s\n", gain, than
    else printf "  %.1f points worse than %s: train longer, or with other settings\n", -gain, than
}
