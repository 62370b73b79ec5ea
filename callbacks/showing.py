"""One showing of samples, and how it is written down."""

from collections.abc import Sequence
from typing import NamedTuple

from ..sampling import Sample
from ..types import Rendering
from . import markup


class Rendered(NamedTuple):
    """A picture and a sound of one sample."""

    tag: str
    """By temperature and prompt: ``samples/T=0.80/prompt_1``; the same thing has the same at every showing."""
    rendering: Rendering


class Showing(NamedTuple):
    """What the model wrote after one update."""

    update: int
    epoch: int
    temperatures: Sequence[float]
    n: int
    """Samples of each prompt and temperature."""
    samples: Sequence[Sample]
    """Prompt by prompt, within it temperature by temperature, within it ``n``: as ``generate`` returns them."""
    notes: Sequence[Sequence[str]]
    """(samples,) What is to be said of each, a line each."""
    rendered: Sequence[Rendered]

    def header(self) -> list[str]:
        """Of the table with the temperatures side by side."""
        return ["prompt", *(tag_of(temperature) for temperature in self.temperatures)]

    def rows(self) -> list[list[str]]:
        """Of the same table: prompt by prompt, ``n`` rows each."""
        block = len(self.temperatures) * self.n
        return [
            [self.samples[start].prompt, *(sample.text for sample in self.samples[start + i : start + block : self.n])]
            for start in range(0, len(self.samples), block)
            for i in range(self.n)
        ]

    def markdown(self, temperature: float) -> str:
        """The samples of one temperature, each in a fence, and below it what is to be said of it."""
        parts = []
        for sample, notes in zip(self.samples, self.notes, strict=True):
            if sample.temperature == temperature:
                parts.append(markup.fenced(sample.text))
                if notes:
                    parts.append("\n".join(f"- {markup.code(note)}" for note in notes))
        return "\n\n".join(parts)

    def page(self) -> str:
        """All of it in Markdown, a heading an update and a temperature."""
        parts = [f"## Update {self.update:,}"]
        for temperature in self.temperatures:
            parts += [f"### {tag_of(temperature)}", self.markdown(temperature)]
        return "\n\n".join(parts) + "\n"


def tag_of(temperature: float) -> str:
    """A temperature as charts and tables name it."""
    return f"T={temperature:.2f}"
