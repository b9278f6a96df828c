#!/bin/sh
# Installs what the benchmarks compare with: PyTorch, torchvision, NumPy and Pillow, pip's newest, in a virtual environment
# of their own that nothing else uses. Needs python3 with its venv module (Debian: python3-venv); torch.compile also wants a
# C++ compiler (g++).
#
#   tests/bench/install_peer.sh FOLDER [PIP-OPTION ...]
#
# FOLDER is new or made by this script before, such as build/release/peer. Further words go to pip: an index that has smaller,
# CPU-only builds, say. Packages come from where pip is configured to look. Afterwards:
#
#   build/release/tests/bench/bench_step --python FOLDER/bin/python
set -eu

if [ $# -lt 1 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
folder=$1
shift

if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
    echo "install_peer: $folder exists and is no virtual environment; name a new folder" >&2
    exit 1
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "install_peer: python3 with its venv module is missing (Debian: apt-get install python3-venv)" >&2
    exit 1
fi
command -v c++ >/dev/null || echo "install_peer: no C++ compiler: torch.compile will not work (Debian: g++)" >&2

echo "install_peer: installing torch, torchvision, numpy and pillow into $folder (some gigabytes)"
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --upgrade "$@" torch torchvision numpy pillow
"$folder/bin/python" - <<'PYTHON'
import torch, torchvision
print(f"install_peer: PyTorch {torch.__version__}, torchvision {torchvision.__version__}, threads {torch.get_num_threads()}")
PYTHON
echo "install_peer: now use --python $folder/bin/python"
