from collections.abc import Callable, Collection, Hashable
from typing import NamedTuple

import pytest
import torch
from torch.testing import assert_close

from lightseq.errors import UserError
from lightseq.model import SequenceModel, build_model
from lightseq.sampling import generate
from lightseq.vocabulary import Vocabulary

TOKENS = Vocabulary(["", *"()ab"])


class Brackets:
    """Balanced brackets; the state is how many are open."""

    def start(self) -> Hashable:
        return 0

    def advance(self, state: Hashable, token: str) -> Hashable:
        assert isinstance(state, int)
        if token not in ("(", ")") or (token == ")" and state == 0):
            raise ValueError(f"{token!r} after {state} open brackets")
        return state + (1 if token == "(" else -1)

    def allowed(self, state: Hashable, left: int) -> Collection[str]:
        assert isinstance(state, int)
        assert left >= state, "a text that cannot be ended any more"
        opening = ["("] if state + 1 <= left - 1 else []
        return [*opening, ")"] if state else [*opening, ""]


class Chosen(NamedTuple):
    """Tokens by a rule of how many stand there and how many can follow."""

    rule: Callable[[int, int], Collection[str]]

    def start(self) -> Hashable:
        return 0

    def advance(self, state: Hashable, token: str) -> Hashable:
        assert isinstance(state, int)
        return state + 1

    def allowed(self, state: Hashable, left: int) -> Collection[str]:
        assert isinstance(state, int)
        return self.rule(state, left)


def model_of(vocabulary: Vocabulary) -> SequenceModel:
    model = build_model(
        vocabulary=vocabulary.tokens,
        labels=None,
        backbone="gru",
        backbone_args=None,
        embedding_size=4,
        hidden_size=8,
        num_layers=1,
        dropout=0.0,
        tie_head=False,
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    return model


def balanced(text: str) -> bool:
    while "()" in text:
        text = text.replace("()", "")
    return not text


@pytest.mark.parametrize("how", [{}, {"top_k": 1}, {"top_p": 0.2}], ids=str)
@pytest.mark.parametrize("length", [4, 5, 40])
def test_every_text_is_of_the_grammar_and_ends_in_time(length: int, how: dict[str, float]) -> None:
    prompts, temperatures = ["", "((", "()(()"], [0.0, 1e-40, 1.0, 3.0]
    samples = generate(model_of(TOKENS), TOKENS, prompts, temperatures, n=6, length=length, grammar=Brackets(), **how)
    assert len(samples) == 72
    for sample in samples:
        assert sample.ended
        assert sample.text.startswith(sample.prompt)
        assert balanced(sample.text)
        assert len(sample.text) - len(sample.prompt) < length
    assert how or len({sample.text for sample in samples}) > 4


def test_no_temperature_is_too_hot_for_the_grammar() -> None:
    grammar = Chosen(lambda count, left: ["a", "b"] if left else [""])
    (sample,) = generate(model_of(TOKENS), TOKENS, [""], [1e300], length=40, grammar=grammar)
    assert len(sample.text) == 39
    assert set(sample.text) == {"a", "b"}


@pytest.mark.parametrize("length", [1, 2, 33])
def test_the_grammar_is_told_what_is_left_without_the_end(length: int) -> None:
    grammar = Chosen(lambda count, left: "ab" if left else [""])
    samples = generate(model_of(TOKENS), TOKENS, ["", "a", "((ba"], [1.0], n=2, length=length, grammar=grammar)
    assert [len(sample.text) - len(sample.prompt) for sample in samples] == [length - 1] * 6
    assert all(sample.ended for sample in samples)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_over_what_is_allowed(temperature: float) -> None:
    model = model_of(TOKENS)
    grammar = Chosen(lambda count, left: [""] if count == 2 else ["(", "b", ""])
    samples = generate(model, TOKENS, ["a"], [temperature], n=20_000, length=2, grammar=grammar)
    drawn = torch.tensor([TOKENS.encode(sample.text[1:])[0] if sample.text[1:] else 0 for sample in samples])
    logits = model(torch.tensor([[0, *TOKENS.encode("a")]]))[0][0, -1]
    kept = [TOKENS.ids[token] for token in ("", "(", "b")]
    expected = torch.zeros(5).index_copy(0, torch.tensor(kept), (logits[kept] / temperature).softmax(0))
    assert_close(drawn.bincount(minlength=5) / 20_000, expected, atol=0.015, rtol=0)


@pytest.mark.parametrize("how", [{}, {"top_k": 1}, {"top_p": 0.3}], ids=str)
def test_what_is_forgone_is_the_mass_that_was_masked_at_temperature_one(how: dict[str, float]) -> None:
    model, grammar = model_of(TOKENS), Brackets()
    samples = generate(model, TOKENS, ["", "(()"], [0.0, 0.5, 2.0], n=3, length=24, grammar=grammar, **how)
    for sample in samples:
        ids = [0, *TOKENS.encode(sample.text), 0]
        shares = model(torch.tensor([ids[:-1]]))[0][0].detach().softmax(1)
        nats, state = 0.0, grammar.start()
        for place, index in enumerate(ids[1:]):
            if place >= len(sample.prompt):
                left = 23 - (place - len(sample.prompt))
                kept = [TOKENS.ids[token] for token in grammar.allowed(state, left)]
                nats -= float(shares[place, kept].sum().log())
            state = grammar.advance(state, TOKENS.tokens[index]) if index else state
        assert sample.forgone == pytest.approx(nats, abs=1e-4)
        assert sample.forgone > 0.1


def test_a_grammar_that_allows_everything_changes_nothing_and_costs_nothing() -> None:
    model = model_of(TOKENS)
    how = {"n": 20, "length": 30}
    free = generate(model, TOKENS, ["", "ab"], [0.0, 1.0], **how)
    bound = generate(model, TOKENS, ["", "ab"], [0.0, 1.0], **how, grammar=Chosen(lambda count, left: TOKENS.tokens))
    assert bound == free
    assert {sample.forgone for sample in free} == {0.0}
    assert {sample.ended for sample in free} == {True, False}


def test_a_grammar_reads_tokens_and_not_characters() -> None:
    notes = Vocabulary(["", "do", " re", " mi"])
    seen: list[int] = []
    grammar = Chosen(lambda count, left: seen.append(count) or ([""] if count == 4 else [" re", " mi"]))
    (sample,) = generate(model_of(notes), notes, ["do re"], [1.0], length=20, grammar=grammar)
    assert seen == [2, 3, 4]
    assert len(sample.text.split()) == 4


@pytest.mark.parametrize(
    ("prompt", "length", "message"),
    [
        ("())", 9, r"no valid text begins with the prompt '\(\)\)': '\)' after 0 open brackets"),
        ("(a", 9, r"no valid text begins with the prompt '\(a': 'a' after 1 open"),
    ],
)
def test_a_prompt_that_no_valid_text_begins_with(prompt: str, length: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        generate(model_of(TOKENS), TOKENS, ["(", prompt], [1.0], length=length, grammar=Brackets())


def test_a_length_in_which_nothing_valid_ends() -> None:
    grammar = Chosen(lambda count, left: "a" if 0 < left >= 5 - count else [""] if count == 5 else [])
    with pytest.raises(UserError, match="no valid text ends within a length of 5 after its prompt"):
        generate(model_of(TOKENS), TOKENS, [""], [1.0], length=5, grammar=grammar)
    assert generate(model_of(TOKENS), TOKENS, [""], [1.0], length=6, grammar=grammar)[0].text == "aaaaa"


def test_a_stream_has_no_grammar() -> None:
    stream = Vocabulary(list("ab"))
    with pytest.raises(UserError, match="trained on a stream, which has no end"):
        generate(model_of(stream), stream, ["a"], [1.0], grammar=Brackets())
