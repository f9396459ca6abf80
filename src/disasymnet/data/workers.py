"""Making many items at once in worker processes; a worker that dies takes one item with it, not the run."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from disasymnet.data.making import make
from disasymnet.data.tasks import Made, Task, reject
from disasymnet.errors import RecipeError
from disasymnet.images.limits import LIMITS

WORKER_BYTES = 1_400_000_000 + (LIMITS.memory - 400 * 2**20) + 700_000_000 * (LIMITS.pixels - 40_000_000) // 40_000_000
"""A pair of 40-million-pixel pictures with its intermediate steps and the libraries (0.7 GB), and its decoding child
(0.5 GB at its own bound); the rest is for masks and lesion-free pictures of that size. More or less with the limits of
one file."""


def choose_workers(tasks: int, wanted: int | None = None, memory_limit: int | None = None) -> int:
    """As many as wanted, else one a core that this process may use; no more than fit into the memory.

    A number that is wanted is bounded by a stated limit only. RecipeError if the limit is too small for one worker.
    """
    if memory_limit is not None and memory_limit < WORKER_BYTES:
        what = f"{memory_limit / 1e9:g} GB of memory are too little: a worker may need {WORKER_BYTES / 1e9:g} GB"
        raise RecipeError(what, hint="Allow more, or leave the limit out.")
    if wanted is not None and memory_limit is None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = _free_memory() if memory_limit is None else memory_limit
    return max(1, min(wanted or cores, tasks, memory // WORKER_BYTES))


def make_all(tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, Made]]:
    """Each task with its result, in the order in which they are finished."""
    if workers == 1:
        for task in tasks:
            yield task, make(task)
        return
    waiting = deque(tasks)
    while waiting:
        suspects: list[Task] = []
        with _pool(workers) as pool:
            running: dict[Future[Made], Task] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * workers:
                        # Taken out only once it is under way: submitting to a broken pool raises.
                        running[pool.submit(make, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        made = future.result()
                        yield running.pop(future), made
            except BrokenProcessPool:
                suspects = list(running.values())
            finally:
                pool.shutdown(cancel_futures=True)
        # One of those under way killed its worker: tried one at a time, they show which.
        yield from _one_by_one(suspects)


def _one_by_one(tasks: Sequence[Task]) -> Iterator[tuple[Task, Made]]:
    waiting = deque(tasks)
    while waiting:
        with _pool(1) as pool:
            try:
                while waiting:
                    yield waiting[0], pool.submit(make, waiting[0]).result()
                    waiting.popleft()
            except BrokenProcessPool:
                task = waiting.popleft()
                what = "reading or preparing the pictures ended the worker process"
                yield task, Made(None, reject(task, "crash", what, "The files may be damaged, or memory too small."))


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned and not forked: a fork of a process with threads may hang.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever for its next item."""

    def watch() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _free_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):
        return 4 * WORKER_BYTES
