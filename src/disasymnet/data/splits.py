"""Who teaches, who chooses and who tests: splits by patient, stratified by label, the same for the same seed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from disasymnet.data.seeds import shuffled
from disasymnet.errors import DatasetError, LeakError

SPLITS = ("train", "val", "test")
Shares = tuple[float, float, float]
PAPER_SHARES: Shares = (0.8, 0.1, 0.1)

S = TypeVar("S", str, int)


@dataclass(frozen=True)
class Member:
    """One pair (or single picture) as the splits see it; labels None = unknown."""

    id: str
    patient: str
    right: bool | None = None
    left: bool | None = None
    split: str | None = None
    """Where the data set brings its own split."""


@dataclass(frozen=True)
class Splits:
    """Where each pair and single picture stands."""

    holdout: Mapping[str, str]
    """id -> `train`, `val` or `test`."""
    folds: Mapping[int, Mapping[str, int]]
    """Number of folds -> id -> the fold that tests it."""
    seed: int
    shares: Shares
    notes: tuple[str, ...] = ()


def make_splits(members: Sequence[Member], *, seed: int = 0, shares: Shares = PAPER_SHARES) -> Splits:
    """Holdout split and (of five patients or more) five folds. The data set's own split wins over a drawn one.

    Raises LeakError if the data set itself puts one patient into two splits, DatasetError for an unknown split.
    """
    notes: list[str] = []
    if any(member.split for member in members):
        patients = _own_split(members, seed, shares, notes)
    else:
        patients = _assign(members, dict(zip(SPLITS, shares, strict=True)), seed, "holdout")
    return Splits(
        holdout={member.id: patients[member.patient] for member in members},
        folds={5: fold_of(members, 5, seed)} if len(patients) >= 5 else {},
        seed=seed,
        shares=shares,
        notes=tuple(notes),
    )


def fold_of(members: Sequence[Member], folds: int, seed: int) -> dict[str, int]:
    """id -> fold, 0 to folds - 1, by patient. Raises DatasetError with fewer patients than folds."""
    count = len({member.patient for member in members})
    if count < folds:
        raise DatasetError(f"{folds} folds need at least {folds} patients, there are {count}")
    patients = _assign(members, dict.fromkeys(range(folds), 1 / folds), seed, f"{folds} folds")
    return {member.id: patients[member.patient] for member in members}


def share_of(members: Sequence[Member], share: float, seed: int) -> list[str]:
    """Ids of a share of the patients, stratified like the splits; a smaller share is part of every larger one."""
    patients = [name for stratum in _strata(members) for name in shuffled(stratum, seed, "share")]
    bits = len(patients).bit_length()
    # Places in the order of their reversed bits: any first few of them are spread evenly over all strata.
    spread = sorted(range(len(patients)), key=lambda place: int(f"{place:0{bits}b}"[::-1], 2))
    chosen = {patients[place] for place in spread[: round(share * len(patients))]}
    return [member.id for member in members if member.patient in chosen]


def check_leaks(placed: Iterable[tuple[str, str | int]]) -> None:
    """Nothing, or LeakError naming the patient, from (patient, split) of every pair and single picture."""
    seen: dict[str, str | int] = {}
    for patient, split in placed:
        if seen.setdefault(patient, split) != split:
            first, second = sorted((str(seen[patient]), str(split)))
            raise LeakError(
                f"patient {patient} stands in {first} and in {second}",
                hint="All pictures of a patient belong in one split; correct the split and prepare again.",
            )


def _own_split(members: Sequence[Member], seed: int, shares: Shares, notes: list[str]) -> dict[str, str]:
    stated = [(member.patient, member.split) for member in members if member.split is not None]
    for patient, split in stated:
        if split not in SPLITS:
            raise DatasetError(f"{split!r} is no split (patient {patient})", hint="Splits are train, val and test.")
    check_leaks(stated)
    patients = dict(stated)
    without = {member.patient for member in members} - patients.keys()
    if without:
        notes.append(f"{len(without)} patients without a split were put into train")
        patients.update(dict.fromkeys(without, "train"))
    if "val" not in patients.values() and shares[1] > 0:
        train = [member for member in members if patients[member.patient] == "train"]
        part = shares[1] / (shares[0] + shares[1])
        drawn = _assign(train, {"train": 1 - part, "val": part}, seed, "validation")
        patients.update(drawn)
        count = sum(split == "val" for split in drawn.values())
        notes.append(f"the data set names no validation split: {count} of its training patients were drawn for it")
    return patients


def _assign(members: Sequence[Member], shares: Mapping[S, float], seed: int, purpose: str) -> dict[str, S]:
    """patient -> split; each next patient goes where most is missing, so every label is spread by the shares."""
    patients: dict[str, S] = {}
    counts = dict.fromkeys(shares, 0)
    for stratum in _strata(members):
        for patient in shuffled(stratum, seed, purpose):
            done = len(patients) + 1
            # Rounded: 0.1 + 0.2 style dust must not decide a tie; the first split named wins it.
            split = max(shares, key=lambda name: round(shares[name] * done - counts[name], 9))
            patients[patient] = split
            counts[split] += 1
    return patients


def _strata(members: Sequence[Member]) -> list[list[str]]:
    """Patients by y_r + 2 y_l over all their pairs; those with an undecided side come last, by themselves."""
    labels: dict[str, list[tuple[bool | None, bool | None]]] = defaultdict(list)
    for member in members:
        labels[member.patient].append((member.right, member.left))
    strata: dict[int, list[str]] = defaultdict(list)
    for patient, sides in labels.items():
        right, left = (set(column) for column in zip(*sides, strict=True))
        decided = all(True in side or None not in side for side in (right, left))
        strata[(True in right) + 2 * (True in left) if decided else 4].append(patient)
    return [strata[pattern] for pattern in sorted(strata)]


def splits_json(splits: Splits) -> str:
    """The splits as JSON text."""
    body = {
        "schema": 1,
        "seed": splits.seed,
        "shares": list(splits.shares),
        "notes": list(splits.notes),
        "holdout": dict(sorted(splits.holdout.items())),
        "folds": {str(count): dict(sorted(placed.items())) for count, placed in sorted(splits.folds.items())},
    }
    return json.dumps(body, indent=1) + "\n"


def parse_splits(text: str) -> Splits:
    """The splits that `splits_json` wrote. KeyError, TypeError, ValueError or AttributeError if they are none."""
    body = json.loads(text)
    train, val, test = body["shares"]
    holdout: dict[str, str] = dict(body["holdout"])
    if not set(holdout.values()) <= set(SPLITS):
        raise ValueError("unknown split")
    folds = {int(count): {name: int(fold) for name, fold in placed.items()} for count, placed in body["folds"].items()}
    return Splits(holdout, folds, int(body["seed"]), (train, val, test), tuple(body["notes"]))
