"""The contract tests that a plugin's author runs: what every built-in backbone and dataset holds to as well.

Example::

    def test_my_backbone():
        check_backbone(lambda: MyBackbone(input_size=3, hidden_size=5, num_layers=2))

    def test_my_dataset():
        check_dataset(lambda: MyDataset(path="colours.txt"))
"""

from .backbone import check_backbone
from .dataset import check_dataset

__all__ = ["check_backbone", "check_dataset"]
