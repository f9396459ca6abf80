"""What a run tells: lines to the person, and log.jsonl, one JSON object a line, for curves and reports.

Events: `step` (every so many updates: losses by name), `epoch` (means, rate, time, validation figures, guards),
`note` (start, resume, end).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from disasymnet.progress import Say, clock
from disasymnet.training.state import Position
from disasymnet.training.steps import Values


class RunLog:
    """The log of one run; in a process that does not speak, everything is a no-op."""

    def __init__(self, folder: Path, say: Say, *, speaks: bool = True, every_s: float = 10.0) -> None:
        self.path, self.speaks, self.every_s = folder / "log.jsonl", speaks, every_s
        self._say = say
        self._last = self._start = time.monotonic()
        self._first_step: int | None = None

    def say(self, line: str) -> None:
        """One line to the person."""
        if self.speaks:
            self._say(line)

    def cut(self, length: int) -> None:
        """Drop what was written behind the state that a resume starts from."""
        if self.speaks and self.path.exists():
            os.truncate(self.path, length)

    def write(self, event: str, **facts: Any) -> int:
        """Append one line; the file's length behind it."""
        if not self.speaks:
            return 0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **facts}) + "\n")
            file.flush()
            return file.tell()

    def progress(self, position: Position, epochs: int, updates: int, values: Values) -> None:
        """Every few seconds: epoch, step, time left, every loss by name."""
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._start = position.step, now
        if now - self._last < self.every_s or position.step == self._first_step:
            return
        self._last = now
        each = (now - self._start) / (position.step - self._first_step)
        left = clock(each * (epochs * updates - position.step))
        losses = ", ".join(f"{name} {sum(v) / len(v):.4f}" for name, v in values.items())
        self.say(
            f"epoch {position.epoch + 1} of {epochs}, step {position.update} of {updates}, {left} left"
            f" ({each:.2f} s a step): {losses}"
        )


def collect(position: Position, values: Values, batches: int) -> None:
    """Add an update's losses to the epoch's sums."""
    position.batches += batches
    for name, numbers in values.items():
        total, count = position.sums.get(name, (0.0, 0))
        position.sums[name] = (total + sum(numbers), count + len(numbers))


def means(position: Position) -> tuple[dict[str, float], dict[str, int]]:
    """Mean of each loss over the batches that had it, and in how many batches it was missing."""
    mean = {name: total / count for name, (total, count) in position.sums.items()}
    missing = {name: position.batches - count for name, (_, count) in position.sums.items()}
    return mean, missing
