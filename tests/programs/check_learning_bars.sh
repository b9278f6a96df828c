# The quick start's bars, from numbers worked out by hand: a gain is called a gain, a loss a loss.
. "$(dirname "$0")/programs.sh"
bars=$(dirname "$0")/../../examples/pretrain/learning_bars.awk

cat >"$work/metrics.jsonl" <<END
{"kind": "start", "epoch": 0, "step": 0, "total_steps": 8}
{"kind": "knn", "epoch": 0, "step": 0, "knn_top1": 0.256, "pixels_knn_top1": 0.209}
{"kind": "progress", "epoch": 4, "step": 4, "knn_stage": "encode", "images": 5, "total_images": 70}
{"kind": "epoch", "epoch": 4, "step": 4, "loss": 1, "knn_top1": 0.395, "knn_top5": 0.8}
{"kind": "epoch", "epoch": 9, "step": 8, "loss": 1, "knn_top1": 5.76e-1, "knn_top5": 0.9}
END
expect 0 awk -f "$bars" "$work/metrics.jsonl"
said "  raw pixels          20.9 %  ##########"
said "  untrained encoder   25.6 %  #############"
said "  epoch 5             39.5 %  ####################"
said "  trained encoder     57.6 %  #############################"
said "  32.0 points better than the untrained encoder"
sed -i 's/0.209/0.700/' "$work/metrics.jsonl"
expect 0 awk -f "$bars" "$work/metrics.jsonl"
said "  12.4 points worse than raw pixels: train longer, or with other settings"
sed -i 4,5d "$work/metrics.jsonl"
expect 0 awk -f "$bars" "$work/metrics.jsonl"
said "no measurement"
