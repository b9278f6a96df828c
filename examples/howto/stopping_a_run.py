import ctypes
import signal
import threading

moco = ctypes.CDLL("libmoco.so.0.2")
moco.moco_last_error.restype = ctypes.c_char_p
moco.moco_trainer_step_count.restype = ctypes.c_int64
moco.moco_trainer_encoder.restype = ctypes.c_void_p


def check(status):
    if status:
        raise RuntimeError(moco.moco_last_error().decode())


class StepStats(ctypes.Structure):  # moco_step_stats of moco/trainer.h
    _fields_ = [("struct_size", ctypes.c_uint32), ("warming_up", ctypes.c_int32)] + [
        (name, ctypes.c_int64) for name in ("step", "epoch", "samples")] + [
        (name, ctypes.c_double) for name in ("loss", "positive", "negative", "top1", "top5", "chance_loss")] + [
        (name, ctypes.c_int64) for name in ("negatives", "masked")] + [
        (name, ctypes.c_double) for name in ("learning_rate", "momentum")] + [
        ("queue_filled", ctypes.c_int64), ("seconds", ctypes.c_double), ("images_per_second", ctypes.c_double)]


def run(trainer, epochs=0, on_step=None):
    """moco_trainer_run that raises what on_step raises, and KeyboardInterrupt after Ctrl-C; both after a whole step."""
    raised, interrupts = [], []

    def step(stats, _):
        try:
            if on_step is not None:
                on_step(stats.contents)
            return 0
        except BaseException as error:  # ctypes would print it and go on
            raised.append(error)
            return 1

    def interrupt(*_):  # raises nothing: that would be lost where it happens to be in a callback
        interrupts.append(True)
        moco.moco_trainer_request_stop(trainer)

    # Python calls its signal handlers between two lines of Python, of which there are none while the library works but
    # those of the callback. So there is always one.
    callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(StepStats), ctypes.c_void_p)(step)
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if in_main_thread else None
    try:
        status = moco.moco_trainer_run(trainer, None, ctypes.c_int64(epochs), ctypes.c_int64(0), callback, None)
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, before)
    if raised:
        raise raised[0]
    if interrupts:
        raise KeyboardInterrupt
    check(status)


def make_trainer(data, recipe):
    context, images, settings, trainer = (ctypes.c_void_p() for _ in range(4))
    check(moco.moco_context_create(ctypes.byref(context), None))
    check(moco.moco_dataset_open(ctypes.byref(images), context, data.encode()))
    check(moco.moco_recipe_create(ctypes.byref(settings), context, recipe.encode()))
    check(moco.moco_trainer_create_for(ctypes.byref(trainer), images, settings))
    moco.moco_recipe_destroy(settings)  # the trainer keeps what it needs of the others
    moco.moco_dataset_destroy(images)
    moco.moco_context_destroy(context)
    return trainer


def report(stats):
    if stats.step % 8 == 0:
        print(f"step {stats.step:3}  loss {stats.loss:.3f}  top-1 {stats.top1:.2f}", flush=True)


if __name__ == "__main__":
    trainer = make_trainer("synthetic:count=1024", "quick:epochs=2")
    try:
        run(trainer, on_step=report)
    except KeyboardInterrupt:
        print(f"stopped after {moco.moco_trainer_step_count(trainer)} steps")
    check(moco.moco_encoder_save(ctypes.c_void_p(moco.moco_trainer_encoder(trainer)), b"first.safetensors", None, None,
                                 ctypes.c_int64(0)))
    moco.moco_trainer_destroy(trainer)
