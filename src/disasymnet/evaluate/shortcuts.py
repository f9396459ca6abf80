"""Shortcut checks: does a run look at the tissue, at the right breast, and at both sides? Needs no further labels.

A network may score well by what is alike on both sides of a woman (scanner, density, age), by the outline of the
breast, or by markers in the air; and a method that should compare sides may look at one alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from disasymnet.data.cache import Cache
from disasymnet.data.files import replace_file
from disasymnet.data.partners import NOTE, with_strangers
from disasymnet.errors import CacheError
from disasymnet.evaluate import provenance, scores
from disasymnet.evaluate.benchmark_table import cell
from disasymnet.evaluate.evaluation import RESEARCH_USE
from disasymnet.evaluate.parts import Part, parts_of
from disasymnet.evaluate.probes import Answers, ask, only_air, only_outline
from disasymnet.metrics.classification import auc_difference, auc_metric, side_accuracy
from disasymnet.metrics.interval import Floats, Metric, mean
from disasymnet.metrics.outline import blank_auc, outline_auc
from disasymnet.progress import Say

SCHEMA = 1
CHANCE = 0.5
HARMLESS = 0.6
"""Blanked pictures are called harmless where the whole interval of their AUC lies below."""
USEFUL = 0.02
"""A fall of the AUC beside strangers that would matter; whether a smaller one is there is left open."""
EVEN = 1e-3
"""Share of the CAM by which a uniform map may miss the picture's own share of air."""
SAME_ANSWER = 1e-4
"""Mean change of p(abnormal) under which a method does not see the other side at all."""
NO_SIDE, NO_PAIR = "this method has no side head", "this method has no asymmetry head"


@dataclass(frozen=True)
class Check:
    """One question with its figures and the answer in plain words, which begins with NA where none can be had."""

    question: str
    figures: dict[str, Metric]
    verdict: str


def shortcuts(run: Path, data: Path, out: Path, say: Say, split: str = "test") -> str:
    """Write shortcuts.json and shortcuts.md to `out` and give the verdicts as text.

    CheckpointError, CacheError where run, cache and split do not fit.
    """
    cache = Cache.open(data)
    warnings: list[str] = []
    parts = parts_of(run, cache, split, warnings)
    warnings = [line for line in warnings if line != NOTE]  # here each pair is the woman's own unless said otherwise
    if not any(part.ids for part in parts):
        raise CacheError(f"split {split!r} of this cache holds no pair", where=cache.path)
    say(f"{sum(len(part.ids) for part in parts)} pairs of {cache.dataset} ({split}), asked four times each")
    tree = {
        "schema": SCHEMA,
        "use": RESEARCH_USE,
        "dataset": cache.dataset,
        "split": split,
        "n_pairs": sum(len(part.ids) for part in parts),
        "checks": {name: vars(check) for name, check in checks(parts, cache, warnings).items()},
        "warnings": warnings,
        "provenance": {
            "run": run.resolve().name,
            "method": parts[0].checkpoint.recipe.method,
            "weights": [part.checkpoint.card.weights[:12] for part in parts],
            "cache": cache.digest,
            "commit": provenance.commit(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "command": provenance.command(),
        },
    }
    plain: dict[str, Any] = scores.plain(tree)
    for line in warnings:
        say(f"warning: {line}")
    replace_file(out / "shortcuts.md", _markdown(plain).encode())
    replace_file(out / "shortcuts.json", (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())
    lines = [f"{name.replace('_', ' ')}: {check['verdict']}" for name, check in plain["checks"].items()]
    return "\n".join([*lines, RESEARCH_USE])


def checks(parts: list[Part], cache: Cache, warnings: list[str]) -> dict[str, Check]:
    """All five, in the order of the page."""
    plain = ask(parts, cache)
    shapes, who = _outlines(cache, plain), plain.patients
    return {
        "within_pairs": within_pairs(plain),
        "only_air": blanked(
            plain,
            ask(parts, cache, only_air),
            AIR,
            "outline, mean grey and air",
            (
                "abnormality",
                "outline and mean grey",
                blank_auc(*shapes, _mean_grey(cache, plain), plain.side_label, who),
            ),
        ),
        "only_outline": blanked(
            plain,
            ask(parts, cache, only_outline),
            OUTLINE,
            "the outline",
            ("asymmetry", "outlines", outline_auc(*shapes, plain.label, who)),
        ),
        "partners": partners(plain, *_strangers(parts, cache, warnings)),
        "cam_outside": cam_outside(plain),
    }


AIR = "What does it say when each breast is blanked to its mean grey, with outline and air kept?"
OUTLINE = "What does it say when nothing but the outline is left (breast 0.5, air 0)?"


def within_pairs(plain: Answers) -> Check:
    """Pairs with one abnormal side, where no cue of the whole exam can help."""
    accuracy, abnormal = _side_accuracy(plain), _side_auc(plain)
    figures = {"side_accuracy": accuracy, "abnormality_auc": abnormal, "asymmetry_auc": _pair_auc(plain)}
    question = "In pairs with one abnormal side, does that side score higher? Nothing that both sides share can help."
    if accuracy.value is None or accuracy.ci is None:
        return Check(question, figures, _na(accuracy))
    if accuracy.ci[0] > CHANCE:
        verdict = f"Yes, in {accuracy.value:.0%} of pairs: it tells the sides of one woman apart."
    elif abnormal.value is not None and abnormal.ci is not None and abnormal.ci[0] > CHANCE:
        said = f"abnormal AUC is {abnormal.value:.2f}, within a woman it is right in {accuracy.value:.0%} of pairs"
        if accuracy.ci[1] < abnormal.value:  # tissue alone would tell sides apart within a woman as it does across
            verdict = f"SHORTCUT: {said}, no better than chance: the score rests on what both sides share."
        else:
            verdict = f"Undecided: {said}: too few to tell that from chance, or from the AUC."
    else:
        verdict = "Undecided: neither across women nor within one does it do better than chance."
    return Check(question, figures, verdict)


def blanked(
    plain: Answers, blank: Answers, question: str, left: str, fitted: tuple[str, str, Metric] | None = None
) -> Check:
    """The run on pictures without tissue: what AUC remains is no answer about tissue.

    The verdict reads the two AUCs, not the side accuracy: with each further interval, chance alone would raise the
    alarm more often. `fitted`: task, from what, and what a regression that is taught just that reaches: a run that has
    learned from tissue may leave a cue unused.
    """
    named = {"abnormality_auc": _side_auc, "asymmetry_auc": _pair_auc}
    figures = {name: measure(blank) for name, measure in named.items()}
    figures |= {f"{name}_as_it_is": measure(plain) for name, measure in named.items()}
    figures["side_accuracy"] = _side_accuracy(blank)
    if fitted is not None:
        figures[f"fitted_{fitted[0]}_auc"] = fitted[2]
    known = {name: ci for name in named if (ci := figures[name].ci) is not None}
    if not known:
        return Check(question, figures, _na(figures["asymmetry_auc"]))
    above = [f"{name.replace('_', ' ')} {figures[name].value:.2f}" for name, ci in known.items() if ci[0] > CHANCE]
    if above:
        verdict = f"SHORTCUT: from {left} alone it still reaches {' and '.join(above)}, above chance."
    elif all(ci[1] < HARMLESS for ci in known.values()):
        verdict = f"No sign of one: from {left} alone this run does no better than chance."
    else:
        verdict = (
            f"Undecided: from {left} alone it is not above chance, but an interval reaches {HARMLESS}: too few pairs."
        )
    if fitted is not None:
        task, taught, reached = fitted
        if reached.ci is not None and reached.ci[0] > CHANCE:
            verdict += f" A regression taught {taught} alone reaches {reached.value:.2f}: read {task} AUCs beside it."
    return Check(question, figures, verdict)


def partners(plain: Answers, mixed: Answers, left: list[int], patients: list[str]) -> Check:
    """Each right breast beside another woman's left: the sides stay the same, only their partner is another.

    `left[i]`: the pair whose left side pair i of `mixed` shows; `patients`: the woman of each.
    """
    question = (
        "Does the other side matter? Each breast is asked about beside its own partner, then beside a stranger's."
    )
    figures = {"asymmetry_auc_own": _pair_auc(plain), "asymmetry_auc_strangers": _pair_auc(mixed)}
    if plain.side is None or mixed.side is None:
        missing = Metric(None, of="side", note=NO_SIDE)
        before, after = (metric.value for metric in figures.values())
        said = "" if before is None or after is None else f" Its asymmetry AUC goes from {before:.2f} to {after:.2f}."
        figures |= {"abnormality_auc_own": missing, "abnormality_auc_strangers": missing, "fall": missing}
        return Check(question, figures, f"NA: {NO_SIDE}, and pairs of strangers have other labels.{said}")
    # The same sides twice: all right ones, then all left ones in the order that strangers show them.
    label = np.r_[plain.side_label[:, 0], plain.side_label[left, 1]]
    own, strange = np.r_[plain.side[:, 0], plain.side[left, 1]], mixed.side.T.ravel()
    who = [*plain.patients, *patients]
    figures |= {
        "abnormality_auc_own": auc_metric(label, own, who, of="side"),
        "abnormality_auc_strangers": auc_metric(label, strange, who, of="side"),
        "fall": auc_difference(label, own, strange, who, of="side"),
        "change": mean(np.abs(_probability(own) - _probability(strange)), who, of="side"),
    }
    change, fall = figures["change"].value or 0.0, figures["fall"]
    if change < SAME_ANSWER:
        verdict = "NO: its answers about a side do not change at all. It looks at one breast alone."
    elif fall.value is None or fall.ci is None:
        verdict = _na(fall)
    elif fall.ci[0] > 0:
        verdict = f"Yes: beside a stranger its abnormal AUC falls by {fall.value:.3f}, more than chance explains."
    elif fall.ci[1] >= USEFUL:
        verdict = (
            f"Undecided: p(abnormal) moves by {change:.3f} beside a stranger, its abnormal AUC falls by "
            f"{fall.value:.3f} ({fall.ci[0]:.3f} to {fall.ci[1]:.3f}): too few pairs to tell that from none."
        )
    else:
        verdict = (
            f"NO USE: p(abnormal) moves by {change:.3f} beside a stranger, but its abnormal AUC does not fall "
            f"({fall.value:+.3f}): what it takes from the other side does not help it."
        )
    return Check(question, figures, verdict)


def cam_outside(plain: Answers) -> Check:
    """The CAM is not cut by the breast before: mass in the air tells of markers, edges or misplaced cells."""
    who = [patient for patient in plain.patients for _ in range(2)]
    share, air = plain.cam_outside.ravel(), plain.air.ravel()
    figures = {
        "share": mean(share, who, of="side"),
        "uniform_map": mean(np.where(np.isnan(share), np.nan, air), who, of="side"),
        "excess": mean(share - air, who, of="side"),
    }
    question = "How much of the CAM lies outside the breast, beside what a uniform map would have there?"
    excess = figures["excess"]
    if excess.value is None or excess.ci is None:
        return Check(question, figures, "NA: " + (excess.note or "every CAM is empty") + ".")
    said = f"{figures['share'].value:.0%} of the CAM lies outside, of a uniform map {figures['uniform_map'].value:.0%}"
    if excess.ci[1] < 0:
        return Check(question, figures, f"No sign of one: {said}.")
    if excess.ci[0] < -EVEN:
        return Check(
            question, figures, f"Undecided: {said}, and the interval of the difference holds 0: too few sides."
        )
    return Check(question, figures, f"SHORTCUT: {said}; it does not prefer the breast to the air.")


def _strangers(parts: list[Part], cache: Cache, warnings: list[str]) -> tuple[Answers, list[int], list[str]]:
    """Answers beside strangers of the same part, the place of each shown left side, and its woman."""
    answers: list[Answers] = []
    left: list[str] = []
    for part in parts:
        mixed, notes = with_strangers(cache, part.ids)
        warnings += [note for note in notes if note != NOTE]
        answers.append(ask([part], mixed))
        left += [mixed.left_of(name) for name in part.ids]
    place = {name: number for number, name in enumerate(name for part in parts for name in part.ids)}
    return _joined(answers), [place[name] for name in left], [cache.pair(name).patient for name in left]


def _joined(answers: list[Answers]) -> Answers:
    def all_of(value: Callable[[Answers], Floats | None]) -> Floats | None:
        found = [each for each in map(value, answers) if each is not None]
        return np.concatenate(found) if len(found) == len(answers) else None

    first = answers[0]
    if len(answers) == 1:
        return first
    return Answers(
        ids=[name for each in answers for name in each.ids],
        patients=[name for each in answers for name in each.patients],
        side_label=np.concatenate([each.side_label for each in answers]),
        label=np.concatenate([each.label for each in answers]),
        side=all_of(lambda each: each.side),
        pair=all_of(lambda each: each.pair),
        cam_outside=np.concatenate([each.cam_outside for each in answers]),
        air=np.concatenate([each.air for each in answers]),
    )


def _side_auc(answers: Answers) -> Metric:
    if answers.side is None:
        return Metric(None, n=answers.side_label.size, of="side", note=NO_SIDE)
    who = [patient for patient in answers.patients for _ in range(2)]
    return auc_metric(answers.side_label.ravel(), answers.side.ravel(), who, of="side")


def _pair_auc(answers: Answers) -> Metric:
    if answers.pair is None:
        return Metric(None, n=len(answers.ids), of="pair", note=NO_PAIR)
    return auc_metric(answers.label, answers.pair, answers.patients, of="pair")


def _side_accuracy(answers: Answers) -> Metric:
    if answers.side is None:
        return Metric(None, n=len(answers.ids), of="pair with one abnormal side", note=NO_SIDE)
    right, left = ((answers.side_label[:, side], answers.side[:, side]) for side in (0, 1))
    return side_accuracy(right, left, answers.patients)


def _outlines(cache: Cache, plain: Answers) -> tuple[npt.NDArray[Any], list[float]]:
    """Masks (n, 2, about 64, w) and the scale, as `metrics.outline` wants them."""
    step = max(1, cache.image.height // 64)
    shapes = np.stack([cache.arrays(name).breast[:, ::step, ::step] for name in plain.ids])
    scale = [cache.pair(name).geometry.right.step[0] for name in plain.ids]
    return shapes, scale


def _mean_grey(cache: Cache, plain: Answers) -> Floats:
    """(n, 2) mean grey of each breast; 0 where there is none."""

    def of(name: str) -> list[float]:
        arrays = cache.arrays(name)
        return [
            float(image[where].mean()) / 65535 if where.any() else 0.0
            for image, where in zip(arrays.image, arrays.breast.astype(bool), strict=True)
        ]

    return np.array([of(name) for name in plain.ids])


def _probability(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logit, -500, 500)))


def _na(metric: Metric) -> str:
    return f"NA: {metric.note or 'too few cases for an interval'}."


def _markdown(tree: dict[str, Any]) -> str:
    lines = [
        f"# Shortcut checks: {tree['provenance']['run']} on {tree['dataset']}, {tree['split']}",
        "",
        f"{tree['use']} {tree['n_pairs']} pairs; in brackets 95 % intervals over whole women.",
    ]
    for name, check in tree["checks"].items():
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", "", check["question"], "", "| figure | value | n |"]
        lines.append("|---|---|---|")
        for figure, metric in check["figures"].items():
            note = f"NA ({metric['note']})" if metric["value"] is None and "note" in metric else cell(metric)
            lines.append(f"| {figure.replace('_', ' ')} | {note} | {metric['n']} ({metric['of']}) |")
        lines += ["", f"**{check['verdict']}**"]
    lines += ["", *(f"Warning: {text}" for text in tree["warnings"])]
    return "\n".join(lines) + "\n"
