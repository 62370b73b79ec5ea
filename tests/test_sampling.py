from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from lightseq.backbones.base import Steps
from lightseq.draws import Drawer
from lightseq.errors import UserError
from lightseq.model import SequenceModel, build_model
from lightseq.sampling import LOOK_EVERY_ON_CPU, Sample, generate
from lightseq.types import State
from lightseq.vocabulary import BOUNDARY, Vocabulary

TOKENS = Vocabulary(["", *"abcdef"])
STREAM = Vocabulary(list("abcdef"))


def model_of(vocabulary: Vocabulary) -> SequenceModel:
    model = build_model(
        vocabulary=vocabulary.tokens,
        labels=None,
        backbone="gru",
        backbone_args=None,
        embedding_size=4,
        hidden_size=8,
        num_layers=1,
        dropout=0.5,
        tie_head=False,
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    return model


def test_temperature_zero_is_argmax() -> None:
    model = model_of(STREAM)
    (sample,) = generate(model, STREAM, ["ab"], [0.0], length=10)
    ids = STREAM.encode("ab")
    model.eval()
    for _ in range(10):
        ids.append(int(model(torch.tensor([ids]))[0][0, -1].argmax()))
    assert sample.text == STREAM.decode(ids)


def test_uniform_logits_are_drawn_uniformly() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = Drawer(torch.ones(60_000, 1), None, None, generator, 1)(torch.zeros(60_000, 6))
    shares = ids.bincount(minlength=6) / 60_000
    assert_close(shares, torch.full((6,), 1 / 6), atol=0.006, rtol=0)  # four standard deviations


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_at_a_temperature(temperature: float) -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    ids = Drawer(torch.full((60_000, 1), temperature), None, None, generator, 1)(logits.expand(60_000, 4))
    assert_close(ids.bincount(minlength=4) / 60_000, (logits / temperature).softmax(0), atol=0.009, rtol=0)


def test_top_k_and_top_p() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(2_000, 4)
    heat = torch.ones(2_000, 1)

    def drawn(top_k: int | None, top_p: float | None) -> set[int]:
        return set(Drawer(heat, top_k, top_p, torch.Generator().manual_seed(0), 1)(logits).tolist())

    assert drawn(None, None) == {0, 1, 2, 3}
    assert drawn(2, None) == {0, 1}
    assert drawn(9, None) == {0, 1, 2, 3}
    assert drawn(None, 0.79) == {0, 1}
    assert drawn(None, 0.81) == {0, 1, 2}
    assert drawn(None, 0.01) == {0}
    assert drawn(3, 0.81) == {0, 1}  # of what top_k leaves, the first two have 0.84


def test_each_row_stops_at_its_own_boundary() -> None:
    samples = generate(model_of(TOKENS), TOKENS, ["", "abc"], [1.0], n=40, length=30)
    lengths = {len(sample.text) - len(sample.prompt) for sample in samples if sample.ended}
    assert len(lengths) > 3
    assert max(lengths) < 30
    for sample in samples:
        assert sample.text.startswith(sample.prompt)
        assert sample.ended == (len(sample.text) - len(sample.prompt) < 30)


def test_rows_that_have_ended_make_no_difference_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary(["", *"abc"])
    model = model_of(vocabulary)
    every = []
    for look in (1, 10**9):  # leave those that have ended out as soon as may be, and never
        monkeypatch.setattr("lightseq.sampling.LOOK_EVERY_ON_CPU", look)
        every.append(generate(model, vocabulary, ["", "ab"], [0.5, 1.0, 2.0], n=9, length=40))
    assert every[0] == every[1]
    assert len({len(sample.text) for sample in every[0]}) > 6
    assert any(sample.ended for sample in every[0])


@pytest.mark.parametrize("steps", [LOOK_EVERY_ON_CPU - 1, LOOK_EVERY_ON_CPU, LOOK_EVERY_ON_CPU + 1])
def test_a_row_that_ends_where_the_loop_looks_has_ended(steps: int) -> None:
    class Counts(nn.Module):
        """Ends after so many steps."""

        head = nn.Linear(1, 1)

        def initial_state(self, rows: int) -> State:
            return (torch.zeros(1, rows, 1),)

        def runner(self) -> Callable[[State], Steps]:
            def step(ids: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
                logits = torch.zeros(len(ids), 7)
                logits[:, 0 if state[0][0, 0, 0] == steps - 1 else 1] = 9.0
                return logits, (state[0] + 1,)

            return partial(Steps, step)

    (sample,) = generate(Counts(), TOKENS, [""], [0.0], length=200)
    assert (len(sample.text), sample.ended) == (steps - 1, True)


@pytest.mark.parametrize("vocabulary", [TOKENS, STREAM])
def test_a_drawing_ends_when_it_is_told_to(vocabulary: Vocabulary) -> None:
    model, asked = model_of(vocabulary), []

    def until() -> bool:
        asked.append(True)
        return len(asked) == 3

    prompts = ["a", "abcabcabcabcabc", "abc" * 15]
    whole = generate(model, vocabulary, prompts, [1.0], n=20, length=60)
    cut = generate(model, vocabulary, prompts, [1.0], n=20, length=60, until=until)
    assert len(asked) == 3
    steps = 3 * LOOK_EVERY_ON_CPU
    for all_of_it, some in zip(whole, cut, strict=True):
        # a stream has no boundary to start from: its first token is the prompt's
        length = max(len(some.prompt), steps + (vocabulary is STREAM))
        assert some.text == all_of_it.text[:length]
        assert some.ended == (all_of_it.ended and len(all_of_it.text) < length)
    assert any(len(sample.text) > 45 for sample in whole)


def test_to_be_asked_changes_nothing() -> None:
    model, asked = model_of(TOKENS), []

    def never() -> bool:
        asked.append(True)
        return False

    plain = generate(model, TOKENS, ["", "ab"], [0.0, 0.5, 1.0], n=5, length=50)
    assert generate(model, TOKENS, ["", "ab"], [0.0, 0.5, 1.0], n=5, length=50, until=never) == plain
    assert asked


def test_rows_do_not_disturb_each_other() -> None:
    model = model_of(TOKENS)
    together = generate(model, TOKENS, ["", "abcd", "e"], [0.0], length=40)
    alone = [generate(model, TOKENS, [prompt], [0.0], length=40)[0] for prompt in ("", "abcd", "e")]
    assert together == alone


def test_every_prompt_at_every_temperature_in_order() -> None:
    samples = generate(model_of(TOKENS), TOKENS, ["a", "b"], [0.0, 1.0], n=2, length=3)
    order = [(p, t, i) for p in "ab" for t in (0.0, 1.0) for i in (0, 1)]
    assert [(s.prompt, s.temperature, s.number) for s in samples] == order
    assert isinstance(samples[0], Sample)


def test_the_same_call_draws_the_same_and_leaves_the_global_generator_alone() -> None:
    model = model_of(TOKENS)
    before = torch.get_rng_state()
    first = generate(model, TOKENS, [""], [1.0], n=5)
    torch.rand(3)
    assert generate(model, TOKENS, [""], [1.0], n=5) == first
    assert generate(model, TOKENS, [""], [1.0], n=5, seed=1) != first
    torch.set_rng_state(before)
    generate(model, TOKENS, [""], [1.0], n=5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back_and_dropout_is_off(training: bool) -> None:
    model = model_of(TOKENS).train(training)
    first = generate(model, TOKENS, ["ab"], [0.0])
    assert model.training is training
    assert generate(model, TOKENS, ["ab"], [0.0]) == first
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_empty_prompt_of_a_stream_starts_by_the_training_frequencies() -> None:
    samples = generate(model_of(STREAM), STREAM, [""], [1.0], n=300, length=1, token_counts=[0, 3, 0, 1, 0, 0])
    firsts = [sample.text[0] for sample in samples]
    assert set(firsts) == {"b", "d"}
    assert 180 < firsts.count("b") < 270
    assert {sample.text[0] for sample in generate(model_of(STREAM), STREAM, [""], [1.0], n=300)} == set("abcdef")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperatures": [-0.5]}, "temperature is 0 .* or more, not -0.5"),
        ({"temperatures": [float("nan")]}, "not nan"),
        ({"n": 0}, "n is at least 1, not 0"),
        ({"length": -1}, "length is at least 1, not -1"),
        ({"top_k": 0}, "top_k is at least 1, not 0"),
        ({"seed": 10**20}, "a seed is between 0 and"),
        ({"top_p": 0.0}, "top_p is above 0 and at most 1, not 0"),
        ({"prompts": ["aX"]}, "character 'X' .* at position 1"),
    ],
)
def test_numbers_out_of_their_range(wrong: dict[str, object], message: str) -> None:
    settings = {"prompts": [""], "temperatures": [1.0], **wrong}
    with pytest.raises(UserError, match=message):
        generate(model_of(TOKENS), TOKENS, **settings)


def test_noise_taken_for_many_steps_is_that_of_one_by_one() -> None:
    heat, logits = torch.tensor([[0.5], [0.0], [2.0]]), torch.randn(20, 3, 7)
    alone = torch.Generator().manual_seed(3)
    expected = [Drawer(heat, None, None, alone, 1)(step) for step in logits]
    for ahead in (1, 8, 10**9):
        drawer = Drawer(heat, None, None, torch.Generator().manual_seed(3), ahead)
        assert all(map(torch.equal, expected, map(drawer, logits)))
    assert torch.equal(torch.stack(expected)[:, 1], logits[:, 1].argmax(1))
    nothing_left_out = Drawer(heat, 7, 1.0, torch.Generator().manual_seed(3), 8)
    assert all(map(torch.equal, expected, map(nothing_left_out, logits)))


def test_draws_of_many_time_steps_are_independent_draws_from_the_softmax() -> None:
    logits, heat, steps = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]]), torch.tensor([[0.7], [1.5]]), 20_000
    drawer = Drawer(heat, None, None, torch.Generator().manual_seed(0), 8)
    ids = torch.stack([drawer(logits) for _ in range(steps)])
    shares = (logits / heat).softmax(1)
    pairs = ids[::2] * 3 + ids[1::2]  # none of them overlap: such as do are no chi-square
    for row in range(2):
        expected = torch.outer(shares[row], shares[row]).flatten() * steps / 2
        square = ((pairs[:, row].bincount(minlength=9) - expected).square() / expected).sum()
        assert square < 26.1  # eight degrees of freedom: one in a thousand


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_logits_of_any_precision_are_drawn_from(dtype: torch.dtype) -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0], dtype=dtype)
    drawer = Drawer(torch.full((60_000, 1), 0.8), None, None, torch.Generator().manual_seed(0), 8)
    shares = drawer(logits.expand(60_000, 4)).bincount(minlength=4) / 60_000
    assert_close(shares, (logits.float() / 0.8).softmax(0), atol=0.012, rtol=0)


@pytest.mark.parametrize("vocabulary", [TOKENS, STREAM])
def test_what_is_watched_is_the_texts_in_pieces(vocabulary: Vocabulary) -> None:
    model, seen = model_of(vocabulary), []
    prompts = ["a", "abc" * 7]
    plain = generate(model, vocabulary, prompts, [0.5, 1.0], n=6, length=30)
    samples = generate(model, vocabulary, prompts, [0.5, 1.0], n=6, length=30, watch=seen.append)
    assert samples == plain
    assert len(seen) > 4
    texts = [[index for piece in seen for index in piece[row]] for row in range(len(samples))]
    for sample, ids in zip(samples, texts, strict=True):
        assert vocabulary.decode(ids) == sample.text
        assert (vocabulary.boundary in ids) == sample.ended
        assert not sample.ended or ids.index(vocabulary.boundary) == len(ids) - 1
        assert sample.ended or len(sample.text) == len(sample.prompt) + 30


@pytest.mark.parametrize("backbone", ["rnn", "gru", "lstm", "mingru"])
def test_autocast_around_a_sample_changes_nothing(backbone: str) -> None:
    vocabulary = Vocabulary([BOUNDARY, *"abc"])
    model = build_model(
        vocabulary=vocabulary.tokens,
        labels=None,
        backbone=backbone,
        backbone_args=None,
        embedding_size=3,
        hidden_size=8,
        num_layers=2,
        dropout=0.0,
        tie_head=False,
    )
    plain = generate(model, vocabulary, ["a"], [0.0, 1.0], n=3, length=40)
    with torch.autocast("cpu", torch.bfloat16):
        assert generate(model, vocabulary, ["a"], [0.0, 1.0], n=3, length=40) == plain
        logits, _ = model.stepper()(torch.tensor([1, 2]), model.initial_state(2))
    assert logits.shape == (2, 4)
