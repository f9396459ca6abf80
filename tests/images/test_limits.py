"""What one file may take is set by environment variables, for the whole program with its workers and children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from disasymnet.errors import RecipeError
from disasymnet.images.limits import RANGES, Limits
from disasymnet.testkit.mammograms import drawn, mammogram, write


def program(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "disasymnet.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def saved(root: Path, rows: int, columns: int) -> Path:
    pixels = drawn(rows, columns)
    root.mkdir()
    (root / "x.dcm").write_bytes(write(mammogram(pixels), pixels))
    return root


def test_pixels(tmp_path: Path) -> None:
    root = saved(tmp_path / "in", 1300, 1000)
    assert "1 pictures of 1 patients" in program("scan", root).stdout
    told = program("scan", root, DISASYMNET_MEGAPIXELS="1").stdout
    assert "left out, too_large (1): 1,000 x 1,300 pixels are more than 1,000,000" in told


def test_memory(tmp_path: Path) -> None:
    root = saved(tmp_path / "in", 5200, 5000)  # 26 million pixels, stored and read: 50 and 100 MB
    assert "1 pictures" in program("scan", root, "--pixels").stdout
    assert "left out, memory (1)" in program("scan", root, "--pixels", DISASYMNET_MEMORY_MB="100").stdout


def test_seconds() -> None:
    code = "from disasymnet.images.child import BOUNDS; print(BOUNDS.cpu_s, BOUNDS.wall_s)"
    for seconds, bounds in (("2", "2 60.0"), ("30", "30 180.0"), (" ", "10 60.0")):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={**os.environ, "DISASYMNET_SECONDS": seconds},
        )  # fmt: skip
        assert ran.stdout.strip() == bounds


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", ["ten", "-1", "1.5", "0", "99999999", "\u0661"])
def test_a_value_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=f"the environment variable {name} is"):
        Limits.of_environment()


def test_a_value_that_is_none_ends_the_command(tmp_path: Path) -> None:
    ended = program("scan", saved(tmp_path / "in", 96, 64), DISASYMNET_SECONDS="ten")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "disasymnet: the environment variable DISASYMNET_SECONDS is 'ten'",
        "Give a whole number from 1 to 3600, or leave it out: 10.",
    ]


def test_the_documentation_names_them_all() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text()
    for name, (low, usual, high) in RANGES.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
        assert f"| {low} - {high:,} |" in line
        assert f"| {usual}" in line
