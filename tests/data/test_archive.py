"""`prepare folder` on an archive of DICOM studies, as a program: verdict, workers, kill -9, bad files, memory."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disasymnet.data.cache import Cache
from disasymnet.data.workers import WORKER_BYTES
from disasymnet.terms import View
from disasymnet.testkit.mammograms import drawn, mammogram, write

from .killed import kill_when_begun

pytestmark = pytest.mark.slow

ORIENTATION = {"L": ["A", "R"], "R": ["P", "L"]}
MODIFIED = {"spot": "399055006", "displaced": "399209000"}


def save(
    path: Path, patient: str, side: str, *, modifier: str = "", seed: int = 0, enlarge: tuple[int, int] = (1, 1),
    **tags: Any,
) -> None:  # fmt: skip
    from disasymnet.testkit.studies import concept

    pixels = np.kron(drawn(96, 64, seed), np.ones(enlarge, np.uint16)).astype(np.uint16)
    pixels = pixels if side == "L" else np.ascontiguousarray(pixels[:, ::-1])
    view = concept("399162004", "SCT", *([concept(MODIFIED[modifier], "SCT")] if modifier else []))
    own = {
        "PatientID": patient, "StudyInstanceUID": f"1.2.3.{seed // 100 + 1}", "SOPInstanceUID": f"1.2.3.4.{seed + 1}",
        "ImageLaterality": side, "PatientOrientation": ORIENTATION[side], "ImagerPixelSpacing": [2, 2],
        "ViewCodeSequence": [view], "InstanceNumber": 1,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(write(mammogram(pixels, **{**own, **tags}), pixels))


def archive(root: Path, women: int) -> Path:
    """So many women with a CC pair each, under names that say nothing."""
    for number in range(women):
        for place, side in enumerate("RL"):
            save(root / f"{number:03d}" / f"{place}", f"anna{number:03d}", side, seed=100 * number + place)
    return root


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "disasymnet.cli", "prepare", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_mixed_archive_ends_in_two_tables(tmp_path: Path) -> None:
    root = archive(tmp_path / "in", 3)
    implants = root / "003"
    for place, (side, modifier) in enumerate((s, m) for s in "RL" for m in ("", "displaced")):
        save(implants / f"{place}", "anna003", side, modifier=modifier, seed=300 + place)
    save(implants / "spot", "anna003", "L", modifier="spot", seed=310)
    save(root / "000" / "again", "anna000", "R", seed=50, InstanceNumber=2)
    cut = (root / "001" / "0").read_bytes()
    (root / "001" / "0").write_bytes(cut[: len(cut) // 2])
    (root / "readme.txt").write_text("a text")
    save_of_two_detectors(root / "004")

    ended = program("folder", root, "--out", tmp_path / "out", "--height", "64", "--workers", "1", "--names")
    assert ended.returncode == 0, ended.stderr
    said = ended.stderr.splitlines()
    verdict = next(number for number, line in enumerate(said) if line.startswith("6 pairs will be made"))
    assert said[verdict] == (
        "6 pairs will be made; 3 files left out (1 not_a_picture, 1 spot, 1 superseded): rejected.csv says why"
    )
    assert "the cache will take about" in said[verdict + 1]
    assert said[verdict + 2].startswith("with 1 worker about ")
    assert not any(line.startswith("prepare:") for line in said[:verdict])

    cache = Cache.open(tmp_path / "out")
    assert len(cache.pairs) == 5  # one file was cut: its pixels are too short
    pairs, rejected = table(tmp_path / "out" / "pairs.csv"), table(tmp_path / "out" / "rejected.csv")
    assert {row["id"] for row in pairs} == {pair.id for pair in cache.pairs}
    assert {(row["right"], row["left"], row["implant_displaced"]) for row in pairs} == {
        ("000/again", "000/1", "no"), ("002/0", "002/1", "no"), ("003/0", "003/2", "no"), ("003/1", "003/3", "yes"),
        ("004/R", "004/L", "no"),
    }  # fmt: skip
    assert {(row["picture"], row["code"]) for row in rejected} == {
        ("000/0", "superseded"), ("001/0", "pixel_length"), ("001/1", "partner"), ("003/spot", "spot"),
        ("in/readme.txt", "not_a_picture"),
    }  # fmt: skip
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    listed = [row[side] for row in pairs for side in ("right", "left")] + [row["picture"] for row in rejected]
    assert sorted(name.removeprefix("in/") for name in listed) == sorted(files)
    assert {pair.view for pair in cache.pairs} == {View.CC}
    # Both breasts of woman 4 are of one size in millimetres, taken on detectors with other pixels.
    row = next(row for row in pairs if row["right"] == "004/R")
    assert (row["right_pixel_mm"], row["left_pixel_mm"]) == ("2", "1")
    assert "each side is scaled by its own" in row["notes"]
    one = next(pair for pair in cache.pairs if pair.id == row["id"])
    right, left = cache.arrays(one.id).breast.sum(axis=(1, 2)).astype(float)
    assert right == pytest.approx(left, rel=0.03)


def save_of_two_detectors(folder: Path) -> None:
    """A right breast at 2 mm a pixel, and the left one, as large, at 1 mm."""
    save(folder / "R", "anna004", "R", seed=400)
    pixels = np.kron(drawn(96, 64, 400), np.ones((2, 2), np.uint16)).astype(np.uint16)
    tags = {
        "PatientID": "anna004", "StudyInstanceUID": "1.2.3.5", "SOPInstanceUID": "1.2.3.4.999",
        "ImagerPixelSpacing": [1.2, 1.2], "EstimatedRadiographicMagnificationFactor": 1.2,
    }  # fmt: skip
    (folder / "L").write_bytes(write(mammogram(pixels, **tags), pixels))


def test_the_same_bytes_from_any_number_of_workers(tmp_path: Path) -> None:
    root = archive(tmp_path / "in", 6)
    for workers in ("1", "3"):
        out = tmp_path / workers
        if workers != "1":
            # Names of patients are hashed with a salt that each cache draws anew.
            out.mkdir()
            for name in ("request.json", "salt"):
                shutil.copy(tmp_path / "1" / name, out)
        ended = program("folder", root, "--out", out, "--height", "64", "--workers", workers)
        assert ended.returncode == 0, ended.stderr
    assert len(Cache.open(out).pairs) == 6
    assert content(tmp_path / "1") == content(tmp_path / "3")


def test_a_killed_program_goes_on_and_leaves_no_worker_behind(tmp_path: Path) -> None:
    root, out = archive(tmp_path / "in", 60), tmp_path / "out"
    words = ["prepare", "folder", str(root), "--out", str(out), "--height", "64", "--workers", "2"]
    child = subprocess.Popen(
        [sys.executable, "-m", "disasymnet.cli", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    kill_when_begun(child, out)
    give_up = time.monotonic() + 60
    while left := session(child.pid):
        assert time.monotonic() < give_up, f"left behind: {left}"
        time.sleep(0.1)
    begun = len(list(out.glob("pairs/*.json")))
    assert begun < 60
    ended = program(*words[1:])
    assert ended.returncode == 0, ended.stderr
    assert f"{begun} of them were finished already" in ended.stderr

    whole = tmp_path / "whole"
    whole.mkdir()
    for name in ("request.json", "salt"):
        shutil.copy(out / name, whole)
    ended = program(*words[1:3], "--out", whole, "--height", "64", "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert content(out) == content(whole)
    assert b"anna" not in b"".join(content(out).values())


def session(leader: int) -> list[int]:
    """Processes of a session that are still alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def test_memory_is_bounded_by_its_setting(tmp_path: Path) -> None:
    root = archive(tmp_path / "in", 4)
    words = ("folder", root, "--height", "64", "--workers", "4")
    ended = program(*words, "--out", tmp_path / "out", "--memory", "2.9")
    assert ended.returncode == 0, ended.stderr
    assert "with 2 workers about" in ended.stderr
    ended = program(*words, "--out", tmp_path / "small", "--memory", "0.5")
    assert ended.returncode == 2
    assert "0.5 GB of memory are too little" in ended.stderr


LARGEST = """
import os, sys
from pathlib import Path
from disasymnet.data.prepare import PrepareOptions, prepare
from disasymnet.datasets.folder import scan
from disasymnet.images import child
from disasymnet.settings import ImageSettings
cache = prepare(scan(Path(sys.argv[1])), ImageSettings(), Path(sys.argv[2]), PrepareOptions("folder", False, workers=1),
                lambda line: None)
print(len(cache.pairs))
for process in (os.getpid(), child._child._process.pid):
    print(*(int(line.split()[1]) for line in open(f"/proc/{process}/status") if line.startswith("VmHWM")))
"""


def test_the_largest_pair_fits_into_what_a_worker_is_counted_for(tmp_path: Path) -> None:
    """7,872 x 5,056 pixels, nearly the 40 million that are read: worker and decoding child together, at their peaks."""
    for place, side in enumerate("RL"):
        save(tmp_path / "in" / side, "anna", side, seed=place, enlarge=(82, 79), ImagerPixelSpacing=[0.03, 0.03])
    command = [sys.executable, "-c", LARGEST, str(tmp_path / "in"), str(tmp_path / "out")]
    pairs, *peaks = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert pairs == 1
    assert sum(peaks) * 1024 < WORKER_BYTES, peaks


def test_another_archive_does_not_replace_a_cache(tmp_path: Path) -> None:
    words = ("--out", tmp_path / "out", "--height", "64", "--workers", "1")
    assert program("folder", archive(tmp_path / "in", 1), *words).returncode == 0
    before = content(tmp_path / "out")
    ended = program("folder", archive(tmp_path / "other", 2), *words)
    assert ended.returncode == 2
    assert "a cache of 2 other pictures (folder); these 4 lie elsewhere" in ended.stderr
    assert "Choose another folder, or delete this one." in ended.stderr
    assert content(tmp_path / "out") == before


def test_nothing_to_pair_is_said_with_the_list(tmp_path: Path) -> None:
    save(tmp_path / "in" / "x", "anna", "R")
    ended = program("dicom_folder", tmp_path / "in", "--out", tmp_path / "out", "--height", "64", "--names")
    assert ended.returncode == 2
    assert "no pair of pictures was found" in ended.stderr
    assert [row["code"] for row in table(tmp_path / "out" / "rejected.csv")] == ["unpaired"]
