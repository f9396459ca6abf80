"""Which two pictures make a pair: the right and the left breast of one patient, one exam and one view.

Pairs are never made across patients, exams or views, nor of an implant-displaced picture and a plain one, nor of film
and digital. Of several pictures of one breast the rule below takes one, and names the others; where it cannot tell them
apart, none is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from disasymnet.records import Exposure, Identity, Mammogram, Pair, Rejected, Sides
from disasymnet.terms import Laterality, View

Key = tuple[str, str, View, bool]
"""Patient, exam, view, implant displaced: pairs are never made across them."""

_REPLACED = "Where tags name nobody, as each file got its own when it was de-identified, a table has `deidentified`."
NEXT_STEP = {
    "no_patient": "Give each picture a patient.",
    "no_study": "Have StudyInstanceUID (0020,000D) filled, name the two files to `predict`, or list them in a table.",
    "patient_conflict": f"Only breasts of one woman are compared: correct the table, or PatientID. {_REPLACED}",
    "study_conflict": f"Pictures of two studies are never paired: correct the table, or StudyInstanceUID. {_REPLACED}",
    "no_side": "State R or L.",
    "no_view": "State CC or MLO.",
    "view": "Only CC and MLO are compared.",
    "magnification": "Give the contact view of the same projection.",
    "spot": "Give the plain view of the same projection.",
    "rolled": "Give the plain view of the same projection.",
    "tangential": "Give the plain view of the same projection.",
    "cleavage": "Give the CC of each breast.",
    "axillary_tail": "Give the plain view of the same projection.",
    "exaggerated": "Give the CC of each breast.",
    "biopsy": "Give the plain view, not one taken for a biopsy.",
    "specimen": "Specimens are not compared: leave the picture out.",
    "partial": "Give a view that shows the whole breast.",
    "modifier": "A word of ViewPosition, or a code of its modifiers, is not known here: have the sender correct it.",
    "copy": "Nothing to do: the same object is there under another name.",
    "uid_conflict": "Have the sender give each picture a SOPInstanceUID of its own.",
    "superseded": "Nothing to do; to use it instead, leave the other out.",
    "duplicate": "Keep one of them, or give them different exams.",
    "unpaired": "A pair needs both breasts in the same view.",
}
"""Why a picture takes no part in a pair: stable codes, each with the next step."""

_TAKEN = "of several pictures of this breast in this view another one was taken"
_SITTING_S = 1800
"""Pictures of one sitting; a technologist repeats a blurred one within minutes."""
_SAME_MM = 0.01


def pair_up(pictures: Iterable[Mammogram]) -> tuple[list[Pair], list[Rejected]]:
    """Pairs in the order of patient, exam and view, and every picture that takes no part in one, with the reason.

    The codes are those of `NEXT_STEP`. Two files whose tags name two patients or two studies make no pair, whatever
    their data set says. Of several pictures of one breast those two are taken that their data set counts first, if it
    counts; that share pixel size, detector size and sitting (or, if none does, day), where such are there; then those
    without a further view modifier; then those with the highest InstanceNumber, then the latest. The others are
    `superseded`. Where nothing tells them apart, as in sets without tags, all are `duplicate`.
    """
    unique, rejected = _without_copies(list(pictures))
    groups: dict[Key, list[Mammogram]] = defaultdict(list)
    for picture in unique:
        refusal = _refusal(picture)
        if refusal is not None:
            rejected.append(refusal)
        elif picture.patient is not None and picture.view is not None:
            displaced = picture.exposure is not None and picture.exposure.implant_displaced
            # A data set without exams has one exam a patient.
            groups[picture.patient, picture.exam or picture.patient, picture.view, displaced].append(picture)
    pairs: list[Pair] = []
    for key in sorted(groups):
        pair, left_over = _pair(key, groups[key])
        pairs += [] if pair is None else [pair]
        rejected += left_over
    return pairs, sorted(rejected, key=lambda entry: (str(entry.path), entry.code))


def contradiction(one: Identity | None, two: Identity | None) -> tuple[str, str] | None:
    """Why two files are not of one woman and one study, by what their tags name: a code of `NEXT_STEP` and a reason.

    What a tag does not name contradicts nothing.
    """
    if one is None or two is None:
        return None
    if _differ(one.patient, two.patient) or _differ(one.issuer, two.issuer):
        return "patient_conflict", "the two pictures are of different patients"
    if _differ(one.name, two.name) and _differ(one.born, two.born):
        return "patient_conflict", "PatientName and PatientBirthDate of the two pictures differ"
    # Without the UID a study is known by what else names it.
    others = ((one.day, two.day), (one.accession, two.accession), (one.number, two.number))
    if _differ(one.study, two.study) or ("" in (one.study, two.study) and any(_differ(*pair) for pair in others)):
        return "study_conflict", "the two pictures are of different studies"
    return None


def doubts(one: Identity | None, two: Identity | None) -> list[str]:
    """What makes one ask whether two files that are not in contradiction are of one woman and one study."""
    if one is None or two is None:
        return []
    named = (
        ("PatientName", one.name, two.name, "woman"),
        ("PatientBirthDate", one.born, two.born, "woman"),
        # They would be a contradiction, had the studies not one UID.
        ("the date of the study", one.day, two.day, "study"),
        ("AccessionNumber", one.accession, two.accession, "study"),
    )
    return [
        f"{tag} differs between the two pictures: is it one {what}?" for tag, *both, what in named if _differ(*both)
    ]


def _differ(one: str, two: str) -> bool:
    return "" not in (one, two) and one != two


def _rejected(picture: Mammogram, code: str, reason: str) -> Rejected:
    return Rejected(picture.path, code, reason, NEXT_STEP[code])


def _without_copies(pictures: list[Mammogram]) -> tuple[list[Mammogram], list[Rejected]]:
    """One of each object: SOPInstanceUID names it. A UID that stands for two pictures names none."""
    groups: dict[str, list[Mammogram]] = defaultdict(list)
    kept, rejected = [], []
    for picture in pictures:
        if picture.exposure is None or not picture.exposure.uid:
            kept.append(picture)
        else:
            groups[picture.exposure.uid].append(picture)
    for group in groups.values():
        first, *others = sorted(group, key=lambda picture: str(picture.path))
        if all(_what(other) == _what(first) for other in others):
            kept.append(first)
            rejected += [_rejected(other, "copy", "the same SOPInstanceUID is there twice") for other in others]
        else:
            reason = "one SOPInstanceUID stands for several pictures"
            rejected += [_rejected(picture, "uid_conflict", reason) for picture in group]
    return kept, rejected


def _what(picture: Mammogram) -> tuple[object, ...]:
    return picture.patient, picture.exam, picture.laterality, picture.view, picture.exposure


def _refusal(picture: Mammogram) -> Rejected | None:
    exposure = picture.exposure
    if not picture.patient:
        return _rejected(picture, "no_patient", "the patient is not known")
    if exposure is not None and not picture.exam:
        return _rejected(picture, "no_study", "the study is not known")
    if exposure is not None and exposure.special is not None:
        what = exposure.special.replace("_", " ")
        return _rejected(picture, exposure.special, f"it is no screening view: {what}")
    if picture.laterality is None:
        return _rejected(picture, "no_side", "it is not known which breast this is")
    if picture.view is None:
        return _rejected(picture, "no_view", "the view is not known")
    if not picture.view.pairable:
        return _rejected(picture, "view", f"view {picture.view} makes no pair")
    return None


def _pair(key: Key, group: list[Mammogram]) -> tuple[Pair | None, list[Rejected]]:
    patient, exam, view, displaced = key
    # A mammography system's own pictures, the low-energy ones of contrast mammography, then films and screen copies:
    # the three kinds make no pair with each other.
    kinds = [_sides(each for each in group if _kind(each) == kind) for kind in range(3)]
    if any(each.exposure is None for each in group):
        kinds = [_sides(group)]  # a file without tags may be either
    chosen: Pair | None = None
    rejected: list[Rejected] = []
    for kind in sorted(kinds, key=lambda kind: not (kind.right and kind.left)):
        if chosen is not None:
            rejected += [_rejected(picture, "superseded", _TAKEN) for side in kind for picture in side]
            continue
        best = _best(kind)
        if all(len(side) == 1 for side in best):
            conflict = contradiction(*(side[0].identity for side in best))
            if conflict is not None:
                code, reason = conflict
                rejected += [_rejected(picture, code, reason) for side in kind for picture in side]
                continue
            chosen = Pair(patient, exam, view, best.map(lambda side: side[0]), displaced, tuple(_notes(best, kind)))
        for taken, side in zip(best, kind, strict=True):
            rejected += _left_over(taken, side, view, displaced, paired=chosen is not None)
    return chosen, rejected


def _left_over(
    best: Sequence[Mammogram], side: Sequence[Mammogram], view: View, displaced: bool, *, paired: bool
) -> list[Rejected]:
    """The pictures of one breast that take no part, beside the best of them."""
    if len(best) > 1:
        breast = Laterality.RIGHT if best[0].laterality is Laterality.RIGHT else Laterality.LEFT
        reason = f"{len(side)} pictures of this exam show the {breast.name.lower()} breast in {view}"
        return [_rejected(picture, "duplicate", reason) for picture in side]
    rejected = [_rejected(picture, "superseded", _TAKEN) for picture in side if picture not in best]
    if not paired:
        reason = f"the exam has no usable {'implant-displaced ' if displaced else ''}{view} picture of the other breast"
        rejected += [_rejected(picture, "unpaired", reason) for picture in best]
    return rejected


def _sides(pictures: Iterable[Mammogram]) -> Sides[list[Mammogram]]:
    found = list(pictures)
    right, left = ([each for each in found if each.laterality is side] for side in Laterality)
    return Sides(right, left)


def _kind(picture: Mammogram) -> int:
    if picture.exposure is None or not picture.exposure.for_presentation:
        return 2
    return int(picture.exposure.low_energy)


def _best(kind: Sides[list[Mammogram]]) -> Sides[list[Mammogram]]:
    """Of each side the picture that takes part in the best combination; several where they do equally well."""
    nobody: list[Mammogram | None] = [None]
    ranked = [(_rank(right, left), right, left) for right in kind.right or nobody for left in kind.left or nobody]
    top = max(rank for rank, _, _ in ranked)
    best = Sides[list[Mammogram]]([], [])
    for rank, right, left in ranked:
        for side, picture in ((best.right, right), (best.left, left)):
            if rank == top and picture is not None and picture not in side:
                side.append(picture)
    return best


def _rank(right: Mammogram | None, left: Mammogram | None) -> tuple[float, ...]:
    """Higher is better; the rule of `pair_up`, in its order."""
    there = [each for each in (right, left) if each is not None]
    agree = len(there) < 2 or contradiction(there[0].identity, there[1].identity) is None
    tags = [each.exposure for each in there if each.exposure is not None]
    order = -sum(each.repeat for each in there)
    if len(tags) < len(there):
        return (agree, order)
    return (
        agree,
        order,
        _same_size(there),
        len({(each.rows, each.columns) for each in tags}) < 2,
        _nearness(tags),
        -sum(each.extra for each in tags),
        sum(_known(each.number) for each in tags),
        sum(_known(each.day) for each in tags),
        sum(_known(each.taken) for each in tags),
    )


def _nearness(tags: Sequence[Exposure]) -> int:
    """2 for one sitting, 1 for one day, 0 for two; a date or a time that is not known tells nothing apart."""
    days = [each.day for each in tags if each.day is not None]
    times = [each.taken for each in tags if each.taken is not None]
    one_day = len(set(days)) < 2
    if not one_day:
        if len(times) < len(tags):
            return 0
        times = [day * 86400 + time for day, time in zip(days, times, strict=True)]  # a sitting may pass midnight
    return 2 if not times or max(times) - min(times) <= _SITTING_S else int(one_day)


def _known(value: float | None) -> float:
    return -1.0 if value is None else float(value)


def _same_size(pictures: Sequence[Mammogram]) -> bool:
    sizes = [each.pixel_mm for each in pictures]
    known = [size for size in sizes if size is not None]
    return not known or (len(known) == len(sizes) and max(known) / min(known) - 1 <= _SAME_MM)


def _notes(best: Sides[list[Mammogram]], kind: Sides[list[Mammogram]]) -> Iterable[str]:
    """Which of several was taken, what the sides differ in, and what was odd in either."""
    for name, side in (("right", kind.right), ("left", kind.left)):
        if len(side) > 1:
            yield f"one of {len(side)} {name} pictures"
    chosen = [side[0] for side in best]
    if not _same_size(chosen):
        right, left = ("not known" if each.pixel_mm is None else f"{each.pixel_mm:.4g} mm" for each in chosen)
        apart = "pixel sizes differ, each side is scaled by its own"
        what = "no scale for both sides, a pixel size is missing" if "not known" in (right, left) else apart
        yield f"{what}: right {right}, left {left}"
    yield from doubts(*(each.identity for each in chosen))
    said = [() if each.exposure is None else each.exposure.notes for each in chosen]
    for note in dict.fromkeys((*said[0], *said[1])):
        yield note if note in said[0] and note in said[1] else f"{'right' if note in said[0] else 'left'}: {note}"
