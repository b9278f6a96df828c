#!/usr/bin/env python3
"""Opens what make_exports wrote with PyTorch, torchvision, timm, transformers, ONNX Runtime and FAISS, and compares what they
compute with what libmoco computed. By hand, in an environment that has them:

    pip install torch torchvision timm transformers safetensors onnx onnxruntime faiss-cpu
    python3 tests/interop/check_peers.py build/tests/interop/make_exports [ARCHITECTURE ...]

Prints a table of the largest differences; exits 1 where one is above 1e-4 (relative to the largest value).
"""
import argparse
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision

LIMIT = 1e-4
NETWORKS = [
    ("resnet18", "size=224"),
    ("resnet50", "size=224"),
    ("resnext50_32x8d", "size=64"),
    ("wide_resnet50_2", "size=64"),
    ("resnet18", "encoder.stem=cifar", "encoder.head=linear"),
    ("cifar_resnet8", "encoder.bn_eps=0.001"),
    ("resnet50_w2", "size=64"),
    ("mlp", "encoder.mlp_input_dim=3072"),
]
failures = 0


def report(network, peer, value, expected):
    global failures
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        failures += 1
        print(f"{network:34} {peer:42} SHAPE {value.shape}, expected {expected.shape}")
        return
    error = float(np.abs(value - expected).max() / np.abs(expected).max())
    failed = not error <= LIMIT
    failures += failed
    print(f"{network:34} {peer:42} {error:.1e}{'  FAILED' if failed else ''}")


def claim(network, peer, truth):
    global failures
    failures += not truth
    print(f"{network:34} {peer:42} {'yes' if truth else 'NO, FAILED'}")


def detectron2_names(state):
    """MoCo's detection/convert-pretrain-to-detectron2.py, in other words."""
    names = {}
    for key, value in state.items():
        name = key.removeprefix("module.encoder_q.")
        if name.startswith("fc."):
            continue
        if "layer" not in name:
            name = "stem." + name
        for stage in (1, 2, 3, 4):
            name = name.replace(f"layer{stage}", f"res{stage + 1}")
        for layer in (1, 2, 3):
            name = name.replace(f"bn{layer}", f"conv{layer}.norm")
        names[name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")] = value
    return names


def read_folder(folder):
    n, c, h, w, features, dim = map(int, (folder / "sizes.txt").read_text().split())
    return {
        "images": np.fromfile(folder / "images.bin", "<f4").reshape(n, c, h, w),
        "pixels": np.fromfile(folder / "pixels.bin", "u1").reshape(n, h, w, c),
        "features": np.fromfile(folder / "features.bin", "<f4").reshape(n, features),
        "embeddings": np.fromfile(folder / "embeddings.bin", "<f4").reshape(n, dim),
    }


def run_torch(model, images):
    with torch.no_grad():
        output = model.eval()(torch.from_numpy(images))
    return getattr(output, "pooler_output", output).numpy()


def check_torchvision(network, name, folder, data):
    from safetensors.torch import load_file

    state = torch.load(folder / "torch.pth", weights_only=True)
    whole = torch.load(folder / "torch_whole.pth", weights_only=True)
    head = {key: value for key, value in whole.items() if key.startswith("fc.")}
    same = load_file(folder / "backbone.safetensors")
    claim(network, "safetensors = torch's zip", state.keys() == same.keys() and all(torch.equal(same[k], v) for k, v in state.items()))
    for title, weights in (("torchvision, strict, from safetensors", same), ("torchvision, strict, torch.load", state)):
        model = getattr(torchvision.models, name)()
        model.fc = torch.nn.Identity()
        model.load_state_dict(weights, strict=True)
        report(network, title, run_torch(model, data["images"]), data["features"])
    if "fc.weight" in head:
        model.fc = torch.nn.Linear(head["fc.weight"].shape[1], head["fc.weight"].shape[0])
    else:
        hidden, features = head["fc.0.weight"].shape
        model.fc = torch.nn.Sequential(torch.nn.Linear(features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, head["fc.2.weight"].shape[0]))
    model.load_state_dict(whole, strict=True)
    model.eval()
    report(network, "torchvision, strict, with head", run_torch(lambda_normalized(model), data["images"]), data["embeddings"])
    check_official(network, name, folder, data)


def lambda_normalized(model):
    class Normalized(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.normalize(model(x), dim=1)

    return Normalized()


def check_official(network, name, folder, data):
    """The lines of the official main_lincls.py."""
    checkpoint = torch.load(folder / "moco.pth.tar", weights_only=True)
    state_dict = checkpoint["state_dict"]
    official = dict(state_dict)
    model = getattr(torchvision.models, name)()
    for k in list(state_dict.keys()):
        if k.startswith("module.encoder_q") and not k.startswith("module.encoder_q.fc"):
            state_dict[k[len("module.encoder_q."):]] = state_dict[k]
        del state_dict[k]
    message = model.load_state_dict(state_dict, strict=False)
    claim(network, "official linear evaluation's assertion", set(message.missing_keys) == {"fc.weight", "fc.bias"})
    claim(network, "epoch and arch", checkpoint["epoch"] == 199 and checkpoint["arch"] == name)
    model.fc = torch.nn.Identity()
    report(network, "official MoCo layout", run_torch(model, data["images"]), data["features"])
    detectron2 = torch.load(folder / "detectron2.pth", weights_only=True)
    wanted = detectron2_names(official)
    found = detectron2["model"]
    claim(network, "detectron2's names", found.keys() == wanted.keys() and all(torch.equal(found[k], v) for k, v in wanted.items()))


def check_timm(network, folder, data):
    if not (folder / "timm" / "config.json").exists():
        place = folder / "timm" / "build_model.py"
        spec = importlib.util.spec_from_file_location("build_model", place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        report(network, "build_model.py", run_torch(module.build_model(), data["images"]), data["features"])
        return
    import timm
    from transformers import AutoImageProcessor, AutoModel

    model = timm.create_model(f"local-dir:{folder / 'timm'}", pretrained=True)
    report(network, "timm, local-dir", run_torch(model, data["images"]), data["features"])
    settings = timm.data.resolve_data_config({}, model=model)
    claim(network, "timm's input size and mean", tuple(settings["input_size"]) == data["images"].shape[1:] and tuple(settings["mean"]) == (0.485, 0.456, 0.406))
    model = AutoModel.from_pretrained(folder / "timm")
    report(network, "transformers, AutoModel", run_torch(model, data["images"]), data["features"])
    processor = AutoImageProcessor.from_pretrained(folder / "timm")
    claim(network, "transformers, AutoImageProcessor", tuple(processor.data_config["input_size"]) == data["images"].shape[1:])


def check_onnx(network, folder, data):
    import onnx
    import onnxruntime

    for name, images, expected in (
        ("backbone", "images", "features"),
        ("folded", "images", "features"),
        ("pixels", "pixels", "features"),
        ("embedding", "images", "embeddings"),
    ):
        path = folder / f"{name}.onnx"
        if not path.exists():
            continue
        onnx.checker.check_model(onnx.load(path), full_check=True)
        session = onnxruntime.InferenceSession(path)
        entry = session.get_inputs()[0].name
        report(network, f"onnxruntime, {name}", session.run(None, {entry: data[images]})[0], data[expected])
        one = session.run(None, {entry: data[images][:1]})[0]
        report(network, f"onnxruntime, {name}, a batch of 1", one, data[expected][:1])


def check_faiss(path):
    """An index that embed wrote beside the same rows as npy."""
    import faiss

    for index_path in sorted(path.glob("*.faiss")):
        rows = np.load(index_path.with_suffix(".npy"))
        index = faiss.read_index(str(index_path))
        own = (faiss.IndexFlatIP if index.metric_type == faiss.METRIC_INNER_PRODUCT else faiss.IndexFlatL2)(rows.shape[1])
        own.add(rows)
        claim(index_path.name, "faiss.read_index, same neighbours", index.ntotal == len(rows) and all(np.array_equal(a, b) for a, b in zip(index.search(rows, 5), own.search(rows, 5))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("architectures", nargs="*")
    parser.add_argument("--embeddings", type=pathlib.Path, help="a folder of embed's *.faiss, each beside its .npy")
    arguments = parser.parse_args()
    for name, *settings in [] if arguments.architectures == ["none"] else NETWORKS:
        if arguments.architectures and name not in arguments.architectures:
            continue
        network = " ".join([name, *settings])
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place) / "model"
            subprocess.run([arguments.program, folder, name, *settings], check=True)
            data = read_folder(folder)
            if hasattr(torchvision.models, name) and "encoder.stem=cifar" not in settings:
                check_torchvision(network, name, folder, data)
            check_timm(network, folder, data)
            check_onnx(network, folder, data)
    if arguments.embeddings:
        check_faiss(arguments.embeddings)
    print(f"{failures} failed")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
