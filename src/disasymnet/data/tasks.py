"""What a worker is given and gives back, and how one bad picture becomes a row instead of an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from disasymnet.data.manifest import Cached
from disasymnet.errors import DisAsymNetError, PictureError
from disasymnet.records import Mammogram, Rejected
from disasymnet.settings import ImageSettings
from disasymnet.terms import View

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """One item to be made, with the names it may be known by in the cache."""

    id: str
    name: str
    patient: str
    exam: str
    view: View
    pictures: tuple[Mammogram, ...]
    """Right and left, or one without partner."""
    settings: ImageSettings
    root: Path
    strict: bool = False
    """Refuse what a mammography system does not state."""
    implant_displaced: bool = False
    notes: tuple[str, ...] = ()
    """Which of several pictures were taken, and what the sides differ in."""


@dataclass(frozen=True)
class Made:
    """The finished item's record, or the pictures that were left out."""

    record: Cached | None
    rejected: tuple[Rejected, ...] = ()
    reused: bool = False


class BadPictureError(Exception):
    """Inside the worker: which picture of the item failed (None: all of them), and why."""

    def __init__(self, number: int | None, cause: Exception) -> None:
        super().__init__(number, cause)
        self.number = number
        self.cause = cause


def reject(task: Task, code: str, reason: str, hint: str) -> tuple[Rejected, ...]:
    """All pictures of the item, left out for one reason."""
    return tuple(Rejected(picture.path, code, reason, hint) for picture in task.pictures)


def each(task: Task, work: Callable[[int, Mammogram], T]) -> list[T]:
    """The work done on each picture; its failure names the picture."""
    results = []
    for number, stated in enumerate(task.pictures):
        try:
            results.append(work(number, stated))
        except Exception as error:
            # Readers meet any kind of damage; one bad file must not stop the others.
            raise BadPictureError(number, error) from error
    return results


def rejections(task: Task, error: BadPictureError) -> tuple[Rejected, ...]:
    """The bad picture with its reason, and its partner as its partner."""
    cause = error.cause
    if isinstance(cause, DisAsymNetError):
        code = cause.code if isinstance(cause, PictureError) else "unusable"
        reason, hint = cause.what, cause.hint or ""
    elif isinstance(cause, OSError):
        code, reason, hint = "missing", f"a file cannot be read ({cause.strerror})", ""
    else:
        code, reason, hint = "unexpected", f"unexpected {type(cause).__name__} while preparing", "Please report it."
    if error.number is None or len(task.pictures) == 1:
        return reject(task, code, reason, hint)
    partner = "the picture of the other breast cannot be used"
    return tuple(
        Rejected(stated.path, code, reason, hint)
        if number == error.number
        else Rejected(stated.path, "partner", partner, f"See its partner: {code}.")
        for number, stated in enumerate(task.pictures)
    )
