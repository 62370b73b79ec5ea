"""Runs the commands of docs/lessons.md from top to bottom in an empty folder, and puts what they print in its place.

    python benchmarks/lessons.py            # writes the page anew
    python benchmarks/lessons.py --check    # only runs them: each must end with status 0

A block marked ``sh`` is run; a block marked ``text`` right after it is what it printed, of which a comment between the
two may say how much is shown: ``<!-- first 3, last 12 -->``. ``benchmarks/screenshots.py`` makes the pictures.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "lessons.md"
BLOCK = re.compile(
    r"^```sh\n(?P<words>.*?)^```\n(?P<between>\n*(?:<!-- first (?P<first>\d+), last (?P<last>\d+) -->\n\n*)?)"
    r"(?:^```text\n(?P<output>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the lessons.")
    parser.add_argument("--check", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        new = BLOCK.sub(lambda block: run(block, folder), text)
    if not arguments.check:
        PAGE.write_text(new, encoding="utf-8")
    return 0


def run(block: re.Match[str], folder: str) -> str:
    """The block with what its commands print now; the page's reader types them in a terminal of 100 columns."""
    print(block["words"], end="", flush=True)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block["words"]],
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "100"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nstatus {done.returncode}: {block['words']}")
    head = f"```sh\n{block['words']}```\n{block['between']}"
    if block["output"] is None:
        return head
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    if block["first"]:
        first, last = int(block["first"]), int(block["last"])
        if len(lines) > first + last:
            lines = [*lines[:first], "...", *lines[len(lines) - last :]]
    return f"{head}```text\n{chr(10).join(lines)}\n```\n"


if __name__ == "__main__":
    raise SystemExit(main())
