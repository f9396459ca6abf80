from __future__ import annotations

import csv
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1

import disasymnet.data.workers as workers_module
from disasymnet.data.tasks import Task
from disasymnet.data.workers import choose_workers, make_all
from disasymnet.errors import RecipeError
from disasymnet.images import child
from disasymnet.records import Mammogram
from disasymnet.terms import View
from disasymnet.testkit.mammograms import mammogram, write
from tests.images.drawn import breast
from tests.images.test_child import DEADLY

from .exams import SETTINGS


@dataclass(frozen=True)
class Deadly(Task):
    """A task whose files end the process that opens them, as a fault in a decoder does."""

    def __getattribute__(self, name: str) -> object:
        if name == "settings" and object.__getattribute__(self, "id") == "bad" and os.getpid() != PARENT:
            os.kill(os.getpid(), signal.SIGKILL)
        return object.__getattribute__(self, name)


PARENT = int(os.environ.setdefault("DISASYMNET_TEST_PARENT", str(os.getpid())))


def test_a_worker_that_dies_takes_one_item_with_it(tmp_path: Path) -> None:
    picture = Mammogram(tmp_path / "missing.png", "p", None, None, View.CC)
    tasks = [
        Deadly(name, name, "p", "e", View.CC, (picture, picture), SETTINGS, tmp_path)
        for name in ("a", "bad", "b", "c", "d")
    ]
    codes = {task.id: [entry.code for entry in made.rejected] for task, made in make_all(tasks, 2)}
    assert codes.pop("bad") == ["crash", "crash"]
    assert codes == {name: ["missing", "partner"] for name in "abcd"}


def test_a_decoder_that_dies_costs_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its partner is listed as such, everything else is prepared; nothing of the run is repeated."""
    from disasymnet.data.prepare import PrepareOptions, prepare
    from disasymnet.records import Scan
    from disasymnet.terms import Laterality

    (tmp_path / "deadly").mkdir()
    (tmp_path / "deadly" / "imagecodecs.py").write_text(DEADLY)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "deadly"), *sys.path])
    monkeypatch.setattr(child, "_child", None)
    pictures = []
    for number, patient in enumerate("abc"):
        for side in Laterality:
            stored = (breast(wall="right" if side == "R" else "left") * 4095).astype(np.uint16)
            syntax = JPEGLosslessSV1 if (patient, side) == ("b", "R") else ExplicitVRLittleEndian
            path = tmp_path / f"{patient}{side}.dcm"
            path.write_bytes(write(mammogram(stored, ImagerPixelSpacing=[1, 1]), stored, syntax))
            pictures.append(Mammogram(path, patient, f"{patient}{number}", side, View.CC))
    options = PrepareOptions("made", public=True, workers=1, names=True)
    cache = prepare(Scan(tuple(pictures)), SETTINGS, tmp_path / "cache", options, lambda line: None)
    assert [pair.patient for pair in cache.pairs] == ["a", "c"]
    rows = list(csv.DictReader((tmp_path / "cache" / "rejected.csv").read_text().splitlines()))
    assert [(row["picture"].split("/")[-1], row["code"]) for row in rows] == [
        ("bL.dcm", "partner"),
        ("bR.dcm", "crash"),
    ]
    assert "died" in rows[1]["hint"]
    if child._child is not None:
        child._child.close()


def test_workers_follow_cores_memory_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    gigabyte = 10**9
    assert choose_workers(100, None, 100 * gigabyte) == 8
    assert choose_workers(3, None, 100 * gigabyte) == 3
    assert choose_workers(100, None, 5 * gigabyte) == 3
    assert choose_workers(100, 6, 5 * gigabyte) == 3
    assert choose_workers(100, 2, 5 * gigabyte) == 2
    assert choose_workers(100, 20) == 20
    with pytest.raises(RecipeError, match=r"1 GB of memory are too little: a worker may need 1\.4 GB"):
        choose_workers(100, None, gigabyte)
    monkeypatch.setattr(workers_module, "_free_memory", lambda: 3 * gigabyte)
    assert choose_workers(100) == 2
