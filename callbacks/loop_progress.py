"""The counters of Lightning's loops, as they stand between two batches."""

from typing import Any

import pytorch_lightning as pl


def settle(trainer: pl.Trainer, loops: dict[str, Any], validated: int) -> bool:
    """Rewrite the counters that a checkpoint holds, so that a run goes on with the next batch.

    Lightning writes them as they are in the middle of whatever calls for the checkpoint, and guesses from them, when a
    run goes on, what had been done. At the end of an epoch without a validation it guesses wrong, and trains a batch
    of the next epoch in it; a validation that was interrupted it resumes at a batch that it does not find.

    Args:
        trainer: The run.
        loops: Of the fit loop, ``checkpoint["loops"]["fit_loop"]``; changed.
        validated: The number of the training batch, counted over all epochs, that was validated after last.

    Returns:
        Whether a validation of the last batch has not come to its end.
    """
    batches, epochs = loops["epoch_loop.batch_progress"], loops["epoch_progress"]
    for counter in (batches["total"], batches["current"]):
        _set(counter, counter["processed"])
    done = batches["current"]["processed"]
    epoch_loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None, "a checkpoint of a fit is written while it runs"
    due = done > 0 and validated != batches["total"]["processed"] and epoch_loop._should_check_val_fx(fetcher)
    if done > 0 and (batches["is_last_batch"] or done == trainer.num_training_batches):
        for counter in (epochs["total"], epochs["current"]):
            _set(counter, counter["started"])
        steps = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
        for tracked in (batches, loops["epoch_loop.scheduler_progress"], steps["step"], steps["zero_grad"]):
            _set(tracked["current"], 0)
        batches["is_last_batch"] = False
        loaders = loops["state_dict"].get("combined_loader", [])
        for place, state in enumerate(loaders):  # an epoch that was cut short by limit_train_batches has not run out
            loaders[place] = {"epoch": state["epoch"] + bool(state["position"]), "position": 0}
    validation = loops["epoch_loop.val_loop.batch_progress"]  # it begins at its first batch in any case
    for counter in (validation["total"], validation["current"]):
        _set(counter, 0)
    validation["is_last_batch"] = False
    return due


def _set(counter: dict[str, int], number: int) -> None:
    counter.update(dict.fromkeys(counter, number))
