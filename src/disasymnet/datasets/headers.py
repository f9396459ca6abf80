"""What the header of a DICOM file says, without its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from disasymnet.errors import PictureError


def read_header(path: Path, tags: Sequence[str]) -> Dataset:
    """These tags of the file, as far as it has them. PictureError if it is no DICOM file or is damaged."""
    try:
        # pydicom's warnings quote values of the file, which may name a person.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    except Exception as error:
        raise PictureError(
            f"the DICOM header cannot be read ({type(error).__name__})",
            where=path,
            hint="Check that it was copied whole.",
            code="damaged",
        ) from error
