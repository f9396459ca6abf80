"""What was planted in an imitation: the counts that its adapter has to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """Counts written down beside the plan of the imitation, not taken from any program's output."""

    women: int
    exams: int
    pictures: int
    """Pictures that the adapter hands on."""
    normal: int
    abnormal: int
    unknown: int
    pairs: Mapping[tuple[bool | None, bool | None], int]
    """By label of the right and of the left breast."""
    lesions: Mapping[str, int]
    """Findings by kind."""
    located: int
    """Findings with a place."""
    rejected: Mapping[str, int]
    """Files left out by the adapter, by code; pairing may leave out more."""
