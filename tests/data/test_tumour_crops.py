from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disasymnet.data.tumour_crops import cut_tumours
from disasymnet.data.tumours import TumourSet
from disasymnet.datasets import find
from disasymnet.errors import DatasetError
from disasymnet.records import Box, Circle, Finding, Mammogram, Scan
from disasymnet.terms import FindingKind, Laterality, View
from disasymnet.testkit import MAKERS, READ_AS

SHAPE = (200, 160)


def picture(folder: Path, number: int, *findings: Finding, mirrored: bool = False, **facts: object) -> Mammogram:
    """A breast that fills the left half, brighter towards its top; `mirrored` has it at the right edge."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    breast = ((rows - 100) / 90) ** 2 + (columns / 110) ** 2 < 1
    noise = np.random.default_rng(number).normal(0, 3, SHAPE)
    grey = np.where(breast, 90 + (200 - rows) * 0.4 + columns * 0.2 + noise, 2).clip(0, 255).astype(np.uint8)
    path = folder / f"{number}.png"
    Image.fromarray(np.ascontiguousarray(grey[:, ::-1]) if mirrored else grey).save(path)
    side = Laterality.LEFT
    return Mammogram(path, f"anna{number}", None, side, View.CC, True, tuple(findings), **facts)  # type: ignore[arg-type]


def cut(
    tmp_path: Path, *pictures: Mammogram, public: bool = True, workers: int = 1, **more: float
) -> tuple[TumourSet, list[dict[str, str]], list[str]]:
    said: list[str] = []
    cut_tumours(Scan(pictures), "some set", tmp_path / "T", said.append, public=public, workers=workers, **more)
    with (tmp_path / "T" / "tumours.csv").open() as file:
        return TumourSet.read(tmp_path / "T"), list(csv.DictReader(file)), said


MASS = Finding(FindingKind.MASS, Box(30, 80, 50, 110), name="mass oval")


def test_a_crop_is_one_and_a_half_boxes_around_the_lesion(tmp_path: Path) -> None:
    found, (row,), _ = cut(tmp_path, picture(tmp_path, 1, MASS, pixel_mm=0.2))
    (tumour,) = found.tumours
    assert tumour.pixels.shape == (46, 30)  # 30 + 2 x 8 (7.5 rounded to even) rows, 20 + 2 x 5 columns
    assert tumour.box == (20, 30)
    assert (tumour.kind, tumour.source, tumour.pixel_mm) == ("mass", "some set", 0.2)
    assert (row["name"], row["patient"]) == ("mass oval", "anna1")
    with Image.open(tmp_path / "1.png") as file:
        assert np.array_equal(tumour.pixels // 257, np.asarray(file)[72:118, 25:55])
    with Image.open(tmp_path / "T" / row["mask"]) as file:
        mask = np.asarray(file) > 0
    assert mask.sum() == 20 * 30
    assert mask[8:38, 5:25].all()


def test_the_chest_wall_comes_to_the_left(tmp_path: Path) -> None:
    there = Finding(FindingKind.MASS, Box(SHAPE[1] - 50, 80, SHAPE[1] - 30, 110))
    found, _, _ = cut(tmp_path, picture(tmp_path, 1, there, mirrored=True, pixel_mm=0.2))
    straight, _, _ = cut(tmp_path / "other", picture(tmp_path / "other", 1, MASS, pixel_mm=0.2))
    assert np.array_equal(found.tumours[0].pixels, straight.tumours[0].pixels)


@pytest.mark.parametrize(("own", "factor"), [(0.1, 0.5), (0.05, 0.25), (0.3, 1.0)])
def test_crops_have_one_pixel_size_but_are_never_enlarged(tmp_path: Path, own: float, factor: float) -> None:
    large = Finding(FindingKind.MASS, Box(24, 80, 64, 120))
    found, _, _ = cut(tmp_path, picture(tmp_path, 1, large, pixel_mm=own))
    (tumour,) = found.tumours
    assert tumour.box == (40 * factor, 40 * factor)
    assert tumour.pixel_mm == pytest.approx(own / factor)
    assert tumour.pixels.shape == (60 * factor, 60 * factor)


def test_an_unknown_pixel_size_stays_unknown(tmp_path: Path) -> None:
    found, (row,), _ = cut(tmp_path, picture(tmp_path, 1, MASS))
    assert row["pixel_mm"] == ""
    assert any("have no pixel size" in note for note in found.notes)


def test_what_cannot_be_cut_is_counted(tmp_path: Path) -> None:
    broken = picture(tmp_path, 2, MASS, pixel_mm=0.2)
    broken.path.write_bytes(b"no picture")
    kept = picture(
        tmp_path, 1,
        Finding(FindingKind.CALCIFICATION, Circle(60, 100, 2)),
        Finding(FindingKind.MASS, Box(2, 80, 32, 110)),
        Finding(FindingKind.MASS, Box(90, 30, 120, 60)),
        Finding(FindingKind.MASS, Box(500, 500, 520, 520)),
        Finding(FindingKind.MASS),
        MASS,
        pixel_mm=0.2,
    )  # fmt: skip
    found, _, said = cut(tmp_path, kept, broken)
    assert len(found) == 1
    assert sorted(said) == [
        "1 crops of 1 women: 1 mass",
        "not cut, its window leaves the breast: 1",
        "not cut, its window leaves the picture: 1",
        "not cut, outside of its picture: 1",
        "not cut, picture refused (damaged): 1",
        "not cut, smaller than 8 pixels: 1",
    ]


def test_women_of_ones_own_set_are_numbered(tmp_path: Path) -> None:
    cut(tmp_path, picture(tmp_path, 1, MASS), picture(tmp_path, 2, MASS), public=False)
    text = (tmp_path / "T" / "tumours.csv").read_text()
    assert "anna" not in text
    assert "w00002" in text


def test_workers_change_no_byte(tmp_path: Path) -> None:
    pictures = [picture(tmp_path, number, MASS, MASS, pixel_mm=0.1) for number in range(3)]
    cut(tmp_path, *pictures)
    cut(tmp_path / "two", *pictures, workers=2)

    def content(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert content(tmp_path / "T") == content(tmp_path / "two" / "T")


def test_nothing_is_written_over_or_left_behind(tmp_path: Path) -> None:
    def refuse(*pictures: Mammogram) -> str:
        with pytest.raises(DatasetError) as error:
            cut_tumours(Scan(pictures), "some set", tmp_path / "T", lambda line: None, public=True, workers=1)
        return error.value.what

    assert refuse(picture(tmp_path, 1)) == "no finding of the data set has a place"
    assert refuse(picture(tmp_path, 1, Finding(region=Circle(60, 100, 2)))) == "no lesion could be cut out"
    assert not list(tmp_path.glob("T*"))
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "mine.txt").touch()
    assert refuse(picture(tmp_path, 1, MASS)) == "it is not an empty folder"


# Of the places that the makers plant, those that make a crop at 0.2 mm: the others are dots, or too near to an edge.
CROPS = {"mini-mias": 4, "table": 4, "inbreast": 5, "ddsm": 10, "mini-ddsm": 6, "cbis-ddsm": 8, "vindr": 3}


@pytest.mark.slow
@pytest.mark.parametrize("name", CROPS)
def test_every_set_with_places_gives_a_tumour_set(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / "set")
    dataset = READ_AS.get(name, name)
    found = find(dataset).scan(tmp_path / "set")
    made = cut_tumours(found, dataset, tmp_path / "T", lambda line: None, public=True, workers=1)
    assert made == CROPS[name]
    read = TumourSet.read(tmp_path / "T")
    assert read.sources == (dataset,)
    with pytest.raises(DatasetError, match="the data set trained on"):
        read.check_source(dataset)


@pytest.mark.data
def test_lesions_of_ten_real_women(real_data: Path, tmp_path: Path) -> None:
    """The lesion is brighter than what surrounds it in the crop, as on the film."""
    with zipfile.ZipFile(real_data / "mini-ddsm-sample" / "mini-ddsm-10.zip") as archive:
        archive.extractall(tmp_path / "set")
    said: list[str] = []
    found = find("ddsm").scan(tmp_path / "set")
    count = cut_tumours(found, "ddsm", tmp_path / "T", said.append, public=True, workers=1)
    assert count >= 15, said
    contrasts = []
    with (tmp_path / "T" / "tumours.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        with Image.open(tmp_path / "T" / row["file"]) as crop, Image.open(tmp_path / "T" / row["mask"]) as mask:
            pixels, inside = np.asarray(crop) / 257, np.asarray(mask) > 0
        contrasts.append(pixels[inside].mean() - pixels[~inside].mean())
        assert row["pixel_mm"] == "0.2"
    assert np.median(contrasts) > 5
    assert np.mean(np.array(contrasts) > 0) > 0.8
