"""Answers and lines made by hand, and the program called on a tiny cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disasymnet.recipe import Recipe
from disasymnet.reproduce.answers import NUMBERS, Answers
from disasymnet.reproduce.compare import Filled
from disasymnet.reproduce.plan import Line, Run
from disasymnet.reproduce.rows import KNOWN, Row

TINY = (
    "--set", "model.encoder.widths=[8,8,16,16]", "--set", "model.transformer.layers=1", "--set", "train.epochs=1",
    "--set", "model.decoder.widths=[8,8]",
)  # fmt: skip


def program(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "disasymnet.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
    ids = tuple(f"p{number}" for number in range(n))
    return Answers(ids, np.array(ids), {"y": y, "logit": logit}, sides)


def filled(name: str, *seeds: Answers, share: float = 1.0) -> Filled:
    """A line of the table with these seeds' answers; none: it is still to be trained."""
    row = KNOWN.get(name, Row(name, name))
    runs = tuple(Run(name, seed, Recipe(), (), Path(name) / str(seed)) for seed in range(max(1, len(seeds))))
    return Filled(Line(row, share, runs), dict(enumerate(seeds)), {})
