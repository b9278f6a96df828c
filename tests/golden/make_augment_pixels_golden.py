"""Makes augment_pixels_golden.bin: one part at a time, with pinned parameters, for test_augment_pixels_golden.c.

    python make_augment_pixels_golden.py        (needs torch, torchvision, pillow)

Everything is Pillow's on 8-bit images, called by torchvision as the official recipes do, but for two things. Resizing
goes across first, then down, which Pillow does of itself up to version 12; version 13 takes the cheaper way, and with
bicubic weights, which overshoot and are clipped between the two, that shows. And the hue is torchvision's on 8-bit
tensors, for Pillow's own passes through a hue of 8 bits, which is off by up to 6 / 255.

The file: int32 h, w; uint8 input[h x w x 3]; then records: char name[20]; int32 crop top, left, h, w; int32 out h, w;
int32 bicubic, flip, grey, solarize; int32 order[4] (-1: no jitter); float64 brightness, contrast, saturation, hue,
sigma; uint8 output[3 x out h x out w]. A last one named "normalise" has float32 output.
"""

import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import functional as F

H, W = 60, 81
PART = (7, 11, 36, 50)  # whose size is kept, where the part is not the crop
BLUR_PART = (0, 0, 48, 60)
rng = np.random.default_rng(20261124)


def make_input():
    """A picture with smooth shades, texture, edges, saturated colours and both ends of the range."""
    y, x = np.mgrid[0:H, 0:W]
    planes = [128 + 110 * np.sin(0.17 * x + k) * np.cos(0.13 * y - k) for k in range(3)]
    image = np.stack(planes, -1) + rng.normal(0, 10, (H, W, 3))
    image[10:22, 15:40] = [230, 40, 10]
    image[30:, 50:, 1] = 255
    image[:9, :14] = 0
    image[40:50, 5:30] = rng.integers(0, 256, (10, 25, 3))
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def planes_of(image):
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def resized(image, h, w, mode):
    return image.resize((w, image.height), mode).resize((w, h), mode)


def hue(image, shift):
    tensor = torch.from_numpy(planes_of(image))
    return Image.fromarray(F.adjust_hue(tensor, shift).permute(1, 2, 0).numpy())


JITTERS = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, hue]


def main():
    source = make_input()
    records = []

    def add(name, crop=PART, size=None, bicubic=0, order=(), factors=(1, 1, 1, 0), grey=0, sigma=0, solarize=0, flip=0,
            evaluate=0):
        size = size or crop[2:]
        mode = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
        if evaluate:
            w, h = F.resize(source, evaluate).size
            image = F.center_crop(resized(source, h, w, mode), list(size))
        else:
            image = resized(F.crop(source, *crop), *size, mode)
        for part in order:
            image = JITTERS[part](image, factors[part])
        image = image.convert("L").convert("RGB") if grey else image
        image = image.filter(ImageFilter.GaussianBlur(radius=sigma)) if sigma else image
        image = ImageOps.solarize(image, 128) if solarize else image
        image = F.hflip(image) if flip else image
        order = tuple(order) + (-1,) * (4 - len(order))
        header = struct.pack("<20s14i5d", name.encode(), *crop, *size, bicubic, flip, grey, solarize, *order,
                             *factors, sigma)
        records.append(header + planes_of(image).tobytes())
        return image

    whole = (0, 0, H, W)
    for bicubic, suffix in enumerate((" bilinear", " bicubic")):
        add("crop down" + suffix, (3, 5, 50, 70), (24, 31), bicubic)
        add("crop up" + suffix, (20, 30, 13, 17), (40, 29), bicubic)
        add("crop mixed" + suffix, (12, 0, 40, 14), (17, 33), bicubic)
        add("crop pixel" + suffix, (44, 9, 1, 1), (5, 7), bicubic)
        add("crop far" + suffix, whole, (1, 2), bicubic)
        add("crop flip" + suffix, (2, 3, 40, 60), (32, 32), bicubic, flip=1)
        add("evaluate" + suffix, whole, (28, 28), bicubic, evaluate=32)
    add("brightness up", order=(0,), factors=(1.37, 1, 1, 0))
    add("brightness down", order=(0,), factors=(0.62, 1, 1, 0))
    add("contrast up", order=(1,), factors=(1, 1.4, 1, 0))
    add("contrast down", order=(1,), factors=(1, 0.61, 1, 0))
    add("saturation up", order=(2,), factors=(1, 1, 1.4, 0))
    add("saturation down", order=(2,), factors=(1, 1, 0.3, 0))
    add("hue up", order=(3,), factors=(1, 1, 1, 0.1))
    add("hue down", order=(3,), factors=(1, 1, 1, -0.4))
    add("grey", grey=1)
    add("solarize", solarize=1)
    add("flip", flip=1)
    add("several", order=(2, 0, 1), factors=(1.2, 0.8, 1.3, 0), grey=0, solarize=1, flip=1)
    for sigma in (0.1, 0.5, 1.0, 2.0):
        add(f"blur {sigma}", BLUR_PART, sigma=sigma)

    image = F.to_tensor(source.crop((0, 0, 21, 20)))
    image = F.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).numpy()
    add("normalise", (0, 0, 20, 21))
    records[-1] = records[-1][: -3 * 20 * 21] + np.ascontiguousarray(image, dtype="<f4").tobytes()

    with open(Path(__file__).with_name("augment_pixels_golden.bin"), "wb") as file:
        file.write(struct.pack("<2i", H, W) + np.asarray(source).tobytes())
        file.writelines(records)


if __name__ == "__main__":
    main()
