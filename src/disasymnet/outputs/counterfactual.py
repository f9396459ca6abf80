"""The counterfactual benchmark on disk: table (Markdown, CSV, JSON), every side, contact picture; or its inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from disasymnet.data.cache import Cache
from disasymnet.data.files import replace_file
from disasymnet.data.partners import NOTE as STRANGERS
from disasymnet.errors import CheckpointError
from disasymnet.evaluate import provenance
from disasymnet.evaluate.benchmark_table import write_long, write_markdown
from disasymnet.evaluate.cases import Cases
from disasymnet.evaluate.counterfactual import Found, Scored, Shown, benchmark
from disasymnet.evaluate.evaluation import RESEARCH_USE
from disasymnet.evaluate.judge import judge_of
from disasymnet.evaluate.parts import parts_of
from disasymnet.evaluate.rows import Row, of_pictures, of_run, picture_name
from disasymnet.evaluate.tables import write_csv
from disasymnet.outputs.gallery import FULL_DIFFERENCE, difference
from disasymnet.outputs.overlay import SYNTHETIC_NOTE, Rgb, contour, grey16, rgb8
from disasymnet.progress import Say

SCHEMA = 1
TALL = 192
"""Rows of a tile of the contact picture."""
_GAP, _TEXT, _LETTER = 4, 14, 6
_GROUND, _INK, _MARK = (24, 24, 24), (210, 210, 210), (120, 230, 210)


@dataclass(frozen=True)
class Request:
    """What the command was asked for; `runs` and `pictures` are NAME=FOLDER."""

    data: Path
    out: Path
    runs: Sequence[str] = ()
    pictures: Sequence[str] = ()
    judge: Path | None = None
    tumours: Path | None = None
    split: str = "test"
    export: bool = False


def counterfactual_to(request: Request, say: Say) -> str:
    """Run the benchmark, or with `export` write its inputs, and give a few lines about it.

    CheckpointError or CacheError where runs, judge and cache do not fit, PictureError where a given picture does not.
    """
    cache = Cache.open(request.data)
    warnings: list[str] = []
    named = [_named(text) for text in request.runs]
    if len({name for name, _ in named}) < len(named):
        raise CheckpointError("two runs have the same name", hint="Give each row a name of its own.")
    parts = {name: parts_of(run, cache, request.split, warnings) for name, run in named}
    ids = _same_ids({name: [each for part in found for each in part.ids] for name, found in parts.items()})
    if STRANGERS in warnings:
        raise CheckpointError(
            "a run learned from pairs of two women; this table asks about one woman's",
            hint="`disasymnet shortcuts` is the place for that control.",
        )
    if ids is None:
        ids = [pair.id for pair in cache.pairs] if request.split == "all" else cache.split(request.split)
    cases = Cases.of(cache, ids, request.tumours)
    if request.export:
        return _export(cases, request.out)
    rows = [of_run(name, found) for name, found in parts.items()]
    rows += [of_pictures(name, folder) for name, folder in map(_named, request.pictures)]
    judge = None if request.judge is None else judge_of(request.judge, cases, request.split, warnings)
    say(f"{len(cases.ids)} pairs of {cache.dataset} ({request.split}), {len(rows)} rows and four references")
    found = benchmark(cases, rows, judge)
    for line in warnings:
        say(f"warning: {line}")
    return _write(request.out, found, _head(cache, request, rows, warnings))


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise CheckpointError(f"{text!r} is not NAME=FOLDER", hint="For example --runs ours=out/run-0.")
    return name, Path(folder)


def _same_ids(ids: dict[str, list[str]]) -> list[str] | None:
    """The ids that all runs may be asked about, in the first one's order; None without a run."""
    if not ids:
        return None
    first, *others = ids
    for other in others:
        if set(ids[other]) != set(ids[first]):
            raise CheckpointError(
                f"{first} and {other} were not trained on the same split: they cannot be asked about the same pairs",
                hint="Give runs with the same data.shares or data.folds.",
            )
    return ids[first]


def _head(cache: Cache, request: Request, rows: Sequence[Row], warnings: Sequence[str]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "use": RESEARCH_USE,
        "dataset": cache.dataset,
        "split": request.split,
        "warnings": list(warnings),
        "provenance": {
            "cache": cache.digest,
            "grid": [cache.image.height, cache.image.width],
            "seeds": {"bootstrap": 0, "tumours": 0, "splits": cache.splits.seed},
            "runs": {row.name: row.about for row in rows},
            "commit": provenance.commit(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "command": provenance.command(),
        },
    }


def _write(out: Path, found: Found, head: dict[str, Any]) -> str:
    tree = head | found.results
    out.mkdir(parents=True, exist_ok=True)
    write_markdown(out / "counterfactual.md", tree)
    write_long(out / "counterfactual.csv", tree)
    _write_sides(out / "sides.csv", found.scored)
    replace_file(out / "contact.png", contact_picture(found.shown, list(tree["rows"])))
    # Last: a folder with this file is complete.
    replace_file(out / "counterfactual.json", (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode())
    lines = [f"{'error left inside lesions':<38}{'outside':<10}{'normals':<10}"]
    for name, row in tree["rows"].items():
        values = (row["removal"]["inside_ratio"], row["removal"]["outside_error"], row["normal_change"])
        inside, outside, normal = ("NA" if one["value"] is None else f"{one['value']:.4f}" for one in values)
        lines.append(f"  {name:<28.27}{inside:<8}{outside:<10}{normal:<10}")
    return "\n".join([*lines, f"{out / 'counterfactual.md'} holds the table. {RESEARCH_USE}"])


def _write_sides(path: Path, scored: dict[str, list[Scored]]) -> None:
    """One line a row and side: every figure and every paired test can be computed again from it."""
    columns = ["row", "pair", "patient", "side", "y", "kinds", "lesion_mm", "inside_ratio", "error_in", "error_before"]
    columns += ["outside_error", "psnr_in", "psnr_out", "ssim_in", "ssim_out", "contrast_removed", "black_holes"]
    columns += ["normal_change", "judge_logit", "p_of_own", "pointing_cam", "pointing_x_ab", "pointing_difference"]
    rows: list[dict[str, object]] = []
    for name, sides in scored.items():
        for one in sides:
            side, removal = one.side, one.side.removal
            facts = {"row": name, "pair": side.pair.id, "patient": side.patient, "side": side.laterality}
            known = {column: getattr(removal, column) for column in columns if hasattr(removal, column)}
            hits = {f"pointing_{key}": score.hit for key, score in side.maps.items()}
            seen = {"judge_logit": one.seen, "p_of_own": side.judged, "normal_change": side.change}
            kinds = {"y": side.label, "kinds": " ".join(sorted(side.kinds)), "lesion_mm": side.diameter_mm}
            rows.append({**facts, **kinds, **known, **seen, **hits})
    write_csv(path, columns, rows)


def _export(cases: Cases, out: Path) -> str:
    """Each side as 16-bit grey PNG with the mask of its breast: what another program needs to answer."""
    count = 0
    for group in cases.batches():
        for case in group:
            for side in (0, 1):
                replace_file(out / picture_name(case, side), grey16(case.image[side]))
                mask = rgb8(case.breast[side].astype(np.uint8) * 255)
                replace_file(out / picture_name(case, side, "-breast"), mask)
                count += 1
    return f"{out}: {count} pictures with the mask of each breast. Answer each with a grey PNG of the same name."


def contact_picture(shown: Sequence[Shown], rows: Sequence[str]) -> bytes:
    """PNG: a line a side; input, truth with the lesion outlined, and of each row x_n and the difference x - x_n.

    White is the 99.5 % point of the input for all pictures of a line; amber was taken out, blue put in, at full colour
    from 0.2 on. The right breast is mirrored back, as a radiologist hangs it.
    """
    heads = ["input", "truth"] + [text for name in rows for text in (name, "difference")]
    lines = [_tiles(one, rows) for one in shown]
    wide = max([*(tile.shape[1] for line in lines for tile in line), 96]) + _GAP
    tall = TALL + _GAP
    size = (wide * len(heads) + _GAP, _TEXT + (tall + _TEXT) * len(lines) + 2 * _TEXT)
    sheet = Image.new("RGB", size, _GROUND)
    pen = ImageDraw.Draw(sheet)
    for number, head in enumerate(heads):
        most = max(4, (wide - _GAP) // _LETTER)
        pen.text((_GAP + wide * number, 1), head if len(head) <= most else head[: most - 1] + "…", fill=_INK)
    for line, (one, tiles) in enumerate(zip(shown, lines, strict=True)):
        y = _TEXT + (tall + _TEXT) * line
        pen.text((_GAP, y), f"{one.name}, {'right' if one.laterality == 'R' else 'left'}", fill=_INK)
        for number, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (_GAP + wide * number, y + _TEXT))
    note = f"{SYNTHETIC_NOTE} Difference: amber taken out, blue put in, full colour from {FULL_DIFFERENCE} grey on."
    pen.text((_GAP, size[1] - 2 * _TEXT + 4), note, fill=_INK)
    return rgb8(np.asarray(sheet), SYNTHETIC_NOTE)


def _tiles(one: Shown, rows: Sequence[str]) -> list[Rgb]:
    white = max(float(np.percentile(one.image[one.breast], 99.5)) if one.breast.any() else 1.0, 0.05)

    def grey(picture: Any) -> Rgb:
        return _tile(np.repeat(np.clip(picture / white, 0, 1)[..., None] * 255, 3, -1), one)

    truth = grey(one.truth)
    marked = _tile(np.repeat(one.lesion[..., None] * 255.0, 3, -1), one)[..., 0] >= 128
    truth[contour(marked, 1)] = _MARK
    tiles = [grey(one.image), truth]
    for row in rows:
        normal = one.normal.get(row)
        if normal is None:
            tiles += [_empty(truth.shape)] * 2
        else:
            tiles += [grey(normal), _tile(difference(one.image.astype(np.float64) - normal), one)]
    return tiles


def _empty(shape: tuple[int, ...]) -> Rgb:
    picture = Image.new("RGB", (shape[1], shape[0]), (40, 40, 40))
    ImageDraw.Draw(picture).text((4, shape[0] // 2), "no x_n", fill=_INK)
    return np.array(picture)


def _tile(rgb: Any, one: Shown) -> Rgb:
    """(H, W, 3) in [0, 255] at TALL rows, the right breast mirrored back."""
    picture = Image.fromarray(np.round(rgb).astype(np.uint8))
    width = max(1, round(picture.width * TALL / picture.height))
    sized: Rgb = np.array(picture.resize((width, TALL), Image.Resampling.BILINEAR))
    return sized[:, ::-1].copy() if one.laterality == "R" else sized
