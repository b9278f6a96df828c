"""The updates of one step over a network's parameters, in PyTorch. --sizes gives the elements of each parameter. "get
NAME" runs one update and gives its milliseconds: ema_loop (the paper's code), ema_foreach, sgd_foreach, sgd_fused."""

import argparse
import time

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--sizes", required=True)
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()

torch = peer_protocol.import_torch(options.threads)
torch.manual_seed(0)
MOMENTUM = 0.999
query = [torch.randn(int(size)).mul_(0.01).requires_grad_() for size in options.sizes.split(",")]
key = [p.detach().clone() for p in query]
query_values = [p.detach() for p in query]
for p in query:
    p.grad = torch.randn_like(p).mul_(0.01)
sgd = {name: torch.optim.SGD(query, 0.03, momentum=0.9, weight_decay=1e-4, **{name: True}) for name in ("foreach", "fused")}


@torch.no_grad()
def ema_loop():
    for target, source in zip(key, query_values):
        target.data = target.data * MOMENTUM + source.data * (1.0 - MOMENTUM)


@torch.no_grad()
def ema_foreach():
    torch._foreach_lerp_(key, query_values, 1.0 - MOMENTUM)


WORK = {"ema_loop": ema_loop, "ema_foreach": ema_foreach, "sgd_foreach": sgd["foreach"].step, "sgd_fused": sgd["fused"].step}


class Timed:
    def get(self, name, _):
        if name not in WORK:
            return -1
        start = time.perf_counter()
        WORK[name]()
        return (time.perf_counter() - start) * 1e3


peer_protocol.serve(lambda: None, Timed())
