"""Which two pictures make a pair: the right and the left breast of one patient, one exam and one view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from disasymnet.records import Mammogram, Pair, Rejected, Sides
from disasymnet.terms import Laterality, View

Key = tuple[str, str, View]
"""Patient, exam and view: pairs are never made across them."""


def pair_up(pictures: Iterable[Mammogram]) -> tuple[list[Pair], list[Rejected]]:
    """Pairs in the order of patient, exam and view, and every picture that takes no part in one, with the reason.

    Codes: `no_patient`, `no_side`, `no_view`, `view` (not CC or MLO), `duplicate` (several pictures of one exam, side
    and view: which one is meant is not guessed, so none is taken) and `unpaired`.
    """
    groups: dict[Key, list[Mammogram]] = defaultdict(list)
    rejected: list[Rejected] = []
    for picture in pictures:
        refusal = _refusal(picture)
        if refusal is not None:
            rejected.append(refusal)
        elif picture.patient is not None and picture.view is not None:
            # A data set without exams has one exam a patient.
            groups[picture.patient, picture.exam or picture.patient, picture.view].append(picture)
    pairs: list[Pair] = []
    for key in sorted(groups):
        pair, left_over = _pair(key, groups[key])
        pairs += [] if pair is None else [pair]
        rejected += left_over
    return pairs, sorted(rejected, key=lambda entry: (str(entry.path), entry.code))


def _refusal(picture: Mammogram) -> Rejected | None:
    if not picture.patient:
        return Rejected(picture.path, "no_patient", "the patient is not known", "Give each picture a patient.")
    if picture.laterality is None:
        return Rejected(picture.path, "no_side", "it is not known which breast this is", "State R or L.")
    if picture.view is None:
        return Rejected(picture.path, "no_view", "the view is not known", "State CC or MLO.")
    if not picture.view.pairable:
        return Rejected(picture.path, "view", f"view {picture.view} makes no pair", "Only CC and MLO are compared.")
    return None


def _pair(key: Key, group: list[Mammogram]) -> tuple[Pair | None, list[Rejected]]:
    patient, exam, view = key
    sides = {side: [picture for picture in group if picture.laterality is side] for side in Laterality}
    rejected: list[Rejected] = []
    for side, candidates in sides.items():
        if len(candidates) > 1:
            reason = f"{len(candidates)} pictures of this exam show the {side.name.lower()} breast in {view}"
            hint = "Keep one of them, or give them different exams."
            rejected += [Rejected(picture.path, "duplicate", reason, hint) for picture in candidates]
            candidates.clear()
    right, left = sides[Laterality.RIGHT], sides[Laterality.LEFT]
    if right and left:
        return Pair(patient, exam, view, Sides(right[0], left[0])), rejected
    for picture in right + left:
        reason = f"the exam has no usable {view} picture of the other breast"
        rejected.append(Rejected(picture.path, "unpaired", reason, "A pair needs both breasts in the same view."))
    return None, rejected
