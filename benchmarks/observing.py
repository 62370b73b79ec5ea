"""What looking on costs a training: python benchmarks/observing.py dinos shakespeare abc [-- more words for fit].

A row a recipe: seconds within the callbacks that only look, each hook timed, and their share of the seconds of
training, in a process of its own; and its peak memory, which more showings do not raise.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import wraps
from pathlib import Path
from time import perf_counter

OBSERVERS = ("SampleText", "SampleQuality", "Inside", "BoardLayout", "Yardsticks")


def main() -> None:
    words = sys.argv[1:]
    recipes, more = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    print(f"| recipe | seconds of training | {' | '.join(OBSERVERS)} | share | peak memory, MB |")
    print(f"|---|---|{'---|' * len(OBSERVERS)}---|---|")
    for recipe in recipes:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "results.json")
            command = [sys.executable, str(Path(__file__).resolve()), "--timed", "fit", "--config", recipe, *more]
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "LIGHTSEQ_RESULTS": str(place)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(done.stderr)
            found = json.loads(done.stderr.splitlines()[-1])
            total = json.loads(place.read_text())["seconds"]
        own = [found["seconds"].get(name, 0.0) for name in OBSERVERS]
        parts = " | ".join(f"{seconds:.2f}" for seconds in own)
        print(f"| `{recipe}` | {total:.1f} | {parts} | {sum(own) / total:.1%} | {found['peak']:.0f} |", flush=True)


def timed() -> int:
    """One training with its observers timed; the last line of standard error says the seconds of each."""
    from lightseq.callbacks.board_layout import BoardLayout
    from lightseq.callbacks.inside import Inside
    from lightseq.callbacks.sample_quality import SampleQuality
    from lightseq.callbacks.sample_text import SampleText
    from lightseq.callbacks.yardsticks import Yardsticks

    from lightseq import cli

    seconds: dict[str, float] = defaultdict(float)
    for observer in (SampleText, SampleQuality, Inside, BoardLayout, Yardsticks):
        for name in [name for name in vars(observer) if name.startswith("on_")]:
            setattr(observer, name, clocked(getattr(observer, name), observer.__name__, seconds))
    status = cli.main(sys.argv[2:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "peak": peak}), file=sys.stderr)
    return status


def clocked(hook, name, seconds):
    """A hook whose time is added up."""

    @wraps(hook)
    def call(*values, **named):
        began = perf_counter()
        try:
            return hook(*values, **named)
        finally:
            seconds[name] += perf_counter() - began

    return call


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed"]:
        sys.exit(timed())
    main()
