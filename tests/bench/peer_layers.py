"""Single layers in PyTorch. "get KIND:n,c,h,w,out_c,kernel,stride,padding,groups:DIRECTION" gives the milliseconds of one
run; KIND is conv or norm (BatchNorm with ReLU), DIRECTION forward, backward (with the input's gradient) or
backward_weights."""

import argparse
import time

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
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
        if options.dtype == "bf16":
            self.layer, self.x = self.layer.bfloat16(), self.x.detach().bfloat16().requires_grad_()
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
            inputs = self.inputs[1:] if name.endswith("_weights") or self.x.shape[1] == 3 else self.inputs
            torch.autograd.grad(self.y, inputs, self.dy, retain_graph=True)
        return (time.perf_counter() - start) * 1e3


peer_protocol.serve(lambda: None, Layers())
