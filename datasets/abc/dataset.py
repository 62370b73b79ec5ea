"""Tunes in ABC notation."""

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ...data import TextDataset, fetch, files
from ...errors import UserError
from ...types import Document, Grammar, Rendering
from .checker import REQUIRED, check, shares
from .grammar import TuneGrammar
from .midi import to_midi
from .notation import TransposeError, music, transpose
from .performance import perform
from .piano_roll import draw, stacked
from .reader import read
from .score import engrave, missing_extra
from .synthesis import LONGEST, SAMPLE_RATE, synthesise
from .tunes import Tune, read_tunes, without

VERSION = 3
"""Raise it when the modules beside this one make other documents of the same files: older caches are left alone."""

IRISH = (
    "irish.abc",
    "https://raw.githubusercontent.com/aamini/introtodeeplearning/fd8023c7804bd352fc7212ac3aa587bd90912653/"
    "mitdeeplearning/data/irish.abc",
    "df3782d5f7b5a2f4c66aa7c13f13008d5f48757b3f5f51620cd6c1ceb2c53023",
)
"""Name, address and SHA-256."""

FOLDERS = {"oneill": "oneills1850", "ryan": "ryansMammoth"}
"""Where the music21 package keeps them, in its folder ``corpus``."""

LETTERS = frozenset("ABCDFGHIKLMNOPQRSTUVWXZmrsw")
"""Fields of the ABC music standard 2.1, section 3."""

FARTHEST = 12

REMARKS = 20
"""On one tune; a model that has not learned yet makes a mistake at every character."""


class Abc(TextDataset):
    """Tunes in ABC notation, one document each.

    Tunes of the same music under different titles, or in different keys, are one group, and so are two transcriptions
    of one number of O'Neill's book: they fall on one side of the split.

    Args:
        source: ``irish``: the file of the MIT course, downloaded. ``oneill``, ``ryan``: collections that the music21
            package carries.
        path: A file, folder, glob or URL of your own, in place of ``source``.
        drop_headers: Letters of fields to leave out, like X and Z.
        transpose: Semitones. To each tune, the same in these other keys, to train on alone.
        encoding: Of your own files.

    Raises:
        UserError: A letter that is none, or K; an interval of none or of more than an octave; a collection that is not
            installed; on reading, files without a tune.
    """

    prompts: Sequence[str] = ("", "X:1\nT:")

    def __init__(
        self,
        source: Literal["irish", "oneill", "ryan"] = "irish",
        path: str | None = None,
        drop_headers: list[str] | None = None,
        transpose: list[int] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        for letter in drop_headers or ():
            if letter == "K":
                raise UserError("drop_headers: K, the key, is needed to read the notes")
            if letter not in LETTERS:
                raise UserError(f"drop_headers: {letter!r} is no ABC field; they are letters like X, T, Z")
        for semitones in transpose or ():
            if not 0 < abs(semitones) <= FARTHEST:
                raise UserError(f"transpose: {semitones} semitones; -{FARTHEST} to {FARTHEST} are possible, and not 0")
        self.source, self.path, self.encoding = source, path, encoding if path else "utf-8"
        self.drop, self.semitones = frozenset(drop_headers or ()), sorted(set(transpose or ()))
        self.told = False
        begin = [line for line in ("X:1", "T:") if line[0] not in self.drop]
        self.prompts = ("",) if path or not begin else ("", "\n".join(begin))

    def download(self) -> None:
        """The file of the MIT course, where that is the source."""
        self._files()

    def documents(self) -> Iterator[Document]:
        """The tunes in the order of the files, each followed by itself in other keys."""
        return self._documents([])

    def fingerprint(self) -> str | None:
        """Of the files and of every option."""
        return files.fingerprint(
            self._files(), VERSION, self._numbered, self.encoding, sorted(self.drop), self.semitones
        )

    def problems(self) -> list[str]:
        """What was mended, tunes that were left out, and those that have no other key."""
        notes: list[str] = []
        for _ in self._documents(notes):
            pass
        return notes

    def judge(self, texts: Sequence[str]) -> dict[str, float]:
        """Shares of the tunes with a complete ``header``, of which all ``parses``, without a wrong bar (``bars``), with
        a proper end (``ends``), that stay ``in_key``, and that are ``valid``: all of it. See ``checker.check``."""
        return shares(texts, self._required)

    def render(self, text: str) -> Rendering:
        """How a tune looks and sounds, whatever the text is: a piano roll, with the engraved score above it where the
        extra ``lightseq-rnn[score]`` is installed; the sound of its first half minute; a MIDI file of all of it, and
        the tune as other programs open it, with an ``X:``. The remarks say what is wrong with it, and the first time
        that the extra is missing."""
        tune, problems = read(text), check(text, self._required)
        whole = text if "X" in tune.fields else f"X:1\n{text}"
        files = {".abc": f"{whole}\n".encode("utf-8", "replace")}
        remarks = [f"line {problem.line}, column {problem.column}: {problem.reason}" for problem in problems[:REMARKS]]
        if len(problems) > REMARKS:
            remarks.append(f"and {len(problems) - REMARKS:,} more")
        played = perform(tune)
        if not played:
            return Rendering(files=files, remarks=[*remarks, "there is nothing to play: no note was found"])
        if not self.told and (missing := missing_extra()):
            remarks.append(missing)
            self.told = True
        sound = synthesise(played)
        if not len(sound):
            remarks.append(f"it begins with rests of more than {LONGEST:g} seconds: there is no sound of it")
        score = engrave(whole)
        roll = draw(tune.bars, {(problem.line, problem.column) for problem in problems if problem.kind == "bar"})
        return Rendering(
            image=roll if score is None else stacked(score, roll),
            audio=sound if len(sound) else None,
            sample_rate=SAMPLE_RATE if len(sound) else None,
            files={".mid": to_midi(played, tune.beats), **files},
            remarks=remarks,
        )

    def grammar(self, tokens: Sequence[str]) -> Grammar:
        """Of tunes that ``judge`` finds valid: with the header fields that are not dropped, and bars that add up.

        Raises:
            UserError: These characters do not suffice for a tune.
        """
        return TuneGrammar(tokens, self.drop)

    def _documents(self, notes: list[str]) -> Iterator[Document]:
        """The documents; what there is to say about them is appended to the notes."""
        tunes = list(self._tunes(notes))
        for tune, group in zip(tunes, groups([self._marks(tune) for tune in tunes]), strict=True):
            yield Document(without(tune.text, self.drop), group=group)
            for semitones in self.semitones:
                try:
                    text = transpose(tune.text, semitones)
                except TransposeError as reason:
                    notes.append(f"{tune.file}, line {tune.line}: not transposed by {semitones} semitones: {reason}")
                else:
                    yield Document(without(text, self.drop), group=group, augmented=True)

    @property
    def _required(self) -> list[str]:
        """Fields that a tune of this dataset has to have."""
        return [letter for letter in REQUIRED if letter not in self.drop]

    @property
    def _numbered(self) -> bool:
        return not self.path and self.source == "oneill"

    def _marks(self, tune: Tune) -> list[str]:
        """What makes two tunes one: their music, and in O'Neill's book their number."""
        number = re.search(r"^B:.*?(\d+)", tune.text, re.MULTILINE) if self._numbered else None
        return [music(tune.text), *([f"number {number[1]}"] if number else [])]

    def _tunes(self, notes: list[str]) -> Iterator[Tune]:
        found = False
        for file in self._files():
            for tune in read_tunes(file, self.encoding, notes):
                found = True
                yield tune
        if not found:
            raise UserError(
                f"no tune in {self.path or self.source}: one begins with a line X:1 and has a line K:G before its notes"
            )

    def _files(self) -> list[str]:
        if self.path:
            return files.find(self.path)
        if self.source == "irish":
            return [str(fetch(*IRISH))]
        package = find_spec("music21")  # found, not imported: that takes seconds
        places = package.submodule_search_locations if package else None
        folder = Path(places[0] if places else "", "corpus", FOLDERS[self.source])
        if not places or not folder.is_dir():
            raise UserError(
                f"source {self.source!r} is a collection in the package music21, which is not installed: "
                f"pip install music21, or the extra lightseq-rnn[corpora]"
            )
        return files.find(str(folder / "*.abc"))


def groups(marks: Sequence[Sequence[str]]) -> list[str]:
    """A group for each tune: those that share a mark, or are each alike to a third, have the same."""
    above: dict[str, str] = {}

    def root(mark: str) -> str:
        while mark != above.setdefault(mark, mark):
            mark = above[mark]
        return mark

    for own in marks:
        for mark in own[1:]:
            above[root(mark)] = root(own[0])
    return [root(own[0]) for own in marks]
