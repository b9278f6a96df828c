import ctypes
import numpy

moco = ctypes.CDLL("libmoco.so.0.2")
moco.moco_last_error.restype = ctypes.c_char_p


def check(status):
    if status:
        raise RuntimeError(moco.moco_last_error().decode())


def rows(array):  # the address of a C-contiguous float32 array
    assert array.dtype == numpy.float32 and array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)


class LossResult(ctypes.Structure):  # moco_loss_result of moco/loss.h
    _fields_ = [("struct_size", ctypes.c_uint32), ("reserved", ctypes.c_int32)] + [
        (name, ctypes.c_double) for name in ("loss", "positive", "negative", "top1", "top5", "chance_loss")] + [
        ("negatives", ctypes.c_int64), ("masked", ctypes.c_int64)]


class QueueConfig(ctypes.Structure):  # moco_queue_config of moco/queue.h
    _fields_ = [("struct_size", ctypes.c_uint32), ("start", ctypes.c_int32), ("capacity", ctypes.c_int64),
                ("dim", ctypes.c_int64), ("seed", ctypes.c_uint64), ("storage", ctypes.c_int32), ("reserved", ctypes.c_int32)]


context, queue, loss = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
check(moco.moco_context_create(ctypes.byref(context), None))
settings = QueueConfig()
check(moco.moco_queue_config_init(ctypes.byref(settings), ctypes.sizeof(settings)))
settings.capacity, settings.dim = 4096, 128  # K keys of 128 numbers, random at first
check(moco.moco_queue_create(ctypes.byref(queue), context, ctypes.byref(settings)))
check(moco.moco_loss_create(ctypes.byref(loss), context, None))  # temperature 0.07

generator = numpy.random.default_rng(1)
n, dim = 32, settings.dim
for step in range(3):
    q = generator.standard_normal((n, dim), dtype=numpy.float32)  # the query encoder's output in your program
    k = q + 0.5 * generator.standard_normal((n, dim), dtype=numpy.float32)  # the key encoder's
    q /= numpy.linalg.norm(q, axis=1, keepdims=True)
    k /= numpy.linalg.norm(k, axis=1, keepdims=True)
    d_q, result = numpy.empty_like(q), LossResult(struct_size=ctypes.sizeof(LossResult))
    check(moco.moco_loss_compute(loss, rows(q), rows(k), ctypes.c_int64(n), queue, None, ctypes.byref(result), rows(d_q)))
    check(moco.moco_queue_enqueue(queue, rows(k), None, ctypes.c_int64(n)))  # after the loss, as the paper does
    print(f"step {step}: loss {result.loss:.3f} (chance {result.chance_loss:.3f}), |dL/dq| {numpy.linalg.norm(d_q):.4f}")

for destroy, handle in ((moco.moco_loss_destroy, loss), (moco.moco_queue_destroy, queue),
                        (moco.moco_context_destroy, context)):
    destroy(handle)
