"""The pictures in README and lessons, taken of real runs in a real browser.

    python benchmarks/screenshots.py --board runs/abc/version_0
    python benchmarks/screenshots.py --inspect inspect runs/dinos/version_0 tyrannosaurus
    python benchmarks/screenshots.py --gate lesson-gates runs/shakespeare/version_0 "traveller you"

The board is started and the inspector's page written on the way. Chromium and chromedriver are needed with ``.[dev]``.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.ui import WebDriverWait

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
LARGEST = 80_000
"""Bytes of a picture."""

SEEN = {
    "text": ("text", "tf-text-loader"),
    "sound": ("audio", "audio"),
    "pictures": ("images&tagFilter=^samples/", "img"),
    "inside": ("images&tagFilter=^inside/", "img"),
}
"""By the name of the picture, the part of the board and what is in it once it has loaded."""

EVERYWHERE = """
const found = [];
const walk = root => root.querySelectorAll("*").forEach(e => {
    if (e.matches(arguments[0])) found.push(e);
    if (e.shadowRoot) walk(e.shadowRoot);
});
walk(document);
return found.length > 0 && found.every(e => e.localName != "img" || e.naturalWidth > 0);
"""


ASIDE = 300, 64
"""Pixels of the board's list of runs, and of its tabs."""

UPDATE_BY_SPACE = """
Array.from(document.querySelectorAll("#gate-tabs button")).find(tab => tab.textContent == "update").click();
const sort = document.getElementById("sort");
sort.value = Array.from(sort.options).find(option => option.textContent == "space").value;
sort.dispatchEvent(new Event("change"));
document.getElementById("gates").scrollIntoView();
"""


def main() -> None:
    """Take those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", metavar="RUN", help="each of its tabs")
    for part, what in (("inspect", "the page, from its top"), ("gate", "the update gate on it, sorted by spaces")):
        parser.add_argument(f"--{part}", nargs=3, metavar=("NAME", "RUN", "TEXT"), help=what)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser() as chrome:
        if arguments.board:
            take_board(chrome, arguments.board)
        if arguments.inspect:
            take_page(chrome, *arguments.inspect)
        if arguments.gate:
            take_page(chrome, *arguments.gate, UPDATE_BY_SPACE)


def take_board(chrome: Chrome, run: str) -> None:
    """A picture a tab."""
    with board(run) as address:
        for name, (tab, element) in SEEN.items():
            chrome.get("about:blank")  # the address of a tab differs from another's in its fragment alone
            chrome.get(f"{address}#{tab}")
            WebDriverWait(chrome, 60).until(lambda page, e=element: page.execute_script(EVERYWHERE, e))
            take(chrome, f"board_{name}", ASIDE)


def take_page(chrome: Chrome, name: str, run: str, text: str, first: str = "") -> None:
    """The inspector's page, after a script has changed what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "inspect.html"
        lightseq = [sys.executable, "-m", "lightseq", "inspect", run]
        subprocess.run([*lightseq, "--text", text, "--html", str(page)], check=True, stdout=sys.stderr)
        chrome.get(page.as_uri())
        chrome.execute_script(first)
        take(chrome, name)


@contextmanager
def browser() -> Iterator[Chrome]:
    """Without a window, with a profile of its own."""
    programs = map(shutil.which, ("google-chrome", "chromium", "chromium-browser"))
    driver = shutil.which("chromedriver")
    program = next(filter(None, programs), None)
    if program is None or driver is None:
        sys.exit("chromium and chromedriver are needed")
    options = ChromeOptions()
    options.binary_location = program
    with tempfile.TemporaryDirectory() as profile:
        for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "hide-scrollbars"):
            options.add_argument(f"--{option}")
        options.add_argument(f"--user-data-dir={profile}")
        options.add_argument("--window-size=1200,960")
        with Chrome(options=options, service=ChromeService(driver)) as chrome:
            yield chrome


@contextmanager
def board(run: str) -> Iterator[str]:
    """The address of a board on a run."""
    command = [sys.executable, "-m", "lightseq", "board", run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next((word for word in process.stdout.readline().split() if word.startswith("http")), None)
        if address is None:
            sys.exit(process.wait())
        yield address
        process.terminate()


def take(chrome: Chrome, name: str, aside: tuple[int, int] = (0, 0)) -> None:
    """Save what the browser shows, less some pixels at the left and the top, in as many colours as the size allows."""
    chrome.execute_async_script("setTimeout(arguments[0], 1500)")  # for what fades in
    shot = Image.open(BytesIO(chrome.get_screenshot_as_png())).convert("RGB")
    shot = shot.crop((*aside, *shot.size))
    for colours in (128, 64, 32, 16):
        packed = BytesIO()
        shot.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            packed, "png", optimize=True
        )
        if packed.tell() <= LARGEST:
            break
    path = FOLDER / f"{name}.png"
    path.write_bytes(packed.getvalue())
    print(f"{path.relative_to(FOLDER.parents[1])}: {packed.tell() / 1000:.0f} kB, {colours} colours")


if __name__ == "__main__":
    main()
