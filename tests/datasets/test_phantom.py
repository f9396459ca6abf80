from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from disasymnet.datasets.phantom import scan
from disasymnet.errors import DatasetError
from disasymnet.phantom import PhantomSettings, make_exams
from disasymnet.records import MaskFile
from disasymnet.terms import FindingKind, Laterality, View


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scan") / "set"
    make_exams(out, PhantomSettings(exams=4, rows=96, tumours=0, style="film"), workers=1, say=lambda line: None)
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_every_picture_with_its_truth(made: Path) -> None:
    found = scan(made)
    assert not found.rejected
    assert len(found.pictures) == 16
    assert {(p.laterality, p.view) for p in found.pictures} == {(s, v) for s in Laterality for v in (View.CC, View.MLO)}
    abnormal = [picture for picture in found.pictures if picture.abnormal]
    assert abnormal
    for picture in abnormal:
        assert picture.lesion_free is not None
        assert picture.lesion_free.is_file()
        for finding in picture.findings:
            assert isinstance(finding.region, MaskFile)
            assert isinstance(finding.kind, FindingKind)
            assert finding.name is not None
            assert ", " in finding.name
            assert finding.malignant is None
    for picture in found.pictures:
        assert picture.abnormal is bool(picture.findings)
        assert picture.chest_wall == ("left" if picture.laterality is Laterality.LEFT else "right")
        assert picture.detector == "film"
        assert picture.pixel_mm == 2.5
        assert picture.split in ("train", "val", "test")
        assert picture.density in ("A", "B", "C", "D")


@pytest.mark.parametrize("name", ["phantom.json", "pictures.csv", "phantom-00002/L_MLO.dcm"])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(DatasetError) as error:
        scan(copy)
    assert name in str(error.value)
    assert "missing" in error.value.what
    assert "\n" not in error.value.what
    assert error.value.hint


def test_missing_mask_is_named(copy: Path) -> None:
    mask = next(copy.glob("*/truth/*_lesion_1.png"))
    mask.unlink()
    with pytest.raises(DatasetError, match=mask.name):
        scan(copy)


def test_damaged_line_is_numbered(copy: Path) -> None:
    table = copy / "pictures.csv"
    lines = table.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace(",MLO,", ",SIDEWAYS,").replace(",CC,", ",SIDEWAYS,")
    table.write_text("".join(lines))
    with pytest.raises(DatasetError, match="line 3 cannot be read"):
        scan(copy)


def test_missing_column_is_named(copy: Path) -> None:
    table = copy / "pictures.csv"
    table.write_text(table.read_text().replace("lesion_free", "other", 1))
    with pytest.raises(DatasetError, match="no column lesion_free"):
        scan(copy)


@pytest.mark.parametrize("card", ["", "{}", json.dumps({"schema": 99, "settings": {"style": "film"}})])
def test_foreign_card_is_refused(copy: Path, card: str) -> None:
    (copy / "phantom.json").write_text(card)
    with pytest.raises(DatasetError) as error:
        scan(copy)
    assert error.value.hint
