"""The Python half of peer.c: set up once, then run when told to, in turns with libmoco."""

import sys
import time


def import_torch(threads):
    """PyTorch limited to `threads`; says so and ends where it is not installed."""
    try:
        import torch
    except ImportError:
        print("absent not installed", flush=True)
        sys.exit(0)
    torch.set_num_threads(threads)
    return torch


def peak_resident_bytes():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
