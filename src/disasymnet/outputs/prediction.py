"""A prediction as files: prediction.json, and of each side the heat map, the symmetric and the abnormal picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from disasymnet import __version__
from disasymnet.data.files import replace_file
from disasymnet.data.listing import cause
from disasymnet.errors import PairingError, printable
from disasymnet.evaluate.forward import cam_cut
from disasymnet.evaluate.tables import write_csv
from disasymnet.outputs.overlay import NOTE, SYNTHETIC_NOTE, grey16, heat_map, rgb8
from disasymnet.predict import Model, Prediction, SidePrediction, predict_folder
from disasymnet.progress import Say
from disasymnet.records import Rejected

SCHEMA = 1


def save(prediction: Prediction, out: Path, *, level: float = 0.5) -> Path:
    """Write the files into `out` and give the path of prediction.json; `level` is where the contour is drawn.

    Pictures have the pixels of the files that were asked about: side-heatmap.png (8-bit colour),
    side-normal-synthetic.png and side-abnormal-part.png (16-bit grey), where the method makes them.
    """
    for name, side in zip(("right", "left"), prediction.sides, strict=True):
        replace_file(out / f"{name}-heatmap.png", rgb8(heat_map(side.pixels, side.cam, level)))
        if side.normal is not None:
            replace_file(out / f"{name}-normal-synthetic.png", grey16(side.normal, SYNTHETIC_NOTE))
        if side.abnormal_part is not None:
            replace_file(out / f"{name}-abnormal-part.png", grey16(side.abnormal_part, SYNTHETIC_NOTE))
    # Last: a folder with this file is complete.
    text = json.dumps(to_dict(prediction), indent=1, allow_nan=False) + "\n"
    replace_file(out / "prediction.json", text.encode())
    return out / "prediction.json"


def to_dict(prediction: Prediction) -> dict[str, Any]:
    """The JSON form: scores, warnings, what was asked by whom of which model; no name, no path."""
    card = prediction.card
    return {
        "schema": SCHEMA,
        "use": NOTE,
        "asymmetry": prediction.asymmetry,
        "right": _side(prediction.right),
        "left": _side(prediction.left),
        "mode": "strict" if prediction.strict else "lenient",
        "view": None if prediction.view is None else prediction.view.value,
        "scores": "in [0, 1], for ranking; not calibrated, no threshold implied. Abnormal: any finding, benign or not.",
        "warnings": list(prediction.warnings),
        "model": {
            "method": card.method,
            "recipe": card.recipe,
            "weights": card.weights,
            "trained_on": card.dataset,
            "grid": [card.height, card.width],
        },
        "program": f"disasymnet {__version__}",
    }


def _side(side: SidePrediction) -> dict[str, Any]:
    row, column = np.unravel_index(int(side.cam.argmax()), side.cam.shape)
    rows, columns = side.pixels.shape
    return {
        "abnormality": side.abnormality,
        "cam_maximum": {"value": float(side.cam.max()), "x": int(column), "y": int(row)},
        "changed": None if side.normal is None else float(np.abs(side.pixels - side.normal)[side.breast].mean()),
        "breast_share": float(side.breast.mean()),
        "rows": rows,
        "columns": columns,
        "stated_by": {"laterality": side.laterality_from, "view": side.view_from},
        "grey_steps": [asdict(step) for step in side.steps],
        "sha256": side.sha256,
    }


def predict_to(pictures: Sequence[Path], run: Path, out: Path, say: Say, *, strict: bool = False) -> str:
    """Answer two files (right, left) or every pair of one folder, write the answers below `out`, give a summary.

    PairingError for one file alone, for two that make no pair, and for a folder without one; `strict` as for
    `Model.predict`.
    """
    model = Model.load(run)
    level = cam_cut(model.checkpoint.recipe.model.cam)
    if len(pictures) == 1 and pictures[0].is_dir():
        return _folder(model, pictures[0], out, say, strict=strict)
    if len(pictures) != 2:
        raise PairingError(
            f"{len(pictures)} files given",
            hint="Give two files, RIGHT LEFT, or one folder.",
        )
    prediction = model.predict(pictures[0], pictures[1], strict=strict)
    save(prediction, out, level=level)
    return f"{prediction.summary()}\n{out / 'prediction.json'}"


def _folder(model: Model, folder: Path, out: Path, say: Say, *, strict: bool) -> str:
    answers, rejected = predict_folder(model, folder, strict=strict)
    level = cam_cut(model.checkpoint.recipe.model.cam)
    rows: list[dict[str, object]] = []
    for number, (pair, prediction) in enumerate(answers, 1):
        name = f"{number:04d}-{pair.view}"
        save(prediction, out / name, level=level)
        say(f"{name}: {printable(pair.pictures.right.path.name)} and {printable(pair.pictures.left.path.name)}")
        rows.append(
            {
                "folder": name,
                "asymmetry": prediction.asymmetry,
                "right": prediction.right.abnormality,
                "left": prediction.left.abnormality,
                "warnings": len(prediction.warnings),
                "right_sha256": prediction.right.sha256,
                "left_sha256": prediction.left.sha256,
            }
        )
    if not rows:
        first = cause(rejected)
        raise PairingError(f"no pair could be answered: {first.reason}", where=first.path, hint=first.hint)
    columns = ["folder", "asymmetry", "right", "left", "warnings", "right_sha256", "left_sha256"]
    write_csv(out / "predictions.csv", columns, rows)
    return "\n".join([f"{len(rows)} pairs answered: {out / 'predictions.csv'}", *_left_out(rejected, folder)])


def _left_out(rejected: Sequence[Rejected], folder: Path) -> list[str]:
    names = [printable(entry.path.relative_to(folder).as_posix()) for entry in rejected]
    lines = [f"  {name}: {entry.reason}. {entry.hint}".rstrip() for name, entry in zip(names, rejected, strict=True)]
    return [f"{len(rejected)} files left out:", *lines] if rejected else []
