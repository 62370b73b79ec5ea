"""The page of ``lightseq inspect --html`` in a real browser, opened from the disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lightseq.commands.inspect_page import write_page
from lightseq.inspection import inspect, shown, soften
from lightseq.model import SequenceModel, build_model
from lightseq.vocabulary import Vocabulary

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

HOSTILE = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "![x](http://127.0.0.1:9/)", "&lt;"]
TOKENS = ["", *"abcde", "\n", " ", *HOSTILE]
TEXT = "cab\n" + "".join(HOSTILE) + " ace\nbed"
STEPS = 17
"""Those of the text: its tokens, of which four are long, and the boundary before them."""

Ask = Callable[[], list[str]]


def model_of(labels: list[str] | None = None) -> SequenceModel:
    torch.manual_seed(0)
    model = build_model(
        vocabulary=TOKENS,
        labels=labels,
        backbone="lstm",
        backbone_args=None,
        embedding_size=4,
        hidden_size=9,
        num_layers=2,
        dropout=0.0,
        tie_head=False,
    )
    torch.nn.init.normal_(model.head.weight, std=2)
    return model


class Page:
    """The page in the browser, and what the model said."""

    def __init__(self, browser: Chrome, folder: Path, text: str, labels: list[str] | None = None) -> None:
        self.browser = browser
        vocabulary, model = Vocabulary(TOKENS), model_of(labels)
        ids = vocabulary.encode(text)
        self.seen = inspect(model, vocabulary, ids, labels, labels and [1])
        self.path = folder / "page.html"
        write_page(self.path, "run <b>x</b>", self.seen, model.backbone, [0.5, 3.0], 4, [1, 2])
        browser.get(self.path.as_uri())

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.find(selector).text)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def column(self, place: int) -> dict[int, str]:
        """A column of the candidates, by output."""
        rows = self.js(
            "return Array.from(document.querySelectorAll('#candidates tr[data-output]'),"
            "(row) => [Number(row.dataset.output), row.children[arguments[0]].textContent])",
            place,
        )
        return {output: str(text).replace("\N{MINUS SIGN}", "-") for output, text in rows}

    def chances(self) -> dict[int, float]:
        """What the candidates have at the temperature of the moment, by output."""
        return {output: float(text.removesuffix(" %").strip("< ")) / 100 for output, text in self.column(3).items()}

    def choose(self, selector: str, value: str) -> None:
        self.js(
            "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event(s.tagName === 'SELECT' ? 'change' : 'input'))",
            selector,
            value,
        )


@pytest.fixture
def page(browser: Chrome, tmp_path: Path) -> Page:
    return Page(browser, tmp_path, TEXT)


def test_nothing_is_fetched_and_what_looks_like_markup_is_text(page: Page, requested: Ask, complaints: Ask) -> None:
    assert requested() == [page.path.as_uri()]
    assert complaints() == []
    text = page.js("return document.getElementById('text').textContent")
    assert "".join(map(shown, HOSTILE)) in text
    assert page.all("img") == page.all("a") == page.all("b[onclick]") == []
    assert len(page.all("script")) == 2
    assert page.text("#title").startswith("run <b>x</b>")
    smuggled = "<img src='http://127.0.0.1:9/x' onerror='document.title = 1'>"
    page.js("document.body.insertAdjacentHTML('beforeend', arguments[0])", smuggled)
    assert page.js("return document.title") == "inspect: run <b>x</b>"
    forbidden = complaints()
    assert len(forbidden) == 2  # the picture was not loaded, and the handler not run
    assert all("Content Security Policy" in complaint for complaint in forbidden)


def test_a_character_and_the_keyboard_choose_the_time_step(page: Page) -> None:
    assert page.text("#now").startswith("step 0: read ■, then came c")
    page.all("#text span")[3].click()  # b, which time step 2 predicts
    bits = float(page.seen.nats[2]) / math.log(2)
    assert page.text("#now") == f"step 2: read a, then came b · {bits:.2f} bits"
    assert page.text("#text .read") == "a"
    assert page.text("#text .next") == "b"
    assert page.text("#candidates tr.true td").startswith("b")
    body = page.find("body")
    for key, step in (("\ue014", 3), ("\ue014", 4), ("\ue012", 3), ("\ue011", 0), ("\ue012", 0), ("\ue010", STEPS - 1)):
        body.send_keys(key)
        assert page.text("#now").startswith(f"step {step}: ")
    page.click("#previous")
    page.click("#previous")
    page.click("#following")
    assert page.text("#now").startswith("step 15: ")
    columns = {element.value_of_css_property("left") for element in page.all(".column")}
    assert len(columns) == 1  # one mark at the same place in every picture


def test_the_slider_divides_the_logits(page: Page) -> None:
    page.click("#all")
    for temperature in (1.0, 0.5, 1.7, 0.0):
        page.choose("#temperature", str(temperature))
        assert page.text("#temperature-now") == f"{temperature:.2f}"
        expected = soften(page.seen.logits[0], temperature).tolist()
        assert page.chances() == pytest.approx(dict(enumerate(expected)), abs=6e-5)
    page.all("#presets button")[-2].click()
    assert page.text("#temperature-now") == "3.00"
    assert page.chances() == pytest.approx(dict(enumerate(soften(page.seen.logits[0], 3.0).tolist())), abs=6e-5)
    logits = {output: float(text) for output, text in page.column(1).items()}
    assert logits == pytest.approx(dict(enumerate(page.seen.logits[0].tolist())), abs=6e-4)
    assert list(logits.values()) == sorted(logits.values(), reverse=True)


def test_draws_follow_the_distribution_that_is_shown(page: Page) -> None:
    page.click("#all")
    page.choose("#temperature", "1.5")
    for _ in range(40):
        page.js("document.getElementById('draw-100').click()")
    counts = {output: int(text.split()[0]) for output, text in page.column(5).items()}
    assert sum(counts.values()) == 4000
    for output, chance in enumerate(soften(page.seen.logits[0], 1.5).tolist()):
        assert abs(counts[output] / 4000 - chance) < 5 * math.sqrt(chance * (1 - chance) / 4000) + 1e-3
    page.choose("#temperature", "0")
    page.click("#draw-1")
    assert page.text("#drawn") == f"drew {shown(TOKENS[int(page.seen.logits[0].argmax())])}"


def test_the_loss_is_that_of_the_model(page: Page) -> None:
    total, mean = page.seen.total, page.seen.mean
    assert [element.text for element in page.all("#sums dd")] == [
        f"{STEPS} of {STEPS}",
        f"{total:.4f} nats = {total / math.log(2):.4f} bits",
        f"{mean:.4f} nats = {mean / math.log(2):.4f} bits",
    ]
    heights = [float(bar.get_attribute("height")) for bar in page.all("#loss rect.cost")]
    costs = page.seen.nats.tolist()
    assert [h / max(heights) for h in heights] == pytest.approx([c / max(costs) for c in costs], abs=1e-6)


def test_a_value_is_read_by_pointing_at_it(page: Page) -> None:
    page.js("document.querySelector('#gate-tabs button:nth-child(2)').click()")
    page.choose("#layer", "1")
    assert page.text("#equation").startswith("f = sigmoid")
    page.js(
        "const c = document.getElementById('cells'), b = c.getBoundingClientRect();"
        "c.dispatchEvent(new MouseEvent('mousemove', {bubbles: true,"
        "clientX: b.left + b.width * 4.5 / 17, clientY: b.top + b.height * 6.5 / 9}))"
    )
    value = float(page.seen.trace["forget"][4, 1, 6])
    assert page.text("#readout") == f"unit 6, time step 4, after “⏎”: {value:.4f}"


def test_units_are_sorted_by_what_they_follow(page: Page) -> None:
    page.js("document.querySelector('#gate-tabs button:nth-child(5)').click()")  # cell
    values = page.seen.trace["cell"][:, 0].double()
    line_ends = torch.tensor([float("\n" in token) for token in page.seen.tokens], dtype=torch.float64)
    page.choose("#sort", "line break")
    related = torch.corrcoef(torch.cat([values.T, line_ends[None]]))[-1, :-1]
    first = related.abs().argsort(descending=True).tolist()
    shown = [button.text.replace("\N{MINUS SIGN}", "-") for button in page.all("#ranking button")]
    assert shown == [f"unit {unit}: {float(related[unit]):.2f}" for unit in first[:8]]
    assert page.js("return now.order") == first
    assert page.text("#curve-title") == f"cell of unit {first[0]} over the text"
    page.all("#ranking button")[3].click()
    assert page.text("#curve-title") == f"cell of unit {first[3]} over the text"
    page.choose("#sort", "#mean")
    assert page.js("return now.order") == values.mean(0).argsort(descending=True).tolist()
    page.choose("#sort", "#variance")
    assert page.js("return now.order") == values.var(0).argsort(descending=True).tolist()
    page.choose("#sort", "")
    assert page.js("return now.order") == list(range(9))


def test_the_cells_have_the_colours_of_their_values(page: Page) -> None:
    pixels = page.js(
        "const c = document.getElementById('cells');"
        "return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
    blue = torch.tensor(pixels).view(9, STEPS, 4)[..., 2].double()  # white holds most of it, orange least
    values = page.seen.trace["input"][:, 0].T.double()
    assert float(torch.corrcoef(torch.stack([blue.flatten(), values.flatten()]))[0, 1]) < -0.999


def test_a_few_large_values_do_not_leave_the_others_pale(page: Page) -> None:
    page.js("data.gates[4].values[7] = 40; now.gate = 4; showGates()")
    sizes = page.seen.trace["cell"].abs().flatten()
    sizes[7] = 40
    high = float(sizes.sort().values[int(0.99 * (len(sizes) - 1))])
    assert page.text("#heat-high") == f"{high:.2f} and above"
    assert page.text("#heat-low") == f"\N{MINUS SIGN}{high:.2f} and below"


def test_a_label_is_read_off_and_not_drawn(browser: Chrome, tmp_path: Path, complaints: Ask) -> None:
    page = Page(browser, tmp_path, "cab", ["some", "none", "<i>"])
    assert page.text("#now").startswith("step 3: read b, true label none")
    assert not page.find("#controls").is_displayed()
    assert not page.find("#drawing").is_displayed()
    assert page.find("#shares").is_displayed()
    assert len(page.all("#shares polygon")) == 3
    assert [key.text for key in page.all("#shares-legend > span")] == ["some", "none", "<i>"]
    assert page.text("#candidates tr.true td:nth-child(3)") == f"{100 * math.exp(-page.seen.total):.2f} %"
    assert page.text("#sums dd") == "1 of 4"
    assert complaints() == []


def test_it_fits_a_phone_and_the_dark(page: Page, complaints: Ask) -> None:
    light = page.find("body").value_of_css_property("background-color")
    emulate = page.browser.execute_cdp_cmd
    emulate("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 700, "deviceScaleFactor": 2, "mobile": True})
    emulate("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    try:
        page.browser.refresh()
        assert page.js("return document.documentElement.scrollWidth") <= 360
        assert page.find("body").value_of_css_property("background-color") != light
        assert complaints() == []
    finally:
        emulate("Emulation.clearDeviceMetricsOverride", {})
        emulate("Emulation.setEmulatedMedia", {"features": []})
