"""The package of somebody else's under ``examples/``, installed as a stranger would."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightseq.commands import new_dataset

RAINBOW = Path(__file__).parent.parent / "examples" / "rainbow"
SHARED = ("pyproject.toml", "rainbow.yaml", "test_rainbow.py")


@pytest.mark.parametrize("name", SHARED)
def test_it_is_what_lightseq_datasets_new_writes(name: str) -> None:
    assert (RAINBOW / name).read_text(encoding="utf-8") == new_dataset.files("rainbow")[name]


def test_it_installs_passes_its_tests_trains_and_samples(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, site = tmp_path / "rainbow", tmp_path / "site"
    for path in [*RAINBOW.glob("*.*"), *RAINBOW.glob("lightseq_rainbow/*.*")]:
        target = copy / path.relative_to(RAINBOW)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    words = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    done = subprocess.run([sys.executable, "-m", *words, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = [sys.executable, "-m", "pytest", "-q", str(copy)]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    monkeypatch.syspath_prepend(site)
    assert "rainbow" in [line.split()[0] for line in run("datasets")[1].splitlines()]
    status, out, err = run("datasets check rainbow")
    assert status == 0, err
    assert "177 documents" in out
    words = f"--config {copy / 'rainbow.yaml'} --trainer.max_steps 3 --trainer.accelerator cpu"
    status, out, err = run(f"fit {words} --sampling.prompts [moss]")
    assert status == 0, err
    assert "141 train, 18 val, 18 test documents" in out
    status, out, err = run("sample runs/rainbow/version_0 --n 3")
    assert status == 0, err
    assert len(out.splitlines()) >= 3
    sys.modules.pop("lightseq_rainbow")
