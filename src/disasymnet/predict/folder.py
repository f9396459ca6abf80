"""All pairs of a folder, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from disasymnet.data.listing import cause, with_lost, without
from disasymnet.data.pairing import pair_up
from disasymnet.datasets import find
from disasymnet.errors import PairingError, PictureError, printable
from disasymnet.predict.answer import Prediction
from disasymnet.predict.model import Model
from disasymnet.records import Pair, Rejected, Scan, Sides


def pairs_in(folder: Path) -> tuple[list[Pair], list[Rejected]]:
    """Pairs of a folder's files by what the files state, and every file that makes none, with the reason.

    Names of files decide nothing: a picture that does not state its side, view and patient is left out.
    """
    return _pairs(find("folder").scan(folder), [])


def _pairs(found: Scan, lost: list[Rejected]) -> tuple[list[Pair], list[Rejected]]:
    """Pairs without the files that turned out not to be usable."""
    pairs, left_over = pair_up(without(found, lost).pictures)
    return pairs, with_lost([*found.rejected, *left_over], lost)


def predict_folder(
    model: Model, folder: Path, *, strict: bool = False
) -> tuple[Iterator[tuple[Pair, Prediction]], list[Rejected]]:
    """The answers on all pairs of a folder, one by one, and the files left out; PairingError if there is no pair.

    A file that cannot be used costs its pair, not the others, and where another picture of its breast is there, that
    one steps in. The list is complete once all answers are taken.
    """
    found = find("folder").scan(folder)
    pairs, rejected = _pairs(found, [])
    if not pairs:
        first = cause(rejected)
        raise PairingError(
            f"no two files here make a pair; {printable(first.path.name)}: {first.reason}",
            where=folder,
            hint="Give two files, RIGHT LEFT, if the files do not state their side.",
        )
    return _answers(model, found, pairs, rejected, strict), rejected


def _answers(
    model: Model, found: Scan, pairs: list[Pair], rejected: list[Rejected], strict: bool
) -> Iterator[tuple[Pair, Prediction]]:
    lost: list[Rejected] = []
    answered: list[Sides[Path]] = []
    while pairs:
        for pair in pairs:
            right, left = (picture.path for picture in pair.pictures)
            try:
                seen = model.predict(right, left, strict=strict)
            except PictureError as error:
                if error.code == "same_file":
                    lost += [Rejected(path, error.code, error.what, error.hint or "") for path in (right, left)]
                    continue
                bad, other = (left, right) if error.where == str(left) else (right, left)
                lost.append(Rejected(bad, error.code, error.what, error.hint or ""))
                why = "the picture of the other breast cannot be used"
                lost.append(Rejected(other, "partner", why, f"See its partner: {error.code}."))
                continue
            answered.append(Sides(right, left))
            # Which of several was taken, and pixel sizes that differ; what was odd in a file is told already.
            new = [note for note in pair.notes if not any(line.endswith(note) for line in seen.warnings)]
            yield pair, replace(seen, warnings=(*new, *seen.warnings))
        again, rejected[:] = _pairs(found, lost)
        pairs = [pair for pair in again if pair.pictures.map(lambda picture: picture.path) not in answered]
