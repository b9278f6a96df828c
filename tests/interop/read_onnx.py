"""ONNX without onnx: a file's messages by the words of onnx.proto3, and what its graph computes, by NumPy. Only what
libmoco writes."""
import struct

import numpy as np


def fields(message):
    """(number, value) of each field: an int, four bytes or the bytes of a string or message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << 64) if value >> 63 else value

    while at < len(message):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            yield number, varint()
            continue
        size = {2: varint, 5: lambda: 4}[wire]()
        assert at + size <= len(message), "a field leaves its message"
        yield number, message[at : at + size]
        at += size


def collect(message, names):
    """A dictionary of lists: names[number] says what a field is called; an unknown field is an error."""
    result = {name: [] for name in names.values()}
    for number, value in fields(message):
        result[names[number]].append(value)
    return result


def text(value):
    return bytes(value).decode()


def read_tensor(message):
    tensor = collect(message, {1: "dims", 2: "type", 8: "name", 9: "raw"})
    assert tensor["type"] == [1]
    return text(tensor["name"][0]), np.frombuffer(tensor["raw"][0], "<f4").reshape(tensor["dims"])


def read_attribute(message):
    attribute = collect(message, {1: "name", 2: "f", 3: "i", 8: "ints", 20: "type"})
    kind = attribute["type"][0]
    value = {1: lambda: struct.unpack("<f", attribute["f"][0])[0], 2: lambda: attribute["i"][0], 7: lambda: attribute["ints"]}[kind]()
    return text(attribute["name"][0]), value


def read_value(message):
    value = collect(message, {1: "name", 2: "type"})
    tensor = collect(collect(value["type"][0], {1: "tensor"})["tensor"][0], {1: "elem", 2: "shape"})
    dims = [collect(dim, {1: "value", 2: "param"}) for dim in collect(tensor["shape"][0], {1: "dim"})["dim"]]
    return text(value["name"][0]), tensor["elem"][0], [d["value"][0] if d["value"] else text(d["param"][0]) for d in dims]


def read_model(path):
    content = memoryview(path.read_bytes())
    model = collect(content, {1: "ir", 2: "producer", 3: "version", 7: "graph", 8: "opset", 14: "metadata"})
    graph = collect(model["graph"][0], {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output"})
    nodes = []
    for message in graph["node"]:
        node = collect(message, {1: "input", 2: "output", 3: "name", 4: "op", 5: "attribute"})
        nodes.append((text(node["op"][0]), [text(x) for x in node["input"]], text(node["output"][0]), dict(map(read_attribute, node["attribute"]))))
    metadata = [collect(entry, {1: "key", 2: "value"}) for entry in model["metadata"]]
    return {
        "ir": model["ir"][0],
        "opset": collect(model["opset"][0], {1: "domain", 2: "version"})["version"][0],
        "nodes": nodes,
        "tensors": dict(map(read_tensor, graph["initializer"])),
        "input": read_value(graph["input"][0]),
        "output": read_value(graph["output"][0]),
        "metadata": {text(e["key"][0]): text(e["value"][0]) for e in metadata},
    }


def windows(x, kernel, strides, pads, fill):
    assert pads[0] == pads[2] and pads[1] == pads[3]
    x = np.pad(x, ((0, 0), (0, 0), (pads[0],) * 2, (pads[1],) * 2), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1]]


def convolve(x, weight, bias, kernel_shape, strides, pads, group):
    parts = []
    for inputs, weights in zip(np.split(x, group, 1), np.split(weight, group)):
        parts.append(np.einsum("nchwkl,ockl->nohw", windows(inputs, kernel_shape, strides, pads, 0), weights, optimize=True))
    y = np.concatenate(parts, 1)
    return y if bias is None else y + bias[:, None, None]


def by_channel(values, rank):
    return values.reshape((1, -1) + (1,) * (rank - 2))


OPERATORS = {
    "Conv": lambda x, w, b=None, **a: convolve(x, w, b, **a),
    "BatchNormalization": lambda x, weight, bias, mean, var, epsilon: (x - by_channel(mean, x.ndim)) / np.sqrt(by_channel(var, x.ndim) + epsilon) * by_channel(weight, x.ndim) + by_channel(bias, x.ndim),
    "Relu": lambda x: np.maximum(x, 0),
    "Add": lambda x, y: x + y,
    "Mul": lambda x, y: x * y,
    "Div": lambda x, y: x / y,
    "Max": np.maximum,
    "Identity": lambda x: x,
    "Gemm": lambda x, w, b, transB: x @ (w.T if transB else w) + b,
    "MaxPool": lambda x, kernel_shape, strides, pads: windows(x, kernel_shape, strides, pads, -np.inf).max((4, 5)),
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True),
    "Flatten": lambda x: x.reshape(len(x), -1),
    "ReduceL2": lambda x, axes, keepdims: np.sqrt((x * x).sum(tuple(axes), keepdims=bool(keepdims))),
    "Cast": lambda x, to: x.astype({1: np.float64}[to]),
    "Transpose": lambda x, perm: x.transpose(perm),
}


def compute(model, x):
    """In float64. A name is made once, and before it is used."""
    values = {name: tensor.astype(np.float64) for name, tensor in model["tensors"].items()}
    values[model["input"][0]] = x if x.dtype == np.uint8 else x.astype(np.float64)
    for op, inputs, output, attributes in model["nodes"]:
        assert output not in values
        values[output] = OPERATORS[op](*[values[name] for name in inputs], **attributes)
    return values[model["output"][0]]
