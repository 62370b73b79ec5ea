"""Generated text made safe to show: a model may emit markup, control characters, half of a surrogate pair."""

import html
import itertools
import re
import unicodedata
from collections.abc import Sequence

LONGEST = 5_000
"""Characters of a text that a page shows; a viewer takes seconds to render much more."""


def plain(text: str) -> str:
    """Text for a terminal or a page: no control characters but the line break and the tab, no lone surrogates."""
    shown = (c in "\n\t" or c.isprintable() or unicodedata.category(c) == "Zs" for c in text)
    text = "".join(c if ok else "\N{REPLACEMENT CHARACTER}" for c, ok in zip(text, shown, strict=True))
    return text.encode("utf-8", "replace").decode("utf-8")


def fenced(text: str) -> str:
    """Markdown that shows the text as it is, line breaks and asterisks too: a fence longer than any run in it."""
    text = _capped(plain(text))
    longest = max((len(run) for run in re.findall("~+", text)), default=0)
    fence = "~" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def code(text: str) -> str:
    """Markdown that shows a text as it is within a line: between more backticks than any run in it has."""
    text = " ".join(_capped(plain(text)).split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    mark = "`" * (longest + 1)
    return f"{mark} {text} {mark}" if longest else f"{mark}{text}{mark}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of texts, each as it is."""
    cells = [[f"<pre>{html.escape(_capped(plain(text)))}</pre>" for text in row] for row in rows]
    head = "".join(f"<th>{html.escape(word)}</th>" for word in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
    # a blank line would end the block of HTML, and Markdown begin in the middle of a sample
    return re.sub(r"\n(?=\n)", "\n&#8203;", f"<table><tr>{head}</tr>{body}</table>")


def _capped(text: str) -> str:
    return text if len(text) <= LONGEST else "".join(itertools.islice(text, LONGEST)) + " ..."
