"""The counterfactual benchmark: every figure on pictures whose answer is known by hand, then through the command."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from disasymnet import checkpoint
from disasymnet.cli import app
from disasymnet.data.cache import Cache
from disasymnet.errors import CacheError, CheckpointError, PictureError
from disasymnet.evaluate.cases import WITH_TUMOURS, Cases, batch_of
from disasymnet.evaluate.counterfactual import SHOWN, Found, benchmark
from disasymnet.evaluate.judge import Judge, judge_of
from disasymnet.evaluate.parts import Part
from disasymnet.evaluate.rows import COPY, RIM, RING, TRUTH, of_model, of_pictures, of_run, references
from disasymnet.metrics.localisation import grown
from disasymnet.training.detector import Detector
from disasymnet.training.start import DETECTOR
from tests.data.small import make_recipe, make_tumours
from tests.evaluate.trained import GLOW, SMALL, card_of, knowing, known_cache, save_run, small_recipe

MEASURED = (
    "inside_ratio",
    "inside_ratio_pooled",
    "error_in",
    "outside_error",
    "contrast_removed",
    "black_holes",
    "psnr_in",
    "ssim_out",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return known_cache(tmp_path_factory.mktemp("cache"))


def _removes(share: float):
    return lambda image, breast: image - share * GLOW * (image > 0.4)


def _sees_glow(cases, pictures):
    return np.array([[8.0 * (side.max() > 0.4) - 4 for side in picture] for picture in pictures], np.float32)


JUDGE = Judge(_sees_glow, {"run": "glow", "method": "by hand", "weights": ["glow"]})


@pytest.fixture(scope="module")
def found(cache: Cache) -> Found:
    rows = [of_model("half", _removes(0.5)), of_model("overdone", _removes(1.5))]
    rows.append(of_model("darker", lambda image, breast: np.where(breast, image - 0.05, image)))
    return benchmark(Cases.of(cache, cache.split("test")), rows, JUDGE)


def test_each_row_by_hand(found: Found) -> None:
    rows = found.results["rows"]
    for name, left, holes in ((COPY, 1.0, 0), (TRUTH, 0.0, 0), ("half", 0.5, 0), ("overdone", -0.5, 1)):
        removal = rows[name]["removal"]
        assert removal["inside_ratio"]["value"] == pytest.approx(abs(left), abs=1e-3)
        assert removal["error_in"]["value"] == pytest.approx(abs(left) * GLOW, abs=1e-4)
        assert removal["contrast_removed"]["value"] == pytest.approx(1 - left, abs=1e-3)
        assert removal["black_holes"]["value"] == holes
        assert removal["outside_error"]["value"] == pytest.approx(0, abs=1e-4)
        if left:
            assert removal["psnr_in"]["value"] == pytest.approx(-20 * np.log10(abs(left) * GLOW), abs=0.01)
        assert rows[name]["normal_change"]["value"] == 0
    darker = rows["darker"]
    assert darker["removal"]["outside_error"]["value"] == pytest.approx(0.05, abs=1e-4)
    assert darker["normal_change"]["value"] == pytest.approx(0.05, abs=1e-4)
    assert darker["removal"]["inside_ratio"]["value"] == pytest.approx((GLOW - 0.05) / GLOW, abs=1e-3)


@pytest.mark.parametrize("told", [RING, RIM])
def test_told_the_place_it_touches_nothing_else(found: Found, told: str) -> None:
    row = found.results["rows"][told]
    assert row["removal"]["inside_ratio"]["value"] < 0.1  # tissue of 0.02 under a lesion of 0.25
    assert row["removal"]["outside_error"]["value"] == pytest.approx(0, abs=1e-6)
    assert row["pointing"]["difference"]["value"] == 1
    assert row["localisation"]["cam"]["iou"]["value"] is None  # no reference has a CAM


def test_the_rim_does_not_carry_a_lesions_faint_border_inwards(cache: Cache) -> None:
    case = next(Cases.of(cache, cache.split("test")).batches())[0]
    breast = np.ones_like(case.breast)
    lesion = np.zeros_like(breast)
    lesion[:, 20:26, 10:16] = True
    truth = np.full(breast.shape, 0.4, np.float32)
    faint = np.stack([grown(side, 2) & ~side for side in lesion])
    case = replace(case, image=truth + 0.3 * lesion + 0.06 * faint, truth=truth, lesion=lesion, breast=breast)
    drawn = {row.name: row.draw([case])[0].normal for row in references()}
    assert np.abs(drawn[RIM] - truth).max() == pytest.approx(0, abs=1e-6)


def test_an_independent_classifier_sees_what_is_left(found: Found) -> None:
    rows = found.results["rows"]
    assert rows[COPY]["judge"]["auc"]["value"] == 1
    assert rows[COPY]["judge"]["fall"]["value"] == 0
    for name in (TRUTH, "overdone"):
        assert rows[name]["judge"]["auc"]["value"] == 0.5
        assert rows[name]["judge"]["fall"]["value"] == 0.5
    assert rows["half"]["judge"]["auc"]["value"] == 1  # 0.3 + 0.02 + 0.125 is above the judge's 0.4
    assert rows["half"]["judge"]["auc"]["of"] == "side"
    assert rows["half"]["own_look"]["value"] is None


def test_counts_and_strata(found: Found, cache: Cache) -> None:
    counts, test = found.results["counts"], [cache.pair(name) for name in cache.split("test")]
    lesions = sum(bool(label) for pair in test for label in pair.abnormal)
    assert counts["pairs"] == len(test)
    assert counts["sides_with_lesion"] == lesions
    assert counts["normal_sides"] == 2 * len(test) - lesions
    assert counts["marked_but_not_visible"] == 0
    for row in found.results["rows"].values():
        assert {kind: part["inside_ratio"]["n"] for kind, part in row["removal"]["by_kind"].items()} == {
            "mass": lesions
        }
        assert set(row["removal"]["by_size"]) == {"5 to 10 mm"}


def test_a_run_that_knows_is_as_good_as_the_truth(cache: Cache) -> None:
    ids = cache.split("test")
    run = of_run("knowing", [Part(knowing(cache), ids)])
    rows = benchmark(Cases.of(cache, ids), [run]).results["rows"]
    assert rows["knowing"]["removal"]["inside_ratio"]["value"] == pytest.approx(0, abs=1e-3)
    assert rows["knowing"]["removal"]["missed_share"]["value"] == 0
    for name in ("cam", "x_ab", "difference"):
        assert rows["knowing"]["pointing"][name]["value"] == 1
    assert rows["knowing"]["localisation"]["cam"]["iou"]["value"] == 1
    assert rows["knowing"]["judge"]["auc"]["note"] == "no judge was given"


def test_pairs_are_asked_by_the_fold_that_has_not_seen_them(cache: Cache) -> None:
    ids = cache.split("test")
    keeps = Part(knowing(cache, kept=1.0), ids[: len(ids) // 2], 0)
    removes = Part(knowing(cache, kept=0.0), ids[len(ids) // 2 :], 1)
    scored = benchmark(Cases.of(cache, ids), [of_run("folds", [keeps, removes])]).scored["folds"]
    for one in scored:
        if one.side.removal is not None:
            kept = 1.0 if one.side.pair.id in keeps.ids else 0.0
            assert one.side.removal.inside_ratio == pytest.approx(kept, abs=1e-3)


def test_a_pair_that_a_run_has_learned_from_is_refused(cache: Cache) -> None:
    ids = cache.split("test")
    with pytest.raises(CheckpointError, match="has learned from that pair"):
        benchmark(Cases.of(cache, ids), [of_run("knowing", [Part(knowing(cache), ids[1:])])])


def test_a_lesion_that_does_not_show_is_counted_and_takes_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.evaluate.trained.GLOW", 0.0)
    cache = known_cache(tmp_path / "cache")
    done = _run("--data", cache.path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tree = json.loads((tmp_path / "out" / "counterfactual.json").read_text())
    assert tree["counts"]["sides_with_lesion"] == 0
    assert tree["counts"]["marked_but_not_visible"] == sum(
        bool(label) for name in cache.split("test") for label in cache.pair(name).abnormal
    )
    assert tree["rows"][COPY]["removal"]["inside_ratio"]["value"] is None
    assert tree["rows"][COPY]["normal_change"]["value"] == 0
    assert "No lesion." in (tmp_path / "out" / "counterfactual.md").read_text()


def test_blended_tumours_come_with_and_without(tmp_path: Path) -> None:
    cache = known_cache(tmp_path / "cache", truth=False, tumours=make_tumours())
    cases = Cases.of(cache, cache.split("test"))
    every = {case.name: case for group in cases.batches(3) for case in group}
    normal = [name for name in cache.split("test") if cache.pair(name).asymmetric is False]
    assert set(every) == {name + end for name in normal for end in ("", WITH_TUMOURS)}
    for name in normal:
        with_tumour, without = every[name + WITH_TUMOURS], every[name]
        assert np.array_equal(with_tumour.truth, without.image)
        assert np.array_equal(without.truth, without.image)
        assert with_tumour.lesion.any()
        assert [bool(side.any()) for side in with_tumour.lesion] == list(with_tumour.pair.abnormal)
        assert np.abs(with_tumour.image - with_tumour.truth)[with_tumour.lesion].mean() > 0.05
        assert not without.lesion.any()
    again = {case.name: case for group in cases.batches(8) for case in group}
    assert all(np.array_equal(again[name].image, case.image) for name, case in every.items())
    rows = benchmark(cases, [], JUDGE).results["rows"]
    assert rows[COPY]["removal"]["inside_ratio"]["value"] == 1
    assert rows[TRUTH]["removal"]["inside_ratio"]["value"] == 0
    assert rows[TRUTH]["judge"]["auc"]["value"] == 0.5


def test_no_truth_no_benchmark(tmp_path: Path) -> None:
    cache = known_cache(tmp_path / "cache", truth=False)
    with pytest.raises(CacheError, match="no lesion-free truth"):
        Cases.of(cache, cache.split("test"))
    abnormal = [pair.id for pair in cache.pairs if pair.asymmetric]
    tumours = known_cache(tmp_path / "with", truth=False, tumours=make_tumours())
    with pytest.raises(CacheError, match="no normal pair"):
        Cases.of(tumours, abnormal)


def test_unknown_labels_take_no_part(cache: Cache) -> None:
    cases = Cases.of(cache, cache.split("test"))
    case = next(case for group in cases.batches() for case in group)
    unknown = replace(case, pair=replace(case.pair, abnormal=replace(case.pair.abnormal, right=None)))
    labels = batch_of([unknown]).labels.side
    assert torch.isnan(labels[0])
    assert not torch.isnan(labels[1])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda image, breast: image[0], "shape"),
        (lambda image, breast: image * np.nan, "not finite"),
    ],
)
def test_a_model_that_answers_nonsense_is_refused(model, message: str, cache: Cache) -> None:
    with pytest.raises(PictureError, match=message):
        benchmark(Cases.of(cache, cache.split("test")), [of_model("mine", model)])


def test_a_name_belongs_to_one_row(cache: Cache) -> None:
    with pytest.raises(CheckpointError, match="two rows are called"):
        benchmark(Cases.of(cache, cache.split("test")), [of_model(COPY, _removes(0))])


def _detector(folder: Path, cache: Cache) -> Path:
    recipe = make_recipe(*SMALL).model_copy(update={"method": DETECTOR})
    torch.manual_seed(0)
    checkpoint.save(folder / "best", Detector(recipe), recipe, card_of(cache, recipe))
    return folder


def test_a_detector_and_a_run_may_judge_but_no_run_without_side_head(cache: Cache, tmp_path: Path) -> None:
    cases = Cases.of(cache, cache.split("test"))
    group = next(iter(cases.batches(4)))
    for folder in (_detector(tmp_path / "detector", cache), save_run(tmp_path / "run", cache, small_recipe())):
        judge = judge_of(folder, cases, "test", [])
        seen = judge.score(group, [case.image for case in group])
        assert seen.shape == (4, 2)
        alone = judge.score(group[1:2], [group[1].image])
        assert alone == pytest.approx(seen[1:2], abs=1e-5)
        beyond = [np.where(case.breast, case.image, 0.9).astype(np.float32) for case in group]
        assert judge.score(group, beyond) == pytest.approx(seen)  # only what lies in the breast is judged
    blind = save_run(tmp_path / "pair", cache, make_recipe(*SMALL, "method=asymmirai", "synthesis.on=false"))
    with pytest.raises(CheckpointError, match="no side head"):
        judge_of(blind, cases, "test", []).score(group, [case.image for case in group])
    with pytest.raises(CheckpointError, match="has learned from some"):
        judge_of(save_run(tmp_path / "other", cache, small_recipe("data.shares=[0.8, 0.1, 0.1]")), cases, "test", [])


def _run(*words: str | Path):
    return CliRunner().invoke(app, ["counterfactual", *map(str, words)])


@pytest.fixture(scope="module")
def written(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("bench")
    ours = save_run(folder / "ours", cache, small_recipe())
    plain = save_run(folder / "plain", cache, make_recipe(*SMALL, "method=resnet18", "synthesis.on=false"))
    done = _run(
        *("--data", cache.path, "--runs", f"ours={ours}", "--runs", f"single view={plain}", "--judge", plain),
        *("--out", folder / "out"),
    )
    assert done.exit_code == 0, done.output
    assert "Not for diagnosis" in done.output
    return json.loads((folder / "out" / "counterfactual.json").read_text(), parse_constant=pytest.fail), folder


def test_the_command_writes_metric_objects(written: tuple[dict, Path], cache: Cache) -> None:
    tree, _ = written
    assert list(tree["rows"]) == ["ours", "single view", COPY, RING, RIM, TRUTH]
    for row in tree["rows"].values():
        metrics = [*(row["removal"][name] for name in MEASURED), row["normal_change"], *row["judge"].values()]
        for metric in [*metrics, row["own_look"], row["pointing"]["cam"], row["localisation"]["difference"]["iou"]]:
            assert {"value", "ci", "unit", "n"} <= set(metric)
    assert tree["schema"] == 1
    assert "Not for diagnosis" in tree["use"]
    assert tree["provenance"]["cache"] == cache.digest
    assert tree["provenance"]["runs"]["ours"]["weights"]


def test_an_untrained_decoder_is_the_copy_and_a_classifier_has_no_x_n(written: tuple[dict, Path]) -> None:
    tree, _ = written
    ours, single, copied = (tree["rows"][name] for name in ("ours", "single view", COPY))
    for name in MEASURED:
        assert ours["removal"][name]["value"] == pytest.approx(copied["removal"][name]["value"], abs=1e-6)
        assert single["removal"][name]["value"] is None
    assert ours["judge"]["auc"]["value"] == pytest.approx(copied["judge"]["auc"]["value"])
    assert ours["judge"]["fall"]["value"] == 0
    assert ours["own_look"]["value"] is not None
    assert single["judge"]["auc"]["note"] == "this row makes no x_n"
    assert single["normal_change"]["value"] is None
    assert single["pointing"]["cam"]["value"] is not None
    assert single["pointing"]["difference"]["value"] is None


def test_table_and_csv_say_what_the_json_says(written: tuple[dict, Path]) -> None:
    tree, folder = written
    page = (folder / "out" / "counterfactual.md").read_text()
    assert "Not for diagnosis" in page
    assert "| single view | NA | NA |" in page
    assert f"| {COPY} | 1.000 (1.000 to 1.000) |" in page
    assert "mass (n =" in page
    assert "5 to 10 mm (n =" in page
    with (folder / "out" / "counterfactual.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["stratum"] == "all":
            metric = tree["rows"][row["row"]]
            for key in row["figure"].split("."):
                metric = metric[key]
            assert (row["value"] == "") == (metric["value"] is None)
            if metric["value"] is not None:
                assert float(row["value"]) == pytest.approx(metric["value"], rel=1e-6, abs=1e-9)
                assert int(row["n"]) == metric["n"]
    assert {row["stratum"] for row in rows} == {"all", "by_kind: mass", "by_size: 5 to 10 mm"}


def test_figures_can_be_computed_again_from_the_sides(written: tuple[dict, Path]) -> None:
    tree, folder = written
    with (folder / "out" / "sides.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["row"] == RING]
    assert len(rows) == 2 * tree["counts"]["pairs"]
    again = np.mean([float(row["inside_ratio"]) for row in rows if row["inside_ratio"]])
    assert tree["rows"][RING]["removal"]["inside_ratio"]["value"] == pytest.approx(again)
    assert all(row["judge_logit"] for row in rows)


def test_contact_picture_shows_the_same_sides_of_all_rows(written: tuple[dict, Path], cache: Cache) -> None:
    tree, folder = written
    cases = Cases.of(cache, cache.split("test"))
    chosen = cases.chosen(SHOWN)
    assert chosen == Cases.of(cache, cache.split("test")[::-1]).chosen(SHOWN)
    assert all(cache.arrays(name).lesion.any() for name in chosen)
    with Image.open(folder / "out" / "contact.png") as picture:
        assert "Not for diagnosis" in picture.info["Comment"]
        width, height = picture.size
        pixels = np.asarray(picture)
    assert width > 96 * (2 + 2 * len(tree["rows"]))
    assert height > 192 * len(chosen)
    # The truth's own difference is amber where the lesion was taken out.
    assert (pixels == (255, 176, 64)).all(-1).any()
    assert "evenly spaced" in tree["rules"]["pictures"]


def test_pictures_of_another_program(cache: Cache, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    done = _run("--data", cache.path, "--export", "--out", inputs)
    assert done.exit_code == 0, done.output
    count = len(cache.split("test"))
    assert len(list(inputs.glob("*-breast.png"))) == 2 * count
    done = _run("--data", cache.path, "--pictures", f"theirs={inputs}", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tree = json.loads((tmp_path / "out" / "counterfactual.json").read_text())
    assert tree["rows"]["theirs"]["kind"] == "pictures"
    for name in MEASURED:
        both = (tree["rows"][row]["removal"][name]["value"] for row in ("theirs", COPY))
        assert next(both) == pytest.approx(next(both), abs=2e-5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b"no picture"), "cannot be read"),
        (lambda path: Image.new("RGB", (32, 64)).save(path), "mode RGB"),
        (lambda path: Image.new("L", (32, 32)).save(path), r"\(32, 32\), its input \(64, 32\)"),
    ],
)
def test_a_bad_answer_is_named(damage, message: str, cache: Cache, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    assert _run("--data", cache.path, "--export", "--out", inputs).exit_code == 0
    answers = shutil.copytree(inputs, tmp_path / "answers")
    name = f"{cache.split('test')[0]}-L.png"
    damage(answers / name)
    with pytest.raises(PictureError, match=message) as caught:
        benchmark(Cases.of(cache, cache.split("test")), [of_pictures("theirs", answers)])
    assert name in str(caught.value)


def test_what_does_not_fit_together_is_refused(cache: Cache, tmp_path: Path) -> None:
    ours = save_run(tmp_path / "ours", cache, small_recipe())
    other = save_run(tmp_path / "other", cache, small_recipe("data.shares=[0.6, 0.2, 0.2]"))
    strangers = save_run(tmp_path / "strangers", cache, small_recipe("data.partners=strangers"))
    out = tmp_path / "out"
    for words, message in (
        (["--runs", f"a={ours}", "--runs", f"b={other}"], "not trained on the same split"),
        (["--runs", f"a={ours}", "--runs", f"a={other}"], "two runs have the same name"),
        (["--runs", f"{ours}"], "is not NAME=FOLDER"),
        (["--runs", f"a={strangers}"], "pairs of two women"),
    ):
        done = _run("--data", cache.path, *words, "--out", out)
        assert isinstance(done.exception, CheckpointError)
        assert message in str(done.exception)
    assert not out.exists()


def test_a_judge_that_is_the_row_itself_is_marked(cache: Cache, tmp_path: Path) -> None:
    ours = save_run(tmp_path / "ours", cache, small_recipe())
    done = _run("--data", cache.path, "--runs", f"ours={ours}", "--judge", ours, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tree = json.loads((tmp_path / "out" / "counterfactual.json").read_text())
    assert "not independent" in tree["rows"]["ours"]["judge"]["auc"]["note"]
    assert "note" not in tree["rows"][COPY]["judge"]["auc"]


@pytest.mark.slow
def test_phantoms_through_the_command(phantom_cache: Cache, tmp_path: Path) -> None:
    ours = save_run(tmp_path / "ours", phantom_cache, small_recipe())
    done = _run("--data", phantom_cache.path, "--runs", f"ours={ours}", "--judge", ours, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tree = json.loads((tmp_path / "out" / "counterfactual.json").read_text())
    assert tree["truth"].startswith("phantoms")
    assert tree["counts"]["sides_with_lesion"] >= 1
    copied, told, truth = (tree["rows"][name]["removal"] for name in (COPY, RING, TRUTH))
    assert copied["inside_ratio"]["value"] == 1
    assert 0 < copied["outside_error"]["value"] < 0.01  # edges reach a little beyond their masks
    assert told["outside_error"]["value"] == copied["outside_error"]["value"]
    assert told["inside_ratio_pooled"]["value"] < 1
    assert truth["inside_ratio"]["value"] == truth["outside_error"]["value"] == 0
