import tracemalloc

import pytest
import torch

from lightseq.data import SequenceData


def stream(dataset: str, **settings: object) -> SequenceData:
    return SequenceData(dataset, batch_size=4, window=5, **settings)


def test_a_training_stream_starts_cold_as_often_as_asked(alphabet: str) -> None:
    plain, cold = (
        [bool(begins) for batch in list(data.train_dataloader())[1:] for begins in batch.reset]
        for data in (stream(alphabet), stream(alphabet, cold_starts=0.25))
    )
    assert not any(plain)
    assert sum(cold) / len(cold) == pytest.approx(0.25, abs=0.05)


def test_every_epoch_of_a_training_stream_begins_elsewhere_by_the_seed(alphabet: str) -> None:
    def begins(seed: int) -> list[int]:
        loader = stream(alphabet, seed=seed).train_dataloader()
        return [int(next(iter(list(loader))).tokens[0, 0]) for _ in range(20)]

    assert set(begins(3)) == set(range(5))
    assert begins(3) == begins(3) != begins(4)


def test_the_tokens_of_a_large_text_are_counted_in_blocks(alphabet: str) -> None:
    data = stream(alphabet, dataset_args={"times": 200_000}, val_fraction=0.5, test_fraction=0.0)
    assert len(data.parts["train"]) == 26 * 100_000
    tracemalloc.start()
    try:
        assert data.token_counts == [100_000] * 26
        assert tracemalloc.get_traced_memory()[1] < 10e6  # the whole takes 20.8, eight bytes a token, a block 8.4
    finally:
        tracemalloc.stop()


def test_a_batch_goes_to_a_device_whole(alphabet: str) -> None:
    data = stream(alphabet)
    batch = next(iter(data.train_dataloader()))._replace(part=1)
    assert data.transfer_batch_to_device(batch, torch.device("cpu"), 0) is batch
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert {tensor.device.type for tensor in moved[:3]} == {"meta"}
    assert [tensor.shape for tensor in moved[:3]] == [tensor.shape for tensor in batch[:3]]
    assert moved.part == 1
