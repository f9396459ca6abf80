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
class Tags:
    """Which tags of a data set's files mean what they say."""

    identity: bool = True
    """PatientID and StudyInstanceUID: those of a pair's files must agree. De-identified sets may have given each file
    its own."""
    ml_is_mlo: bool = False
    """The set writes ML for MLO."""
    one_woman: bool = False
    """Two of its patients with one PatientID are an error: they would be one woman in two splits."""


_ALL_TAGS = Tags()


@dataclass(frozen=True)
class Dataset:
    """How a data set is read, and whether its patients' names may be shown."""

    adapter: Callable[[Path], Scan]
    """Pictures of a folder with all that the data set states about them. DatasetError if the folder is another's."""
    public: bool
    about: str
    official: bool = False
    """Its split is its publishers'. The paper draws its own, so it is used only where it is asked for."""
    tags: Tags | None = _ALL_TAGS
    """How what it says is held against its files' own tags; None where nothing is known but from these."""
    whole: bool = False
    """All files below its folder are its own: those that its adapter passes over are listed."""

    def scan(self, root: Path) -> Scan:
        """What the adapter finds, held against the files' own tags. DatasetError if the folder is another's."""
        # Not above: they bring what reads DICOM.
        from disasymnet.datasets.agree import compare
        from disasymnet.datasets.below import unlisted
        from disasymnet.datasets.copies import tell_copies

        found = self.adapter(root)
        if self.whole:
            found = replace(found, rejected=(*found.rejected, *unlisted(found, root)))
        return tell_copies(found if self.tags is None else compare(found, self.tags))

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
    # Headers are anonymised: whom and which study they name is not known. ML is the set's own word for MLO.
    "inbreast": Dataset(
        _module("inbreast"),
        True,
        "digital exams of 115 women with outlines of every finding",
        tags=Tags(identity=False, ml_is_mlo=True),
        whole=True,
    ),
    "ddsm": Dataset(_module("ddsm"), True, "film exams with outlines: DDSM as its server held it, or Mini-DDSM"),
    "cbis-ddsm": Dataset(
        _module("cbis_ddsm"), True, "marked film views with lesion masks; no normal picture", official=True, whole=True
    ),
    # Nobody is named: the tags of one woman's files need not agree.
    "vindr": Dataset(
        _module("vindr"),
        True,
        "5,000 digital exams, BI-RADS for each breast, boxes for some",
        official=True,
        tags=Tags(identity=False),
        whole=True,
    ),
    "cmmd": Dataset(
        _module("cmmd"), True, "digital exams of 1,775 women with a biopsied breast; no place, no normal", whole=True
    ),
    "folder": Dataset(_module("folder"), False, "any folder of DICOM mammograms, known by their tags", tags=None),
    "table": Dataset(
        _module("table"), False, "your own pictures, named by a CSV or Parquet table", tags=Tags(one_woman=True)
    ),
    "phantom": Dataset(
        _module("phantom"), True, "computed exams with known lesions, from `disasymnet phantom`", tags=None
    ),
}


def called(dataset: str, name: str | None) -> str:
    """What figures, cards and tumours say of a data set: its own name, or that which a person gave a table or folder.

    By it one's own sets are told apart: tumours of a set may not teach a model of the same. DatasetError for a name
    that is none, or for a set that has one.
    """
    if name is None:
        return dataset
    words = " ".join(name.split())
    if dataset not in ("table", "folder"):
        raise DatasetError(f"{dataset} has its name", hint="--called is for a table or folder of your own.")
    if not words.isprintable() or not 0 < len(words) <= 60 or words == "phantom":
        raise DatasetError(
            f"{name!r} is no name for a data set", hint="Take up to 60 letters, as in --called CBIS-DDSM."
        )
    return words


def find(name: str) -> Dataset:
    """The data set of that name. DatasetError with the nearest name if there is none."""
    name = {"dicom_folder": "folder", "dicom-folder": "folder"}.get(name, name)
    if name in DATASETS:
        return DATASETS[name]
    near = get_close_matches(name, DATASETS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(DATASETS)}."
    raise DatasetError(f"no data set is called {name}", hint=hint)
