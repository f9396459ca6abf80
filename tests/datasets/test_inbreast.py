from __future__ import annotations

import builtins
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disasymnet.data.lesions import region_mask
from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.errors import DatasetError, MissingExtraError
from disasymnet.images.read import read_picture
from disasymnet.records import Circle, Mammogram, Scan
from disasymnet.terms import FindingKind, Laterality, View
from disasymnet.testkit.films import pick, shoot
from disasymnet.testkit.inbreast import make_inbreast, token
from disasymnet.testkit.planted import Planted
from tests.datasets.counted import counted

scan = find("inbreast").scan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    root = tmp_path_factory.mktemp("inbreast")
    return root, make_inbreast(root)


@pytest.fixture
def copy(made: tuple[Path, Planted], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def pictures(found: Scan, woman: int, name: str) -> list[Mammogram]:
    side, view = name.split("_")
    wanted = (token(woman), Laterality.parse(side), View(view))
    return [each for each in found.pictures if (each.patient, each.laterality, each.view) == wanted]


def test_the_counts_that_were_planted(made: tuple[Path, Planted]) -> None:
    assert counted(scan(made[0])) == made[1]


def test_the_old_excel_table_gives_the_same(copy: Path) -> None:
    from_csv = scan(copy)
    (copy / "INbreast.csv").unlink()
    from_xls = scan(copy)
    assert replace(from_xls, used=()) == replace(from_csv, used=())


def test_labels_are_of_the_picture(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    (one,) = pictures(found, 1, "LEFT_CC")  # `4a `
    assert one.abnormal is True
    assert [each.abnormal for each in pictures(found, 2, "RIGHT_CC")] == [False, True]  # two dates
    assert [each.exam for each in pictures(found, 2, "RIGHT_CC")] == [f"{token(2)}-200901", f"{token(2)}-201003"]
    assert (one.density, one.detector, one.chest_wall) == ("2", "digital", None)
    assert [each.density for each in pictures(found, 2, "RIGHT_CC")] == [None, "2"]  # one blank cell


def test_outlines_are_the_lesions_that_were_drawn(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    film = pick(shoot(30, False, True), "LEFT_CC")
    mass, dot = pictures(found, 1, "LEFT_CC")[0].findings
    assert mass.region is not None
    assert np.array_equal(region_mask(mass.region, film.pixels.shape)[0], film.lesions[0])
    assert dot.region == Circle(60.5, 70.5, 2)
    assert [finding.name for finding in (mass, dot)] == ["Mass", "Calcification"]
    first, second = pictures(found, 3, "LEFT_CC")[0].findings
    assert first.kind is second.kind is FindingKind.CALCIFICATION
    assert second.region == Circle(44.5, 63.5, 5)  # two points, 10 pixels apart
    (spiculated,) = pictures(found, 4, "LEFT_CC")[0].findings
    assert spiculated.region is not None
    mask, _ = region_mask(spiculated.region, (160, 120))  # one of its points lies left of the picture
    assert mask[:, 0].any()
    assert 0 < mask.sum() < 60 * 30 / 2


def test_repeats_and_other_views(made: tuple[Path, Planted]) -> None:
    found = scan(made[0])
    kept, repeated = pictures(found, 4, "LEFT_CC")
    assert kept.path.name[:8] < repeated.path.name[:8]
    pairs, left_over = pair_up(found.pictures)
    assert kept in [pair.pictures.left for pair in pairs]
    assert [entry.path for entry in left_over if entry.code == "superseded"] == [repeated.path]
    assert Counter(entry.code for entry in left_over) == {"view": 1, "unpaired": 3, "superseded": 1, "copy": 1}


def test_the_reader_takes_the_files_as_they_are(made: tuple[Path, Planted]) -> None:
    film = pick(shoot(30, False, True), "LEFT_CC")
    read = read_picture(pictures(scan(made[0]), 1, "LEFT_CC")[0].path)
    assert read.facts.pixel_mm == 1.5
    assert np.corrcoef(read.pixels.ravel(), film.pixels.ravel())[0, 1] > 0.9999


def test_what_is_odd_is_counted(copy: Path) -> None:
    assert scan(copy).warnings == ("abnormal pictures without outlines: 5",)
    for old, new in (("Mass", "Knoten"), ("Assymetry", "asymmetry ")):
        for path in (copy / "AllXML").iterdir():
            path.write_text(path.read_text().replace(f"<string>{old}</string>", f"<string>{new}</string>"))
    found = scan(copy)
    assert "outlines called 'Knoten', taken as other: 1" in found.warnings
    assert counted(found).lesions["asymmetry"] == 1


# As they are spelt in the files that public readers have met; kinds by hand.
SPELLINGS = {
    "Mass": "mass", "Spiculated Region": "mass", "Spiculated region": "mass", "Espiculated Region": "mass",
    "Calcification": "calcification", "Calcifications": "calcification", "Cluster": "calcification",
    "Unnamed": "calcification", "Point 1": "calcification", "Point 3": "calcification",
    "Distortion": "architectural_distortion", "Asymmetry": "asymmetry", "Assymetry": "asymmetry",
}  # fmt: skip


def test_every_spelling_of_an_outline_is_known(copy: Path) -> None:
    path = copy / "AllXML" / f"{pictures(scan(copy), 1, 'LEFT_MLO')[0].path.name[:8]}.xml"
    whole = path.read_text()
    found = {}
    for word in SPELLINGS:
        path.write_text(whole.replace("Espiculated Region", word))
        scanned = scan(copy)
        (finding,) = pictures(scanned, 1, "LEFT_MLO")[0].findings
        found[word] = str(finding.kind)
        assert not any("taken as other" in line for line in scanned.warnings)
    assert found == SPELLINGS


@pytest.mark.parametrize("damage", ["no XML at all", "<plist></plist>", "(1.0, 2.0)", ""])
def test_damaged_outlines_cost_their_places_only(copy: Path, damage: str) -> None:
    path = copy / "AllXML" / f"{pictures(scan(copy), 2, 'RIGHT_CC')[1].path.name[:8]}.xml"
    whole = path.read_text()
    path.write_text(whole.replace("<string>(", "<string>)") if damage.startswith("(") else damage)
    found = scan(copy)
    assert "outline files that cannot be read: 1" in found.warnings
    assert pictures(found, 2, "RIGHT_CC")[1].abnormal is True


def test_a_partial_download(copy: Path) -> None:
    table = copy / "INbreast.csv"
    lines = table.read_text().split("\n")
    table.write_text("\n".join(lines[:5] + lines[6:]))
    assert Counter(entry.code for entry in scan(copy).rejected)["no_table_row"] == 2  # one never had a row
    table.write_text("\n".join(lines).replace("4a ", "4d"))
    with pytest.raises(DatasetError, match="BI-RADS '4d' is not understood"):
        scan(copy)
    shutil.rmtree(copy / "AllDICOMs")
    shutil.rmtree(copy / "AllDICOMs 2")
    with pytest.raises(DatasetError, match="no picture of INbreast"):
        scan(copy)
    table.unlink()
    (copy / "INbreast.xls").write_bytes(b"no Excel")
    with pytest.raises(DatasetError, match="no picture"):
        scan(copy)
    (copy / "INbreast.xls").unlink()
    with pytest.raises(DatasetError, match=r"INbreast\.csv is missing"):
        scan(copy)


def test_excel_tables_say_what_they_need(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "INbreast.csv").unlink()
    (copy / "INbreast.xls").write_bytes(b"no Excel")
    with pytest.raises(DatasetError, match="no Excel table"):
        scan(copy)
    monkeypatch.delitem(sys.modules, "python_calamine", raising=False)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "python_calamine":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"disasymnet\[datasets\]"):
        scan(copy)
