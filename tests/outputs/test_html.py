from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from disasymnet.errors import CheckpointError, MissingExtraError
from disasymnet.evaluate import evaluate
from disasymnet.outputs.gallery import FULL_DIFFERENCE, difference, hang, read_gallery
from disasymnet.outputs.html import between, number, report
from disasymnet.outputs.plots import roc_curves
from tests.evaluate.trained import known_cache, save_run, small_recipe

EVENTS = [
    {"event": "note", "text": "start"},
    {"event": "epoch", "epoch": 1, "losses": {"diag": 1.2, "rec": 0.0}, "validation": {"asymmetry_auc": None}},
    {"event": "epoch", "epoch": 2, "losses": {"diag": 0.9, "rec": 0.1}, "validation": {"asymmetry_auc": 0.7}},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = known_cache(tmp_path_factory.mktemp("cache"))
    run = save_run(tmp_path_factory.mktemp("run"), cache, small_recipe())
    lines = [json.dumps(event) for event in EVENTS]
    (run / "log.jsonl").write_text("\n".join([*lines, '{"event": "epo']))  # the last line was cut off
    evaluate(run, cache, "test", None, lambda line: None)
    return run


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert str(out) in report(run, out)
    return out.read_text(encoding="utf-8")


def test_page_stands_alone(page):
    without_pictures = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "data:", page)
    assert not re.search(r"https?://|//[a-z]+\.|<script|<link|<iframe|@import|url\(", without_pictures)
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "default-src 'none'" in page


def test_page_says_what_it_is_before_anything_else(page):
    body = re.sub(r"<[^>]+>", " ", page.split("<body>")[1])
    assert body.split()[:6] == ["Research", "use", "only.", "Not", "for", "diagnosis."]
    assert "does not mean cancer" in body


def test_page_holds_the_figures_of_the_results(page, run):
    tree = json.loads((run / "evaluation" / "test" / "results.json").read_text())
    for metric in (tree["asymmetry"]["auc"], tree["abnormality"]["auc"], tree["side_accuracy"]):
        assert f"{metric['value']:.3f}" in page
        assert f"{metric['ci'][0]:.3f} to {metric['ci'][1]:.3f}" in page
    assert page.count('<article class="pair">') == 12
    assert "Training losses" in page
    assert "Validation figures" in page


def test_every_picture_has_words_beside_it(page):
    pictures = re.findall(r"<img [^>]*>", page)
    assert all(re.search(r'alt="[^"]+"', picture) for picture in pictures)


def test_names_are_escaped(run, tmp_path):
    folder = run / "evaluation" / "test"
    listed = json.loads((folder / "gallery.json").read_text())
    listed["pairs"][0]["pair"] = "<script>alert(1)</script>"
    for name in ("results.json", "predictions.csv", "gallery.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "gallery.json").write_text(json.dumps(listed))
    report(run, tmp_path / "out.html", results=tmp_path)
    text = (tmp_path / "out.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_right_breast_hangs_on_the_left_with_walls_together():
    both = np.zeros((2, 10, 6, 3))
    both[0, :, 0] = 200  # chest wall of the right breast, column 0 of the model grid
    both[1, :, 0] = 100
    both[0, 0] = 50  # top row of the right one
    hung = hang(both)
    assert hung.shape == (10, 14, 3)
    assert (hung[1:, 5] == 200).all()
    assert (hung[1:, 8] == 100).all()
    assert (hung[0, :6] == 50).all()
    assert (hung[1:, 0] == 0).all()


def test_difference_has_a_fixed_scale_and_two_colours():
    taken, put, more, none = difference(np.array([FULL_DIFFERENCE, -FULL_DIFFERENCE, 9.0, 0.0]))
    assert (taken == more).all()
    assert taken[0] > taken[2]
    assert put[2] > put[0]
    assert (none == 0).all()


def test_not_evaluated_or_damaged_is_one_clear_error(run, tmp_path):
    with pytest.raises(CheckpointError, match="there is no results") as caught:
        report(tmp_path, tmp_path / "out.html")
    assert "disasymnet evaluate" in caught.value.hint
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        report(run, tmp_path / "out.html", results=tmp_path)
    (tmp_path / "results.json").write_text('{"schema": 99}')
    with pytest.raises(CheckpointError, match="schema 99"):
        report(run, tmp_path / "out.html", results=tmp_path)
    with pytest.raises(CheckpointError, match="gallery"):
        read_gallery(tmp_path, 0.5)


def test_a_missing_extra_names_its_line(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError) as caught:
        report(run, tmp_path / "out.html")
    assert "pip install 'disasymnet[train]'" in str(caught.value)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        roc_curves({})


def test_same_results_same_page(run, tmp_path):
    for name in ("a.html", "b.html"):
        report(run / "best", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_numbers_in_words():
    assert number(None) == "-"
    assert number(0.12345, 2) == "0.12"
    assert between(None) == ""
    assert between([0.1, 0.25], 2) == "0.10 to 0.25"
