"""Samples in the terminal."""

import textwrap

import rich
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from . import markup
from .showing import Showing, tag_of


def show(showing: Showing) -> None:
    """Above the progress bar, which draws on the same console: a table with the temperatures side by side, or a panel a
    sample where they have lines of their own. Where the output is no terminal, a block of plain lines, none cut."""
    console = rich.get_console()
    if not console.is_terminal:
        print(_block(showing), flush=True)
    else:  # in one piece, for the bar is drawn anew after each
        several = any("\n" in sample.text for sample in showing.samples)
        console.print(_panels(showing) if several else _table(showing))


def _table(showing: Showing) -> Table:
    grid = Table(title=f"update {showing.update:,}", title_justify="left")
    for word in showing.header():
        grid.add_column(word, overflow="fold")
    for row in showing.rows():
        grid.add_row(*(Text(markup.plain(cell)) for cell in row))
    return grid


def _panels(showing: Showing) -> Group:
    panels = [
        Panel(
            Text(markup.plain(sample.text), overflow="fold"),
            title=Text(f"{tag_of(sample.temperature)} {sample.prompt!r}", overflow="ellipsis", no_wrap=True),
            title_align="left",
        )
        for sample in showing.samples
    ]
    return Group(Text(f"update {showing.update:,}", "italic"), *panels)


def _block(showing: Showing) -> str:
    lines = [f"update {showing.update}, samples:"]
    for sample in showing.samples:
        text = markup.plain(sample.text)
        head = f"  {tag_of(sample.temperature)} {sample.prompt!r}:"
        lines.append(f"{head}\n{textwrap.indent(text, ' ' * 6)}" if "\n" in text else f"{head} {text}")
    return "\n".join(lines)
