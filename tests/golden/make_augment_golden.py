"""Makes augment_golden.bin: views with pinned parameters by Pillow and torchvision, for test_augment_golden.c.

    python make_augment_golden.py        (needs torch, torchvision, pillow)

Resizing, grey and blur are Pillow's on 8-bit images, as the official recipes have them (resizing is torchvision's on
floats where jitters follow); the jitters are torchvision's on float images. A record: char name[16]; int32 in_h, in_w, out_h, out_w; float64 parameters[16]; uint8 input[3 x in_h x
in_w]; float32 output[3 x out_h x out_w] in [0, 1]. The parameters: crop top, left, h, w; flip, jitter, grey, blur; the
four jitters' order; brightness, contrast, saturation, hue - all of moco_view_draw but the sigma, which is in `blur`
(0: none).
"""
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torchvision.transforms import functional as F

IN_H, IN_W = 30, 42
rng = np.random.default_rng(20261124)


def make_input(h=IN_H, w=IN_W):
    """A smooth picture with edges and texture, and pixels at both ends of the range."""
    y, x = np.mgrid[0:h, 0:w]
    planes = [128 + 100 * np.sin(0.3 * x + k) * np.cos(0.2 * y - k) for k in range(3)]
    image = np.stack(planes, -1) + rng.normal(0, 12, (h, w, 3))
    image[h // 3 : h // 2, w // 4 : w // 2] = [230, 40, 10]
    image[h // 2 :, w // 2 :, 1] = 255
    image[: h // 5, : w // 5] = 0
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def planes_of(image):
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def to_float(image):
    return torch.from_numpy(planes_of(image).astype(np.float32) / 255)


def to_pil(tensor):
    return Image.fromarray((tensor.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def grey(tensor):
    return to_float(to_pil(tensor).convert("L").convert("RGB"))


def blur(tensor, sigma):
    return to_float(to_pil(tensor).filter(ImageFilter.GaussianBlur(radius=sigma)))


JITTERS = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]


def jitter(tensor, order, factors):
    for part in order:
        tensor = JITTERS[part](tensor, factors[part])
    return tensor


def view(recipe, image, size, crop, flip, order, factors, grey_on, sigma):
    top, left, h, w = crop
    if order and crop != (0, 0, IN_H, IN_W):  # jitters enlarge 8-bit rounding: the same filter on floats
        x = F.resized_crop(to_float(image), top, left, h, w, size, antialias=True)
    else:
        x = to_float(F.resized_crop(image, top, left, h, w, size, antialias=True))
    if recipe == "v1":
        x = grey(x) if grey_on else x
        x = jitter(x, order, factors) if order else x
        x = x.flip(2) if flip else x
    elif recipe == "v2":
        x = jitter(x, order, factors) if order else x
        x = grey(x) if grey_on else x
        x = blur(x, sigma) if sigma else x
        x = x.flip(2) if flip else x
    else:
        x = x.flip(2) if flip else x
        x = jitter(x, order, factors) if order else x
        x = grey(x) if grey_on else x
    return x


def main():
    records = []

    def add(name, recipe, size, crop=(0, 0, IN_H, IN_W), flip=0, order=(), factors=(1, 1, 1, 0), grey_on=0, sigma=0):
        image = make_input()
        out = view(recipe, image, size, crop, flip, list(order), factors, grey_on, sigma).numpy()
        parameters = [*crop, flip, int(bool(order)), grey_on, sigma, *(order or (0, 1, 2, 3)), *factors]
        records.append((name, image, size, parameters, out))

    whole = (IN_H, IN_W)
    add("v2 enlarge", "v2", (24, 20), crop=(5, 7, 9, 11))
    add("v2 reduce", "v2", (11, 9), crop=(1, 2, 28, 37))
    add("v2 mixed", "v2", (32, 8), crop=(4, 0, 12, 42))
    add("v2 one pixel", "v2", (5, 5), crop=(29, 41, 1, 1))
    add("v2 flip", "v2", whole, flip=1)
    add("v2 brightness", "v2", whole, order=(0, 1, 2, 3), factors=(1.37, 1, 1, 0))
    add("v2 darkness", "v2", whole, order=(0, 1, 2, 3), factors=(0.62, 1, 1, 0))
    add("v2 contrast", "v2", whole, order=(0, 1, 2, 3), factors=(1, 1.4, 1, 0))
    add("v2 flatness", "v2", whole, order=(0, 1, 2, 3), factors=(1, 0.6, 1, 0))
    add("v2 saturation", "v2", whole, order=(0, 1, 2, 3), factors=(1, 1, 1.4, 0))
    add("v2 paleness", "v2", whole, order=(0, 1, 2, 3), factors=(1, 1, 0.3, 0))
    add("v2 hue", "v2", whole, order=(0, 1, 2, 3), factors=(1, 1, 1, 0.1))
    add("v2 hue far", "v2", whole, order=(0, 1, 2, 3), factors=(1, 1, 1, -0.4))
    add("v2 order", "v2", whole, order=(3, 1, 0, 2), factors=(1.3, 0.7, 1.4, -0.08))
    add("v2 grey", "v2", whole, grey_on=1)
    for sigma in (0.5, 1.0, 2.0):
        add(f"v2 blur {sigma}", "v2", whole, sigma=sigma)
    add("v1 whole", "v1", (16, 16), (2, 3, 20, 24), 1, (2, 0, 3, 1), (0.8, 1.2, 0.7, 0.3), 1)
    add("v1 colour", "v1", (16, 16), (2, 3, 20, 24), 0, (1, 3, 2, 0), (1.2, 0.8, 1.3, -0.3))
    add("v2 whole", "v2", (24, 24), (2, 3, 20, 24), 1, (2, 0, 3, 1), (0.8, 1.2, 0.7, 0.1), 1, 1.2)
    add("cifar whole", "cifar", (16, 16), (2, 3, 20, 24), 1, (3, 2, 1, 0), (0.8, 1.2, 0.7, 0.1), 1)
    add("cifar colour", "cifar", (16, 16), (8, 3, 10, 24), 1, (1, 2, 3, 0), (1.1, 1.2, 1.2, -0.1))

    for name, h, w in (("eval wide", 30, 47), ("eval high", 53, 30), ("eval small", 9, 12)):
        image = make_input(h, w)
        out = to_float(F.center_crop(F.resize(image, 23, antialias=True), [20, 20])).numpy()  # 20 * 256 / 224 = 22.86
        records.append((name, image, (20, 20), [0.0] * 16, out))

    with open(Path(__file__).with_name("augment_golden.bin"), "wb") as file:
        for name, image, size, parameters, out in records:
            pixels = planes_of(image)
            file.write(struct.pack("<16s4i16d", name.encode(), *pixels.shape[1:], *size, *parameters))
            file.write(pixels.tobytes())
            file.write(np.ascontiguousarray(out, dtype="<f4").tobytes())


if __name__ == "__main__":
    main()
