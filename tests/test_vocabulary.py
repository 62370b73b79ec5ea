import pytest

from lightseq.errors import UserError
from lightseq.vocabulary import BOUNDARY, Vocabulary


def test_there_and_back() -> None:
    vocabulary = Vocabulary([BOUNDARY, "a", "b", "\n"])
    assert vocabulary.encode("ba\n") == [2, 1, 3]
    assert vocabulary.decode([0, 2, 1, 3, 0]) == "ba\n"
    assert (len(vocabulary), vocabulary.boundary) == (4, 0)


def test_words_and_their_lengths() -> None:
    vocabulary = Vocabulary(["cat", "the ", BOUNDARY])
    assert vocabulary.encode(["the ", "cat"]) == [1, 0]
    assert vocabulary.lengths == [3, 4, 1]


def test_a_stream_has_no_boundary() -> None:
    assert Vocabulary(["a"]).boundary is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abT", r"character 'T' \(U\+0054\) at position 2 of 'abT' is not among the 3 tokens .*; it knows 't'$"),
        ("é", r"character 'é' \(U\+00E9\) at position 0 of 'é' is not among the 3 tokens the model knows$"),
        (["ab"], r"token 'ab' at position 0"),
    ],
)
def test_an_unknown_token_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Vocabulary(["a", "b", "t"]).encode(text)


@pytest.mark.parametrize("tokens", [[], ["a", "b", "a"]])
def test_no_tokens_or_one_twice(tokens: list[str]) -> None:
    with pytest.raises(UserError):
        Vocabulary(tokens)
