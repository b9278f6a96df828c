#!/usr/bin/env python3
"""Draws readme_figures.svg, README's picture, from the measured figures in readme_figures.json. No package is needed:

    python3 tests/bench/figures/draw_readme_figures.py          # writes the file beside this script
    python3 tests/bench/figures/draw_readme_figures.py --check  # fails if the committed file is not what it would write
"""
import json
import pathlib
import sys
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 860, 300
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 13px } .small { font-size: 10px; fill: #57606a }
  .axis { stroke: #8c959f; stroke-width: 1 } .grid { stroke: #d0d7de; stroke-width: 1 }
  .ours { fill: #0969da } .theirs { fill: #afb8c1 } .curve { fill: none; stroke: #0969da; stroke-width: 2.5 }
  .base { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
    .ours { fill: #4493f8 } .curve { stroke: #4493f8 } .theirs { fill: #656c76 } }
"""


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def wrapped(x, y, words, width):
    """Small print, broken into lines of at most `width` characters."""
    rows, row = [], ""
    for word in words.split():
        if row and len(row) + 1 + len(word) > width:
            rows.append(row)
            row = ""
        row = f"{row} {word}".strip()
    rows.append(row)
    return [text(x, y + 13 * i, row, "small") for i, row in enumerate(rows)]


def curve_panel(curve, left, top, width, height):
    epochs, values = curve["epochs"], curve["knn_top1"]
    low, high = 30, 70

    def place(epoch, value):
        return left + width * epoch / epochs[-1], top + height * (high - value) / (high - low)

    out = [text(left - 30, top - 22, curve["title"], "title")]
    for value in range(low, high + 1, 10):
        y = place(0, value)[1]
        out += [line(left, y, left + width, y, "grid"), text(left - 6, y + 4, f"{value} %", "small", "end")]
    for epoch in epochs[::2]:
        out.append(text(place(epoch, low)[0], top + height + 16, str(epoch), "small", "middle"))
    out.append(text(left + width, top + height + 30, "epoch", "small", "end"))
    for label, value in (("raw pixels", curve["raw_pixels"]), ("untrained encoder", curve["untrained"])):
        y = place(0, value)[1]
        out += [line(left, y, left + width, y, "base"),
                text(left + width, y - 4, f"{label} {value:.1f} %", "small", "end")]
    points = " ".join("%.1f,%.1f" % place(*point) for point in zip(epochs, values))
    out.append(f'<polyline points="{points}" class="curve"/>')
    x, y = place(epochs[-1], values[-1])
    out.append(text(x, y - 8, f"{values[-1]:.1f} %", "title", "end"))
    return out + wrapped(left - 30, top + height + 46, curve["note"], 66)


def bar_panel(bars, left, top, width):
    out = [text(left, top - 22, bars["title"], "title")]
    longest = max(row["pytorch"] for row in bars["rows"])
    room = width - 110
    for i, row in enumerate(bars["rows"]):
        y = top + 40 * i
        out.append(text(left, y, row["label"], "small"))
        for j, (side, kind, name) in enumerate((("libmoco", "ours", "libmoco"), ("pytorch", "theirs", "PyTorch"))):
            length = room * row[side] / longest
            out.append(f'<rect x="{left:.1f}" y="{y + 4 + 12 * j:.1f}" width="{length:.1f}" height="10" class="{kind}"/>')
            label = f"{name} {row[side]}"
            if side == "libmoco":
                label += f"  ({row['pytorch'] / row['libmoco']:.1f}x as fast)"
            out.append(text(left + length + 5, y + 13 + 12 * j, label, "small"))
    return out + wrapped(left, top + 40 * len(bars["rows"]) + 16, bars["note"], 78)


def draw(figures):
    body = curve_panel(figures["curve"], 60, 50, 310, 170)
    body += bar_panel(figures["bars"], 440, 50, 410)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'role="img" aria-label="{escape(figures["curve"]["title"])}; {escape(figures["bars"]["title"])}">\n'
            f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n")


def main():
    svg = draw(json.loads((HERE / "readme_figures.json").read_text()))
    target = HERE / "readme_figures.svg"
    if "--check" in sys.argv[1:]:
        if target.read_text() != svg:
            sys.exit("readme_figures.svg is not what readme_figures.json gives: run draw_readme_figures.py")
        return
    target.write_text(svg)


if __name__ == "__main__":
    main()
