"""What others counted: each data set as its publishers (or a full listing) give it, and as the paper used it.

Keys are the rows of `disasymnet.data.describe`. A number stands here only with its origin in the notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """Counts of one data set by row, and why they differ from each other."""

    title: str
    published: Mapping[str, int]
    paper: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    """Codes of rows left out that stand for no picture of the published count: doubles not counted, women."""


MINI_MIAS = Published(
    "mini-MIAS",
    {
        "women": 161, "exams": 161, "pictures": 322, "views MLO": 322, "pictures normal": 207,
        "pictures abnormal": 115, "pairs": 161, "pairs both normal": 53, "pairs one abnormal": 101,
        "pairs both abnormal": 7, "lesions mass": 44, "lesions calcification": 30,
        "lesions architectural distortion": 19, "lesions asymmetry": 15, "lesions other": 15,
        "lesions with a place": 117,
    },
    notes=(
        "Published: the lines of Info.txt. Papers quote 208 or 209 normal pictures: they count lines otherwise.",
        "Places: 119 circles are given, those of mdb212 and mdb214 lie in the air and are not used.",
        "The paper does not use this set.",
    ),
)  # fmt: skip

INBREAST = Published(
    "INbreast",
    {
        "exams": 115, "pictures": 410, "views CC": 203, "views MLO": 206, "views other": 1, "pictures normal": 67,
        "pictures abnormal": 343,
    },
    {"exams": 115, "pictures": 429, "pictures normal": 87, "pictures abnormal": 342},
    (
        "Paper and published: 87 + 342 = 429 pictures are more than the database has. 87 is most likely a misprint of "
        "67, as 67 + 343 = 410; where one abnormal picture went is not said.",
        "Here an exam is a month of one woman: 117 of 108 women, without the FB picture. 115 is the publication's.",
        "Here 4 repeated exposures are left out, so that 406 pictures are the most that can be found.",
    ),
)  # fmt: skip

DDSM = Published(
    "DDSM",
    {
        "women": 2586, "exams": 2604, "pictures": 10416, "pictures normal": 6387, "pictures abnormal": 4029,
        "pairs": 5172, "pairs both normal": 1509, "pairs one abnormal": 3331, "pairs both abnormal": 332,
    },
    {"exams": 2620, "pictures": 10448, "pictures normal": 6406, "pictures abnormal": 4042},
    (
        "Published: a full listing of the server (2,604 folders with 2,586 image ids, 10,416 .LJPEG, 4,029 .OVERLAY). "
        "The publication says 2,620 cases, of which some are incomplete.",
        "Paper and published: 32 pictures and 13 outlines more than the listing has. Which copy it was is not said.",
        "Here pictures of cancer and benign cases without an outline on either side of the projection are unknown; the "
        "listing and the paper count them as normal.",
    ),
)  # fmt: skip

MINI_DDSM = Published(
    "Mini-DDSM",
    {
        "women": 1952, "exams": 1952, "pictures": 7808, "pairs": 3904, "pairs both normal": 1204,
        "pairs one abnormal": 2426, "pairs both abnormal": 202, "pairs undecided": 72,
    },
    notes=(
        "Published: counted in its own table. Its status is of the case: an unmarked side of a marked pair is normal, "
        "and 72 pairs of cancer and benign cases without any outline are undecided.",
        "The paper uses DDSM itself (2,620 cases).",
    ),
)  # fmt: skip

CBIS_DDSM = Published(
    "CBIS-DDSM",
    {
        "women": 1566, "pictures": 3032, "pictures normal": 0, "pictures abnormal": 3032, "pairs": 247,
        "pairs both abnormal": 247, "lesions": 3568,
    },
    notes=(
        "Published: counted in its four tables (3,032 different views; TCIA's 10,239 images include crops and masks).",
        "The paper does not use this set. No picture is normal: it serves for the tumour set and for single pictures.",
    ),
    apart=("duplicate",),
)  # fmt: skip

VINDR = Published(
    "VinDr-Mammo",
    {
        "women": 5000, "exams": 5000, "pictures": 20000, "pictures normal": 13406, "pictures abnormal": 6594,
        "pairs": 9999, "lesions": 2254, "lesions with a place": 2254,
    },
    {"exams": 5000, "pictures": 19984, "pictures normal": 13404, "pictures abnormal": 6580},
    (
        "Published: counted in its tables. Exams stand for women: no patient is named.",
        "Paper and published: 16 pictures fewer, 2 normal and 14 abnormal; the paper gives no reason.",
        "Here one picture fewer: one study has L CC twice (and no L MLO, so that 9,999 of 10,000 pairs are whole).",
        "Pairs of the whole: about 5,030 both normal, 3,346 one abnormal, 1,624 both abnormal, less the broken one.",
    ),
)  # fmt: skip

CMMD = Published(
    "CMMD",
    {"women": 1775, "pictures": 5202, "pictures normal": 0, "pairs both normal": 0},
    notes=(
        "Published: the collection's own page, not verified on the files.",
        "No breast is declared normal. A breast that the table does not name is unknown, so no pair is symmetric.",
        "The paper does not use this set.",
    ),
    apart=("missing",),
)

TABLE = Published(
    "Your table",
    {},
    {"women": 10670, "exams": 43258, "pictures": 34732, "pictures normal": 6000, "pictures abnormal": 28732},
    (
        "Paper: women and exams are those of its whole In-house set (2004 to 2020), pictures those of the 20 % of its "
        "women that it uses. That set is not public: nothing here should agree with it.",
    ),
)

PUBLISHED: dict[str, Published] = {
    "mini-mias": MINI_MIAS,
    "inbreast": INBREAST,
    "ddsm": DDSM,
    "cbis-ddsm": CBIS_DDSM,
    "vindr": VINDR,
    "cmmd": CMMD,
    "table": TABLE,
}
