"""From a run and a cache to RUN/evaluation/<split>/: results.json, predictions.csv, gallery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disasymnet.checkpoint import Checkpoint
from disasymnet.data.cache import Cache
from disasymnet.data.files import replace_file
from disasymnet.errors import CacheError
from disasymnet.evaluate import provenance, scores
from disasymnet.evaluate.cases import PHANTOM
from disasymnet.evaluate.forward import Kept, Seen, all_sides, cam_cut, look_at
from disasymnet.evaluate.parts import Part, parts_of
from disasymnet.evaluate.sides import Side
from disasymnet.evaluate.synthetic import SYNTHETIC, look_at_synthetic
from disasymnet.evaluate.tables import choose_gallery, write_gallery, write_predictions
from disasymnet.metrics.interval import RESAMPLES
from disasymnet.progress import Say

SCHEMA = 1
RESEARCH_USE = "Research use only. Not for diagnosis."


@dataclass(frozen=True)
class Evaluation:
    """All that was seen, before it becomes figures."""

    seen: list[Seen]
    cuts: scores.Cuts
    cam_cut: float
    synthetic: list[Side]
    warnings: list[str]


def evaluate(run: Path, cache: Cache | Path, split: str, out: Path | None, say: Say) -> dict[str, Any]:
    """The content of results.json, which is also written with predictions.csv and the gallery.

    `run`: a run, a checkpoint, or a run of k folds (fold-0 ...), whose test pairs are pooled, each predicted by the
    model that has not seen its woman. `split`: train, val, test, or `all` for another data set than the one trained
    on. `out`: None is RUN/evaluation/<split>. CheckpointError, CacheError where the two do not fit.
    """
    cache = Cache.open(cache) if isinstance(cache, Path) else cache
    warnings: list[str] = []
    parts = parts_of(run, cache, split, warnings)
    count = sum(len(part.ids) for part in parts)
    if not count:
        raise CacheError(f"split {split!r} of this cache holds no pair", where=cache.path)
    say(f"{count} pairs of {cache.dataset} ({split}), {len(parts)} model" + "s" * (len(parts) > 1))
    kept: dict[str, Kept] = {}
    found = _look(parts, cache, split, kept, warnings)
    say(f"intervals from {RESAMPLES} resamples of whole patients ...")
    results = _results(found, parts, cache, split, run)
    folder = out if out is not None else _home(run) / "evaluation" / split
    _write(folder, results, found, list(kept.values()), public=cache.manifest.public)
    for line in warnings:
        say(f"warning: {line}")
    return results


def _look(parts: Sequence[Part], cache: Cache, split: str, kept: dict[str, Kept], warnings: list[str]) -> Evaluation:
    ids = [name for part in parts for name in part.ids]
    wanted = choose_gallery([cache.pair(name) for name in ids])
    seen: list[Seen] = []
    synthetic: list[Side] = []
    phantom = any(cache.arrays(name).lesion_free is not None for name in ids)
    for part in parts:
        seen += look_at(part.checkpoint, cache, part.ids, keep=kept, wanted=set(wanted), fold=part.fold)
        if not phantom:
            synthetic += look_at_synthetic(part.checkpoint, cache, part.ids, warnings, fold=part.fold)
    ordered = {name: kept[name] for name in wanted if name in kept}
    kept.clear()
    kept.update(ordered)
    first = parts[0]
    if len(parts) > 1:
        cuts = scores.chosen_on_other_folds(all_sides(seen))
    elif split in ("test", "train") and not first.checkpoint.recipe.data.folds:
        shares = first.checkpoint.recipe.data.shares
        same = first.checkpoint.card.cache == cache.digest
        validation = cache.redrawn(shares).split("val") if same else []
        cuts = scores.chosen_on_validation(all_sides(look_at(first.checkpoint, cache, validation)))
    else:
        cuts = scores.chosen_on_validation([])
    unlabelled = sum(pair.label != pair.label for pair in seen)
    if unlabelled:
        warnings.append(f"{unlabelled} pairs without a label take no part in the asymmetry figures")
    return Evaluation(seen, cuts, cam_cut(first.checkpoint.recipe.model.cam), synthetic, warnings)


def _results(found: Evaluation, parts: Sequence[Part], cache: Cache, split: str, run: Path) -> dict[str, Any]:
    seen, sides = found.seen, list(all_sides(found.seen))
    phantom = any(side.removal is not None for side in sides)
    truth = PHANTOM if phantom else SYNTHETIC if found.synthetic else "no lesion-free truth is known"
    tree: dict[str, Any] = {
        "schema": SCHEMA,
        "use": RESEARCH_USE,
        "dataset": cache.dataset,
        "split": split,
        "n_pairs": len(seen),
        "counts": _counts(seen, sides),
        "weakly_supervised": not any(_knows_places(part.checkpoint, cache.dataset) for part in parts),
        "warnings": found.warnings,
    }
    tree |= scores.classification(seen)
    tree["pointing"] = scores.pointing(sides)
    tree["localisation"] = scores.localisation(sides, found.cuts, found.cam_cut)
    tree["reconstruction"] = scores.reconstruction(sides if phantom else found.synthetic, truth)
    tree["signatures"] = scores.signatures(sides)
    tree["strata"] = scores.strata(seen, found.cuts, found.cam_cut)
    if len(parts) > 1:
        tree["folds"] = {
            str(part.fold): scores.classification([p for p in seen if p.sides.right.fold == part.fold], outline=False)
            for part in parts
        }
    tree["rules"] = RULES
    tree["provenance"] = _provenance(parts, cache, run)
    plain: dict[str, Any] = scores.plain(tree)
    return plain


def _knows_places(model: Checkpoint, dataset: str) -> bool:
    """True where places of lesions of such data were learned from: as a detector, or through tumours cut out of it."""
    card = model.card
    # A card without `boxes` may be of a version that did not have them.
    return model.recipe.synthesis.same_source or dataset in card.boxes or f"detector of {dataset} " in card.start


def summary(results: dict[str, Any]) -> str:
    """The key figures as a few lines of text."""
    lines = [f"{results['dataset']}, {results['split']}: {results['n_pairs']} pairs"]
    figures = list(KEY_FIGURES)
    if results["asymmetry"]["auc"]["value"] is None:
        figures.insert(1, DERIVED)
    for name, path in figures:
        metric = results
        for key in path:
            metric = metric[key]
        lines.append(f"  {name:<34}{show(metric)}")
    return "\n".join(lines)


DERIVED = ("  derived, of max(p_r, p_l)", ("asymmetry", "auc_of_larger_side"))
KEY_FIGURES = (
    ("asymmetry AUC", ("asymmetry", "auc")),
    ("asymmetry AUC of outlines alone", ("asymmetry", "outline_auc")),
    ("abnormality AUC", ("abnormality", "auc")),
    ("side accuracy", ("side_accuracy",)),
    ("CAM maximum in the lesion", ("pointing", "cam")),
    ("difference maximum in the lesion", ("pointing", "difference")),
    ("error left inside lesions", ("reconstruction", "inside_ratio")),
    ("error outside lesions", ("reconstruction", "outside_error")),
    ("black holes", ("reconstruction", "black_holes")),
)


def show(metric: dict[str, Any]) -> str:
    """`0.912 (0.88 to 0.94), n = 300`, or NA with the reason."""
    if metric["value"] is None:
        return "NA (" + str(metric.get("note", "not measured")) + ")"
    ci = metric["ci"]
    between = "" if ci is None else f" ({ci[0]:.3f} to {ci[1]:.3f})"
    return f"{metric['value']:.3f}{between}, n = {metric['n']}"


RULES = {
    "abnormal": "a side with any finding, benign or malignant; not cancer",
    "asymmetric": "a pair with at least one abnormal side",
    "auc_of_larger_side, p_derived": "derived: the asymmetry score is max(p_r, p_l), not the answer of a head",
    "ci": "95 %, percentiles of 1000 bootstrap resamples of whole patients; ci_unit: of single units",
    "maps": "inside the breast; x_ab and |x - x_n| smoothed by a Gaussian of 1/128 of the height",
    "pointing": "share of sides with a marked lesion whose map is largest in it; ties by their share",
    "ior_det": "intersection over the marked area (HAM's code, and mean TIoR); ior_ref: over the lesion",
    "inside_ratio": "mean over sides of mean|x_n - truth| / mean|x - truth| in the lesion; _pooled: ratio of the sums",
    "outside_error": "mean|x_n - truth| in the breast farther than 2 pixels from the lesion, grey range 1",
    "black_holes": "share of lesion pixels more than 0.1 darker than the truth",
    "contrast_removed": "1 - amplitude of the lesion's own pattern that is left",
    "removed, missed": "lesions with inside ratio below 0.5, above 0.9",
    "outline_auc": "asymmetry AUC of a logistic regression on the two breast outlines alone, 5 folds by patient",
}


def _counts(seen: Sequence[Seen], sides: Sequence[Side]) -> dict[str, int]:
    return {
        "patients": len({pair.pair.patient for pair in seen}),
        "asymmetric_pairs": sum(pair.label == 1 for pair in seen),
        "symmetric_pairs": sum(pair.label == 0 for pair in seen),
        "abnormal_sides": sum(side.label == 1 for side in sides),
        "normal_sides": sum(side.label == 0 for side in sides),
        "sides_with_marked_lesion": sum(bool(side.maps) for side in sides),
    }


def _provenance(parts: Sequence[Part], cache: Cache, run: Path) -> dict[str, Any]:
    recipe = parts[0].checkpoint.recipe
    card = parts[0].checkpoint.card
    return {
        "run": run.resolve().name,
        "method": recipe.method,
        "recipe": [part.checkpoint.recipe.digest for part in parts],
        "weights": [part.checkpoint.card.weights[:12] for part in parts],
        "trained_on": {"dataset": card.dataset, "cache": card.cache, "epochs": card.epochs, "start": card.start},
        "cache": cache.digest,
        "grid": [cache.image.height, cache.image.width],
        "seeds": {"train": recipe.train.seed, "bootstrap": 0, "splits": cache.splits.seed},
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "command": provenance.command(),
    }


def _home(run: Path) -> Path:
    """The run's folder, also where one of its checkpoints was named."""
    return run.parent if run.name in ("best", "last") else run


def _write(folder: Path, results: dict[str, Any], found: Evaluation, kept: Sequence[Kept], *, public: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / "predictions.csv", found.seen, found.cuts)
    write_gallery(folder, kept, names=public)
    # Last: a folder with results is complete.
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    replace_file(folder / "results.json", text.encode())
