"""Everything that can go wrong in a user's hands, as one small tree.

DisAsymNetError
├── PictureError        a file is not a picture we can read (or not one we should)
├── PairingError        two pictures do not make a pair
├── DatasetError        a data set's folder or table is not as it should be
├── RecipeError         a setting is unknown or out of range
├── CacheError          a prepared cache is missing, damaged or of another make
├── LeakError           one woman stands in two splits
├── CheckpointError     a run or checkpoint is missing, damaged or does not fit
├── TrainingError       a training had to stop (non-finite loss, no data, full disk)
└── MissingExtraError   an optional part is not installed

Each carries what happened, where, and what to do next. The command line prints the three and exits with code 2.
"""

from __future__ import annotations


def printable(name: str) -> str:
    """A file's name as part of one line: line ends, control codes and bytes that are no text written as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


class DisAsymNetError(Exception):
    """What happened, where, and what to do next, each in one sentence."""

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{printable(self.where)}: {self.what}"]
        if self.hint:
            parts.append(self.hint)
        return "\n".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between worker processes.
        return _rebuild, (type(self), self.what, self.where, self.hint)


def _rebuild(kind: type[DisAsymNetError], what: str, where: str | None, hint: str | None) -> DisAsymNetError:
    return kind(what, where=where, hint=hint)


class PictureError(DisAsymNetError):
    """A file is not a picture we can read, or not one we should.

    `code` is stable: tables list it. `tag` names the place in a DICOM file, as "(0028,0010) Rows"; `what` ends with it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        hint: str | None = None,
        code: str = "unreadable",
        tag: str | None = None,
    ) -> None:
        super().__init__(what if tag is None else f"{what}, at {tag}", where=where, hint=hint)
        self.reason = what
        self.code = code
        self.tag = tag

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_picture, (self.reason, self.where, self.hint, self.code, self.tag)


def _rebuild_picture(what: str, where: str | None, hint: str | None, code: str, tag: str | None) -> PictureError:
    return PictureError(what, where=where, hint=hint, code=code, tag=tag)


class PairingError(DisAsymNetError):
    """Two pictures do not make a pair."""


class DatasetError(DisAsymNetError):
    """A data set's folder or table is not as it should be."""


class RecipeError(DisAsymNetError):
    """A setting is unknown or out of range."""


class CacheError(DisAsymNetError):
    """A prepared cache is missing, damaged or of another make."""


class LeakError(DisAsymNetError):
    """One woman stands in two splits."""


class CheckpointError(DisAsymNetError):
    """A run or checkpoint is missing, damaged or does not fit."""


class TrainingError(DisAsymNetError):
    """A training had to stop."""


class MissingExtraError(DisAsymNetError):
    """An optional part is not installed."""
