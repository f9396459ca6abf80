from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from disasymnet.data.describe import count, describe
from disasymnet.data.published import PUBLISHED
from disasymnet.datasets import find
from disasymnet.phantom import PhantomSettings, make_exams
from disasymnet.testkit import MAKERS, READ_AS


@pytest.mark.parametrize("name", MAKERS)
def test_it_finds_what_was_planted(tmp_path: Path, name: str) -> None:
    planted = MAKERS[name](tmp_path)
    dataset = READ_AS.get(name, name)
    found = count(find(dataset).scan(tmp_path))
    sides = {"normal": (False, False), "abnormal": (True, True)}
    assert found["women"] == planted.women
    assert found["exams"] == planted.exams
    assert found["pictures"] == planted.pictures == sum(found[f"views {view}"] for view in ("CC", "MLO", "other"))
    for label in ("normal", "abnormal", "unknown"):
        assert found[f"pictures {label}"] == getattr(planted, label)
    assert found["pairs"] == sum(planted.pairs.values())
    for label, pattern in sides.items():
        assert found[f"pairs both {label}"] == planted.pairs.get(pattern, 0)
    one = planted.pairs.get((True, False), 0) + planted.pairs.get((False, True), 0)
    assert found["pairs one abnormal"] == one
    assert found["pairs undecided"] == sum(number for labels, number in planted.pairs.items() if None in labels)
    assert found["pairs asymmetric"] == sum(number for labels, number in planted.pairs.items() if True in labels)
    assert found["pairs symmetric"] == planted.pairs.get((False, False), 0)
    kinds = {"unknown": "lesions of unknown kind"}
    for kind, number in planted.lesions.items():
        assert found[kinds.get(kind, f"lesions {kind.replace('_', ' ')}")] == number
    assert found["lesions"] == sum(planted.lesions.values())
    assert found["lesions with a place"] == planted.located
    text = describe(dataset, tmp_path)
    assert f"{planted.women} women, {sum(planted.pairs.values())} pairs" in text
    for code, number in planted.rejected.items():
        assert f"{number} {code}" in text


def test_it_finds_what_the_phantom_was_asked_for(tmp_path: Path) -> None:
    """Of 8 women 4 without lesion, 2 with one in one breast, 2 with one in each: 12 pictures, CC and MLO, show one."""
    asked = PhantomSettings(
        exams=8, rows=96, symmetric=0.5, bilateral=0.5, second_lesion=0, val=0, test=0, tumours=0, lesions="easy"
    )
    make_exams(tmp_path / "set", asked, workers=1, say=lambda line: None)
    found = count(find("phantom").scan(tmp_path / "set"))
    expected = {
        "women": 8, "exams": 8, "pictures": 32, "views CC": 16, "views MLO": 16, "pictures normal": 20,
        "pictures abnormal": 12, "pictures unknown": 0, "pairs": 16, "pairs both normal": 8, "pairs one abnormal": 4,
        "pairs both abnormal": 4, "pairs symmetric": 8, "pairs asymmetric": 8, "lesions": 12,
        "lesions with a place": 12,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert "8 women, 16 pairs" in describe("phantom", tmp_path / "set")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts_add_up(name: str) -> None:
    """Every column that gives a whole and its parts gives them in agreement, so no digit is wrong."""
    for counts in (PUBLISHED[name].published, PUBLISHED[name].paper):
        if {"pictures normal", "pictures abnormal"} <= set(counts):
            assert counts["pictures normal"] + counts["pictures abnormal"] == counts["pictures"]
        if "pairs both normal" in counts and "pairs one abnormal" in counts:
            parts = ("both normal", "one abnormal", "both abnormal", "undecided")
            assert sum(counts.get(f"pairs {part}", 0) for part in parts) == counts["pairs"]
        if "views CC" in counts:
            assert sum(counts[f"views {view}"] for view in ("CC", "MLO", "other")) == counts["pictures"]


def test_differences_are_explained(tmp_path: Path) -> None:
    MAKERS["vindr"](tmp_path)
    lines = describe("vindr", tmp_path).splitlines()
    (pictures,) = [line for line in lines if line.startswith("pictures: ")]
    assert pictures == (
        "pictures: 19,980 fewer than published: 2 missing, 1 for_processing; "
        "19,977 neither here nor named by what is here."
    )
    assert "women: 4,994 fewer than published; follows from the pictures that are here." in lines
    assert any("16 pictures fewer" in line for line in lines)
    head = next(line for line in lines if line.startswith("pictures "))
    assert head.split() == ["pictures", "20", "20,000", "19,984"]


def test_only_published_pictures_explain_a_difference(tmp_path: Path) -> None:
    """3,032 are CBIS-DDSM's different views: of 3,023 that are not here one is named by its row, no double is."""
    MAKERS["cbis-ddsm"](tmp_path)
    assert "pictures: 3,023 fewer than published: 1 missing; 3,022 neither here nor" in describe("cbis-ddsm", tmp_path)


def test_a_set_of_ones_own_stands_beside_the_papers_in_house_set(tmp_path: Path) -> None:
    """Of which nothing but these numbers is published: no difference is to be explained."""
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "table.csv").write_text("patient_id,image_path,laterality,view,birads\nanna,a.png,R,CC,2\n")
    text = describe("table", tmp_path)
    lines = [line.split() for line in text.splitlines()]
    assert ["here", "paper"] in lines
    for row in (
        ["women", "1", "10,670"],
        ["exams", "1", "43,258"],
        ["pictures", "1", "34,732"],
        ["pictures", "normal", "0", "6,000"],
        ["pictures", "abnormal", "1", "28,732"],
        ["pairs", "0", "-"],
    ):
        assert row in lines  # fmt: skip
    assert "agree" not in text.replace("nothing here should agree with it", "")
    assert "than published" not in text
    assert "anna" not in text


@pytest.mark.data
def test_mini_mias(real_data: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, real_data / "mini-mias" / "unpack.py", tmp_path], check=True, capture_output=True)
    text = describe("mini-mias", tmp_path)
    assert "Here and published agree in every row." in text
    found = {line.strip()[:30].strip(): line.split()[-2] for line in text.splitlines() if line.startswith("  pairs")}
    assert [found[f"pairs {part}"] for part in ("both normal", "one abnormal", "both abnormal")] == ["53", "101", "7"]
