#!/usr/bin/env bash
# Version: torch 2.13.0, on a CPU of x86-64.
# The guess: bfloat16 autocast on a CPU without AVX-512 is slow, and works for every recurrent module alike.
# What happens: nn.LSTM raises at its first forward pass, because the fused kernel of oneDNN is asked for a precision that
#   it does not have there. nn.GRU and nn.RNN run, and so does an nn.LSTM whose own weights are bfloat16.
#   ONEDNN_MAX_CPU_ISA makes any CPU one without AVX-512.
# Output seen:
#   RNN under autocast: runs
#   GRU under autocast: runs
#   LSTM under autocast: RuntimeError: could not create a primitive descriptor for the LSTM forward propagation primitive
#   LSTM in bfloat16 itself: runs
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy
cd "$folder"
cat >shown.py <<'PYTHON'
import torch
from torch import nn

found = {}


def show(what: str, run) -> None:
    try:
        run()
        found[what] = "runs"
    except RuntimeError as error:
        found[what] = f"RuntimeError: {str(error).partition('. ')[0]}"
    print(f"{what}: {found[what]}")


x = torch.randn(4, 6, 3)
for kind in (nn.RNN, nn.GRU, nn.LSTM):
    with torch.autocast("cpu", torch.bfloat16):
        show(f"{kind.__name__} under autocast", lambda: kind(3, 5, batch_first=True)(x))
half = nn.LSTM(3, 5, batch_first=True).bfloat16()
show("LSTM in bfloat16 itself", lambda: half(x.bfloat16()))
assert found.pop("LSTM under autocast").startswith("RuntimeError: could not create a primitive"), "changed"
assert set(found.values()) == {"runs"}, "changed"
PYTHON
ONEDNN_MAX_CPU_ISA=AVX2 "$folder/env/bin/python" shown.py
