import pytest

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
