"""The real downloading, from a server on this machine."""

import socket
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest
from injection.disks import fill
from injection.files import small_disk

from lightseq.data import fetch
from lightseq.data.cache import cache_folder
from lightseq.errors import UserError

CONTENT = b"to be, or not to be\n" * 1000
DIGEST = sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Counts what it is asked for."""

    asked = 0


class Handler(BaseHTTPRequestHandler):
    """The text; one cut short; one that is not there."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += 1
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if "short" in self.path else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("LIGHTSEQ_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: Server, page: str = "text") -> str:
    return f"http://127.0.0.1:{server.server_port}/{page}"


def left() -> list[str]:
    return sorted(path.name for path in (cache_folder() / "data").iterdir() if path.suffix != ".lock")


def test_downloaded_once(server: Server) -> None:
    path = fetch("text.txt", url(server), DIGEST)
    assert path == cache_folder() / "data" / "text.txt"
    assert path.read_bytes() == CONTENT
    assert fetch("text.txt", url(server), DIGEST) == path
    assert (server.asked, left()) == (1, ["text.txt"])


def test_into_the_users_own_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_DATA", str(tmp_path))
    assert fetch("text.txt", url(server), DIGEST) == tmp_path / "text.txt"
    assert left() == []


def test_a_folder_that_takes_no_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_DATA", str(tmp_path / "nowhere"))
    assert fetch("text.txt", url(server), DIGEST) == cache_folder() / "data" / "text.txt"
    assert not (tmp_path / "nowhere").exists()


def test_what_the_user_put_there_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_bytes(CONTENT)
    monkeypatch.setenv("LIGHTSEQ_DATA", str(tmp_path))
    assert fetch("text.txt", "http://127.0.0.1:1/", DIGEST) == tmp_path / "text.txt"
    assert not cache_folder().exists()


def test_a_file_of_the_users_that_is_another_is_refused_and_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_bytes(b"my own")
    monkeypatch.setenv("LIGHTSEQ_DATA", str(tmp_path))
    with pytest.raises(UserError, match=rf"text\.txt is another file than http.* not {DIGEST}\. Move it"):
        fetch("text.txt", url(server), DIGEST)
    assert (tmp_path / "text.txt").read_bytes() == b"my own"
    assert server.asked == 0


def test_another_content_than_was_meant_is_kept_aside(server: Server) -> None:
    with pytest.raises(UserError, match=rf"gave another file .* {DIGEST}, not {'0' * 64}\. It is kept as .*\.refused"):
        fetch("text.txt", url(server), "0" * 64)
    assert left() == ["text.txt.refused"]
    assert (cache_folder() / "data" / "text.txt.refused").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_downloaded_again(server: Server) -> None:
    path = fetch("text.txt", url(server), DIGEST)
    path.write_bytes(b"damaged")
    assert fetch("text.txt", url(server), DIGEST).read_bytes() == CONTENT
    assert server.asked == 2


def test_a_full_disk_is_named_and_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        if not disk:
            pytest.skip("nothing can be mounted here")
        fill(tmp_path / "disk")
        monkeypatch.setenv("LIGHTSEQ_DATA", str(tmp_path / "disk"))
        with pytest.raises(UserError, match=r"text\.txt .* cannot be downloaded \(No space left on device\)"):
            fetch("text.txt", url(server), DIGEST)
        assert [path.name for path in (tmp_path / "disk").iterdir()] == ["filling"]


@pytest.mark.parametrize("page", ["short", "missing"])
def test_a_download_that_breaks_off_leaves_nothing(server: Server, page: str) -> None:
    with pytest.raises(UserError, match=r"text\.txt is not here and cannot be downloaded"):
        fetch("text.txt", url(server, page), DIGEST)
    assert left() == []


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTSEQ_DATA", raising=False)
    with pytest.raises(UserError) as caught:
        fetch("text.txt", "http://127.0.0.1:1/text", DIGEST)
    told = str(caught.value)
    for word in ("http://127.0.0.1:1/text", DIGEST, str(cache_folder() / "data" / "text.txt"), "dataset_args.path"):
        assert word in told
    assert left() == []


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("lightseq.data.fetch"), "TIMEOUT", 0.2)
    monkeypatch.delenv("LIGHTSEQ_DATA", raising=False)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(UserError, match=r"cannot be downloaded \(ReadTimeout\)"):
        fetch("text.txt", f"http://127.0.0.1:{silent.getsockname()[1]}/", DIGEST)
    assert left() == []


def test_two_at_once_download_once(server: Server) -> None:
    threads = [threading.Thread(target=fetch, args=("text.txt", url(server), DIGEST)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (server.asked, left()) == (1, ["text.txt"])


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTSEQ_DATA", raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEQ_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cache folder .* cannot be used .* LIGHTSEQ_CACHE names another"):
        fetch("text.txt", "http://127.0.0.1:1/", DIGEST)
