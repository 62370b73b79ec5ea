"""A real browser, without a window, that reports every request it makes.

Where selenium, chromium or chromedriver is missing, the tests skip; with ``LIGHTSEQ_BROWSER=required`` they fail.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # which a container has no room for
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1280,1000",
)


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests, with a profile of its own."""
    program = next(filter(None, map(shutil.which, ("google-chrome", "chromium", "chromium-browser"))), None)
    driver = shutil.which("chromedriver")
    missing = [name for name, found in (("chromium", program), ("chromedriver", driver)) if found is None]
    missing += ["selenium"] * (find_spec("selenium") is None)
    if missing and os.environ.get("LIGHTSEQ_BROWSER") == "required":
        pytest.fail(f"no {', '.join(missing)}, and LIGHTSEQ_BROWSER says required")
    if missing:
        pytest.skip(f"no {', '.join(missing)}: nothing is seen in a real browser")

    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(program)
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with Chrome(options=options, service=ChromeService(str(driver))) as browser:
        browser.set_page_load_timeout(30)
        browser.set_script_timeout(30)
        yield browser


@pytest.fixture
def browser(chrome: Chrome) -> Iterator[Chrome]:
    """The browser on an empty page, with nothing in its log; ``browser.get(path.as_uri())`` opens a file."""
    _begin_afresh(chrome)
    yield chrome
    _begin_afresh(chrome)  # a page that is left open goes on asking a server that is gone


@pytest.fixture
def requested(browser: Chrome) -> Callable[[], list[str]]:
    """Asked, the addresses of all that the browser has requested since it was last asked: the page itself first.
    Addresses without a server (``data:``, ``blob:``) are left out, a file's is not."""

    def addresses() -> list[str]:
        entries = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
        sent = (e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent")
        return [address for address in sent if not address.startswith(("data:", "blob:", "chrome:"))]

    return addresses


@pytest.fixture
def complaints(browser: Chrome) -> Callable[[], list[str]]:
    """Asked, the errors in the browser's console since it was last asked: of scripts, and of what was not found."""

    def errors() -> list[str]:
        return [str(entry["message"]) for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]

    return errors


def _begin_afresh(chrome: Chrome) -> None:
    chrome.get("about:blank")
    for kind in ("performance", "browser"):
        chrome.get_log(kind)
