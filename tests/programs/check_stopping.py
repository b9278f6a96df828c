"""A run that Python has started stops on Ctrl-C after the step in progress, with a callback and without, and raises what a
callback raised. Run by ctest with the library that was built."""
import importlib.util
import os
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True  # beside the how-to
specification = importlib.util.spec_from_file_location("stopping_a_run", sys.argv[1])
howto = importlib.util.module_from_spec(specification)
specification.loader.exec_module(howto)

EPOCHS = 100000  # hours, unless it is stopped
trainer = howto.make_trainer("synthetic:count=32,size=8", "quick:arch=cifar_resnet8,batch_size=16,bn_groups=2,queue_size=64")


def steps():
    return howto.moco.moco_trainer_step_count(trainer)


def expect(kind, *arguments, **named):
    try:
        howto.run(*arguments, **named)
    except kind as error:
        return error
    sys.exit(f"no {kind.__name__} was raised")


default = signal.getsignal(signal.SIGINT)
seen = []


def raise_in_step_2(stats):
    seen.append(stats.step)
    if stats.step == 2:
        raise ValueError("of the callback")


assert str(expect(ValueError, trainer, EPOCHS, raise_in_step_2)) == "of the callback"
assert seen == [0, 1, 2] and steps() == 3, (seen, steps())

# It goes on where it was, and the figures are those of the struct.
losses = []
howto.run(trainer, 3, lambda stats: losses.append((stats.step, stats.samples, stats.chance_loss, stats.images_per_second)))
assert [step for step, *_ in losses] == [3, 4, 5], losses
assert all(samples == 16 and 4 < chance < 4.3 and speed > 0 for _, samples, chance, speed in losses), losses  # ln 65


def interrupt_in_step_7(stats):
    if stats.step == 7:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # the handler runs here or at the next line


expect(KeyboardInterrupt, trainer, EPOCHS, interrupt_in_step_7)
assert steps() == 8, steps()


def interrupt_from_outside():
    while signal.getsignal(signal.SIGINT) is default:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


for _ in range(3):
    before = steps()
    threading.Thread(target=interrupt_from_outside).start()
    expect(KeyboardInterrupt, trainer, EPOCHS)  # no callback
    assert before <= steps() < 2 * EPOCHS, steps()
    assert signal.getsignal(signal.SIGINT) is default

# From another thread, which gets no signals: its callback's exception comes out there.
kept = []
other = threading.Thread(target=lambda: kept.append(expect(KeyError, trainer, EPOCHS, lambda stats: {}["missing"])))
other.start()
other.join()
assert isinstance(kept[0], KeyError)

# The library's own failures keep their sentence.
assert "epochs is -1" in str(expect(RuntimeError, trainer, -1))
howto.moco.moco_trainer_destroy(trainer)
print("stopped in every way")
