# Data that was given by a relative path is found again from another folder; where it was moved, the message says what to give.
. "$(dirname "$0")/programs.sh"
if [ ! -x "$bin/preview" ]; then
    echo "without preview, which makes the PNG files, there are no images in files"
    exit 77
fi
expect 0 "$bin/preview" --count 1 --size 8 --out "$work/image.png"
for split in train val; do
    for class in a b; do
        mkdir -p "$work/set/$split/$class"
        for i in 1 2 3 4; do cp "$work/image.png" "$work/set/$split/$class/$i.png"; done
    done
done

# The root of the set stands for its train split, and the other one is found.
cd "$work"
expect 0 "$bin/pretrain" --data folder:set --size 8 --batch-size 4 --queue-size 16 --bn-groups 2 --max-steps 1 --workers 0 \
    --out "$work/run"
said "8 images to train, 8 to test, 2 classes"
said "is the root of a data set with a train and a test split: its folder train is taken"
cd /
expect 0 "$bin/knn_eval" "$work/run/encoder.safetensors" --k 1 --bank 2
said "of 8 test images of folder:$work/set"
mv "$work/set" "$work/moved"
expect 1 "$bin/knn_eval" "$work/run/encoder.safetensors"
said "the file's pretrain.data is folder:$work/set; give --data if the images are elsewhere now"
expect 0 "$bin/knn_eval" "$work/run/encoder.safetensors" --k 1 --data "folder:$work/moved"
expect 2 "$bin/knn_eval" "$work/run/encoder.safetensors" --data "folder:~/no-such-thing-of-moco"
said 'write folder:"$HOME"/...'
