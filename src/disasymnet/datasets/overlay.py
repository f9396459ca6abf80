"""DDSM's `.OVERLAY` files: the abnormalities of one film as words and chain codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from disasymnet.errors import PictureError

# Step of each code as (column, row), rows growing downwards: 0 is up, then clockwise.
STEPS = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))
Pixels = list[tuple[int, int]]


@dataclass(frozen=True)
class Abnormality:
    """One abnormality. `PATHOLOGY` is given for each, whether or not tissue was looked at."""

    types: tuple[str, ...]
    """Its LESION_TYPE lines, such as `MASS SHAPE OVAL MARGINS ILL_DEFINED`; some have two."""
    pathology: str
    boundary: Pixels
    """Pixels (column, row) of the scan that the outermost outline turns at; inner ones (CORE) are left out."""


def read_overlay(path: Path) -> tuple[Abnormality, ...]:
    """The abnormalities of a film. PictureError naming the line if one is not understood."""
    try:
        lines = list(enumerate((line.strip() for line in path.read_text(encoding="latin-1").splitlines()), 1))
    except OSError as error:
        raise PictureError(f"it cannot be read ({error.strerror})", where=path, code="overlay") from None
    found: list[Abnormality] = []
    types: list[str] = []
    pathology = ""
    numbered = iter(lines)
    for number, line in numbered:
        word, _, rest = line.partition(" ")
        if word == "ABNORMALITY":
            types, pathology = [], ""
        elif word == "LESION_TYPE":
            types.append(rest.strip())
        elif word == "PATHOLOGY":
            pathology = rest.strip()
        elif word == "BOUNDARY":
            found.append(Abnormality(tuple(types), pathology, _walk(_codes(numbered), path, number)))
        elif word == "CORE":
            _codes(numbered)
    stated = next((line.split()[-1] for _, line in lines if line.startswith("TOTAL_ABNORMALITIES")), "")
    if stated != str(len(found)):
        what = f"it announces {stated or 'no number of'} abnormalities and outlines {len(found)}"
        raise PictureError(what, where=path, hint="Download it again.", code="overlay")
    return tuple(found)


def _codes(lines: Iterator[tuple[int, str]]) -> list[str]:
    """The words up to `#`."""
    words: list[str] = []
    for _, line in lines:
        words += line.split()
        if words and words[-1] == "#":
            break
    return words


def _walk(words: list[str], path: Path, number: int) -> Pixels:
    """Start (column, row), then one code a step; only the pixels where the direction changes are kept."""
    column, row, *codes = words[:-1] if words[-1:] == ["#"] else ["", ""]
    if not all(word.isdigit() for word in (column, row)) or not all(code in set("01234567") for code in codes):
        what = f"the outline after line {number} is not understood"
        raise PictureError(what, where=path, hint="Download it again.", code="overlay")
    x, y = int(column), int(row)
    turns = [(x, y)]
    for at, code in enumerate(codes):
        x, y = x + STEPS[int(code)][0], y + STEPS[int(code)][1]
        if codes[at + 1 : at + 2] != [code]:
            turns.append((x, y))
    return turns
