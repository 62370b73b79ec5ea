"""One short message, exit code 2, no traceback, nothing created."""

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

MISTAKES = {
    "fit": "data.dataset is needed, or name a recipe: --config dinos",
    "fti --config dinos": "no verb 'fti'; did you mean 'fit'?",
    "fit --config nosuch.yaml": "no configuration file 'nosuch.yaml'",
    "fit --config": "--config needs a value",
    "fit --config dino": "no configuration file 'dino', and no recipe of that name; did you mean 'dinos'?",
    "fit --config http://127.0.0.1:1/x.yaml": "no configuration file 'http://127.0.0.1:1/x.yaml'",
    "fit --config dinos --data.dataset dnios": "no dataset called 'dnios'; did you mean 'dinos'? Installed: abc, ",
    "fit --config dinos --model.backbone lstn": "no backbone called 'lstn'; did you mean 'lstm'? Installed: gru, lstm, "
    "mingru, minlstm, mlstm, rglru, rnn",
    "fit --config dinos --model.hiden_size 3": "command line: unknown key model.hiden_size; did you mean model.hidden_size?",
    "fit --config dinos --hidden_size=3": "command line: unknown key hidden_size; did you mean model.hidden_size?",
    "fit --config dinos --model.vocabulary [a]": "command line: unknown key model.vocabulary",
    "fit --config dinos --checkpoint.monitor val/accuracy": "'val/accuracy' needs checkpoint.mode beside it",
    "fit --config dinos --checkpoint.monitor samples/novel/T=0.80": "'samples/novel/T=0.80' needs checkpoint.mode beside it",
    "fit --config dinos --model.hidden_size 0": "command line: model.hidden_size must be >0, not 0",
    "fit --config dinos --model.hidden_size=-4": "command line: model.hidden_size must be >0, not -4",
    "fit --config dinos --model.hidden_size wide": "command line: model.hidden_size must be a whole number, not 'wide'",
    "fit --config dinos --model.num_layers 0": "model.num_layers must be >0",
    "fit --config dinos --data.batch_size -1": "data.batch_size must be >0, not -1",
    "fit --config dinos --data.window 0": "data.window must be >0, not 0",
    "fit --config dinos --model.dropout 1.5": "model.dropout must be >=0 and <1, not 1.5",
    "fit --config dinos --model.learning_rate 0": "model.learning_rate must be >0, not 0",
    "fit --config dinos --model.learning_rate inf": "model.learning_rate must be >0 and finite, not inf",
    "fit --config dinos --model.backbone mingru --model.backbone_args.expansion inf": "expansion must be >0 and finite",
    "fit --config dinos --sampling.temperatures [-1]": "sampling.temperatures must be >=0, not -1",
    "fit --config dinos --sampling.temperatures []": "sampling.temperatures need one entry",
    "fit --config dinos --sampling.length 0": "sampling.length must be >0, not 0",
    "fit --config dinos --model.optimizer adan": "model.optimizer must be one of adamw, adam, sgd, muon, not adan",
    "fit --config dinos --model.loss sum": "model.loss must be one of mean, document, not sum",
    "fit --config dinos --model.tie_head true": "tie_head needs an embedding as wide as the backbone's output",
    "fit --config dinos --sampling.prompts [Tri]": "character 'T' (U+0054) at position 0 of 'Tri'",
    "fit --config dinos --data.dataset_args.pth 2024": "command line: 'dinos' has no argument 'pth'; did you mean 'path'? "
    "It takes: source, path",
    "fit --config dinos --model.backbone_args.activaton relu --model.backbone rnn": "command line: 'rnn' has no argument "
    "'activaton'; did you mean 'activation'?",
    "fit --config dinos --model.backbone rnn --model.backbone_args.activation tan": "activation must be one of tanh, relu, "
    "not tan",
    "fit --config dinos --data.val_fraction 0": "data.val_fraction must be above 0",
    "fit --config dinos --data.val_fraction 0.0001 --data.test_fraction 0.9999": "val_fraction",
    "fit --config dinos --data.fold 10": "data.fold 10: a val_fraction of 0.1 has 10 folds",
    "fit --config dinos --trainer.max_epochs -5": "max_epochs",
    "fit --config dinos --trainer.max_epochs many": "trainer.max_epochs",
    "fit --config dinos --trainer.accelerator gpu": "gpu",
    "fit --config dinos --trainer.precision auto": "trainer.precision must be one of 64, 32, 16",
    "fit --config dinos --trainer.callbacks+=NoSuchCallback": "trainer.callbacks cannot be NoSuchCallback",
    "fit --config dinos --ckpt_path nosuch": "no checkpoint or run folder at 'nosuch'",
    "fit --config dinos --trainer.accumulate_grad_batches 0": "trainer.accumulate_grad_batches must be >=1, not 0",
    "fit --config dinos --trainer.gradient_clip_val -1": "trainer.gradient_clip_val must be >=0, not -1",
    "fit --config dinos --trainer.strategy ddpx": "ddpx",
    "fit --config dinos --data.dataset_args.times 3 --data.dataset dinos": "'dinos' has no argument 'times'",
    "fit --config " + "x" * 5000: "xxx",
    "fit --config dinos stray": "unrecognized arguments: stray",
    "fit dinos": "'dinos' stands alone; did you mean --config dinos?",
    "fit --config dinos --sampling.temperatures 0.7": "sampling.temperatures must be a list like [a, b], not 0.7",
    "sample nosuch --temp 1": "unknown argument --temp",
    "validate --config dinos": "validate needs --ckpt_path, a run folder or a checkpoint",
    "predict --ckpt_path nosuch": "no checkpoint or run folder at 'nosuch'",
    "sample": "the following arguments are required: RUN_OR_CHECKPOINT",
    "sample nosuch": "no checkpoint or run folder at 'nosuch'",
    "sample .": "no checkpoint in '.'",
    "sample nosuch --temprature 1": "unknown argument --temprature; did you mean '--temperature'?",
    "sample nosuch --temperature warm": "numbers with commas between them are needed, not 'warm'",
    "sample nosuch --n many": "invalid int value: 'many'",
    "sample nosuch --noval": "unknown argument --noval; did you mean '--novel'?",
    "sample nosuch --save": "argument --save: expected one argument",
    "sample nosuch --save out": "no checkpoint or run folder at 'nosuch'",
    "sample nosuch --save /dev/null": "--save /dev/null: /dev/null is no folder; name a new one",
    "sample nosuch --save /dev/null/new/folder": "--save /dev/null/new/folder: /dev/null is no folder; name a new one",
    "sample nosuch --data.dataset dinos": "--data.dataset is for --valid-bars, --novel and --save",
    "sample nosuch --novel --data.dataset": "--data.dataset needs a value",
    "configs dinso": "no recipe 'dinso'; did you mean 'dinos'?",
    "fit --config text": "dataset 'text' needs a text: dataset_args.path, or else train_path",
    "fit --config text --data.dataset_args.path nope.txt": "no file at nope.txt",
    "fit --config text --data.dataset_args.pth my.txt": "command line: 'text' has no argument 'pth'; did you mean 'path'?",
    "fit --config text --data.dataset_args.path .": ". is a folder without files",
    "fit --config labelled": "labelled data need path",
    "fit --config dinos --data.dataset_args.source moon": "source must be one of embedded, course, not moon",
    "fit --config abc --data.dataset_args.transpose [0]": "transpose: 0 semitones",
    "fit --config abc --data.dataset_args.transpose 2": "transpose must be a list like [a, b], not 2",
    "fit --config abc --data.dataset_args.drop_headers XT": "drop_headers must be a list like [a, b], not XT",
    "fit --config abc --data.dataset_args.transpose true": "transpose must be a list like [a, b], not true",
    "fit --config abc --data.dataset_args.transpose [a]": "transpose must be a whole number, not a",
    "fit --config dinos --data.dataset ./mine.py:Mine": "no file at './mine.py'",
    "datasets chekc dinos": "no 'lightseq datasets chekc'; did you mean 'check'? There are: new, check",
    "datasets check": "the following arguments are required: NAME",
    "datasets check dnios": "no dataset called 'dnios'; did you mean 'dinos'?",
    "datasets check dinos --sorce course": "'dinos' has no argument 'sorce'; did you mean 'source'?",
    "datasets check dinos --val_fraction 2": "val_fraction",
    "datasets new My-Data": "'My-Data' is no name for a dataset",
    "datasets new shells_": "'shells_' is no name for a dataset",
    "datasets new dinos": "the name 'dinos' is taken, by the installed lightseq-rnn",
    "datasets --laod": "unknown argument --laod; did you mean '--load'?",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_gets_one_message_and_leaves_nothing(words: str, run: Run) -> None:
    status, out, err = run(words)
    assert status == 2
    assert MISTAKES[words] in err
    assert err.startswith("lightseq: ")
    assert len(err.splitlines()) == 1
    assert len(err) < 400
    assert out == ""
    assert list(Path().iterdir()) == []


FILES = {
    "data:\n  dataset: dinos\nmodel:\n  hiden_size: 12\n": "my.yaml, line 4: unknown key model.hiden_size; did you mean "
    "model.hidden_size?",
    "data:\n  dataset: dinos\nmodle:\n  hidden_size: 12\n": "my.yaml, line 3: unknown key modle",
    "data:\n  dataset: dinos\nmodel:\n  hidden_size: wide\n": "my.yaml, line 4: model.hidden_size must be a whole number, "
    "not 'wide'",
    "data:\n  dataset: dinos\nmodel:\n  hidden_size: -3\n": "my.yaml, line 4: model.hidden_size must be >0, not -3",
    "data:\n  dataset: [dinos\nmodel: 3\n": "my.yaml, line 3: broken YAML",
    "data:\n  dataset: dinos\n  dataset_args:\n    sorce: x\n": "my.yaml, line 4: 'dinos' has no argument 'sorce'",
    "data:\n  dataset: dinos\nmodel:\n  backbone: rnn\n  backbone_args: {activaton: relu}\n": "my.yaml, line 5: 'rnn' has "
    "no argument 'activaton'; did you mean 'activation'?",
    "data:\n  dataset: dinos\nsampling:\n  temperatures: [0.5, -1]\n": "my.yaml, line 4: sampling.temperatures must be >=0",
    "data:\n  dataset: dinos\nmodel:\n  backbone: \x07\n": "my.yaml, line 4: broken YAML: character U+0007 is not allowed",
    "data: dinos\n": "my.yaml, line 1: data is a group of settings, not 'dinos'",
    "model: 3\ndata: {dataset: dinos}\n": "my.yaml, line 1: model is a group of settings, not 3",
}


@pytest.mark.parametrize("text", FILES)
def test_a_mistake_in_a_file_is_told_with_its_line(text: str, run: Run, own_folder: Path) -> None:
    Path("my.yaml").write_text(text)
    status, _, err = run("fit --config my.yaml")
    assert (status, len(err.splitlines())) == (2, 1), err
    assert FILES[text] in err
    assert [path.name for path in Path().iterdir()] == ["my.yaml"]


BAD_TEXTS: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "", "dataset 'text' is empty"),
    "one line": (
        b"only one",
        "--data.dataset_args.by line",
        "too small to split: of its 1 documents none is left to train on",
    ),
    "one character": (b"a", "", "too small to split: of its 1 tokens none is left to train on"),
    "latin-1": (
        b"one\ncaf\xe9\n",
        "",
        "x.txt, line 2: byte 7 (0xE9) is not utf-8; dataset_args.encoding names another one",
    ),
    "NUL": (b"one\ntw\0o\n", "", "x.txt, line 2: a NUL character; this is no text, or not utf-8"),
    "UTF-16": ("one".encode("utf-16"), "", "x.txt, line 1: byte 0 (0xFF) is not utf-8"),
    "one column": (b"a\tx\nb\n", "--data.dataset labelled", "x.txt, line 2: 1 column where 2 are needed"),
    "one label alone": (
        b"a\tx\nb\tx\nc\ty\n",
        "--data.dataset labelled --data.dataset_args.train_path x.txt --data.dataset_args.val_path v.txt",
        "v.txt, line 1: the label 'z' stands nowhere in x.txt",
    ),
    "no tune": (b"CDEF\n", "--data.dataset abc", "no tune in x.txt: one begins with a line X:1"),
}


@pytest.mark.parametrize("kind", BAD_TEXTS)
def test_a_text_that_is_none_is_told_with_its_place(kind: str, run: Run, tiny: str) -> None:
    content, words, message = BAD_TEXTS[kind]
    Path("x.txt").write_bytes(content)
    Path("v.txt").write_text("a\tz\n")
    path = "" if "_path" in words else "--data.dataset_args.path x.txt"
    dataset = "" if "--data.dataset " in words else "--data.dataset text"
    status, out, err = run(f"fit --config {tiny} --sampling.prompts=[''] {dataset} {path} {words}")
    told = [line for line in err.splitlines() if "dropped" not in line]
    assert (status, out, len(told)) == (2, "", 1), err
    assert message in told[0]
    assert sorted(path.name for path in Path().iterdir()) == ["v.txt", "x.txt"]


BAD_CHECKPOINTS = {"junk": b"PK\x03\x04 not really", "empty": b"", "text": b"hello"}


@pytest.mark.parametrize("kind", BAD_CHECKPOINTS)
@pytest.mark.parametrize("verb", ["sample", "validate --ckpt_path", "fit --config dinos --ckpt_path"])
def test_a_file_that_is_no_checkpoint(kind: str, verb: str, run: Run) -> None:
    Path("x.ckpt").write_bytes(BAD_CHECKPOINTS[kind])
    status, _, err = run(f"{verb} x.ckpt")
    assert (status, len(err.splitlines())) == (2, 1), err
    assert "x.ckpt is no checkpoint, or is damaged" in err
    assert [path.name for path in Path().iterdir()] == ["x.ckpt"]


def test_a_checkpoint_cut_short_or_of_another_program(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    last = Path("runs/dinos/version_0/checkpoints/last.ckpt")
    Path("cut.ckpt").write_bytes(last.read_bytes()[:-500])
    status, _, err = run("sample cut.ckpt")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "cut.ckpt is no checkpoint, or is damaged" in err
    import torch

    torch.save({"weights": torch.zeros(3)}, "other.ckpt")
    status, _, err = run("sample other.ckpt")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "other.ckpt is no checkpoint of lightseq's" in err


@pytest.mark.parametrize("verb", ["validate", "test", "predict", "fit"])
def test_a_checkpoint_of_another_alphabet_scores_nothing(verb: str, run: Run, tiny: str, plugin) -> None:
    code = """
from lightseq.data import TextDataset

class Greek(TextDataset):
    def documents(self):
        return ["αβγ" + chr(945 + i % 24) * (i // 24 + 1) for i in range(90)]
"""
    plugin("greek", "lightseq.datasets", {"greek": "greek_plugin:Greek"}, code)
    run(f"fit --config {tiny}")
    before = sorted(Path().rglob("*"))
    words = f"{verb} --data.dataset greek --config {tiny} --ckpt_path runs/dinos/version_0"
    status, out, err = run(f"{words} --trainer.max_steps 9")
    assert status == 2
    message = [line for line in err.splitlines() if "dropped" not in line]
    assert message == [
        "lightseq: dataset 'greek' has 24 tokens that the given vocabulary of 27 lacks: character 'α' (U+03B1), "
        "character 'β' (U+03B2), character 'γ' (U+03B3), character 'δ' (U+03B4), character 'ε' (U+03B5), ..."
    ]
    assert out == ""
    assert sorted(Path().rglob("*")) == before


DATASETS = {
    "Empty": ("[]", "'small' is empty: 0 documents"),
    "Blank": ("['', '']", "'small' is empty: 2 documents and no text"),
    "One": ("['abc']", "'small' is too small to split: of its 1 documents none is left to train on"),
    "Same": ("['abc'] * 50", "'small' is too small to split: of its 50 documents none is left to train on"),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_too_small(name: str, run: Run, tiny: str, plugin) -> None:
    documents, message = DATASETS[name]
    code = f"""
from lightseq.data import TextDataset

class Small(TextDataset):
    def documents(self):
        return {documents}
"""
    plugin("small", "lightseq.datasets", {"small": "small_plugin:Small"}, code)
    status, _, err = run(f"fit --config {tiny} --data.dataset small")
    assert status == 2
    assert message in err.splitlines()[-1]
    assert list(Path().iterdir()) == []


def test_a_dataset_smaller_than_a_batch_trains(run: Run, tiny: str, plugin) -> None:
    code = """
from lightseq.data import TextDataset

class Small(TextDataset):
    def documents(self):
        return ["ab", "ba", "aab", "abb"]
"""
    plugin("small", "lightseq.datasets", {"small": "small_plugin:Small"}, code)
    status, out, err = run(f"fit --config {tiny} --data.dataset small")
    assert status == 0, err
    assert "note   the text is short: batches of 2, in place of the 32 of data.batch_size" in out


def test_a_broken_plugin_is_quoted(run: Run, tiny: str, plugin) -> None:
    plugin("rotten", "lightseq.datasets", {"rotten": "rotten_plugin:X"}, "raise RuntimeError('no licence')")
    status, _, err = run(f"fit --config {tiny} --data.dataset rotten")
    assert status == 2
    assert "is broken: rotten_plugin:X raises RuntimeError: no licence" in err


def test_our_own_bugs_keep_their_traceback(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lightseq.data.datamodule.open_store", bug)
    with pytest.raises(ZeroDivisionError):
        run(f"fit --config {tiny}")


def test_a_bug_in_the_training_is_no_mistake_of_the_users(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ValueError("ours")

    monkeypatch.setattr("lightseq.system.cross_entropy", bug)
    with pytest.raises(ValueError, match=r"^ours$") as caught:
        run(f"fit --config {tiny} --trainer.num_sanity_val_steps 0")
    assert type(caught.value) is ValueError
    assert Path("runs/dinos/version_0/config.yaml").exists()


def test_debug_shows_the_traceback_of_a_mistake(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_DEBUG", "1")
    with pytest.raises(ValueError, match="no verb"):
        run("fti")


LINES = """
from lightseq.data import TextDataset

class Lines(TextDataset):
    def __init__(self, path: str) -> None:
        self.path = path

    def documents(self):
        with open(self.path, encoding="utf-8") as file:
            yield from file
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "argument of 'lines': path is needed"),
        (
            "--data.dataset_args.path nope.txt",
            "dataset 'lines' cannot be read: [Errno 2] No such file or directory: 'nope.txt'",
        ),
        ("--data.dataset_args.path .", "dataset 'lines' cannot be read: [Errno 21] Is a directory: '.'"),
        ("--data.dataset_args.path latin.txt", "dataset 'lines' cannot be read: 'utf-8' codec can't decode byte 0xe9"),
    ],
)
def test_a_file_of_the_users_that_cannot_be_read(words: str, message: str, run: Run, tiny: str, plugin) -> None:
    plugin("lines", "lightseq.datasets", {"lines": "lines_plugin:Lines"}, LINES)
    Path("latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    status, _, err = run(f"fit --config {tiny} --data.dataset lines {words}")
    assert status == 2
    assert message in err.splitlines()[-1]
    assert [path.name for path in Path().iterdir()] == ["latin.txt"]


def test_a_place_where_no_run_folder_can_be_made(run: Run, tiny: str) -> None:
    Path("runs").write_text("")
    status, _, err = run(f"fit --config {tiny}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "no run folder can be made in runs/dinos" in err
    assert "--trainer.default_root_dir names another place" in err


@pytest.mark.parametrize("bound", ["max_steps 3", "max_steps 2"])
def test_a_checkpoint_with_nothing_left_to_do(bound: str, run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, _, err = run(f"fit --config {tiny} --ckpt_path runs/dinos/version_0 --trainer.{bound}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "has 3 updates behind it: to go on, raise --trainer.max_steps above that" in err
    words = "--trainer.max_epochs 1 --trainer.max_steps -1 --trainer.limit_train_batches 2"
    run(f"fit --config {tiny} {words}")
    status, _, err = run(f"fit --config {tiny} {words} --ckpt_path runs/dinos/version_1")
    assert "has 1 epochs behind it: to go on, raise --trainer.max_epochs above that" in err
    assert sorted(path.name for path in Path("runs/dinos").iterdir()) == ["version_0", "version_1"]


def test_a_folder_of_runs_names_the_newest(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    run(f"fit --config {tiny}")
    _, _, err = run("sample runs")
    assert err == "lightseq: no checkpoint in 'runs'; did you mean runs/dinos/version_1?\n"


@pytest.mark.parametrize("group", ["model", "sampling", "trainer", "checkpoint"])
def test_an_empty_group_is_no_mistake(group: str, run: Run, tiny: str) -> None:
    Path("my.yaml").write_text(f"{group}:\n")
    status, _, err = run(f"fit --config {tiny} --config my.yaml")
    assert status == 0, err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def __init__(self): raise FileNotFoundError('no key')\n    def documents(self): return ['a']",
            "'odd' cannot be made: Odd() raises FileNotFoundError: no key",
        ),
        ("def documents(self): return [1, 2]", "'odd' is broken: a document is text or a Document, not 1"),
        ("pass", "'odd' cannot be made: Odd() raises TypeError: Can't instantiate abstract class Odd"),
    ],
)
def test_a_plugin_that_breaks_when_it_is_used(body: str, message: str, run: Run, tiny: str, plugin) -> None:
    code = f"from lightseq.data import TextDataset\n\nclass Odd(TextDataset):\n    {body}\n"
    plugin("odd", "lightseq.datasets", {"odd": "odd_plugin:Odd"}, code)
    status, _, err = run(f"fit --config {tiny} --data.dataset odd")
    assert status == 2
    assert message in err.splitlines()[-1]
    assert list(Path().iterdir()) == []


def test_the_vocabulary_of_a_stream_is_none_for_documents(run: Run, tiny: str, alphabet: str) -> None:
    run(f"fit --config {tiny} --data.dataset {alphabet} --data.window 8")
    status, _, err = run("validate --ckpt_path runs/alphabet/version_0 --data.dataset dinos")
    assert status == 2
    assert err.splitlines()[-1] == "lightseq: the given vocabulary is one of a stream, and dataset 'dinos' is documents"
    run(f"fit --config {tiny}")
    status, _, err = run(f"validate --ckpt_path runs/dinos/version_0 --data.dataset {alphabet}")
    assert status == 2
    assert (
        err.splitlines()[-1] == "lightseq: the given vocabulary is one of documents, and dataset 'alphabet' is a stream"
    )


def test_a_stream_has_no_folds_and_no_loss_of_documents(run: Run, tiny: str, alphabet: str) -> None:
    words = f"fit --config {tiny} --data.dataset {alphabet}"
    assert "data.fold 1: a stream is cut by position" in run(f"{words} --data.fold 1")[2]
    assert "model.loss document needs documents" in run(f"{words} --model.loss document")[2]


def test_weights_alone_cannot_go_on(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny} --checkpoint.save_weights_only true")
    (best,) = Path("runs/dinos/version_0/checkpoints").glob("best*")
    status, _, err = run(f"fit --config {tiny} --ckpt_path {best}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "holds the weights alone" in err
    assert run(f"sample {best}")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--trainer.val_check_interval 5000", "`val_check_interval` (5000)"),
        ("--checkpoint.monitor val/loss_of_sleep", "'val/loss_of_sleep'"),
    ],
)
def test_what_shows_only_when_the_run_begins_leaves_no_folder(words: str, message: str, run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} {words}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert message in err
    assert not Path("runs").exists()
