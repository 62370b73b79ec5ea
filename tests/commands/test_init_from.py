"""``lightseq fit --init_from``: a new run that begins with the weights of an old one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightseq import cli
from lightseq.checkpoint import find_checkpoint

Run = Callable[..., tuple[int, str, str]]

QUIET = "--sampling.every_n_steps 0 --sampling.judged 0 --inside.enabled false"
STILL = f"{QUIET} --trainer.max_steps 1 --model.learning_rate 1e-30 --sampling.prompts=['']"
"""One update that moves no weight, then a validation."""

NEW = "runs/dinos/version_0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on names of dinosaurs, its weights averaged."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "old.yaml").write_text(
        """
data: {dataset: dinos, batch_size: 100}
model: {backbone: lstm, backbone_args: {layer_norm: true}, embedding_size: 5, hidden_size: 6, learning_rate: 0.03}
trainer: {max_steps: 8, val_check_interval: 4, accelerator: cpu, enable_progress_bar: false, precision: 32-true}
averaging: {decay: 0.5}
"""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTSEQ_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        assert cli.main(f"fit --config old.yaml {QUIET}".split()) == 0
    return folder / "runs" / "dinos" / "version_0"


@pytest.fixture
def capitals(own_folder: Path) -> str:
    """The words that read names with characters which the dinosaurs lack."""
    names = [f"{first}{rest}{last}" for first in "BTÉ" for rest in ("ara", "iso", "oro") for last in "nsx-"]
    (own_folder.parent / "names.txt").write_text("\n".join(names), encoding="utf-8")
    return f"--data.dataset text --data.dataset_args.path {own_folder.parent}/names.txt --data.dataset_args.by line"


def content(place: Path | str) -> dict[str, Any]:
    return dict(torch.load(find_checkpoint(place), weights_only=True))


def results(folder: Path | str) -> dict[str, float]:
    return dict(json.loads(Path(folder, "results.json").read_text()))


def test_the_same_text_scores_the_same(run: Run, tiny: str, trained: Path) -> None:
    """The best checkpoint is taken, and of it the averaged weights; the old run's architecture rules, and whatever
    was said otherwise is told. The updates and the rate are the new run's."""
    words = f"--model.hidden_size 9 --model.dropout 0.25 {STILL}"
    status, out, err = run(f"fit --config {tiny} --init_from {trained} {words}")
    assert status == 0, err
    assert f"\nfrom   {find_checkpoint(trained)}: all weights\n" in out
    assert "command line: model.hidden_size is 6 in the checkpoint, which rules" in err
    assert "embedding_size" not in err
    assert results(NEW)["val/loss"] == pytest.approx(results(trained)["val/loss"], rel=1e-6)
    now, before = content(NEW), content(trained)
    averaged, own = before["state_dict"], before["current_model_state"]
    assert not torch.equal(averaged["model.head.weight"], own["model.head.weight"])
    for name, value in averaged.items():
        torch.testing.assert_close(now["state_dict"][name], value, rtol=0, atol=1e-20)
    assert now["global_step"] == 1
    assert now["hyper_parameters"]["dropout"] == 0.25
    assert now["hyper_parameters"]["backbone_args"] == before["hyper_parameters"]["backbone_args"]


def test_double_precision_keeps_every_digit(run: Run, tiny: str, trained: Path) -> None:
    words = f"fit --config {tiny} --trainer.precision 64-true {QUIET}"
    assert run(f"{words} --init_from {trained}")[0] == 0
    status, _, err = run(f"{words} --init_from {NEW} {STILL}")
    assert status == 0, err
    now, before = (content(f"runs/dinos/version_{i}")["state_dict"] for i in (1, 0))
    for name, value in before.items():
        assert not torch.equal(value, value.float().double())
        torch.testing.assert_close(now[name], value, rtol=0, atol=1e-20)


def test_new_characters_join_the_old_ones(run: Run, tiny: str, trained: Path, capitals: str) -> None:
    status, out, err = run(f"fit --config {tiny} {capitals} --init_from {trained} {STILL}")
    assert status == 0, err
    assert ": all weights; vocabulary 27 -> 31, new: '-', 'B', 'T', 'É'\n" in out
    assert "31 tokens in the vocabulary" in out
    now, before = content("runs/text/version_0"), content(trained)
    known = before["hyper_parameters"]["vocabulary"]
    assert now["hyper_parameters"]["vocabulary"] == [*known, "-", "B", "T", "É"]
    for name in ("embedding.weight", "head.weight", "head.bias"):
        value = before["state_dict"][f"model.{name}"].float()
        torch.testing.assert_close(now["state_dict"][f"model.{name}"][:27], value, rtol=0, atol=1e-20)
    status, out, err = run("sample runs/text/version_0 --prompt Éq --n 2 --temperature 1")
    assert status == 0, err
    assert "Éq" in out


def test_documents_become_a_stream_and_a_stream_documents(run: Run, tiny: str, trained: Path, alphabet: str) -> None:
    words = f"--data.dataset {alphabet} --data.window 8"
    status, out, err = run(f"fit --config {tiny} {words} --init_from {trained} {STILL}")
    assert status == 0, err
    assert ": all weights; vocabulary 27 -> 26, dropped: the boundary of documents\n" in out
    status, out, err = run(f"fit --config {tiny} --init_from runs/alphabet/version_0 {STILL}")
    assert status == 0, err
    assert ": all weights; vocabulary 26 -> 27, new: the boundary of documents\n" in out
    now, before = (content(folder)["state_dict"]["model.embedding.weight"] for folder in (NEW, trained))
    torch.testing.assert_close(now[1:], before[1:].float(), rtol=0, atol=1e-20)


def test_labels_in_place_of_text(run: Run, tiny: str, plugin: Callable[..., None]) -> None:
    """A head that was the embedding is none any more, and the labels of one task are found again in the next."""
    code = """
from lightseq.data import TextDataset
from lightseq.types import Document

class Kinds(TextDataset):
    def __init__(self, kinds: str = "") -> None:
        self.kinds = kinds

    def documents(self):
        for number in range(60):
            name = chr(97 + number % 5) * (1 + number // 5)
            yield Document(name, self.kinds[number % len(self.kinds)] if self.kinds else None)
"""
    plugin("kinds", "lightseq.datasets", {"kinds": "kinds_plugin:Kinds"}, code)
    first = f"fit --config {tiny} --data.dataset kinds {QUIET} --sampling.prompts=['']"
    run(f"{first} --model.embedding_size 6 --model.tie_head true")
    words = f"{first} --model.learning_rate 1e-30"
    status, out, err = run(f"{words} --data.dataset_args.kinds xyz --init_from runs/kinds/version_0")
    assert status == 0, err
    assert ": all weights but the head's\nnote   the head begins afresh: it predicted text, and now 3 labels\n" in out
    status, out, err = run(f"{words} --data.dataset_args.kinds ywx --init_from runs/kinds/version_1")
    assert status == 0, err
    assert ": all weights\nnote   labels 3 -> 3, new: 'w', dropped: 'z'\n" in out
    weights = [content(f"runs/kinds/version_{i}")["state_dict"]["model.head.weight"] for i in (1, 2)]
    torch.testing.assert_close(weights[1][1:], weights[0][:2], rtol=0, atol=1e-20)


def test_the_run_stands_by_itself_and_can_be_repeated(run: Run, tiny: str, trained: Path, capitals: str) -> None:
    """Its configuration names where it began; what scores it or goes on with it needs no more of that."""
    origin = Path("origin")
    shutil.copytree(trained, origin)
    words = f"--trainer.max_steps 2 --sampling.prompts=[''] {QUIET}"
    status, _, err = run(f"fit --config {tiny} {capitals} --init_from {origin} {words}")
    assert status == 0, err
    resolved = yaml.safe_load(Path("runs/text/version_0/config.yaml").read_text(encoding="utf-8"))
    assert resolved["init_from"] == str(origin)
    assert (resolved["model"]["backbone_args"], resolved["model"]["learning_rate"]) == ({"layer_norm": "true"}, 0.003)
    status, _, err = run("fit --config runs/text/version_0/config.yaml")
    assert status == 0, err
    weights = [content(f"runs/text/version_{i}/checkpoints/last.ckpt")["state_dict"] for i in (0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    shutil.rmtree(origin)
    status, out, err = run("validate --ckpt_path runs/text/version_0")
    assert status == 0, err
    status, out, err = run("fit --ckpt_path runs/text/version_0 --trainer.max_steps 3")
    assert status == 0, err
    assert "from   " not in out
    assert content("runs/text/version_2/checkpoints/last.ckpt")["global_step"] == 3


def test_a_scheduler_repeats_the_command(
    run: Run, tiny: str, trained: Path, capitals: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time it begins with the old run's weights, then it goes on with its own, whatever became of those."""
    origin = Path("origin")
    shutil.copytree(trained, origin)
    words = f"fit --config {tiny} {capitals} --model.hidden_size 9 --init_from {origin} --resume auto {QUIET}"
    words += " --sampling.prompts=[''] --trainer.max_steps 4 --model.backbone_args.residual true"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "2")
    status, out, err = run(words)
    assert status == 143, err
    assert f"from   {find_checkpoint(origin)}" in out
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    shutil.rmtree(origin)
    status, out, err = run(words)
    assert status == 0, err
    assert "from   " not in out
    assert [folder.name for folder in Path("runs/text").iterdir()] == ["version_0"]
    assert content("runs/text/version_0/checkpoints/last.ckpt")["global_step"] == 4


MISTAKES = {
    "--init_from nosuch": "no checkpoint or run folder at 'nosuch'",
    "--init_from x.ckpt": "x.ckpt is no checkpoint, or is damaged",
    "--init_from": "init_from",
    "--init_from OLD --ckpt_path OLD": "--ckpt_path goes on with all of a run, --init_from begins another with its "
    "weights: name one",
    "--init_from OLD --model.backbone lstn": "no backbone called 'lstn'; did you mean 'lstm'?",
    "--init_from OLD --model.backbone_args.residul true": "command line: 'lstm' has no argument 'residul'; did you "
    "mean 'residual'?",
    "--init_from OLD --sampling.prompts=[Tri]": "character 'T' (U+0054) at position 0 of 'Tri'",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_gets_one_message_and_leaves_nothing(words: str, run: Run, tiny: str, trained: Path) -> None:
    Path("x.ckpt").write_bytes(b"PK\x03\x04 not really")
    status, out, err = run(f"fit --config {tiny} {words.replace('OLD', str(trained))}")
    told = [line for line in err.splitlines() if "which rules" not in line]
    assert (status, out, len(told)) == (2, "", 1), err
    assert MISTAKES[words] in told[0]
    assert [path.name for path in Path().iterdir()] == ["x.ckpt"]


def test_a_checkpoint_whose_weights_fit_nowhere(run: Run, tiny: str, trained: Path) -> None:
    broken = content(trained)
    broken["hyper_parameters"]["hidden_size"] = 5
    torch.save(broken, "broken.ckpt")
    status, out, err = run(f"fit --config {tiny} --init_from broken.ckpt")
    assert (status, out) == (2, "")
    told = "lightseq: broken.ckpt: backbone.layers.0.weight_ih_l0 is (24, 5) in it and (20, 5) in the new network"
    assert err.splitlines()[-1].startswith(told)
