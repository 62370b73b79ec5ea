"""What a trained model writes: valid, novel, copied, by temperature, beside people's texts.

    python benchmarks/samples.py runs/abc/version_0
    python benchmarks/samples.py runs/dinos/version_0 --temperature 0.8

With the dataset's grammar too, where it has one, and what that costs in likelihood.
"""

import argparse

import torch
from lightseq.callbacks.text_quality import Corpus, quality

from lightseq.checkpoint import load_trained
from lightseq.commands.run_data import data_of
from lightseq.sampling import Sample, generate

ROWS = 125
"""Samples drawn at once."""

LENGTH = 1024
"""Tokens of a sample at the most."""

SHOWN = ("ended", "novel", "unique", "length", "longest_copy", "copied")
"""Of the numbers that are counted of any text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--n", type=int, default=1000, help="samples of each temperature; default 1000")
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.5, 0.8, 1.0])
    arguments = parser.parse_args()
    trained, data = load_trained(arguments.run), data_of(arguments.run)
    corpus = Corpus(data, 10_000_000, LENGTH)
    grammars = {"": None, ", grammar": data.dataset.grammar(trained.vocabulary.tokens)}
    print(f"{arguments.n:,} samples each from {trained.path.name}\n")
    rows = {"people's (validation)": row(data, corpus, corpus.held_out, [True] * len(corpus.held_out))}
    for heat in arguments.temperature:
        for name, grammar in grammars.items():
            if name and grammar is None:
                continue
            samples: list[Sample] = []
            for seed in range(-(-arguments.n // ROWS)):
                samples += generate(
                    trained.model, trained.vocabulary, [""], [heat], n=ROWS, length=LENGTH, seed=seed, grammar=grammar
                )
            samples = samples[: arguments.n]
            found = row(data, corpus, [sample.text for sample in samples], [sample.ended for sample in samples])
            if grammar:
                forgone = torch.tensor([sample.forgone for sample in samples])
                found["forgone, nats a character"] = float(forgone.sum()) / sum(len(s.text) + 1 for s in samples)
                found["forgone, nats a text, median"] = float(forgone.median())
            rows[f"T={heat:g}{name}"] = found
    columns = list(dict.fromkeys(name for found in rows.values() for name in found))
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, found in rows.items():
        print(f"| {name} | {' | '.join(f'{found[c]:.3f}' if c in found else '' for c in columns)} |")


def row(data, corpus, texts, ended) -> dict[str, float]:
    """What the dataset says of texts, and what is counted of any."""
    counted = quality(texts, ended, corpus)
    return {**data.dataset.judge(texts), **{name: counted[name] for name in SHOWN if name in counted}}


if __name__ == "__main__":
    main()
