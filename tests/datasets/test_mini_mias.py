from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disasymnet.datasets.mini_mias import scan
from disasymnet.errors import DatasetError
from disasymnet.images.read import read_picture
from disasymnet.records import Circle, Mammogram, Scan, Sides
from disasymnet.terms import FindingKind, Laterality, View
from disasymnet.testkit.mini_mias import make_mini_mias

LINES = {
    1: ["mdb001 G CIRC B 535 425 197"],
    5: ["mdb005 F CIRC B 477 133 30", "mdb005 F CIRC B 500 168 26 "],
    59: ["mdb059 F CIRC B"],
    212: ["mdb212 G CALC B 687 882 3"],
    216: ["mdb216 D CALC M *NOTE 3* "],
}


def folder(root: Path, info: str | None = None, numbers: tuple[int, ...] = (1, 2, 5, 59, 212, 216)) -> Path:
    inner = root / "all-mias"
    inner.mkdir()
    lines = [line for number in range(1, 323) for line in LINES.get(number, [f"mdb{number:03d} D NORM "])]
    (inner / "Info.txt").write_text(info or "Some words first.\n\n" + "\n".join(lines) + "\n")
    for number in numbers:
        (inner / f"mdb{number:03d}.pgm").write_bytes(b"")
    return root


def by_name(found: Scan) -> dict[str, Mammogram]:
    return {picture.path.stem: picture for picture in found.pictures}


def test_odd_files_are_left_breasts_with_the_wall_at_the_right_edge(tmp_path: Path) -> None:
    pictures = by_name(scan(folder(tmp_path)))
    one, two = pictures["mdb001"], pictures["mdb002"]
    assert (one.laterality, one.chest_wall) == (Laterality.LEFT, "right")
    assert (two.laterality, two.chest_wall) == (Laterality.RIGHT, "left")
    assert one.patient == two.patient == "mias-001"
    assert (one.view, one.pixel_mm, one.detector, one.density) == (View.MLO, 0.2, "film", "G")


def test_circles_count_from_the_bottom(tmp_path: Path) -> None:
    pictures = by_name(scan(folder(tmp_path)))
    (finding,) = pictures["mdb001"].findings
    assert finding.region == Circle(535.5, 598.5, 197)  # the pixel of column 535, row 1023 - 425
    assert (finding.kind, finding.malignant, finding.name) == (FindingKind.MASS, False, "CIRC")
    assert len(pictures["mdb005"].findings) == 2


def test_lesions_without_a_usable_circle_stay_lesions(tmp_path: Path) -> None:
    pictures = by_name(scan(folder(tmp_path)))
    for name in ("mdb059", "mdb212", "mdb216"):
        (finding,) = pictures[name].findings
        assert finding.region is None
        assert pictures[name].abnormal is True
    assert pictures["mdb216"].findings[0].malignant is True
    assert pictures["mdb002"].abnormal is False


def test_missing_files_are_named(tmp_path: Path) -> None:
    found = scan(folder(tmp_path))
    assert len(found.pictures) == 6
    assert len(found.rejected) == 316
    assert found.rejected[0].path.name == "mdb003.pgm"
    assert found.rejected[0].code == "missing"


def test_damaged_folders_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Info\.txt is missing"):
        scan(tmp_path)
    folder(tmp_path, numbers=())
    with pytest.raises(DatasetError, match="no picture"):
        scan(tmp_path)
    info = tmp_path / "all-mias" / "Info.txt"
    whole = info.read_text()
    info.write_text(whole.replace("mdb003 D NORM", "mdb003 D WHAT"))
    with pytest.raises(DatasetError, match="line 5 is not understood"):
        scan(tmp_path)
    info.write_text(whole.replace("mdb322 D NORM", ""))
    with pytest.raises(DatasetError, match="no line for mdb322"):
        scan(tmp_path)


@pytest.mark.data
def test_all_of_mini_mias(real_data: Path, tmp_path: Path) -> None:
    """Counts of lines, pairs, densities and circles as counted by hand in the original list."""
    info = (real_data / "mini-mias" / "Info.txt").read_text(encoding="latin-1")
    found = scan(folder(tmp_path, info, tuple(range(1, 323))))
    assert len(found.pictures) == 322
    assert not found.rejected
    findings = [finding for picture in found.pictures for finding in picture.findings]
    kinds = Counter(finding.name for finding in findings)
    assert kinds == {"CALC": 30, "CIRC": 25, "SPIC": 19, "ARCH": 19, "MISC": 15, "ASYM": 15}
    assert sum(finding.region is not None for finding in findings) == 117
    assert Counter(picture.density for picture in found.pictures) == {"F": 106, "G": 104, "D": 112}
    sides = Counter(
        Sides(right.abnormal, left.abnormal)
        for left, right in zip(found.pictures[::2], found.pictures[1::2], strict=True)
    )
    assert sides == {Sides(False, False): 53, Sides(False, True): 52, Sides(True, False): 49, Sides(True, True): 7}
    with (real_data / "mini-mias" / "lesions.csv").open() as file:
        usable = [
            (row["image"], row["col"], row["row_top_left"]) for row in csv.DictReader(file) if row["usable"] == "1"
        ]
    ours = [
        (picture.path.stem, str(int(finding.region.x)), str(int(finding.region.y)))
        for picture in found.pictures
        for finding in picture.findings
        if isinstance(finding.region, Circle)
    ]
    assert sorted(ours) == sorted(usable)


@pytest.mark.data
def test_circles_lie_on_the_lesions(real_data: Path, tmp_path: Path) -> None:
    """Where both conventions differ most, the disc is brighter than its ring only if counted from the bottom."""
    info = (real_data / "mini-mias" / "Info.txt").read_text(encoding="latin-1")
    pictures = by_name(scan(folder(tmp_path, info, tuple(range(1, 323)))))
    with zipfile.ZipFile(real_data / "mini-mias" / "mini-mias-webp.zip") as archive:
        names = {Path(name).stem: name for name in archive.namelist()}
        for name in ("mdb015", "mdb023", "mdb028", "mdb270"):
            with Image.open(io.BytesIO(archive.read(names[name]))) as file:
                pixels = np.asarray(file.convert("L"), dtype=float)
            circle = pictures[name].findings[0].region
            assert isinstance(circle, Circle)
            assert contrast(pixels, circle) > 0, name
            assert contrast(pixels, Circle(circle.x, 1024 - circle.y, circle.radius)) < contrast(pixels, circle) / 2, (
                name
            )


def contrast(pixels: np.ndarray, circle: Circle) -> float:
    rows, columns = np.mgrid[:1024, :1024] + 0.5
    distance = np.hypot(columns - circle.x, rows - circle.y) / circle.radius
    return float(pixels[distance < 1].mean() - pixels[(distance > 1) & (distance < 1.5)].mean())


def test_circles_of_the_imitation_lie_on_its_lesions(tmp_path: Path) -> None:
    """Drawn into mirrored squares and counted from the bottom, as the archive's are."""
    make_mini_mias(tmp_path)
    located = 0
    for picture in scan(tmp_path).pictures:
        pixels = read_picture(picture.path).pixels * 255
        wall = pixels[:, -200:] if picture.chest_wall == "right" else pixels[:, :200]
        assert wall.mean() > 2 * pixels.mean()
        for finding in picture.findings:
            if isinstance(finding.region, Circle):
                located += 1
                assert contrast(pixels, finding.region) > 5, picture.path.name
    assert located == 4
