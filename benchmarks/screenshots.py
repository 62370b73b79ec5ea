"""The README's pictures, taken of a real run in a real browser: python benchmarks/screenshots.py RUN [--text TEXT].

It starts the board by itself and writes the inspector's page. It needs chromium and chromedriver beside ``.[dev]``.
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


def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--text", default="X:1\nT:The Traveller\nM:6/8\nL:1/8\nK:D Major\n", help="what is inspected")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser() as chrome:
        with board(arguments.run) as address:
            for name, (tab, element) in SEEN.items():
                chrome.get("about:blank")  # the address of a tab differs from another's in its fragment alone
                chrome.get(f"{address}#{tab}")
                WebDriverWait(chrome, 60).until(lambda page, e=element: page.execute_script(EVERYWHERE, e))
                take(chrome, f"board_{name}")
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "inspect.html"
            lightseq = [sys.executable, "-m", "lightseq", "inspect", arguments.run]
            subprocess.run([*lightseq, "--text", arguments.text, "--html", str(page)], check=True, stdout=sys.stderr)
            chrome.get(page.as_uri())
            take(chrome, "inspect")


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


def take(chrome: Chrome, name: str) -> None:
    """Save what the browser shows, in as many colours as the size allows."""
    chrome.execute_async_script("setTimeout(arguments[0], 1500)")  # for what fades in
    shot = Image.open(BytesIO(chrome.get_screenshot_as_png())).convert("RGB")
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
