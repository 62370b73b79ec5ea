import pytest

from lightseq.errors import UserError
from lightseq.vocabulary import BOUNDARY, Vocabulary, escape, unescape, words


def test_there_and_back() -> None:
    vocabulary = Vocabulary([BOUNDARY, "a", "b", "\n"])
    assert vocabulary.encode("ba\n") == [2, 1, 3]
    assert vocabulary.decode([0, 2, 1, 3, 0]) == "ba\n"
    assert (len(vocabulary), vocabulary.boundary) == (4, 0)


def test_words_and_their_lengths() -> None:
    vocabulary = Vocabulary(["cat", "the ", BOUNDARY])
    assert vocabulary.encode(["the ", "cat"]) == [1, 0]
    assert vocabulary.lengths == [3, 4, 1]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The cat sat.", ["The", " cat", " sat", "."]),
        ("it's  a\n\tb (c)", ["it's", " ", " a", "\n", "\t", "b", " (", "c", ")"]),
        ("l\u2019été naïve, 3.5", ["l\u2019été", " naïve", ",", " 3", ".", "5"]),
        ("", []),
    ],
)
def test_a_text_is_its_words_joined(text: str, pieces: list[str]) -> None:
    assert words(text) == pieces
    assert "".join(pieces) == text


def test_a_text_is_cut_into_the_longest_tokens() -> None:
    vocabulary = Vocabulary([BOUNDARY, "the", " cat", " c", "a", "t", "s"])
    assert vocabulary.encode("the cats") == [1, 2, 6]
    assert vocabulary.encode("the ca") == [1, 3, 4]
    with pytest.raises(UserError, match=r"token 'catx' at position 4 of 'the catx s'"):
        vocabulary.encode("the catx s")


def test_bytes_are_shown_as_the_characters_they_encode() -> None:
    text = "naïve 漢\n"
    vocabulary = Vocabulary(sorted(set(escape(text))))
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert len(vocabulary.encode(text)) == len(text.encode()) == 11
    assert sum(vocabulary.lengths[i] for i in vocabulary.encode(text)) == len(text)
    assert vocabulary.decode(vocabulary.encode("漢")[:2]) == "\ufffd"
    with pytest.raises(UserError, match="byte 0xC3 at position 0 of"):
        Vocabulary(["a", "\udca9"]).encode("é")


def test_bytes_beside_characters() -> None:
    vocabulary = Vocabulary(["é", "\udce9", "a", "\ud800"])
    assert vocabulary.encode("éa\udce9\ud800") == [0, 2, 1, 3]
    assert vocabulary.decode([0, 1, 2, 3]) == "é\ufffda\ud800"
    assert unescape(escape("é")) == "é"


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
