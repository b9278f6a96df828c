#!/usr/bin/env python3
"""The public headers as one text, for the two tests of what programs that are already built rely on.

    public_headers.py --one INCLUDE_FOLDER > header.h   all headers in one file, without comments: kept in tests/abi for each
                                                        version, as program_of_0_1.c has 0.1's
    public_headers.py --stubs HEADER > stubs.c          a definition of every MOCO_API function of such a file, whose debugging
                                                        information has all types that a program may meet
"""
import argparse
import pathlib
import re


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def in_order(folder):
    """Every header's path, each behind those that it includes."""
    done = []

    def visit(path):
        if path in done:
            return
        for name in re.findall(r"#include <(moco/[^>]+)>", path.read_text()):
            visit(folder / name)
        done.append(path)

    for path in sorted((folder / "moco").rglob("*.h")):
        visit(path)
    return done


def one_header(folder):
    text = "".join(without_comments(path.read_text()) for path in in_order(folder))
    text = re.sub(r"#include <moco/[^>]+>\n", "", text)
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{2,}", "\n", text).strip()
    return f"/* All public headers, by tests/abi/public_headers.py --one. */\n/* clang-format off */\n{text}\n"


def stubs(header):
    text = header.read_text()
    lines = [f'#include "{header.resolve()}"']
    for declaration in re.findall(r"MOCO_API ([^;#]+);", text):
        lines.append(f"MOCO_API {' '.join(declaration.split())} {{ __builtin_trap(); }}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("place", type=pathlib.Path)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--one", action="store_true")
    kind.add_argument("--stubs", action="store_true")
    arguments = parser.parse_args()
    print(one_header(arguments.place) if arguments.one else stubs(arguments.place), end="")


if __name__ == "__main__":
    main()
