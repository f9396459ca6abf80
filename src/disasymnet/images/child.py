"""The child process that decodes: parent's side and child's side, and the few lines of JSON between them.

One child serves one process for as long as it lives, file after file; it is started by the first file. Its memory and,
for each file, its CPU time are bounded by the system (`resource`, absent on Windows), its wall time by the parent. A
child that dies is replaced. Nothing is pickled, and `__main__` is not imported again: scripts need no guard.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from disasymnet.errors import PictureError
from disasymnet.images.limits import LIMITS
from disasymnet.images.picture import Facts, GreyStep, Reading
from disasymnet.images.refusals import refusal
from disasymnet.records import Exposure, Identity
from disasymnet.terms import Laterality, View

What = Literal["facts", "picture", "mask", "outline", "steps"]


@dataclass(frozen=True)
class Bounds:
    """What one file may take."""

    memory: int = LIMITS.memory
    """Bytes above those of the idle child."""
    cpu_s: int = LIMITS.seconds
    wall_s: float = 6.0 * max(LIMITS.seconds, 10)
    """For disks and networks that stall; a busy machine needs longer than its CPU time too."""


BOUNDS = Bounds()
_NO_FACTS = Facts()


@dataclass(frozen=True)
class Answer:
    """What the child gives for one file."""

    arrays: list[NDArray[Any]]
    facts: Facts = _NO_FACTS
    steps: tuple[GreyStep, ...] = ()
    storage: str = ""


def ask(what: What, path: Path, reading: Reading) -> Answer:
    """The child's answer. PictureError as the child found it, or `crash`, `timeout` or `memory` if it did not live."""
    global _child
    with _LOCK:
        # A forked process must not talk through its parent's pipe.
        if _child is None or _child.owner != os.getpid() or not _child.lives():
            if _child is not None:
                _child.close()
            _child = _Child(BOUNDS)
        return _child.ask(what, path, reading)


_LOCK = threading.Lock()
_PIPE = 2**20  # bytes; at the usual 64 KiB the two processes change turns 800 times a picture
_child: _Child | None = None


class _Child:
    """The parent's side."""

    def __init__(self, bounds: Bounds) -> None:
        self.owner = os.getpid()
        self._bounds = bounds
        # The search path as it is now, so that the child finds this very package.
        start = f"import sys; sys.path[:] = {sys.path!r}; from disasymnet.images.child import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=_PIPE,
            # More threads than one would count their stacks as memory.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        atexit.register(self.close)
        self._send(asdict(bounds))

    def lives(self) -> bool:
        """True while the process has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, and wait for it."""
        if self.owner != os.getpid():
            return
        atexit.unregister(self.close)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # words that the child did not hear any more
                    pipe.close()
        self._process.kill()
        self._process.wait()

    def ask(self, what: What, path: Path, reading: Reading) -> Answer:
        """One file's answer."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        watch = threading.Timer(self._bounds.wall_s, stop)
        watch.start()
        try:
            self._send({"what": what, "path": os.fspath(path.absolute()), "reading": asdict(reading)})
            return self._receive(path)
        except PictureError:
            raise
        except (EOFError, OSError, ValueError):
            raise self._post_mortem(path, late.is_set()) from None
        except BaseException:
            # Half an answer may lie in the pipe: whoever asks next must not get it.
            self.close()
            raise
        finally:
            watch.cancel()

    def _send(self, message: dict[str, Any]) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps(message).encode() + b"\n")
        pipe.flush()

    def _receive(self, path: Path) -> Answer:
        pipe = self._pipe(self._process.stdout)
        line = pipe.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        head = json.loads(line)
        if (error := head.get("error")) is not None:
            raise PictureError(error["reason"], where=path, hint=error["hint"], code=error["code"], tag=error["tag"])
        arrays: list[NDArray[Any]] = []
        for shape, dtype in head["arrays"]:
            array = np.empty(shape, dtype)
            if pipe.readinto(_bytes(array)) != array.nbytes:  # type: ignore[attr-defined]
                raise EOFError
            arrays.append(array)
        return Answer(arrays, _facts(head["facts"]), tuple(GreyStep(**step) for step in head["steps"]), head["storage"])

    def _pipe(self, pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None or pipe.closed:
            raise EOFError
        return pipe

    def _post_mortem(self, path: Path, late: bool) -> PictureError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.returncode
        self.close()
        tag = "PixelData" if _begins_as_dicom(path) else None
        if late:
            return refusal("timeout", f"it was not read within {self._bounds.wall_s:g} s", path, tag)
        if code is not None and -code == _CPU_SIGNAL:
            return refusal("timeout", f"it was not decoded within {self._bounds.cpu_s} s of CPU time", path, tag)
        return refusal("crash", f"the process that decoded it ended ({code})", path, tag)


def _begins_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The same memory as bytes; the array is contiguous."""
    return array.reshape(-1).view(np.uint8)


def _facts(values: dict[str, Any]) -> Facts:
    side, view, exposure = (values.pop(name) for name in ("laterality", "view", "exposure"))
    return Facts(
        identity=Identity(**values.pop("identity")),
        laterality=None if side is None else Laterality(side),
        view=None if view is None else View(view),
        exposure=None if exposure is None else Exposure(**_tuples(exposure)),
        **_tuples(values),
    )


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


try:
    import signal

    _CPU_SIGNAL = int(signal.SIGXCPU)
except AttributeError:  # no such signal on this system
    _CPU_SIGNAL = 0


def serve() -> None:
    """The child's side: bounds, then one request a line, until the parent closes the pipe."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a codec prints must not reach the parent as an answer
    bounds = Bounds(**json.loads(requests.readline()))
    # What is loaded later would count as a picture's memory.
    import_module("disasymnet.images.decode")
    Image.init()
    restrict = _restrict(bounds)
    for line in requests:
        request = json.loads(line)
        path, reading = Path(request["path"]), Reading(**request["reading"])
        restrict()
        head, arrays = _answer(request["what"], path, reading)
        replies.write(json.dumps(head).encode() + b"\n")
        for array in arrays:
            replies.write(_bytes(np.ascontiguousarray(array)).data)
        replies.flush()


def _answer(what: What, path: Path, reading: Reading) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    try:
        answer = _work(what, path, reading)
    except PictureError as error:
        return _refused(error), []
    except MemoryError:
        return _refused(refusal("memory", "the picture does not fit into the memory that one may take", path)), []
    except Exception as error:
        return _refused(refusal("unexpected", f"unexpected {type(error).__name__}", path)), []
    head = {
        "facts": asdict(answer.facts),
        "steps": [asdict(step) for step in answer.steps],
        "storage": answer.storage,
        "arrays": [(array.shape, array.dtype.str) for array in answer.arrays],
    }
    return head, answer.arrays


def _work(what: What, path: Path, reading: Reading) -> Answer:
    # Not at the top: the parent's side needs no decoder.
    from disasymnet.images.decode import decode_facts, decode_mask, decode_picture, decode_steps

    if what == "facts":
        return Answer([], decode_facts(path, reading))
    if what in ("mask", "outline"):
        return Answer([decode_mask(path, outline=what == "outline")])
    if what == "picture":
        picture = decode_picture(path, reading)
        return Answer([picture.pixels], picture.facts, picture.steps)
    facts, drawn, storage = decode_steps(path, reading)
    return Answer([eight for _, eight in drawn], facts, tuple(step for step, _ in drawn), storage)


def _refused(error: PictureError) -> dict[str, Any]:
    return {"error": {"reason": error.reason, "hint": error.hint, "code": error.code, "tag": error.tag}}


def _restrict(bounds: Bounds) -> Callable[[], None]:
    """Bound this process; gives what renews the CPU time before each file."""
    try:
        import resource
    except ImportError:
        return lambda: None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        top = pages * resource.getpagesize() + bounds.memory
        resource.setrlimit(resource.RLIMIT_AS, (top, top))
    except (OSError, ValueError):
        pass  # a system that does not tell its size, or bounds none
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]

    def renew() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + bounds.cpu_s
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    return renew
