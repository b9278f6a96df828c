"""Makes image_formats_golden.bin: small BMP, PNM and TIFF files, and orientation told by XMP, with what Pillow makes of
them, for test_image_formats_golden.c.

    python make_image_formats_golden.py        (needs pillow, numpy, tifffile, imagecodecs)

Pillow's way and a record's form are those of make_image_golden.py. Files that Pillow does not write are put together here
by hand or by tifffile; what they mean is Pillow's word all the same.
"""
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps, PngImagePlugin

rng = np.random.default_rng(20261201)
H, W = 11, 21
records = []


def pillow(file):
    image = Image.open(io.BytesIO(file))
    image.load()
    kind = image.format
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        pnm = kind == "PPM"  # scaled, as its colours are; of TIFF's 16 bits the high ones count
        image = Image.fromarray((np.round(deep / 65535 * 255) if pnm else deep >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def add(name, file, tolerance=0):
    records.append((name, file, pillow(file), tolerance))


def encode(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


y, x = np.mgrid[0:H, 0:W]
waves = np.stack([128 + 90 * np.sin(0.25 * x + k) * np.cos(0.3 * y - k) for k in range(3)], -1)
waves[H // 2 :, W // 3 :] = [230, 60, 20]
rgb = Image.fromarray(np.clip(waves + rng.normal(0, 6, waves.shape), 0, 255).astype(np.uint8))
alpha = rgb.copy()
alpha.putalpha(Image.fromarray(rng.integers(0, 256, (H, W)).astype(np.uint8)))
grey = rgb.convert("L")
small = rgb.quantize(13)
deep = rng.integers(0, 65536, (H, W)).astype(np.uint16)

# --- BMP ---


def bmp(bits, rows, palette=(), compression=0, h=H, size=40, masks=b"", w=W, offset=None):
    """rows: bytes as they are in the file."""
    if size == 12:
        header = struct.pack("<IHHHH", 12, w, h, 1, bits)
        table = b"".join(struct.pack("BBB", b, g, r) for r, g, b in palette)
    else:
        header = struct.pack("<IiiHHIIiiII", size, w, h, 1, bits, compression, len(rows), 2835, 2835, len(palette), 0)
        header += masks if size == 40 else masks.ljust(size - 40, b"\0")
        table = b"".join(struct.pack("BBBB", b, g, r, 0) for r, g, b in palette)
    at = 14 + len(header) + len(table) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + header + table + rows


def packed(samples, bits, from_above=False):
    """Rows of `bits` for each sample, padded to four bytes."""
    out = []
    for row in samples if from_above else samples[::-1]:
        digits = "".join(format(int(value), f"0{bits}b") for value in row)
        digits += "0" * (-len(digits) % 32)
        out.append(int(digits, 2).to_bytes(len(digits) // 8, "big"))
    return b"".join(out)


def words(values, dtype, from_above=False):
    out = []
    for row in values if from_above else values[::-1]:
        raw = row.astype(dtype).tobytes()
        out.append(raw + b"\0" * (-len(raw) % 4))
    return b"".join(out)


def runs(samples, bits):
    """Runs and literal stretches in turn; RLE4's stretches are of four, eight ..., as Pillow misreads odd ones."""
    out = bytearray()
    for number, row in enumerate(samples[::-1]):
        at = 0
        while at < len(row):
            length = 1
            while at + length < len(row) and row[at + length] == row[at] and length < 255:
                length += 1
            literal = min(len(row) - at, 8) // 4 * 4
            if length < 3 and literal >= 4:
                values = [int(v) for v in row[at : at + literal]]
                out += bytes([0, literal])
                out += bytes(values) if bits == 8 else bytes(a << 4 | b for a, b in zip(values[::2], values[1::2]))
                at += literal
            else:
                out += bytes([length, int(row[at]) if bits == 8 else int(row[at]) * 17])
                at += length
        out += b"\0\1" if number == len(samples) - 1 else b"\0\0"
    return bytes(out)


colours = [tuple(int(c) for c in rng.integers(0, 256, 3)) for _ in range(256)]
numbers = rng.integers(0, 16, (H, W))
stripes = (x // 5 + y) % 16
stripes[3] = numbers[3]
stripes[7] = 5
for mode, image in (("rgb", rgb), ("l", grey), ("1", grey.convert("1")), ("p", small)):
    add(f"bmp-{mode}", encode(image, "BMP"))
add("bmp-4", bmp(4, packed(numbers, 4), colours[:16]))
add("bmp-4-few", bmp(4, packed(numbers % 5, 4), colours[:5]))
add("bmp-8-from-above", bmp(8, packed(numbers, 8, True), colours[:16], h=-H))
add("bmp-8-os2", bmp(8, packed(numbers, 8), colours, size=12))
add("bmp-1-os2", bmp(1, packed(numbers % 2, 1), colours[:2], size=12))
add("bmp-8-wrong-offset", bmp(8, packed(numbers, 8), colours[:16], offset=54))
add("bmp-rle8", bmp(8, runs(stripes, 8), colours[:16], compression=1))
add("bmp-rle4", bmp(4, runs(stripes, 4), colours[:16], compression=2))
bytes_ = np.asarray(rgb).astype(np.uint32)
r, g, b = bytes_[..., 0], bytes_[..., 1], bytes_[..., 2]
a = np.asarray(alpha).astype(np.uint32)[..., 3]
add("bmp-16", bmp(16, words(r >> 3 << 10 | g >> 3 << 5 | b >> 3, "<u2")))
add("bmp-565", bmp(16, words(r >> 3 << 11 | g >> 2 << 5 | b >> 3, "<u2"), compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
add("bmp-32", bmp(32, words(a << 24 | r << 16 | g << 8 | b, "<u4")))
add("bmp-32-from-above", bmp(32, words(a << 24 | r << 16 | g << 8 | b, "<u4", True), h=-H))
masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
for size in (56, 108, 124):
    add(f"bmp-alpha-{size}", bmp(32, words(a << 24 | r << 16 | g << 8 | b, "<u4"), compression=3, size=size, masks=masks))
add("bmp-masks-turned", bmp(32, words(a << 24 | b << 16 | g << 8 | r, "<u4"), compression=3, size=108, masks=struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
add("bmp-24-rows-of-1", bmp(24, b"".join(bytes(p) + b"\0" for p in ([1, 2, 3], [40, 50, 60])), w=1, h=2))

# --- PNM ---


def pnm(kind, body, most=None, comment="", w=W, h=H):
    return f"P{kind}\n{comment}{w} {h}\n{'' if most is None else f'{most}' + chr(10)}".encode() + body


bits = rng.integers(0, 2, (H, W))
add("pnm-1", pnm(1, "\n".join("".join(map(str, row)) for row in bits).encode()))
add("pnm-1-spaced", pnm(1, "\n".join(" ".join(map(str, row)) for row in bits).encode() + b"\n", comment="# spaced\n"))
add("pnm-2", pnm(2, "\n".join(" ".join(str(v % 100) for v in row) for row in deep).encode(), 99))
add("pnm-2-deep", pnm(2, "\n".join(" ".join(map(str, row)) for row in deep).encode() + b"\n", 65535))
add("pnm-3", pnm(3, "\n".join(" ".join(map(str, row.ravel())) for row in np.asarray(rgb)).encode() + b"\n", 255, comment="# a\n#b\n"))
add("pnm-4", encode(grey.convert("1"), "PPM"))
add("pnm-5", encode(grey, "PPM"))
add("pnm-5-deep", pnm(5, deep.astype(">u2").tobytes(), 65535))
add("pnm-5-15", pnm(5, (deep % 16).astype(np.uint8).tobytes(), 15))
add("pnm-6", encode(rgb, "PPM"))
add("pnm-6-100", pnm(6, (np.asarray(rgb) % 101).tobytes(), 100))
for most in (1001, 65535):
    add(f"pnm-6-{most}", pnm(6, (rng.integers(0, most + 1, (H, W, 3))).astype(">u2").tobytes(), most))

# --- TIFF ---

for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd"):
    add(f"tiff-{compression}", encode(rgb, "TIFF", compression=compression))
for compression in ("group3", "group4", "tiff_ccitt", "packbits"):
    add(f"tiff-1-{compression}", encode(grey.convert("1"), "TIFF", compression=compression))
for mode, image in (("l", grey), ("p", small), ("rgba", alpha), ("la", alpha.convert("LA")), ("cmyk", rgb.convert("CMYK")), ("i16", Image.fromarray(deep))):
    add(f"tiff-{mode}", encode(image, "TIFF", compression="tiff_lzw"))
add("tiff-jpeg", encode(rgb, "TIFF", compression="jpeg", quality=90), 2)
add("tiff-jpeg-grey", encode(grey, "TIFF", compression="jpeg", quality=90), 2)
for orientation in range(1, 9):
    add(f"tiff-orientation-{orientation}", encode(rgb, "TIFF", tiffinfo={274: orientation}))
big = np.asarray(rgb.resize((37, 29)))


def tiff(data, **options):
    stream = io.BytesIO()
    options.setdefault("metadata", None)
    options.setdefault("software", False)
    tifffile.imwrite(stream, data, **options)
    return stream.getvalue()


add("tiff-tiles", tiff(big, tile=(16, 16), photometric="rgb"))
add("tiff-tiles-deflate", tiff(big, tile=(16, 32), photometric="rgb", compression="zlib", predictor=True))
add("tiff-tiles-planar", tiff(np.moveaxis(big, -1, 0), tile=(16, 16), photometric="rgb", planarconfig="separate", compression="zlib"))
add("tiff-planar", tiff(np.moveaxis(big, -1, 0), photometric="rgb", planarconfig="separate", rowsperstrip=4))
add("tiff-strips", tiff(big, photometric="rgb", rowsperstrip=5, compression="lzw"))
add("tiff-big-endian", tiff(big, photometric="rgb", byteorder=">", rowsperstrip=7))
add("tiff-bigtiff", tiff(big, photometric="rgb", bigtiff=True))
add("tiff-16", tiff(rng.integers(0, 65536, (H, W, 3)).astype(np.uint16), photometric="rgb", byteorder=">"))
add("tiff-16-grey-big-endian", tiff(deep, photometric="minisblack", byteorder=">"))
add("tiff-white-is-zero", tiff(np.asarray(grey), photometric="miniswhite"))
premultiplied = np.asarray(alpha).astype(np.uint32)
premultiplied[..., :3] = premultiplied[..., :3] * premultiplied[..., 3:] // 255
add("tiff-premultiplied", tiff(premultiplied.astype(np.uint8), photometric="rgb", extrasamples=["assocalpha"]))
add("tiff-unspecified-extra", tiff(np.asarray(alpha), photometric="rgb", extrasamples=["unspecified"]))
add("tiff-two-pages", encode(rgb, "TIFF", save_all=True, append_images=[grey]))

# --- Orientation told by XMP, and by ImageMagick's text ---

PACKET = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {}</rdf:Description></rdf:RDF></x:xmpmeta>'
ATTRIBUTE, ELEMENT = PACKET.format('tiff:Orientation="6">'), PACKET.format("><tiff:Orientation>8</tiff:Orientation>")
exif = Image.Exif()
exif[0x0112] = 3


def png_with(chunks, **options):
    info = PngImagePlugin.PngInfo()
    for chunk in chunks:
        getattr(info, chunk[0])(*chunk[1:])
    return encode(rgb, "PNG", pnginfo=info, **options)


def raw_profile(kind, content):
    lines = content.hex()
    lines = "\n".join(lines[i : i + 72] for i in range(0, len(lines), 72))
    return f"\n{kind}\n{len(content):8d}\n{lines}\n"


for name, packet in (("attribute", ATTRIBUTE), ("element", ELEMENT)):
    add(f"xmp-jpeg-{name}", encode(rgb, "JPEG", xmp=packet.encode()), 2)
    add(f"xmp-webp-{name}", encode(rgb, "WEBP", lossless=True, xmp=packet.encode()))
    add(f"xmp-png-{name}", png_with([("add_itxt", "XML:com.adobe.xmp", packet)]))
    add(f"xmp-png-zlib-{name}", png_with([("add_itxt", "XML:com.adobe.xmp", packet, "", "", True)]))
add("xmp-and-exif-jpeg", encode(rgb, "JPEG", xmp=ATTRIBUTE.encode(), exif=exif), 2)
add("xmp-and-exif-webp", encode(rgb, "WEBP", lossless=True, xmp=ATTRIBUTE.encode(), exif=exif))
add("xmp-and-exif-png", png_with([("add_itxt", "XML:com.adobe.xmp", ATTRIBUTE)], exif=exif))
for zipped in (False, True):
    add(f"profile-png-{'zTXt' if zipped else 'tEXt'}", png_with([("add_text", "Raw profile type exif", raw_profile("exif", exif.tobytes()), zipped)]))
add("profile-and-xmp-png", png_with([("add_text", "Raw profile type exif", raw_profile("exif", exif.tobytes()), True), ("add_itxt", "XML:com.adobe.xmp", ATTRIBUTE)]))

# --- TIFF's one strip of more than 8 KiB, which libtiff would show as several ---

add("tiff-one-strip", encode(rgb.resize((53, 53)), "TIFF"))

with open(Path(__file__).parent / "image_formats_golden.bin", "wb") as out:
    for name, file, pixels, tolerance in records:
        h, w, _ = pixels.shape
        out.write(struct.pack("<32s4i", name.encode(), h, w, tolerance, len(file)) + file + pixels.tobytes())
print(len(records), "records")
