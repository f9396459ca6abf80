"""Small imitations of every data set, in its true folders and file formats, with its known traps planted.

The pictures are phantoms, so nothing has to be downloaded and nobody's data is in them. Each maker of `MAKERS` writes
one data set below a folder and returns what a reader has to find there, counted by hand. `corpus` writes broken files,
`mammograms` good ones in every transfer syntax, `tag_matrix` studies with odd and conflicting tags.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from disasymnet.testkit.cbis_ddsm import make_cbis_ddsm
from disasymnet.testkit.cmmd import make_cmmd
from disasymnet.testkit.ddsm import make_ddsm
from disasymnet.testkit.folder import make_folder
from disasymnet.testkit.inbreast import make_inbreast
from disasymnet.testkit.mini_ddsm import make_mini_ddsm
from disasymnet.testkit.mini_mias import make_mini_mias
from disasymnet.testkit.planted import Planted
from disasymnet.testkit.table import make_table
from disasymnet.testkit.vindr import make_vindr

__all__ = ["MAKERS", "READ_AS", "Planted"]

MAKERS: dict[str, Callable[[Path], Planted]] = {
    "mini-mias": make_mini_mias,
    "inbreast": make_inbreast,
    "ddsm": make_ddsm,
    "mini-ddsm": make_mini_ddsm,
    "cbis-ddsm": make_cbis_ddsm,
    "vindr": make_vindr,
    "cmmd": make_cmmd,
    "folder": make_folder,
    "table": make_table,
}
"""By the data set's name, or that of an edition."""
READ_AS = {"mini-ddsm": "ddsm"}
"""The data set that an edition is read as."""
