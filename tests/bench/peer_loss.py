"""The contrastive loss as the paper's code writes it in PyTorch: einsum, a clone of the dim x K queue, the logits
concatenated, cross-entropy with label 0, and autograd back to q."""

import argparse

import peer_protocol

parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int, default=256)
parser.add_argument("--dim", type=int, default=128)
parser.add_argument("--k", type=int, default=65536)
parser.add_argument("--temperature", type=float, default=0.07)
parser.add_argument("--threads", type=int, default=1)
options = parser.parse_args()

torch = peer_protocol.import_torch(options.threads)
torch.manual_seed(0)
normalize = torch.nn.functional.normalize
q = normalize(torch.randn(options.n, options.dim), dim=1).requires_grad_()
k = normalize(torch.randn(options.n, options.dim), dim=1)
queue = normalize(torch.randn(options.dim, options.k), dim=0)
labels = torch.zeros(options.n, dtype=torch.long)
criterion = torch.nn.CrossEntropyLoss()


def run():
    q.grad = None
    l_pos = torch.einsum("nc,nc->n", q, k).unsqueeze(-1)
    l_neg = torch.einsum("nc,ck->nk", q, queue.clone().detach())
    logits = torch.cat([l_pos, l_neg], dim=1) / options.temperature
    loss = criterion(logits, labels)
    loss.backward()
    return loss.item()


before = peer_protocol.peak_resident_bytes()
loss = run()
extra = peer_protocol.peak_resident_bytes() - before  # of the first run, in whole pages, library warm-up included
peer_protocol.serve(run, {"loss": loss, "extra_bytes": extra})
