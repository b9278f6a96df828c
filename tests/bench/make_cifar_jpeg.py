"""Writes CIFAR-10's binary batches out as JPEG files in class folders, OUT/train/<class>/*.jpg and OUT/test/<class>/*.jpg:
many small files, for bench_loader and bench_epoch. --count N writes N training images, again from the first where there
are fewer (each time a little more compressed, so that no two files are alike). Needs Pillow."""

import argparse
import itertools
import os

from PIL import Image

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PLANE = 32 * 32


def records(folder, names):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            while record := file.read(1 + 3 * PLANE):
                yield record


def write(out, all_records, count):
    for name in CLASSES:
        os.makedirs(os.path.join(out, name), exist_ok=True)
    number = 0
    for quality in itertools.count(95, -1):
        for record in all_records():
            if number == count:
                return
            planes = [Image.frombytes("L", (32, 32), record[1 + c * PLANE : 1 + (c + 1) * PLANE]) for c in range(3)]
            path = os.path.join(out, CLASSES[record[0]], f"{number:06d}.jpg")
            Image.merge("RGB", planes).save(path, quality=max(quality, 50))
            number += 1
        if count is None:
            return


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cifar", help="folder of data_batch_1.bin to data_batch_5.bin and test_batch.bin")
parser.add_argument("out")
parser.add_argument("--count", type=int, help="training images; without it all 50,000")
options = parser.parse_args()
write(os.path.join(options.out, "train"), lambda: records(options.cifar, [f"data_batch_{i}.bin" for i in range(1, 6)]), options.count)
write(os.path.join(options.out, "test"), lambda: records(options.cifar, ["test_batch.bin"]), None)
