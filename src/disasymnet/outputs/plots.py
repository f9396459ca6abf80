"""Curves for the report, as SVG text that needs no network and looks the same on each run."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from disasymnet.errors import MissingExtraError
from disasymnet.metrics.classification import Roc

INK, PAPER, RULE = "#23282e", "#ffffff", "#c9c5bd"
COLOURS = ("#1f5f74", "#c2571a", "#6b4e8f", "#3f7d4e", "#a33b4a", "#8a7322", "#4a5568")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
"""Lines differ by dash as well as by colour."""


def roc_curves(curves: Mapping[str, Roc]) -> str:
    """The curves in one square with the diagonal of chance."""
    figure = _figure(4.4, 4.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    for number, (name, curve) in enumerate(curves.items()):
        axes.plot(curve.false_positive, curve.true_positive, **_line(number), label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    axes.set_xlabel("false positive share")
    axes.set_ylabel("true positive share")
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    return _svg(figure, axes)


def series(lines: Mapping[str, Sequence[tuple[float, float]]], label: str, *, log: bool = False) -> str:
    """(epoch, value) lines over epochs; `log`: a logarithmic axis."""
    figure = _figure(5.4, 3.4)
    axes = figure.subplots()
    for number, (name, points) in enumerate(lines.items()):
        few = len(points) < 3
        axes.plot(*zip(*points, strict=True), **_line(number), label=name, marker="o" if few else None, markersize=3)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    if log:
        axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return _svg(figure, axes)


@dataclass(frozen=True)
class Point:
    """A value at x, with its interval and the values of the seeds behind it."""

    x: float
    y: float
    ci: Sequence[float] | None = None
    seeds: tuple[float, ...] = ()


def against(lines: Mapping[str, Sequence[Point]], x: str, y: str, title: str) -> str:
    """Lines with an upright bar for each interval and a dot for each seed."""
    figure = _figure(5.4, 3.8)
    axes = figure.subplots()
    for number, (name, points) in enumerate(lines.items()):
        style = _line(number)
        axes.plot([p.x for p in points], [p.y for p in points], **style, label=name, marker="o", markersize=4)
        for point in points:
            at = point.x + 0.6 * (number - (len(lines) - 1) / 2)  # beside each other, else one hides the next
            if point.ci is not None:
                axes.plot([at, at], list(point.ci), color=style["color"], linewidth=1, alpha=0.6)
            axes.plot([at] * len(point.seeds), point.seeds, ".", color=style["color"], markersize=3)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=8, color=INK)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return _svg(figure, axes)


def pictures(rows: Sequence[str], columns: Sequence[tuple[str, Sequence[Any]]], note: str) -> bytes:
    """A PNG with a picture (rows, columns, 3) in each cell: named rows, columns with a heading, a note below."""
    figure = _figure(1.2 + 2.0 * max(len(columns), 1), 2.0 * len(rows) + 0.4)
    grid = figure.subplots(len(rows), max(len(columns), 1), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    for column, (heading, cells) in enumerate(columns):
        grid[0, column].set_title(heading, fontsize=7, color=INK)
        for row, cell in enumerate(cells):
            grid[row, column].imshow(cell, interpolation="nearest")
    for row, name in enumerate(rows):
        grid[row, 0].set_ylabel(name, fontsize=8, color=INK)
    figure.supxlabel(note, fontsize=8, color=INK)
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=120, metadata={"Comment": note, "Software": None})
    return made.getvalue()


def _line(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.6}


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "curves need matplotlib, which is not installed", hint="pip install 'disasymnet[train]'"
        ) from None
    return Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")


def _svg(figure: Any, axes: Any) -> str:
    from matplotlib import rc_context

    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    for name in ("left", "bottom"):
        axes.spines[name].set_color(RULE)
    axes.tick_params(colors=INK, labelsize=9, color=RULE)
    axes.grid(color=RULE, alpha=0.4, linewidth=0.6)
    axes.set_axisbelow(True)
    text = io.StringIO()
    # A fixed salt and no date: the same figures give the same bytes.
    with rc_context({"svg.hashsalt": "disasymnet", "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
