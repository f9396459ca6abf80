"""What the paper prints in Tables 1 and 2, as printed (misprints too), to stand beside our own values."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

COLUMNS = {"inbreast": "INBreast", "ddsm": "DDSM", "vindr-mammo": "VinDr-Mammo", "in-house": "In-house"}
"""Recipe of a data set -> the paper's name of it."""


@dataclass(frozen=True)
class Printed:
    """A value of the paper, with its interval where it has one (Table 1; unit not stated)."""

    value: float
    low: float | None = None
    high: float | None = None


def column_of(recipe: str) -> str | None:
    """The paper's data set whose recipe is among `first+second+...`; None for phantoms, mini-MIAS and own files."""
    return next((COLUMNS[part] for part in recipe.split("+") if part in COLUMNS), None)


def printed(row: str | None, dataset: str | None, metric: tuple[str, str] | None) -> Printed | None:
    """What the paper gives for its row, data set and (task, metric); None for `NA` and what it does not hold."""
    if row is None or dataset is None or metric is None:
        return None
    return _tables().get((row, dataset, *metric))


@cache
def _tables() -> dict[tuple[str, str, str, str], Printed]:
    found = {}
    for name in ("paper_table1.csv", "paper_table2.csv"):
        text = (resources.files("disasymnet.reproduce") / name).read_text(encoding="utf-8")
        for line in csv.DictReader(io.StringIO(text)):
            if line["value"]:
                key = (line["method"], line["dataset"], line["task"], line["metric"])
                low, high = (float(line[end]) if line[end] else None for end in ("lo", "hi"))
                found[key] = Printed(float(line["value"]), low, high)
    return found
