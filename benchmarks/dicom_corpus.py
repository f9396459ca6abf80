"""The corpus of broken files through the reader: crashes, hangs, tracebacks, memory, and whether each refusal helps.

    python benchmarks/dicom_corpus.py [--files 560] [--seed 0] [--out results/dicom-corpus.json]

Every file goes through `read_picture`, as in `scan`, `prepare` and `predict`. Counted: *crash*, this process or the
decoding child ended by a file; *hang*, a file that took more than 10 s; *traceback*, an exception that is no
PictureError, or a refusal with the code `unexpected`; *wrong answer*, one that the corpus does not accept.

Memory is the highest resident size of the child (and of this process) above its size when idle, over all files; four
valid pictures of 38 million pixels, one a storage form, are read besides, so that the figure holds near the limit too.
Each refusal must name file, reason and next step, and the tag if the file is DICOM.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from disasymnet.data.files import replace_file
from disasymnet.errors import PictureError
from disasymnet.images import child
from disasymnet.images.decode import is_dicom
from disasymnet.images.picture import MOST_PIXELS
from disasymnet.images.read import read_picture
from disasymnet.testkit.corpus import write_corpus
from disasymnet.testkit.mammograms import drawn, mammogram, write

LARGE = {
    "uncompressed": ExplicitVRLittleEndian, "JPEG lossless": JPEGLosslessSV1, "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}  # fmt: skip


class Memory:
    """Highest resident sizes above idle, in bytes, of the children and of this process."""

    def __init__(self) -> None:
        self.idle_child, self.child, self.pid = 0, 0, 0
        self.idle_own, self.own = _status(os.getpid())["VmRSS"], 0

    def look(self) -> None:
        """After each file. A child that died took its figures along; its bound is what it was held to."""
        self.own = max(self.own, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - self.idle_own)
        if child._child is None or not child._child.lives():
            return
        now = _status(child._child._process.pid)
        if self.pid != child._child._process.pid:
            self.pid = child._child._process.pid
            self.idle_child = self.idle_child or now["VmRSS"]
        self.child = max(self.child, now["VmHWM"] - self.idle_child)


def _status(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Vm")}


def answer(path: Path) -> tuple[str, PictureError | None, str]:
    """`ok` or the code, the refusal, and the traceback's kind where one came through."""
    try:
        picture = read_picture(path)
    except PictureError as error:
        return error.code, error, ""
    except Exception as error:
        return "traceback", None, type(error).__name__
    inside = picture.pixels.dtype == np.float32 and picture.pixels.min() >= 0 and picture.pixels.max() <= 1
    return ("ok" if inside and picture.pixels.size <= MOST_PIXELS else "outside"), None, ""


def helps(path: Path, error: PictureError) -> bool:
    """True if a refusal names file, reason, next step, and the tag of a DICOM file."""
    try:
        tagged = error.tag is not None or not is_dicom(path)
    except PictureError:
        tagged = True
    return tagged and error.where == str(path) and bool(error.reason) and bool(error.hint)


def run(folder: Path, seed: int, files: int) -> dict[str, Any]:
    good = folder / "good.dcm"
    good.write_bytes(write(mammogram(drawn()), drawn()))
    memory = Memory()
    read_picture(good)
    memory.look()
    counts: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    bad: list[dict[str, object]] = []
    slowest = 0.0
    for entry in write_corpus(folder / "corpus", seed, files):
        path = folder / "corpus" / entry.file
        start = time.monotonic()
        code, error, kind = answer(path)
        took = time.monotonic() - start
        memory.look()
        slowest = max(slowest, took)
        kinds.setdefault(entry.kind, Counter())[code] += 1
        troubles = {
            "crashes": code == "crash",
            "hangs": took > 10 or code == "timeout",
            "tracebacks": code in ("traceback", "unexpected"),
            "wrong_answers": code == "outside" or not entry.accepts(code),
            "refusals_without_help": error is not None and not helps(path, error),
        }
        for name, here in troubles.items():
            counts[name] += here
        if any(troubles.values()):
            what = error.what if error else kind
            bad.append(
                {"file": entry.file, "what": entry.what, "code": code, "answer": what, "seconds": round(took, 2)}
            )
    names = ("crashes", "hangs", "tracebacks", "wrong_answers", "refusals_without_help")
    return {
        "files": files,
        **{name: counts[name] for name in names},
        "slowest_s": round(slowest, 2),
        "memory_above_idle_mb": {"child": _mb(memory.child), "this_process": _mb(memory.own)},
        "answers": {kind: dict(sorted(codes.items())) for kind, codes in kinds.items()},
        "troubles": bad,
    }


def at_the_limit(folder: Path) -> dict[str, Any]:
    """Valid pictures of nearly 40 million pixels."""
    pixels = np.tile(drawn(790, 1000), (8, 6))[:6320, :6000]
    results = {}
    for name, syntax in LARGE.items():
        path = folder / "large.dcm"
        path.write_bytes(write(mammogram(pixels), pixels, syntax))
        if child._child is not None:
            child._child.close()
        memory = Memory()
        read_picture(folder / "good.dcm")
        memory.look()
        start = time.monotonic()
        code = answer(path)[0]
        took = time.monotonic() - start
        memory.look()
        results[name] = {
            "pixels": pixels.size,
            "answer": code,
            "seconds": round(took, 2),
            "child_above_idle_mb": _mb(memory.child),
        }
    return results


def _mb(size: int) -> float:
    return round(size / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=560)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/dicom-corpus.json"))
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        corpus = run(Path(folder), chosen.seed, chosen.files)
        limit = at_the_limit(Path(folder))
    # Not above: it brings torch, which would count as the reader's memory.
    from disasymnet.evaluate.provenance import commit, machine

    report = {
        "schema": 1,
        "command": "python " + " ".join(sys.argv),
        "commit": commit(),
        "machine": machine(),
        "load_at_start": round(load, 2),
        "seed": chosen.seed,
        "corpus": corpus,
        "valid_pictures_at_the_limit": limit,
    }
    replace_file(chosen.out, (json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
