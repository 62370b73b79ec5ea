"""Recurrent sequence models with PyTorch Lightning.

The public names are imported when they are first used, so that ``import lightseq`` loads neither torch nor Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.inspection import Inspection
    from .backbones import Backbone
    from .callbacks import (
        AveragedWeights,
        ModelDiagnostics,
        NonFiniteGuard,
        SampleQuality,
        SampleText,
        StopEarly,
        Throughput,
    )
    from .data import SequenceData, TextDataset
    from .errors import UserError
    from .loaded_model import InspectedText, LoadedModel, Samples, Score, load
    from .loss import cross_entropy
    from .model import SequenceModel, build_model
    from .sampling.generate import Sample, generate
    from .training.system import SequenceSystem
    from .vocabulary import Vocabulary

    __version__: str

__all__ = [
    "AveragedWeights",
    "Backbone",
    "InspectedText",
    "Inspection",
    "LoadedModel",
    "ModelDiagnostics",
    "NonFiniteGuard",
    "Sample",
    "SampleQuality",
    "SampleText",
    "Samples",
    "Score",
    "SequenceData",
    "SequenceModel",
    "SequenceSystem",
    "StopEarly",
    "TextDataset",
    "Throughput",
    "UserError",
    "Vocabulary",
    "__version__",
    "build_model",
    "cross_entropy",
    "generate",
    "load",
]

_MODULES = {
    "AveragedWeights": "callbacks",
    "Backbone": "backbones",
    "InspectedText": "loaded_model",
    "Inspection": "analysis.inspection",
    "LoadedModel": "loaded_model",
    "ModelDiagnostics": "callbacks",
    "NonFiniteGuard": "callbacks",
    "Sample": "sampling.generate",
    "SampleQuality": "callbacks",
    "SampleText": "callbacks",
    "Samples": "loaded_model",
    "Score": "loaded_model",
    "SequenceData": "data",
    "SequenceModel": "model",
    "SequenceSystem": "training.system",
    "StopEarly": "callbacks",
    "TextDataset": "data",
    "Throughput": "callbacks",
    "UserError": "errors",
    "Vocabulary": "vocabulary",
    "build_model": "model",
    "cross_entropy": "loss",
    "generate": "sampling.generate",
    "load": "loaded_model",
}
"""Module of each public name, relative to this package."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("lightseq-rnn")
    elif name in _MODULES:
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
