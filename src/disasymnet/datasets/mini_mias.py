"""mini-MIAS (Suckling et al. 1994): 322 film mammograms of 161 women, MLO, 1024 x 1024 pixels of 0.2 mm.

What a reader of the original files has to know, all of it checked on the pictures:

- Files 2k-1 and 2k are one woman. Odd files are LEFT breasts (lead markers in the films, names of the full-resolution
  release); the first note of Info.txt says the opposite and is wrong.
- The pictures are mirrored: odd files have the chest wall at the right edge, even files at the left edge.
- Circles are given from the bottom left corner: the row is 1023 - y.
- Seven pictures have several lines. Four lesions have no circle (three say `*NOTE 3*`, one has empty fields), and the
  circles of mdb212 and mdb214 lie in the air: their labels count, their places do not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from disasymnet.errors import DatasetError
from disasymnet.records import Circle, Finding, Mammogram, Rejected, Scan
from disasymnet.terms import FindingKind, Laterality, View

COUNT = 322
PIXEL_MM = 0.2
SIDE = 1024  # pixels, rows and columns

MISPLACED = frozenset({"mdb212", "mdb214"})
"""Pictures whose circle lies in the air; the full-resolution release gives none for them."""

KINDS = {
    "CALC": FindingKind.CALCIFICATION,
    "CIRC": FindingKind.MASS,
    "SPIC": FindingKind.MASS,
    "ARCH": FindingKind.ARCHITECTURAL_DISTORTION,
    "ASYM": FindingKind.ASYMMETRY,
    "MISC": FindingKind.OTHER,
}
_LINE = re.compile(r"^(mdb\d{3})\s+([FGD])\s+(NORM|CALC|CIRC|SPIC|ARCH|ASYM|MISC)\b(.*)$")


def scan(root: Path) -> Scan:
    """The pictures of `root` or `root/all-mias`, in the order of their numbers; files that are missing are listed.

    DatasetError if Info.txt is missing or damaged, or no picture is there.
    """
    folder = _folder(root)
    densities, findings = read_info(_info(root, folder))
    pictures: list[Mammogram] = []
    missing: list[Rejected] = []
    for number in range(1, COUNT + 1):
        name = f"mdb{number:03d}"
        path = folder / f"{name}.pgm"
        if path.is_file():
            pictures.append(_mammogram(path, number, densities[name], findings[name]))
        else:
            missing.append(Rejected(path, "missing", "the file is not in the folder", "Unpack the archive again."))
    if not pictures:
        hint = "Name the folder that holds mdb001.pgm to mdb322.pgm and Info.txt."
        raise DatasetError("no picture of mini-MIAS is here", where=root, hint=hint)
    return Scan(tuple(pictures), tuple(missing))


def read_info(path: Path) -> tuple[dict[str, str], dict[str, tuple[Finding, ...]]]:
    """Density letter and findings of each of the 322 pictures of Info.txt; normal pictures have no finding.

    Circles are in pixels of the picture from its top left corner. DatasetError with the line if one is not understood.
    """
    densities: dict[str, str] = {}
    findings: dict[str, list[Finding]] = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        if not re.match(r"mdb\d{3}\s", line):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise DatasetError(f"line {number} is not understood: {line.strip()}", where=path, hint="Unpack it again.")
        name, density, kind, rest = match.groups()
        if densities.setdefault(name, density) != density:
            raise DatasetError(f"line {number} gives {name} another density", where=path, hint="Unpack it again.")
        if kind != "NORM":
            findings[name].append(_finding(name, kind, rest.split()))
    names = [f"mdb{number:03d}" for number in range(1, COUNT + 1)]
    if lost := [name for name in names if name not in densities]:
        raise DatasetError(f"no line for {lost[0]} ({len(lost)} lost)", where=path, hint="Unpack it again.")
    return densities, {name: tuple(findings[name]) for name in names}


def _finding(name: str, kind: str, words: list[str]) -> Finding:
    severity, place = words[0] if words else "", words[1:]
    region = None
    if len(place) == 3 and all(word.isdigit() for word in place) and name not in MISPLACED:
        x, y, radius = (int(word) for word in place)
        region = Circle(x + 0.5, SIDE - 1 - y + 0.5, radius)
    return Finding(kind=KINDS[kind], region=region, malignant={"M": True, "B": False}.get(severity), name=kind)


def _mammogram(path: Path, number: int, density: str, findings: tuple[Finding, ...]) -> Mammogram:
    woman = f"mias-{(number + 1) // 2:03d}"
    odd = number % 2 == 1
    return Mammogram(
        path=path,
        patient=woman,
        exam=woman,
        laterality=Laterality.LEFT if odd else Laterality.RIGHT,
        view=View.MLO,
        abnormal=bool(findings),
        findings=findings,
        density=density,
        pixel_mm=PIXEL_MM,
        chest_wall="right" if odd else "left",
        detector="film",
    )


def _folder(root: Path) -> Path:
    inner = root / "all-mias"
    return inner if inner.is_dir() else root


def _info(root: Path, folder: Path) -> Path:
    for place in (folder, root, folder.parent):
        if (place / "Info.txt").is_file():
            return place / "Info.txt"
    hint = "It belongs to the archive, beside the pictures; without it there are no labels."
    raise DatasetError("Info.txt is missing", where=root, hint=hint)
