"""A DICOM header asked for values of a stated kind; whatever is broken is refused by the name of its tag."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from disasymnet.errors import PictureError
from disasymnet.images.refusals import refusal
from disasymnet.images.skeleton import Skeleton

_SNOMED = ("SCT", "SRT", "SNM3", "99SDM", "")  # the scheme is sometimes left out


class Header:
    """The data set without its pixels. Every method raises PictureError `damaged` for a value it cannot give."""

    def __init__(self, dataset: Dataset, path: Path, *, little: bool = True) -> None:
        self.dataset, self.path, self.little = dataset, path, little

    @classmethod
    def read(cls, skeleton: Skeleton, path: Path) -> Header:
        """From the bytes that the walk has measured."""
        try:
            dataset = read_dataset(io.BytesIO(skeleton.header), skeleton.implicit, skeleton.little)
            return cls(dataset, path, little=skeleton.little)
        except Exception as error:
            # pydicom raises at least seven kinds of exception on damaged files.
            raise refusal(
                "damaged", f"the header cannot be parsed ({type(error).__name__})", path, 0x00080005
            ) from error

    def refusal(self, code: str, what: str, keyword: str | None = None) -> PictureError:
        """The error of this file, at a tag."""
        return refusal(code, what, self.path, keyword)

    def value(self, keyword: str) -> Any:
        """As pydicom gives it; None where the tag is absent or empty."""
        return self._of(self.dataset, keyword, keyword)

    def text(self, keyword: str) -> str:
        """One string, several values joined by a backslash; empty where absent."""
        return "\\".join(self.texts(keyword))

    def texts(self, keyword: str) -> list[str]:
        """The values as strings, blanks off."""
        return [str(value).strip() for value in _listed(self.value(keyword))]

    def numbers(self, keyword: str) -> list[float]:
        """The values as finite numbers."""
        found = _listed(self.value(keyword))
        try:
            numbers = [float(value) for value in found]
        except (TypeError, ValueError, OverflowError):
            raise self.refusal("damaged", "the value is no number", keyword) from None
        if not all(math.isfinite(number) for number in numbers):
            raise self.refusal("damaged", "the value is not finite", keyword)
        return numbers

    def number(self, keyword: str, default: float | None = None) -> float:
        """The first number. Without a default, its absence is refused."""
        found = self.numbers(keyword)
        if found:
            return found[0]
        if default is None:
            raise self.refusal("damaged", "the value is missing", keyword)
        return default

    def whole(self, keyword: str, default: int | None = None) -> int:
        """The first number, which must be whole."""
        number = self.number(keyword, default)
        if number != int(number):
            raise self.refusal("damaged", f"{number:g} is no whole number", keyword)
        return int(number)

    def items(self, keyword: str, *, of: Dataset | None = None) -> list[Dataset]:
        """The items of a sequence, of the data set or of one of its items."""
        found = self._of(self.dataset if of is None else of, keyword, keyword)
        if found is None:
            return []
        if isinstance(found, str | bytes) or not all(isinstance(item, Dataset) for item in _listed(found)):
            raise self.refusal("damaged", "the value is no sequence", keyword)
        return list(found)

    def frame(self, macro: str) -> list[Header]:
        """The items that describe the (first) frame in a functional group macro, what all frames share first."""
        return [
            Header(item, self.path, little=self.little)
            for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
            for group in self.items(groups)[:1]
            for item in self.items(macro, of=group)[:1]
        ]

    def code(self, item: Dataset) -> str:
        """CodeValue of an item in SNOMED (SCT, or SRT and its older names); empty in any other scheme."""
        scheme = str(self._of(item, "CodingSchemeDesignator", "CodingSchemeDesignator") or "").strip()
        return str(self._of(item, "CodeValue", "CodeValue") or "").strip() if scheme in _SNOMED else ""

    def inside(self, item: Dataset, keyword: str) -> Any:
        """A value of an item; None where absent."""
        return self._of(item, keyword, keyword)

    def _of(self, dataset: Dataset, keyword: str, tag: str) -> Any:
        try:
            # pydicom's warnings quote values of the file, which may name a person.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = dataset.get(keyword)
                return None if hasattr(value, "__len__") and not len(value) else value
        except Exception as error:
            raise self.refusal("damaged", f"the value cannot be read ({type(error).__name__})", tag) from error


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else [value]
