"""Single layers in PyTorch. "get KIND:n,c,h,w,out_c,kernel,stride,padding,groups:DIRECTION" gives the milliseconds of one
run; KIND is conv or norm (BatchNorm with ReLU), DIRECTION forward or backward (with the input's gradient)."""

import argparse
import time

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()
torch = peer_protocol.import_torch(options.threads)


class Layers:
    def __init__(self):
        self.name = None

    def prepare(self, name):
        kind, shape, _ = name.split(":")
        n, c, h, w, out_c, kernel, stride, padding, groups = map(int, shape.split(","))
        self.x = torch.randn(n, c, h, w).requires_grad_()
        if kind == "conv":
            self.layer = torch.nn.Conv2d(c, out_c, kernel, stride, padding, groups=groups, bias=False)
        else:
            self.layer = torch.nn.Sequential(torch.nn.BatchNorm2d(c), torch.nn.ReLU())
        self.y = self.layer(self.x)
        self.dy = torch.randn_like(self.y)
        self.inputs = [self.x, *self.layer.parameters()]
        self.name = name.rsplit(":", 1)[0]

    def get(self, name, _):
        if name.rsplit(":", 1)[0] != self.name:
            self.prepare(name)
        start = time.perf_counter()
        if name.endswith(":forward"):
            self.y = self.layer(self.x)
        else:
            torch.autograd.grad(self.y, self.inputs, self.dy, retain_graph=True)
        return (time.perf_counter() - start) * 1e3


peer_protocol.serve(lambda: None, Layers())
