"""Checkpoints and run folders by somebody else: nothing outside them is opened, imported or removed."""

import json
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightseq.checkpoint import UNFINISHED, load_trained, read_checkpoint
from lightseq.checkpoint_format import MAGIC
from lightseq.errors import UserError
from lightseq.signed_config import is_signed, sign

Run = Callable[..., tuple[int, str, str]]

FOLDER = Path("runs/dinos/version_0")
LAST = FOLDER / "checkpoints" / "last.ckpt"
QUIET = "--sampling.every_n_steps 0 --sampling.judged 0 --inside.enabled false"


@pytest.fixture
def stopped(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after two of three updates."""
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "2")
    assert run(f"fit --config {tiny} {QUIET} --last.every_n_steps 1")[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    return FOLDER


def change(file: Path, alter: Callable[[dict[str, Any]], None]) -> None:
    content = torch.load(file, weights_only=True)
    alter(content)
    torch.save(content, file)


def configure(text: str) -> None:
    """Change a run's configuration as somebody else would: other values, and no signature of the user's."""
    file = FOLDER / "config.yaml"
    values = yaml.safe_load(file.read_text())
    for group, settings in yaml.safe_load(text).items():
        values[group].update(settings)
    file.write_text(yaml.safe_dump(values))


def test_hundreds_of_altered_gifts_touch_nothing_else(run: Run, tiny: str, own_folder: Path) -> None:
    assert run(f"fit --config {tiny} {QUIET}")[0] == 0
    FOLDER.rename("honest")
    outside = Path("outside")
    outside.mkdir()
    (outside / "kept.txt").write_text("abc\n")
    (outside / "kept.yaml").write_text("model: {hidden_size: 3}\n")
    (outside / "kept.ckpt").write_bytes(Path("honest/checkpoints/last.ckpt").read_bytes())
    for place in (outside, Path()):
        (place / "planted.py").write_text("raise SystemExit('planted')\n")
    script = Path(__file__).with_name("altered.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, "30"], env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["kept"] == ["kept.ckpt", "kept.txt", "kept.yaml", "planted.py"]
    assert report["trials"] > 300
    assert report["memory"] < 2


def test_resume_removes_no_file_that_a_checkpoint_names(run: Run, stopped: Path) -> None:
    inside, outside = stopped / "checkpoints" / "notes.txt", Path("precious.ckpt")
    inside.write_text("mine")
    outside.write_text("mine")
    named = {str(inside): torch.tensor(9.0), str(outside.absolute()): torch.tensor(8.0)}

    def alter(content: dict[str, Any]) -> None:
        (state,) = (value for key, value in content["callbacks"].items() if key.startswith("ModelCheckpoint"))
        state.update(best_k_models=named, best_model_path=str(outside), kth_best_model_path=str(outside.absolute()))
        state.update(kth_value=torch.tensor(9.0), best_model_score=torch.tensor(8.0))

    change(LAST, alter)
    status, _, err = run(f"fit --resume {stopped}")
    assert (status, err) == (0, "")
    assert inside.read_text() == outside.read_text() == "mine"
    assert len(list(stopped.glob("checkpoints/best-*.ckpt"))) == 1


def test_a_moved_run_keeps_its_best_checkpoint(run: Run, tiny: str) -> None:
    assert run(f"fit --config {tiny} {QUIET}")[0] == 0
    moved = Path("elsewhere/version_7")
    moved.parent.mkdir()
    FOLDER.rename(moved)
    words = "--resume_with_changes true --trainer.max_steps 6"
    assert run(f"fit --resume {moved} {words}")[0] == 0
    assert len(list(moved.glob("checkpoints/best-*.ckpt"))) == 1
    (state,) = (
        value
        for key, value in read_checkpoint(moved / "checkpoints" / "last.ckpt")["callbacks"].items()
        if key.startswith("ModelCheckpoint")
    )
    assert [Path(path).parent for path in state["best_k_models"]] == [moved / "checkpoints"]


NEED_TRUST = {
    "trainer: {callbacks: [{class_path: planted.Planted}]}": "trainer.callbacks planted.Planted",
    "trainer: {logger: planted.Planted}": "trainer.logger planted.Planted",
    "trainer: {default_root_dir: /elsewhere}": "trainer.default_root_dir /elsewhere",
    "checkpoint: {dirpath: /elsewhere}": "checkpoint.dirpath /elsewhere",
    "data: {dataset: text, dataset_args: {path: /etc/hosts}}": "data.dataset_args.path /etc/hosts",
}


@pytest.mark.parametrize("text", NEED_TRUST)
def test_resume_names_what_needs_trust(text: str, run: Run, stopped: Path) -> None:
    Path("planted.py").write_text("raise SystemExit('imported')\n")
    configure(text)
    before = sorted(stopped.rglob("*"))
    for words in (f"fit --resume {stopped}", f"fit --ckpt_path {LAST}", f"fit --ckpt_path {stopped} --print_config"):
        status, out, err = run(words)
        assert (status, out) == (2, "")
        assert f"is not from your own runs, and sets {NEED_TRUST[text]}. Read it, then add --trust" in err
        assert len(err) < 400
    assert sorted(stopped.rglob("*")) == before


def test_scoring_builds_no_class_of_a_run(run: Run, stopped: Path) -> None:
    configure("trainer: {callbacks: [{class_path: planted.Planted}], logger: {class_path: planted.Planted}}")
    assert run(f"validate --ckpt_path {stopped}")[0] == 0
    sign(stopped / "config.yaml")
    assert run(f"validate --ckpt_path {stopped}")[0] == 0


def test_trust_builds_the_classes_of_a_run(run: Run, stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine_here.py").write_text(
        "import pytorch_lightning as pl\nclass Mine(pl.Callback):\n"
        "    def on_train_start(self, trainer, module):\n        print('mine is here')\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    file = stopped / "config.yaml"
    file.write_text(file.read_text().replace("  callbacks: null", "  callbacks: [{class_path: mine_here.Mine}]"))
    assert not is_signed(file.read_text())
    assert run(f"fit --resume {stopped}")[0] == 2
    status, out, _ = run(f"fit --resume {stopped} --trust")
    assert status == 0
    assert "mine is here" in out


def test_a_signature_holds_for_the_text_and_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\n")
    assert not is_signed(file.read_text())
    sign(file)
    assert is_signed(file.read_text())
    assert not is_signed(file.read_text().replace("1", "2"))
    assert not is_signed(file.read_text() + "b: 2\n")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    assert not is_signed(file.read_text())


@pytest.mark.parametrize("name", ["samples.jsonl", "checkpoints/best.ckpt"])
def test_resume_follows_no_link_out_of_the_run(name: str, run: Run, stopped: Path) -> None:
    target = Path("precious").absolute()
    target.write_text("mine")
    (stopped / name).unlink(missing_ok=True)
    (stopped / name).symlink_to(target)
    status, _, err = run(f"fit --resume {stopped}")
    assert status == 2
    assert f"{stopped / name} is a link that leads out of the run folder" in err
    assert target.read_text() == "mine"


def test_resume_refuses_a_pipe_in_the_run_folder(run: Run, stopped: Path) -> None:
    (stopped / "samples.jsonl").unlink(missing_ok=True)
    os.mkfifo(stopped / "samples.jsonl")
    status, _, err = run(f"fit --resume {stopped}")
    assert (status, "samples.jsonl is neither a file nor a folder" in err) == (2, True)


DOTTED = {
    "trainer.callbacks": "this.Zen",
    "trainer.logger.class_path": "this.Zen",
    "trainer.logger": '{"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "outside"}}',
    "checkpoint.dirpath": "outside",
    "data.dataset_args": "{path: outside/kept.txt}",
}


@pytest.mark.parametrize("key", DOTTED)
@pytest.mark.parametrize("command", ["fit --resume", "fit --ckpt_path", "validate --ckpt_path"])
def test_a_key_with_a_dot_passes_no_check(key: str, command: str, run: Run, stopped: Path) -> None:
    with (stopped / "config.yaml").open("a") as file:
        file.write(f"{key}: {DOTTED[key]!r}\n")
    status, _, err = run(f"{command} {stopped} --trainer.max_steps 4")
    assert status == 2
    assert f"{key}: write " in err
    assert "in place of the dot" in err
    assert "this" not in sys.modules
    assert not Path("outside").exists()


@pytest.mark.parametrize("name", ["{outside}/x{{val/loss}}", "{{val/bpc:/>20}}", "{{val/bpc:>50}}/x", "a{{val/loss"])
def test_a_name_of_checkpoints_stays_in_the_run(name: str, run: Run, stopped: Path) -> None:
    outside = Path("outside").absolute()
    outside.mkdir()
    configure(f"checkpoint: {{filename: '{name.format(outside=outside)}'}}")
    status, _, err = run(f"fit --resume {stopped} --resume_with_changes true --trainer.max_steps 4")
    assert (status, "checkpoint.filename" in err) == (2, True)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", [".room", "config.resume-2.yaml", "samples.jsonl"])
def test_resume_writes_to_no_hard_link(name: str, run: Run, stopped: Path) -> None:
    target = Path("precious")
    mine = (stopped / "config.yaml").read_text()
    target.write_text(mine)
    (stopped / name).unlink(missing_ok=True)
    (stopped / name).hardlink_to(target)
    status, _, err = run(f"fit --resume {stopped}")
    assert (status, f"{stopped / name} has another name elsewhere" in err) == (2, True)
    assert target.read_text() == mine


def test_what_a_killed_process_leaves_is_no_hard_link_of_somebody_else(run: Run, stopped: Path) -> None:
    last = stopped / "checkpoints/last.ckpt"
    leftover = last.with_name(f".{last.name}.0123{UNFINISHED}")
    leftover.hardlink_to(last)
    assert run(f"fit --resume {stopped}")[0] == 0
    assert not leftover.exists()


def test_a_loop_of_links_is_no_file_of_the_run(run: Run, stopped: Path) -> None:
    (stopped / "loop").symlink_to("loop")
    status, _, err = run(f"fit --resume {stopped}")
    assert (status, "Traceback" in err) == (0, False), err


def test_the_name_of_a_run_imports_nothing_of_the_working_folder(run: Run, stopped: Path) -> None:
    before = list(sys.path)
    shutil.copytree(stopped, "gift.V2")
    Path("gift").mkdir()
    Path("tabulate.py").write_text("raise SystemExit('imported')\n")
    assert run("validate --ckpt_path gift.V2")[0] == 0
    assert sys.path == before


def repacked(file: Path, edit: Callable[[bytes], bytes]) -> None:
    """Change the pickle in a checkpoint, which is an archive of plain zip."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, edit(content) if name.endswith("data.pkl") else content)


def with_item(value: bytes) -> Callable[[bytes], bytes]:
    """Add a key to the pickled dict: ``b"..."`` makes its value."""
    return lambda content: content[:-1] + b"X\x01\0\0\0x" + value + b"s."


@pytest.mark.parametrize(
    "value",
    [
        b"cbuiltins\nbytearray\n(J\x40\0\0\0tR",
        b"c__builtin__\nset\n)R",
        b"\x8c\x08builtins\x8c\x09bytearray\x93)R",
    ],
)
def test_a_pickle_that_calls_anything_else_is_refused(value: bytes, stopped: Path) -> None:
    assert load_trained(LAST)
    repacked(LAST, lambda content: content)
    assert load_trained(LAST)
    repacked(LAST, with_item(value))
    with pytest.raises(UserError, match=r"it holds what torch does not trust, (\w+\.\w+|a pickle with STACK_GLOBAL)"):
        load_trained(LAST)


def test_an_archive_with_two_lists_of_contents_is_refused(stopped: Path) -> None:
    repacked(LAST, lambda content: content)
    content = LAST.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    length, start = struct.unpack("<LL", content[end + 12 : end + 20])
    twice = content[:end] + content[start : start + length] + content[end:]
    for archive, error in ((content, None), (twice, "has not the format of a checkpoint")):
        sealed = MAGIC + sha256(archive).hexdigest().encode()
        LAST.write_bytes(archive[:-2] + struct.pack("<H", len(sealed)) + sealed)
        if error is None:
            assert load_trained(LAST)
            continue
        with pytest.raises(UserError, match=error):
            load_trained(LAST)


def test_lists_that_stand_within_each_other_again_and_again_are_refused(stopped: Path) -> None:
    inner: list[object] = [0]
    for _ in range(3):
        inner = [inner] * 3000
    whole = LAST.read_bytes()
    change(LAST, lambda content: content["hyper_parameters"].update(backbone_args={"x": inner}))
    with pytest.raises(UserError, match="backbone_args must be arguments by name"):
        load_trained(LAST)
    for wrong in ({"dataset_args": {"distinct": inner}}, {(1, 2): 3}):
        LAST.write_bytes(whole)
        change(LAST, lambda content, wrong=wrong: content["datamodule_hyper_parameters"].update(wrong))
        with pytest.raises(UserError, match="datamodule_hyper_parameters must be the settings of a dataset"):
            load_trained(LAST)


PROGRESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "global_step": lambda content: content.update(global_step=[1, 2]),
    "epoch": lambda content: content.update(epoch={}),
    "schedule": lambda content: content["lr_schedulers"][0]["base_lrs"].pop(),
    "counter": lambda content: content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"].update(completed="x"),
    "epochs": lambda content: content["loops"]["fit_loop"]["epoch_progress"]["total"].update(completed={"a": 1}),
    "loops": lambda content: content["loops"].update(fit_loop=[1]),
    "all loops": lambda content: content.update(loops=torch.ones(3)),
    "fit loop": lambda content: content["loops"].update(fit_loop=torch.ones(3)),
    "progress": lambda content: content["loops"]["fit_loop"].update(epoch_progress=torch.ones(3)),
    "current": lambda content: content["loops"]["fit_loop"]["epoch_progress"].update(current=torch.ones(3)),
    "processed": lambda content: content["loops"]["fit_loop"]["epoch_progress"]["current"].update(processed=[1]),
}


@pytest.mark.parametrize("flag", ["--resume", "--ckpt_path"])
@pytest.mark.parametrize("name", PROGRESS)
def test_progress_that_is_no_number_is_refused(name: str, flag: str, run: Run, stopped: Path) -> None:
    change(LAST, PROGRESS[name])
    status, _, err = run(f"fit {flag} {LAST}")
    assert status == 2, err
    assert len(err) <= 412
    assert "Traceback" not in err


SETTINGS = {
    "hidden_size": ([6], "hidden_size must be a whole number above 0, not a list"),
    "num_layers": (10**9, "num_layers 1000000000 would take .* of memory"),
    "embedding_size": (50_000, "describe a network larger than its .* stored weights"),
    "vocabulary": ([1, 2], "vocabulary must be a list of tokens, not a list"),
    "tie_head": (1, "tie_head must be True or False, not 1"),
    "backbone_args": ([], "backbone_args must be arguments by name or None, not a list"),
    "dropout": (True, "dropout must be a number from 0 to below 1, not True"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_odd_settings_of_a_checkpoint_are_named(name: str, stopped: Path) -> None:
    value, message = SETTINGS[name]
    change(LAST, lambda content: content["hyper_parameters"].update({name: value}))
    with pytest.raises(UserError, match=message) as caught:
        load_trained(LAST)
    assert str(LAST) in str(caught.value)


def test_a_weight_that_is_not_stored_is_refused(stopped: Path) -> None:
    change(LAST, lambda content: content["state_dict"].update(extra=torch.zeros(1).expand(10**9)))
    with pytest.raises(UserError, match=r"the tensor extra of shape .* is not stored whole"):
        load_trained(LAST)


MOMENTS = {
    "shorter": lambda moment: moment.flatten()[:1],
    "of another shape": lambda moment: moment.new_zeros(3, 4),
    "stored once": lambda moment: moment.new_zeros(1).expand(moment.shape),
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_moments_of_another_size_are_refused(kind: str, run: Run, stopped: Path) -> None:
    def alter(content: dict[str, Any]) -> None:
        state = content["optimizer_states"][0]["state"][0]
        state["exp_avg"] = MOMENTS[kind](state["exp_avg"])

    change(LAST, alter)
    status, _, err = run(f"fit --resume {stopped}")
    assert status == 2
    assert "the state of the optimizer in the checkpoint does not fit the weights" in err


def test_a_random_state_with_a_position_outside_is_refused(run: Run, stopped: Path) -> None:
    def alter(content: dict[str, Any]) -> None:
        content["lightseq"]["ranks"][0]["random"]["numpy"][1] = 10**6

    change(LAST, alter)
    status, _, err = run(f"fit --resume {stopped}")
    assert (status, "cannot be restored (ValueError: the states of the random-number generators" in err) == (2, True)


def test_no_module_of_the_working_folder_replaces_a_library_in_a_child(tiny: str) -> None:
    for name in ("yaml", "queue", "torch", "wandb"):
        Path(f"{name}.py").write_text(f"raise SystemExit('{name} is imported')\n")
    Path("mine_in_child.py").write_text(
        "import pytorch_lightning as pl\nclass Mine(pl.Callback):\n"
        "    def on_train_start(self, trainer, module):\n        print('mine is here')\n"
    )
    script = Path(sysconfig.get_path("scripts"), "lightseq")
    words = f"sweep --seeds 1 --config {tiny} {QUIET} --trainer.callbacks+=mine_in_child.Mine".split()
    done = subprocess.run([script, *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "mine is here" in done.stdout
    assert "is imported" not in done.stdout + done.stderr
