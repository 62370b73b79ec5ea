"""``lightseq board``: TensorBoard on this machine alone, with every sample kept."""

import contextlib
import io
import os
import signal
import tempfile
import time
import webbrowser
from argparse import ArgumentTypeError
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UserError
from . import Parser
from .places import RUNS, has_events, nearest_run

KEEP = dict.fromkeys(("text", "images", "audio"), 1_000_000)
"""Of a tag, by the kind of its data; left alone TensorBoard keeps ten pictures and ten sounds, drawn at random. Of 0,
which should be all of them, it shows none."""

RELOAD_SECONDS = 2.0
"""How often the event files are looked at again. The page asks for it when its reload button is pressed."""


def run(verb: str, words: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM: this is how a board ends, and no failure.

    Raises:
        UserError: A path without runs, or a port that is taken.
    """
    arguments = _parser(verb).parse_args(words)
    folders = [event_folder(place) for place in arguments.runs or [RUNS]]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="lightseq-board-") as root:
            link(folders, Path(root))
            address = serve(root, arguments.port)
            print(f"TensorBoard at {address} (Ctrl-C stops it)", flush=True)
            if arguments.open:
                webbrowser.open(address)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def event_folder(place: str) -> Path:
    """A folder with TensorBoard's events in it, or in folders below it.

    Raises:
        UserError: No such folder, or no events.
    """
    path = Path(place)
    if not os.path.isdir(path):
        raise UserError(f"no folder {place!r}{nearest_run(place)}")
    if not has_events(path):
        raise UserError(f"no TensorBoard events in {place!r} or below{nearest_run(place)}")
    return path


def link(folders: Iterable[Path], root: Path) -> None:
    """Links to the folders, each under the path that names it from here, so that TensorBoard calls the runs by the
    names that every other verb takes. TensorBoard's own way to name several loads slowly, and not every kind of data.

    Raises:
        UserError: The system makes no such link.
    """
    paths = dict.fromkeys(Path(os.path.abspath(folder)) for folder in folders)
    for path in paths:
        if any(other in path.parents for other in paths):
            continue  # it is seen within the other, and a link must not be made inside that one
        name = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.relative_to(path.anchor)
        name = name if name.parts else Path(path.name)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            (root / name).symlink_to(path, target_is_directory=True)
        except OSError as error:  # Windows lets administrators make links, and its developer mode
            raise UserError(f"no link to {path} can be made in {root}: {error.strerror}") from error


def serve(root: str, port: int | None) -> str:
    """Start TensorBoard on the loopback address, in threads of this process and a process that ends with this one.

    Args:
        root: The folder to look at.
        port: None is the first free one from 6006 on.

    Returns:
        The address to open.

    Raises:
        UserError: The port is taken, or may not be used.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # it advertises how it loads
        from tensorboard import default, program  # type: ignore[import-untyped]

        # the projector opens the files that a text in a run folder names
        plugins = [plugin for plugin in default.get_plugins() if "projector" not in getattr(plugin, "__module__", "")]
        board = program.TensorBoard(plugins=plugins)
        board.configure(
            argv=("lightseq",),
            logdir=root,
            host="127.0.0.1",
            port=port,
            samples_per_plugin=KEEP,
            reload_interval=RELOAD_SECONDS,
            window_title="lightseq",
        )
        try:
            return str(board.launch())
        except program.TensorBoardServerException as error:
            raise UserError(f"{error.msg}; without --port a free one is chosen") from None


def _parser(verb: str) -> Parser:
    parser = Parser(verb, "Look at runs while they train and after: TensorBoard, on this machine alone.")
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help=f"run folders, or folders with runs below them; default {RUNS}"
    )
    parser.add_argument("--port", type=_port, metavar="N", help="default: the first free one from 6006 on")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ArgumentTypeError(f"a number between 1 and 65535, not {text!r:.80}")
    return int(text)
