"""Values that no one types by hand: each gets one short message, and leaves nothing."""

import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lightseq.callbacks import sample_files

from lightseq import cli

Run = Callable[..., tuple[int, str, str]]

LONG = "n" * 300
"""More bytes than the name of a file has."""

COMMANDS = (
    "fit --config {}",
    "fit --config dinos --ckpt_path {}",
    "fit --config dinos --resume {}",
    "fit --config dinos --init_from {}",
    "fit --config dinos --data.dataset ./{}.py:My",
    "fit --config text --data.dataset_args.path {}",
    "validate --ckpt_path {}",
    "test --ckpt_path {}",
    "predict --ckpt_path {}",
    "sample {}",
    "sample nosuch --save {}/a",
    "inspect {}",
    "inspect nosuch --html {}/a",
    "board {}",
    "compare {} other",
    "datasets check {}",
    "datasets check text --path {}",
    "datasets new {}",
    "datasets new mine --folder {}",
    "configs {}",
    "sweep --config {}",
    "verify-resume --config {}",
)
"""Every flag that takes the name of a file."""


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that is refused, checked for its length and for what it leaves."""
    capsys.readouterr()
    status = cli.main(words)
    err = capsys.readouterr().err
    assert status == 2, err
    message = err[err.rindex("lightseq: ") :]
    assert len(message.rstrip("\n")) <= 400
    assert message.count("\n") <= 3
    assert list(Path().iterdir()) == []
    return message


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [LONG, "nul\0here"], ids=["long", "nul"])
def test_a_name_that_no_file_can_have(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused([word.format(name) for word in command.split()], capsys)
    assert "\0" not in message


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_not_utf_8(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused([word.format("caf\udce9") for word in command.split()], capsys)
    assert "caf\\udce9" in message
    assert "not UTF-8" in message


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown key model.\\x1b[31mred" in refused(["fit", "--config", "dinos", "--model.\x1b[31mred=1"], capsys)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        (
            "--n",
            10**12,
            "1,000,000,000,000 texts of up to 512 tokens would take 4.3 PB of memory, and this machine has",
        ),
        ("--length", 10**15, "5 texts of up to 1,000,000,000,000,000 tokens would take 40 PB of memory"),
    ],
)
def test_more_text_than_memory(flag: str, value: int, message: str, run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    status, out, err = run(f"sample runs/dinos/version_0 {flag} {value}")
    assert (status, out) == (2, "")
    assert message in err


def test_more_candidates_than_tokens_are_all_of_them(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    _, expected, _ = run("sample runs/dinos/version_0")
    assert run(f"sample runs/dinos/version_0 --top-k {10**30}")[:2] == (0, expected)


@pytest.mark.parametrize("name", ["hidden_size", "num_layers", "embedding_size"])
def test_a_network_larger_than_memory(name: str, run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} --model.{name} 1000000000000")
    assert status == 2
    assert f"{name} 1000000000000" in err
    assert "of memory, and this machine has" in err
    assert len(err) <= 401
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--model.backbone mingru --model.backbone_args.expansion 1000000000000",
            "backbone mingru, backbone_args",
        ),
        ("--trainer.devices 1000000000", "trainer.devices 1000000000: that many processes would take 100 PB of memory"),
    ],
)
def test_other_sizes_that_no_memory_holds(words: str, message: str, run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} {words}")
    assert status == 2
    assert message in err
    assert "memory" in err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("key", ["model.learning_rate", "model.dropout", "model.backbone", "trainer.accelerator"])
def test_a_null_that_is_no_value(key: str, run: Run, tiny: str, own_folder: Path) -> None:
    group, _, name = key.partition(".")
    file = own_folder.parent / "null.yaml"
    file.write_text(f"{group}:\n  {name}: null\n")
    status, _, err = run(f"fit --config {tiny} --config {file}")
    assert (status, err.startswith(f"lightseq: {file}, line 2: {key} cannot be null")) == (2, True)
    assert list(Path().iterdir()) == []


def test_a_refusal_of_the_trainer_leaves_no_folder(run: Run, tiny: str) -> None:
    words = "--data.batch_size 500 --trainer.val_check_interval 300"
    status, _, err = run(f"fit --config {tiny} {words}")
    assert (status, "val_check_interval" in err) == (2, True)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--trainer.min_steps 16", "trainer.min_steps 16 is more than trainer.max_steps 3"),
        ("--trainer.accumulate_grad_batches 200000000", "accumulate_grad_batches must be between 0 and 1000000"),
        ("--checkpoint.filename a{b", "checkpoint.filename 'a{b': "),
        ("--checkpoint.filename {val/bpc:>1000000000}", "the field 'val/bpc' is more than 99 characters wide"),
        (f"--checkpoint.filename {'a' * 200}", "makes names of 200 bytes, and a file's name has room for 190"),
        (f"--checkpoint.filename {'ü' * 96}", "makes names of 192 bytes, and a file's name has room for 190"),
        (f"--checkpoint.filename {'{val/bpc:>90}' * 2}", "makes names of 196 bytes"),
    ],
)
def test_settings_that_show_their_trouble_late(words: str, message: str, run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} {words}")
    assert (status, message in err) == (2, True), err
    assert list(Path().iterdir()) == []


def test_the_longest_name_of_a_checkpoint_can_be_written(run: Run, tiny: str) -> None:
    assert run(f"fit --config {tiny} --checkpoint.filename {'a' * 190} --checkpoint.save_top_k -1")[0] == 0
    assert len(list(Path().glob(f"*/*/*/checkpoints/{'a' * 190}*.ckpt"))) >= 1


@pytest.mark.parametrize("words", ["sample x --n=--", "sample x --top-k=--", "inspect x --text a --top=--"])
def test_a_flag_whose_value_is_two_dashes(words: str, run: Run) -> None:
    status, _, err = run(words)
    assert (status, "needs a value, not '--'" in err) == (2, True)


def test_samples_are_saved_in_no_name_that_is_too_long(run: Run, tiny: str) -> None:
    assert run(f"fit --config {tiny}")[0] == 0
    status, _, err = run(f"sample runs/dinos/version_0 --n 1 --save {'n' * 256}")
    assert (status, "File name too long" in err) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
@pytest.mark.parametrize("words", ["sample", "validate --ckpt_path", "fit --resume", "compare other"])
def test_a_folder_that_may_not_be_read(words: str, run: Run) -> None:
    Path("closed").mkdir(mode=0)
    assert run(f"{words} closed")[0] == 2


def test_compare_reads_the_end_of_large_samples(run: Run, tiny: str) -> None:
    for _ in range(2):
        assert run(f"fit --config {tiny}")[0] == 0
    words = "compare runs/dinos/version_0 runs/dinos/version_1"
    expected = run(words)
    for number in (0, 1):
        file = Path(f"runs/dinos/version_{number}/samples.jsonl")
        lines = file.read_bytes()
        with file.open("wb") as large:
            large.truncate(3 << 30)  # no disk is used
            large.seek(0, os.SEEK_END)
            large.write(b"\n" + lines)
    assert run(words) == expected


@pytest.mark.parametrize("verb", ["sweep --seeds 2", "verify-resume"])
def test_a_configuration_that_can_be_read_once(verb: str, run: Run) -> None:
    os.mkfifo("config.yaml")
    status, _, err = run(f"{verb} --config config.yaml")
    assert (status, "a pipe can be read once: write it to a file" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seed_everything -1", "seed_everything must be between 0 and 4294967295, not -1"),
        (f"--seed_everything {10**30}", f"seed_everything must be between 0 and 4294967295, not {10**30}"),
        (f"--data.window {10**30}", f"data.window must be between 0 and 2147483647, not {10**30}"),
        (f"--sampling.length {10**15}", "texts of up to 1,000,000,000,000,000 tokens"),
    ],
)
def test_a_number_that_is_too_large(words: str, message: str, run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} {words}")
    assert status == 2
    assert message in err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("end", [".gz", ".xz"])
@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_damaged_archive_is_named(end: str, harm: str, run: Run, tiny: str, own_folder: Path) -> None:
    text = "".join(f"{number} squared is {number**2}\n" for number in range(3000)).encode()
    packed = bytearray(gzip.compress(text) if end == ".gz" else lzma.compress(text))
    if harm == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[40:60] = bytes(range(20))
    file = own_folder.parent / f"text.txt{end}"
    file.write_bytes(packed)
    status, _, err = run(f"fit --config {tiny} --data.dataset text --data.dataset_args.path {file}")
    assert status == 2
    assert f"{file} cannot be read: " in err
    assert list(Path().iterdir()) == []


def test_a_folder_with_a_number_that_is_none(run: Run, tiny: str) -> None:
    Path("runs/dinos/version_²").mkdir(parents=True)
    Path("runs/dinos/version_٣").mkdir()
    assert run(f"fit --config {tiny}")[0] == 0
    assert sorted(path.name for path in Path("runs/dinos").iterdir()) == ["version_0", "version_²", "version_٣"]
    assert run(f"fit --config {tiny} --resume auto")[0] == 0


@pytest.mark.parametrize("columns", ["0", "000", "-3", "²", "wide", "99999999"])
def test_a_terminal_of_no_width(columns: str, run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(f"fit --config {tiny}")
    run(f"fit --config {tiny} --model.hidden_size 7")
    words = "compare runs/dinos/version_0 runs/dinos/version_1"
    monkeypatch.setenv("COLUMNS", "80")
    expected = run(words)
    monkeypatch.setenv("COLUMNS", columns)
    assert run(words) == expected
    assert "model.hidden_size" in expected[1]


@pytest.mark.parametrize("record", ["config.yaml", "results.json", "samples.jsonl"])
def test_a_pipe_in_the_place_of_a_record_is_not_read(record: str, run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    run(f"fit --config {tiny}")
    file = Path("runs/dinos/version_0", record)
    file.unlink()
    os.mkfifo(file)
    status, out, _ = run("compare runs/dinos/version_0 runs/dinos/version_1")
    assert status == 0
    assert f"note  {file} is no file" in " ".join(out.split()).replace("note ", "note  ")
    assert run("validate --ckpt_path runs/dinos/version_0 --data.dataset dinos --data.batch_size 32")[0] == 0


def test_a_pipe_in_the_place_of_samples_is_not_written(own_folder: Path) -> None:
    os.mkfifo("samples.jsonl")
    with pytest.raises(OSError, match=r"samples\.jsonl is a pipe"):
        sample_files._append(Path("samples.jsonl"), "a line\n")


def test_a_pipe_in_the_place_of_a_checkpoint_is_not_read(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    for file in Path("runs/dinos/version_0/checkpoints").iterdir():
        file.unlink()
        os.mkfifo(file)
    status, _, err = run("sample runs/dinos/version_0")
    assert (status, err) == (
        2,
        "lightseq: no checkpoint in 'runs/dinos/version_0': the run ended before its first one\n",
    )


def test_a_configuration_may_come_through_a_pipe(run: Run, tiny: str, own_folder: Path) -> None:
    pipe = own_folder.parent / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(Path(tiny).read_text(),))
    writer.start()
    status, _, _ = run(f"fit --config {pipe}")
    writer.join()
    assert status == 0
    assert Path("runs/dinos/version_0/config.yaml").is_file()


def test_a_search_for_runs_does_not_walk_the_disk(run: Run, own_folder: Path) -> None:
    for place in ("a/b/c/version_1/checkpoints", "a/version_2/checkpoints"):
        (own_folder.parent / "disk" / place).mkdir(parents=True)
    status, _, err = run(f"sample {own_folder.parent / 'disk'}")
    assert status == 2
    assert err.endswith(f"did you mean {own_folder.parent / 'disk' / 'a' / 'version_2'}?\n")
