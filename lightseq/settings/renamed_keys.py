"""Read the settings of runs that were trained before keys had their current names."""

from typing import Any

from .yaml_settings import Settings, get, nested, overlay, without

RENAMED = {
    "inside": "diagnostics",
    "last": "last_checkpoint",
    "finite.skip": "nonfinite.max_skips",
    "sampling.judged": "sampling.quality_samples",
    "sampling.copies_up_to": "sampling.max_indexed_tokens",
    "data.cold_starts": "data.reset_probability",
}

METRICS = ("checkpoint.monitor", "checkpoint.filename")
"""Settings that name metrics."""


def with_current_keys(settings: Settings) -> Settings:
    """Return settings under their current keys.

    Args:
        settings: Of a run's own configuration or checkpoint. What users type has current keys only.
    """
    for old, new in RENAMED.items():
        value = get(settings.values, old)
        if value is not None:
            places = {new + key.removeprefix(old): place for key, place in settings.places.items() if _is_in(key, old)}
            others = {key: place for key, place in settings.places.items() if not _is_in(key, old)}
            remaining = Settings(without(settings.values, old), others)
            settings, _ = overlay(remaining, Settings(nested(new, value), places))
    if get(settings.values, "finite") == {}:
        places = {key: place for key, place in settings.places.items() if key != "finite"}
        settings = Settings(without(settings.values, "finite"), places)
    for key in METRICS:
        name: Any = get(settings.values, key)
        if isinstance(name, str):
            renamed = nested(key, name.replace("loss_cold", "loss_reset"))
            settings, _ = overlay(settings, Settings(renamed, {}))
    return settings


def _is_in(key: str, group: str) -> bool:
    return key == group or key.startswith(f"{group}.")
