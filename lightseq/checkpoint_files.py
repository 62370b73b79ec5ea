"""Stub until the real one lands."""
import os
from pytorch_lightning.plugins.io import TorchCheckpointIO


class CheckpointFiles(TorchCheckpointIO):
    def save_checkpoint(self, checkpoint, path, storage_options=None):
        if os.path.basename(path) == "last.ckpt" and os.path.exists(path):
            os.replace(path, os.path.join(os.path.dirname(path), "previous.ckpt"))
        super().save_checkpoint(checkpoint, path, storage_options)

    def retry(self):
        pass


def good_checkpoints(folder):
    for name in ("last", "previous"):
        p = folder / "checkpoints" / f"{name}.ckpt"
        if p.is_file():
            yield p
