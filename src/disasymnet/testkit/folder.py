"""A folder of DICOM mammograms as an archive exports it: names that say nothing, and files that are no mammograms.

| study | planted |
|---|---|
| 1 | four views; one of them MONOCHROME1 |
| 2 | implants: CC plain and displaced, a spot view |
| 3 | right CC repeated, the raw data of left CC, no left MLO |
| 4, 5 | one PatientID, given by two hospitals |
| 6 | without PatientID |

Beside them a DICOMDIR whose entry leads out of the folder, a text, and what macOS leaves behind.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from disasymnet.phantom.write import IMPLEMENTATION_UID, uid
from disasymnet.testkit.files import code, write, write_mammogram
from disasymnet.testkit.films import Film, pick, shoot
from disasymnet.testkit.planted import Planted
from disasymnet.testkit.studies import MODIFIERS, ORIENTATIONS, VIEWS

PLANTED = Planted(
    women=6,
    exams=6,
    pictures=19,
    normal=0,
    abnormal=0,
    unknown=19,
    pairs={(None, None): 8},
    lesions={},
    located=0,
    rejected={"for_processing": 1, "directory": 1, "not_a_picture": 1, "hidden": 2},
)


def make_folder(root: Path) -> Planted:
    """Write the imitation below `root`."""
    maker = _Maker(root)
    films = shoot(80, True, False)
    for film in films:
        maker.picture(1, film, {"PatientID": "1001"}, inverse=film.name == "LEFT_MLO")
    films = shoot(81, False, False)
    for film in (pick(films, "RIGHT_CC"), pick(films, "LEFT_CC")):
        maker.picture(2, film, {"PatientID": "1002", "BreastImplantPresent": "YES"})
        maker.picture(2, film, {"PatientID": "1002", "BreastImplantPresent": "YES"}, modifier="implant displaced")
    maker.picture(2, pick(films, "LEFT_CC"), {"PatientID": "1002"}, modifier="spot compression")
    films = shoot(82, False, True)
    for film in (films[0], films[0], *films[1:3]):
        maker.picture(3, film, {"PatientID": "1003"})
    maker.picture(3, pick(films, "LEFT_CC"), {"PatientID": "1003", "PresentationIntentType": "FOR PROCESSING"})
    for study, issuer in ((4, "HOSPITAL A"), (5, "HOSPITAL B")):
        films = shoot(79 + study, False, study == 5)
        for name in ("RIGHT_CC", "LEFT_CC"):
            maker.picture(study, pick(films, name), {"PatientID": "17", "IssuerOfPatientID": issuer})
    films = shoot(85, False, False)
    for name in ("RIGHT_MLO", "LEFT_MLO"):
        maker.picture(6, pick(films, name), {})
    write(root / "DICOMDIR", _directory())
    write(root / "README.TXT", b"Exported for research.\r\n")
    write(root / "DICOM" / ".DS_Store", b"\0\0\0\1Bud1")
    write(root / "DICOM" / "S01" / "._I001", b"\0\5\26\7\0\2\0\0Mac OS X")
    return PLANTED


class _Maker:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def picture(
        self, study: int, film: Film, tags: dict[str, Any], *, modifier: str | None = None, inverse: bool = False
    ) -> None:
        """One file. Its InstanceNumber rises, so that of two exposures the later one is to be taken."""
        self.count += 1
        side, view = film.side.value, film.view.value
        item = code(VIEWS[film.view][0], view)
        if modifier is not None:
            item.ViewModifierCodeSequence = [code(MODIFIERS[modifier][0], modifier)]
        own = {
            "StudyInstanceUID": uid("testkit folder study", str(study)), "InstanceNumber": self.count,
            "ImageLaterality": side, "ViewCodeSequence": [item], "ImagerPixelSpacing": [1.5, 1.5],
            "PatientOrientation": ORIENTATIONS["usual"][side, view].split("\\"),
            "PhotometricInterpretation": "MONOCHROME1" if inverse else "MONOCHROME2",
        }  # fmt: skip
        pixels = (4095 - film.pixels).astype(np.uint16) if inverse else film.pixels
        write_mammogram(self.root / "DICOM" / f"S{study:02d}" / f"I{self.count:03d}", pixels, {**own, **tags})


def _directory() -> bytes:
    """A DICOMDIR of one entry, which names a file outside."""
    entry, file = Dataset(), Dataset()
    entry.DirectoryRecordType = "IMAGE"
    with config.disable_value_validation():  # two dots are no name of a file-set
        entry.ReferencedFileID = ["..", "..", "OUTSIDE"]
    file.FileSetID, file.DirectoryRecordSequence = "TESTKIT", [entry]
    file.SOPClassUID, file.SOPInstanceUID = MediaStorageDirectoryStorage, uid("testkit folder directory")
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    file.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()
