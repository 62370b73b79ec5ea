"""Where a tune stands in its music, and what a note or a bar line makes of that."""

from typing import NamedTuple

from .checker import FEWEST

LETTERS = frozenset("ABCDEFGabcdefg")
NOTE, SECTION = 1, 2
"""What must come before a tune may end: a note; what begins a section."""

CLOSING = {"!": "\n", "\\": "\n", '"': '"', '".': '"', "{C": "}", "[": "1"}
INSIDE = frozenset(CLOSING) | {"{"}
"""Texts within which music pauses: the end of a line, a quotation (also before a note that must come), grace notes
without and with a note, the number of an ending."""


class Music(NamedTuple):
    """Where a tune stands. Lengths are in ticks."""

    metre: int
    """Of a bar; 0 is free."""
    unit: int
    rest: int
    """What the bar lacks."""
    text: str = "\n"
    """What is being written: a note, a bar line, a field; ``.`` where a note must come; empty where nothing is."""
    empty: bool = True
    """The bar has no note."""
    opens: bool = True
    """The bar is the first of a section or an ending, and may be short."""
    pickup: int = 0
    """What the first bar of the tune has where it is short: a bar before another section may lack as much."""
    due: int = NOTE
    tuplet: int = 0
    """Notes that a triplet lacks."""
    broken: int = 0
    """The length as written of the note that must follow a ``>`` or ``<``, else 0."""
    slurs: int = 0
    repeat: bool = False
    """A ``|:`` waits for its ``:|``."""
    ending: int = 0
    """1: in the first. 2: the second must come. 3: in the second."""
    bars: int = 0
    """How many there are, up to ``FEWEST``."""


def played(state: Music, quarters: int, grain: int) -> Music | None:
    """The state after a note or a rest; None where the bar has no place for it.

    Args:
        state: Before it.
        quarters: Its length as written, in quarters of the unit.
        grain: The shortest length that can be written, likewise: what a bar lacks is a multiple of it.
    """
    length = quarters * state.unit // 4
    if state.broken not in (0, length) or (state.tuplet and length * 2 % 3):
        return None
    rest = state.rest - (length * 2 // 3 if state.tuplet else length)
    tuplet = max(state.tuplet - 1, 0)
    if not state.metre:
        rest = 0
    elif rest < 0 or (not tuplet and rest % (grain * state.unit // 4)):
        return None
    return state._replace(rest=rest, text="", empty=False, tuplet=tuplet, broken=0)


def barred(state: Music, bar: str, numbers: bool) -> Music | None:
    """The state after a bar line; None where it may not stand.

    Args:
        state: Before it.
        bar: The bar line.
        numbers: Whether a first and a second ending can be written.
    """
    begins, ends = bar[-1] == ":", bar[0] == ":"
    if state.tuplet or state.broken or (state.empty and (bar not in ("|", "|:") or state.ending == 2)):
        return None
    if state.empty and bar == "|":  # a second one, as at the beginning of a line
        return state._replace(text="") if state.due != SECTION else None
    if (state.repeat and bar in ("|:", "|]")) or (state.ending == 1 and bar not in ("|", ":|", ":||")):
        return None
    due = NOTE if begins else 0
    short = bool(state.rest) and not state.empty
    if short and not state.opens and not ends:
        if state.rest != state.pickup or (bar == "|" and (state.ending or not numbers)):
            return None
        due = due if bar != "|" else SECTION
    return state._replace(
        rest=state.metre,
        text="",
        empty=True,
        opens=bar != "|",
        pickup=state.metre - state.rest if short and not state.bars else state.pickup,
        due=due,
        repeat=begins or (state.repeat and not ends),
        ending=state.ending if bar == "|" else 2 if state.ending == 1 else 0,
        bars=min(FEWEST, state.bars + (not state.empty)),
    )


def numbered(state: Music) -> Music:
    """The state after the number of an ending, the first or else the second."""
    return state._replace(text="", opens=True, due=NOTE, ending=3 if state.ending else 1)


def new_line(state: Music) -> Music:
    """The state at the beginning of a line."""
    return state._replace(text="\n", due=max(state.due, NOTE))


def left(state: Music) -> Music:
    """The state after what closes the text of ``INSIDE`` that is being written."""
    if state.text == "[":
        return numbered(state)
    if state.text in "!\\":
        return new_line(state)
    return state._replace(text="" if state.text == '"' else ".", due=max(state.due, NOTE))


def inside(state: Music, token: str) -> Music | None:
    """The state after a character within the text of ``INSIDE`` that is being written; None where it may not stand
    there."""
    text = state.text
    if token == ("2" if text == "[" and state.ending else CLOSING.get(text)):
        return left(state)
    if text[0] == '"':
        return state if token.isprintable() and token != "%" else None
    if text[0] == "{" and token in LETTERS:
        return state._replace(text="{C")
    if text[0] == "{" and token in "^_=":
        return state._replace(text="{")
    return state if text == "{C" and token in ",'/2" else None


def slurred(state: Music) -> Music:
    """The state after the beginning of a slur."""
    return state._replace(text=".", slurs=state.slurs + 1)


def triplet(state: Music) -> Music | None:
    """The state after ``(3``; None within a triplet, or after ``>``."""
    return None if state.tuplet or state.broken else state._replace(text=".", tuplet=3)


def named(state: Music, token: str) -> Music:
    """The state after the letter of a note or a rest."""
    return state._replace(text="z" if token in "zx" else "C" if token.isupper() else "c")


def is_over(state: Music) -> bool:
    """Whether the tune may end, nothing being written."""
    unsettled = state.due or state.repeat or state.slurs or state.ending in (1, 2)
    return state.empty and not unsettled and state.bars == FEWEST
