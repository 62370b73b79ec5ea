"""``lightseq fit`` and its kin, typed as a user would."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq import config
from lightseq.checkpoint import load_trained
from lightseq.commands.run_folder import claim_version
from lightseq.sampling import generate
from lightseq.system import SequenceSystem

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/dinos/version_0")


def checkpoints(folder: Path = FOLDER) -> dict[str, Path]:
    return {path.name.partition("-")[0].removesuffix(".ckpt"): path for path in (folder / "checkpoints").iterdir()}


def test_a_run_from_beginning_to_end(run: Run, tiny: str) -> None:
    status, out, err = run(f"fit --config {tiny}")
    assert status == 0, err
    assert "1,071 train, 134 val, 134 test documents, 27 tokens" in out
    assert "\nbeat   uniform 3.296, unigram 2." in out
    assert re.search(r"^update 2, samples:\n(  T=.*\n)*  T=1.00 'tri': tri", out, re.MULTILINE)
    assert "update 3, samples:\n  T=0.00 '': " in out
    assert "10 samples of best-step=3" in out
    assert "lightseq sample runs/dinos/version_0" in out
    assert {path.name.lstrip(".").split(".")[0] for path in FOLDER.iterdir()} == {
        *("lock", "checkpoints", "config", "events", "hparams", "memory", "results", "samples", "yardsticks"),
    }
    best, last = checkpoints()["best"], checkpoints()["last"]
    content = torch.load(last, weights_only=True)
    assert content["global_step"] == 3
    (values,) = [line for line in out.splitlines() if line.startswith("best, after")]
    bpc = float(values.split("val/bpc ")[1].split(",")[0])
    assert best.name == f"best-step=3-val_bpc={bpc:.4f}.ckpt"
    assert bpc < math.log2(27)


def test_the_samples_file_and_the_board(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    lines = [json.loads(line) for line in (FOLDER / "samples.jsonl").read_text().splitlines()]
    assert [(line["step"], line["prompt"], line["temperature"]) for line in lines] == [
        (step, prompt, temperature) for step in (2, 3) for prompt in ("", "tri") for temperature in (0.0, 1.0)
    ]
    board = EventAccumulator(str(FOLDER), size_guidance={"tensors": 0})
    board.Reload()
    assert {"samples/T=0.00/text_summary", "samples/T=1.00/text_summary", "samples/table/text_summary"} <= set(
        board.Tags()["tensors"]
    )
    scalars = set(board.Tags()["scalars"])
    assert {"train/loss", "train/bpc", "train/gradient_norm", "train/learning_rate"} <= scalars
    assert {"train/tokens_per_second"} <= scalars
    assert {"val/loss", "val/bpc", "val/perplexity", "val/nats_per_document", "val/accuracy"} <= scalars
    shown = board.Tensors("samples/T=1.00/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert all(line["text"] in shown for line in lines if line["step"] == 3 and line["temperature"] == 1.0)


def test_the_resolved_config_repeats_the_run(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny} --model.hidden_size 7")
    status, _, err = run(f"fit --config {FOLDER}/config.yaml")
    assert status == 0, err
    resolved = [yaml.safe_load(Path(f"runs/dinos/version_{i}/config.yaml").read_text()) for i in (0, 1)]
    assert resolved[0] == resolved[1]
    assert resolved[0]["model"]["hidden_size"] == 7
    weights = [torch.load(f"runs/dinos/version_{i}/checkpoints/last.ckpt")["state_dict"] for i in (0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_sampling_does_not_change_the_training(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny} --model.dropout 0.3 --trainer.max_steps 6 --sampling.every_n_steps 1")
    run(f"fit --config {tiny} --model.dropout 0.3 --trainer.max_steps 6 --sampling.every_n_steps 0")
    weights = [torch.load(f"runs/dinos/version_{i}/checkpoints/last.ckpt")["state_dict"] for i in (0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert len(Path("runs/dinos/version_0/samples.jsonl").read_text().splitlines()) > 3 * len(
        Path("runs/dinos/version_1/samples.jsonl").read_text().splitlines()
    )


def test_a_checkpoint_decodes_alone(run: Run, tiny: str, tmp_path: Path) -> None:
    run(f"fit --config {tiny}")
    carried = tmp_path / "model.ckpt"
    checkpoints()["last"].rename(carried)
    trained = load_trained(carried)
    assert trained.vocabulary.decode(trained.vocabulary.encode("tyrannosaurus")) == "tyrannosaurus"
    samples = generate(trained.model, trained.vocabulary, ["tri"], [1.0], n=3, length=5)
    assert all(sample.text.startswith("tri") for sample in samples)
    system = SequenceSystem.load_from_checkpoint(carried, weights_only=True)
    tokens = torch.tensor([trained.vocabulary.encode("tyranno")])
    assert torch.equal(system.eval()(tokens)[0], trained.model(tokens)[0])


def test_a_checkpoint_holds_plain_types_and_names_no_code(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny} --model.weight_decay 0.1")
    content = torch.load(checkpoints()["last"], weights_only=True)
    settings = {**content["hyper_parameters"], **content["datamodule_hyper_parameters"]}
    assert settings["dataset"] == "dinos"
    assert settings["vocabulary"][:2] == ["", "a"]
    assert not {"_instantiator", "_class_path", "class_path"} & set(settings)
    assert {type(value) for value in settings.values()} <= {int, float, str, bool, list, dict, type(None)}


@pytest.mark.parametrize("settings", ["--trainer.max_steps 20", "--trainer.max_epochs 3 --trainer.max_steps -1"])
def test_every_run_ends_with_a_validation(run: Run, tiny: str, settings: str) -> None:
    """Stopped in the middle of an epoch, or after one that is not validated."""
    status, out, err = run(f"fit --config {tiny} --trainer.check_val_every_n_epoch 2 {settings}")
    assert status == 0, err
    content = torch.load(checkpoints()["last"])
    last = content["global_step"]
    assert last == (20 if "20" in settings else 3 * math.ceil(1071 / 32))
    assert any(f"best-step={last}-" in path.name for path in checkpoints().values()), out


def test_a_run_stops_early_where_it_no_longer_gets_better(run: Run, tiny: str) -> None:
    often = f"fit --config {tiny} --trainer.max_steps 30 --trainer.val_check_interval 1 --model.optimizer sgd"
    status, _, err = run(f"{often} --early_stopping 3 --model.learning_rate 1e-30")  # moves nothing
    assert status == 0, err
    assert json.loads((FOLDER / "results.json").read_text())["step"] == 1
    assert torch.load(checkpoints()["last"], weights_only=True)["global_step"] == 1 + 3
    run(often)
    whole = checkpoints(Path("runs/dinos/version_1"))["last"]
    assert torch.load(whole, weights_only=True)["global_step"] == 30
    status, _, err = run(f"{often} --early_stopping 0")
    assert status == 2
    assert "early_stopping" in err


def test_smoothed_labels_train_and_plain_ones_are_logged(run: Run, tiny: str) -> None:
    losses = []
    for share in (0.0, 0.3):
        words = f"--model.label_smoothing {share} --model.learning_rate 1e-12 --trainer.logger CSVLogger"
        status, _, err = run(f"fit --config {tiny} {words} --trainer.logger.save_dir logs{share}")
        assert status == 0, err
        rows = next(Path(f"logs{share}").rglob("metrics.csv")).read_text().splitlines()
        place = rows[0].split(",").index("train/loss")
        losses.append([row.split(",")[place] for row in rows[1:]])
    assert any(losses[0])
    assert losses[0] == losses[1]


def test_validate_repeats_the_number_of_fit(run: Run, tiny: str) -> None:
    _, out, _ = run(f"fit --config {tiny}")
    (best,) = [line for line in out.splitlines() if line.startswith("best, after")]
    loss = best.split("val/loss ")[1].split(",")[0]
    for words in (
        f"--ckpt_path {FOLDER}",
        f"--ckpt_path {checkpoints()['best']}",
        f"--config {tiny} --ckpt_path {FOLDER}",
    ):
        status, out, err = run(f"validate {words} --data.batch_size 5")
        assert status == 0, err
        (row,) = [line for line in out.splitlines() if "val/loss" in line]
        assert f"{float(row.split()[1]):.4f}" == loss
    assert not Path("checkpoints").exists()
    assert len(list(Path("runs/dinos").iterdir())) == 1


def test_test_and_predict(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, out, _ = run(f"test --ckpt_path {FOLDER}")
    assert status == 0
    (row,) = [line for line in out.splitlines() if "test/nats_per_document" in line]
    status, out, _ = run(f"predict --ckpt_path {FOLDER}")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert status == 0
    assert header == ["nats", "text"]
    assert len(rows) == 134
    nats = sum(float(nats) * (len(name) + 1) for nats, name in rows) / 134
    assert nats == pytest.approx(float(row.split()[1]), rel=1e-4)


def test_a_fit_goes_on_from_a_checkpoint(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, _, err = run(f"fit --config {tiny} --ckpt_path {checkpoints()['last']} --trainer.max_steps 5")
    assert status == 0, err
    assert torch.load("runs/dinos/version_1/checkpoints/last.ckpt")["global_step"] == 5


def test_the_checkpoints_sizes_rule_and_say_so(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, _, err = run(f"validate --config {tiny} --ckpt_path {FOLDER} --model.hidden_size 9 --model.num_layers 1")
    assert status == 0
    assert "command line: model.hidden_size is 6 in the checkpoint, which rules" in err
    assert "num_layers" not in err


def test_another_dataset_drops_what_belonged_to_the_old_one(run: Run, tiny: str, alphabet: str) -> None:
    status, out, err = run(f"fit --config {tiny} --data.dataset {alphabet} --data.window 8")
    assert status == 0, err
    assert "data.dataset is alphabet: sampling.prompts of dinos is dropped" in err
    assert "'ab': ab" in out
    assert Path("runs/alphabet/version_0/config.yaml").exists()


def test_a_stream_of_little_text_gets_fewer_rows(run: Run, tiny: str, alphabet: str) -> None:
    words = f"--data.dataset {alphabet} --data.dataset_args.times 10 --data.window 16"
    status, out, err = run(f"fit --config {tiny} {words}")
    assert status == 0, err
    assert "note   the text is short: batches of 12, in place of the 32 of data.batch_size" in out
    run("predict --ckpt_path runs/alphabet/version_0")


def test_a_labelled_dataset(run: Run, tiny: str, vowels: str) -> None:
    status, out, err = run(f"fit --config {tiny} --data.dataset {vowels} --data.dataset_args.tagged false")
    assert status == 0, err
    assert "samples" not in out.partition("in runs/")[0]
    assert re.search(r"best, after update 3: .*val/accuracy 0\.\d+, val/macro_f1 0\.\d+\n", out)
    board = EventAccumulator("runs/vowels/version_0", size_guidance={"images": 0}).Reload()
    assert len(board.Images("val/confusion_matrix")) == 1
    (best,) = Path("runs/vowels/version_0/checkpoints").glob("best-*")
    assert re.fullmatch(r"best-step=3-val_loss=0\.\d{4}\.ckpt", best.name)


@pytest.mark.parametrize("backbone", ["rnn", "gru"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_backbones_and_precisions(run: Run, tiny: str, backbone: str, precision: str) -> None:
    status, _, err = run(f"fit --config {tiny} --model.backbone {backbone} --trainer.precision {precision}")
    assert status == 0, err
    assert run(f"sample {FOLDER} --n 1")[0] == 0


def test_lightnings_own_callbacks_and_loggers_go_beside_the_houses(run: Run, tiny: str) -> None:
    words = "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor=val/loss --trainer.logger=CSVLogger"
    status, _, err = run(f"fit --config {tiny} {words} --trainer.logger.save_dir=elsewhere")
    assert status == 0, err
    assert len(list(Path("elsewhere").rglob("samples.jsonl"))) == len(list(Path("elsewhere").rglob("last.ckpt"))) == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "words",
    [
        "--trainer.fast_dev_run true",
        "--trainer.logger false --trainer.enable_checkpointing false",
        "--trainer.limit_val_batches 0",
        "--trainer.enable_progress_bar true",
        "--trainer.profiler simple",
        "--model.backbone_args null",
    ],
)
def test_lightnings_switches(run: Run, tiny: str, words: str) -> None:
    status, _, err = run(f"fit --config {tiny} {words}")
    assert status == 0, err
    if "fast_dev_run" in words or "logger" in words:
        assert not Path("runs").exists()


def test_print_config_and_help_read_no_data(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr("lightseq.data.datamodule.open_store", never)
    for words in (f"fit --config {tiny} --print_config", "fit --help"):
        with pytest.raises(SystemExit) as caught:
            run(words)
        assert caught.value.code == 0
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("recipe", [name for name in config.recipes() if "/" not in name])
def test_every_recipe_runs(recipe: str, run: Run) -> None:
    corpora = {"abc": "irish.abc", "names": "names.txt", "shakespeare": "tinyshakespeare.txt"}
    corpus = corpora.get(recipe.removesuffix("_best"))
    if corpus and not Path(os.environ.get("LIGHTSEQ_DATA", ""), corpus).is_file():
        pytest.skip(f"LIGHTSEQ_DATA has no {corpus}")
    Path("my.txt").write_text("".join(f"text {number}\t{'odd' if number % 2 else 'even'}\n" for number in range(99)))
    words = "--sampling.judged 2"
    words += " --data.dataset_args.path my.txt" if recipe in ("text", "labelled") else ""
    status, _, err = run(f"fit --config {recipe} {words} --trainer.fast_dev_run true --trainer.accelerator cpu")
    assert status == 0, err


def test_a_dataset_whose_own_splits_overlap_is_told_about(run: Run, tiny: str) -> None:
    Path("x.txt").write_text("ab\nba\ncd\n")
    words = "--data.dataset_args.train_path x.txt --data.dataset_args.val_path x.txt --data.dataset_args.by line"
    status, out, err = run(f"fit --config {tiny} --sampling.prompts=[''] --data.dataset text {words}")
    assert status == 0, err
    assert "note   3 held-out documents also stand in training" in out
    assert "also stand in training" not in run(f"fit --config {tiny}")[1]


def test_seeds(run: Run, tiny: str) -> None:
    """``seed_everything`` is the seed of the weights and of the order, but not of the split."""
    outs = [run(f"fit --config {tiny} --seed_everything {seed}")[1] for seed in (0, 0, 1)]
    best = [next(line for line in out.splitlines() if line.startswith("best")) for out in outs]
    assert best[0] == best[1] != best[2]
    pl.seed_everything(0)


def test_a_fit_goes_on_from_a_run_in_another_folder(run: Run, tiny: str, own_folder: Path) -> None:
    """The best checkpoint of the old run is named in the new one, relative to a folder that is no more."""
    run(f"fit --config {tiny}")
    elsewhere = own_folder / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    words = "--trainer.max_steps 4 --model.learning_rate 1e-9"
    status, out, err = run(f"fit --config {tiny} --ckpt_path ../{FOLDER} {words}")
    assert status == 0, err
    assert "samples of" in out


def test_an_interrupted_run_says_how_it_goes_on(tiny: str) -> None:
    words = [sys.executable, "-m", "lightseq", "fit", "--config", tiny, "--trainer.max_steps=1000000"]
    words += ["--trainer.val_check_interval=3", "--sampling.every_n_steps=5"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("update 5, samples"))
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr is not None
        err = process.stderr.read()
    assert process.returncode == 130
    stopped = re.fullmatch(r"lightseq: stopped by SIGINT after update (\d+); fit --resume (\S+) goes on\n", err)
    assert stopped
    assert stopped[2] == str(FOLDER)
    assert load_trained(FOLDER)


def test_two_runs_at_once_get_a_folder_each(own_folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claim_version, [own_folder / "runs" / "dinos"] * 40))
    assert sorted(int(folder.name[len("version_") :]) for folder, _ in claimed) == list(range(40))


def test_a_run_stopped_by_the_clock_ends_with_a_validation(run: Run, tiny: str) -> None:
    words = "--trainer.max_time 00:00:00:01 --trainer.max_steps -1 --trainer.check_val_every_n_epoch 1000"
    status, out, err = run(f"fit --config {tiny} {words}")
    assert status == 0, err
    assert "best, after update" in out


def test_a_fit_that_goes_on_keeps_the_checkpoints_optimiser_and_says_so(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    words = "--trainer.max_steps 5 --model.learning_rate 1e-9 --model.optimizer sgd"
    status, _, err = run(f"fit --config {tiny} --ckpt_path {FOLDER} {words}")
    assert status == 0
    assert "model.learning_rate is 0.003 in the checkpoint, which rules" in err
    assert "model.optimizer is adamw in the checkpoint, which rules" in err
    content = torch.load("runs/dinos/version_1/checkpoints/last.ckpt", weights_only=True)
    assert content["hyper_parameters"]["learning_rate"] == content["optimizer_states"][0]["param_groups"][0]["lr"]


def test_characters_beyond_the_basic_plane_in_a_config(run: Run, tiny: str, plugin) -> None:
    code = """
from lightseq.data import TextDataset

class Faces(TextDataset):
    def documents(self):
        return [chr(0x1F600 + i) * 3 for i in range(30)]
"""
    plugin("faces", "lightseq.datasets", {"faces": "faces_plugin:Faces"}, code)
    Path("faces.yaml").write_text("data: {dataset: faces}\nsampling: {prompts: ['\U0001f600']}\n", encoding="utf-8")
    status, out, err = run(f"fit --config {tiny} --config faces.yaml")
    assert status == 0, err
    assert "T=0.00 '\U0001f600': \U0001f600" in out.partition("update 3, samples:")[2]


def test_a_terminal_that_cannot_show_a_character_does_not_end_the_training(tiny: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "greek-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greek\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lightseq.datasets]\ngreek = greek_site:Greek\n")
    (site / "greek_site.py").write_text(
        "from lightseq.data import TextDataset\n"
        "class Greek(TextDataset):\n"
        "    def documents(self):\n"
        "        return [chr(945 + i % 24) * 3 for i in range(24)]\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(site)}
    words = [sys.executable, "-m", "lightseq", "fit", "--config", tiny, "--data.dataset", "greek"]
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"???" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "lightseq", "sample", "runs/greek/version_0"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_callback_of_ones_own_beside_the_houses_checkpoints(run: Run, tiny: str) -> None:
    words = "--trainer.callbacks+=ModelCheckpoint --trainer.callbacks.filename=mine"
    status, _, err = run(f"fit --config {tiny} {words}")
    assert status == 0, err
    assert {"mine", "best", "last"} == set(checkpoints())
