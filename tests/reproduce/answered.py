"""Answers and lines made by hand, and the program called on a tiny cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.errors import DisAsymNetError
from disasymnet.recipe import Recipe
from disasymnet.reproduce.answers import NUMBERS, Answers, with_shares
from disasymnet.reproduce.compare import Filled
from disasymnet.reproduce.plan import Line, Run
from disasymnet.reproduce.rows import KNOWN, Row

TINY = (
    "--set", "model.encoder.widths=[8,8,16,16]", "--set", "model.transformer.layers=1", "--set", "train.epochs=1",
    "--set", "model.decoder.widths=[8,8]", "--threads", "1",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """What a command said and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def program(*words: object) -> Ended:
    """The command in this process, which spares a second start of torch; what it trains runs in its own."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, DisAsymNetError):
        return Ended(2, result.stdout, f"{result.stderr}disasymnet: {result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def answers(
    y: NDArray[np.float64],
    logit: NDArray[np.float64],
    side: NDArray[np.float64] | None = None,
    **measured: NDArray[np.float64],
) -> Answers:
    """Pairs of as many women; the right side is abnormal where the pair is, `side` (n, 2) logits."""
    n = len(y)
    sides = {name: np.full((n, 2), np.nan) for name in NUMBERS} | measured
    sides["y"] = np.stack([y, np.zeros(n)], axis=1)
    sides["logit"] = np.full((n, 2), np.nan) if side is None else side
    sides = with_shares(sides)
    ids = tuple(f"p{number}" for number in range(n))
    return Answers(ids, np.array(ids), {"y": y, "logit": logit}, sides)


def filled(name: str, *seeds: Answers, share: float = 1.0) -> Filled:
    """A line of the table with these seeds' answers; none: it is still to be trained."""
    row = KNOWN.get(name, Row(name, name))
    runs = tuple(Run(name, seed, Recipe(), (), Path(name) / str(seed)) for seed in range(max(1, len(seeds))))
    return Filled(Line(row, share, runs), dict(enumerate(seeds)), {})
