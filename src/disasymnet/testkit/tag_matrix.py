"""A matrix of studies whose tags are missing, odd or in conflict, with the table of what a reader should make of them.

    python -m disasymnet.testkit.tag_matrix OUT [--seed 0]

The cases and what is expected of each stand in `tag_cases`. OUT gets the files under names that say nothing, and
`expected.csv`: study, picture, `pair` or the code, the picture's partner, how it lies on the model grid, file.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import config

from disasymnet.images.preprocess import preprocess
from disasymnet.images.read import read_picture
from disasymnet.records import Sides
from disasymnet.settings import ImageSettings
from disasymnet.testkit.files import write_csv
from disasymnet.testkit.studies import Shot, Study, mark_lies
from disasymnet.testkit.tag_cases import studies

COLUMNS = ("study", "picture", "expected", "partner", "lies")


@dataclass(frozen=True)
class Expected:
    """One file of the matrix."""

    study: str
    picture: str
    expected: str
    """`pair` or the code."""
    partner: str
    """The other picture of the pair; empty without."""
    lies: str
    """How a picture of a pair lies on the model grid: see `Shot.seen`."""
    file: str = ""


def expected() -> list[Expected]:
    """The table, in the order of the studies."""
    return [row for study in studies() for row in _rows(study)]


def _rows(study: Study) -> Iterator[Expected]:
    for shot in study.shots:
        partner = ""
        if shot.expect == "pair":
            (partner,) = (other.name for other in study.shots if other.side is not shot.side and _like(shot, other))
        yield Expected(study.name, shot.name, shot.expect, partner, shot.seen if partner else "")


def _like(shot: Shot, other: Shot) -> bool:
    """Of those that pair, the same view, implant displaced or not, and (where a study holds two) the same exam."""
    same = (other.expect, other.shown) == (shot.expect, shot.shown)
    displaced = [each.modifier == "implant displaced" for each in (shot, other)]
    return same and displaced[0] == displaced[1] and _exam(other) == _exam(shot)


def _exam(shot: Shot) -> object:
    return shot.tags.get("StudyInstanceUID")


def _object(study: Study, shot: Shot) -> tuple[str, str]:
    """What a copy shares with its original."""
    return study.name, shot.tags.get("SOPInstanceUID", shot.name)


def _copies_in_order(every: list[tuple[Study, Shot]], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers, those of the copies of one object ascending: which of them is taken depends on the names alone."""
    copies: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, (study, shot) in enumerate(every):
        copies[_object(study, shot)].append(place)
    for places in copies.values():
        numbers[places] = np.sort(numbers[places])
    return numbers


def write_matrix(out: Path, seed: int = 0) -> list[Expected]:
    """The files, in an order and under names drawn from the seed, and `expected.csv`."""
    every = [(study, shot) for study in studies() for shot in study.shots]
    rows = [row for study in studies() for row in _rows(study)]
    rng = np.random.default_rng(seed)
    numbers = _copies_in_order(every, rng.permutation(len(every)))
    written = []
    for (study, shot), row, number in zip(every, rows, numbers, strict=True):
        file = f"{number // 100:02d}/{number:05d}.dcm"
        with config.disable_value_validation():  # odd values are what is wanted
            study.write(out / "files" / file, shot, zlib.crc32("".join(_object(study, shot)).encode()))
        written.append(replace(row, file=file))
    table = [(*COLUMNS, "file"), *(astuple(row) for row in written)]
    write_csv(out / "expected.csv", table)
    return written


@dataclass(frozen=True)
class Answers:
    """What a reader made of the matrix, beside what is expected."""

    pairs: int
    wrong_pairs: list[str]
    """Pairs that no rule allows, and partners that are not each other's."""
    missed_pairs: list[str]
    other_codes: list[str]
    """Left out, as it should be, but for another reason."""
    unlisted: list[str]
    """Files that stand in neither table, or in both."""
    codes: dict[str, int]
    """Files left out, by code."""

    @property
    def right(self) -> bool:
        """True if every file has its expected answer."""
        return not (self.wrong_pairs or self.missed_pairs or self.other_codes or self.unlisted)


def judge(written: list[Expected], tables: Path) -> Answers:
    """Compare `pairs.csv` and `rejected.csv` of a reader with the table; both name files as in `expected.csv`."""
    pairs = _read_csv(tables / "pairs.csv")
    rejected = _read_csv(tables / "rejected.csv")
    of = {row.file: row for row in written}
    partner = {(row.study, row.picture): row.partner for row in written}
    wrong = []
    for pair in pairs:
        right, left = of[pair["right"]], of[pair["left"]]
        theirs = (right.picture[0], left.picture[0]) == ("R", "L") and right.study == left.study
        if not theirs or partner[right.study, right.picture] != left.picture or right.expected != "pair":
            wrong.append(f"{right.study}: {right.picture} with {left.study}: {left.picture}")
    paired = [pair[side] for pair in pairs for side in ("right", "left")]
    left_out = {row["picture"]: row["code"] for row in rejected}
    counts = Counter([*paired, *(row["picture"] for row in rejected)])
    told = [(row, left_out[row.file]) for row in written if row.file in left_out]
    return Answers(
        pairs=len(pairs),
        wrong_pairs=wrong,
        missed_pairs=[f"{row.study}: {row.picture}: {code}" for row, code in told if row.expected == "pair"],
        other_codes=[
            f"{row.study}: {row.picture}: {code}, not {row.expected}"
            for row, code in told
            if row.expected not in ("pair", code)
        ],
        unlisted=[f"{row.study}: {row.picture}" for row in written if counts[row.file] != 1],
        codes=dict(sorted(Counter(left_out.values()).items())),
    )


def judge_lie(written: list[Expected], tables: Path, files: Path) -> list[str]:
    """The pictures of `pairs.csv` that do not lie on the model grid as the table says, by the mark that each holds.

    Where a picture lies on its side and no tag says so, nothing is expected.
    """
    of = {row.file: row for row in written}
    settings = ImageSettings(height=64, width=32, scale="fit")
    wrong = []
    for pair in _read_csv(tables / "pairs.csv"):
        rows = [of[pair[side]] for side in ("right", "left")]
        pictures = Sides(*(read_picture(files / row.file) for row in rows))
        if any(row.lies == "on its side" for row in rows):
            continue
        for row, prepared in zip(rows, preprocess(pictures, Sides(None, None), settings), strict=True):
            seen = mark_lies(prepared.image, prepared.breast)
            if seen != row.lies:
                wrong.append(f"{row.study}: {row.picture}: {seen}, not {row.lies}")
    return wrong


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows = write_matrix(chosen.out, chosen.seed)
    print(f"{chosen.out}: {len({row.study for row in rows})} studies, {len(rows)} files, expected.csv lists them")


if __name__ == "__main__":
    main()
