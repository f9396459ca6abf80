"""The program as a person meets it: words in, exit code and messages out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.main import get_command
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.data.cache import Cache
from disasymnet.data.loader import tumours_of
from disasymnet.errors import DatasetError
from disasymnet.phantom import PhantomSettings
from disasymnet.reproduce.plan import recipe_of
from disasymnet.settings import SynthesisSettings
from disasymnet.testkit.table import make_table

COMMANDS = [
    "phantom", "scan", "explain", "describe", "prepare", "tumours", "pretrain", "train", "evaluate",
    "counterfactual", "shortcuts", "predict", "report", "reproduce", "recipe", "doctor",
]  # fmt: skip


def program(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "disasymnet.cli", *words], capture_output=True, text=True, check=False)


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom disasymnet.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert not {'torch', 'numpy', 'pydicom'} & set(sys.modules), 'heavy import'\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", [*COMMANDS, "weights", "qa"])
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.output


def test_the_commands_are_these() -> None:
    assert sorted(get_command(app).commands) == sorted([*COMMANDS, "weights", "qa"])


def test_the_help_of_phantom_names_the_largest_picture() -> None:
    shown = CliRunner().invoke(app, ["phantom", "--help"], env={"COLUMNS": "200"}).output
    largest = int(shown.partition("128<=x<=")[2].partition("]")[0])
    PhantomSettings(rows=largest)
    with pytest.raises(ValidationError):
        PhantomSettings(rows=largest + 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "nothing", "--data", "none", "--out", "run"], "no preset is called 'nothing'"),
        (
            ["train", "phantom", "--data", "none", "--out", "run", "--set", "train.epoch=3"],
            "Did you mean 'train.epochs'?",
        ),
        (["train", "phantom", "--data", "none", "--out", "run"], "none"),
        (["prepare", "minimias", "none", "--out", "cache"], "mini-mias"),
        (["prepare", "mini-mias", "none", "--out", "cache"], "none"),
        (["prepare", "phantom", "empty", "--out", "cache"], "empty"),
        (["evaluate", "none", "--data", "none"], "none"),
        (["counterfactual", "--data", "none", "--out", "bench", "--runs", "a=b"], "none"),
        (["shortcuts", "none", "--data", "none", "--out", "checks"], "none"),
        (["predict", "R.dcm", "L.dcm", "--model", "none", "--out", "answer"], "none"),
        (["report", "none", "--out", "page.html"], "none"),
        (["phantom", "out", "--contrast", "loud"], "loud"),
        (["phantom", "."], "the current folder cannot be made anew"),
        (["tumours", "inbreast", "empty", "--out", "empty/.."], "the current folder cannot be made anew"),
        (["weights", "import", "none.pth"], "none.pth"),
        (["scan", "none"], "none"),
        (["scan", "empty"], "no file"),
        (["qa", "laterality", "none"], "no such folder"),
        (["prepare", "folder", "empty", "--out", "cache"], "no file"),
        (["explain", "none.dcm"], "none.dcm"),
        (["explain", "none.dcm", "--voi", "bone"], "bone"),
        (["describe", "vindr", "empty"], "breast-level_annotations.csv is missing"),
        (["tumours", "inbreast", "empty", "--out", "T"], "INbreast.csv is missing"),
        (["prepare", "ddsm", "empty", "--out", "cache", "--official-split"], "no official split"),
    ],
)
def test_bad_input_gets_one_message_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    ended = program(*words)
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) <= 3
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]  # nothing half-written


def test_recipe_lists_presets_and_prints_one() -> None:
    listed = CliRunner().invoke(app, ["recipe"])
    assert all(name in listed.output for name in ("literal", "paper", "recommended", "phantom"))
    assert '"refine": 1.0' in CliRunner().invoke(app, ["recipe", "paper"]).output


def test_a_path_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "pictures").mkdir()
    words = ["scan", str(tmp_path / "pictures"), "--out", str(tmp_path / "taken")]
    ended = subprocess.run(
        [sys.executable, "-m", "disasymnet.cli", *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("disasymnet: ")


OUT_FOLDERS = [
    "phantom {}", "scan none --out {}", "prepare folder none --out {}", "explain none --out {}",
    "tumours folder none --out {}", "pretrain phantom --data none --out {}", "train phantom --data none --out {}",
    "evaluate none --data none --out {}", "counterfactual --data none --out {}", "shortcuts none --data none --out {}",
    "predict a b --model none --out {}", "reproduce table1 --data none --out {}",
]  # fmt: skip


@pytest.mark.parametrize("words", [*OUT_FOLDERS, "report none --out {}/page.html", "qa laterality none --out {}/x.csv"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_an_output_path_that_is_taken_is_told_before_the_work(tmp_path: Path, words: str, below: str) -> None:
    """The file is named, and not the input, which is missing too."""
    (tmp_path / "taken").write_text("a file")
    ended = CliRunner().invoke(app, words.format(f"{tmp_path / 'taken'}{below}").split())
    assert isinstance(ended.exception, NotADirectoryError)
    assert ended.exception.filename == str(tmp_path / "taken")


@pytest.mark.parametrize("words", ["report none --out {}", "qa laterality none --out {}"])
def test_a_file_is_not_written_over_a_folder(tmp_path: Path, words: str) -> None:
    ended = CliRunner().invoke(app, words.format(tmp_path).split())
    assert isinstance(ended.exception, IsADirectoryError)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["evaluate none --data none --out taken", "report none --out ."])
def test_a_taken_path_is_one_message_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    ended = program(*words.split())
    assert ended.returncode == 2
    assert ended.stderr.endswith("directory\nTake another path, or mend this one, and run it again.\n")
    assert len(ended.stderr.splitlines()) == 2


@pytest.mark.slow
def test_exams_without_tumours_can_be_prepared(tmp_path: Path) -> None:
    made = f"phantom {tmp_path}/exams --exams 4 --rows 128 --tumours 0 --workers 1"
    prepared = f"prepare phantom {tmp_path}/exams --out {tmp_path}/cache --height 64 --workers 1"
    for words in (made, prepared):
        ended = CliRunner().invoke(app, words.split())
        assert ended.exit_code == 0, ended.exception
    assert not (tmp_path / "exams" / "tumours").exists()


@pytest.mark.slow
def test_tables_of_ones_own_are_told_apart_by_their_names(tmp_path: Path) -> None:
    make_table(tmp_path / "in")
    root = str(tmp_path / "in")
    ended = CliRunner().invoke(app, ["tumours", "table", root, "--out", f"{tmp_path}/T", "--called", "St Mary"])
    assert ended.exit_code == 0, ended.exception
    caches = {}
    for name in ("St  Mary", "Charite"):
        out = tmp_path / name
        words = ["prepare", "table", root, "--out", str(out), "--height", "64", "--tumours", f"{tmp_path}/T"]
        ended = CliRunner().invoke(app, [*words, "--workers", "1", "--called", name])
        assert ended.exit_code == 0, ended.exception
        caches[name] = Cache.open(out)
    assert caches["Charite"].dataset == "Charite"
    assert recipe_of(caches["Charite"], None) == "in-house"
    tumours_of(caches["Charite"], SynthesisSettings())
    with pytest.raises(DatasetError, match="'St Mary', the data set trained on"):
        tumours_of(caches["St  Mary"], SynthesisSettings())
    for dataset, name in (("mini-mias", "mine"), ("table", " "), ("table", "phantom")):
        ended = program("prepare", dataset, root, "--out", str(tmp_path / "none"), "--called", name)
        assert ended.returncode == 2
        assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_fold_that_is_named_is_trained_alone(tmp_path: Path) -> None:
    from .data.small import make_cache, make_tumours

    make_cache(tmp_path / "cache", 24, tumours=make_tumours())
    words = f"train phantom --data {tmp_path}/cache --threads 1 --set train.epochs=1 --set train.batch=4".split()
    words += ["--set", "model.transformer.layers=0", "--set", "data.folds=3", "--set", "data.fold=2"]
    ended = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run")])
    assert ended.exit_code == 0, ended.exception
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["fold"] == 2
    assert (tmp_path / "run" / "last").is_dir()
    assert not list((tmp_path / "run").glob("fold-*"))
