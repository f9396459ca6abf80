"""What one file may take of the machine: three environment variables, read once.

An administrator sets them for everybody, a shell for one command; workers and decoding children inherit them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from disasymnet.errors import RecipeError

RANGES = {
    "DISASYMNET_MEMORY_MB": (100, 400, 65_536),
    "DISASYMNET_SECONDS": (1, 10, 3_600),
    "DISASYMNET_MEGAPIXELS": (1, 40, 1_000),
}
"""Lowest, usual and highest value, whole numbers."""


@dataclass(frozen=True)
class Limits:
    """For one file."""

    memory: int
    """Bytes that its decoding may take."""
    seconds: int
    """CPU time of its decoding."""
    pixels: int
    """Rows times columns. The largest detectors and film scans have about 27 million."""

    @classmethod
    def of_environment(cls) -> Limits:
        """As the variables say. RecipeError for a value that is none."""
        memory, seconds, pixels = map(_value, RANGES)
        return cls(memory * 2**20, seconds, pixels * 1_000_000)

    def __str__(self) -> str:
        return f"{self.memory >> 20} MB, {self.seconds} s of CPU time, {self.pixels // 1_000_000} million pixels"


def _value(name: str) -> int:
    low, usual, high = RANGES[name]
    text = os.environ.get(name, "").strip() or str(usual)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        hint = f"Give a whole number from {low} to {high}, or leave it out: {usual}."
        raise RecipeError(f"the environment variable {name} is {text!r}", hint=hint)
    return int(text)


LIMITS = Limits.of_environment()
"""Of this process."""
