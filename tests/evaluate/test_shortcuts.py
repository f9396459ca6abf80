"""Shortcut checks: verdicts on answers made by hand, on methods that cheat, and through the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from disasymnet.checkpoint import Checkpoint
from disasymnet.cli import app
from disasymnet.data.cache import Cache
from disasymnet.data.loader import collate
from disasymnet.errors import CacheError
from disasymnet.evaluate.parts import Part
from disasymnet.evaluate.probes import Answers, ask, only_air, only_outline
from disasymnet.evaluate.shortcuts import blanked, cam_outside, checks, partners, within_pairs
from disasymnet.methods.base import Method, PairOutput
from tests.data.small import breast_mask, make_recipe
from tests.evaluate.trained import SMALL, card_of, knowing, known_cache, save_run, small_recipe


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return known_cache(tmp_path_factory.mktemp("cache"))


def answers(logits: np.ndarray, label: np.ndarray, **changes: object) -> Answers:
    """n pairs of n women."""
    n = len(logits)
    plain = Answers(
        ids=[f"p{number}" for number in range(n)],
        patients=[f"w{number}" for number in range(n)],
        side_label=label,
        label=label.max(1),
        side=logits,
        pair=logits.max(1),
        cam_outside=np.full((n, 2), 0.1),
        air=np.full((n, 2), 0.6),
    )
    return replace(plain, **changes)


N = 200
LABEL = np.zeros((N, 2))
LABEL[::4, 0] = LABEL[1::4, 1] = 1  # half of the women have one abnormal side
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(N, 2))
SHARED = LABEL.max(1, keepdims=True) * 4  # what both sides of a woman have: her scanner


def test_within_pairs_tells_the_woman_from_the_side() -> None:
    honest = within_pairs(answers(3 * LABEL + NOISE, LABEL))
    assert honest.verdict.startswith("Yes")
    assert honest.figures["side_accuracy"].n == N / 2
    cheat = within_pairs(answers(SHARED + NOISE, LABEL))
    assert cheat.figures["abnormality_auc"].value > 0.7
    assert cheat.verdict.startswith("SHORTCUT")
    assert within_pairs(answers(NOISE, LABEL)).verdict.startswith("Undecided: neither")
    both = np.repeat([1.0, 0.0], 20)[:, None] * np.ones(2)  # sure across women, and six pairs to see one's sides by
    one = np.array([[1.0, 0]] * 6)
    few = within_pairs(answers(np.r_[3 * both + NOISE[:40], 3 * one[:4], -one[4:]], np.r_[both, one]))
    low, high = few.figures["side_accuracy"].ci
    assert low <= 0.5 < few.figures["abnormality_auc"].value <= high
    assert few.verdict.startswith("Undecided: abnormal AUC is 0.9")
    blind = within_pairs(answers(NOISE, LABEL, side=None))
    assert blind.verdict == "NA: this method has no side head."


def test_what_is_left_of_blanked_pictures_is_a_shortcut() -> None:
    plain = answers(3 * LABEL + NOISE, LABEL)
    cheat = blanked(plain, answers(2 * LABEL + NOISE, LABEL), "?", "the air")
    assert cheat.verdict.startswith("SHORTCUT: from the air alone it still reaches abnormality auc")
    assert "asymmetry auc" in cheat.verdict
    constant = blanked(plain, answers(np.zeros((N, 2)), LABEL), "?", "the air")
    assert constant.figures["abnormality_auc"].value == 0.5
    assert constant.verdict.startswith("No sign of one")
    few = answers(NOISE[:12], LABEL[:12])
    assert blanked(few, few, "?", "the air").verdict.startswith("Undecided")
    neither = answers(NOISE, LABEL, side=None, pair=None)
    assert blanked(plain, neither, "?", "the air").verdict.startswith("NA: this method has no asymmetry head")
    one_head = blanked(plain, answers(np.zeros((N, 2)), LABEL, pair=None), "?", "the air")
    assert one_head.figures["asymmetry_auc"].value is None
    assert one_head.verdict.startswith("No sign of one")


def test_partners_by_hand() -> None:
    left = [*range(1, N), 0]
    shown = [f"w{number}" for number in left]
    plain = answers(3 * LABEL + NOISE, LABEL)
    alone = np.stack([plain.side[:, 0], plain.side[left, 1]], 1)
    assert partners(plain, answers(alone, LABEL), left, shown).verdict.startswith("NO:")
    worse = partners(plain, answers(alone + 6 * RNG.normal(size=(N, 2)), LABEL), left, shown)
    assert worse.verdict.startswith("Yes: beside a stranger its abnormal AUC falls by")
    assert worse.figures["abnormality_auc_own"].n == 2 * N
    moved = partners(plain, answers(alone - 1, LABEL), left, shown)
    assert moved.figures["fall"].value == 0
    assert moved.verdict.startswith("NO USE")
    few, turned = answers(LABEL[:24] + NOISE[:24], LABEL[:24]), [*range(1, 24), 0]
    stirred = np.stack([few.side[:, 0], few.side[turned, 1]], 1) + NOISE[24:48]
    undecided = partners(few, answers(stirred, LABEL[:24]), turned, [f"w{number}" for number in turned])
    low, high = undecided.figures["fall"].ci
    assert low <= 0 < 0.02 <= high
    assert undecided.verdict.startswith("Undecided")
    no_sides = partners(answers(NOISE, LABEL, side=None), answers(NOISE, LABEL, side=None), left, shown)
    assert no_sides.verdict.startswith("NA: this method has no side head")
    assert no_sides.figures["asymmetry_auc_own"].value is not None
    assert no_sides.figures["fall"].value is None


def test_cam_outside_by_hand() -> None:
    assert cam_outside(answers(NOISE, LABEL)).verdict == (
        "No sign of one: 10% of the CAM lies outside, of a uniform map 60%."
    )
    uniform = answers(NOISE, LABEL, cam_outside=np.full((N, 2), 0.6))
    assert cam_outside(uniform).verdict.startswith("SHORTCUT")
    some = np.where(NOISE[:10] > 0, 0.9, 0.3)
    low, high = cam_outside(answers(NOISE[:10], LABEL[:10], cam_outside=some)).figures["excess"].ci
    assert low < 0 < high
    assert cam_outside(answers(NOISE[:10], LABEL[:10], cam_outside=some)).verdict.startswith("Undecided")
    half_empty = np.full((N, 2), 0.1)
    half_empty[:, 0] = np.nan
    assert cam_outside(answers(NOISE, LABEL, cam_outside=half_empty)).figures["share"].n == N
    empty = answers(NOISE, LABEL, cam_outside=np.full((N, 2), np.nan))
    assert cam_outside(empty).verdict.startswith("NA")


def test_blanked_pictures_keep_what_they_should(cache: Cache) -> None:
    batch = collate(cache, [cache.pair(name) for name in cache.split("test")[:3]])
    marked = replace(batch, image=torch.where(batch.breast, batch.image, 0.7))
    air, outline = only_air(marked), only_outline(marked)
    for picture, before, breast in zip(air.image, marked.image, marked.breast, strict=True):
        assert torch.equal(picture[~breast], before[~breast])
        assert len(picture[breast].unique()) == 1
        assert picture[breast].mean() == pytest.approx(float(before[breast].mean()), abs=1e-5)
    assert torch.equal(outline.image, 0.5 * batch.breast.float())
    assert torch.equal(only_outline(batch).image, outline.image)


class Marker(Method):
    """Reads a marker in the air, and says so in its CAM."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        air = (image * ~breast).amax((1, 2, 3))
        right, left = air.chunk(2)
        return PairOutput(8 * air - 4, 8 * torch.maximum(right, left) - 4, (~breast).float())


def _checks(cache: Cache, method: Method) -> dict:
    one = Checkpoint(method, small_recipe(), card_of(cache, small_recipe()))
    return checks([Part(one, cache.split("test"))], cache, [])


def test_a_method_that_knows_the_lesion(cache: Cache) -> None:
    found = _checks(cache, knowing(cache).method)
    assert found["within_pairs"].verdict.startswith("Yes, in 100% of pairs")
    assert found["only_outline"].verdict.startswith("No sign of one")
    # It adds a little of the picture's mean to its score, and that mean is in the blanked breast.
    assert found["only_air"].verdict.startswith("SHORTCUT")
    # Never looks across: exactly no change, so each side was found again beside its stranger.
    assert found["partners"].figures["change"].value == 0
    assert found["partners"].verdict.startswith("NO:")
    assert found["cam_outside"].figures["share"].value == 0
    air = 1 - breast_mask().mean()
    assert found["cam_outside"].figures["uniform_map"].value == pytest.approx(air)


def test_a_method_that_reads_a_marker(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_marker(cache: Cache, pairs: list) -> object:
        batch = collate(cache, pairs)
        marked = batch.image.clone()
        marked[batch.labels.side == 1, :, 0, -1] = 1.0  # in the air of each abnormal side
        return replace(batch, image=marked)

    monkeypatch.setattr("disasymnet.evaluate.probes.collate", with_marker)
    found = _checks(cache, Marker())
    assert found["only_air"].figures["abnormality_auc"].value == 1
    assert found["only_air"].verdict.startswith("SHORTCUT")
    assert found["only_outline"].verdict.startswith("No sign of one")
    assert found["cam_outside"].verdict.startswith("SHORTCUT: 100%")


def test_pairs_are_asked_in_order_by_their_own_part(cache: Cache) -> None:
    ids = cache.split("test")
    one = knowing(cache)
    whole = ask([Part(one, ids)], cache, batch=5)
    parted = ask([Part(one, ids[:7], 0), Part(one, ids[7:], 1)], cache)
    assert whole.ids == parted.ids == ids
    assert whole.side == pytest.approx(parted.side)
    truth = np.array([[float(label) for label in cache.pair(name).abnormal] for name in ids])
    assert np.array_equal(whole.side_label, truth)
    assert np.array_equal(whole.side > 0, truth == 1)


def _run(*words: str | Path):
    return CliRunner().invoke(app, ["shortcuts", *map(str, words)])


@pytest.mark.parametrize(
    ("method", "missing"),
    [("disasymnet", ()), ("resnet18", ("asymmetry_auc",)), ("asymmirai", ("side_accuracy", "abnormality_auc"))],
)
def test_the_command_answers_each_question(method: str, missing: tuple[str, ...], cache: Cache, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", cache, make_recipe(*SMALL, f"method={method}", "synthesis.on=false"))
    done = _run(run, "--data", cache.path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tree = json.loads((tmp_path / "out" / "shortcuts.json").read_text(), parse_constant=pytest.fail)
    assert list(tree["checks"]) == ["within_pairs", "only_air", "only_outline", "partners", "cam_outside"]
    for check in tree["checks"].values():
        assert check["verdict"] in done.output
        for name, metric in check["figures"].items():
            assert {"value", "ci", "unit", "n"} <= set(metric), name
    within = tree["checks"]["within_pairs"]["figures"]
    assert {name for name, metric in within.items() if metric["value"] is None} == set(missing)
    assert tree["checks"]["cam_outside"]["figures"]["share"]["value"] is not None
    assert tree["checks"]["only_outline"]["figures"]["fitted_asymmetry_auc"]["n"] == tree["n_pairs"]
    assert tree["checks"]["only_air"]["figures"]["fitted_abnormality_auc"]["n"] == 2 * tree["n_pairs"]
    page = (tmp_path / "out" / "shortcuts.md").read_text()
    assert "Not for diagnosis" in page
    assert ("NA (this method has no" in page) == bool(missing)


def test_folds_are_asked_about_their_test_pairs(cache: Cache, tmp_path: Path) -> None:
    for number in range(3):
        save_run(tmp_path / f"fold-{number}", cache, small_recipe("data.folds=3", f"data.fold={number}"))
    done = _run(tmp_path, "--data", cache.path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    tree = json.loads((tmp_path / "out" / "shortcuts.json").read_text())
    assert tree["n_pairs"] == len(cache.pairs)
    assert tree["checks"]["partners"]["figures"]["abnormality_auc_own"]["n"] == 2 * len(cache.pairs)


def test_a_run_on_strangers_is_asked_about_true_pairs(cache: Cache, tmp_path: Path) -> None:
    run, control = (
        save_run(tmp_path / name, cache, small_recipe(f"data.partners={name}")) for name in ("own", "strangers")
    )
    trees = []
    for folder in (run, control):
        assert _run(folder, "--data", cache.path, "--out", folder / "out").exit_code == 0
        trees.append(json.loads((folder / "out" / "shortcuts.json").read_text()))
    assert trees[0]["checks"] == trees[1]["checks"]
    assert trees[1]["warnings"] == []


def test_a_split_that_is_not_there_is_refused(cache: Cache, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", cache, small_recipe())
    done = _run(run, "--data", cache.path, "--out", tmp_path / "out", "--split", "tests")
    assert isinstance(done.exception, CacheError)
    assert not (tmp_path / "out").exists()
