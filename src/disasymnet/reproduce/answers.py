"""What a run answered, read back from its predictions.csv; the tables are computed from nothing else."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from disasymnet.errors import CheckpointError
from disasymnet.evaluate.tables import CAM_OVERLAPS, REMOVAL
from disasymnet.metrics.classification import side_hits
from disasymnet.metrics.interval import Floats
from disasymnet.metrics.localisation import TIOR_THRESHOLDS, TIOU_THRESHOLDS, reached

NUMBERS = ("y", "logit", "pointing_cam", *CAM_OVERLAPS, "cam_chosen_iou", *REMOVAL)
"""What is read of each side."""
_REACHED = {
    "cam_tiou": ("cam_iou", TIOU_THRESHOLDS),
    "cam_tior": ("cam_ior_det", TIOR_THRESHOLDS),
    "cam_chosen_tiou": ("cam_chosen_iou", TIOU_THRESHOLDS),
}
SIDE_COLUMNS = {
    "pointing": "pointing_cam",
    **{name.removeprefix("cam_"): name for name in (*CAM_OVERLAPS, "cam_tiou", "cam_tior")},
    "iou_chosen": "cam_chosen_iou",
    "tiou_chosen": "cam_chosen_tiou",
    **{name: name for name in REMOVAL},
}
"""Column of a table -> what is taken of each side."""
NO_HEAD = "this method has no {} head"


@dataclass(frozen=True)
class Answers:
    """Of n pairs: (n,) for pairs, (n, 2) for sides, right first; NaN where unknown or not answered."""

    ids: tuple[str, ...]
    patients: npt.NDArray[Any]
    pair: dict[str, Floats]
    """`y`, `logit`."""
    side: dict[str, Floats]
    """NUMBERS, and the shares of thresholds that they reach."""


@dataclass(frozen=True)
class Scored:
    """Units of one column: an AUC over labels and scores, or (without labels) the mean of the scores."""

    score: Floats
    patients: npt.NDArray[Any]
    of: str
    label: Floats | None = None

    def same_units(self, other: Scored) -> bool:
        """True if the two can be compared unit by unit."""
        labels = self.label is None or np.array_equal(self.label, np.asarray(other.label, float), equal_nan=True)
        return labels and np.array_equal(self.patients, other.patients)


def read_answers(folder: Path) -> Answers:
    """The table of an evaluation. CheckpointError where it is damaged."""
    try:
        with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        pairs = [row for row in rows if row["unit"] == "pair"]
        sides = {(row["pair"], row["side"]): row for row in rows if row["unit"] == "side"}
        both = [(sides[row["pair"], "R"], sides[row["pair"], "L"]) for row in pairs]
        return Answers(
            ids=tuple(row["pair"] for row in pairs),
            patients=np.array([row["patient"] for row in pairs]),
            pair={name: np.array([_number(row[name]) for row in pairs]) for name in ("y", "logit")},
            side=with_shares(
                {name: np.array([[_number(row[name]) for row in two] for two in both]) for name in NUMBERS}
            ),
        )
    except (OSError, KeyError, ValueError):
        raise CheckpointError(
            "the predictions of this evaluation are missing or damaged",
            where=folder,
            hint="Delete the folder and run the command again: it will be evaluated anew.",
        ) from None


def with_shares(sides: dict[str, Floats]) -> dict[str, Floats]:
    """The same with TIoU and TIoR of each side: of each seed, for the mean over seeds reaches other thresholds."""

    def share(value: float, thresholds: Sequence[float]) -> float:
        return value if np.isnan(value) else reached(value, thresholds)

    return sides | {
        name: np.array([share(value, thresholds) for value in sides[of].ravel()]).reshape(sides[of].shape)
        for name, (of, thresholds) in _REACHED.items()
    }


def _number(text: str) -> float:
    return float(text) if text else np.nan


def ensemble(several: Sequence[Answers]) -> Answers:
    """Mean logits of the seeds, and the mean over seeds of what is measured side by side. They ask the same pairs."""
    first = several[0]
    if any(one.ids != first.ids for one in several):
        raise CheckpointError("the seeds of a row were evaluated on different pairs")

    def mean(parts: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
        return {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}

    return Answers(first.ids, first.patients, mean([one.pair for one in several]), mean([one.side for one in several]))


def scored(column: str, seen: Answers) -> Scored | str:
    """The units of a column; a sentence where the method cannot answer or the data does not know."""
    sides, patients = seen.side, np.repeat(seen.patients, 2)
    no_side, no_pair = (bool(np.isnan(part["logit"]).all()) for part in (sides, seen.pair))
    if column == "asymmetric":
        if no_pair:
            return NO_HEAD.format("asymmetry")
        return Scored(seen.pair["logit"], seen.patients, "pair", seen.pair["y"])
    if column in ("abnormal", "asymmetric_derived", "side_accuracy") and no_side:
        return NO_HEAD.format("side")
    if column == "asymmetric_derived":
        return Scored(sides["logit"].max(axis=1), seen.patients, "pair", seen.pair["y"])
    if column == "abnormal":
        return Scored(sides["logit"].ravel(), patients, "side", sides["y"].ravel())
    if column == "side_accuracy":
        (right, left), (a, b) = sides["y"].T, sides["logit"].T
        hit, one = side_hits((right, a), (left, b))
        return Scored(hit[one], seen.patients[one], "pair with one abnormal side")
    value = sides[SIDE_COLUMNS[column]].ravel()
    there = ~np.isnan(value)
    if not there.any():
        known = "chosen" in column and not np.isnan(sides["cam_iou"]).all()
        return "no pair with a marked lesion to choose by" if known else "no side with a marked lesion"
    return Scored(value[there], patients[there], "side with a marked lesion")
