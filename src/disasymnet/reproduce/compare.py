"""From answers to cells and tests. A cell is the mean over the seeds, with intervals over the test pairs."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from disasymnet.metrics.classification import auc, auc_statistic, delong_test, holm, known
from disasymnet.metrics.interval import Floats, Metric, Statistic, mean, measure
from disasymnet.metrics.paired import Paired, paired_auc, paired_mean, wilcoxon_p
from disasymnet.reproduce.answers import Answers, Scored, ensemble, read_answers, scored
from disasymnet.reproduce.paper import printed
from disasymnet.reproduce.plan import Line, Standing
from disasymnet.reproduce.rows import ABNORMAL, ASYMMETRIC, KNOWN, OURS, Column, Row, Target

Tree = dict[str, Any]


@dataclass(frozen=True)
class Filled:
    """A line with the answers of those seeds that are evaluated."""

    line: Line
    answers: dict[int, Answers]
    results: dict[int, Tree]

    def mean(self, column: Column, seeds: Collection[int]) -> Scored | str:
        """The column's units by the mean-logit ensemble of these seeds; a sentence where it cannot be had."""
        chosen = [one for seed, one in self.answers.items() if seed in seeds]
        if not chosen:
            return "no seed that both have" if self.answers else "not yet evaluated"
        return scored(column.key, ensemble(chosen))


def fill(lines: Sequence[Line], standings: dict[Path, Standing]) -> list[Filled]:
    """Read what is there. CheckpointError where a table of predictions is damaged."""
    filled = []
    for line in lines:
        there = [run for run in line.runs if standings[run.folder].evaluated]
        answers = {run.seed: read_answers(run.results) for run in there}
        results = {run.seed: json.loads((run.results / "results.json").read_text(encoding="utf-8")) for run in there}
        filled.append(Filled(line, answers, results))
    return filled


def cell(filled: Filled, column: Column, dataset: str | None) -> Tree:
    """Value (mean over seeds), intervals, each seed's value, spread, ensemble and the paper's value."""
    beside = printed(filled.line.row.paper, dataset, column.paper)
    tree: Tree = {"paper": None if beside is None else [beside.value, beside.low, beside.high]}
    if filled.line.share < 1:
        tree["paper"] = None
    if not filled.answers:
        return Metric(None, note="not yet evaluated").to_dict() | tree
    each = {seed: scored(column.key, one) for seed, one in filled.answers.items()}
    units = {seed: one for seed, one in each.items() if isinstance(one, Scored)}
    if column.path and not units:
        return _from_results(filled, column) | tree
    if len(units) < len(each):
        return Metric(None, note=next(str(one) for one in each.values() if isinstance(one, str))).to_dict() | tree
    values = {seed: value(one) for seed, one in units.items()}
    whole = filled.mean(column, filled.answers)
    return (
        _over_seeds(list(units.values()), list(values.values())).to_dict()
        | {"seeds": {str(seed): one for seed, one in values.items()}, "sd": _sd(list(values.values()))}
        | {"ensemble": value(whole) if isinstance(whole, Scored) else None}
        | tree
    )


def value(units: Scored) -> float | None:
    """The column's figure."""
    if units.label is not None:
        return auc(units.label, units.score)
    return float(units.score.mean()) if len(units.score) else None


def _sd(values: Sequence[float | None]) -> float | None:
    there = [one for one in values if one is not None]
    return float(np.std(there, ddof=1)) if len(there) > 1 else None


def _over_seeds(several: Sequence[Scored], values: Sequence[float | None]) -> Metric:
    """The mean over seeds; women are resampled with all seeds' answers, so the interval is over women alone."""
    first = several[0]
    there = [one for one in values if one is not None]
    if len(there) < len(values):
        return Metric(None, n=len(first.score), of=first.of, note="one class only" if len(first.score) else "no cases")
    if first.label is None:
        return mean(np.mean([one.score for one in several], axis=0), first.patients, of=first.of)
    label, who, *scores = known(first.label, first.patients, *(one.score for one in several))
    statistics: list[Statistic] = [auc_statistic(label, score) for score in scores]

    def together(weights: Floats) -> Floats:
        total: Floats = np.mean([statistic(weights) for statistic in statistics], axis=0)
        return total

    return measure(float(np.mean(there)), together, who, of=first.of, positives=int((label > 0.5).sum()))


def _from_results(filled: Filled, column: Column) -> Tree:
    """Removal of blended lesions, whose pairs predictions.csv does not hold; an interval for one seed only."""
    metrics: dict[int, Tree] = {}
    for seed, results in filled.results.items():
        found: Any = results
        for key in column.path:
            found = found.get(key, {})
        metrics[seed] = found or Metric(None, note="evaluated before this was measured").to_dict()
    values = {seed: metric["value"] for seed, metric in metrics.items()}
    there = [one for one in values.values() if one is not None]
    first: Tree = next(iter(metrics.values()))
    if len(there) < len(values):
        lacking = next(metric for metric in metrics.values() if metric["value"] is None)
        return Metric(None, note=lacking.get("note")).to_dict()
    plain = first if len(there) == 1 else {**first, "ci": None, "ci_unit": None}
    return plain | {"value": float(np.mean(there)), "sd": _sd(there), "seeds": {str(s): v for s, v in values.items()}}


def paired_tests(filled: Sequence[Filled], target: Target) -> list[Tree]:
    """DisAsymNet against every other row, over whole patients, on the ensemble of the seeds that both rows have.

    Cells of the declared family that are not there yet count with p = 1: the corrected p can only fall. Rows outside
    the family have no corrected p.
    """
    ours = next((one for one in filled if one.line.row.name == OURS.name), None)
    if ours is None or not target.tested:
        return []
    made = [
        _test(ours, other, column)
        for other in filled
        if other is not ours and other.line.same_as != OURS.name
        for column in target.tested
    ]
    by_cell = {(one["row"], one["column"]): one for one in made}
    family = family_of(target)
    for name in ("p", "p_units"):
        every = [by_cell.get(each, {}).get(name) for each in family]
        adjusted = holm([1.0 if p is None else p for p in every])
        for each, raw, corrected in zip(family, every, adjusted, strict=True):
            if each in by_cell:
                by_cell[each][f"{name}_holm"] = None if raw is None else corrected
    for one in made:
        one["in_family"] = (one["row"], one["column"]) in family
    return made


def family_of(target: Target) -> list[tuple[str, str]]:
    """(row, column) of the declared family; cells whose row has no such head are not in it."""

    def exists(row: Row, column: Column) -> bool:
        return {ASYMMETRIC.key: row.asymmetry, ABNORMAL.key: row.sides}.get(column.key, True)

    return [(name, column.key) for name in target.family for column in target.tested if exists(KNOWN[name], column)]


def _test(ours: Filled, other: Filled, column: Column) -> Tree:
    tree: Tree = {"row": other.line.row.name, "label": other.line.row.label, "column": column.key}
    # An ensemble of three beats one of one whatever the method: both sides of a test take the seeds that both have.
    both = [seed for seed in ours.answers if seed in other.answers]
    first, second = ours.mean(column, both), other.mean(column, both)
    if isinstance(first, str) or isinstance(second, str):
        note = second if isinstance(second, str) else first
        return tree | {"difference": None, "p": None, "p_units": None, "note": note}
    if not first.same_units(second):
        return tree | {"difference": None, "p": None, "p_units": None, "note": "not the same units: nothing is paired"}
    result = paired(first, second)
    return tree | {
        "difference": result.difference.to_dict(),
        "p": result.p,
        "p_units": result.p_units,
        "units_test": "DeLong" if first.label is not None else "Wilcoxon",
        "seeds": {str(seed): _seed_p(ours.answers[seed], other.answers[seed], column) for seed in both},
    }


def paired(first: Scored, second: Scored) -> Paired:
    """The test that belongs to the column."""
    if first.label is None:
        return paired_mean(first.score, second.score, first.patients, of=first.of)
    return paired_auc(first.label, first.score, second.score, first.patients, of=first.of)


def _seed_p(ours: Answers, other: Answers, column: Column) -> Tree:
    """Difference and p over units of one seed against the same seed."""
    first, second = scored(column.key, ours), scored(column.key, other)
    if isinstance(first, str) or isinstance(second, str):
        return {"difference": None, "p_units": None}
    a, b = value(first), value(second)
    if first.label is not None:
        test = delong_test(first.label, first.score, second.score)
        p = None if test is None else test.p
    else:
        p = wilcoxon_p(first.score - second.score)
    return {"difference": None if a is None or b is None else a - b, "p_units": p}


def declared(target: Target) -> str:
    """What is settled beforehand about the tests of this table."""
    columns = " and ".join(column.label for column in target.tested)
    return (
        "Declared before training: the two-sided test over whole patients (5,000 bootstrap resamples of the paired"
        " difference) on the mean-logit ensemble of the seeds that both rows have, or on the mean over them of each"
        f" picture's value; corrected by Holm over {columns} of {', '.join(target.family)}, as far as a method has the"
        " head. The tests over units and of single seeds stand beside it and decide nothing."
    )
