"""The board in a real browser: a model that has learnt to write markup, its samples, pictures and sounds."""

from __future__ import annotations

import array
import json
import math
import socket
import subprocess
import sys
import urllib.request
import wave
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightseq import cli

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.filterwarnings("ignore:.*by heart")  # as it should here

TEXTS = (
    '<img src="http://127.0.0.1:PORT/a" onerror="alert(1)"> <em>&amp;</em>',
    "![x](http://127.0.0.1:PORT/b) **bold** [link](javascript:alert`2`)",
    "X:1\nT:One *and* two\n\n    K:D\n|:A2B c_d_e|~~~~\n~~~ d4:|\n",
)
PROMPTS = ["<img", "![", "X:"]
TEMPERATURES = [0.0, 0.5, 1.0]

DATASET = """
import numpy as np
from lightseq.data import TextDataset
from lightseq.types import Document, Rendering

class Tricky(TextDataset):
    '''Lines that a page must not obey.'''
    prompts = {prompts}

    def documents(self):
        for text in {texts}:
            yield from [Document(text, split=split) for split in ["train"] * 32 + ["val", "test"]]

    def render(self, text):
        picture = np.zeros((24, 40, 3), dtype=np.uint8)
        picture[:, :, 0] = np.linspace(0, 255, 40)
        tone = 0.5 * np.sin(2 * np.pi * 440 / 8000 * np.arange(4000))
        return Rendering(image=picture, audio=tone.astype(np.float32), sample_rate=8000)
"""

FIT = f"""
data: {{batch_size: 24, window: 128}}
model: {{hidden_size: 64, embedding_size: 32, learning_rate: 0.02, schedule: linear}}
trainer: {{max_steps: 200, check_val_every_n_epoch: 25, accelerator: cpu, enable_progress_bar: false}}
sampling: {{temperatures: {TEMPERATURES}, every_n_steps: 100, length: 120}}
"""

EVERYWHERE = """
const found = [];
const walk = root => root.querySelectorAll("*").forEach(e => {
    if (e.matches(arguments[0])) found.push(e);
    if (e.shadowRoot) walk(e.shadowRoot);
});
walk(document);
"""
"""All elements of a selector, those in the components of TensorBoard's page too, which no plain selector reaches."""

TEXT_CARDS = f"""
{EVERYWHERE}
return found.map(card => {{
    const views = [...card.shadowRoot.querySelectorAll("tf-markdown-view")].map(view => view.shadowRoot);
    const all = selector => views.flatMap(view => [...view.querySelectorAll(selector)]);
    return {{
        tag: card.tag,
        texts: all("pre").map(pre => pre.textContent),
        unseen: all("pre").filter(pre => !pre.clientHeight || getComputedStyle(pre).whiteSpace != "pre"),
        obeyed: all("img, a, strong, em, script, iframe").map(e => e.outerHTML),
    }};
}});
"""
"""Of each card its tag, every block of text in it, those blocks that are not seen line by line, and what elements a
sample's markup could have made."""

PLAY = """
const done = arguments[arguments.length - 1], audio = arguments[0];
audio.ontimeupdate = () => { if (audio.currentTime > 0) { audio.pause(); done(audio.duration); } };
audio.play().catch(error => done(String(error)));
"""


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """What the samples' markup would reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def trained(chrome: Chrome, listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model that knows its few lines by heart."""
    folder = tmp_path_factory.mktemp("trained")
    texts = [text.replace("PORT", str(listener.getsockname()[1])) for text in TEXTS]
    (folder / "tricky.py").write_text(DATASET.format(prompts=PROMPTS, texts=texts))
    (folder / "fit.yaml").write_text(FIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIGHTSEQ_CACHE", str(folder / "cache"))
        patch.setenv("LIGHTSEQ_PRECISION", "32-true")
        assert cli.main(["fit", "--config", "fit.yaml", "--data.dataset", "./tricky.py:Tricky"]) == 0
    run = folder / "runs" / "Tricky" / "version_0"
    greedy = [sample["text"] for sample in samples(run) if sample["temperature"] == 0]
    assert greedy[-len(texts) :] == texts, "it has not learnt them: what follows would show nothing"
    return run


@pytest.fixture(scope="module")
def board(trained: Path) -> Iterator[str]:
    """The address of a board on that run; it ends when it is told to."""
    command = [sys.executable, "-m", "lightseq", "board", str(trained)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        assert address.startswith("http://127.0.0.1:")
        yield address
        process.terminate()
        assert process.communicate() == ("", "")
        assert process.returncode == 0


def samples(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


def lines(text: str) -> tuple[str, ...]:
    """A text as it is seen: TensorBoard empties a line of spaces, the table has something invisible there."""
    text = text.replace("\N{ZERO WIDTH SPACE}", "").rstrip("\n ")
    return tuple(line if line.strip() else "" for line in text.split("\n"))


def once_seen(browser: Chrome, look: Callable[[Chrome], Any]) -> Any:
    """What a look at the page finds, as soon as it finds something."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(look)


def test_the_samples_are_shown_as_they_are(
    board: str, trained: Path, listener: socket.socket, browser: Chrome, requested: Callable[[], list[str]]
) -> None:
    browser.get(f"{board}#text")
    tags = {f"samples/T={temperature:.2f}/text_summary" for temperature in TEMPERATURES} | {
        "samples/table/text_summary"
    }
    seen = once_seen(
        browser,
        lambda page: (
            (cards := page.execute_script(TEXT_CARDS, "tf-text-loader"))
            and tags <= {card["tag"] for card in cards if card["texts"]}
            and cards
        ),
    )
    for card in seen:
        assert not card["obeyed"]
        assert not card["unseen"]
    texts = {card["tag"]: set(map(lines, card["texts"])) for card in seen}
    for sample in samples(trained):
        assert lines(sample["text"]) in texts[f"samples/T={sample['temperature']:.2f}/text_summary"]
        assert lines(sample["text"]) in texts["samples/table/text_summary"]
    addresses = requested()
    assert f"{board}data/plugin/text/tags" in addresses
    assert [address for address in addresses if not address.startswith(board)] == []
    with pytest.raises(BlockingIOError):  # nobody has come
        listener.accept()


def test_the_clip_is_heard(board: str, browser: Chrome) -> None:
    browser.get(f"{board}#audio&tagFilter=^samples/")
    clip = once_seen(browser, lambda page: page.execute_script(f"{EVERYWHERE} return found[0]", "audio"))
    assert browser.execute_async_script(PLAY, clip) == pytest.approx(0.5)
    with urllib.request.urlopen(clip.get_attribute("src")) as answer, wave.open(BytesIO(answer.read())) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8000)
        values = array.array("h", sound.readframes(sound.getnframes()))
    assert math.sqrt(sum(v * v for v in values) / len(values)) / 32767 == pytest.approx(0.5 / math.sqrt(2), rel=0.02)


def test_the_picture_is_seen(board: str, browser: Chrome) -> None:
    browser.get(f"{board}#images&tagFilter=^samples/")  # what is not of the first kind is folded away
    look = f"{EVERYWHERE} return found.filter(e => e.naturalWidth).map(e => [e.naturalWidth, e.naturalHeight])[0]"
    size = once_seen(browser, lambda page: page.execute_script(look, "img"))
    assert size == [40, 24]
