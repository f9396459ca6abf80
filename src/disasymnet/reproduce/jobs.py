"""Trainings and evaluations as processes of their own, several at once where memory allows.

A run is held by a lock on a file that its process inherits: a second command, or one that is started again while an
orphan of a killed one still trains, passes the run over instead of writing into it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from disasymnet.progress import Say, clock
from disasymnet.reproduce.cost import Cost
from disasymnet.reproduce.plan import Run, Standing, Wanted

POLL_S = 0.2
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Job:
    """A run with what is still to be done of it."""

    run: Run
    state: Standing
    cost: Cost

    @property
    def seconds(self) -> float:
        """Of training that are left."""
        return 0.0 if self.state.trained else self.cost.seconds * (1 - self.state.progress)


@dataclass
class _Active:
    job: Job
    lock: IO[bytes]
    process: subprocess.Popen[bytes]
    trains: bool
    since: float


def command(wanted: Wanted, run: Run, threads: int | None = None) -> list[str]:
    """The words behind `disasymnet` that train or go on with the run."""
    words = ["train", *run.words, "--data", str(wanted.cache), "--out", str(run.folder), "--resume"]
    words += [] if wanted.init is None else ["--init", str(wanted.init)]
    return words + ([] if threads is None else ["--threads", str(threads)])


def work(
    wanted: Wanted,
    jobs: Sequence[Job],
    most: int,
    threads: int,
    memory: int | None,
    after: Callable[[], None],
    say: Say,
) -> list[str]:
    """Do all jobs, at most `most` at once and within `memory` bytes (one at least); what failed, a line each.

    `after` is called when a run is evaluated. On SIGTERM and Ctrl-C the processes are ended; each run keeps its state.
    """
    waiting, active, failed = list(jobs), list[_Active](), list[str]()
    with _terminable():
        try:
            while waiting or active:
                while waiting and _room(active, waiting[0], most, memory):
                    started = _start(wanted, waiting.pop(0), threads, say)
                    active += [started] if started else []
                time.sleep(POLL_S)
                for one in [one for one in active if one.process.poll() is not None]:
                    active.remove(one)
                    again = _next(wanted, one, threads, failed, say)
                    active += [again] if again else []
                    if again is None and not one.trains and one.process.returncode == 0:
                        after()
        finally:
            _end(active)
    return failed


def _room(active: Sequence[_Active], job: Job, most: int, memory: int | None) -> bool:
    used = sum(one.job.cost.memory for one in active)
    return not active or (len(active) < most and (memory is None or used + job.cost.memory <= memory))


def _start(wanted: Wanted, job: Job, threads: int, say: Say) -> _Active | None:
    lock = _lock(job.run)
    if lock is None:
        say(f"{job.run}: another process is at it, passed over")
        return None
    say(f"{job.run}: {'training' if not job.state.trained else 'evaluating'} (told in {_log(job.run)})")
    return _launch(wanted, job, lock, threads, trains=not job.state.trained)


def _next(wanted: Wanted, one: _Active, threads: int, failed: list[str], say: Say) -> _Active | None:
    """The evaluation behind a training; None where the run has come to its end."""
    run, took = one.job.run, clock(time.monotonic() - one.since)
    if one.process.returncode != 0:
        one.lock.close()
        failed.append(f"{run}: {_last_line(_log(run))}")
        say(f"{run}: failed after {took}: {_last_line(_log(run))}")
        return None
    say(f"{run}: {'trained' if one.trains else 'evaluated'} in {took}")
    if one.trains:
        return _launch(wanted, one.job, one.lock, threads, trains=False)
    one.lock.close()
    return None


def _launch(wanted: Wanted, job: Job, lock: IO[bytes], threads: int, *, trains: bool) -> _Active:
    words = (
        command(wanted, job.run, threads) if trains else ["evaluate", str(job.run.folder), "--data", str(wanted.cache)]
    )
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    # A session of its own: Ctrl-C would reach it beside us, and its traceback would stand in every log.
    with _log(job.run).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "disasymnet.cli", *words],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True, pass_fds=(lock.fileno(),),
        )  # fmt: skip
    return _Active(job, lock, process, trains, time.monotonic())


def _log(run: Run) -> Path:
    """Beside the run's folder: `train` wants that one for itself."""
    return run.folder.with_name(run.folder.name + ".log")


def _lock(run: Run) -> IO[bytes] | None:
    """The run's lock file, held; None where another process holds it."""
    path = run.folder.with_name(run.folder.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # no such locks on this system
    except OSError:
        file.close()
        return None
    return file


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("disasymnet: ")]
    return f"{(said or lines or ['it said nothing'])[-1].removeprefix('disasymnet: ')} ({path})"


def _end(active: Sequence[_Active]) -> None:
    for one in active:
        if one.process.poll() is None:
            one.process.terminate()
    for one in active:
        try:
            one.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        one.lock.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, as a batch system sends it, and the end of the terminal end the work as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    signals = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = [signal.signal(each, stop) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
