"""Makes image_golden.bin: small encoded images and what Pillow makes of them, for test_image_golden.c.

    python make_image_golden.py        (needs pillow with JPEG, PNG and WebP, numpy)

Pillow's way: open, ImageOps.exif_transpose, alpha_composite over white where there is transparency, convert("RGB"); of 16
bits the high ones. A record: char name[32]; int32 h, w, largest difference allowed, bytes of the file; the file; uint8
pixels[h x w x 3].
"""
import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

rng = np.random.default_rng(20261124)


def picture(h, w):
    """Waves, noise, an edge."""
    y, x = np.mgrid[0:h, 0:w]
    image = np.stack([128 + 90 * np.sin(0.25 * x + k) * np.cos(0.2 * y - k) for k in range(3)], -1)
    image += rng.normal(0, 8, image.shape)
    image[h // 2 :, w // 3 :] = [230, 60, 20]
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def encode(image, kind, orientation=0, **options):
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pillow(file):
    image = Image.open(io.BytesIO(file))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


H, W = 25, 33
rgb = picture(H, W)
alpha = rgb.copy()
alpha.putalpha(Image.fromarray(rng.integers(0, 256, (H, W)).astype(np.uint8)))
grey = rgb.convert("L")
small = rgb.quantize(13)
deep = Image.fromarray(rng.integers(0, 65536, (H, W)).astype(np.uint16))
records = []


def add(name, file, tolerance=0):
    records.append((name, file, pillow(file), tolerance))


# libjpeg-turbo's versions agree on these pixels; 2 leaves room for other implementations of its DCT.
for sampling in (0, 1, 2):
    add(f"jpeg-subsampling-{sampling}", encode(rgb, "JPEG", subsampling=sampling, quality=90), 2)
add("jpeg-progressive", encode(rgb, "JPEG", progressive=True, quality=80), 2)
add("jpeg-grey", encode(grey, "JPEG"), 2)
add("jpeg-cmyk", encode(rgb.convert("CMYK"), "JPEG", quality=92), 2)
add("jpeg-rgb", encode(rgb, "JPEG", keep_rgb=True), 2)
for orientation in range(1, 9):
    add(f"jpeg-orientation-{orientation}", encode(rgb, "JPEG", orientation), 2)
for mode, image in (("rgb", rgb), ("rgba", alpha), ("l", grey), ("la", alpha.convert("LA")), ("1", grey.convert("1")), ("p", small), ("i16", deep)):
    add(f"png-{mode}", encode(image, "PNG"))
add("png-p-transparent", encode(small, "PNG", transparency=3))
add("png-p-alphas", encode(small, "PNG", transparency=bytes(range(0, 208, 16))))
add("png-rgb-transparent", encode(rgb, "PNG", transparency=rgb.getpixel((W - 1, H - 1))))
add("png-l-transparent", encode(grey, "PNG", transparency=grey.getpixel((5, 5))))
add("png-apng", encode(rgb, "PNG", save_all=True, append_images=[alpha.convert("RGB").transpose(0)]))
for orientation in (3, 6, 7):
    add(f"png-orientation-{orientation}", encode(rgb, "PNG", orientation))
for name, image in (("rgb", rgb), ("rgba", alpha)):
    add(f"webp-lossy-{name}", encode(image, "WEBP", quality=80))
    add(f"webp-lossless-{name}", encode(image, "WEBP", lossless=True, exact=True))
    add(f"webp-animated-{name}", encode(image, "WEBP", save_all=True, append_images=[image.transpose(0)]))
    add(f"webp-orientation-{name}", encode(image, "WEBP", 8, quality=70))

with open(Path(__file__).parent / "image_golden.bin", "wb") as out:
    for name, file, pixels, tolerance in records:
        h, w, _ = pixels.shape
        out.write(struct.pack("<32s4i", name.encode(), h, w, tolerance, len(file)) + file + pixels.tobytes())
print(len(records), "records")
