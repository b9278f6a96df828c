"""Writes tests/golden/torch/*.pt by PyTorch's own torch.save, in the zip and in the legacy form, and a text beside them that
lists every tensor bit for bit; and what fuzzing of their readers starts from (tests/fuzz/corpus).

    python3 make_torch_golden.py        # PyTorch 2.15; run in tests/golden
"""
import collections
import os
import zipfile

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "..", "fuzz", "corpus")


def values(count):
    """Numbers that every dtype below holds exactly or rounds, some special ones among them."""
    return torch.tensor([((i * 37) % 101 - 50) / 8 for i in range(count)], dtype=torch.float64)


def dtypes():
    d = collections.OrderedDict()
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        d[str(dtype).split(".")[1]] = values(6).to(dtype).reshape(2, 3)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        d[str(dtype).split(".")[1]] = (torch.arange(4) * 29 % 97).to(dtype)
    d["bool"] = torch.tensor([True, False, True])
    d["special"] = torch.tensor([float("inf"), -float("inf"), -0.0, 1e-45, 3.4e38])
    d["scalar"] = torch.tensor(2.5)
    d["empty"] = torch.zeros(0, 3)
    return d


def views():
    base = values(24).float()
    d = collections.OrderedDict()
    d["base"] = base
    d["middle"] = base[5:11]
    d["transposed"] = base.reshape(4, 6).t()
    d["channels_last"] = values(2 * 3 * 2 * 2).float().reshape(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    d["every_other"] = base[1::2]
    d["expanded"] = base[3:4].expand(5)
    d["diagonal"] = base[:16].reshape(4, 4).diagonal()
    return d


def nested():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(values(p.numel()).reshape(p.shape) + i)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    model(values(12).float().reshape(4, 3)).square().sum().backward()
    optimizer.step()
    return {"epoch": 200, "arch": "tiny", "best": 12.5, "done": False, "none": None, "big": 2**40 + 1, "negative": -7,
            "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}


def leaves(prefix, node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(f"{prefix}{key}.", value)
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from leaves(f"{prefix}{i}.", value)
    elif node is not None:
        yield prefix[:-1], node


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return "%.17g" % value if isinstance(value, float) else str(value)


def listing(tree):
    lines = []
    for name, value in leaves("", tree):
        if isinstance(value, torch.Tensor):
            flat = value.contiguous().reshape(-1)
            raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
            shape = ",".join(str(n) for n in value.shape) or "-"
            lines.append(f"tensor {name} {str(value.dtype).split('.')[1]} {shape} {raw.hex() or '-'}")
        else:
            lines.append(f"note {name} {text_of(value)}")
    return "\n".join(lines) + "\n"


def main():
    folder = os.path.join(HERE, "torch")
    os.makedirs(folder, exist_ok=True)
    for name, tree in (("dtypes", dtypes()), ("views", views()), ("nested", nested())):
        torch.save(tree, os.path.join(folder, f"{name}.pt"))
        torch.save(tree, os.path.join(folder, f"{name}_legacy.pt"), _use_new_zipfile_serialization=False)
        with open(os.path.join(folder, f"{name}.txt"), "w", encoding="utf-8") as out:
            out.write(listing(tree))
    small = collections.OrderedDict(w=values(6).float().reshape(2, 3), n=torch.tensor(3))
    for target in ("zip", "unpickler", "legacy"):
        os.makedirs(os.path.join(CORPUS, target), exist_ok=True)
    small_zip = os.path.join(CORPUS, "zip", "small_without_crc")
    torch.serialization.set_crc32_options(False)
    torch.save(small, small_zip)
    torch.serialization.set_crc32_options(True)
    torch.save(small, os.path.join(CORPUS, "legacy", "small_zip"))
    torch.save(small, os.path.join(CORPUS, "legacy", "small_legacy"), _use_new_zipfile_serialization=False)
    torch.save({"a": views()["transposed"], "b": [1, (2.5, "x"), {}]}, os.path.join(CORPUS, "legacy", "views_legacy"),
               _use_new_zipfile_serialization=False)
    for name, tree in (("small", small), ("views", views()), ("nested", nested())):
        path = os.path.join(CORPUS, "unpickler", f"pickle_of_{name}")
        torch.save(tree, path + ".zip")
        with zipfile.ZipFile(path + ".zip") as archive:
            data = archive.read(f"pickle_of_{name}/data.pkl")
        os.remove(path + ".zip")
        with open(path, "wb") as out:
            out.write(data)


if __name__ == "__main__":
    main()
