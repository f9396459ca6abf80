from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from torch import Tensor

from disasymnet.checkpoint import Card, Checkpoint
from disasymnet.errors import CheckpointError, DatasetError, PairingError, PictureError
from disasymnet.images.read import Facts, Picture, read_picture
from disasymnet.methods import build
from disasymnet.methods.base import Method, PairOutput
from disasymnet.outputs.prediction import to_dict
from disasymnet.phantom.make import make_exams
from disasymnet.phantom.settings import PhantomSettings
from disasymnet.predict import Model, Source, as_pair, pairs_in, predict_folder
from disasymnet.records import Exposure, Identity
from disasymnet.terms import Laterality, View
from tests.data.small import make_recipe
from tests.evaluate.trained import SMALL

RECIPE = make_recipe(*SMALL, "image.mm_per_pixel=3.2")
CARD = Card(method="disasymnet", recipe=RECIPE.digest, cache="c", dataset="phantom", height=64, width=32)


class Marking(Method):
    """Marks and darkens a block near the chest wall of the brighter side."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        mean = image.sum((1, 2, 3)) / breast.sum((1, 2, 3))
        cam = torch.zeros_like(image)
        cam[..., 28:36, 3:9] = 1.0
        right, left = mean.chunk(2)
        return PairOutput(4 * mean, 4 * (right - left).abs(), cam, image - 0.05 * cam, cam * image)


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms") / "exams"
    make_exams(out, PhantomSettings(exams=2, rows=256, tumours=1), workers=1, say=lambda line: None)
    return out


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(Checkpoint(Marking(), RECIPE, CARD))


@pytest.fixture
def first(exams: Path) -> Path:
    return exams / "phantom-00001"


def _source(
    laterality: str | None = None,
    view: str | None = None,
    patient: str | None = None,
    seed: int = 0,
    issuer: str | None = None,
    study: str | None = None,
) -> Source:
    pixels = np.zeros((200, 120), np.float32)
    y, x = np.mgrid[:200, :120]
    inside = ((y - 100) / 80) ** 2 + (x / 70) ** 2 < 1
    pixels[inside] = 0.3 + 0.1 * np.random.default_rng(seed).random(int(inside.sum()), dtype=np.float32)
    if laterality == "R":  # as it hangs
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    facts = Facts(
        Laterality.parse(laterality) if laterality else None,
        View.parse(view) if view else None,
        0.8,
        identity=Identity(patient or "", issuer or "", study or ""),
    )
    return Source(Picture(pixels, facts), hashlib.sha256(bytes([seed])).hexdigest())


def test_answers_are_on_the_files_own_pixels(model, first):
    seen = model.predict(first / "R_CC.dcm", first / "L_CC.dcm")
    for side, name in zip(seen.sides, ("R_CC.dcm", "L_CC.dcm"), strict=True):
        shape = read_picture(first / name).pixels.shape
        for array in (side.pixels, side.cam, side.normal, side.abnormal_part, side.breast):
            assert array.shape == shape
        assert side.sha256 == hashlib.sha256((first / name).read_bytes()).hexdigest()
        assert 0 <= side.abnormality <= 1
    assert seen.view is View.CC


def test_unchanged_pixels_are_the_files_to_the_last_bit(model, first):
    for side in model.predict(first / "R_CC.dcm", first / "L_CC.dcm").sides:
        changed = side.pixels != side.normal
        assert 0 < changed.mean() < 0.1
        assert not changed[~side.breast].any()
        core = side.cam == 1
        assert (side.pixels - side.normal)[core] == pytest.approx(0.05, abs=1e-4)
        # detail of the source survives where the model darkened it
        assert np.corrcoef(side.pixels[core], side.normal[core])[0, 1] > 0.999


def test_map_lies_at_the_chest_wall_of_each_file_whichever_way_it_hangs(model, first):
    seen = model.predict(first / "R_MLO.dcm", first / "L_MLO.dcm")
    columns = [np.flatnonzero(side.cam.any(0)).mean() / side.cam.shape[1] for side in seen.sides]
    assert columns[0] > 0.6 > 0.4 > columns[1]  # right breasts have their wall at the right edge of the file
    turned = [np.flatnonzero(side.breast.any(0)).mean() / side.breast.shape[1] for side in seen.sides]
    assert turned[0] > 0.5 > turned[1]


def test_tags_decide_and_the_exchange_is_said(model, first):
    one = model.predict(first / "R_CC.dcm", first / "L_CC.dcm")
    two = model.predict(first / "L_CC.dcm", first / "R_CC.dcm")
    assert one.right.abnormality == two.right.abnormality
    assert (one.left.normal == two.left.normal).all()
    assert any("stated order" in line for line in two.warnings)
    assert not any("stated order" in line for line in one.warnings)


def test_swap_of_files_without_tags_swaps_the_answer():
    torch.manual_seed(0)
    model = Model(Checkpoint(build(RECIPE).eval(), RECIPE, CARD))
    a, b = _source(seed=1), _source(seed=2)
    one, two = model.predict_pictures(a, b), model.predict_pictures(b, a)
    assert one.asymmetry == pytest.approx(two.asymmetry, abs=1e-6)
    assert one.right.abnormality == pytest.approx(two.left.abnormality, abs=1e-6)
    assert one.left.cam == pytest.approx(two.right.cam, abs=1e-5)
    assert sum("states no side" in line for line in one.warnings) == 2


@pytest.mark.parametrize(
    ("right", "left", "says"),
    [
        (_source("R", "CC"), _source("R", "CC", seed=1), "both pictures show the right breast"),
        (_source("R", "CC"), _source("L", "MLO", seed=1), "different views: CC and MLO"),
        (_source("R", "CC", "a"), _source("L", "CC", "b", seed=1), "different patients"),
        (_source("R", "CC", "a", issuer="X"), _source("L", "CC", "a", seed=1, issuer="Y"), "different patients"),
        (_source("R", "CC", study="a"), _source("L", "CC", study="b", seed=1), "different studies"),
        (_source("R", "ML"), _source("L", "ML", seed=1), "view ML makes no pair"),
        (_source("L", "CC"), _source(None, "CC", seed=1), "first picture shows the left breast"),
        (_source(None, "CC"), _source("R", "CC", seed=1), "second picture shows the right breast"),
        (_source("R", "CC"), _source("L", "CC"), "same picture"),
    ],
)
def test_a_wrong_partner_is_an_error_that_names_nobody(right, left, says):
    with pytest.raises(PairingError, match=says) as caught:
        as_pair(right, left)
    assert "'a'" not in str(caught.value)


def test_special_views_and_implants_of_one_side_make_no_pair():
    def taken(source: Source, **what: Any) -> Source:
        exposure = Exposure(**{"for_presentation": True, **what})
        return replace(source, picture=replace(source.picture, facts=replace(source.picture.facts, exposure=exposure)))

    right, left = _source("R", "CC"), _source("L", "CC", seed=1)
    with pytest.raises(PairingError, match="no screening view: spot") as caught:
        as_pair(right, taken(left, special="spot"))
    assert "plain view" in str(caught.value)
    with pytest.raises(PairingError, match="implant is displaced in one"):
        as_pair(taken(right, implant_displaced=True), taken(left))
    as_pair(taken(right, implant_displaced=True), taken(left, implant_displaced=True))
    with pytest.raises(PairingError, match="the other a film"):
        as_pair(taken(right), taken(left, for_presentation=False))
    as_pair(taken(right), left)


def test_warnings_say_where_a_pair_lies_outside_of_the_training(model):
    card = replace(
        CARD,
        pixel_mm=(1.0, 1.6),
        file_pixel_mm=(0.05, 0.1),
        grey=((0.0, 0.1),) * 5,
        detectors=("film",),
        views=("MLO",),
    )
    narrow = Model(replace(model.checkpoint, card=card))
    said = "\n".join(narrow.predict_pictures(_source("R", "CC"), _source("L", "CC", seed=1)).warnings)
    assert "right: drawn at 3.2 mm a pixel, the training pictures at 1 to 1.6 mm" in said
    assert "left: the file has 0.8 mm a pixel, the training files 0.05 to 0.1 mm" in said
    assert "left: detector unknown was not among the training pictures (film)" in said
    assert "50 % quantile" in said
    assert "view CC was not among" in said
    wide = replace(
        card,
        pixel_mm=(3.2, 3.2),
        file_pixel_mm=(0.78, 0.82),
        grey=((0.0, 1.0),) * 5,
        detectors=("unknown",),
        views=("CC",),
    )
    fits = Model(replace(model.checkpoint, card=wide))
    assert fits.predict_pictures(_source("R", "CC"), _source("L", "CC", seed=1)).warnings == ()


def test_a_pixel_size_that_is_missing_is_told_of_its_own_side(model):
    card = replace(CARD, pixel_mm=(3.2, 3.2), grey=((0.0, 1.0),) * 5, detectors=("unknown",), views=("CC",))
    right, left = _source("R", "CC"), _source("L", "CC", seed=1)
    nothing = replace(left.picture, facts=replace(left.picture.facts, pixel_mm=None))
    told = Model(replace(model.checkpoint, card=card)).predict_pictures(right, replace(left, picture=nothing)).warnings
    assert "right: the pixel size of the other side is not known; the model was trained at a known scale" in told
    assert "left: the pixel size is not known; the model was trained at a known scale" in told
    assert "right: one side's pixel size is unknown: the breasts are fitted into the frame" in told


def test_files_that_cannot_be_used(model, first, tmp_path):
    with pytest.raises(PictureError, match="no such file"):
        model.predict(tmp_path / "none.dcm", first / "L_CC.dcm")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(PictureError):
        model.predict(tmp_path / "bad.png", first / "L_CC.dcm")
    with pytest.raises(CheckpointError):
        Model.load(tmp_path)


def test_folder_pairs_by_tags_and_lists_orphans(model, first, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(first, folder)
    shutil.rmtree(folder / "truth", ignore_errors=True)
    (folder / "L_MLO.dcm").unlink()
    (folder / "R_CC.dcm").rename(folder / "looks-like-left.dcm")
    Image.fromarray(np.arange(10000, dtype=np.uint8).reshape(100, 100)).save(folder / "unknown.png")
    (folder / "notes.txt").write_text("no picture")
    answers, rejected = predict_folder(model, folder)
    (pair, prediction), *more = list(answers)
    assert not more
    assert pair.pictures.right.path.name == "looks-like-left.dcm"
    assert prediction.view is View.CC
    reasons = {entry.path.name: entry.code for entry in rejected}
    assert set(reasons) == {"R_MLO.dcm", "unknown.png", "notes.txt"}
    assert reasons["R_MLO.dcm"] == "unpaired"


def test_folder_without_a_pair_is_an_error(model, tmp_path):
    with pytest.raises(DatasetError, match="holds no file"):
        predict_folder(model, tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(PairingError, match="no two files here make a pair"):
        predict_folder(model, tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        pairs_in(tmp_path / "none")


class Darkening(Method):
    """Takes 0.1 from every pixel and marks all."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        return PairOutput(torch.zeros(2), torch.zeros(1), torch.ones_like(image), image - 0.1, None)


def test_a_change_up_to_the_edge_does_not_fade_at_skin_and_chest_wall():
    model = Model(Checkpoint(Darkening(), RECIPE, CARD))
    for side in model.predict_pictures(_source("R", "CC"), _source("L", "CC", seed=1)).sides:
        assert (side.pixels - side.normal)[side.breast & (side.pixels > 0.1)] == pytest.approx(0.1, abs=1e-5)
        assert side.cam[side.breast] == pytest.approx(1)
        assert side.abnormal_part is None


def test_the_voi_of_the_training_makes_the_grey_of_the_answer(first):
    told = []
    for voi in ("auto", "none"):
        recipe = RECIPE.model_copy(update={"image": RECIPE.image.model_copy(update={"voi": voi})})
        seen = Model(Checkpoint(Marking(), recipe, CARD)).predict(first / "R_CC.dcm", first / "L_CC.dcm")
        told.append([step.detail for side in seen.sides for step in side.steps if step.name == "voi"])
    assert all(detail.startswith("window 1 of 1") for detail in told[0])
    assert all(detail.startswith("none wanted") for detail in told[1])


@pytest.mark.data
def test_swap_on_a_real_pair(real_data, tmp_path):
    with zipfile.ZipFile(real_data / "mini-mias" / "mini-mias-webp.zip") as archive:
        names = sorted(name for name in archive.namelist() if "mdb005" in name or "mdb006" in name)
        left, right = (Path(archive.extract(name, tmp_path)) for name in names)  # odd numbers are left breasts
    torch.manual_seed(0)
    model = Model(Checkpoint(build(RECIPE).eval(), RECIPE, CARD))
    one, two = model.predict(right, left), model.predict(left, right)
    assert one.asymmetry == pytest.approx(two.asymmetry, abs=1e-6)
    for side, other in zip(one.sides, two.sides.swap(), strict=True):
        assert side.abnormality == pytest.approx(other.abnormality, abs=1e-6)
        assert side.cam == pytest.approx(other.cam, abs=1e-5)
        assert side.normal == pytest.approx(other.normal, abs=1e-5)
        assert side.sha256 == other.sha256


def test_prediction_needs_no_part_of_training():
    code = "import sys, disasymnet.predict; print([m for m in sys.modules if 'disasymnet.training' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class MarkingAbove(Method):
    """Marks a block in the upper part of both breasts."""

    def forward(self, image: Tensor, breast: Tensor) -> PairOutput:
        cam = torch.zeros_like(image)
        cam[..., 20:26, 2:7] = 1.0
        flat = image.mean((1, 2, 3))
        return PairOutput(flat, flat[:1], cam, image - 0.05 * cam, cam * image)


def test_maps_of_an_upside_down_file_lie_where_they_belong_in_it(first, tmp_path):
    above = Model(Checkpoint(MarkingAbove(), RECIPE, CARD))
    file = pydicom.dcmread(first / "L_MLO.dcm")
    file.PixelData = np.ascontiguousarray(file.pixel_array[::-1]).tobytes()
    file.PatientOrientation = ["A", "HL"]
    file.save_as(tmp_path / "L_MLO.dcm")
    usual = above.predict(first / "R_MLO.dcm", first / "L_MLO.dcm")
    turned = above.predict(first / "R_MLO.dcm", tmp_path / "L_MLO.dcm")
    for name in ("cam", "normal", "abnormal_part", "breast"):
        seen = np.asarray(getattr(turned.left, name), np.float32)[::-1]
        np.testing.assert_allclose(seen, np.asarray(getattr(usual.left, name), np.float32), atol=0.02)
    rows, _ = np.nonzero(turned.left.cam > 0.5)
    assert rows.mean() > turned.left.cam.shape[0] / 2  # below, as the file lies
    warned = to_dict(turned)["warnings"]
    assert "left: turned the right way up by PatientOrientation A/HL" in warned
    assert any(line.startswith("left: upside down by PatientOrientation A/HL") for line in warned)
    assert not any("upside down" in line for line in usual.warnings)
