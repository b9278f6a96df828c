"""Writes tests/golden/official/*: checkpoints as the official MoCo saves them ({epoch, arch, state_dict, optimizer}, names
module.encoder_q.*, module.encoder_k.*, module.queue, module.queue_ptr), of a network that is small, in torch.save's zip and
legacy form; the same without all but encoder_q, as the released ones were cleaned; and the losses by which PyTorch went on.

    python3 make_official_golden.py        # PyTorch 2.15; run in tests/golden
"""
import collections
import os

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
SIDE, HIDDEN, DIM, KEYS, BATCH = 4, 16, 8, 32, 8
MOMENTUM, TEMPERATURE, LR, DECAY = 0.99, 0.2, 0.06, 1e-4
BEFORE, AFTER = 5, 4


class Network(torch.nn.Module):
    """libmoco's "mlp" with two hidden layers and v2's head."""

    def __init__(self):
        super().__init__()
        layers, width = [], 3 * SIDE * SIDE
        for _ in range(2):
            layers += [torch.nn.Linear(width, HIDDEN), torch.nn.BatchNorm1d(HIDDEN), torch.nn.ReLU()]
            width = HIDDEN
        self.layers = torch.nn.Sequential(*layers)
        self.fc = torch.nn.Sequential(torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, DIM))

    def forward(self, x):
        return self.fc(self.layers(x.flatten(1)))


class MoCo(torch.nn.Module):
    """Algorithm 1 of arXiv 1911.05722, with the names of the official code's buffers."""

    def __init__(self, make):
        super().__init__()
        self.encoder_q, self.encoder_k = make(), make()
        for q, k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            k.data.copy_(q.data)
            k.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(DIM, KEYS), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    def forward(self, im_q, im_k):
        q = F.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            for a, b in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
                b.data = b.data * MOMENTUM + a.data * (1 - MOMENTUM)
            k = F.normalize(self.encoder_k(im_k), dim=1)
        positive = (q * k).sum(1, keepdim=True)
        logits = torch.cat([positive, q @ self.queue.clone()], 1) / TEMPERATURE
        at = int(self.queue_ptr)
        self.queue[:, at:at + len(k)] = k.T
        self.queue_ptr[0] = (at + len(k)) % self.queue.shape[1]
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def images(step, view):
    """Number i is ((7919 i + 104729 step + 1299709 view) mod 1009) / 504.5 - 1, as in test_official_golden.c."""
    i = torch.arange(BATCH * 3 * SIDE * SIDE, dtype=torch.int64)
    values = (7919 * i + 104729 * step + 1299709 * view) % 1009
    return (values.double() / 504.5 - 1).float().reshape(BATCH, 3, SIDE, SIDE)


def main():
    torch.manual_seed(3)
    torch.use_deterministic_algorithms(True)
    folder = os.path.join(HERE, "official")
    os.makedirs(folder, exist_ok=True)
    model = torch.nn.Module()
    model.module = MoCo(Network)  # as DistributedDataParallel names it
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=0.9, weight_decay=DECAY)

    def step(number):
        loss = model.module(images(number, 0), images(number, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for number in range(BEFORE):
        step(number)
    checkpoint = {"epoch": BEFORE, "arch": "mlp", "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, os.path.join(folder, "full.pth.tar"))
    torch.save(checkpoint, os.path.join(folder, "full_legacy.pth.tar"), _use_new_zipfile_serialization=False)
    cleaned = collections.OrderedDict((k, v) for k, v in checkpoint["state_dict"].items() if ".encoder_q." in k)
    torch.save({"epoch": 200, "arch": "mlp", "state_dict": cleaned}, os.path.join(folder, "cleaned.pth.tar"))
    with open(os.path.join(folder, "losses.txt"), "w", encoding="utf-8") as out:
        for number in range(BEFORE, BEFORE + AFTER):
            out.write(f"{step(number):.9g}\n")
        out.write(f"{float(model.module.queue.double().sum()):.9g} {int(model.module.queue_ptr)}\n")


if __name__ == "__main__":
    main()
