#!/usr/bin/env python3
"""Makes trajectory_*.txt: MoCo's training run in PyTorch, float64, for test_trajectory_golden.c to follow.

The algorithm is Algorithm 1 of arXiv 1911.05722 with the facts of the reference implementation: the momentum update
comes before the key encoding and covers parameters only (each encoder keeps its own BatchNorm statistics), the loss and
its gradient come before the enqueue, the gradient flows to the queries only, and keys are encoded in a shuffled order
across BatchNorm groups. The enqueue is a ring that wraps (K is not a multiple of the batch).

Weights, images and queue come from a small hash that the test computes alike, permutations from Philox4x32-10, so that
the files hold results only. Usage: make_trajectory_golden.py [--check] (float32 beside float64, prints the distance).
"""
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))

VARIANTS = {
    "contiguous": dict(depth=8, size=8, n=16, groups=2, strided=False, head="linear", hidden=64, dim=32, queue=120,
                       momentum=0.99, temperature=0.2, lr=0.03, steps_per_epoch=10, epochs=5, steps=50, images=64),
    "strided": dict(depth=8, size=8, n=16, groups=4, strided=True, head="mlp", hidden=48, dim=32, queue=72,
                    momentum=0.9, temperature=0.2, lr=0.03, steps_per_epoch=10, epochs=2, steps=20, images=64),
}
SGD_MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
BN_EPS, BN_MOMENTUM = 1e-5, 0.1
SHUFFLE_SEED = 7
PROJECTIONS = 16
SALT = 2  # of the hash; this one has no sample that rounding pushes over a kink of ReLU (see --check)
BN_BIAS = 2.0


# --- Inputs that C computes alike -------------------------------------------------------------------------------------

def name_hash(name):
    """32-bit FNV-1a."""
    h = 2166136261
    for byte in f"{SALT} {name}".encode():
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    return h


def mixed(seed, count, first=0):
    """The finaliser of MurmurHash3 over seed + i * golden ratio: uint32[count]."""
    i = np.arange(first, first + count, dtype=np.uint64)
    h = (np.uint64(seed) + i * np.uint64(0x9E3779B9)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    h = h * np.uint64(0x85EBCA6B) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(13)
    h = h * np.uint64(0xC2B2AE35) & np.uint64(0xFFFFFFFF)
    return h ^ (h >> np.uint64(16))


def uniform(name, count):
    """In [-1, 1), float64[count], exact in 24 bits."""
    return (mixed(name_hash(name), count) >> np.uint64(8)).astype(np.float64) * 2.0 ** -23 - 1.0


def initial_parameter(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if name.endswith("running_mean"):
        values = np.zeros_like(u)
    elif name.endswith("running_var"):
        values = np.ones_like(u)
    elif len(shape) == 4:
        values = u * math.sqrt(6.0 / (shape[1] * shape[2] * shape[3]))
    elif len(shape) == 2:
        u[1::2] = -u[0::2]  # rows sum to 0: what all channels share drops out, so that embeddings start apart
        values = u * math.sqrt(3.0 / shape[1])
    elif "fc" in name:
        values = u * 0.1
    elif name.endswith("weight"):
        values = 1.0 + 0.2 * u
    else:
        values = BN_BIAS + 0.2 * u  # few units near ReLU's kink, where rounding alone decides a gradient
    return values.astype(np.float32).reshape(shape)


def initial_queue(rows, dim):
    u = uniform("queue", rows * dim).reshape(rows, dim)
    return (u / np.sqrt((u * u).cumsum(1)[:, -1:])).astype(np.float32)  # cumsum: summed in order, as C does


def images_of(step, view, cfg):
    """One view of a batch: a coarse 4 x 4 pattern for each sample, with fine noise of the view's own."""
    size = cfg["size"]
    cell = np.arange(size) * 4 // size
    rows = []
    for i in range(cfg["n"]):
        sample = (step * cfg["n"] + i) % cfg["images"]
        coarse = uniform(f"image {sample}", 3 * 16).reshape(3, 4, 4)[:, cell][:, :, cell]
        rows.append(coarse + 0.3 * uniform(f"noise {step} {view} {i}", 3 * size * size).reshape(3, size, size))
    return np.stack(rows).astype(np.float32)


def philox(counter, key):
    """Philox4x32-10 of Salmon et al., SC 2011."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def permutation(seed, purpose, sample, n):
    """Fisher-Yates over the stream (seed, purpose, epoch 0, sample), each choice unbiased from 64 bits."""
    key = [seed & 0xFFFFFFFF, seed >> 32]
    numbers = []
    block = 0

    def below(bound):
        nonlocal block
        while True:
            while len(numbers) < 2:
                numbers.extend(philox([block, sample & 0xFFFFFFFF, 0, purpose], key))
                block += 1
            value = numbers.pop(0) << 32 | numbers.pop(0)
            if value >= 2 ** 64 % bound:
                return value % bound

    p = list(range(n))
    for i in range(n - 1, 0, -1):
        j = below(i + 1)
        p[i], p[j] = p[j], p[i]
    return p


# --- The network: a CIFAR ResNet of 3 stages, BatchNorm in groups -----------------------------------------------------

class Encoder:
    def __init__(self, cfg, dtype):
        self.cfg = cfg
        self.parameters, self.buffers = {}, {}
        blocks = (cfg["depth"] - 2) // 6
        self._conv("conv1", 3, 16, 3)
        self._bn("bn1", 16)
        channels = 16
        self.blocks = []
        for stage in range(3):
            for b in range(blocks):
                out, stride = 16 << stage, 2 if stage > 0 and b == 0 else 1
                name = f"layer{stage + 1}.{b}"
                self._conv(f"{name}.conv1", channels, out, 3)
                self._bn(f"{name}.bn1", out)
                self._conv(f"{name}.conv2", out, out, 3)
                self._bn(f"{name}.bn2", out)
                if stride != 1 or channels != out:
                    self._conv(f"{name}.downsample.0", channels, out, 1)
                    self._bn(f"{name}.downsample.1", out)
                self.blocks.append((name, stride))
                channels = out
        if cfg["head"] == "linear":
            self._linear("fc", channels, cfg["dim"])
        else:
            self._linear("fc.0", channels, cfg["hidden"])
            self._linear("fc.2", cfg["hidden"], cfg["dim"])
        for table in (self.parameters, self.buffers):
            for name, shape in table.items():
                table[name] = torch.from_numpy(initial_parameter(name, shape)).to(dtype)

    def _conv(self, name, c, out, kernel):
        self.parameters[f"{name}.weight"] = (out, c, kernel, kernel)

    def _linear(self, name, c, out):
        self.parameters[f"{name}.weight"] = (out, c)
        self.parameters[f"{name}.bias"] = (out,)

    def _bn(self, name, c):
        self.parameters[f"{name}.weight"] = (c,)
        self.parameters[f"{name}.bias"] = (c,)
        self.buffers[f"{name}.running_mean"] = (c,)
        self.buffers[f"{name}.running_var"] = (c,)

    def conv(self, x, name, stride=1):
        weight = self.parameters[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    def norm(self, x, name):
        """Each group of samples has its own statistics; the running ones take the mean over groups."""
        n, groups = x.shape[0], self.cfg["groups"]
        if self.cfg["strided"]:
            members = [list(range(g, n, groups)) for g in range(groups)]
        else:
            members = [list(range(g * n // groups, (g + 1) * n // groups)) for g in range(groups)]
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        parts = [F.batch_norm(x[m], None, None, weight, bias, True, 0.0, BN_EPS) for m in members]
        order = torch.tensor([i for m in members for i in m])
        with torch.no_grad():
            mean = torch.stack([x[m].mean((0, 2, 3)) for m in members]).mean(0)
            var = torch.stack([x[m].var((0, 2, 3), unbiased=True) for m in members]).mean(0)
            self.buffers[f"{name}.running_mean"].lerp_(mean, BN_MOMENTUM)
            self.buffers[f"{name}.running_var"].lerp_(var, BN_MOMENTUM)
        return torch.cat(parts)[order.argsort()]

    def __call__(self, images):
        x = F.relu(self.norm(self.conv(images, "conv1"), "bn1"))
        for name, stride in self.blocks:
            y = F.relu(self.norm(self.conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
            y = self.norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in self.parameters:
                x = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = F.relu(y + x)
        x = x.mean((2, 3))
        p = self.parameters
        if self.cfg["head"] == "linear":
            x = F.linear(x, p["fc.weight"], p["fc.bias"])
        else:
            x = F.relu(F.linear(x, p["fc.0.weight"], p["fc.0.bias"]))
            x = F.linear(x, p["fc.2.weight"], p["fc.2.bias"])
        return F.normalize(x, dim=1)


# --- The algorithm ----------------------------------------------------------------------------------------------------

def train(cfg, dtype, variant=None):
    """Losses, top-1, permutations and the final state. `variant` breaks one fact on purpose, to see that it matters."""
    f_q, f_k = Encoder(cfg, dtype), Encoder(cfg, dtype)
    learnable = list(f_q.parameters.values())
    for p in learnable:
        p.requires_grad_(True)
    sgd = torch.optim.SGD(learnable, cfg["lr"], momentum=SGD_MOMENTUM, weight_decay=WEIGHT_DECAY)
    queue = torch.from_numpy(initial_queue(cfg["queue"], cfg["dim"])).to(dtype)
    position = 0
    losses, top1, permutations = [], [], []
    for step in range(cfg["steps"]):
        epoch = step // cfg["steps_per_epoch"]
        for group in sgd.param_groups:
            group["lr"] = cfg["lr"] * 0.5 * (1.0 + math.cos(math.pi * epoch / cfg["epochs"]))
        x_q = torch.from_numpy(images_of(step, 0, cfg)).to(dtype)
        x_k = torch.from_numpy(images_of(step, 1, cfg)).to(dtype)

        q = f_q(x_q)
        with torch.no_grad():
            if variant != "ema after":
                for name, p in f_k.parameters.items():
                    p.mul_(cfg["momentum"]).add_(f_q.parameters[name], alpha=1.0 - cfg["momentum"])
            order = torch.tensor(permutation(SHUFFLE_SEED, 3, step, cfg["n"]))
            permutations.append(order.tolist())
            k = f_k(x_k) if variant == "no shuffle" else f_k(x_k[order])[order.argsort()]
            if variant == "ema after":
                for name, p in f_k.parameters.items():
                    p.mul_(cfg["momentum"]).add_(f_q.parameters[name], alpha=1.0 - cfg["momentum"])
            if variant == "copied buffers":
                for name, b in f_k.buffers.items():
                    b.copy_(f_q.buffers[name])

        rows = (position + torch.arange(cfg["n"])) % cfg["queue"]
        if variant == "enqueue first":
            queue[rows] = k
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.clone().T], dim=1) / cfg["temperature"]
        loss = F.cross_entropy(logits, torch.zeros(cfg["n"], dtype=torch.long))
        top1.append((logits[:, :1] > logits[:, 1:]).all(1).double().mean().item())
        losses.append(loss.item())
        sgd.zero_grad()
        loss.backward()
        sgd.step()

        queue[rows] = k
        position = (position + cfg["n"]) % cfg["queue"]
    return dict(losses=losses, top1=top1, permutations=permutations, queue=queue, position=position, f_q=f_q, f_k=f_k)


def tensors_of(run):
    for encoder in ("f_q", "f_k"):
        for table in (run[encoder].parameters, run[encoder].buffers):
            for name, value in table.items():
                yield encoder, name, value.detach().double().numpy().reshape(-1)


def projections(name, values):
    """Inner products with +-1 vectors: the mean square of a difference's projections estimates its squared norm."""
    out = []
    for p in range(PROJECTIONS):
        signs = 1.0 - 2.0 * (mixed(name_hash(f"{name} {p}"), values.size) & np.uint64(1)).astype(np.float64)
        out.append(float(signs @ values))
    return out


def write(name, cfg, run):
    with open(os.path.join(HERE, f"trajectory_{name}.txt"), "w") as out:
        settings = ["depth", "size", "n", "groups", "strided", "hidden", "dim", "queue", "momentum", "temperature", "lr",
                    "steps_per_epoch", "epochs", "steps", "images"]
        for key in settings:
            out.write(f"{key} {cfg[key] + 0}\n")
        out.write(f"mlp_head {int(cfg['head'] == 'mlp')}\nposition {run['position']}\n")
        for step in range(cfg["steps"]):
            order = " ".join(map(str, run["permutations"][step]))
            out.write(f"step {step} {run['losses'][step]:.12g} {run['top1'][step]:.6g} {order}\n")
        queue = run["queue"].double().numpy()
        for row in range(queue.shape[0]):
            out.write(f"row {row} " + " ".join(f"{v:.7g}" for v in queue[row]) + "\n")
        for encoder, tensor, values in tensors_of(run):
            out.write(f"tensor {encoder} {tensor} {values.size} {np.linalg.norm(values):.9g} "
                      + " ".join(f"{v:.9g}" for v in projections(tensor, values)) + "\n")


def distance(a, b):
    """The three figures that the test bounds by 1e-3."""
    loss = max(abs(x - y) / abs(x) for x, y in zip(a["losses"], b["losses"]))
    queue = ((a["queue"].double() - b["queue"].double()).norm() / a["queue"].double().norm()).item()
    worst = max((float(np.linalg.norm(x - y) / max(np.linalg.norm(x), 1e-12)), f"{e} {name}")
                for (e, name, x), (_, _, y) in zip(tensors_of(a), tensors_of(b)))
    return f"loss {loss:.2e}, queue {queue:.2e}, parameters {worst[0]:.2e} ({worst[1]})"


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name, cfg in VARIANTS.items():
        run = train(cfg, torch.float64)
        print(name, "losses", " ".join(f"{v:.4f}" for v in run["losses"][:: max(1, cfg["steps"] // 10)]),
              "top1", run["top1"][-1])
        if "--check" in sys.argv:
            print("  float32 against float64:", distance(run, train(cfg, torch.float32)))
            for variant in ("ema after", "no shuffle", "copied buffers", "enqueue first"):
                print(f"  {variant} instead:", distance(run, train(cfg, torch.float64, variant)))
        else:
            write(name, cfg, run)


if __name__ == "__main__":
    main()
