from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

import disasymnet.data.workers as workers_module
from disasymnet.data.tasks import Task
from disasymnet.data.workers import default_workers, make_all
from disasymnet.records import Mammogram
from disasymnet.terms import View

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


def test_workers_follow_cores_memory_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    gigabyte = 10**9
    assert default_workers(100, 100 * gigabyte) == 8
    assert default_workers(3, 100 * gigabyte) == 3
    assert default_workers(100, 5 * gigabyte) == 4
    assert default_workers(100, 1) == 1
    monkeypatch.setattr(workers_module, "_free_memory", lambda: 3 * gigabyte)
    assert default_workers(100) == 2
