"""What may follow in a tune, a character at a time, so that every tune that ends is valid.

Valid is what ``checker.check`` finds nothing wrong with: a header (``header_grammar``), music in which the bars add up
(``music_grammar``), and of its notes no more that are foreign to the key than the checker allows.
"""

from collections.abc import Collection, Hashable
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from ...errors import UserError
from .checker import FOREIGN, REQUIRED, SCALES
from .header import default_unit, read_key
from .header_grammar import WHOLE, Header, HeaderGrammar, fields
from .music_grammar import MusicGrammar
from .music_state import LETTERS, Music
from .notation import ACCIDENTALS, SEMITONES, alteration, place

Part: TypeAlias = Header | Music

KEPT = 10_000
"""Places in tunes of which is remembered what may follow, about 5 kB each."""

MOST_ALTERED = 3
"""Letters with an accidental in one bar; others are left, which are in the key."""

MOST_DEBT = 45
"""How far the notes that make up for foreign ones may come after them."""

COST = int(1 / FOREIGN) - 1
"""Notes in the key that make up for a foreign one."""


class Tune(NamedTuple):
    """Where a tune stands, and in which key."""

    part: Part
    sharps: int = 0
    altered: tuple[tuple[int, int], ...] = ()
    """The letters with an accidental in this bar, from C as 0, and the semitones by which it alters them."""
    credit: int = 0
    """Notes in the key less ``COST`` for each foreign one; when the tune ends it is not negative."""


class Choice(NamedTuple):
    """What may follow in a part of a tune, whatever the key."""

    after: dict[str, tuple[Part, int]]
    """By character: where the tune then stands, and the characters that suffice to end it."""
    all: Collection[str]
    """Those characters, and the end where there may be one."""
    most: int
    """The largest of those numbers."""


class TuneGrammar:
    """What may follow in a tune: a ``lightseq.types.Grammar``.

    Args:
        tokens: The characters there are; longer tokens are never allowed.
        dropped: Letters of fields that the tunes lack.

    Raises:
        UserError: No tune can be written in these characters.
    """

    def __init__(self, tokens: Collection[str], dropped: Collection[str]) -> None:
        self._tokens = [token for token in tokens if len(token) == 1]
        self._required = "".join(letter for letter in REQUIRED if letter not in dropped)
        known = fields(self._tokens, dropped)
        names = {letter.upper() for letter in LETTERS.intersection(self._tokens)}
        lines = {field[0] for field in known}.issuperset(set("MLK").difference(dropped))
        if not lines or not set(self._tokens).issuperset(f"{self._required}1:|\n") or len(names) <= MOST_ALTERED:
            raise UserError("the characters that the model knows do not suffice to write a tune")
        self._header = HeaderGrammar(self._tokens, self._required, dropped, known)
        self._music = MusicGrammar(self._tokens, known)
        self._shortest = int(self._music.needed(self._first(Header(""))))
        self._choices: dict[Part, Choice] = {}

    def start(self) -> Hashable:
        """The state before the first character."""
        return Tune(Header(self._required))

    def advance(self, state: Hashable, token: str) -> Hashable:
        """The state after one more character.

        Raises:
            ValueError: No valid tune begins so; the message says why.
        """
        assert isinstance(state, Tune)
        after = self._choice(state.part).after.get(token)
        if after is None:
            if token in self._tokens:
                self._follow(state.part, token)  # raises, and says why
            raise ValueError(f"{token!r} is none of the characters that tunes are written in")
        return _keyed(state, token, after[0])

    def allowed(self, state: Hashable, left: int) -> Collection[str]:
        """The characters that may come next, the empty string being the end."""
        assert isinstance(state, Tune)
        choice = self._choice(state.part)
        worst = choice.most + _debt(state.credit - COST, "!")
        if worst < left and state.credit >= 0 and len(state.altered) < MOST_ALTERED:
            return choice.all
        tokens = set()
        for token, (part, needed) in choice.after.items():
            alters = isinstance(part, Music) and part.text in ACCIDENTALS
            credit = state.credit - COST if alters else _keyed(state, token, part).credit
            crowded = alters and len(state.altered) == MOST_ALTERED
            if needed + _debt(credit, part.text) < left and credit >= -MOST_DEBT and not crowded:
                tokens.add(token)
        return tokens | {""} if "" in choice.all and state.credit >= 0 else tokens

    def _choice(self, part: Part) -> Choice:
        """What may follow, remembered."""
        choice = self._choices.get(part)
        if choice is None:
            if len(self._choices) >= KEPT:
                self._choices.clear()
            choice = self._choices[part] = self._choose(part)
        return choice

    def _choose(self, part: Part) -> Choice:
        after = {}
        for token in self._tokens:
            with suppress(ValueError):
                following = self._follow(part, token)
                after[token] = following, self._needed(following)
        end = {""} if self._needed(part) == 0 else set[str]()
        return Choice(after, end.union(after), max((needed for _, needed in after.values()), default=0))

    def _needed(self, part: Part) -> int:
        if isinstance(part, Music):
            return int(self._music.needed(part))
        return self._header.needed(part) + self._shortest

    def _follow(self, part: Part, token: str) -> Part:
        """The part after one more character.

        Raises:
            ValueError: It may not stand there.
        """
        if isinstance(part, Music):
            return self._music.follow(part, token)
        header = self._header.follow(part, token)
        return self._first(header) if not header.lacks else header

    def _first(self, header: Header) -> Music:
        """The beginning of the music after a header."""
        metre = Fraction(header.metre, WHOLE) if header.metre else None
        unit = header.unit or int(WHOLE * default_unit(metre))
        return Music(header.metre, unit, header.metre)


def _keyed(state: Tune, token: str, part: Part) -> Tune:
    """The state after a character, its key kept account of."""
    if not isinstance(part, Music):
        return state._replace(part=part)
    before = state.part.text
    if before.startswith("K:") and token == "\n":
        return Tune(part, read_key(before[2:].strip()), (), state.credit)
    if part.text in ("|", ":"):
        return state._replace(part=part, altered=())
    if part.text not in ("C", "c") or token not in LETTERS:
        return state._replace(part=part)
    letter = place(token, "") % 7
    altered = dict(state.altered)
    if before in ACCIDENTALS:
        altered[letter] = ACCIDENTALS[before]
    own = alteration(letter, state.sharps)
    pitch = (SEMITONES[letter] + altered.get(letter, own)) % 12
    credit = state.credit + (1 if pitch in SCALES[state.sharps] else -COST)
    return Tune(part, state.sharps, tuple(sorted(altered.items())), credit)


def _debt(credit: int, text: str) -> int:
    """Characters that suffice for the notes in the key that are owed, each with the bar line after it. After the ! that
    ends a line, a new line must begin for them."""
    if credit >= 0:
        return 0
    return 3 - 4 * credit + (4 if text == "!" else 0)
