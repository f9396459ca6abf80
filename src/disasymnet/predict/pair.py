"""Which of two pictures is the right breast, and whether they make a pair at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from disasymnet.data.pairing import NEXT_STEP, contradiction, doubts
from disasymnet.errors import PairingError
from disasymnet.images.read import LENIENT, Facts, Picture, Reading, read_picture
from disasymnet.images.tags import placed
from disasymnet.records import Sides
from disasymnet.terms import Laterality, View


@dataclass(frozen=True)
class Source:
    """A picture and the digest of the file it came from."""

    picture: Picture
    sha256: str = ""

    @classmethod
    def read(cls, path: Path, reading: Reading = LENIENT) -> Source:
        """PictureError if the file cannot be used."""
        picture = read_picture(path, reading)
        with path.open("rb") as file:
            return cls(picture, hashlib.file_digest(file, "sha256").hexdigest())


def as_pair(first: Source, second: Source) -> tuple[Sides[Source], View | None, list[str]]:
    """Which is right and which left, their common view, and warnings; PairingError where they make no pair."""
    one, two = first.picture.facts, second.picture.facts
    if first.sha256 and first.sha256 == second.sha256:
        raise PairingError("both files are the same picture", hint="Give the right and the left breast.")
    uid, other = ("" if facts.exposure is None else facts.exposure.uid for facts in (one, two))
    if uid and uid == other:
        raise PairingError("one SOPInstanceUID stands for both pictures", hint=NEXT_STEP["uid_conflict"])
    if (conflict := contradiction(one.identity, two.identity)) is not None:
        raise PairingError(conflict[1], hint="Both breasts of one exam make a pair.")
    view = _view(one, two)
    warnings = doubts(one.identity, two.identity)
    sides = (one.laterality, two.laterality)
    if sides[0] is not None and sides[0] is sides[1]:
        raise PairingError(f"both pictures show the {_word(sides[0])} breast", hint="A pair needs both breasts.")
    if sides == (Laterality.LEFT, Laterality.RIGHT):
        warnings.append("the files state that the first is the left breast: they were taken in the stated order")
        return _placed(second, first, view), view, warnings
    for place, stated, expected in zip(("first", "second"), sides, Laterality, strict=True):
        if stated is not None and stated is not expected:
            raise PairingError(
                f"the {place} picture shows the {_word(stated)} breast, and the other one states no side",
                hint="Give the right breast first.",
            )
        if stated is None:
            warnings.append(f"the {place} file states no side: taken as the {_word(expected)} breast by its place")
    return _placed(first, second, view), view, warnings


def _placed(right: Source, left: Source, view: View | None) -> Sides[Source]:
    """The pair as it is now known: how its pictures should lie depends on breast and view."""
    both = (
        replace(source, picture=replace(source.picture, facts=placed(source.picture.facts, side, view)))
        for source, side in zip((right, left), Laterality, strict=True)
    )
    return Sides(*both)


def _view(one: Facts, two: Facts) -> View | None:
    displaced, low_energy = [], []
    for facts in (one, two):
        special = None if facts.exposure is None else facts.exposure.special
        if special is not None:
            hint = NEXT_STEP[special]
            raise PairingError(f"it is no screening view: {special.replace('_', ' ')}", hint=hint)
        displaced.append(facts.exposure is not None and facts.exposure.implant_displaced)
        low_energy.append(facts.exposure is not None and facts.exposure.low_energy)
        if facts.view is not None and not facts.view.pairable:
            raise PairingError(f"view {facts.view} makes no pair", hint="Only CC and MLO are compared.")
    if one.view and two.view and one.view is not two.view:
        raise PairingError(
            f"the two pictures show different views: {one.view} and {two.view}",
            hint="Pair CC with CC and MLO with MLO.",
        )
    if displaced[0] != displaced[1]:
        hint = "Give both with the implant displaced, or both without."
        raise PairingError("the implant is displaced in one of the two pictures", hint=hint)
    if low_energy[0] != low_energy[1]:
        hint = "Give two low-energy pictures, or two plain mammograms."
        raise PairingError("one of the two is the low-energy picture of a contrast mammogram", hint=hint)
    if {False, True} <= {facts.exposure.for_presentation for facts in (one, two) if facts.exposure is not None}:
        what = "one is a mammography system's picture, the other a film or another Secondary Capture"
        raise PairingError(what, hint="Give both for presentation, or both films.")
    return one.view or two.view


def _word(laterality: Laterality) -> str:
    return "right" if laterality is Laterality.RIGHT else "left"
