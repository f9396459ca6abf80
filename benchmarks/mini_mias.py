"""mini-MIAS, real: models against the pre-trained detector that has seen no mini-MIAS label.

    python benchmarks/mini_mias.py --data MIAS --bar TRUNK [TRUNK ...] --rows NAME=RUN[,RUN ...] [...]

TRUNKs come from `pretrain`; RUNs are trainings of k folds, or of another data set, one a seed, started from the TRUNK
in the same place. Every pair is judged by the fold that tests it; what a run answers is kept in RUN/answers.npz, so
that the runs themselves may be deleted. For each row: abnormal AUC, side accuracy in pairs with one abnormal side,
share of circles that hold the map's maximum, asymmetric AUC beside that of the breasts' outlines alone; singles (mean
over seeds) and the ensemble of seeds (mean logits, mean maps), each minus the bar with a paired interval over women.
Also without CALC, and by density. Writes results/mini-mias.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from disasymnet import checkpoint
from disasymnet.data.cache import Cache, CachedPair
from disasymnet.data.loader import collate
from disasymnet.evaluate.provenance import commit, machine
from disasymnet.evaluate.sides import grid_mm
from disasymnet.metrics.classification import auc_metric, auc_statistic, side_accuracy
from disasymnet.metrics.interval import mean, measure
from disasymnet.metrics.localisation import pointing
from disasymnet.metrics.outline import outline_auc
from disasymnet.networks.heads import enlarge
from disasymnet.terms import FindingKind
from disasymnet.training.detector import load_detector, zero_shot

Array = NDArray[np.float64]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass
class Answers:
    """What one model says of every pair, in the cache's order, right first."""

    side: Array  # (n, 2) logits
    pair: Array  # (n,) asymmetry
    maps: dict[str, NDArray[np.float32]]  # name -> (n, 2, H, W)


def of_detector(trunk: Path, cache: Cache, pooling: str) -> Answers:
    detector = load_detector(trunk)
    seen = zero_shot(detector, cache, [pair.id for pair in cache.pairs], device=DEVICE)
    side = (seen.highest if pooling == "max" else seen.log_sum_exp).astype(np.float64)
    flat = torch.from_numpy(seen.cells).flatten(0, 1)[:, None]
    drawn = enlarge(flat, seen.stride)[:, 0].view(len(cache.pairs), 2, *(s * seen.stride for s in seen.cells.shape[2:]))
    return Answers(side, side.max(1), {"cam": drawn.numpy()})


def of_run(run: Path, cache: Cache) -> Answers:
    """The run's answers, from RUN/answers.npz where they were kept before."""
    kept = run / "answers.npz"
    if not kept.is_file():
        np.savez_compressed(kept, cache=cache.digest, **answers_of(run, cache))
    with np.load(kept, allow_pickle=False) as found:
        if str(found["cache"]) != cache.digest:
            raise SystemExit(f"{kept} was made of another cache")
        answers = {name: found[name] for name in found.files}
    stride = cache.image.height // answers["cam"].shape[2]
    # Drawn from the cells, as the method does: a float32 logit map is all that the pictures hold.
    cells = torch.from_numpy(answers["cam"]).logit().flatten(0, 1)[:, None]
    size = (len(cache.pairs), 2, cache.image.height, cache.image.width)
    maps = {"cam": enlarge(cells, stride).sigmoid().view(size).numpy()}
    if "difference" in answers:
        maps["difference"] = answers["difference"]  # (n, 2, 2) row and column of the largest change
    return Answers(answers["side"], answers["pair"], maps)


def answers_of(run: Path, cache: Cache) -> dict[str, NDArray[Any]]:
    """Logits, the CAM at its cells, and where the largest change inside the breast lies."""
    n = len(cache.pairs)
    place = {pair.id: index for index, pair in enumerate(cache.pairs)}
    found: dict[str, NDArray[Any]] = {"side": np.full((n, 2), np.nan), "pair": np.full(n, np.nan)}
    for fold in sorted(run.glob("fold-*")) or [run]:
        one = checkpoint.load(fold / "last")
        one.method.eval().to(DEVICE)
        stride, folds = one.recipe.model.encoder.stride, one.recipe.data
        if not folds.folds and one.card.cache == cache.digest:
            raise SystemExit(f"{run} has learned from pairs of this cache and has no folds")
        ids = cache.split("test", folds.folds, folds.fold) if folds.folds else list(place)
        for first in range(0, len(ids), 8):
            batch = collate(cache, [cache.pair(name) for name in ids[first : first + 8]]).to(DEVICE)
            rows = [place[name] for name in batch.ids]
            with torch.inference_mode():
                out = one.method(batch.image, batch.breast)
            of_sides = {"side": out.side_logit, "cam": out.cam[:, 0, ::stride, ::stride]}
            if out.normal is not None:
                change = ((batch.image - out.normal).abs() * batch.breast).flatten(1).argmax(1)
                of_sides["difference"] = torch.stack([change // cache.image.width, change % cache.image.width], 1)
            for name, values in of_sides.items():
                stack = values.float().view(2, len(rows), *values.shape[1:]).transpose(0, 1).cpu().numpy()
                found.setdefault(name, np.zeros((n, *stack.shape[1:]), np.float32))[rows] = stack
            found["pair"][rows] = out.asymmetry_logit.cpu().numpy()
    if np.isnan(found["side"]).any():
        raise SystemExit(f"{run}: {int(np.isnan(found['side']).any(1).sum())} pairs are tested by no fold")
    return found


def together(answers: list[Answers]) -> Answers:
    return Answers(
        np.mean([one.side for one in answers], axis=0),
        np.mean([one.pair for one in answers], axis=0),
        # Places of maxima have no mean; only whole maps do.
        {
            name: np.mean([one.maps[name] for one in answers], 0)
            for name, maps in answers[0].maps.items()
            if maps.ndim == 4
        },
    )


class Judge:
    """The figures of one set of pairs."""

    def __init__(self, cache: Cache, chosen: list[int]) -> None:
        self.cache, self.chosen = cache, chosen
        pairs = [cache.pairs[index] for index in chosen]
        self.truth = np.array([[float(bool(label)) for label in pair.abnormal] for pair in pairs])
        self.women = [pair.patient for pair in pairs]
        self.women_of_sides = [woman for woman in self.women for _ in range(2)]

    def hits(self, answers: Answers, name: str) -> tuple[Array, list[str]]:
        """One row a side with usable circles: does the map's maximum lie in one."""
        found, women = [], []
        for index, woman in zip(self.chosen, self.women, strict=True):
            arrays = self.cache.arrays(self.cache.pairs[index].id)
            for side in (0, 1):
                if arrays.lesion[side].any():
                    heat, lesion = answers.maps[name][index, side], arrays.lesion[side].astype(bool)
                    if heat.ndim == 1:  # only the maximum's place is known
                        found.append(float(lesion[tuple(heat.astype(int))]))
                    else:
                        found.append(pointing(heat, lesion, arrays.breast[side].astype(bool)))
                    women.append(woman)
        return np.array(found), women

    def figures(self, answers: Answers) -> dict[str, Any]:
        side, truth = answers.side[self.chosen], self.truth
        result = {
            "abnormality_auc": auc_metric(truth.ravel(), side.ravel(), self.women_of_sides, of="side"),
            "asymmetry_auc": auc_metric(truth.max(1), answers.pair[self.chosen], self.women, of="pair"),
            "side_accuracy": self.side_accuracy(answers),
        }
        for name in answers.maps:
            hits, women = self.hits(answers, name)
            result[f"pointing_{name}"] = mean(hits, women, of="side with a circle")
        return {name: metric.to_dict() for name, metric in result.items()}

    def side_accuracy(self, answers: Answers) -> Any:
        side, truth = answers.side[self.chosen], self.truth
        return side_accuracy((truth[:, 0], side[:, 0]), (truth[:, 1], side[:, 1]), self.women)

    def ahead(self, ones: list[Answers], bars: list[Answers], best_map: str) -> dict[str, Any]:
        """Mean over seeds of each of `ones` minus the one of `bars` in its place, paired, resampled by woman."""
        truth, couples = self.truth, list(zip(ones, bars, strict=True))
        single = truth.sum(1) == 1
        statistics = [
            tuple(auc_statistic(truth.ravel(), model.side[self.chosen].ravel()) for model in couple)
            for couple in couples
        ]

        def auc_ahead(weights: Array) -> Array:
            return np.mean([one(weights) - bar(weights) for one, bar in statistics], axis=0)

        def right(model: Answers) -> Array:
            side = model.side[self.chosen]
            return 0.5 + 0.5 * np.sign((side[:, 0] - side[:, 1]) * (truth[:, 0] - truth[:, 1]))

        women = [woman for woman, yes in zip(self.women, single, strict=True) if yes]
        sides = np.mean([(right(one) - right(bar))[single] for one, bar in couples], axis=0)
        with_circle = self.hits(bars[0], "cam")[1]
        hits = np.mean([self.hits(one, best_map)[0] - self.hits(bar, "cam")[0] for one, bar in couples], axis=0)
        value = float(auc_ahead(np.ones((1, truth.size)))[0])
        return {
            "abnormality_auc": measure(value, auc_ahead, self.women_of_sides, of="side").to_dict(),
            "side_accuracy": mean(sides, women, of="pair with one abnormal side").to_dict(),
            f"pointing_{best_map}": mean(hits, with_circle, of="side with a circle").to_dict(),
        }


def has_calc(pair: CachedPair) -> bool:
    return any(finding.kind is FindingKind.CALCIFICATION for side in pair.findings for finding in side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bar", type=Path, nargs="+", required=True)
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/mini-mias.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cache = Cache.open(options.data)
    everyone = list(range(len(cache.pairs)))
    subsets = {"all": everyone, "without CALC": [i for i in everyone if not has_calc(cache.pairs[i])]}
    for density in sorted({pair.density or "" for pair in cache.pairs}):
        subsets[f"density {density}"] = [i for i in everyone if cache.pairs[i].density == density]
    judges = {name: Judge(cache, chosen) for name, chosen in subsets.items()}

    rows: dict[str, list[Answers]] = {
        f"detector, {pooling}": [of_detector(trunk, cache, pooling) for trunk in options.bar]
        for pooling in ("max", "lse")
    }
    bars = rows["detector, max"]
    for text in options.rows:
        name, _, runs = text.partition("=")
        rows[name] = [of_run(Path(run), cache) for run in runs.split(",")]

    masks = np.stack([cache.arrays(pair.id).breast for pair in cache.pairs])
    scale = [grid_mm(pair, cache.image.height) for pair in cache.pairs]
    truth = judges["all"].truth.max(1)
    outline = outline_auc(masks, scale, truth, judges["all"].women)
    result: dict[str, Any] = {
        "command": "python benchmarks/mini_mias.py " + " ".join(word.split("/")[-1] for word in sys.argv[1:]),
        "commit": commit(),
        "machine": machine(),
        "n_pairs": len(cache.pairs),
        "image": cache.image.model_dump(),
        "outline_asymmetry_auc": outline.to_dict() if hasattr(outline, "to_dict") else outline,
        "rows": {},
    }
    for name, answers in rows.items():
        row: dict[str, Any] = {"seeds": len(answers), "single": [], "subsets": {}}
        for number, one in enumerate(answers):
            entry = judges["all"].figures(one)
            if name not in ("detector, max", "detector, lse") and number < len(bars):
                entry["ahead_of_bar"] = {m: judges["all"].ahead([one], [bars[number]], m) for m in one.maps}
            row["single"].append(entry)
        whole = together(answers)
        row["ensemble"] = judges["all"].figures(whole)
        if name not in ("detector, max", "detector, lse") and len(answers) == len(bars):
            row["mean_ahead_of_bar"] = {m: judges["all"].ahead(answers, bars, m) for m in answers[0].maps}
            row["ensemble_ahead_of_bar"] = {m: judges["all"].ahead([whole], [together(bars)], m) for m in whole.maps}
        for subset, judge in judges.items():
            if subset != "all":
                row["subsets"][subset] = judge.figures(whole)
        result["rows"][name] = row
        print(name)
        for key in row["ensemble"]:
            singles = [entry[key]["value"] for entry in row["single"]]
            print(f"  {key:22} single {np.mean(singles):.3f}  ensemble {row['ensemble'][key]['value']:.3f}", flush=True)
        for kind in ("mean_ahead_of_bar", "ensemble_ahead_of_bar"):
            for key, metric in row.get(kind, {}).get("cam", {}).items():
                low, high = metric["ci"]
                print(f"  {kind:22} {key:16} {metric['value']:+.3f} ({low:+.3f} to {high:+.3f})", flush=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
