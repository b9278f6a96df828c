"""One step of Momentum Contrast in PyTorch: the official algorithm's order and formulation (momentum update, keys without
gradient, logits concatenated over a clone of the dim x K queue, cross-entropy, SGD, enqueue). --dtype bf16 runs both
encoders and the loss under torch.autocast; --channels-last and --compile are the usual speed-ups. The networks are
written here, so that torchvision is not needed.
"""

import argparse
import os

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--arch", default="resnet18")
parser.add_argument("--stem", default="cifar")
parser.add_argument("--n", type=int, default=64)
parser.add_argument("--size", type=int, default=32)
parser.add_argument("--dim", type=int, default=128)
parser.add_argument("--queue-size", type=int, default=65536)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--channels-last", action="store_true")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
parser.add_argument("--images", help="file of query and key images, 2 x n x 3 x size x size float32; else random ones")
options = parser.parse_args()

if options.compile:
    # Compiled in this process, so that no idle workers stay beside it.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
torch = peer_protocol.import_torch(options.threads)
imported_bytes = peer_protocol.resident_bytes()
nn = torch.nn
F = torch.nn.functional
torch.manual_seed(0)

MOMENTUM, TEMPERATURE = 0.999, 0.07
STAGES = {"resnet18": (False, [2, 2, 2, 2]), "resnet34": (False, [3, 4, 6, 3]), "resnet50": (True, [3, 4, 6, 3]),
          "resnet101": (True, [3, 4, 23, 3])}


def conv(c, out, kernel, stride=1):
    return nn.Conv2d(c, out, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    def __init__(self, c, planes, stride, bottleneck):
        super().__init__()
        out = planes * 4 if bottleneck else planes
        if bottleneck:
            self.branch = nn.Sequential(conv(c, planes, 1), nn.BatchNorm2d(planes), nn.ReLU(inplace=True),
                                        conv(planes, planes, 3, stride), nn.BatchNorm2d(planes), nn.ReLU(inplace=True),
                                        conv(planes, out, 1), nn.BatchNorm2d(out))
        else:
            self.branch = nn.Sequential(conv(c, planes, 3, stride), nn.BatchNorm2d(planes), nn.ReLU(inplace=True),
                                        conv(planes, planes, 3), nn.BatchNorm2d(planes))
        self.shortcut = None
        if stride != 1 or c != out:
            self.shortcut = nn.Sequential(conv(c, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.branch(x)
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)), inplace=True)


def make_encoder():
    if options.arch.startswith("cifar_resnet"):
        bottleneck, blocks, first = False, [(int(options.arch[12:]) - 2) // 6] * 3, 16
    else:
        (bottleneck, blocks), first = STAGES[options.arch], 64
    if options.stem == "imagenet" and first == 64:
        layers = [nn.Conv2d(3, first, 7, 2, 3, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True),
                  nn.MaxPool2d(3, 2, 1)]
    else:
        layers = [conv(3, first, 3), nn.BatchNorm2d(first), nn.ReLU(inplace=True)]
    c = first
    for stage, count in enumerate(blocks):
        planes = first << stage
        for i in range(count):
            layers.append(Block(c, planes, 2 if stage > 0 and i == 0 else 1, bottleneck))
            c = planes * 4 if bottleneck else planes
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, options.dim)]
    return nn.Sequential(*layers)


f_q, f_k = make_encoder(), make_encoder()
f_k.load_state_dict(f_q.state_dict())
for p in f_k.parameters():
    p.requires_grad_(False)
shape = (2, options.n, 3, options.size, options.size)
if options.images:
    x_q, x_k = torch.frombuffer(bytearray(open(options.images, "rb").read()), dtype=torch.float32).view(shape)
else:
    x_q, x_k = torch.randn(shape)
if options.channels_last:
    f_q, f_k = (f.to(memory_format=torch.channels_last) for f in (f_q, f_k))
    x_q, x_k = (x.contiguous(memory_format=torch.channels_last) for x in (x_q, x_k))
forward_q, forward_k = (torch.compile(f_q), torch.compile(f_k)) if options.compile else (f_q, f_k)
sgd = torch.optim.SGD(f_q.parameters(), 0.03, momentum=0.9, weight_decay=1e-4)
criterion = nn.CrossEntropyLoss()
queue = F.normalize(torch.randn(options.dim, options.queue_size), dim=0)
labels = torch.zeros(options.n, dtype=torch.long)
position = 0


def run():
    global position
    with torch.autocast("cpu", torch.bfloat16, enabled=options.dtype == "bf16"):
        q = F.normalize(forward_q(x_q), dim=1)
        with torch.no_grad():
            for target, source in zip(f_k.parameters(), f_q.parameters()):
                target.data = target.data * MOMENTUM + source.data * (1.0 - MOMENTUM)
            k = F.normalize(forward_k(x_k), dim=1)
        l_pos = torch.einsum("nc,nc->n", q, k).unsqueeze(-1)
        l_neg = torch.einsum("nc,ck->nk", q, queue.clone().detach())
        loss = criterion(torch.cat([l_pos, l_neg], dim=1) / TEMPERATURE, labels)
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    with torch.no_grad():
        end = min(options.n, options.queue_size - position)  # a ring, as ours; the paper's code asserts that n divides K
        queue[:, position:position + end] = k[:end].T
        queue[:, :options.n - end] = k[end:].T
    position = (position + options.n) % options.queue_size
    return loss.item()


try:
    for _ in range(3 if options.compile else 1):  # compiling goes on in the second step, for the other state of things
        run()
except Exception as error:  # of torch.compile: no C++ compiler, say
    peer_protocol.absent(f"{type(error).__name__}: {error}")
peer_protocol.serve(run, {"peak_resident_bytes": peer_protocol.peak_resident_bytes, "imported_bytes": imported_bytes,
                          "version": ".".join(torch.__version__.split(".")[:2])})
