#!/usr/bin/env python3
"""What embed writes, read by Python's standard library and NumPy alone: every format must hold the numbers of the .npy.

    check_embeddings.py PRETRAIN EMBED        77: there is no NumPy
"""
import csv
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

try:
    import numpy as np
except ImportError:
    print("NumPy is not installed: left out")
    sys.exit(77)

COUNT = 21
CLASSES = ["circle, filled", 'say "square"']


def write_images(folder):
    """PPM files of two classes whose names need quoting in CSV and JSON."""
    for index in range(COUNT):
        place = folder / CLASSES[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.full((16, 16, 3), 10 * index, np.uint8)
        pixels[4:12, 4:12] = (index % 2 * 200, 30, 250 - 10 * index)
        (place / f"{index:02}.ppm").write_bytes(b"P6 16 16 255\n" + pixels.tobytes())


def read_faiss(path):
    content = path.read_bytes()
    kind, dim, total, unused, unused_too, trained, metric, floats = struct.unpack_from("<4siqqqBiQ", content)
    assert unused == unused_too == 1 << 20 and trained == 1 and floats == total * dim
    assert (kind, metric) in ((b"IxFI", 0), (b"IxF2", 1))
    return kind, np.frombuffer(content[45:], "<f4").reshape(total, dim)


def read_png(path):
    content, at, packed = path.read_bytes(), 8, b""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", content, at + 8)
        packed += content[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    assert (depth, colour) == (8, 2)
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width).astype(int)
    pixels = np.zeros((height, 3 * width), int)
    for y, line in enumerate(lines):
        above = pixels[y - 1] if y else np.zeros(3 * width, int)
        for x in range(3 * width):
            left = pixels[y, x - 3] if x >= 3 else 0
            corner = above[x - 3] if x >= 3 else 0
            guess = left + above[x] - corner
            paeth = min((left, above[x], corner), key=lambda value: abs(guess - value))
            pixels[y, x] = (line[1 + x] + (0, left, above[x], (left + above[x]) // 2, paeth)[line[0]]) % 256
    return pixels.reshape(height, width, 3)


def main():
    pretrain, embed = sys.argv[1:3]
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=fast) as place:
        folder = pathlib.Path(place)
        write_images(folder / "images")

        def run(*command):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        run(pretrain, "--data", f"folder:{folder / 'images'}", "--recipe", "quick:arch=cifar_resnet8,workers=0,size=16", "--queue-size", "32",
            "--batch-size", "8", "--epochs", "1", "--max-steps", "2", "--out", str(folder / "run"))
        encoder = str(folder / "run" / "encoder.safetensors")
        first = subprocess.run([embed, encoder, "--out", str(folder / "first")], capture_output=True, text=True)
        if "without Jansson" in first.stderr:
            print("this build reads no encoder files: left out")
            return 77
        header = (folder / "run" / "encoder.safetensors").read_bytes()
        metadata = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
        assert json.loads(metadata["moco.class_names"]) == CLASSES
        assert metadata["moco.view.height"] == "16" and metadata["moco.view.std"] == "0.2023/0.1994/0.201"
        for name in ("npy", "csv", "jsonl", "faiss", "faiss-l2", "projector"):
            run(embed, encoder, "--format", name, "--out", str(folder / name))
        rows, labels = np.load(folder / "npy"), np.load(folder / "npy.labels.npy")
        assert rows.dtype == np.float32 and len(rows) == len(labels) == COUNT and len(np.unique(rows, axis=0)) > 1

        table = list(csv.reader((folder / "csv").open(newline="")))
        assert table[0] == ["filename", "label", "class"] + [f"embedding_{i}" for i in range(rows.shape[1])]
        assert np.array_equal(np.array([row[3:] for row in table[1:]], np.float32), rows)
        assert [int(row[1]) for row in table[1:]] == list(labels)
        assert [row[2] for row in table[1:]] == [CLASSES[label] for label in labels]
        assert all(pathlib.Path(row[0]).exists() and pathlib.Path(row[0]).parent.name == row[2] for row in table[1:])

        lines = [json.loads(line) for line in (folder / "jsonl").read_text().splitlines()]
        assert np.array_equal(np.array([line["embedding"] for line in lines], np.float32), rows)
        assert [[line["filename"], str(line["label"]), line["class"]] for line in lines] == [row[:3] for row in table[1:]]

        for name, kind in (("faiss", b"IxFI"), ("faiss-l2", b"IxF2")):
            found, vectors = read_faiss(folder / name)
            assert found == kind and np.array_equal(vectors, rows)
        run(embed, encoder, "--format", "faiss", "--unit-rows", "--out", str(folder / "unit"))
        assert np.allclose(read_faiss(folder / "unit")[1], rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)

        projector = folder / "projector"
        tensors = [line.split("\t") for line in (projector / "tensors.tsv").read_text().splitlines()]
        assert np.array_equal(np.array(tensors, np.float32), rows)
        metadata = [line.split("\t") for line in (projector / "metadata.tsv").read_text().splitlines()]
        assert metadata == [["filename", "label", "class"]] + [row[:3] for row in table[1:]]
        settings = (projector / "projector_config.pbtxt").read_text()
        if (projector / "sprite.png").exists():
            assert settings.count("single_image_dim: 48") == 2
            sprite = read_png(projector / "sprite.png")
            assert sprite.shape == (5 * 48, 5 * 48, 3)  # 21 images in rows of 5
            for index, row in enumerate(table[1:]):
                image = np.frombuffer(pathlib.Path(row[0]).read_bytes()[13:], np.uint8).reshape(16, 16, 3)
                corner = sprite[index // 5 * 48 :, index % 5 * 48 :][:48, :48]
                assert np.array_equal(corner, image.repeat(3, 0).repeat(3, 1))
            assert (sprite[4 * 48 :, 48:] == 255).all()
        else:
            assert "sprite" not in settings
        print(f"{COUNT} rows of {rows.shape[1]}, alike in all formats")


if __name__ == "__main__":
    sys.exit(main())
