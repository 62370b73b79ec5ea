import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from injection.disks import read_only

from lightseq.data import SequenceData, TextDataset
from lightseq.data.cache import cache_folder
from lightseq.data.doctor import examine
from lightseq.data.store import Store, open_store
from lightseq.errors import UserError
from lightseq.types import Document, Layout
from lightseq.vocabulary import Vocabulary


class Given(TextDataset):
    """Documents from a list."""

    def __init__(self, documents: Iterable[str | Document], layout: Layout = "documents") -> None:
        self.given, self.layout = list(documents), layout
        self.calls = 0

    def documents(self) -> Iterable[str | Document]:
        self.calls += 1
        yield from self.given


def texts(store: Store) -> list[str]:
    vocabulary = Vocabulary(store.vocabulary)
    return [vocabulary.decode(store.tokens[a:b]) for a, b in zip(store.offsets, store.offsets[1:], strict=False)]


@pytest.mark.parametrize(
    "documents", [["abc", "", "ba"], ["naïve", "漢字 ", "\U0001f600\n\t"], ["x"], ["é" * 3, "e\u0301"], ["\ud800a"]]
)
def test_decode_of_encode_is_the_text(documents: list[str]) -> None:
    assert texts(open_store(Given(documents), "given")) == documents


def test_words() -> None:
    store = open_store(Given([Document(["the ", "cat"]), Document(["cat"])]), "given")
    assert store.vocabulary == ["", "cat", "the "]
    assert texts(store) == ["the cat", "cat"]


def test_a_stream_has_no_extra_symbol_and_documents_have_one() -> None:
    assert open_store(Given(["ba"], "stream"), "given").vocabulary == ["a", "b"]
    assert open_store(Given(["ba"]), "given").vocabulary == ["", "a", "b"]


def test_the_smallest_integers_that_hold_the_vocabulary() -> None:
    few = open_store(Given(["".join(map(chr, range(32, 32 + 255)))]), "given")
    many = open_store(Given(["".join(map(chr, range(32, 32 + 256)))]), "given")
    assert (few.tokens.dtype, many.tokens.dtype) == (np.uint8, np.uint16)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = ["abc", "d" * 50, "", "e"]
    whole = open_store(Given(documents), "given")
    monkeypatch.setattr("lightseq.data.blocks.BLOCK", 2)
    monkeypatch.setenv("LIGHTSEQ_CACHE", str(cache_folder() / "other"))
    pieces = open_store(Given(documents), "given")
    assert texts(pieces) == texts(whole) == documents
    assert isinstance(pieces.tokens, np.memmap)
    assert pieces.tokens.filename != whole.tokens.filename


def test_the_second_time_is_not_encoded_again() -> None:
    first, again = Given(["abc"]), Given(["abc"])
    open_store(first, "given")
    store = open_store(again, "given")
    assert (first.calls, again.calls) == (2, 1)
    assert isinstance(store.tokens, np.memmap)


def test_other_content_is_another_cache() -> None:
    assert texts(open_store(Given(["abc", "d"]), "given")) == ["abc", "d"]
    assert texts(open_store(Given(["ab", "cd"]), "given")) == ["ab", "cd"]


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.parametrize("damage", ["tokens.bin", "offsets.bin", "arrays.json"])
def test_a_damaged_cache_is_made_anew(damage: str, length: int) -> None:
    open_store(Given(["abc", "d"]), "given")
    (place,) = (path.parent for path in cache_folder().rglob(damage))
    (place / damage).write_bytes((place / damage).read_bytes()[:length])
    assert texts(open_store(Given(["abc", "d"]), "given")) == ["abc", "d"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"tokens": 3}', '{"tokens": ["uint8", [[3, 0]]]}'])
def test_a_list_of_arrays_that_is_none(content: str) -> None:
    open_store(Given(["abc", "d"]), "given")
    (file,) = cache_folder().rglob("arrays.json")
    file.write_text(content)
    assert texts(open_store(Given(["abc", "d"]), "given")) == ["abc", "d"]


def test_what_a_process_that_died_left_is_removed() -> None:
    place = Path(open_store(Given(["abc"]), "given").tokens.filename).parent  # type: ignore[attr-defined]
    place.rename(place.with_name(f"{place.name}.making"))
    assert texts(open_store(Given(["abc"]), "given")) == ["abc"]
    assert [path.name for path in place.parent.iterdir() if path.suffix != ".lock"] == [place.name]


def test_pieces_of_a_large_array_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightseq.data.blocks.BLOCK", 2)
    monkeypatch.setattr("lightseq.data.arrays.CHECKED", 3)
    documents = ["ab", "ba", "aa", "bb", "ab"]
    open_store(Given(documents), "given")
    (file,) = cache_folder().rglob("tokens.bin")
    file.write_bytes(file.read_bytes()[:4] + b"\0" * 6)  # cut off by a power failure, say
    assert texts(open_store(Given(documents), "given")) == documents


def test_a_class_that_was_edited_is_read_again(plugin: Callable[..., None]) -> None:
    code = """
from lightseq.data import TextDataset

class Edited(TextDataset):
    def documents(self):
        return ["ab", "ba", "aab", "abb"]

    def fingerprint(self):
        return "always the same"
"""
    plugin("edited", "lightseq.datasets", {"edited": "edited_plugin:Edited"}, code)
    before = SequenceData("edited")
    assert "c" not in before.vocabulary
    source = Path(inspect.getsourcefile(type(before.dataset)) or "")
    source.write_text(code.replace("abb", "abc"))
    sys.modules.pop("edited_plugin")
    importlib.invalidate_caches()
    assert "c" in SequenceData("edited").vocabulary


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder here that nobody can write")
@pytest.mark.parametrize("dataset", ["dinos", "names", "alphabet"])
def test_a_cache_folder_that_nobody_can_write(
    dataset: str, alphabet: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIGHTSEQ_CACHE", "/proc")
    monkeypatch.setenv("LIGHTSEQ_DATA", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"the cache folder /proc.* cannot be used .* LIGHTSEQ_CACHE names another"):
        SequenceData(dataset).store  # noqa: B018 (it is made when it is looked at)


@pytest.mark.parametrize("array", ["tokens", "offsets", "splits"])
def test_a_flipped_bit_is_seen(array: str) -> None:
    documents = [Document("abc", split="train"), Document("d", split="val")]
    open_store(Given(documents), "given")
    (file,) = cache_folder().rglob(f"{array}.bin")
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    store = open_store(Given(documents), "given")
    assert texts(store) == ["abc", "d"]
    assert store.splits.tolist() == [1, 2]


def test_nothing_is_left_when_reading_fails_half_way() -> None:
    class Breaks(Given):
        def documents(self) -> Iterable[str]:
            yield from super().documents()
            if self.calls > 1:
                raise RuntimeError("the disk is gone")

    with pytest.raises(UserError, match=r"'given' is broken: Breaks\.documents\(\) raises RuntimeError: the disk"):
        open_store(Breaks(["abc"]), "given")
    assert [path for path in cache_folder().rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.mark.parametrize("hook", ["documents", "fingerprint", "download", "problems"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("ours"), r"is broken: Raises\.%s\(\) raises ZeroDivisionError: ours"),
        (OSError("gone"), "cannot be read: gone"),
    ],
)
def test_a_hook_that_raises_is_blamed(hook: str, error: Exception, message: str, plugin: Callable[..., None]) -> None:
    code = f"""
from lightseq.data import SequenceData, TextDataset
from lightseq.data.doctor import examine

class Raises(TextDataset):
    def documents(self):
        return ["ab", "ba", "aab", "abb"]

    def {hook}(self):
        raise {error!r}
"""
    plugin("raises", "lightseq.datasets", {"raises": "raises_plugin:Raises"}, code)
    with pytest.raises(UserError, match="'raises' " + message.replace("%s", hook)):
        examine(SequenceData("raises"))


def test_documents_that_are_others_the_second_time() -> None:
    class Restless(Given):
        def documents(self) -> Iterable[str]:
            self.calls += 1
            return ["abc", "d" * self.calls]

    with pytest.raises(UserError, match="'given' is broken: its documents were others the second time"):
        open_store(Restless([]), "given")


class Marked(Given):
    """With a fingerprint."""

    mark = "one"

    def fingerprint(self) -> str:
        return self.mark


def test_what_has_a_fingerprint_is_not_read_again() -> None:
    first, again, other = Marked(["abc"]), Marked(["abc"]), Marked(["abcd"])
    open_store(first, "given")
    assert texts(open_store(again, "given")) == ["abc"]
    assert (first.calls, again.calls) == (2, 0)
    other.mark = "two"
    assert texts(open_store(other, "given")) == ["abcd"]


def test_a_fingerprint_that_did_not_tell_is_not_believed_where_it_shows() -> None:
    open_store(Marked(["abc"]), "given")
    for place in cache_folder().glob("stores/*/"):
        (place / "arrays.json").unlink()
    assert texts(open_store(Marked(["xy"]), "given")) == ["xy"]
    assert texts(open_store(Marked(["xy"]), "given")) == ["xy"]


def test_a_damaged_survey_is_made_anew() -> None:
    open_store(Marked(["abc"]), "given")
    (survey,) = cache_folder().glob("surveys/*[!k]")
    survey.write_text(survey.read_text()[:-3])
    again = Marked(["abc"])
    assert texts(open_store(again, "given")) == ["abc"]
    assert again.calls == 1


def test_groups_and_what_is_augmented() -> None:
    documents = [Document("ab", group="one"), Document("b", group="one", augmented=True), Document("ab"), "ab"]
    store = open_store(Given(documents), "given")
    assert store.digests[0] == store.digests[1] != store.digests[2] == store.digests[3]
    assert store.augmented.tolist() == [0, 1, 0, 0]


def test_a_split_that_is_none() -> None:
    with pytest.raises(UserError, match="a split is train, val or test, not 'dev'"):
        open_store(Given([Document("ab", split="dev")]), "given")  # type: ignore[arg-type]


def test_a_given_vocabulary_rules() -> None:
    store = open_store(Given(["ba"]), "given", vocabulary=["", "c", "b", "a"])
    assert store.vocabulary == ["", "c", "b", "a"]
    assert store.tokens.tolist() == [2, 3]


def test_characters_that_a_given_vocabulary_lacks_are_named() -> None:
    with pytest.raises(UserError, match=r"'given' has 2 tokens .* lacks: character 'T' \(U\+0054\), character 'é'"):
        open_store(Given(["aTé"]), "given", vocabulary=["", "a"])


@pytest.mark.parametrize("documents", [[], [""], ["", ""]])
def test_an_empty_dataset(documents: list[str]) -> None:
    with pytest.raises(UserError, match=f"'given' is empty: {len(documents)} documents"):
        open_store(Given(documents), "given")
    assert not cache_folder().exists()


def test_a_cache_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEQ_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cache folder .* cannot be used .* LIGHTSEQ_CACHE names another"):
        open_store(Given(["abc"]), "given")


def test_a_read_only_cache_is_read() -> None:
    """Without a survey, with one, and of a dataset that may download; what is not in the cache is refused."""
    keys = [open_store(Given(["abc"]), "given").key, SequenceData("dinos").store.key]
    open_store(Marked(["abcd"]), "given")
    again = Marked(["abcd"])
    with read_only(cache_folder()) as done:
        if not done:
            pytest.skip("nothing can be mounted here")
        assert [open_store(Given(["abc"]), "given").key, SequenceData("dinos").store.key] == keys
        assert texts(open_store(again, "given")) == ["abcd"]
        assert again.calls == 0
        with pytest.raises(UserError, match=r"/stores cannot be used \((Read-only|Permission).* LIGHTSEQ_CACHE names"):
            open_store(Given(["abcde"]), "given")


def test_a_cache_folder_that_cannot_be_made_for_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEQ_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cache folder .* cannot be used .* LIGHTSEQ_CACHE names another"):
        SequenceData("names").store  # noqa: B018 (it is made when it is looked at)


def test_labels() -> None:
    tagged = open_store(Given([Document("ab", ["x", "y"]), Document("a", ["y"])]), "given")
    assert (tagged.labels, tagged.tagged) == (["x", "y"], True)
    assert tagged.label_ids is not None
    assert tagged.label_ids.tolist() == [0, 1, 1]
    classified = open_store(Given([Document("ab", "yes"), Document("a", "no")]), "given")
    assert (classified.labels, classified.tagged) == (["no", "yes"], False)
    assert classified.label_ids is not None
    assert classified.label_ids.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([Document("ab", "yes"), "ab"], "mixes documents"),
        ([Document("ab", "yes"), Document("ab", ["x", "y"])], "mixes documents"),
        ([Document("ab", ["x"])], "2 tokens and 1 labels"),
    ],
)
def test_labels_that_do_not_fit(documents: list[str | Document], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_store(Given(documents), "given")


def test_a_stream_has_no_labels() -> None:
    with pytest.raises(UserError, match="a stream has no labels"):
        open_store(Given([Document("ab", ["x", "y"])], "stream"), "given")


def test_a_label_that_the_given_ones_lack() -> None:
    with pytest.raises(UserError, match="labels that the given ones lack: maybe"):
        open_store(Given([Document("ab", "maybe")]), "given", labels=["no", "yes"])


def test_equal_texts_have_equal_digests() -> None:
    digests = open_store(Given(["ab", "b", "ab", ""]), "given").digests
    assert digests[0] == digests[2]
    assert len(set(digests.tolist())) == 3
