"""Lightning callbacks, imported when they are first used. Nothing in the core imports them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .averaging import AveragedWeights
    from .diagnostics.baselines import BaselineLines
    from .diagnostics.confusion_matrix import ConfusionMatrix
    from .diagnostics.model_diagnostics import ModelDiagnostics
    from .early_stopping import StopEarly
    from .fault_tolerance.nonfinite_guard import NonFiniteGuard
    from .samples.sample_quality import SampleQuality
    from .samples.show_samples import SampleText
    from .throughput import Throughput

__all__ = [
    "AveragedWeights",
    "BaselineLines",
    "ConfusionMatrix",
    "ModelDiagnostics",
    "NonFiniteGuard",
    "SampleQuality",
    "SampleText",
    "StopEarly",
    "Throughput",
]

_MODULES = {
    "AveragedWeights": "averaging",
    "BaselineLines": "diagnostics.baselines",
    "ConfusionMatrix": "diagnostics.confusion_matrix",
    "ModelDiagnostics": "diagnostics.model_diagnostics",
    "NonFiniteGuard": "fault_tolerance.nonfinite_guard",
    "SampleQuality": "samples.sample_quality",
    "SampleText": "samples.show_samples",
    "StopEarly": "early_stopping",
    "Throughput": "throughput",
}
"""Module of each callback, relative to this package."""


def __getattr__(name: str) -> Any:
    """Import a callback when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: Any = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
