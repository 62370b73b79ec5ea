#!/usr/bin/env bash
# Versions: pytorch-lightning 2.6.6, tensorboard 2.20.0, torch 2.13.0.
# The guess: on a full disk, TensorBoardLogger.log_metrics raises the OSError of the file system (errno 28), which a
#   handler of OSError catches.
# What happens: it raises a ValueError about the type of the value. The OSError is its __cause__, so that what tells a
#   full disk from a mistake has to follow the chain.
# Output seen:
#   ValueError: you tried to log 0.5 which is currently not supported. Try a dict or a scalar/tensor.
#   cause: OSError errno 27 (a limit on the size of files stands for the full disk; a full one gives 28)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0
"$folder/env/bin/pip" install --quiet pytorch-lightning==2.6.6 tensorboard==2.20.0
cd "$folder"
cat >shown.py <<'PYTHON'
import errno
import resource
import signal
import threading

from pytorch_lightning.loggers import TensorBoardLogger

threading.excepthook = lambda failed: None  # the thread that writes prints its own error
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # as a disk with 4 KiB left
logger = TensorBoardLogger("runs")
raised = None
for step in range(10_000):
    try:
        logger.log_metrics({"loss": 0.5}, step)
        logger.experiment.flush()
    except Exception as error:
        if not isinstance(error, OSError):  # flush itself raises that
            raised = error
            break
assert raised is not None, "changed: nothing was raised"
print(f"{type(raised).__name__}: {str(raised).strip()[:90]}")
print(f"cause: {type(raised.__cause__).__name__} errno {raised.__cause__.errno}")
assert type(raised) is ValueError, "changed: another type"
assert isinstance(raised.__cause__, OSError), "changed: another cause"
assert raised.__cause__.errno == errno.EFBIG
PYTHON
"$folder/env/bin/python" shown.py
