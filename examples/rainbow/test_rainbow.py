"""Holds the dataset to what lightseq asks of every one, as it is installed."""

from lightseq import registry
from lightseq.testing import check_dataset


def test_the_contract():
    check_dataset(lambda: registry.build(registry.DATASETS, "rainbow", {}))
