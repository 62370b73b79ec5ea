from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightseq import cli
from lightseq.checkpoint import MODEL_SETTINGS, find_checkpoint
from lightseq.errors import UserError

Run = Callable[..., tuple[int, str, str]]
FOLDER = "runs/dinos/version_0"


def test_texts_alone_on_standard_output(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, out, err = run(f"sample {FOLDER} --temperature 0.5,1.0 --prompt tri --prompt a --n 3 --length 4 --seed 3")
    assert status == 0
    assert [line[:1] for line in out.splitlines()] == ["t"] * 6 + ["a"] * 6
    assert err.splitlines() == ["# T=0.50 'tri'", "# T=1.00 'tri'", "# T=0.50 'a'", "# T=1.00 'a'"]
    assert run(f"sample {FOLDER} --temperature 0.5,1.0 --prompt tri --prompt a --n 3 --length 4 --seed 3")[1] == out
    assert run(f"sample {FOLDER} --temperature 0.5,1.0 --prompt tri --prompt a --n 3 --length 4 --seed 4")[1] != out


def test_the_plain_call(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, out, err = run(f"sample {FOLDER}")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--prompt Tri",
            "character 'T' (U+0054) at position 0 of 'Tri' is not among the 27 tokens the model knows; it knows 't'",
        ),
        ("--temperature=-1", "a temperature is 0 (greedy) or more, not -1"),
        ("--n 0", "n is at least 1, not 0"),
        ("--length=-3", "length is at least 1, not -3"),
        ("--top-k 0", "top_k is at least 1, not 0"),
        ("--top-p 1.5", "top_p is above 0 and at most 1, not 1.5"),
    ],
)
def test_mistakes(run: Run, tiny: str, words: str, message: str) -> None:
    run(f"fit --config {tiny}")
    assert run(f"sample {FOLDER} {words}") == (2, "", f"lightseq: {message}\n")


def test_texts_of_several_lines_have_a_blank_line_between_them(
    run: Run, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("verses.txt").write_text("".join(f"a{letter}\nb{letter}\n\n" for letter in "cdefghijkl" * 4))
    words = "--data.dataset text --data.dataset_args.path verses.txt --data.dataset_args.by blank_line"
    run(f"fit --config {tiny} {words} --sampling.prompts=[''] --trainer.max_steps 1")
    cli.main(["sample", "runs/text/version_0", "--n", "3", "--prompt", "ac\nb", "--length", "9"])
    out, _ = capsys.readouterr()
    assert out.startswith("ac\nb")
    assert out.endswith("\n\n")
    assert out.count("\n\nac\nb") == 2


def test_a_model_of_labels_has_no_text(run: Run, tiny: str, vowels: str) -> None:
    run(f"fit --config {tiny} --data.dataset {vowels}")
    status, out, err = run("sample runs/vowels/version_0")
    assert (status, out) == (2, "")
    assert "predicts labels: there is no text to sample from it" in err


def test_a_dataset_that_is_gone_is_not_needed(run: Run, tiny: str, alphabet: str, monkeypatch) -> None:
    run(f"fit --config {tiny} --data.dataset {alphabet} --data.window 8")
    folder = Path("runs/alphabet/version_0").absolute()
    monkeypatch.undo()
    status, out, _ = run(f"sample {folder} --n 2 --length 9")
    assert status == 0
    assert [len(line) for line in out.splitlines()] == [10, 10]


def test_the_best_checkpoint_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match=r"no checkpoint in .*run'; a run folder looks like runs/dinos/version_0"):
        find_checkpoint(folder.parent)
    settings = {"vocabulary": ["", "a"], "backbone": "lstm", "hidden_size": 4, "num_layers": 1, "dropout": 0.0}
    content = {"hyper_parameters": dict.fromkeys(MODEL_SETTINGS) | {"tie_head": False} | settings, "state_dict": {}}
    for name in ("last.ckpt", "best-step=9-val_bpc=10.5000.ckpt", "best-step=10-val_bpc=9.7000.ckpt"):
        torch.save(content, folder / name)
        assert find_checkpoint(folder.parent).name == name
    assert find_checkpoint(folder / "last.ckpt") == folder / "last.ckpt"
