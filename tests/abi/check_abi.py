#!/usr/bin/env python3
"""Programs that were built with the stored header of this version run with the library of today: abidiff (abigail-tools)
compares the functions and types of both. New functions, and fields at the end of structs, are no change for them.

While the major version is 0, a minor version may break the ABI, and has a soname of its own: what is stored is the header
of this minor version, tests/abi/moco_0_2.h. A change that is meant to be one, before the version is released, stores it anew:

    python3 tests/abi/public_headers.py --one include > tests/abi/moco_0_2.h

    check_abi.py --compiler CC --include INCLUDE_FOLDER --stored HEADER        77: there is no abidiff
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import public_headers

HERE = pathlib.Path(__file__).parent
# What must be noticed, and what must not: a pattern in the header, and what becomes of it.
BREAKS = {
    "a function is gone": (r"MOCO_API void moco_queue_destroy\([^;]*;\n", ""),
    "a parameter has another type": (r"(MOCO_API [^;]*moco_schedule_value\([^;]*)int64_t", r"\1int32_t"),
    "two fields change places": (r"( +int32_t kind;)(\s+)( +int32_t with_head;)", r"\3\2\1"),
    "a field is gone": (r"int32_t\s+fold_batch_norm;\n", ""),
    "a field comes before the others": (r"(typedef struct moco_queue_config {\s+uint32_t struct_size;)", r"\1 int32_t newer[2];"),
    "a field grows": (r"int32_t class_count;", "int64_t class_count;"),
}
FITS = {
    "nothing": (r"\Z", ""),
    "a new function": (r"\Z", "MOCO_API moco_status moco_new_function(int32_t value);\n"),
    "a field at the end": (r"(\n} moco_export_config;)", r"\n    int64_t newer;\1"),
}


def build(compiler, header, folder, name):
    source = folder / f"{name}.c"
    library = folder / f"{name}.so"
    source.write_text(public_headers.stubs(header))
    subprocess.run([compiler, "-std=c11", "-g", "-O0", "-w", "-fPIC", "-shared", "-Wl,-soname,libmoco.so", source, "-o", library], check=True)
    return library


# All that abidiff says of a struct that has grown at its end.
GROWN = re.compile(
    r"^'struct \w+' changed:\n  type size changed from (\d+) to \d+ \(in bits\)\n  \d+ data member insertions?:\n"
    r"((?:    '[^\n]*', at offset \d+ \(in bits\)\n)+)\n?",
    re.M,
)
SUMMARY = re.compile(r"^.*(Leaf changes summary|Changed leaf types summary|added functions summary|added variables summary).*\n|^\s*\n", re.M | re.I)


def without_if_appended(match):
    offsets = map(int, re.findall(r"at offset (\d+)", match[2]))
    return "" if all(offset >= int(match[1]) for offset in offsets) else match[0]


def differences(old, new):
    """"" where a program of `old` runs with `new`."""
    command = ["abidiff", "--harmless", "--leaf-changes-only", "--no-added-syms", "--no-show-locs", old, new]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode & 3:
        sys.exit(f"abidiff failed: {result.stdout}{result.stderr}")
    return SUMMARY.sub("", GROWN.sub(without_if_appended, result.stdout))


def check_the_check(compiler, header, folder, library):
    """The changes of the lists above, made to today's header, are found or let pass."""
    text = header.read_text()
    for index, (what, (pattern, replacement)) in enumerate({**BREAKS, **FITS}.items()):
        changed = folder / f"changed{index}.h"
        other, count = re.subn(pattern, replacement, text, count=1)
        if count != 1:
            sys.exit(f'the header has no place for "{what}" any more: change the pattern')
        changed.write_text(other)
        found = differences(library, build(compiler, changed, folder, f"changed{index}"))
        if (what in BREAKS) != bool(found):
            sys.exit(f'"{what}" was {"" if found else "not "}taken for a break: {found}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", type=pathlib.Path, required=True)
    parser.add_argument("--stored", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    if shutil.which("abidiff") is None:
        print("abidiff (abigail-tools) is not installed: left out")
        return 77
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        header = folder / "today.h"
        header.write_text(public_headers.one_header(arguments.include))
        today = build(arguments.compiler, header, folder, "today")
        check_the_check(arguments.compiler, header, folder, today)
        stored = build(arguments.compiler, arguments.stored, folder, "stored")
        found = differences(stored, today)
    if found:
        print(found)
        print(f"programs that were built with {arguments.stored.name} would not run with this library")
        return 1
    print(f"programs that were built with {arguments.stored.name} run with this library")
    return 0


if __name__ == "__main__":
    sys.exit(main())
