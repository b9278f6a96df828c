#!/usr/bin/env python3
"""Reads what make_exports wrote by Python's standard library and NumPy alone: torch's zip by zipfile and pickle, safetensors
and config.json by json, ONNX by the words of onnx.proto3 (read_onnx.py), whose nodes NumPy then computes. Every file must
hold the same numbers, and every graph what libmoco computed.

    check_exports.py PROGRAM        77: there is no NumPy
"""
import collections
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import zipfile

try:
    import numpy as np
except ImportError:
    print("NumPy is not installed: left out")
    sys.exit(77)
import read_onnx

NETWORKS = [
    ("cifar_resnet8", "size=16"),
    ("resnet18", "size=32", "encoder.head=linear", "only=backbone.safetensors,whole.safetensors,torch.pth,detectron2.pth,timm,folded.onnx"),
    ("mlp", "size=8", "encoder.mlp_input_dim=192", "encoder.mlp_hidden_dim=24", "encoder.mlp_layers=3"),
]
DTYPES = {"F32": "<f4", "I64": "<i8"}


def read_safetensors(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0 and content[8:9] == b"{"
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors, expected = {}, 0
    for name, entry in sorted(header.items(), key=lambda row: row[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        assert begin == expected, name
        expected = end
        tensors[name] = np.frombuffer(content[8 + length :][begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    assert 8 + length + expected == len(content)
    return tensors, metadata


class StateDictUnpickler(pickle.Unpickler):
    """What torch.load with weights_only=True allows, of which a state_dict has need."""

    def __init__(self, archive, prefix):
        super().__init__(io.BytesIO(archive.read(prefix + "data.pkl")))
        self.archive, self.prefix = archive, prefix

    def find_class(self, module, name):
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self.rebuild,
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
        }
        return known[module, name]

    def persistent_load(self, saved):
        kind, dtype, key, place, count = saved
        assert kind == "storage" and place == "cpu"
        values = np.frombuffer(self.archive.read(f"{self.prefix}data/{key}"), dtype)
        assert len(values) == count
        return values

    @staticmethod
    def rebuild(storage, offset, size, stride, requires_grad, hooks):
        assert offset == 0 and not requires_grad and not hooks
        assert stride == tuple(int(np.prod(size[i + 1 :])) for i in range(len(size)))
        return storage.reshape(size)


def read_torch(path):
    archive = zipfile.ZipFile(path)
    assert archive.testzip() is None
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    prefix = archive.infolist()[0].filename.split("/")[0] + "/"
    assert archive.read(prefix + "version") == b"3\n" and archive.read(prefix + "byteorder") == b"little"
    content = archive.read(prefix + "data.pkl")
    assert content[:2] == b"\x80\x02"
    return StateDictUnpickler(archive, prefix).load()


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[k], right[k]) and left[k].shape == right[k].shape for k in left)


def sorted_by_name(tensors):
    return dict(sorted(tensors.items()))


def detectron2_names(state):
    """MoCo's detection/convert-pretrain-to-detectron2.py, in other words."""
    names = {}
    for name, value in state.items():
        if "layer" not in name:
            name = "stem." + name
        for stage in (1, 2, 3, 4):
            name = name.replace(f"layer{stage}", f"res{stage + 1}")
        for layer in (1, 2, 3):
            name = name.replace(f"bn{layer}", f"conv{layer}.norm")
        names[name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")] = value
    return names


def check_tensors(name, folder):
    backbone, metadata = read_safetensors(folder / "backbone.safetensors")
    whole, whole_metadata = read_safetensors(folder / "whole.safetensors")
    head = {key for key in whole if key.startswith("fc.")}
    assert head and not any(key in head for key in backbone)
    assert same(sorted_by_name(backbone), sorted_by_name({k: v for k, v in whole.items() if k not in head}))
    assert metadata["format"] == "pt" and metadata["moco.head"] == "none" and whole_metadata["moco.head"] != "none"
    assert metadata["moco.architecture"] == name and metadata["moco.description"] == "made by make_exports"
    assert json.loads(metadata["moco.class_names"]) == ["cat", 'dog "Rex"', "éléphant"]
    assert metadata["moco.view.mean"] == "0.485/0.456/0.406"
    counters = [v for k, v in backbone.items() if k.endswith("num_batches_tracked")]
    assert counters and all(v.shape == () and v == 5 for v in counters)

    state = read_torch(folder / "torch.pth")
    assert type(state) is collections.OrderedDict and same(sorted_by_name(state), sorted_by_name(backbone))
    for key in [k for k in state if k.endswith("running_var")]:  # PyTorch's order
        order = list(state)
        assert order[order.index(key) + 1] == key.replace("running_var", "num_batches_tracked")
    if not (folder / "moco.pth.tar").exists():
        return check_detectron2(folder, state), head, whole
    assert same(sorted_by_name(read_torch(folder / "torch_whole.pth")), sorted_by_name(whole))
    official = read_torch(folder / "moco.pth.tar")
    assert list(official) == ["epoch", "arch", "state_dict"] and official["epoch"] == 199 and official["arch"] == name
    prefix = "module.encoder_q."
    assert all(key.startswith(prefix) for key in official["state_dict"])
    assert same(sorted_by_name({k[len(prefix) :]: v for k, v in official["state_dict"].items()}), sorted_by_name(whole))
    assert not (folder / "detectron2.pth").exists() and "detectron2.pth: detectron2 knows" in (folder / "refused.txt").read_text()
    return backbone, head, whole


def check_detectron2(folder, state):
    detectron2 = read_torch(folder / "detectron2.pth")
    assert same(detectron2["model"], detectron2_names(state))
    assert detectron2["matching_heuristics"] is True and "PIXEL_MEAN: [123.675," in detectron2["note"]
    return state


def check_timm(name, folder, backbone, head, whole):
    weights, _ = read_safetensors(folder / "timm" / "model.safetensors")
    assert same(sorted_by_name(weights), sorted_by_name(backbone))
    head_file, _ = read_safetensors(folder / "timm" / "head.safetensors")
    assert same(sorted_by_name(head_file), sorted_by_name({k: whole[k] for k in head}))
    place = folder / "timm" / "config.json"
    if not place.exists():
        compile((folder / "timm" / "build_model.py").read_text(), "build_model.py", "exec")
        return
    config = json.loads(place.read_text())
    assert config["architecture"] == name and config["num_classes"] == 0 and config["model_args"] == {}
    assert config["num_features"] == 512 and config["pretrained_cfg"]["input_size"] == [3, 32, 32]
    assert config["pretrained_cfg"]["std"] == [0.229, 0.224, 0.225] and config["pretrained_cfg"]["crop_pct"] == 0.875


def check_onnx(name, folder, whole):
    """What NumPy computes from each graph in float64, beside libmoco's float32."""
    n, c, h, w, features, dim = map(int, (folder / "sizes.txt").read_text().split())
    images = np.fromfile(folder / "images.bin", "<f4").reshape(n, c, h, w)
    pixels = np.fromfile(folder / "pixels.bin", "u1").reshape(n, h, w, c)
    backbone = np.fromfile(folder / "features.bin", "<f4").reshape(n, features)
    embeddings = np.fromfile(folder / "embeddings.bin", "<f4").reshape(n, dim)
    for title, entry, images_of, shape, expected in (
        ("backbone", ("images", 1), images, [c, h, w], backbone),
        ("folded", ("images", 1), images, [c, h, w], backbone),
        ("pixels", ("pixels", 2), pixels, [h, w, c], backbone),
        ("embedding", ("images", 1), images, [c, h, w], embeddings),
    ):
        if not (folder / f"{title}.onnx").exists():
            continue
        model = read_onnx.read_model(folder / f"{title}.onnx")
        assert model["ir"] == 8 and model["opset"] == 17
        assert model["input"] == (*entry, ["batch", *shape])
        output = "embeddings" if title == "embedding" else "features"
        assert model["output"] == (output, 1, ["batch", expected.shape[1]])
        assert ("BatchNormalization" in {node[0] for node in model["nodes"]}) == (title in ("backbone", "embedding"))
        assert model["metadata"]["moco.architecture"] == name and json.loads(model["metadata"]["moco.class_names"])[0] == "cat"
        if title == "embedding":
            assert all(np.array_equal(tensor, whole[key]) for key, tensor in model["tensors"].items() if key in whole)
        error = np.abs(read_onnx.compute(model, images_of) - expected).max() / np.abs(expected).max()
        assert error < 2e-5, (title, error)
        print(f"{name}, {title}.onnx: {len(model['nodes'])} nodes, largest difference {error:.1e}")


def main():
    program = pathlib.Path(sys.argv[1])
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # files are synchronised, which disks are slow at
    for name, *settings in NETWORKS:
        with tempfile.TemporaryDirectory(dir=fast) as place:
            folder = pathlib.Path(place) / "model"
            subprocess.run([program, folder, name, *settings], check=True)
            backbone, head, whole = check_tensors(name, folder)
            check_timm(name, folder, backbone, head, whole)
            check_onnx(name, folder, whole)
            print(f"{name}: {len(backbone)} tensors, and {len(head)} of the head, alike in all files")


if __name__ == "__main__":
    main()
