"""Whole files: what is replaced, what is written to, what is refused, and what is left after a failure."""

import errno
import os
from pathlib import Path

import pytest

from lightseq.atomic import check_writable, open_whole, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_and_a_replaced_one(own_folder: Path) -> None:
    place = own_folder / "page.html"
    write_whole(place, "grün")
    assert place.read_bytes() == "grün".encode()
    write_whole(place, b"\x00\xff")
    assert place.read_bytes() == b"\x00\xff"
    assert names(own_folder) == ["page.html"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_permissions_of_the_old_file_are_kept(mode: int, own_folder: Path) -> None:
    place = own_folder / "page.html"
    place.write_text("old")
    place.chmod(mode)
    write_whole(place, "new")
    assert place.stat().st_mode & 0o777 == mode
    assert place.read_text() == "new"


def test_a_name_of_full_length(own_folder: Path) -> None:
    place = own_folder / ("n" * 255)
    write_whole(place, "whole")
    assert place.read_text() == "whole"


def test_a_link_stays_and_its_target_is_replaced(own_folder: Path) -> None:
    (own_folder / "far").mkdir()
    target, link = own_folder / "far" / "target", own_folder / "link"
    target.write_text("old")
    link.symlink_to("far/target")
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert names(own_folder / "far") == ["target"]


def test_a_pipe_is_written_to_and_stays_a_pipe(own_folder: Path) -> None:
    pipe = own_folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert names(own_folder) == ["pipe"]


def test_a_device_that_is_full_fails_and_stays(own_folder: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(Path("/dev/full"), "much")
    assert caught.value.errno == errno.ENOSPC
    assert Path("/dev/full").is_char_device()


def test_an_open_descriptor_is_written_to(own_folder: Path) -> None:
    read, write = os.pipe()
    try:
        write_whole(Path(f"/dev/fd/{write}"), "down")
        assert os.read(read, 100) == b"down"
    finally:
        os.close(read)
        os.close(write)


@pytest.fixture
def refused(own_folder: Path) -> dict[str, Path]:
    """Places that cannot be written, by what is wrong with them."""
    (own_folder / "folder").mkdir()
    (own_folder / "dangling").symlink_to("nowhere")
    places = {"folder": "folder", "dangling link": "dangling", "no parent": "missing/file"}
    return {what: own_folder / name for what, name in places.items()}


@pytest.mark.parametrize(
    ("what", "error"),
    [("folder", IsADirectoryError), ("dangling link", FileNotFoundError), ("no parent", FileNotFoundError)],
)
def test_what_cannot_be_written_is_refused(
    what: str, error: type[OSError], refused: dict[str, Path], own_folder: Path
) -> None:
    before = names(own_folder)
    with pytest.raises(error):
        check_writable(refused[what])
    with pytest.raises(error):
        write_whole(refused[what], "text")
    assert names(own_folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_that_may_not_be_written_is_refused(own_folder: Path) -> None:
    place = own_folder / "page.html"
    place.write_text("old")
    place.chmod(0o444)
    with pytest.raises(PermissionError):
        write_whole(place, "new")
    assert place.read_text() == "old"


def test_a_failure_in_the_middle_leaves_the_old_file_alone(own_folder: Path) -> None:
    place = own_folder / "page.html"
    place.write_text("old")
    with pytest.raises(TypeError), open_whole(place) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert place.read_text() == "old"
    assert names(own_folder) == ["page.html"]
