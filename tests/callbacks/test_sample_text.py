"""Samples while a model trains: in the terminal, the files and the board."""

import io
import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks import sample_terminal
from lightseq.callbacks.sample_text import SampleText
from lightseq.callbacks.showing import Showing
from PIL import Image
from pytorch_lightning.loggers import CSVLogger
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.data import SequenceData
from lightseq.errors import UserError
from lightseq.sampling import Sample
from lightseq.system import SequenceSystem

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/bells/version_0")
KEPT = {"tensors": 0, "images": 0, "audio": 0, "scalars": 0}


def showing(*texts: str, prompt: str = "", notes: tuple[str, ...] = ()) -> Showing:
    samples = [Sample(prompt, 0.8, number, text, ended=True) for number, text in enumerate(texts)]
    return Showing(7, 0, [0.8], len(texts), samples, [notes for _ in texts], [])


def test_pictures_and_sounds_are_by_temperature_and_prompt(run: Run, bells: str) -> None:
    status, _, err = run(f"fit --config {bells} --sampling.temperatures [0.0,0.5,1.0,2.0] --sampling.n 2")
    assert status == 0, err
    board = EventAccumulator(str(FOLDER), KEPT).Reload()
    tags = [f"samples/T={t}/prompt_{p}" for p, t in [(1, "0.00"), (1, "0.50"), (1, "1.00"), (1, "2.00")]]
    tags += ["samples/T=0.00/prompt_2", "samples/T=0.50/prompt_2"]  # six at the most
    lines = [json.loads(line) for line in (FOLDER / "samples.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["step"] == 4]
    for kind in ("images", "audio"):
        ends = "/sound" if kind == "audio" else ""  # a tag holds one kind of thing
        assert {tag for tag in board.Tags()[kind] if tag.startswith("samples/")} == {f"{tag}{ends}" for tag in tags}
    for tag in tags:
        prompt, heat = ("", "ab")[int(tag[-1]) - 1], float(tag[10:14])
        (text,) = [s["text"] for s in last if (s["prompt"], s["temperature"], s["number"]) == (prompt, heat, 0)]
        picture = board.Images(tag)[-1]
        assert picture.step == 4
        pixels = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
        assert pixels.shape == (3, 4, 3)
        assert (pixels == len(text)).all()
        with wave.open(io.BytesIO(board.Audio(f"{tag}/sound")[-1].encoded_audio_string)) as sound:
            assert (sound.getframerate(), sound.getnframes(), sound.getsampwidth()) == (8000, 80, 2)
            frames = np.frombuffer(sound.readframes(80), "<i2") / 32767
        assert np.allclose(frames, np.sin(np.arange(80) * (1 + len(text))), atol=1e-3)


def test_remarks_and_copies_stand_below_a_sample_and_are_inert(
    run: Run, bells: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightseq.callbacks.text_quality.NOTED", 1)  # however short a copy is
    run(f"fit --config {bells} --trainer.max_steps 2")
    page = (FOLDER / "samples.md").read_text()
    assert page.startswith("## Update 2\n\n### T=1.00\n\n~~~\n")
    assert page.count("- `` <b>loud</b> `ticks` ``\n- `again`\n- `again`\n- `again`\n- `again`\n\n") == 2
    assert "stand in training document" in page or "it is a training document" in page
    board = EventAccumulator(str(FOLDER), KEPT).Reload()
    text = board.Tensors("samples/T=1.00/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert f"### T=1.00\n\n{text}\n" in page


def test_a_showing_at_each_validation_and_none_twice(run: Run, bells: str) -> None:
    words = "--trainer.max_steps 7 --trainer.val_check_interval 3 --sampling.judged 0"
    words += " --trainer.check_val_every_n_epoch null"
    for number, (extra, shown, told) in enumerate(
        [
            ("--sampling.every_n_steps 4", [3, 4, 6, 7], [4, 7]),
            ("--sampling.every_n_steps 3", [3, 6, 7], [3, 6, 7]),
            ("--sampling.every_n_steps 5", [3, 5, 7], [5, 7]),  # that at 6 is too soon
            ("--sampling.every_n_steps 0", [3, 6, 7], [7]),
            ("--sampling.every_n_steps 0 --sampling.at_validation false", [7], [7]),
        ]
    ):
        _, out, err = run(f"fit --config {bells} {words} {extra}")
        lines = Path(f"runs/bells/version_{number}/samples.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines[::2]] == shown, err
        assert [int(line.split()[1][:-1]) for line in out.splitlines() if line.endswith(", samples:")] == told
        board = EventAccumulator(f"runs/bells/version_{number}", KEPT).Reload()
        assert [event.step for event in board.Tensors("samples/table/text_summary")] == shown


def test_the_page_has_the_newest_last(run: Run, bells: str) -> None:
    run(f"fit --config {bells}")
    headings = [line for line in (FOLDER / "samples.md").read_text().splitlines() if line.startswith("## ")]
    assert headings == ["## Update 2", "## Update 4"]


@pytest.mark.parametrize("dataset", ["bells", "stream"])
def test_training_ends_in_the_same_weights_however_often_it_is_looked_at(
    run: Run, bells: str, alphabet: str, dataset: str
) -> None:
    words = "--model.dropout 0.4 --model.num_layers 2 --trainer.max_steps 6 --data.window 8 --sampling.n 2"
    if dataset == "stream":
        words += f" --data.dataset {alphabet} --data.batch_size 8"
    often = "--sampling.every_n_steps 1 --trainer.val_check_interval 3"
    never = "--sampling.every_n_steps 0 --sampling.judged 0 --sampling.at_validation false"
    states = []
    for extra in (often, f"{never} --trainer.val_check_interval 3", f"{never} --trainer.num_sanity_val_steps 0"):
        status, _, err = run(f"fit --config {bells} {words} {extra}")
        assert status == 0, err
        folder = Path("runs", alphabet if dataset == "stream" else "bells", f"version_{len(states)}")
        content = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
        states.append({**content["state_dict"], **content["optimizer_states"][0]["state"][0]})
    for other in states[1:]:
        assert all(torch.equal(states[0][name], other[name]) for name in other)


def test_plain_output_is_a_block_that_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sample_terminal.show(showing("x" * 300, "T:a\nM:6/8\n\n|abc|", prompt="T:\n"))
    assert capsys.readouterr().out == (
        f"update 7, samples:\n  T=0.80 'T:\\n': {'x' * 300}\n  T=0.80 'T:\\n':\n      T:a\n      M:6/8\n\n      |abc|\n"
    )


@pytest.mark.parametrize("text", ["a\x1b[31mb" + "c" * 90, "T:a\n[bold]M:6/8[/]\n\x1b[31mabc" + "d" * 90])
def test_a_terminal_shows_every_character_as_it_is(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=40, color_system=None)
    monkeypatch.setattr(sample_terminal.rich, "get_console", lambda: console)
    sample_terminal.show(showing(text))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[31m" not in shown
    letters = "".join(c for c in shown if c.isalpha() or c in "[]/:\n")
    folded = "".join(letters.split("\n")[2:]) if "\n" in text else letters.replace("\n", "")
    assert text.replace("\x1b", "").replace("\n", "").replace("31", "").replace("6/8", "/") in folded


def test_a_second_training_begins_anew(alphabet: str, own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With other data, and no folder to write to."""
    sampling = SampleText(temperatures=[1.0], prompts=["ab"], length=9)
    for data, logger in ((SequenceData("dinos"), CSVLogger("logs")), (SequenceData(alphabet), False)):
        system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4)
        quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        quiet |= {"limit_val_batches": 0, "num_sanity_val_steps": 0, "log_every_n_steps": 1, "accelerator": "cpu"}
        trainer = pl.Trainer(**quiet, use_distributed_sampler=False, max_steps=1, logger=logger, callbacks=[sampling])
        trainer.fit(system, data)
        assert capsys.readouterr().out.count("update 1, samples:") == 1
        assert sampling.corpus(data).stream == (data.dataset.layout == "stream")
    (record,) = own_folder.rglob("samples.jsonl")
    assert len(record.read_text().splitlines()) == 1


def test_a_prompt_that_the_model_cannot_read_is_told_before_anything_is_trained(own_folder: Path) -> None:
    data = SequenceData("dinos")
    system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4)
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False, callbacks=[SampleText(prompts=["T!"])]
    )
    with pytest.raises(UserError, match=r"the prompt 'T!' \(sampling.prompts\): character 'T'"):
        trainer.fit(system, data)
