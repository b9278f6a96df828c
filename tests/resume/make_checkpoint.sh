#!/bin/sh
# A checkpoint of today's version for test_old_checkpoints.c, and what is in it by a reader that is not ours. Run once for
# each version of the layout, never again for an old one:
#   tests/resume/make_checkpoint.sh build/tests/test_old_checkpoints tests/resume/checkpoint_v1.safetensors
set -eu
"$1" write "$2"
python3 - "$2" <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
(length,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8 : 8 + length])
print(header.pop("__metadata__")["moco.settings"])
for name, tensor in header.items():
    begin, end = (8 + length + offset for offset in tensor["data_offsets"])
    raw = data[begin:end]
    if tensor["dtype"] == "BF16":  # the upper half of a float
        raw = b"".join(b"\0\0" + raw[i : i + 2] for i in range(0, len(raw), 2))
    kind = {"I64": "q", "F64": "d", "F32": "f", "BF16": "f"}[tensor["dtype"]]
    values = struct.unpack("<%d%s" % (len(raw) // struct.calcsize(kind), kind), raw)
    shown = [v if kind == "q" else v.hex() for v in (values[0], values[-1])]
    print(name, tensor["dtype"], tensor["shape"], "first", shown[0], "last", shown[1])
END
