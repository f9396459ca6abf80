"""The data sets that can be prepared: one module each, one row here, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from disasymnet.errors import DatasetError
from disasymnet.records import Scan


@dataclass(frozen=True)
class Dataset:
    """How a data set is read, and whether its patients' names may be shown."""

    scan: Callable[[Path], Scan]
    """Pictures of a folder with all that the data set states about them. DatasetError if the folder is another's."""
    public: bool
    about: str
    official: bool = False
    """Its split is its publishers'. The paper draws its own, so it is used only where it is asked for."""

    def read(self, root: Path, *, official_split: bool = False) -> Scan:
        """`scan`, without the publishers' split unless it is wanted. DatasetError if it is wanted and there is none."""
        if official_split and not self.official:
            raise DatasetError("the data set brings no official split", hint="Leave out --official-split.")
        found = self.scan(root)
        if official_split or not self.official:
            return found
        return replace(found, pictures=tuple(replace(picture, split=None) for picture in found.pictures))


def _module(name: str) -> Callable[[Path], Scan]:
    def scan(root: Path) -> Scan:
        found: Scan = import_module(f"disasymnet.datasets.{name}").scan(root)
        return found

    return scan


DATASETS: dict[str, Dataset] = {
    "mini-mias": Dataset(_module("mini_mias"), True, "322 film mammograms, 161 women, MLO, circles round the lesions"),
    "inbreast": Dataset(_module("inbreast"), True, "digital exams of 115 women with outlines of every finding"),
    "ddsm": Dataset(_module("ddsm"), True, "film exams with outlines: DDSM as its server held it, or Mini-DDSM"),
    "cbis-ddsm": Dataset(_module("cbis_ddsm"), True, "marked film views with lesion masks; no normal picture", True),
    "vindr": Dataset(_module("vindr"), True, "5,000 digital exams, BI-RADS for each breast, boxes for some", True),
    "cmmd": Dataset(_module("cmmd"), True, "digital exams of 1,775 women with a biopsied breast; no place, no normal"),
    "folder": Dataset(_module("folder"), False, "any folder of DICOM mammograms, known by their tags"),
    "table": Dataset(_module("table"), False, "your own pictures, named by a CSV or Parquet table"),
    "phantom": Dataset(_module("phantom"), True, "computed exams with known lesions, from `disasymnet phantom`"),
}


def find(name: str) -> Dataset:
    """The data set of that name. DatasetError with the nearest name if there is none."""
    name = {"dicom_folder": "folder", "dicom-folder": "folder"}.get(name, name)
    if name in DATASETS:
        return DATASETS[name]
    near = get_close_matches(name, DATASETS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(DATASETS)}."
    raise DatasetError(f"no data set is called {name}", hint=hint)
