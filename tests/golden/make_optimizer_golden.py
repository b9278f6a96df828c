#!/usr/bin/env python3
"""Makes optimizer_golden.h: torch.optim.SGD in float64 over a few steps of fixed gradients, for test_optimizer.c."""
import os

import torch

CASES = [  # learning rate, momentum, dampening, weight decay, nesterov
    (0.03, 0.9, 0.0, 1e-4, False),  # the reference's
    (0.1, 0.0, 0.0, 0.0, False),
    (0.1, 0.0, 0.5, 0.01, False),  # without momentum, PyTorch does not dampen
    (0.05, 0.9, 0.3, 0.0, False),  # the first velocity is the whole gradient
    (0.05, 0.5, 0.0, 0.1, True),
    (0.5, 0.99, 0.0, 0.0, True),
    (0.0, 0.9, 0.0, 0.1, False),
]
STEPS, ELEMENTS = 4, 5


def row(values):
    return "{" + ", ".join(f"{v:.17g}" for v in values) + "}"


def main():
    torch.manual_seed(0)
    start = torch.randn(ELEMENTS).double()
    gradients = torch.randn(STEPS, ELEMENTS).double()
    gradients[1, 2] = 0.0
    lines = ["/* Made by make_optimizer_golden.py with PyTorch; do not edit. */", "#ifndef MOCO_OPTIMIZER_GOLDEN_H",
             "#define MOCO_OPTIMIZER_GOLDEN_H", "", f"#define GOLDEN_STEPS    {STEPS}",
             f"#define GOLDEN_ELEMENTS {ELEMENTS}", "", "/* clang-format off */",
             f"static const double golden_start[GOLDEN_ELEMENTS] = {row(start.tolist())};",
             "static const double golden_gradients[GOLDEN_STEPS][GOLDEN_ELEMENTS] = {"]
    lines += [f"    {row(g.tolist())}," for g in gradients]
    lines += ["};", "static const struct golden_case {",
              "    double learning_rate, momentum, dampening, weight_decay;", "    int32_t nesterov;",
              "    double parameter[GOLDEN_STEPS][GOLDEN_ELEMENTS]; /* after each step */",
              "    double velocity[GOLDEN_STEPS][GOLDEN_ELEMENTS];  /* PyTorch keeps none without momentum: zeros */",
              "} golden_cases[] = {"]
    for lr, momentum, dampening, decay, nesterov in CASES:
        p = start.clone().requires_grad_(True)
        sgd = torch.optim.SGD([p], lr, momentum=momentum, dampening=dampening, weight_decay=decay, nesterov=nesterov)
        parameters, velocities = [], []
        for g in gradients:
            p.grad = g.clone()
            sgd.step()
            parameters.append(p.tolist())
            velocity = sgd.state[p].get("momentum_buffer")
            velocities.append([0.0] * ELEMENTS if velocity is None else velocity.tolist())
        lines += [f"    {{{lr}, {momentum}, {dampening}, {decay}, {int(nesterov)},"]
        for table, end in ((parameters, ","), (velocities, "},")):
            rows = ",\n      ".join(row(r) for r in table)
            lines += [f"     {{{rows}}}{end}"]
    lines += ["};", "/* clang-format on */", "", "#endif", ""]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimizer_golden.h"), "w") as out:
        out.write("\n".join(lines))


if __name__ == "__main__":
    main()
