"""The counterfactual benchmark: how well each row takes lesions out of mammograms whose lesion-free truth is known.

The protocol stands in docs/counterfactual-protocol.md: which sides, which formulas, which reference points. From
Python, a model of one's own is one row more:

    cases = Cases.of(cache, cache.split("test"))
    found = benchmark(cases, [of_model("mine", my_function)])
    print(found.results["rows"]["mine"]["removal"]["inside_ratio"])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from disasymnet.errors import CheckpointError
from disasymnet.evaluate import scores
from disasymnet.evaluate.cases import Case, Cases, Floats, Masks
from disasymnet.evaluate.forward import score_side
from disasymnet.evaluate.judge import Judge
from disasymnet.evaluate.rows import COPY, Drawn, Row, references
from disasymnet.evaluate.sides import Pictures, Side
from disasymnet.metrics.classification import auc_difference, auc_metric
from disasymnet.metrics.interval import Metric
from disasymnet.progress import track

SHOWN = 8
RULE = (
    "Cases with a lesion, evenly spaced in the order of their pairs' ids; of each the side with a lesion, the right "
    "one where both have one; never chosen by look or score. The same for all rows."
)
Tree = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """One side of one case by one row."""

    side: Side
    seen: float | None
    """Logit of the independent classifier on x_n; None without one, or without x_n."""


@dataclass(frozen=True)
class Shown:
    """One side for the contact picture, (H, W)."""

    name: str
    laterality: str
    image: Floats
    truth: Floats
    lesion: Masks
    breast: Masks
    normal: dict[str, Floats]
    """x_n by row."""


@dataclass(frozen=True)
class Found:
    """All that the benchmark leaves."""

    results: Tree
    scored: dict[str, list[Scored]]
    shown: list[Shown]


def benchmark(cases: Cases, rows: Sequence[Row], judge: Judge | None = None, *, batch: int = 8) -> Found:
    """Each row and the references on all cases; `judge` looks at every x_n.

    CheckpointError if two rows share a name. Each figure is a metric object: value, ci, unit, n.
    """
    every = [*rows, *references()]
    twice = {row.name for row in every if sum(other.name == row.name for other in every) > 1}
    if twice:
        raise CheckpointError(f"two rows are called {min(twice)!r}", hint="Give each row a name of its own.")
    wanted = set(cases.chosen(SHOWN))
    scored: dict[str, list[Scored]] = {row.name: [] for row in every}
    shown: list[Shown] = []
    total = -(-len(cases.ids) // batch)
    for group in track(cases.batches(batch), "counterfactuals (batches)", total):
        pictures: dict[str, dict[str, Floats]] = {}
        for row in every:
            drawn = row.draw(group)
            scored[row.name] += _score(row, group, drawn, judge)
            pictures[row.name] = {
                case.name: one.normal for case, one in zip(group, drawn, strict=True) if one.normal is not None
            }
        shown += [_shown(case, pictures) for case in group if case.name in wanted]
    copied = scored[COPY]
    results: Tree = {
        "truth": cases.truth,
        "counts": {
            "pairs": len(cases.ids),
            "patients": len({one.side.patient for one in copied}),
            "sides_with_lesion": sum(one.side.removal is not None for one in copied),
            "marked_but_not_visible": sum(_marked(one) and one.side.removal is None for one in copied),
            "normal_sides": sum(one.side.label == 0 for one in copied),
        },
        "judge": None if judge is None else judge.about,
        "rows": {row.name: _figures(row, scored[row.name], copied, judge, cases.truth) for row in every},
        "rules": RULES,
    }
    plain: Tree = scores.plain(results)
    return Found(plain, scored, sorted(shown, key=lambda one: one.name))


RULES = {
    "inside_ratio": "mean over sides of mean|x_n - t| / mean|x - t| in the lesion: 0 truth, 1 untouched; _pooled: of "
    "the sums, where faint lesions weigh little",
    "outside": "the breast farther than 2 pixels from the lesion; grey range 1",
    "black_holes": "share of lesion pixels more than 0.1 darker than the truth",
    "contrast_removed": "1 - amplitude of the lesion's own pattern x - t that is left in x_n; above 1: overdone",
    "removed, missed": "lesions with inside ratio below 0.5, above 0.9",
    "normal_change": "mean |x - x_n| in the breast of sides without a lesion",
    "judge.auc": "AUC of the independent classifier on x_n, formerly abnormal against normal sides: 0.5 is best",
    "judge.fall": "the same AUC on the input minus it, on the same sides",
    "own_look": "the same AUC by the row's own classifier: far below judge.auc, it fools itself",
    "maps": "largest value in the lesion; IoU of the CAM at its own fixed cut, of x_ab and |x - x_n| at half of their "
    "maximum, the same for all rows and not chosen on any data",
    "ci": "95 %, percentiles of 1000 bootstrap resamples of whole patients; ci_unit: of single units",
    "pictures": RULE,
}


def _score(row: Row, group: Sequence[Case], drawn: Sequence[Drawn], judge: Judge | None) -> list[Scored]:
    normals = [one.normal for one in drawn]
    there = [normal for normal in normals if normal is not None]
    seen = judge.score(group, there) if judge is not None and len(there) == len(normals) else None
    found = []
    for number, (case, one) in enumerate(zip(group, drawn, strict=True)):
        for side in (0, 1):
            label = tuple(case.pair.abnormal)[side]
            blank = Side(case.pair, "RL"[side], float("nan") if label is None else float(label), None)
            blank = replace(blank, judged=None if one.judged is None else one.judged[side])
            scored = score_side(blank, _pictures(case, one, side), row.cam_cut)
            found.append(Scored(scored, None if seen is None else float(seen[number, side])))
    return found


def _pictures(case: Case, drawn: Drawn, side: int) -> Pictures:
    def plane(both: Floats | None) -> Floats | None:
        return None if both is None else both[side]

    return Pictures(
        image=case.image[side],
        breast=case.breast[side],
        lesion=case.lesion[side],
        cam=plane(drawn.cam),
        normal=plane(drawn.normal),
        abnormal_part=plane(drawn.abnormal_part),
        truth=case.truth[side],
    )


def _shown(case: Case, pictures: dict[str, dict[str, Floats]]) -> Shown:
    side = 0 if case.lesion[0].any() else 1
    normal = {row: found[case.name][side] for row, found in pictures.items() if case.name in found}
    return Shown(
        case.name,
        "RL"[side],
        case.image[side],
        case.truth[side],
        case.lesion[side],
        case.breast[side],
        normal,
    )


def _figures(row: Row, scored: Sequence[Scored], copied: Sequence[Scored], judge: Judge | None, truth: str) -> Tree:
    sides = [one.side for one in scored]
    signs = scores.signatures(sides)
    return {
        "kind": row.kind,
        "about": row.about,
        "removal": scores.reconstruction(sides, truth),
        "normal_change": signs["normal_change"],
        "judge": _judged(row, scored, copied, judge),
        "own_look": _own_look(scored, copied),
        "pointing": scores.pointing(sides),
        "localisation": scores.localisation(sides, scores.chosen_on_validation([]), row.cam_cut),
    }


def _judged(row: Row, scored: Sequence[Scored], copied: Sequence[Scored], judge: Judge | None) -> dict[str, Metric]:
    if judge is None or any(one.seen is None for one in scored):
        note = "no judge was given" if judge is None else "this row makes no x_n"
        return {"auc": Metric(None, note=note), "fall": Metric(None, note=note)}
    asked = _asked(copied)
    label = [copied[n].side.label for n in asked]
    who = [copied[n].side.patient for n in asked]
    after, before = (np.array([part[n].seen for n in asked], dtype=np.float64) for part in (scored, copied))
    found = {
        "auc": auc_metric(label, after, who, of="side"),
        "fall": auc_difference(label, before, after, who, of="side"),
    }
    if judge.is_row(row.about):
        note = "not independent: the judge is this row's own classifier"
        return {name: replace(metric, note=note) for name, metric in found.items()}
    return found


def _own_look(scored: Sequence[Scored], copied: Sequence[Scored]) -> Metric:
    asked = _asked(copied)
    judged = [scored[n].side.judged for n in asked]
    if any(each is None for each in judged):
        return Metric(None, note="this row does not look at its own x_n")
    label = [copied[n].side.label for n in asked]
    who = [copied[n].side.patient for n in asked]
    return auc_metric(label, np.array(judged, dtype=np.float64), who, of="side")


def _asked(copied: Sequence[Scored]) -> list[int]:
    """Normal sides, and sides with a lesion that is there to be seen."""
    return [n for n, one in enumerate(copied) if one.side.label == 0 or one.side.removal is not None]


def _marked(one: Scored) -> bool:
    return one.side.label == 1 and bool(one.side.maps or one.side.lesions)
