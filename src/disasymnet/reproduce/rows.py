"""The rows and columns of each table, and the family of tests that is declared before anything is trained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from disasymnet.errors import RecipeError
from disasymnet.recipe import ABLATIONS, presets


@dataclass(frozen=True)
class Row:
    """A method or ablation: a recipe that is joined to that of the data set."""

    name: str
    label: str
    paper: str | None = None
    """Its name in the paper's tables."""
    asymmetry: bool = True
    """It has an asymmetry head."""
    sides: bool = True
    """It has a side head."""

    @property
    def folder(self) -> str:
        """A name for files."""
        return re.sub(r"[^\w.+-]", "_", Path(self.name).name)


OURS = Row("disasymnet", "DisAsymNet", "Ours")
COMPARED = (
    Row("resnet18", "ResNet18", "ResNet18", asymmetry=False),
    Row("ham", "HAM", "HAM", asymmetry=False),
    Row("late-fusion", "Late fusion (linear)", "Late-fusion"),
    Row("late-fusion-mlp", "Late fusion (MLP)", "Late-fusion"),
    Row("cvt", "CVT", "CVT"),
    Row("asym-attention", "asym-attention", "Wang et al."),
    Row("asymmirai", "AsymMirai's rule", sides=False),
)
ABLATED = (
    Row("asyc", "AsyC", "AsyC"),
    Row("asyd", "AsyD", "AsyD"),
    Row("asyd-syn", "AsyD & Syn", "AsyD & Syn"),
    Row("asyc-asyd", "AsyC & AsyD", "AsyC & AsyD"),
)
KNOWN = {row.name: row for row in (*COMPARED, *ABLATED, OURS)}
COMPARATORS = ("resnet18", "ham", "late-fusion-mlp", "cvt", "asym-attention")
"""The five of the declared family. Of late fusion the MLP head: a linear one cannot compare the sides."""
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the training patients, Figure 2."""


@dataclass(frozen=True)
class Column:
    """A figure of the table. `key` names it in JSON and CSV."""

    key: str
    label: str
    paper: tuple[str, str] | None = None
    """(task, metric) of the paper's tables."""
    percent: bool = False
    """Shown times 100, as the paper does."""
    digits: int = 3
    path: tuple[str, ...] = ()
    """Where it stands in results.json, for data whose predictions.csv does not hold it."""


ASYMMETRIC = Column("asymmetric", "asymmetric AUC", ("asymmetric", "AUC"))
DERIVED = Column("asymmetric_derived", "asymmetric AUC, derived from max(p_r, p_l)")
ABNORMAL = Column("abnormal", "abnormal AUC", ("abnormal", "AUC"))
SIDES = Column("side_accuracy", "side accuracy")
IOU = Column("iou", "IoU", ("segmentation", "IoU"))
DICE = Column("dice", "Dice", ("segmentation", "Dice"))
TIOU = Column("tiou", "mean TIoU %", ("localization", "mean TIoU %"), percent=True, digits=1)
IOU_CHOSEN = Column("iou_chosen", "IoU, cut chosen")
TIOU_CHOSEN = Column("tiou_chosen", "mean TIoU %, cut chosen", percent=True, digits=1)
POINTING = Column("pointing", "CAM maximum in the lesion")
TABLE2 = (
    IOU,
    IOU_CHOSEN,
    Column("ior_det", "IoR (of the marked area)", ("segmentation", "IoR")),
    Column("ior_ref", "IoR (of the lesion)"),
    DICE,
    TIOU,
    TIOU_CHOSEN,
    Column("tior", "mean TIoR %", ("localization", "mean TIoR %"), percent=True, digits=1),
    POINTING,
)
REMOVAL = (
    Column("inside_ratio", "error left inside", path=("reconstruction", "inside_ratio")),
    Column("outside_error", "error outside", digits=4, path=("reconstruction", "outside_error")),
    Column("black_holes", "black holes", path=("reconstruction", "black_holes")),
)


@dataclass(frozen=True)
class Target:
    """What `reproduce` can make."""

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    family: tuple[str, ...] = ()
    """Rows of the declared family of tests."""
    tested: tuple[Column, ...] = ()
    """Columns that DisAsymNet is tested in against each row."""
    shares: tuple[float, ...] = (1.0,)
    seeds: tuple[int, ...] = (0, 1, 2)


_PAPER_ROWS = tuple(row.name for row in (*COMPARED, *ABLATED, OURS))
_FOUR = tuple(row.name for row in ABLATED)
_OTHERS = tuple(name for name in presets(ABLATIONS) if name not in _FOUR)
TARGETS = {
    target.name: target
    for target in (
        Target(
            "table1",
            "Table 1: classification",
            _PAPER_ROWS,
            (ASYMMETRIC, DERIVED, ABNORMAL, SIDES),
            COMPARATORS,
            (ASYMMETRIC, ABNORMAL),
        ),
        Target(
            "table2",
            "Table 2: weakly supervised localisation",
            _PAPER_ROWS,
            TABLE2,
            COMPARATORS,
            (IOU, TIOU, IOU_CHOSEN, TIOU_CHOSEN),
        ),
        Target(
            "figure2",
            "Figure 2: AUC against the share of training patients",
            ("late-fusion-mlp", "asym-attention", "disasymnet"),
            (ABNORMAL, ASYMMETRIC),
            shares=SHARES,
        ),
        Target(
            "figure3",
            "Figure 3: the symmetric pair with and without Synthesis",
            ("asyc-asyd", "disasymnet"),
            REMOVAL,
            seeds=(0,),
        ),
        Target(
            "ablations",
            "Ablations of DisAsymNet",
            ("disasymnet", *_FOUR, *_OTHERS),
            (ASYMMETRIC, ABNORMAL, SIDES, IOU, TIOU, POINTING, *REMOVAL),
            _FOUR,
            (ASYMMETRIC, ABNORMAL),
        ),
    )
}


def target_of(name: str) -> Target:
    """RecipeError with the known names for another one."""
    if name not in TARGETS:
        raise RecipeError(f"{name!r} is nothing to reproduce", hint="There are: " + ", ".join(TARGETS) + ".")
    return TARGETS[name]


def rows_of(target: Target, methods: str | None) -> list[Row]:
    """The target's rows, or those of `methods` (`late-fusion,disasymnet,mine.toml`), as they are named."""
    names = target.rows if methods is None else tuple(name.strip() for name in methods.split(",") if name.strip())
    if not names or len(set(names)) < len(names):
        raise RecipeError(f"--methods {methods}: each method once, at least one")
    if target.name == "figure3" and set(names) != set(target.rows):
        raise RecipeError("figure3 compares disasymnet with asyc-asyd and nothing else", hint="Leave out --methods.")
    return [KNOWN.get(name, Row(name, name)) for name in names]


def seeds_of(target: Target, rows: list[Row], words: list[str] | None) -> dict[str, tuple[int, ...]]:
    """Row -> its seeds. `words`: `0,1,2` for all, `ham,cvt=0` for some; a later word wins. RecipeError otherwise."""
    seeds = {row.name: target.seeds for row in rows}
    for word in words or []:
        names, sign, numbers = word.rpartition("=")
        which = [name.strip() for name in names.split(",")] if sign else list(seeds)
        unknown = [name for name in which if name not in seeds]
        if unknown:
            raise RecipeError(f"--seeds {word}: {unknown[0]!r} is no row of this table")
        try:
            chosen = tuple(dict.fromkeys(int(number) for number in numbers.split(",")))
        except ValueError:
            raise RecipeError(f"--seeds {word}: seeds are whole numbers, as in 0,1,2 or ham,cvt=0") from None
        seeds |= dict.fromkeys(which, chosen)
    return seeds
