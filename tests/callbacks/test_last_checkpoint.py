"""When ``last.ckpt`` is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightseq.checkpoint_files import CheckpointFiles

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("every", "updates"),
    [
        (5, [2, 7, 12, 14]),  # the first validation, every five, the end
        (1, [*range(1, 15)]),
        (0, [2, 4, 6, 8, 10, 12, 14]),
        (100, [2, 14]),
    ],
)
def test_it_is_written_every_few_updates_and_not_at_every_validation(
    run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch, every: int, updates: list[int]
) -> None:
    written: list[int] = []
    save = CheckpointFiles.save_checkpoint

    def watched(files: CheckpointFiles, checkpoint: dict[str, Any], path: Path, **options: Any) -> None:
        save(files, checkpoint, path, **options)
        if Path(path).name == "last.ckpt":
            written.append(checkpoint["global_step"])

    monkeypatch.setattr(CheckpointFiles, "save_checkpoint", watched)
    words = f"--trainer.max_steps 14 --trainer.val_check_interval 2 --last.every_n_steps {every}"
    status, _, err = run(f"fit --config {tiny} {words} --trainer.check_val_every_n_epoch null")
    assert status == 0, err
    assert written == updates
