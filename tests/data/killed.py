"""A preparation that is cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def kill_when_begun(child: subprocess.Popen[bytes], out: Path) -> None:
    """`kill -9` as soon as five pairs are written; no manifest may be there then."""
    try:
        give_up = time.monotonic() + 120
        while len(list(out.glob("pairs/*.json"))) < 5:
            assert child.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < give_up
            time.sleep(0.005)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert not (out / "manifest.json").exists()
