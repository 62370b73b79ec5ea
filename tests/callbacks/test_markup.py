import pytest
from lightseq.callbacks import markup


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("X:1\nK:D *a*", "X:1\nK:D *a*"),
        ("\x1b[31mred\x07", "\ufffd[31mred\ufffd"),
        ("\ud800", "\ufffd"),
        ("naïve 漢字\t", "naïve 漢字\t"),
        ("a\u3000b\u00a0c", "a\u3000b\u00a0c"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert markup.plain(text) == shown


@pytest.mark.parametrize("text", ["a", "~~~", "x\n~~~~~\ny", "![x](http://127.0.0.1/)"])
def test_a_fence_is_longer_than_any_in_the_text(text: str) -> None:
    lines = markup.fenced(text).split("\n")
    assert lines[0] == lines[-1]
    assert "\n".join(lines[1:-1]) == text
    assert lines[0] not in text
    assert set(lines[0]) == {"~"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("<b>a\n*b*", "`<b>a *b*`"), ("a `b` c", "`` a `b` c ``"), ("``", "``` `` ```"), ("\x1b", "`\ufffd`")],
)
def test_code_within_a_line_has_more_backticks_around_it_than_in_it(text: str, shown: str) -> None:
    assert markup.code(text) == shown


def test_a_table_keeps_line_breaks_and_makes_markup_inert() -> None:
    table = markup.table(["T=0.50"], [['<img src="http://127.0.0.1/x">'], ["X:1\n\nK:D"], ["![x](http://127.0.0.1/)"]])
    assert "<img" not in table
    assert "&lt;img" in table
    assert "\n\n" not in table
    assert table.count("<tr>") == 4


def test_a_long_text_is_capped() -> None:
    assert len(markup.fenced("a" * 1_000_000)) < 6_000
