#!/usr/bin/env python3
"""Lets libmoco read what PyTorch, torchvision, timm and safetensors write, and compares: every tensor bit for bit, features of
ResNets, and the losses by which an official-shaped ResNet-50 v2 checkpoint (both encoders, queue, optimizer) goes on. By
hand, in an environment that has them:

    pip install torch torchvision timm safetensors
    python3 tests/interop/check_weights.py build/tests/interop/read_weights [train]

"train" leaves the other comparisons out.

Prints a line for each comparison; exits 1 where a tensor differs, a feature by more than 1e-4 of the largest, or a loss by more
than 1e-4.
"""
import copy
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file

PROGRAM = sys.argv[1]
LIMIT = 1e-4
failures = 0


def claim(what, truth, detail=""):
    global failures
    failures += not truth
    print(f"{what:58} {detail:12} {'' if truth else 'FAILED'}", flush=True)


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True).stdout.splitlines()


def leaves(prefix, node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(f"{prefix}{key}.", value)
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from leaves(f"{prefix}{i}.", value)
    elif isinstance(node, torch.Tensor):
        yield prefix[:-1], node


def bit_exact(folder, what, path, tree):
    lines = run("list", path, folder / "values")
    values = np.fromfile(folder / "values", "<f4")
    expected = dict(leaves("", tree))
    same, at = len(lines) - 1 == len(expected), 0
    for line in lines[1:]:
        name, _, *shape = line.split()
        tensor = expected[name].detach()
        count = tensor.numel()
        same &= [int(n) for n in shape] == list(tensor.shape)
        wanted = tensor.float().contiguous().reshape(-1).numpy()
        same &= values[at:at + count].tobytes() == wanted.tobytes()
        at += count
    claim(what, same, f"{len(expected)} tensors")


def features(folder, what, path, architecture, head, expected, images):
    images.numpy().astype("<f4").tofile(folder / "images")
    line = run("features", path, architecture, head, len(images), images.shape[2], folder / "images", folder / "out")[0]
    found = np.fromfile(folder / "out", "<f4").reshape(expected.shape)
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    claim(f"{what}: {line.split(' prefix ')[1]}", error <= LIMIT, f"{error:.1e}")


def give_statistics(model):
    """BatchNorm statistics that are not those of a new network, so that features depend on them."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 64, 64))
    return model.eval()


def check_networks(folder):
    images = torch.randn(4, 3, 96, 96)
    for name in ("resnet18", "resnet50"):
        model = give_statistics(torchvision.models.get_model(name, weights=None))
        body = copy.deepcopy(model)
        body.fc = torch.nn.Identity()
        with torch.no_grad():
            expected = body.eval()(images).numpy()
        state = model.state_dict()
        files = {
            "state_dict.pth": state,
            "model.pth": {"model": state, "epoch": 3},
            "solo.ckpt": {"state_dict": {f"backbone.{k}": v for k, v in state.items()}},
            "compiled.pth": {"state_dict": {f"_orig_mod.module.{k}": v for k, v in state.items()}},
            "v3.pth.tar": {"state_dict": {f"module.base_encoder.{k}": v for k, v in state.items()} |
                           {f"module.momentum_encoder.{k}": v + 1 for k, v in state.items()}},
        }
        for file, tree in files.items():
            for legacy in (False, True):
                path = folder / file
                torch.save(tree, path, _use_new_zipfile_serialization=not legacy)
                what = f"{name} {file}{' legacy' if legacy else ''}"
                bit_exact(folder, what, path, tree)
                if not legacy:
                    features(folder, what, path, name, "none", expected, images)
        save_file(state, folder / "plain.safetensors")
        bit_exact(folder, f"{name} safetensors without metadata", folder / "plain.safetensors", state)
        features(folder, f"{name} safetensors without metadata", folder / "plain.safetensors", name, "none", expected, images)
        half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}
        torch.save(half, folder / "half.pth")
        bit_exact(folder, f"{name} bfloat16", folder / "half.pth", half)
    model = give_statistics(timm.create_model("resnet50", pretrained=False, num_classes=0))
    with torch.no_grad():
        expected = model(images).numpy()
    torch.save({"state_dict": model.state_dict(), "arch": "resnet50"}, folder / "timm.pth.tar")
    features(folder, "timm resnet50", folder / "timm.pth.tar", "resnet50", "none", expected, images)


class MoCo(torch.nn.Module):
    """v2 by Algorithm 1 of arXiv 1911.05722, with the names of the official code's modules and buffers."""

    def __init__(self, dim, keys):
        super().__init__()
        self.encoder_q, self.encoder_k = self.make(dim), self.make(dim)
        for q, k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            k.data.copy_(q.data)
            k.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(dim, keys), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    @staticmethod
    def make(dim):
        model = torchvision.models.resnet50(num_classes=dim)
        width = model.fc.in_features
        model.fc = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), model.fc)
        for module in model.modules():
            if isinstance(module, torchvision.models.resnet.Bottleneck):
                torch.nn.init.constant_(module.bn3.weight, 0.1)
        return model

    def forward(self, im_q, im_k):
        q = F.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            for a, b in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
                b.data = b.data * 0.999 + a.data * (1 - 0.999)
            k = F.normalize(self.encoder_k(im_k), dim=1)
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ self.queue.clone()], 1) / 0.2
        at = int(self.queue_ptr)
        self.queue[:, at:at + len(k)] = k.T
        self.queue_ptr[0] = (at + len(k)) % self.queue.shape[1]
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def check_training(folder, dim=128, keys=1024, batch=8, size=64, before=2, after=3):
    """The residual branches are weak, as those of a trained network are beside the path around them: of a new ResNet-50's
    losses, PyTorch's own in float32 and float64 differ by 3e-3 after a step."""
    model = torch.nn.Module()
    model.module = MoCo(dim, keys)
    optimizer = torch.optim.SGD(model.parameters(), 0.003, momentum=0.9, weight_decay=1e-4)
    views = torch.randn(before + after, 2, batch, 3, size, size)

    def step(number):
        loss = model.module(views[number, 0], views[number, 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for number in range(before):
        step(number)
    path = folder / "checkpoint_0002.pth.tar"
    tree = {"epoch": before, "arch": "resnet50", "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(tree, path)
    bit_exact(folder, "official ResNet-50 v2 checkpoint", path, tree)
    views[before:].numpy().astype("<f4").tofile(folder / "views")
    expected = [step(number) for number in range(before, before + after)]
    lines = run("train", path, keys, dim, batch, size, folder / "views")
    claim(lines[0], lines[0].startswith("key_encoder 1 queue 1 optimizer 1"))
    losses = [float(line) for line in lines[1:]]
    claim("as many steps", len(losses) == after)
    for number, (found, wanted) in enumerate(zip(losses, expected)):
        claim(f"step {number}: loss {found:.6f}, PyTorch's {wanted:.6f}", abs(found - wanted) <= LIMIT,
              f"{abs(found - wanted):.1e}")


def main():
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if "train" not in sys.argv[2:]:
            check_networks(folder)
        check_training(folder)
    print("all the same" if failures == 0 else f"{failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
