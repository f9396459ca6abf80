"""One way to say how far a long step is, how long it will take, and in what space."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Say = Callable[[str], None]


def say(line: str) -> None:
    """One line to the person at the keyboard (standard error: standard output is for results)."""
    print(line, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 05 min`."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(count: float) -> str:
    """Bytes: `1.2 GB`, `3.4 MB`, `5.6 KB`, in powers of 1000."""
    amount, unit = next(((amount, unit) for amount, unit in ((1e9, "GB"), (1e6, "MB")) if count >= amount), (1e3, "KB"))
    return f"{count / amount:.1f} {unit}"


def track(items: Iterable[T], what: str, total: int, *, every_s: float = 5.0) -> Iterator[T]:
    """Pass `items` on and say now and then how many are done and how long is left.

    On a terminal the line is rewritten in place; elsewhere (a log file) a plain line comes every `every_s` seconds.
    """
    live = sys.stderr.isatty()
    start = last = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= (0.2 if live else every_s) or count == total:
            last = now
            left = (now - start) / count * (total - count)
            line = f"{what}: {count} of {total}" + (
                f", {clock(left)} left" if count < total else f", {clock(now - start)}"
            )
            print(
                f"\r\033[K{line}" if live else line,
                end="" if live and count < total else "\n",
                file=sys.stderr,
                flush=True,
            )
