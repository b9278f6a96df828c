#!/usr/bin/env python3
"""convert: from an encoder file of ours it makes the very bytes that moco_encoder_export made of the encoder itself, with all
that the file says of view, classes and description; and --inspect says what each file is and lists its tensors.

    check_convert.py MAKE_EXPORTS CONVERT
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

KINDS = {  # of make_exports' files: what convert is asked for, and what --inspect says
    "backbone.safetensors": (["--to", "safetensors"], "a safetensors file, an encoder of libmoco"),
    "whole.safetensors": (["--to", "safetensors", "--with-head"], "a safetensors file, an encoder of libmoco"),
    "torch.pth": (["--to", "torch"], "a file of torch.save (zip), a ResNet under torchvision's names"),
    "torch_whole.pth": (["--to", "torch", "--with-head"], "a file of torch.save (zip), a ResNet under torchvision's names"),
    "moco.pth.tar": (["--to", "torch-moco", "--epoch", "199"], "a file of torch.save (zip), the query encoder of the official MoCo v1 or v2"),
    "detectron2.pth": (["--to", "detectron2"], "a file of torch.save (zip), a ResNet backbone under detectron2's names"),
    "backbone.onnx": (["--to", "onnx"], None),
    "pixels.onnx": (["--to", "onnx", "--fold", "--pixels"], None),
}


def inspect(convert, path):
    output = subprocess.run([convert, "--inspect", path], check=True, capture_output=True, text=True).stdout
    tensors = re.findall(r"^  (\S+) +(F32|I64) +\[([0-9, ]*)\]$", output, re.M)
    return output.splitlines()[0], tensors, output


def main():
    make_exports, convert = sys.argv[1:3]
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=fast) as place:
        folder = pathlib.Path(place)
        subprocess.run([make_exports, folder / "model", "resnet18", "only=" + ",".join(KINDS) + ",timm"], check=True)
        first = subprocess.run([convert, folder / "model" / "whole.safetensors", folder / "first"], capture_output=True, text=True)
        if "without Jansson" in first.stderr:
            print("this build reads no encoder files: left out")
            return 77
        for name, (arguments, first_line) in KINDS.items():
            made = folder / name
            written = subprocess.run([convert, folder / "model" / "whole.safetensors", made, *arguments], check=True, capture_output=True, text=True).stdout
            # torchvision's resnet18 has 11,689,512 parameters, 513,000 of them in its classifier; v2's head has 328,320.
            size = "encoder of 11.50" if "--with-head" in arguments or "torch-moco" in arguments else "backbone of 11.18"
            assert f", {size} million parameters" in written, written
            assert made.read_bytes() == (folder / "model" / name).read_bytes(), name
            if first_line is None:
                refused = subprocess.run([convert, "--inspect", made], capture_output=True, text=True)
                assert refused.returncode != 0 and f"{made} is an ONNX file" in refused.stderr, refused.stderr
                continue
            line, tensors, output = inspect(convert, made)
            assert line == f"{made}: {first_line}", line
            whole = name in ("whole.safetensors", "torch_whole.pth", "moco.pth.tar")
            assert len(tensors) == 120 + 4 * whole, (name, len(tensors))
            assert f"{len(tensors)} tensors of {11.186 + 0.328 * whole:.3f} million numbers" in output, output[:200]
            shapes = dict((tensor.split(".", 1)[-1] if "state_dict" in tensor else tensor, shape) for tensor, _, shape in tensors)
            assert "64, 3, 7, 7" in shapes.values() and ("128, 512" in shapes.values()) == whole
            if name == "moco.pth.tar":
                assert "\n  epoch = 199\n  arch = resnet18\n" in output
        subprocess.run([convert, folder / "model" / "whole.safetensors", folder / "timm", "--to", "timm", "--with-head"], check=True, stdout=subprocess.DEVNULL)
        seen = subprocess.run([convert, "--inspect", folder / "timm"], check=True, capture_output=True, text=True).stdout
        assert f"{folder}/timm/config.json\n" in seen and '"architecture":"resnet18"' in seen, seen[:400]
        assert f"{folder}/timm/model.safetensors: a safetensors file, " in seen and f"{folder}/timm/head.safetensors: " in seen, seen[:2000]
        empty = subprocess.run([convert, "--inspect", folder / "model"], capture_output=True, text=True)
        assert empty.returncode == 1 and "a folder without model.safetensors" in empty.stderr, empty.stderr
        for path in (folder / "model" / "timm").iterdir():
            assert path.read_bytes() == (folder / "timm" / path.name).read_bytes(), path.name
        # Other programs' files: the same numbers come out of them, whatever they are called there; the head only where it is.
        for source in ("torch_whole.pth", "moco.pth.tar"):
            same = ["--arch", "resnet18", "--with-head", "--to", "torch"]
            made = folder / f"from_{source}"
            output = subprocess.run([convert, folder / "model" / source, made, *same], check=True, capture_output=True, text=True).stdout
            assert 'tensors of resnet18 below "' in output and "others" not in output, output
            assert made.read_bytes() == (folder / "model" / "torch_whole.pth").read_bytes(), source
            backbone = folder / f"backbone_of_{source}"
            subprocess.run([convert, folder / "model" / source, backbone, "--arch", "resnet18", "--to", "torch"], check=True, stdout=subprocess.DEVNULL)
            assert backbone.read_bytes() == (folder / "model" / "torch.pth").read_bytes(), source
        headless = subprocess.run([convert, folder / "model" / "torch.pth", folder / "none", *same], capture_output=True, text=True)
        assert headless.returncode != 0 and "--with-head" in headless.stderr and not (folder / "none").exists()
        wrong = subprocess.run([convert, folder / "model" / "sizes.txt", folder / "none", "--to", "torch"], capture_output=True, text=True)
        assert wrong.returncode != 0 and wrong.stderr.startswith("convert: ") and not (folder / "none").exists()
        print(f"{len(KINDS) + 1} kinds, byte for byte")


if __name__ == "__main__":
    sys.exit(main())
