"""The Python half of peer.c: set up once, then run when told to, in turns with libmoco."""

import os
import sys
import time


def absent(why):
    """Tells the other side why there is nothing to compare with, and ends."""
    print("absent", " ".join(str(why).split())[:400], flush=True)
    os._exit(0)  # without the tear-down of what may have failed half-way


def import_torch(threads):
    """PyTorch limited to `threads`; says so and ends where it is not installed."""
    try:
        import torch
    except ImportError:
        absent("not installed")
    torch.set_num_threads(threads)
    return torch


def peak_resident_bytes():
    """Of this process alone; getrusage would count the parent's peak at the fork too."""
    return status_bytes("VmHWM")


def resident_bytes():
    return status_bytes("VmRSS")


def status_bytes(field):
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return -1


def serve(run, numbers):
    """Answers "run" with the milliseconds of run(), and "get NAME" with numbers[NAME] (a number or a function)."""
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["run"]:
            start = time.perf_counter()
            run()
            print((time.perf_counter() - start) * 1e3, flush=True)
        elif words[:1] == ["get"]:
            value = numbers.get(words[1], -1)
            print(value() if callable(value) else value, flush=True)
