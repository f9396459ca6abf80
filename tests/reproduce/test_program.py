"""`disasymnet reproduce` as a person meets it, on a tiny cache: two methods, two seeds, one epoch."""

from __future__ import annotations

import csv
import fcntl
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from disasymnet import checkpoint
from disasymnet.data.cache import Cache
from tests.reproduce.answered import TINY, Ended, program

TWO = ("--methods", "resnet18,disasymnet")


@pytest.fixture(scope="module")
def made(phantom_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reproduced") / "out"
    done = _reproduce("table1", phantom_cache, out, *TWO, "--seeds", "0,1", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Research use only") == 1
    assert "4 runs, 0 done" in done.stderr
    return out


def _reproduce(target: str, cache: Cache, out: Path, *words: str) -> Ended:
    return program("reproduce", target, "--data", cache.path, "--out", out, *TINY, *words)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_table_can_be_computed_again_from_the_predictions(made: Path) -> None:
    tree = json.loads((made / "table1.json").read_text(), parse_constant=pytest.fail)
    assert (tree["schema"], tree["missing"], tree["paper"]) == (1, [], None)
    assert "Not for diagnosis" in tree["use"]
    row = next(row for row in tree["rows"] if row["name"] == "disasymnet")
    expected = []
    for seed in (0, 1):
        table = _rows(made / "runs" / "disasymnet" / f"seed-{seed}" / "evaluation" / "test" / "predictions.csv")
        sides = [line for line in table if line["unit"] == "side"]
        expected.append(roc_auc_score([float(r["y"]) for r in sides], [float(r["logit"]) for r in sides]))
    cell = row["cells"]["abnormal"]
    assert list(cell["seeds"].values()) == pytest.approx(expected)
    assert cell["value"] == pytest.approx(np.mean(expected))
    assert (cell["n"], cell["patients"]) == (16, 4)
    flat = {(line["row"], line["column"]): line for line in _rows(made / "table1.csv")}
    assert float(flat["disasymnet", "abnormal"]["value"]) == pytest.approx(cell["value"])
    assert flat["resnet18", "asymmetric"]["value"] == ""
    assert flat["resnet18", "asymmetric"]["note"] == "this method has no asymmetry head"
    tests = _rows(made / "table1-tests.csv")
    assert [(test["row"], test["column"], test["in_family"]) for test in tests] == [
        ("resnet18", "asymmetric", "False"),
        ("resnet18", "abnormal", "True"),
    ]


@pytest.mark.slow
def test_markdown_and_latex_have_the_same_table(made: Path) -> None:
    page, source = (made / "table1.md").read_text(), (made / "table1.tex").read_text()
    number = re.compile(r"\d\.\d{3}")
    structure = number.sub("#", source[source.index(r"\begin") :]).replace(r" $\pm$ #", "")
    assert structure == LATEX
    tabled = [line for line in page.splitlines() if line.startswith("| ")][:3]
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in tabled)
    assert len(head) == 5
    body = [line for line in source.splitlines() if line.startswith(("ResNet18", "DisAsymNet"))]
    for row, line in zip(rows, body, strict=True):
        assert [number.findall(cell) for cell in row] == [number.findall(cell) for cell in line.split("&")]
    assert "Declared before training" in page
    assert "Research use only" in page
    assert "Research use only" in source


LATEX = r"""\begin{tabular}{lcccc}
\hline
method & asymmetric AUC (n = 8, by pair) & asymmetric AUC, derived from max(p\_r, p\_l) (n = 8, by pair) & abnormal AUC (n = 16, by side) & side accuracy (n = 4, by pair with one abnormal side) \\
\hline
ResNet18 & NA & # (# to #) [# to #] & # (# to #) [# to #] & # (# to #) [# to #] \\
DisAsymNet & # (# to #) [# to #] & # (# to #) [# to #] & # (# to #) [# to #] & # (# to #) [# to #] \\
\hline
\end{tabular}
"""  # noqa: E501


@pytest.mark.slow
def test_what_is_done_is_not_done_again(made: Path, phantom_cache: Cache) -> None:
    weights = sorted(made.rglob("weights.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights], (made / "table1.md").read_bytes()
    again = _reproduce("table1", phantom_cache, made, *TWO, "--seeds", "0,1")
    assert "4 runs, 4 done" in again.stderr
    assert ([path.stat().st_mtime_ns for path in weights], (made / "table1.md").read_bytes()) == before
    other = _reproduce("table1", phantom_cache, made, *TWO, "--seeds", "0,1", "--set", "train.rate=0.01")
    assert other.returncode == 2
    assert "begun otherwise: train.rate was" in other.stderr
    start = ("--init", str(made / "runs" / "resnet18" / "seed-0"))
    other = _reproduce("table1", phantom_cache, made, *TWO, "--seeds", "0,1", *start)
    assert other.returncode == 2
    assert "begun otherwise: random weights" in other.stderr


@pytest.mark.slow
def test_a_dry_run_lists_and_leaves_nothing_and_parts_share_the_runs(phantom_cache: Cache, tmp_path: Path) -> None:
    listed = []
    for part in ("1/2", "2/2"):
        words = (*TWO, "--seeds", "0,1", "--shard", part, "--dry-run")
        said = _reproduce("table1", phantom_cache, tmp_path / "out", *words).stdout
        assert f"2 runs of part {part}" in said
        assert re.search(r"about \d+ (s|min).* of training \(\d+ steps\), \d+ MiB of memory", said)
        listed += re.findall(r"^  (\w+, seed \d): to be trained", said, re.M)
        assert said.count("disasymnet train phantom+") == 2
    every = [f"{name}, seed {seed}" for name in ("resnet18", "disasymnet") for seed in (0, 1)]
    assert sorted(listed) == sorted(every)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(phantom_cache: Cache, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "table1", "--data", phantom_cache.path, "--out", out, *TINY, "--set", "train.epochs=12"]
    words += ["--methods", "disasymnet", "--seeds", "0"]
    command = [sys.executable, "-m", "disasymnet.cli", *map(str, words)]
    run = out / "runs" / "disasymnet" / "seed-0"
    begun = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "state" / "state.json").is_file():
        assert time.monotonic() < deadline
        assert begun.poll() is None
        time.sleep(0.05)
    begun.send_signal(signal.SIGTERM)
    assert begun.wait(60) == 130
    position = json.loads((run / "state" / "state.json").read_text())
    assert not position["done"], "too few epochs to be cut off"
    listed = program(*words, "--dry-run").stdout
    assert re.search(r"disasymnet, seed 0: cut off at \d+ %", listed)
    done = program(*words)
    assert done.returncode == 0, done.stderr
    assert f"goes on behind step {position['step']}" in run.with_name("seed-0.log").read_text()
    assert json.loads((out / "table1.json").read_text())["missing"] == []


@pytest.mark.slow
def test_a_run_that_another_process_holds_is_passed_over(phantom_cache: Cache, tmp_path: Path) -> None:
    lock = tmp_path / "out" / "runs" / "resnet18" / "seed-0.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = _reproduce("table2", phantom_cache, tmp_path / "out", "--methods", "resnet18", "--seeds", "0")
    assert ended.returncode == 0
    assert "another process is at it, passed over" in ended.stderr
    assert "not complete: 1 runs are missing" in ended.stdout
    page = (tmp_path / "out" / "table2.md").read_text()
    assert "**Not complete.**" in page
    assert "resnet18, seed 0: to be trained" in page
    assert "- (not yet evaluated)" in page


@pytest.mark.slow
def test_a_run_that_fails_does_not_hide_the_others(phantom_cache: Cache, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--methods", "resnet18", "--seeds", "0", "--set", "model.encoder.weights=nowhere")
    ended = _reproduce("table1", phantom_cache, out, *words)
    assert ended.returncode == 2
    assert "1 of 1 runs failed" in ended.stderr
    assert "no weights called 'nowhere' are installed" in ended.stderr
    assert "resnet18, seed 0: to be trained" in (out / "table1.md").read_text()


@pytest.mark.slow
def test_table_2_and_the_ablations_use_the_same_runs(made: Path, phantom_cache: Cache) -> None:
    for target in ("table2", "ablations"):
        ended = _reproduce(target, phantom_cache, made, *TWO, "--seeds", "0,1")
        assert "4 runs, 4 done" in ended.stderr, ended.stderr
    tree = json.loads((made / "table2.json").read_text())
    results = [
        json.loads((made / "runs" / "disasymnet" / f"seed-{seed}" / "evaluation" / "test" / "results.json").read_text())
        for seed in (0, 1)
    ]
    cells = next(row["cells"] for row in tree["rows"] if row["name"] == "disasymnet")
    for name in ("iou", "ior_det", "ior_ref", "dice", "tiou", "tior"):
        each = [one["localisation"]["cam"][name]["value"] for one in results]
        assert list(cells[name]["seeds"].values()) == pytest.approx(each)
    pointing = [one["pointing"]["cam"]["value"] for one in results]
    assert list(cells["pointing"]["seeds"].values()) == pytest.approx(pointing)
    ablations = json.loads((made / "ablations.json").read_text())
    cells = next(row["cells"] for row in ablations["rows"] if row["name"] == "disasymnet")
    removal = [one["reconstruction"]["inside_ratio"]["value"] for one in results]
    assert cells["inside_ratio"]["value"] == pytest.approx(np.mean(removal))
    assert "mean TIoU \\%" in (made / "table2.tex").read_text()


@pytest.mark.slow
def test_figure_2_is_drawn_as_far_as_it_goes(made: Path, phantom_cache: Cache) -> None:
    words = ("--methods", "resnet18", "--seeds", "0")
    ended = _reproduce("figure2", phantom_cache, made, *words, "--shard", "4/5")
    assert ended.returncode == 0, ended.stderr
    tree = json.loads((made / "figure2.json").read_text())
    assert [row["share"] for row in tree["rows"]] == [0.1, 0.25, 0.5, 0.75, 1.0]
    there = [row["cells"]["abnormal"]["value"] is not None for row in tree["rows"]]
    assert there == [False, False, False, True, True]
    assert len(tree["missing"]) == 3
    drawn = (made / "figure2.svg").read_text()
    assert drawn.startswith("<svg")
    assert drawn.count('<path d="M') > 5
    assert "ResNet18, 75 %" in (made / "figure2.md").read_text()
    assert {row["share"] for row in _rows(made / "figure2.csv")} == {"0.1", "0.25", "0.5", "0.75", "1"}


@pytest.mark.slow
def test_figure_3_shows_the_same_pairs_with_and_without_synthesis(made: Path, phantom_cache: Cache) -> None:
    ended = _reproduce("figure3", phantom_cache, made)
    assert ended.returncode == 0, ended.stderr
    with Image.open(made / "figure3.png") as picture:
        assert "Research use only" in picture.text["Comment"]
        assert picture.size[0] > 300
        assert picture.size[1] > 600
        assert np.asarray(picture.convert("L")).std() > 10
    tree = json.loads((made / "figure3.json").read_text())
    assert {row["name"] for row in tree["rows"]} == {"disasymnet", "asyc-asyd"}
    assert all(row["cells"]["black_holes"]["value"] is not None for row in tree["rows"])


@pytest.mark.slow
def test_folds_are_pooled_and_each_starts_from_its_own_fold(phantom_cache: Cache, tmp_path: Path) -> None:
    words = ("--methods", "resnet18", "--seeds", "0", "--folds", "--set", "data.folds=3")
    first = _reproduce("table1", phantom_cache, tmp_path / "first", *words)
    assert first.returncode == 0, first.stderr
    start = tmp_path / "first" / "runs" / "resnet18" / "seed-0"
    ended = _reproduce("table1", phantom_cache, tmp_path / "out", *words, "--init", str(start))
    assert ended.returncode == 0, ended.stderr
    for fold in range(3):
        begun = tmp_path / "out" / "runs" / "resnet18" / "seed-0" / f"fold-{fold}" / "run.json"
        card = json.loads((checkpoint.find(start / f"fold-{fold}") / "card.json").read_text())
        assert card["weights"][:12] in json.loads(begun.read_text())["start"]
    tree = json.loads((tmp_path / "out" / "table1.json").read_text())
    assert tree["rows"][0]["cells"]["abnormal"]["n"] == 2 * len(phantom_cache.pairs)
    assert "Every run started from the same pre-trained weights." in tree["notes"]
    again = _reproduce("table1", phantom_cache, tmp_path / "out", *words, "--dry-run")
    assert again.returncode == 2
    assert "Give the --init it was begun with" in again.stderr


def test_bad_words_get_one_message(phantom_cache: Cache, tmp_path: Path) -> None:
    for words, message in (
        (("table3",), "nothing to reproduce"),
        (("table1", "--shard", "3/2"), "is no part"),
        (("table1", "--methods", "resnet"), "no preset is called 'resnet'"),
        (("table1", "--seeds", "x"), "seeds are whole numbers"),
    ):
        target, *others = words
        ended = program("reproduce", target, "--data", phantom_cache.path, "--out", tmp_path / "out", *others)
        assert ended.returncode == 2
        assert message in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
