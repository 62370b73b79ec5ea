import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lightseq.data import files
from lightseq.errors import UserError


def text(file: str, **settings: str) -> str:
    return "".join(files.chunks(file, **settings))


@pytest.fixture(params=[3, 1 << 20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Pieces that cut characters and line ends in two, and such that do not."""
    monkeypatch.setattr(files, "PIECE", request.param)
    return int(request.param)


def test_a_file_a_folder_a_pattern() -> None:
    for name in ("b.txt", "a.txt", "below/c.txt", ".hidden/d.txt", "below/.e.txt", "below/f.md"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    assert files.find("a.txt") == ["a.txt"]
    assert files.find(".") == ["a.txt", "b.txt", "below/c.txt", "below/f.md"]
    assert files.find("below/*.txt") == ["below/c.txt"]
    assert files.find("**/*.txt") == ["a.txt", "b.txt", "below/c.txt"]
    assert files.find("below/.e.txt") == ["below/.e.txt"]
    assert files.find(".hidden") == [".hidden/d.txt"]
    assert files.find(str(Path("below").absolute())) == ["below/c.txt", "below/f.md"]
    assert files.find(Path("b.txt").absolute().as_uri()) == [Path("b.txt").absolute().as_uri()]


def test_a_link_to_a_folder_is_not_followed() -> None:
    Path("loop").mkdir()
    Path("loop/a.txt").write_text("a")
    Path("loop/self").symlink_to(".")
    assert files.find("loop") == ["loop/a.txt"]


def test_files_within_an_archive() -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("x.txt", "one")
        archive.writestr("y.txt", "two")
    assert [text(file) for file in files.find("zip://*.txt::a.zip")] == ["one", "two"]


def test_a_name_that_looks_like_a_pattern() -> None:
    Path("a[1].txt").write_text("one")
    Path("a1.txt").write_text("other")
    assert [text(file) for file in files.find("a[1].txt")] == ["one"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nope.txt", "no file at nope.txt"),
        ("nope*", "no file at nope"),
        ("empty", "empty is a folder without files"),
        ("xx://a", "xx://a cannot be read: Protocol not known: xx"),
    ],
)
def test_nothing_there(path: str, message: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        files.find(path)


@pytest.mark.parametrize(
    ("content", "encoding", "expected"),
    [
        (b"a\r\nb\rc\nd", "utf-8", "a\nb\nc\nd"),
        (b"\xef\xbb\xbfa\xef\xbb\xbf\n", "utf-8", "a\ufeff\n"),
        ("漢é\r\n".encode("utf-16"), "utf-16", "漢é\n"),
        (b"caf\xe9", "latin-1", "café"),
        (b"", "utf-8", ""),
        ("é漢\U0001f600".encode(), "utf-8", "é漢\U0001f600"),
    ],
)
def test_what_a_file_says(content: bytes, encoding: str, expected: str, piece: int) -> None:
    Path("x.txt").write_bytes(content)
    assert text("x.txt", encoding=encoding) == expected


def test_packed_files() -> None:
    Path("x.txt.gz").write_bytes(gzip.compress(b"abc"))
    assert text("x.txt.gz") == "abc"
    Path("y.txt.gz").write_bytes(gzip.compress(b"abc" * 1000)[:-12])
    with pytest.raises(UserError, match=r"y\.txt\.gz cannot be read: "):
        text("y.txt.gz")


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (
            b"ab\ncd\xe9f",
            "utf-8",
            r"line 2: byte 5 \(0xE9\) is not utf-8; .*encoding names another one, latin-1",
        ),
        ("é\n漢".encode()[:-1], "utf-8", r"line 2: byte 3 \(0xE6\) is not utf-8"),
        ("a".encode("utf-16"), "utf-8", r"line 1: byte 0 \(0xFF\) is not utf-8; .* another one, utf-16 say"),
        (b"ab\ncd\n\0e", "utf-8", "line 3: a NUL character; this is no text, or not utf-8"),
        (b"a\rb\r\xff", "utf-8", r"line 3: byte 4 \(0xFF\) is not utf-8"),
        (
            "\u0a0a\u0a0a\n".encode("utf-16-le") + b"\x00\xd8a\x00",
            "utf-16-le",
            r"line 2: byte 6 \(0x00\) is not utf-16-le",
        ),
        (b"a\xff", "ascii", r"line 1: byte 1 \(0xFF\) is not ascii"),
        (b"a", "utf-9", "no encoding called 'utf-9'"),
        (b"abc", "utf-16", "line 1: "),
    ],
)
def test_what_is_no_text_is_told_with_its_place(content: bytes, encoding: str, message: str, piece: int) -> None:
    Path("x.txt").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        text("x.txt", encoding=encoding)
    assert "x.txt" in str(caught.value) or encoding == "utf-9"


@pytest.mark.parametrize(("errors", "expected"), [("replace", "a\ufffdb"), ("ignore", "ab")])
def test_what_does_not_decode_may_be_replaced_or_left_out(errors: str, expected: str) -> None:
    Path("x.txt").write_bytes(b"a\xffb")
    assert text("x.txt", errors=errors) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read() -> None:
    Path("x.txt").write_text("a")
    Path("x.txt").chmod(0)
    with pytest.raises(UserError, match=r"x\.txt cannot be read: Permission denied"):
        text("x.txt")


def test_lines_have_their_numbers(piece: int) -> None:
    Path("x.txt").write_bytes(b"one\r\n\r\nthree, longer\nlast")
    assert list(files.lines("x.txt")) == [(1, "one"), (2, ""), (3, "three, longer"), (4, "last")]


def test_a_record_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST", 10)
    found = files.records(iter(["ab\ncdef", "ghijklm", "n\no"]), "\n", "x.txt")
    assert next(found) == "ab"
    with pytest.raises(UserError, match=r"x\.txt: document 2 has more than 10 characters; .* read it as a stream"):
        next(found)


def test_a_separator_cut_in_two() -> None:
    assert list(files.records(iter(["a-", "-b", "--", "c"]), "--", "x")) == ["a", "b", "c"]


@pytest.fixture
def settled() -> Callable[[str, int], None]:
    """Write a file as if it had been changed at a time long ago."""

    def write(content: str, second: int) -> None:
        Path("x.txt").write_text(content)
        os.utime("x.txt", (second, second))

    return write


def test_a_fingerprint_changes_with_the_file_and_the_options(settled: Callable[[str, int], None]) -> None:
    settled("abc", 1_000_000_000)
    first = files.fingerprint(["x.txt"], "line", 3)
    assert first is not None
    assert files.fingerprint(["x.txt"], "line", 3) == files.fingerprint([os.path.abspath("x.txt")], "line", 3) == first
    others = [files.fingerprint(["x.txt"], "line", 4), files.fingerprint(["x.txt"])]
    settled("abcd", 1_000_000_000)
    others.append(files.fingerprint(["x.txt"], "line", 3))
    settled("abd", 1_000_000_001)
    others.append(files.fingerprint(["x.txt"], "line", 3))
    Path("x.txt").write_text("adb")
    os.utime("x.txt", (1_000_000_001, 1_000_000_001))
    others.append(files.fingerprint(["x.txt"], "line", 3))
    assert len({first, *others}) == 6


def test_no_fingerprint_of_what_may_still_change(settled: Callable[[str, int], None]) -> None:
    Path("new.txt").write_text("abc")
    settled("abc", 1_000_000_000)
    assert files.fingerprint(["x.txt", "new.txt"]) is None
    assert files.fingerprint(["https://example.org/x.txt"]) is None


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is a pipe: write what it gives to a file"):
        list(files.lines(str(tmp_path / "pipe")))


def test_the_whole_disk_is_no_folder_of_texts() -> None:
    with pytest.raises(UserError, match="/ is the whole disk: name a folder of texts"):
        files.find("/")
