"""The figures of `results.json` from scored pairs. Every figure is a `Metric`: value, intervals, unit and n."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from disasymnet.evaluate.forward import Seen, all_sides
from disasymnet.evaluate.sides import MAPS, NEAR_MM, Lesion, Side
from disasymnet.metrics.classification import auc_metric, side_accuracy
from disasymnet.metrics.interval import Metric, mean, ratio
from disasymnet.metrics.localisation import GRID, SIZES, Overlap, Threshold, best_of_grid, size_stratum
from disasymnet.metrics.outline import outline_auc
from disasymnet.metrics.reconstruction import MISSED, REMOVED
from disasymnet.terms import FindingKind

Tree = dict[str, Any]
OVERLAPS = ("iou", "ior_ref", "ior_det", "dice", "tiou", "tior")
REMOVAL = (
    *("inside_ratio", "error_in", "error_before", "outside_error", "black_holes", "contrast_removed"),
    *("psnr", "psnr_in", "psnr_out", "ssim", "ssim_in", "ssim_out"),
)
UNCHOSEN = Threshold(0.5, relative=True)
"""For x_ab and the difference where no other pair with a marked lesion is at hand to choose by."""

NOT_CHOSEN = "fixed: no pair with a marked lesion to choose by"


@dataclass(frozen=True)
class Cut:
    """The threshold that a side's x_ab or difference map is cut at, and the pairs it was chosen on."""

    index: int
    chosen_on: str

    @property
    def threshold(self) -> Threshold:
        """The entry of GRID."""
        return GRID[self.index]


Cuts = Callable[[str, Side], Cut]
"""(map, side) -> its threshold."""


def chosen_on_validation(validation: Iterable[Side]) -> Cuts:
    """One threshold for each map, the best on the validation sides; UNCHOSEN where none of them is marked."""
    sides = [side for side in validation if side.maps]
    best = {name: _best(sides, name, "validation") for name in MAPS}
    return lambda name, _: best[name]


def chosen_on_other_folds(sides: Iterable[Side]) -> Cuts:
    """For each fold the threshold that is best on the others: no pair takes part in the choice of its own."""
    marked = [side for side in sides if side.maps]
    best = {
        (name, fold): _best([side for side in marked if side.fold != fold], name, "other folds")
        for name in MAPS
        for fold in {side.fold for side in marked}
    }
    return lambda name, side: best[name, side.fold]


def _best(sides: Sequence[Side], name: str, chosen_on: str) -> Cut:
    index = best_of_grid([side.maps[name].grid for side in sides if name in side.maps])
    if index is None:
        return Cut(GRID.index(UNCHOSEN), NOT_CHOSEN)
    return Cut(index, chosen_on)


def classification(seen: Sequence[Seen], *, outline: bool = True) -> Tree:
    """Asymmetry, abnormality and side accuracy."""
    who = [pair.pair.patient for pair in seen]
    label = [pair.label for pair in seen]
    sides = list(all_sides(seen))
    asymmetry: Tree = {
        "auc": _auc(label, [pair.logit for pair in seen], who, of="pair", head="asymmetry head"),
        "auc_of_larger_side": _auc(label, [pair.derived for pair in seen], who, of="pair", head="side head"),
    }
    if outline and seen:
        shapes = np.stack([pair.breast for pair in seen])
        scale = [pair.pair.geometry.right.step[0] for pair in seen]
        asymmetry["outline_auc"] = outline_auc(shapes, scale, label, who)
    return {
        "asymmetry": asymmetry,
        "abnormality": {
            "auc": _auc(
                [side.label for side in sides],
                [side.logit for side in sides],
                [side.patient for side in sides],
                of="side",
                head="side head",
            )
        },
        "side_accuracy": _side_accuracy(seen, who),
    }


def _auc(label: Sequence[float], logits: Sequence[float | None], who: Sequence[str], *, of: str, head: str) -> Metric:
    """The AUC, or NA where the method lacks the head."""
    known = [logit for logit in logits if logit is not None]
    if len(known) < len(logits):
        return Metric(None, n=len(logits), of=of, note=f"this method has no {head}")
    return auc_metric(label, known, who, of=of)


def _side_accuracy(seen: Sequence[Seen], who: Sequence[str]) -> Metric:
    right, left = ([getattr(pair.sides, name) for pair in seen] for name in ("right", "left"))
    if any(side.logit is None for side in (*right, *left)):
        return Metric(None, n=len(seen), of="pair with one abnormal side", note="this method has no side head")
    return side_accuracy(
        ([side.label for side in right], [side.logit for side in right]),
        ([side.label for side in left], [side.logit for side in left]),
        who,
    )


def pointing(sides: Iterable[Side]) -> Tree:
    """Share of sides whose map has its maximum in a lesion; `near` within 4 mm of one; `chance` without knowledge."""
    marked = [side for side in sides if side.maps]
    tree: Tree = {name: _mean(marked, partial(_map, name=name, key="hit")) for name in MAPS}
    near: Tree = {name: _mean(marked, partial(_map, name=name, key="near")) for name in MAPS}
    return tree | {"near": near | {"within_mm": NEAR_MM}, "chance": _mean(marked, lambda side: side.chance)}


def localisation(sides: Iterable[Side], cuts: Cuts, cam_cut: float) -> Tree:
    """IoU, both IoRs, Dice, mean TIoU and mean TIoR of each map, with the threshold it was cut at."""
    marked = [side for side in sides if side.maps]
    tree: Tree = {name: _localisation(marked, name, cuts) for name in MAPS}
    tree["cam"]["threshold"] = [{"value": round(cam_cut, 6), "relative": False, "chosen_on": "fixed"}]
    # A fixed cut also measures the head's calibration: this one does not.
    tree["cam_at_chosen_cut"] = _localisation(marked, "cam", cuts, chosen=True)
    return tree


def _localisation(marked: Sequence[Side], name: str, cuts: Cuts, *, chosen: bool = False) -> Tree:
    having = [side for side in marked if name in side.maps]
    if chosen and any(cuts(name, side).chosen_on == NOT_CHOSEN for side in having):
        return {key: Metric(None, note=NOT_CHOSEN) for key in OVERLAPS} | {"threshold": []}
    found: Tree = {
        key: _mean(having, partial(_overlap_value, name=name, cuts=cuts, key=key, chosen=chosen)) for key in OVERLAPS
    }
    return found | {"threshold": _thresholds(having, name, cuts)}


def _overlap(side: Side, name: str, cuts: Cuts, chosen: bool = False) -> Overlap:
    score = side.maps[name]
    return score.grid[cuts(name, side).index] if chosen or score.fixed is None else score.fixed


def _overlap_value(side: Side, name: str, cuts: Cuts, key: str, chosen: bool = False) -> float:
    return float(getattr(_overlap(side, name, cuts, chosen), key))


def _thresholds(sides: Sequence[Side], name: str, cuts: Cuts) -> list[Tree]:
    used = {cuts(name, side) for side in sides}
    return [
        {"value": cut.threshold.value, "relative": cut.threshold.relative, "chosen_on": cut.chosen_on}
        for cut in sorted(used, key=lambda cut: cut.index)
    ]


def reconstruction(sides: Iterable[Side], truth: str) -> Tree:
    """Removal on sides with a lesion and a known truth; `truth` says which."""
    known = [side for side in sides if side.removal is not None]
    removals = [side.removal for side in known if side.removal is not None]
    who = [side.patient for side in known]
    lesions = [(lesion, side.patient) for side in known for lesion in side.lesions if lesion.inside_ratio is not None]

    def of(name: str) -> Metric:
        return mean([float(getattr(removal, name)) for removal in removals], who, of="side with a lesion")

    tree: Tree = {name: of(name) for name in REMOVAL}
    tree["inside_ratio_pooled"] = ratio(
        [removal.error_in for removal in removals],
        [removal.error_before for removal in removals],
        who,
        of="side with a lesion",
    )
    tree |= {"truth": truth} | _shares(lesions)
    tree["by_kind"] = _by(lesions, lambda lesion: lesion.kind, [*(kind.value for kind in FindingKind), "unknown"])
    tree["by_size"] = _by(lesions, lambda lesion: size_stratum(lesion.diameter_mm), SIZES)
    return tree


Marked = Sequence[tuple[Lesion, str]]


def _shares(lesions: Marked) -> Tree:
    left = [math.nan if lesion.inside_ratio is None else lesion.inside_ratio for lesion, _ in lesions]
    who = [patient for _, patient in lesions]
    return {
        "removed_share": mean([float(each < REMOVED) for each in left], who, of="lesion"),
        "missed_share": mean([float(each > MISSED) for each in left], who, of="lesion"),
    }


def _by(lesions: Marked, stratum: Callable[[Lesion], str], names: Sequence[str]) -> Tree:
    groups = {name: [each for each in lesions if stratum(each[0]) == name] for name in names}
    return {
        name: {
            "inside_ratio": mean([each.inside_ratio or 0.0 for each, _ in group], [w for _, w in group], of="lesion")
        }
        | _shares(group)
        for name, group in groups.items()
        if group
    }


def signatures(sides: Iterable[Side]) -> Tree:
    """What gives a collapse away: grey spread, the judged x_n, change on normal sides, background, CAM outside."""
    every = list(sides)
    drawn = [(side, side.signature) for side in every if side.signature is not None]
    who = [side.patient for side, _ in drawn]
    tree: Tree = {
        "spread": ratio([s.spread_after for _, s in drawn], [s.spread_before for _, s in drawn], who, of="side"),
        "background": mean([s.background for _, s in drawn], who, of="side"),
        "normal_change": _mean(every, lambda side: side.change, of="normal side"),
        "cam_outside": _mean(every, lambda side: side.cam_outside, of="side"),
    }
    for name, label in (("judged_normal", 0.0), ("judged_abnormal", 1.0)):
        part = [(side.patient, side.judged) for side in every if side.label == label and side.judged is not None]
        tree[name] = mean([p for _, p in part], [w for w, _ in part], of=f"{name.split('_')[1]} side")
    return tree


def strata(seen: Sequence[Seen], cuts: Cuts, cam_cut: float) -> Tree:
    """The same figures by density, by kind and size of the lesion, and without pairs that hold a calcification."""
    calcified = FindingKind.CALCIFICATION.value
    without = [pair for pair in seen if not any(calcified in side.kinds for side in pair.sides)]
    tree: Tree = {"density": {}, "kind": {}, "size": {}}
    if len(without) < len(seen):
        tree["without_calcification"] = _short(without)
    for density in sorted({pair.pair.density or "unknown" for pair in seen}):
        tree["density"][density] = _short([pair for pair in seen if (pair.pair.density or "unknown") == density])
    sides = list(all_sides(seen))
    normal = [side for side in sides if side.label == 0]
    for kind in (*FindingKind, None):
        name = "unknown" if kind is None else kind.value
        having = [side for side in sides if name in side.kinds and side.label == 1]
        if having:
            both = having + normal
            auc = _auc(
                [side.label for side in both],
                [side.logit for side in both],
                [side.patient for side in both],
                of="side",
                head="side head",
            )
            tree["kind"][name] = {"auc_against_normal": auc} | _where(having, cuts, cam_cut)
    for size in SIZES:
        having = [side for side in sides if side.diameter_mm is not None and size_stratum(side.diameter_mm) == size]
        if having:
            tree["size"][size] = _where(having, cuts, cam_cut)
    return tree


def _short(seen: Sequence[Seen]) -> Tree:
    return {"n_pairs": len(seen)} | classification(seen, outline=False) | {"pointing": pointing(all_sides(seen))}


def _where(sides: Sequence[Side], cuts: Cuts, cam_cut: float) -> Tree:
    found = localisation(sides, cuts, cam_cut)
    return {"pointing": pointing(sides), "iou": {name: found[name]["iou"] for name in MAPS}}


def _map(side: Side, name: str, key: str) -> float | None:
    return float(getattr(side.maps[name], key)) if name in side.maps else None


def _mean(
    sides: Iterable[Side], value: Callable[[Side], float | None], *, of: str = "side with a marked lesion"
) -> Metric:
    pairs = [(value(side), side.patient) for side in sides]
    return mean([math.nan if v is None else v for v, _ in pairs], [who for _, who in pairs], of=of)


def plain(tree: object) -> Any:
    """The tree with each Metric as its JSON object."""
    if isinstance(tree, Metric):
        return tree.to_dict()
    if isinstance(tree, dict):
        return {str(key): plain(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [plain(value) for value in tree]
    return tree
