#!/usr/bin/env python3
"""Writes architecture_goldens.txt and architecture_structure.txt with PyTorch and torchvision.

    python3 make_architecture_goldens.py

Both libraries fill a network by the same formula (fill), run one training-mode forward and backward, and are compared
by summaries: norm, projection on a fixed pattern, and four elements. PyTorch computes in float64, so that rounding is
libmoco's alone. test_architecture_golden.c reads the files.
"""
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES, GRADIENT, PATTERN, OFF = 1000001, 1000002, 1000003, 2000000  # streams of `hashed` beside parameter indices


class WidenedResNet(ResNet):
    """Every layer `widen` times as wide: R50w2x and R50w4x of arXiv 1911.05722, table 1."""

    def __init__(self, blocks, widen):
        self.widen = widen
        super().__init__(Bottleneck, blocks)
        self.conv1 = nn.Conv2d(3, 64 * widen, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64 * widen)
        self.fc = nn.Linear(2048 * widen, 1000)

    def _make_layer(self, block, planes, *arguments, **options):
        if planes == 64:
            self.inplanes = 64 * self.widen
        return super()._make_layer(block, planes * self.widen, *arguments, **options)


ARCHITECTURES = {
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
    "resnet101": torchvision.models.resnet101,
    "resnet152": torchvision.models.resnet152,
    "resnext50_32x8d": lambda **k: ResNet(Bottleneck, [3, 4, 6, 3], groups=32, width_per_group=8, **k),
    "wide_resnet50_2": torchvision.models.wide_resnet50_2,
    "wide_resnet50_4": lambda **k: ResNet(Bottleneck, [3, 4, 6, 3], width_per_group=256, **k),
    "resnet50_w2": lambda: WidenedResNet([3, 4, 6, 3], 2),
    "resnet50_w4": lambda: WidenedResNet([3, 4, 6, 3], 4),
}


def hashed(stream, count):
    """Pseudo-random numbers in [-1, 1), a pure function of (stream, element)."""
    with np.errstate(over="ignore"):
        h = np.uint32(stream) * np.uint32(0x9E3779B1) + np.arange(count, dtype=np.uint32) * np.uint32(0x85EBCA77)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x2C1B3C6D)
        h ^= h >> np.uint32(12)
        h *= np.uint32(0x297A2D39)
        h ^= h >> np.uint32(15)
    return h.astype(np.float64) / 2147483648.0 - 1.0


def fill(index, name, shape, kinks):
    """The value of parameter `index`, rounded to float32.

    Rounding alone turns some ReLUs of a large network on or off, and with them whole terms of a gradient: PyTorch's own
    float32 and float64 then differ by percents. So without `kinks` BatchNorm's biases lie 5 deviations off zero: nearly
    all ReLUs are surely on, and in a quarter of the channels behind each bn1 surely off.
    """
    u = hashed(index, int(np.prod(shape)))
    if len(shape) >= 2:
        values = u * np.sqrt(6.0 / float(np.prod(shape[1:])))
    elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        values = 1.0 + 0.2 * u
    else:
        values = 0.1 * u
        if not kinks and name.endswith(("bn1.bias", "bn2.bias", "bn3.bias", "downsample.1.bias")):
            off = name.endswith("bn1.bias") & (hashed(index + OFF, len(u)) < -0.5)
            values = values + np.where(off, -5.0, 5.0)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


class GroupedNorm(nn.Module):
    """BatchNorm with statistics per group of samples; running statistics take the mean over the groups."""

    def __init__(self, like, groups, strided):
        super().__init__()
        self.weight, self.bias = like.weight, like.bias
        self.register_buffer("running_mean", like.running_mean)
        self.register_buffer("running_var", like.running_var)
        self.groups, self.strided = groups, strided

    def forward(self, x):
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)
        n = x.shape[0]
        bounds = [g * n // self.groups for g in range(self.groups + 1)]
        rows = [torch.arange(n)[g :: self.groups] if self.strided else torch.arange(bounds[g], bounds[g + 1])
                for g in range(self.groups)]
        parts = [x[r] for r in rows]
        with torch.no_grad():
            dims = [d for d in range(x.dim()) if d != 1]
            mean = torch.stack([p.mean(dims) for p in parts]).mean(0)
            var = torch.stack([p.var(dims, unbiased=True) for p in parts]).mean(0)
            self.running_mean.mul_(0.9).add_(0.1 * mean)
            self.running_var.mul_(0.9).add_(0.1 * var)
        out = torch.cat([F.batch_norm(p, None, None, self.weight, self.bias, training=True) for p in parts])
        return out[torch.argsort(torch.cat(rows))]


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2: three stages of n blocks, with projection shortcuts."""

    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        in_c = 16
        for stage, out_c in enumerate((16, 32, 64)):
            blocks = []
            for i in range((depth - 2) // 6):
                stride = 2 if stage > 0 and i == 0 else 1
                shortcut = None
                if in_c != out_c:
                    shortcut = nn.Sequential(nn.Conv2d(in_c, out_c, 1, stride, bias=False), nn.BatchNorm2d(out_c))
                blocks.append(BasicBlock(in_c, out_c, stride, shortcut))
                in_c = out_c
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Identity()
        self.feature_dim = 64

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, layers):
        super().__init__()
        parts = []
        for i in range(layers):
            parts += [nn.Linear(inputs if i == 0 else hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        self.layers = nn.Sequential(*parts)
        self.fc = nn.Identity()
        self.feature_dim = hidden

    def forward(self, x):
        return self.fc(self.layers(x.flatten(1)))


def backbone(case):
    name = case["architecture"]
    if name == "mlp":
        return Mlp(3 * case["h"] * case["w"], case["mlp_hidden"], case["mlp_layers"])
    if name.startswith("cifar_resnet"):
        return CifarResNet(int(name[len("cifar_resnet") :]))
    net = ARCHITECTURES[name]()
    net.feature_dim = net.fc.in_features
    if case["stem"] == 1:
        net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        net.maxpool = nn.Identity()
    return net


def build(case):
    net = backbone(case)
    dim = net.feature_dim
    if case["head"] == 1:
        net.fc = nn.Linear(dim, case["dim"])
    elif case["head"] == 2:
        net.fc = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, case["dim"]))
    else:
        net.fc = nn.Identity()
    for module in list(net.modules()):
        for key, child in list(module.named_children()):
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)) and case["groups"] > 1:
                setattr(module, key, GroupedNorm(child, case["groups"], case["strided"]))
            if isinstance(child, nn.ReLU):
                setattr(module, key, nn.ReLU(inplace=False))
    return net.double()


def entries(net):
    return [(k, v) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]


def summary(values):
    v = values.detach().double().numpy().reshape(-1)
    samples = [v[k * (len(v) - 1) // 3] for k in range(4)]
    numbers = [np.linalg.norm(v), float(v @ hashed(PATTERN, len(v)))] + samples
    return " ".join(f"{x:.7g}" for x in numbers)


def run(out, case):
    torch.manual_seed(0)
    net = build(case)
    learnable = dict(net.named_parameters())
    with torch.no_grad():
        for index, (name, value) in enumerate(entries(net)):
            value.copy_(fill(index, name, tuple(value.shape), case["kinks"]))
    shape = (case["n"], 3, case["h"], case["w"])
    images = torch.from_numpy((1.5 * hashed(IMAGES, int(np.prod(shape)))).astype(np.float32).astype(np.float64))
    images = images.reshape(shape)

    def embed():
        y = net(images)
        return F.normalize(y, dim=1) if case["normalize"] else y

    net.train()
    embeddings = embed()
    gradient = hashed(GRADIENT, embeddings.numel()).astype(np.float32).astype(np.float64)
    embeddings.backward(torch.from_numpy(gradient).reshape(embeddings.shape))
    net.eval()
    with torch.no_grad():
        evaluation = embed()
        head, net.fc = net.fc, nn.Identity()
        features = net(images)
        net.fc = head

    keys = ("architecture", "stem", "head", "dim", "normalize", "groups", "strided", "n", "h", "w", "mlp_hidden",
            "mlp_layers", "kinks")
    out.write(f"case {case['name']}\n")
    out.write("config " + " ".join(str(case[k]) for k in keys) + "\n")
    out.write(f"embeddings {summary(embeddings)}\nevaluation {summary(evaluation)}\nfeatures {summary(features)}\n")
    for name, value in entries(net):
        out.write(f"{name} {summary(learnable[name].grad if name in learnable else value)}\n")
    out.write("end\n")


def case(name, architecture, **changes):
    values = dict(name=name, architecture=architecture, stem=0, head=1, dim=16, normalize=1, groups=1, strided=0, n=4,
                  h=64, w=64, mlp_hidden=0, mlp_layers=0, kinks=0)
    values.update(changes)
    return values


CASES = [
    case("resnet18_cifar_stem", "resnet18", stem=1, h=32, w=32),
    case("resnet18_mlp_head", "resnet18", head=2),
    case("resnet50", "resnet50"),
    case("resnext50_32x8d", "resnext50_32x8d"),
    case("wide_resnet50_2", "wide_resnet50_2"),
    case("cifar_resnet20_no_head", "cifar_resnet20", head=0, n=6, h=32, w=24),
    case("cifar_resnet20_contiguous_groups", "cifar_resnet20", groups=2, n=5, h=32, w=32),
    case("cifar_resnet20_strided_groups", "cifar_resnet20", head=2, normalize=0, groups=2, strided=1, n=5, h=16, w=16,
         kinks=1),
    case("mlp", "mlp", n=9, h=4, w=5, mlp_hidden=24, mlp_layers=2, kinks=1),
    case("mlp_strided_groups", "mlp", head=2, n=9, h=4, w=5, groups=2, strided=1, mlp_hidden=24, mlp_layers=3, kinks=1),
]


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def structure(out):
    """Names and shapes of these networks with fc of 1000 classes: in full for two, hashed for all."""
    for name, make in ARCHITECTURES.items():
        net = make()
        learnable = dict(net.named_parameters())
        lines = [f"{k} {int(k in learnable)} {'x'.join(map(str, v.shape))}\n" for k, v in entries(net)]
        elements = sum(p.numel() for p in learnable.values())
        out.write(f"architecture {name} {len(lines)} {elements} {fnv(''.join(lines)):016x}\n")
        if name in ("resnet18", "resnet50"):
            out.writelines(lines)


if __name__ == "__main__":
    with open(os.path.join(HERE, "architecture_structure.txt"), "w") as out:
        structure(out)
    with open(os.path.join(HERE, "architecture_goldens.txt"), "w") as out:
        for each in CASES:
            run(out, each)
            print(each["name"])
