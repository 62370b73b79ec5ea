import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from lightseq.datasets.abc import grammar as module
from lightseq.datasets.abc.checker import REQUIRED, check
from lightseq.datasets.abc.dataset import Abc
from lightseq.datasets.abc.grammar import TuneGrammar

from lightseq.backbones.recurrent import RNN
from lightseq.errors import UserError
from lightseq.model import SequenceModel
from lightseq.sampling import generate
from lightseq.vocabulary import Vocabulary

IRISH = Path(os.environ.get("LIGHTSEQ_DATA", ""), "irish.abc")
needs_irish = pytest.mark.skipif(not IRISH.is_file(), reason="LIGHTSEQ_DATA has no irish.abc")

ALL = "".join(map(chr, range(32, 127))) + "\n\t\u00e9\u2028"
JIG = "T:a\nM:6/8\nL:1/8\nK:D\n"
REEL = "T:a\nM:C\nL:1/8\nK:D\n"
ENOUGH = 10_000


def grammar(characters: Iterable[str] = ALL, dropped: str = "XZ") -> TuneGrammar:
    return TuneGrammar(["", *sorted(set(characters))], dropped)


def allowed(text: str, rules: TuneGrammar, left: int = ENOUGH) -> set[str]:
    """What may follow a text, of which each character was allowed."""
    state = rules.start()
    for i, character in enumerate(text):
        if character not in rules.allowed(state, ENOUGH):
            rules.advance(state, character)
            raise ValueError(f"masked after {text[:i]!r}")
        state = rules.advance(state, character)
    return set(rules.allowed(state, left))


def walk(rules: TuneGrammar, length: int, chance: random.Random, odds: dict[str, Counter[str]]) -> str:
    """A tune of characters drawn among those that are allowed: evenly, or by the character before."""
    state, text = rules.start(), ""
    while True:
        tokens = sorted(rules.allowed(state, length - len(text)))
        assert tokens, f"nothing may follow {text!r}"
        last = odds.get(text[-1:])
        token = chance.choices(tokens, [last[token] + 0.01 for token in tokens] if last else None)[0]
        if not token:
            return text
        following = rules.advance(state, token)
        assert hash(following) == hash(rules.advance(state, token))
        state, text = following, text + token


def bigrams(texts: Sequence[str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for first, second in zip(["", *text], [*text, ""], strict=True):
            counts[first][second] += 1
    return counts


@pytest.fixture(scope="module")
def rules() -> TuneGrammar:
    return grammar()


@pytest.mark.parametrize(
    "tune",
    [
        f"{JIG}A|def fed|BAG A2:|!\nf|afd edc|d3 d2:|!",
        f"{JIG}def fed|BAG ABd:|!\nfga fed|!\n[1 BAG ABd:|!\n[2 BAG A3|]!",
        f"{JIG}A|def fed|BAG A2|1 A:|2 B|]",
        f"{JIG}|: A | def fed | BAG A2 :|\n|: f | afd edc | d3 d2 :|",
        f"{JIG}|: def fed :: BAG ABd :|",
        f"{JIG}def fed||BAG ABd|",
        f"{JIG}def fed|!\n|BAG ABd|]",
        f"{REEL}(3ABc d2 e>f g<a|(3A/B/c/ d z2 x2 d2|]",
        f"{REEL}A,,B,c'd'' ^fe__ed|A3/2B/ c/4d3/4e//f/4f/2 g4|]",
        f"{REEL}d8|d7/2d/2 d4|]",
        f'{REEL}"G"d4 ({{ef}}d.e) ~f2-|"A7"f2 (e2 uf>vg) "fine"!\nHa2|]',
        f"{REEL}d4 d4|\\\nd2 (3ded c3z|!\nK:G Major\nM:6/8\nd3 c3|]!",
        "M: C|\nN:\nT:a\nL:1/16\nB:b: |c|\nK: F# dorian\nf8 f8|f16|]",
    ],
)
def test_valid_tunes_may_be_written(tune: str, rules: TuneGrammar) -> None:
    assert check(tune, "TMLK") == ()
    assert "" in allowed(tune, rules)
    for i in range(len(tune)):
        assert tune[i] in allowed(tune[:i], rules, len(tune) - i)


@pytest.mark.parametrize(
    ("beginning", "refused"),
    [
        ("", "XZK\n|"),
        ("T:", "\n|:\t\u2028%"),
        ("M:", "0x\n"),
        ("T:a\nL:1/8\n", "LK"),
        ("T:a\nM:6/8\nL:1/8\nK:", "HZ#\n"),
        ("T:a\nM:6/8\nL:1/8\nK:G#", "\n"),
        (JIG, "! \n)]1>-"),
        (f"{JIG}def fed", "ABz"),
        (f"{JIG}def fe", "489"),
        (f"{JIG}def fed|def f", "|6"),
        (f"{JIG}A|def fe|", 'A"(K'),
        (f"{JIG}def fed|]", ")]1:"),
        (f"{JIG}def fed|!", "A |"),
        (f"{JIG}def fed|def fed|", "2)"),
        (f"{JIG}def fed|def fed|\n", " !\n"),
        (f"{JIG}def fed:|\n", "["),
        (f"{JIG}def fed|[1def fed:|", "1ABK"),
        (f"{JIG}def fed|[1def fed:|[", "1"),
        (f"{REEL}(3ab", "|:"),
        (f"{REEL}(3abc", "><"),
        (f"{REEL}(3abc/", " |d"),
        (f"{REEL}a>b", "><2"),
        (f"{REEL}a2>", "|\n"),
        (f"{REEL}z", "-,'"),
        (f"{REEL}^", "=_|z "),
        (f"{REEL}(", "| )"),
        (f"{REEL}{{", "}}|z"),
        (f'{REEL}"a', "%\n"),
    ],
)
def test_nothing_else_may(beginning: str, refused: str, rules: TuneGrammar) -> None:
    assert not allowed(beginning, rules).intersection(refused)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("K:D", "begins a line of the header"),
        ("M:5/9", "does not fit the value of M:"),
        ("T:a\nM;", "colon"),
        (f"{JIG}def fed d", "too long"),
        (f"{JIG}A|def|", "too short"),
        (f"{JIG}]", "may not stand there"),
        ("T:\u0416", "none of the characters"),
        (f"{JIG}def \u0416", "none of the characters"),
    ],
)
def test_a_beginning_that_leads_nowhere_is_refused_in_words(text: str, reason: str, rules: TuneGrammar) -> None:
    with pytest.raises(ValueError, match=reason):
        allowed(text, rules)


@pytest.mark.parametrize("dropped", ["XZ", "", "TM", "XTML"])
@pytest.mark.parametrize("by", ["evenly", "as before"])
def test_every_walk_ends_as_a_valid_tune(dropped: str, by: str) -> None:
    """Of any length from the shortest on; walks by the character before go on for longer."""
    rules = grammar(dropped=dropped)
    required = [letter for letter in REQUIRED if letter not in dropped]
    odds = bigrams([f"X:1\n{JIG}A|^def (3fed|(ABd) e>f|!\n|:=c2d _e2d|[1 d6:|[2 d6|]", f"{REEL}A/B/c|a>b ^g4 z2|"])
    shortest = next(left for left in range(60) if rules.allowed(rules.start(), left))
    chance = random.Random(0)
    for more in [*range(12), *range(12, 60, 6), 100, 150, 200, 300]:
        length = shortest + more
        tune = walk(rules, length, chance, odds if by == "as before" else {})
        assert check(tune, required) == (), tune
        assert len(tune) <= length


def test_a_tune_with_many_foreign_notes_goes_on_until_they_are_few(rules: TuneGrammar) -> None:
    two = f"{REEL}d4 ^d4|d8|"
    assert check(two, "TMLK")[0].kind == "key"
    assert "" not in allowed(two, rules)
    assert "" in allowed(f"{two}abag abag|", rules)
    assert check(f"{two}abag abag|", "TMLK") == ()
    assert allowed(two, rules, left=25) == set()
    assert "^" not in allowed(two, rules, left=60)
    altered = f"{REEL}dcba gfed|dcba gfed|dcba gfed|dcba gfed|^d^g=c"
    assert not allowed(altered, rules).intersection("^_=")
    assert "^" in allowed(f"{altered}z5|", rules)


def test_foreign_notes_wait_until_few_enough_are_made_up_for(rules: TuneGrammar) -> None:
    assert "^" in allowed(f"{REEL}{'d4 ^d4|' * 4}d4", rules)
    assert "^" not in allowed(f"{REEL}{'d4 ^d4|' * 5}d4", rules)


@pytest.mark.parametrize("left", range(20, 60))
def test_a_line_ends_only_where_the_next_has_room_for_what_is_owed(left: int, rules: TuneGrammar) -> None:
    text = f"{REEL}d4 ^d4|d8|"
    if "!" in allowed(text, rules, left):
        assert allowed(f"{text}!", rules, left - 1)
        assert allowed(f"{text}!\n", rules, left - 2)


def test_an_altered_letter_stays_foreign_until_the_bar_line(rules: TuneGrammar) -> None:
    bar = f"{JIG}abagbg abagbg|".replace(" ", "|")
    assert "" in allowed(f"{bar}^d2e4|", rules)
    assert "" not in allowed(f"{bar}^dd=d^ged|", rules)


def test_what_was_forgotten_is_found_again(monkeypatch: pytest.MonkeyPatch, rules: TuneGrammar) -> None:
    text = f"{JIG}A|(3ABc d2 e>f"
    ends = range(len(JIG), len(text), 3)
    expected = [allowed(text[:end], rules, 9) for end in ends]
    forgetful = grammar()
    monkeypatch.setattr(module, "KEPT", 1)
    assert [allowed(text[:end], forgetful, 9) for end in ends] == expected


@pytest.mark.parametrize("characters", ["", "abc", ALL.replace("|", ""), ALL.replace(":", ""), ALL.replace("K", "")])
def test_characters_that_do_not_suffice_are_refused(characters: str) -> None:
    with pytest.raises(UserError, match="do not suffice"):
        grammar(characters)


def test_what_cannot_be_ended_is_not_begun() -> None:
    rules = grammar(ALL.translate(str.maketrans("", "", "})2]")))
    assert not allowed(f"{REEL}d", rules).intersection("{")
    assert not allowed(f"{REEL}d8|", rules).intersection("[1]")


def test_longer_tokens_are_never_allowed() -> None:
    rules = TuneGrammar(["", "de", *ALL], "XZ")
    assert "de" not in rules.allowed(rules.start(), ENOUGH)


@pytest.mark.parametrize("prompt", ["", "T:The Last Time Step\nM:6/8\nL:1/8\nK:D Major\n"])
def test_the_prompts_of_the_recipe_can_be_continued(prompt: str, rules: TuneGrammar) -> None:
    assert allowed(prompt, rules, 400)


def test_a_model_that_has_learned_nothing_writes_valid_tunes() -> None:
    vocabulary = Vocabulary(["", *sorted(set(JIG + REEL + "ABCDEFGabcdefg0123456789|:]/^ \n!"))])
    torch.manual_seed(1)
    model = SequenceModel(RNN(5, 6, 1, 0.0), len(vocabulary), 5, len(vocabulary))
    dataset = Abc(drop_headers=["X", "Z"])
    rules = dataset.grammar(vocabulary.tokens)
    samples = generate(model, vocabulary, ["", JIG], [0.5, 2.0], n=3, length=120, grammar=rules)
    assert all(sample.ended for sample in samples)
    assert dataset.judge([sample.text for sample in samples])["valid"] == 1.0


@needs_irish
def test_nearly_all_valid_tunes_of_people_may_be_written() -> None:
    """What may not: short bars that nothing makes up for."""
    dataset = Abc(drop_headers=["X", "Z"], transpose=[5])
    tunes = [str(document.tokens) for document in dataset.documents()][::4]
    rules = dataset.grammar(["", *sorted(set("".join(tunes)))])
    assert isinstance(rules, TuneGrammar)
    valid = [tune for tune in tunes if not check(tune, "TMLK")]
    written = 0
    for tune in valid:
        try:
            written += "" in allowed(tune, rules)
        except ValueError:
            continue
    assert written >= 0.98 * len(valid) > 300
