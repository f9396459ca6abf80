"""The report: one HTML page that stands alone. No network, no script; every value is escaped."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from disasymnet.data.files import replace_file
from disasymnet.errors import CheckpointError, MissingExtraError
from disasymnet.metrics.classification import Roc, roc
from disasymnet.outputs.gallery import FULL_DIFFERENCE, read_gallery, scale_bar
from disasymnet.outputs.plots import roc_curves, series

Tree = dict[str, Any]
SCHEMA = 1

TILES = (
    ("Asymmetry", "AUC", ("asymmetry", "auc"), 3),
    ("Abnormality", "AUC, one row a side", ("abnormality", "auc"), 3),
    ("Side accuracy", "of pairs with one abnormal side", ("side_accuracy",), 3),
    ("Pointing", "largest difference lies in the lesion", ("pointing", "difference"), 3),
    ("Left inside lesions", "share of the error, 0 is best", ("reconstruction", "inside_ratio"), 3),
    ("Changed outside", "grey level, 0 is best", ("reconstruction", "outside_error"), 4),
)
MAP_NAMES = {"cam": "CAM", "x_ab": "abnormal part x_ab", "difference": "difference |x - x_n|"}
OVERLAPS = {
    "iou": "IoU",
    "dice": "Dice",
    "ior_ref": "share of lesion found",
    "ior_det": "share of marked area right",
    "tiou": "mean TIoU",
    "tior": "mean TIoR",
}
REMOVAL = (
    ("inside_ratio", "error inside the lesion, of the input's (mean of ratios)", 3),
    ("inside_ratio_pooled", "the same, ratio of the sums", 3),
    ("outside_error", "error outside the lesion, grey range 1", 4),
    ("black_holes", "lesion pixels more than 0.1 too dark", 3),
    ("contrast_removed", "share of the lesion's contrast removed", 3),
    ("removed_share", "lesions removed (ratio below 0.5)", 3),
    ("missed_share", "lesions missed (ratio above 0.9)", 3),
    ("psnr", "PSNR in the breast, dB", 1),
    ("ssim", "SSIM in the breast", 4),
)
SIGNS = (
    ("spread", "grey spread of x_n, of x's (collapse below 0.5)", 3),
    ("judged_normal", "mean p(abnormal) of x_n, normal sides", 3),
    ("judged_abnormal", "mean p(abnormal) of x_n, abnormal sides", 3),
    ("normal_change", "change of normal sides, grey level", 4),
    ("background", "x_n outside the breast, grey level", 4),
    ("cam_outside", "share of the CAM outside the breast", 3),
)


def report(run: Path, out: Path, split: str = "test", results: Path | None = None) -> str:
    """Write the page to `out` and give a line that names it.

    `results`: the folder that an evaluation was written to; None is RUN/evaluation/<split>. CheckpointError where
    there is none, MissingExtraError without jinja2 or matplotlib.
    """
    home = run.parent if run.name in ("best", "last") else run
    folder = results if results is not None else home / "evaluation" / split
    tree = _results(folder)
    page = _template().render(_context(tree, folder, home))
    replace_file(out, page.encode())
    return f"{out} ({out.stat().st_size / 1e6:.1f} MB, opens without a network)"


def _template() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError(
            "a report needs jinja2, which is not installed", hint="pip install 'disasymnet[train]'"
        ) from None
    source = (resources.files("disasymnet.outputs") / "report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    environment.filters["between"] = between
    environment.filters["word"] = lambda text: str(text).replace("_", " ")
    return environment.from_string(source)


def number(value: float | None, digits: int = 3) -> str:
    """The value with that many digits; a hyphen for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def between(ci: Sequence[float] | None, digits: int = 3) -> str:
    """`0.91 to 0.95`; empty for none."""
    return "" if ci is None else f"{ci[0]:.{digits}f} to {ci[1]:.{digits}f}"


def _results(folder: Path) -> Tree:
    try:
        tree: Tree = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            "there is no results.json here",
            where=folder,
            hint="Run disasymnet evaluate RUN --data CACHE first; --results names another folder.",
        ) from None
    except ValueError:
        raise CheckpointError("results.json is damaged", where=folder, hint="Run disasymnet evaluate again.") from None
    if tree.get("schema") != SCHEMA:
        raise CheckpointError(f"results.json has schema {tree.get('schema')}, not {SCHEMA}", where=folder)
    return tree


def _context(tree: Tree, folder: Path, home: Path) -> Tree:
    cam = tree["localisation"]["cam"]["threshold"]
    pairs, rule = read_gallery(folder, float(cam[0]["value"]) if cam else 0.5)
    log = _log(home)
    return {
        "r": tree,
        "tiles": [(name, about, _at(tree, path), digits) for name, about, path, digits in TILES],
        "roc": _image(_roc(folder)),
        "curves": _curves(log),
        "curves_of": log[1],
        "maps": MAP_NAMES,
        "overlaps": OVERLAPS,
        "removal": REMOVAL,
        "signs": SIGNS,
        "gallery": pairs,
        "rule": rule,
        "full_difference": FULL_DIFFERENCE,
        "bars": {"cam": scale_bar("cam"), "difference": scale_bar("difference")},
    }


def _at(tree: Tree, path: Sequence[str]) -> Any:
    found: Any = tree
    for key in path:
        found = found[key]
    return found


def _image(svg: str | None) -> str | None:
    return None if svg is None else "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _roc(folder: Path) -> str | None:
    """Both curves, from the table of predictions; None where neither has two classes."""
    try:
        with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        raise CheckpointError("predictions.csv is missing", where=folder, hint="Run evaluate again.") from None
    curves: dict[str, Roc] = {}
    for unit, name in (("pair", "asymmetric pair"), ("side", "abnormal side")):
        part = [row for row in rows if row["unit"] == unit and row["logit"]]
        label = [float(row["y"]) if row["y"] else np.nan for row in part]
        curve = roc(label, [float(row["logit"]) for row in part])
        if curve is not None:
            curves[name] = curve
    return roc_curves(curves) if curves else None


Log = tuple[list[Tree], str]


def _log(home: Path) -> Log:
    """The `epoch` events of the run, or of its first fold, and whose they are."""
    for path, name in ((home / "log.jsonl", "this run"), (home / "fold-0" / "log.jsonl", "fold 0")):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            events = [event for event in map(_event, lines) if event.get("event") == "epoch"]
            return events, name
    return [], ""


def _event(line: str) -> Tree:
    try:
        event = json.loads(line)
    except ValueError:
        return {}  # the last line of a run that was cut off
    return event if isinstance(event, dict) else {}


def _curves(log: Log) -> list[tuple[str, str]]:
    """(caption, picture) of losses and of validation figures by epoch; empty without a log."""
    events, _ = log
    pictures = []
    for key, caption, label, logarithmic in (
        ("losses", "Training losses, mean of each epoch", "loss", True),
        ("validation", "Validation figures", "value", False),
    ):
        lines = _lines(events, key)
        if logarithmic:
            lines = {name: [(x, y) for x, y in points if y > 0] for name, points in lines.items()}
        lines = {name: points for name, points in lines.items() if points}
        if lines:
            pictures.append((caption, str(_image(series(lines, label, log=logarithmic)))))
    return pictures


def _lines(events: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        for name, value in (event.get(key) or {}).items():
            if isinstance(value, (int, float)):
                lines.setdefault(name, []).append((float(event["epoch"]), float(value)))
    return lines
