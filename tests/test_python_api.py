"""The public Python interface: lazy imports, a loaded model, and training without the command line."""

import copy
import html
import logging
import pickle
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import lightseq
from lightseq import callbacks
from lightseq.analysis.inspection import Inspection
from lightseq.vocabulary import Vocabulary

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
HEAVY = ("torch", "pytorch_lightning", "numpy", "yaml", "rich")

Run = Callable[..., tuple[int, str, str]]


def in_new_process(code: str, *arguments: str) -> str:
    """Return what a new Python process prints."""
    process = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def trainer_of(**settings: object) -> pl.Trainer:
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return pl.Trainer(**{**quiet, "enable_checkpointing": False, "max_steps": 3, **settings})


def fitted(*callbacks: pl.Callback, dataset: str = "dinos") -> tuple[pl.Trainer, lightseq.SequenceSystem]:
    torch.manual_seed(0)
    data = lightseq.SequenceData(dataset, batch_size=32)
    system = lightseq.SequenceSystem.from_data(data, backbone="gru", hidden_size=8, embedding_size=4)
    trainer = trainer_of(callbacks=list(callbacks))
    trainer.fit(system, data)
    return trainer, system


@pytest.fixture
def checkpoint(own_folder: Path) -> str:
    trainer, _ = fitted()
    trainer.save_checkpoint("tiny.ckpt")
    return "tiny.ckpt"


@pytest.fixture
def labelled(vowels: str) -> lightseq.LoadedModel:
    trainer, _ = fitted(dataset=vowels)
    trainer.save_checkpoint("labelled.ckpt")
    return lightseq.load("labelled.ckpt")


def test_importing_lightseq_imports_nothing_heavy() -> None:
    code = f"import sys, lightseq; dir(lightseq); print([name for name in {HEAVY} if name in sys.modules])"
    assert in_new_process(code) == "[]"


def test_importing_lightseq_takes_at_most_50_ms() -> None:
    code = "import time; start = time.perf_counter(); import lightseq; print(time.perf_counter() - start)"
    assert min(float(in_new_process(code)) for _ in range(3)) <= 0.05


def test_every_public_name_is_importable_and_listed() -> None:
    for module in (lightseq, callbacks):
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = lightseq.nonsense


def test_load_generate_score_and_inspect_import_no_lightning(checkpoint: str) -> None:
    code = """
import sys, lightseq
model = lightseq.load(sys.argv[1])
model.generate("tri", n=1, length=5)._repr_html_()
model.score("tri")
model.inspect("tri").html()
print([name for name in sys.modules if name.startswith(("pytorch_lightning", "lightning"))])
"""
    assert in_new_process(code, checkpoint) == "[]"


def test_generate_gives_the_text_of_the_sample_command(checkpoint: str, run: Run) -> None:
    model = lightseq.load(checkpoint)
    status, out, _ = run("sample", checkpoint)
    assert status == 0
    assert out == "".join(f"{sample.text}\n" for sample in model.generate())
    words = "--prompt tri --prompt ste --temperature 0.5,1.0 --n 3 --seed 7 --top-k 9 --top-p 0.9 --length 30"
    _, out, _ = run("sample", checkpoint, words)
    settings = {"n": 3, "seed": 7, "top_k": 9, "top_p": 0.9, "length": 30}
    samples = model.generate(["tri", "ste"], [0.5, 1.0], **settings)
    assert out == "".join(f"{sample.text}\n" for sample in samples)
    assert [sample.temperature for sample in samples] == [0.5] * 3 + [1.0] * 3 + [0.5] * 3 + [1.0] * 3


def test_generate_constrained_gives_the_text_of_the_sample_command(plugin: Callable[..., None], run: Run) -> None:
    code = """
from lightseq.data import TextDataset

class Only:
    def start(self): return 0
    def allowed(self, state, left): return ["a"] if state < 3 else [""]
    def advance(self, state, token): return state + 1

class Letters(TextDataset):
    '''Short texts of three letters.'''
    def documents(self): return [a + b for a in "abc" for b in "abc"] * 5
    def grammar(self, tokens): return Only()
"""
    plugin("letters", "lightseq.datasets", {"letters": "letters_plugin:Letters"}, code)
    trainer, _ = fitted(dataset="letters")
    trainer.save_checkpoint("letters.ckpt")
    samples = lightseq.load("letters.ckpt").generate(n=4, temperature=1.0, constrained=True)
    _, out, _ = run("sample letters.ckpt --n 4 --temperature 1.0 --constrained")
    assert out == "".join(f"{sample.text}\n" for sample in samples) == "aaa\n" * 4
    assert all(sample.forgone > 0 for sample in samples)


def test_score_and_inspect_agree_with_the_inspect_command(
    checkpoint: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = list[Inspection]()
    monkeypatch.setattr("lightseq.commands.inspect.text.print_inspection", lambda seen, *_: printed.append(seen))
    assert run("inspect", checkpoint, "--text tyrannosaurus")[0] == 0
    model = lightseq.load(checkpoint)
    score = model.score("tyrannosaurus")
    seen = model.inspect("tyrannosaurus")
    assert score.tokens == [*"tyrannosaurus", ""]
    assert score.nats == printed[0].nats.tolist()
    assert (score.total, score.mean) == (printed[0].total, printed[0].mean) == (seen.total, seen.mean)
    assert torch.equal(seen.logits, printed[0].logits)
    assert seen.trace.keys() == printed[0].trace.keys()
    assert all(torch.equal(seen.trace[name], values) for name, values in printed[0].trace.items())


def test_the_page_is_that_of_the_inspect_command(checkpoint: str, run: Run) -> None:
    assert run("inspect", checkpoint, "--text tri --html page.html")[0] == 0
    seen = lightseq.load(checkpoint).inspect("tri")
    assert Path("page.html").read_text("utf-8") == seen.html().replace(f'"{checkpoint}"', f'"{checkpoint}, --text"')
    frame = re.fullmatch(
        r'<iframe sandbox="allow-scripts" [^<>]*? srcdoc="([^"]*)"></iframe>', seen._repr_html_(), re.S
    )
    assert frame is not None
    assert html.unescape(frame[1]) == seen.html()


def test_tables_are_escaped() -> None:
    sample = lightseq.Sample("<b>", 0.5, 0, "<b><script>&", True)
    table = lightseq.Samples([sample])._repr_html_()
    assert "<td>&lt;b&gt;</td>" in table
    assert "&lt;b&gt;&lt;script&gt;&amp;" in table
    assert "<script" not in table
    assert "<td>&lt;</td><td>1.000</td>" in lightseq.Score(["<"], [1.0], 1.0, 1.0)._repr_html_()


def test_a_labelled_model_scores_labels(labelled: lightseq.LoadedModel) -> None:
    score = labelled.score("abc", label=["vowel", "consonant", "consonant"])
    assert score.tokens == ["vowel", "consonant", "consonant"]
    assert score.total == pytest.approx(sum(score.nats))
    assert labelled.inspect("abc").task == "unlabelled"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.generate(), "labelled.ckpt predicts labels: it cannot generate text"),
        (lambda model: model.score("abc"), "pass label="),
        (lambda model: model.score("abc", "vowle"), "no label 'vowle'; did you mean 'vowel'"),
        (lambda model: model.score("abc", ["vowel", "vowel"]), "2 labels for a text of 3 tokens"),
    ],
)
def test_mistakes_with_a_labelled_model(
    labelled: lightseq.LoadedModel, call: Callable[[lightseq.LoadedModel], object], message: str
) -> None:
    with pytest.raises(lightseq.UserError, match=re.escape(message)):
        call(labelled)


def test_mistakes_raise_one_clear_message(checkpoint: str) -> None:
    model = lightseq.load(checkpoint)
    data = lightseq.SequenceData("dinos")
    build = lightseq.SequenceSystem.from_data
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: lightseq.load("nowhere"), "no checkpoint or run folder at 'nowhere'"),
        (lambda: lightseq.load(3), "load needs the path"),
        (lambda: model.generate(prompt="Ä"), "character 'Ä'"),
        (lambda: model.generate(prompt=[]), "prompt must be a string or a list"),
        (lambda: model.generate(prompt=3), "prompt must be a string or a list"),
        (lambda: model.generate(temperature="hot"), "temperature must be a number"),
        (lambda: model.generate(temperature=-1), "a temperature is 0 (greedy) or more, not -1"),
        (lambda: model.generate(n=2.5), "n must be a whole number, not 2.5"),
        (lambda: model.generate(n=0), "n is at least 1, not 0"),
        (lambda: model.generate(constrained=True), "has no grammar"),
        (lambda: model.score(""), "nothing to read in an empty text"),
        (lambda: model.score("a" * 5001), "the text has 5,001 tokens, at most 5,000"),
        (lambda: model.score("tri", label="x"), "predicts tokens, not labels"),
        (lambda: lightseq.SequenceData("dinoz"), "did you mean"),
        (lambda: build(data, hiden_size=3), "SequenceSystem has no setting 'hiden_size'; did you mean 'hidden_size'?"),
        (lambda: build(data, labels=["a"]), "from_data takes labels from the data"),
        (lambda: build(data, backbone="gruu"), "did you mean"),
        (lambda: build(data, backbone_args={"x": 1}), "'lstm' has no argument 'x'"),
        (lambda: build(data, hidden_size=-3), "hidden_size must be >0, not -3"),
        (lambda: build(data, hidden_size="wide"), "hidden_size must be"),
        (lambda: build(data, num_layers=0), "num_layers must be >0, not 0"),
        (lambda: build(data, dropout=2), "dropout must be"),
        (lambda: build(data, optimizer="adma"), "optimizer must be one of adamw"),
        (lambda: build(data, learning_rate=-1), "learning_rate must be >0"),
        (lambda: lightseq.SequenceData("dinos", batch_size=0), "data.batch_size must be a whole number above 0"),
        (lambda: lightseq.SequenceData("dinos", window=1.5), "data.window must be a whole number above 0"),
        (lambda: lightseq.SequenceData("dinos", val_fraction=-1), "data.val_fraction must be above 0"),
    ]
    for call, message in calls:
        with pytest.raises(lightseq.UserError, match=re.escape(message)) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_from_data_keeps_the_values_that_are_given() -> None:
    data = lightseq.SequenceData("dinos")
    settings = {"learning_rate": 0.1 + 0.2, "embedding_size": None, "backbone_args": {"layer_norm": True}, "dropout": 0}
    stored = lightseq.SequenceSystem.from_data(data, **settings).hparams
    assert {name: stored[name] for name in settings} == settings
    assert stored["vocabulary"] == data.vocabulary
    assert type(stored["learning_rate"]) is float
    assert type(lightseq.SequenceSystem.from_data(data, hidden_size=np.int64(3)).hparams["hidden_size"]) is int


def test_a_loaded_model_is_pickled_and_copied(checkpoint: str) -> None:
    model = lightseq.load(checkpoint)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.generate("tri", n=2) == model.generate("tri", n=2)
        assert other.score("tri") == model.score("tri")
    seen = pickle.loads(pickle.dumps(model.inspect("tri")))
    assert seen.html() == model.inspect("tri").html()


def test_two_fits_in_one_process_end_in_the_same_weights() -> None:
    first, second = (fitted(lightseq.SampleText(every_n_steps=2, length=5))[1] for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("dataset", ["dinos", "alphabet"])
def test_a_system_is_copied_and_pickled_after_a_fit(dataset: str, alphabet: str) -> None:
    trainer, system = fitted(dataset=dataset)
    (before,) = trainer.validate(system, lightseq.SequenceData(dataset), verbose=False)[:1]
    for copied in (copy.deepcopy(system), pickle.loads(pickle.dumps(system))):
        assert all(torch.equal(*pair) for pair in zip(system.parameters(), copied.parameters(), strict=True))
        assert all(a is not b for a, b in zip(system.parameters(), copied.parameters(), strict=True))
        (after,) = trainer_of().validate(copied, lightseq.SequenceData(dataset), verbose=False)[:1]
        assert after == before
        trainer_of().fit(copied, lightseq.SequenceData(dataset))


@pytest.mark.parametrize("evaluation", ["validate", "test"])
def test_a_system_is_fitted_again_after_an_evaluation(evaluation: str) -> None:
    _, system = fitted()
    data = lightseq.SequenceData("dinos")
    first = getattr(trainer_of(), evaluation)(system, data, verbose=False)
    assert getattr(trainer_of(), evaluation)(system, data, verbose=False) == first
    again = trainer_of(max_steps=-1, max_epochs=1, limit_train_batches=3)
    again.fit(system, data)
    assert float(again.callback_metrics["val/loss"]) > 0


def test_lightning_tests_and_loads_a_checkpoint(checkpoint: str) -> None:
    system = lightseq.SequenceSystem.load_from_checkpoint(checkpoint)
    (values,) = trainer_of().test(system, lightseq.SequenceData("dinos"), verbose=False)
    assert values["test/loss"] > 0
    loaded = lightseq.load(checkpoint).network
    assert all(torch.equal(*pair) for pair in zip(system.model.parameters(), loaded.parameters(), strict=True))
    assert isinstance(system.vocabulary, Vocabulary)


def test_training_from_python_leaves_no_handlers_and_filters_behind(own_folder: Path) -> None:
    def process_state() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
        levels = {name: logging.getLogger(name).level for name in ("pytorch_lightning", "lightning.pytorch", "")}
        return handlers, list(warnings.filters), levels, sys.excepthook, torch.get_num_threads()

    before = process_state()
    fitted(lightseq.SampleText(every_n_steps=2, length=5))
    assert process_state() == before


def test_the_examples_of_the_page_run(own_folder: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(blocks) >= 6
    code = "\n".join(blocks)
    tiny = code.replace("max_epochs=5,", "max_steps=3, limit_val_batches=1, accelerator='cpu',").replace("=128", "=8")
    assert tiny != code
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on the number of workers
        exec(compile(tiny, str(PAGE), "exec"), names)
    assert len(names["samples"]) == 10
